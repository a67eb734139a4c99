"""Successive halving: many settings on little, the better of them on more.

Jamieson and Talwalkar, AISTATS 2016; here the settings that a method's file has stay to the end, so
that nothing is taken for better without having been compared with them on all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measure = Callable[[int, int, bool], tuple[float, float]]
OWN = 0  # the candidate that changes nothing
KEPT = 1 / 3  # of the candidates, from one round to the next


@dataclass(frozen=True)
class Round:
    """What a candidate is tried on: the first `pairs`, at `half` the resolution or at all of it."""

    pairs: int
    half: bool


@dataclass(frozen=True)
class Standing:
    """What a round said: each candidate's mean over the pairs that all of them registered."""

    round: Round
    pairs: int
    values: dict[int, float]


@dataclass(frozen=True)
class Found:
    """The best candidate, how it came to that, the seconds, and whether they were enough."""

    best: int
    standings: list[Standing]
    seconds: float
    finished: bool


def rounds_of(candidates: int, pairs: int, half: bool) -> list[Round]:
    """A quarter, half, all of the pairs; few candidates begin later.

    Parameters
    ----------
    half
        Whether the rounds before the last are at half the resolution.
    """
    parts = (4, 2, 1)[max(0, 3 - max(1, math.ceil(math.log(max(candidates, 2), 3)))) :]
    return [Round(math.ceil(pairs / part), half and part > 1) for part in parts]


def halve(
    candidates: int, rounds: Sequence[Round], measure: Measure, seconds: float, *, higher: bool
) -> Found:
    """The best of some candidates, of which the first is what there was before.

    Parameters
    ----------
    measure
        Called with a candidate, a pair's number and whether at half the resolution: the value, and
        the seconds that it took.
    seconds
        In all, an equal share a round; what is then begun is not counted: a row of pairs that not
        all candidates have registered says nothing. The first pair of a round always counts, but
        for candidates of the first round that the time has left out.
    higher
        Whether more is better.
    """
    sign, spent, finished = (1.0 if higher else -1.0), 0.0, True
    alive, standings = list(range(candidates)), []
    for number, each in enumerate(rounds):
        until = seconds * (number + 1) / len(rounds)
        rows: list[dict[int, float]] = []
        for pair in range(each.pairs):
            row: dict[int, float] = {}
            for candidate in alive:
                may_stop = bool(rows) or (number == 0 and bool(row))
                if may_stop and spent >= until:
                    break
                row[candidate], took = measure(candidate, pair, each.half)
                spent += took
            if len(row) < len(alive):
                finished = False
                if rows:
                    break
                alive = list(row)
            rows.append(row)
        means = {c: sum(row[c] for row in rows) / len(rows) for c in alive}
        standings.append(Standing(each, len(rows), means))
        order = sorted(alive, key=lambda c: (-sign * means[c], c))
        alive = sorted({OWN, *order[: math.ceil(len(alive) * KEPT)]})
    return Found(order[0], standings, spent, finished)
