"""The one error that a user is meant to read."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def plain(text: str, kept: str = "") -> str:
    """Text that a terminal only shows: names in archives and answers of servers may command it.

    Parameters
    ----------
    kept
        Control characters that stay; others, and what turns the direction of writing, become ``?``.
    """

    def stays(c: str) -> bool:
        return c.isprintable() or c in kept or unicodedata.category(c) == "Zs"

    return text if text.isprintable() else "".join(c if stays(c) else "?" for c in text)


class WarplineError(Exception):
    """What was wrong, where, and what to do about it.

    Parameters
    ----------
    what
        One sentence: what was wrong.
    where
        The file, configuration key, case or pair concerned.
    do
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, do: str | None = None):
        self.what, self.where, self.do = plain(what, "\n\t"), where, do and plain(do, "\n\t")
        lines = [self.what]
        if where is not None:
            lines.append(f"  where: {plain(str(where))}")
        if self.do is not None:
            lines.append(f"  to do: {self.do}")
        super().__init__("\n".join(lines))

    def __reduce__(self):
        return _rebuild, (self.what, self.where, self.do)


def _rebuild(what: str, where: object, do: str | None) -> WarplineError:
    return WarplineError(what, where=where, do=do)


def combine(problems: Sequence[WarplineError], what: str) -> WarplineError:
    """One error that tells of all problems; a single problem is that error itself.

    Parameters
    ----------
    what
        What they have in common, without its full stop.
    """
    if len(problems) == 1:
        return problems[0]
    places = {str(problem.where) for problem in problems}
    lines = [
        problem.what + (f" ({problem.where})" if problem.where and len(places) > 1 else "")
        for problem in problems
    ]
    remedies = dict.fromkeys(problem.do for problem in problems if problem.do)
    return WarplineError(
        f"{what}:\n    " + "\n    ".join(dict.fromkeys(lines)),
        where=problems[0].where if len(places) == 1 else None,
        do="\n         ".join(remedies) or None,
    )
