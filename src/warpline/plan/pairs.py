"""Pairs of cases and their names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

Pair = tuple[str, str]


# Between a dataset and one of its cases, in the id of that case in a dataset made of others.
MEMBER = "."


# Id of the case that stands for the dataset's atlas: a copy of one of its cases.
ATLAS = "atlas"


def pair_name(pair: Pair) -> str:
    """Name of a pair in files: ``<fixed>__<moving>``."""
    return f"{pair[0]}__{pair[1]}"


def pair_batches(pairs: list[Pair], size: int | None) -> dict[str, list[Pair]]:
    """Pairs by the job that registers them: ``all``, the pair's name, or ``p000`` … for several."""
    if size is None:
        return {"all": pairs}
    if size == 1:
        return {pair_name(pair): [pair] for pair in pairs}
    chunks = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    return {f"p{number:03d}": chunk for number, chunk in enumerate(chunks)}


def balanced_pairs(cases: Sequence[str], count: int, seed: int = 0) -> list[Pair]:
    """A random sample of all pairs of cases, in which each is fixed and moves about equally often.

    Of rings through all cases, each with another step: a whole ring has every case once as fixed
    and once as moving. No two cases are paired twice, in whatever direction; how often a case is
    fixed, and how often it moves, differs by at most one between cases while there are rings of
    all cases left.

    Parameters
    ----------
    count
        At most as many as there are pairs, n (n − 1) / 2.
    seed
        The same sample for the same seed and cases, whatever the machine or the Python.

    Returns
    -------
    list of (fixed, moving)
        In the order of `cases`.
    """
    number = len(cases)
    order = _shuffled(range(number), f"{seed}/cases")
    steps = _shuffled(range(1, (number + 1) // 2), f"{seed}/steps")
    pairs: list[tuple[int, int]] = []
    # With an even number of cases those opposite each other come last: half a ring.
    for step in [*steps, *([number // 2] if number % 2 == 0 else [])]:
        if len(pairs) >= count:
            break
        starts = range(number // 2 if 2 * step == number else number)
        for start in _shuffled(starts, f"{seed}/ring {step}"):
            pairs.append((order[(start + step) % number], order[start]))
    return [(cases[fixed], cases[moving]) for fixed, moving in sorted(pairs[:count])]


def balanced_sample(pairs: Sequence[Pair], count: int, seed: int = 0) -> list[Pair]:
    """A random sample of given pairs; no case comes again while others have not come as often.

    In rounds: in the n-th a pair is taken if its fixed case has been fixed fewer than n times and
    its moving case has moved fewer than n times. The atlas may be fixed in all. In the order of
    `pairs`; the same for the same seed and pairs.
    """
    left = _shuffled(range(len(pairs)), f"{seed}/pairs")
    fixed, moving = Counter[str](), Counter[str]()
    taken: list[int] = []
    most = 0
    while left and len(taken) < count:
        most += 1
        later = []
        for place in left:
            a, b = pairs[place]
            if len(taken) < count and fixed[a] < most and moving[b] < most:
                taken.append(place)
                fixed[a] += a != ATLAS
                moving[b] += 1
            else:
                later.append(place)
        left = later
    return [pairs[place] for place in sorted(taken)]


def _shuffled(numbers: Sequence[int], key: str) -> list[int]:
    """Numbers in the order of their digests: a random one that no library decides."""
    return sorted(numbers, key=lambda n: hashlib.sha256(f"{key}/{n}".encode()).digest())
