"""Text as LaTeX sets it."""

from __future__ import annotations

from typing import Any

SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "“": "``",
    "”": "''",
    "±": r"$\pm$",
    "′": r"$'$",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "λ": r"$\lambda$",
    "≤": r"$\leq$",
    "²": r"$^2$",
    "³": r"$^3$",
}


def escape(text: Any) -> str:
    """Text whose every character stands for itself in LaTeX."""
    return "".join(SIGNS.get(character, character) for character in str(text))
