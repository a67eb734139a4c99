"""Patches of synthetic pairs, in training and for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.networks.sokooti2017 import Patches, block_offsets
from warpline.registration.synthetic import on_device
from warpline.registration.synthetic.on_device import PairOnDevice
from warpline.registration.synthetic.pairs import synthetic_pair

# What the random generators are for; each gets the seed, its purpose and its place.
FIELD, DRAW, ORDER, SHUFFLE, NOISE, VALIDATION = range(6)

MakePair = Callable[..., PairOnDevice]


@dataclass(frozen=True)
class Sampling:
    """How examples are drawn; the keys of ``training.sampling`` in a recipe.

    Attributes
    ----------
    fields
        Synthetic fields of an image in an epoch.
    fresh
        False: they are the same in every epoch, as in the paper. True: every epoch has its own, so
        that no patch's displacement can be learned by heart.
    patches
        Patches of a synthetic pair, drawn anew in every epoch.
    validation_patches
        Patches of a validation image's synthetic pair; always the same, kept in memory.
    frequencies
        Of the fields, taken in turn. When all have had their turn the moving image itself is
        deformed first, then it is not, and so on: six fields of three frequencies are three of the
        image as it is and three of deformed versions of it.
    classes
        Limits in mm of the largest component of u along x, y, z, which is what the amplitude of a
        field bounds. Between 0 and the first limit, and between each and the next, lies the same
        number of patches; beyond the last lies none.
    flips
        Every patch comes four times an epoch: as it is and flipped along x, y and z.
    noise
        Standard deviation of the Gaussian noise on both images' patches, in units of the images.
    in_memory
        Synthetic pairs in memory at a time, among which a batch is mixed.
    block
        1: a patch has the one centre that was drawn, as in the paper. A larger, odd number: in
        training it has block³ centres two voxels apart around that one, for a small part of the
        work that as many patches take. Those outside the lungs or beyond the classes do not count.
    """

    fields: int
    fresh: bool
    patches: int
    validation_patches: int
    frequencies: Sequence[str]
    classes: Sequence[float]
    flips: bool
    noise: float
    in_memory: int
    block: int

    @property
    def versions(self) -> int:
        """How often a patch comes in an epoch."""
        return 4 if self.flips else 1


@dataclass
class Drawn:
    """A synthetic pair's images and the patches drawn from it; the field itself is not kept.

    `moving`, `fixed`: (z, y, x) float32; `middles` (n, 3), indices (z, y, x); of each one's b³
    centres the `displacements` (n, b³, 3), components (z, y, x), voxels, and whether each `counts`
    (n, b³); `matrix` (3, 3) from displacements to mm, (x, y, z).
    """

    moving: torch.Tensor
    fixed: torch.Tensor
    middles: torch.Tensor
    displacements: torch.Tensor
    counts: torch.Tensor
    matrix: torch.Tensor


@dataclass
class Batch:
    """Patches; of their N centres the displacements (N, 3) in voxels, (N, 3, 3) from those to mm,
    and (N,) which of them count."""

    patches: Patches
    displacements: torch.Tensor
    matrices: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def joined(cls, parts: Sequence[Batch]) -> Batch:
        """All patches of several batches."""
        patches = Patches(
            *(
                torch.cat([getattr(part.patches, name) for part in parts])
                for name in ("moving", "fixed", "moving_low", "fixed_low")
            )
        )
        return cls(
            patches,
            torch.cat([part.displacements for part in parts]),
            torch.cat([part.matrices for part in parts]),
            torch.cat([part.counts for part in parts]),
        )


def held_out_batches(
    cases: Sequence[Case],
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    device: torch.device | str = "cpu",
    make_pair: MakePair | None = None,
) -> Iterator[tuple[int, int, Batch]]:
    """Patches of every field of every case, without noise of their own; the same for a seed.

    Validation looks at them after every epoch, and evaluation at those of other cases.

    Yields
    ------
    tuple
        The case's number, the field's, and at most `batch_size` patches.

    Raises
    ------
    WarplineError
        If a case has no lung mask.
    """
    count = sampling.validation_patches
    sampling = replace(sampling, block=1)
    for image, case in enumerate(cases):
        check_lungs(case)
        for field in range(sampling.fields):
            drawn = draw_patches(
                case,
                field,
                count,
                sampling,
                field_seed=(seed, VALIDATION, FIELD, image, field),
                draw_seed=(seed, VALIDATION, DRAW, image, field),
                device=device,
                make_pair=make_pair,
            )
            for start in range(0, count, batch_size):
                patch = np.arange(start, min(start + batch_size, count))
                yield image, field, cut_patches(drawn, patch, np.zeros_like(patch))


def axis_errors(found: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Absolute errors (B, 3) along x, y, z in mm of displacements (B, 3), voxels, (z, y, x)."""
    difference = (found.float() - batch.displacements)[:, :, None]
    return (batch.matrices @ difference)[:, :, 0].abs()


