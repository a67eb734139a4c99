"""Which examples make up the batch of a step, where not all of them fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.plan.blocks import block_sizes, block_steps


class Examples(NamedTuple):
    """The examples of a batch.

    Attributes
    ----------
    epoch, block
        Where the batch is taken from.
    members
        Of the whole block, to be in memory together, (m,).
    chosen
        Of each example the place of its member in `members` and its number, (B, 2).
    """

    epoch: int
    block: int
    members: np.ndarray
    chosen: np.ndarray


class BlockSampler:
    """Examples of members, which are cases or synthetic pairs, in an order of their own each epoch.

    An epoch takes all members in random order, a block of `in_memory` at a time, and mixes the
    examples of each block. All of it follows from seed and step.

    Parameters
    ----------
    members, examples
        How many there are, and how many examples each gives in an epoch.
    in_memory
        Members in a block; the last one of an epoch has what is left.
    purposes
        What the random numbers of an epoch's order and of a block's mixture are drawn with beside
        the seed; no other generator of the objective may have them.
    whole
        Whether every batch is full: what is left at the end of a block is then not used.

    Raises
    ------
    WarplineError
        If there are no members, or none of a block's batches is full although all should be.
    """

    def __init__(
        self,
        members: int,
        examples: int,
        *,
        in_memory: int,
        batch_size: int,
        seed: int,
        purposes: tuple[int, int],
        whole: bool = False,
    ):
        if not members:
            raise WarplineError("There is no case to train on.", do="Check the dataset's splits.")
        self.members, self.examples, self.batch_size = members, examples, batch_size
        self.seed, self.purposes = seed, purposes
        self.block_sizes = block_sizes(members, in_memory)
        self.block_steps = block_steps(self.block_sizes, examples, batch_size, whole)
        if min(self.block_steps) == 0:
            raise WarplineError(
                f"A batch of {batch_size} needs more patches than {min(self.block_sizes)} "
                "synthetic pairs give.",
                where="training.batch_size, training.sampling of the recipe",
                do="Raise 'patches', or lower the batch size.",
            )
        self._mixed: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """One epoch uses every example once."""
        return sum(self.block_steps)

    def batch(self, step: int) -> Examples:
        """The examples of a step, a function of the seed and the step alone."""
        epoch, block, within = self._place(step)
        if self._mixed is None or self._mixed[0] != (epoch, block):
            self._mixed = (epoch, block), *self._mix(epoch, block)
        members, mixed = self._mixed[1:]
        chosen = mixed[within * self.batch_size : (within + 1) * self.batch_size]
        return Examples(epoch, block, members, np.stack(np.divmod(chosen, self.examples), axis=1))

    def _place(self, step: int) -> tuple[int, int, int]:
        """Epoch, block and step within the block."""
        epoch, within = divmod(step, self.steps_per_epoch)
        block = 0
        while within >= self.block_steps[block]:
            within -= self.block_steps[block]
            block += 1
        return epoch, block, within

    def following(self, epoch: int, block: int) -> tuple[int, np.ndarray]:
        """Epoch and members of the block that comes after one."""
        block += 1
        if block == len(self.block_sizes):
            epoch, block = epoch + 1, 0
        return epoch, self._members_of(epoch, block)

    def _mix(self, epoch: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Members of a block, and the order of its examples."""
        members = self._members_of(epoch, block)
        examples = np.random.default_rng((self.seed, self.purposes[1], epoch, block))
        return members, examples.permutation(len(members) * self.examples)

    def _members_of(self, epoch: int, block: int) -> np.ndarray:
        order, _ = self.purposes
        members = np.random.default_rng((self.seed, order, epoch)).permutation(self.members)
        start = sum(self.block_sizes[:block])
        return members[start : start + self.block_sizes[block]]


class HeldCases:
    """The cases of a block, each read once for as long as it is needed.

    Parameters
    ----------
    cases
        All there are; one is read whenever it is asked for.
    """

    def __init__(self, cases: Sequence[Case]):
        self.cases = cases
        self._held: dict[int, Case] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, members: Sequence[int]) -> list[Case]:
        """The cases of these numbers; of the others none is kept."""
        self._held = {
            int(i): self._held[int(i)] if int(i) in self._held else self.cases[int(i)]
            for i in members
        }
        return [self._held[int(i)] for i in members]


def crop(middle: Sequence[int], size: int, shape: Sequence[int]) -> tuple[np.ndarray, ...]:
    """What cuts a cube about a voxel out of an array (z, y, x).

    At the array's faces the cube is moved inside; where the array is smaller, the cube goes on with
    the values at its ends.

    Parameters
    ----------
    middle
        Index (z, y, x).
    size
        Side of the cube, voxels.
    """
    index = []
    for m, n in zip(middle, shape, strict=True):
        first = min(max(m - size // 2, 0), max(n - size, 0))
        index.append(np.minimum(np.arange(first, first + size), n - 1))
    return np.ix_(*index)
