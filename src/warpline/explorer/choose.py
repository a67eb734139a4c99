"""Which pairs the explorer keeps images of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from warpline.errors import WarplineError
from warpline.plan.pairs import Pair

# The first of these that a pair was measured by, and whether more of it is better.
SCORES = {"tre": False, "dice": True, "cc_squared": True, "mse": False}


def read_rule(rule: str) -> list[tuple[str, int]]:
    """``worst 3, median, best`` as kinds and numbers: ``[(worst, 3), (median, 1), (best, 1)]``.

    Raises
    ------
    WarplineError
        If a part is none of ``worst``, ``best`` (with a number or without), ``median`` and ``all``.
    """
    found = []
    for part in rule.split(","):
        kind, _, number = part.strip().partition(" ")
        if kind not in ("worst", "best", "median", "all") or (number and not number.isdigit()):
            raise WarplineError(
                f"'{part.strip()}' names no pairs.",
                where="key 'explorer.pairs' of the configuration",
                do="Name worst, best (a number may follow), median or all, with commas between.",
            )
        found.append((kind, int(number or 1)))
    return found


def from_worst_to_best(scores: Mapping[Pair, float], higher: bool) -> list[Pair]:
    """Pairs in the order of their score; those without one come last."""

    def place(pair: Pair) -> tuple[bool, float]:
        score = scores[pair]
        missing = math.isnan(score)
        return missing, 0.0 if missing else (score if higher else -score)

    return sorted(scores, key=place)


def choose(order: Sequence[Pair], rule: str) -> dict[Pair, str]:
    """Pairs of an order from worst to best that a rule names, and by what; each stands once."""
    found: dict[Pair, str] = {}
    for kind, number in read_rule(rule):
        chosen = {
            "worst": order[:number],
            "best": order[::-1][:number],
            "median": order[len(order) // 2 :][:1],
            "all": order,
        }[kind]
        for pair in chosen:
            found.setdefault(pair, kind)
    return found


def choose_for_all(orders: Iterable[Sequence[Pair]], rule: str) -> list[Pair]:
    """Every pair that the rule names for any of several methods, in the order of the first."""
    orders = list(orders)
    named = {pair for order in orders for pair in choose(order, rule)}
    return [pair for pair in dict.fromkeys(p for order in orders for p in order) if pair in named]