def draw_patches(
    case: Case,
    field: int,
    count: int,
    sampling: Sampling,
    *,
    field_seed: tuple[int, ...],
    draw_seed: tuple[int, ...],
    device: torch.device | str = "cpu",
    make_pair: MakePair | None = None,
) -> Drawn:
    """A case's synthetic pair number `field`, and `count` patches drawn from its lungs.

    `make_pair`: another than `made_pair`.
    """
    turn, frequency = divmod(field, len(sampling.frequencies))
    pair = (make_pair or made_pair)(
        case.image,
        case.mask,
        frequency=sampling.frequencies[frequency],
        seed=field_seed,
        deform_moving=turn % 2 == 1,
        device=torch.device(device),
    )
    matrix = torch.from_numpy(_to_mm(case.grid)).float().to(device)
    rng = np.random.default_rng(draw_seed)
    mask = pair.mask
    if mask is None or not mask.any():  # or lungs of a few voxels that were deformed away
        mask = torch.from_numpy(case.mask.array != 0).to(device)
    index = draw_balanced(pair.displacement, mask, matrix, sampling.classes, count, rng)
    middles = torch.stack(torch.unravel_index(index, case.grid.shape), dim=1)
    centres = middles[:, None] + block_offsets(sampling.block).to(device)
    last = torch.tensor(case.grid.shape, device=device) - 1
    inside = ((centres >= 0) & (centres <= last)).all(dim=-1)
    z, y, x = centres.clamp(min=torch.zeros_like(last), max=last).unbind(-1)
    displacements = pair.displacement[:, z, y, x].movedim(0, -1).contiguous()
    largest = (displacements @ matrix.T).abs().amax(dim=-1)
    within = class_of(largest, sampling.classes) < len(sampling.classes)
    counts = inside & mask[z, y, x] & within
    # The one that was drawn always does, also where no voxel lies within the classes.
    counts[:, counts.shape[1] // 2] = True
    return Drawn(pair.moving, pair.fixed, middles, displacements, counts, matrix)


def made_pair(image: Image, mask: Image | None, *, device: torch.device, **how) -> PairOnDevice:
    """A synthetic pair: on a GPU made there; on the CPU by its own way, which needs no more memory
    than the volumes."""
    if device.type != "cpu":
        return on_device.synthetic_pair(image, mask, device=device, **how)
    made = synthetic_pair(image, mask, threads=torch.get_num_threads(), **how)
    return PairOnDevice.of(made, device)


def draw_balanced(
    displacement: torch.Tensor,
    mask: torch.Tensor,
    matrix: torch.Tensor,
    classes: Sequence[float],
    count: int,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Draw voxels within a mask, the same number from each class of u's largest component.

    Parameters
    ----------
    displacement
        (3, z, y, x), voxels, components (z, y, x).
    mask
        (z, y, x); drawn where it is not 0.
    matrix
        3×3, from voxel steps (z, y, x) to mm (x, y, z).
    classes
        Upper limits in mm, rising; the first class begins at 0.
    count
        The number of voxels; where a class is empty, the others share its part, and where all are
        (a small volume that moves as a whole), any voxel will do. A class with too few voxels gives
        them several times.

    Returns
    -------
    torch.Tensor
        (count,) flat indices.
    """
    inside = mask.flatten().nonzero()[:, 0]
    u = displacement.flatten(1)[:, inside]
    kind = class_of((matrix @ u).abs().amax(dim=0), classes)
    members = [inside[kind == k] for k in range(len(classes))]
    members = [voxels for voxels in members if len(voxels)]
    members = members or [inside]
    shares = np.full(len(members), count // len(members))
    # What is left over goes to the classes at random: always to the first would favour it.
    shares[rng.permutation(len(members))[: count % len(members)]] += 1
    parts = []
    for voxels, share in zip(members, shares, strict=True):
        chosen = rng.choice(len(voxels), share, replace=share > len(voxels))
        parts.append(voxels[torch.from_numpy(chosen).to(voxels.device)])
    return torch.cat(parts)


def class_of(largest: torch.Tensor, classes: Sequence[float]) -> torch.Tensor:
    """Class of each largest component, mm; as many as there are classes where it lies beyond.

    The last class has its limit, up to rounding: that is how far a field of its amplitude goes.
    """
    limits = torch.tensor(classes[:-1], dtype=largest.dtype, device=largest.device)
    kind = torch.bucketize(largest, limits, right=True)
    kind[largest > classes[-1] * (1 + 1e-5)] = len(classes)
    return kind


def cut_patches(drawn: Drawn, patch: np.ndarray, version: np.ndarray) -> Batch:
    """Patches of one pair; version 0 as it is, 1, 2, 3 flipped along z, y, x."""
    index = torch.from_numpy(patch).to(drawn.middles.device)
    block = round(drawn.counts.shape[1] ** (1 / 3))
    patches = Patches.cut(drawn.moving, drawn.fixed, drawn.middles[index], block)
    displacements = drawn.displacements[index].unflatten(1, (block, block, block))
    counts = drawn.counts[index].unflatten(1, (block, block, block))
    for axis in range(3):
        rows = torch.from_numpy(np.flatnonzero(version == axis + 1)).to(index.device)
        if len(rows):
            patches = patches.map(
                lambda part, rows=rows, axis=axis: part.index_copy(
                    0, rows, part[rows].flip(2 + axis)
                )
            )
            displacements[rows] = displacements[rows].flip(1 + axis)
            displacements[rows, ..., axis] *= -1
            counts[rows] = counts[rows].flip(1 + axis)
    matrices = drawn.matrix.expand(counts.numel(), 3, 3)
    return Batch(patches, displacements.reshape(-1, 3), matrices, counts.flatten())


def _to_mm(grid: Grid) -> np.ndarray:
    """3×3 from (z, y, x) voxel steps to (x, y, z) mm."""
    return grid.matrix[:, ::-1].copy()


def check_lungs(case: Case) -> None:
    """Refuse a case that has no lungs to draw patches from.

    Raises
    ------
    WarplineError
        If it has no mask, or an empty one.
    """
    mask: Image | None = case.mask
    if mask is None or not mask.array.any():
        state = "has no lung mask" if mask is None else "has a lung mask without any voxel"
        raise WarplineError(
            f"The case {state}; synthetic training draws its patches from the lungs.",
            where=f"case {case.id}",
            do="Give the dataset lung masks, or add a step that segments them to its 'prepare'.",
        )
