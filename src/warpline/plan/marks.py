"""Marks in the name of a method, each of which makes a method of its own of the same file."""

from __future__ import annotations

# Between a recipe and the fold that it is not trained on, and between it and what is added to its
# seed: <recipe>@<fold>~<seed>. Without marks it is trained on all folds, by its first seed.
HELD_OUT, SEED = "@", "~"
# Between a method and another strength of its regularisation, in the arena.
STRENGTH = "+"
# After a method: with settings that were searched, where a study or the arena asks for that.
TUNED = "=tuned"


def marked(recipe: str, fold: str = "", seed: int = 0) -> str:
    """The name of a recipe that leaves out a fold or has a further seed, or neither."""
    return recipe + (HELD_OUT + fold if fold else "") + (f"{SEED}{seed}" if seed else "")


def unmarked(method: str) -> tuple[str, str, int]:
    """(recipe, the fold that it leaves out, what is added to its seed); "" and 0 for none."""
    name, _, seed = method.partition(SEED)
    recipe, _, fold = name.partition(HELD_OUT)
    return recipe, fold, int(seed or 0)
