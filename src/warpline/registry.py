"""Things that are chosen by a name in the configuration, imported only when chosen.

Also used while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from warpline.errors import WarplineError

# The folders of one's own whose Python files are networks; jobs inherit it.
NETWORKS = "WARPLINE_NETWORKS"


def network_folders() -> list[str]:
    """The folders of one's own that hold networks."""
    return [folder for folder in os.environ.get(NETWORKS, "").split(os.pathsep) if folder]


def lookup(name: str, known: Mapping[str, str], what: str, where: object = None) -> Any:
    """Import what `name` stands for.

    Parameters
    ----------
    known
        Name to ``package.module`` or ``package.module:attribute``.
    what
        What the names are names of, for the error.

    Raises
    ------
    WarplineError
        If the name is unknown; names the nearest known one and all others.
    """
    if name not in known:
        raise WarplineError(
            f"There is no {what} '{name}'.", where=where, do=suggestion(name, known)
        )
    module, _, attribute = known[name].partition(":")
    value = importlib.import_module(module)
    return getattr(value, attribute) if attribute else value


def closest_word(word: object, known: Iterable[object]) -> str | None:
    """The known word that is most like `word`, if any is like it."""
    near = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.5)
    return near[0] if near else None


def suggestion(word: object, known: Iterable[object]) -> str:
    """A sentence that names the known words, the nearest one first if any is near."""
    known = sorted(str(k) for k in known)
    near = closest_word(word, known)
    listed = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
    return (f"Did you mean '{near}'? " if near else "") + f"Known: {listed or 'none'}."
