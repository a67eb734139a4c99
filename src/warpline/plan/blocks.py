"""Blocks of members that a training has in memory together, and the steps that they make."""

from __future__ import annotations

from collections.abc import Sequence


def block_sizes(members: int, in_memory: int) -> list[int]:
    """How many members each block of an epoch has; the last one has what is left."""
    return [min(in_memory, members - first) for first in range(0, members, in_memory)]


def block_steps(sizes: Sequence[int], examples: int, batch_size: int, whole: bool) -> list[int]:
    """Steps of each block, of so many examples a member.

    Parameters
    ----------
    whole
        Whether every batch is full: what is left at the end of a block is then not used.
    """
    counts = [size * examples for size in sizes]
    return [n // batch_size if whole else -(-n // batch_size) for n in counts]
