"""Pairs of cases and their names."""

from __future__ import annotations

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
