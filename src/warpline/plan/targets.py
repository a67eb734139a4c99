"""What may be asked of the workflow by name."""

from __future__ import annotations

from collections.abc import Iterable

from warpline.errors import WarplineError
from warpline.plan.run import Run
from warpline.registry import closest_word

# Of workflow/Snakefile and its rules: the names that gather outputs.
TARGETS = ("all", "tables", "figures", "exploration", "explorer", "models", "arena")


def check_targets(run: Run, asked: Iterable[str], rules: Iterable[str]) -> None:
    """Refuse a target that is no name and no file, before Snakemake says that no rule makes it.

    Parameters
    ----------
    asked
        The targets of the command line.
    rules
        The names of the workflow's rules, which are targets too.

    Raises
    ------
    WarplineError
        With the nearest name and all that there are.
    """
    known = [*TARGETS, *run.catalog.papers]
    for target in map(str, asked):
        if "/" in target or "." in target or target in known or target in rules:
            continue
        near = closest_word(target, known)
        hint = f"Did you mean '{near}'? " if near else ""
        raise WarplineError(
            f"There is no target '{target}'.",
            where="the command line",
            do=f"{hint}Targets are {', '.join(known)}, and every file that the workflow makes. "
            "Papers and studies are those that the configuration names (keys 'papers', 'studies').",
        )
