"""RegNet: the displacement of a patch's centre voxel, written fully convolutional.

Sokooti et al. 2017, section 2.2.1. The network is defined on patches: 29³ voxels at full resolution
and every second voxel of a cube of 53, so 27³, around the same centre. No layer pads. Where the
paper is silent (widths, the order of pooling and merging) the layers follow its authors' published
practice.

**Dense inference.** Sliding the patch over a volume repeats nearly all of the work. Here a whole
tile goes through at once and every intermediate value is computed once. From the pooling on, and in
all of the low resolution, a patch's samples are two voxels apart: the eight sub-lattices of even
and odd voxels never meet, and each is a plain convolution of its own (shift-and-stitch; on a CPU
faster than dilated kernels over the whole lattice).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import nn

from warpline.devices.abreast import abreast, workers
from warpline.networks import Prediction, RegistrationNetwork, quick
from warpline.networks.lattices import LATTICES, lattices, merge, split

# Voxels of a patch relative to its centre, along each axis.
FULL = range(-14, 15)
LOW = range(-26, 27, 2)
# What a tile needs around it, before and after, along each axis. 2 × 2 × 2 pooling of 19 voxels
# leaves the last out, so the high-resolution side sees one voxel less behind than ahead.
FULL_MARGIN = (14, 13)
LOW_MARGIN = (26, 26)
SHORTER = 10  # voxels that the five layers of the full resolution take off each axis
PLANES = 32  # of the full resolution worked on at a time; even


@dataclass
class Patches:
    """Patches of a pair around common centres.

    `moving`, `fixed`: (B, 1, 29, 29, 29); `moving_low`, `fixed_low`: (B, 1, 27, 27, 27), every
    second voxel. With n³ centres two voxels apart, full sides are longer by 2(n − 1), low ones by
    n − 1.
    """

    moving: torch.Tensor
    fixed: torch.Tensor
    moving_low: torch.Tensor
    fixed_low: torch.Tensor

    def __len__(self) -> int:
        return len(self.moving)

    def map(self, function) -> Patches:
        """The patches with `function` applied to each of the four tensors."""
        return replace(self, **{f.name: function(getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def cut(
        cls, moving: torch.Tensor, fixed: torch.Tensor, centres: torch.Tensor, block: int = 1
    ) -> Patches:
        """Cut patches out of two volumes (z, y, x) around `centres` (B, 3), indices (z, y, x).

        Voxels outside a volume take the value of the nearest border voxel. With `block` > 1 a patch
        is that of block³ centres at `block_offsets`, for which most of the work is done once.
        """
        reach = block - 1
        return cls(
            *(
                _gather(volume, centres, range(side[0] - reach, side[-1] + reach + 1, side.step))[
                    :, None
                ]
                for side in (FULL, LOW)
                for volume in (moving, fixed)
            )
        )


def block_offsets(block: int) -> torch.Tensor:
    """Centres (block³, 3), (z, y, x), of a patch relative to its middle: two voxels apart."""
    steps = torch.arange(1 - block, block, 2)
    return torch.cartesian_prod(steps, steps, steps).reshape(-1, 3)


class Unit(nn.Module):
    """Convolution without padding, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        super().__init__()
        self.convolution = nn.Conv3d(inputs, outputs, kernel)
        # Of the framework that the paper names, Lasagne, with its default.
        self.norm = nn.BatchNorm3d(outputs, eps=1e-4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """In evaluation with channels of zeros at the end, as `quick.convolve` gives and takes."""
        if self.training:
            return F.relu(self.norm(self.convolution(features)))
        return quick.convolve(features, *self.fixed())

    def fixed(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights and biases with the normalisation by fixed statistics in them."""
        norm = self.norm
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight = self.convolution.weight * scale[:, None, None, None, None]
        return weight, (self.convolution.bias - norm.running_mean) * scale + norm.bias


def _units(*channels: int) -> nn.Sequential:
    return nn.Sequential(*(Unit(a, b) for a, b in pairwise(channels)))


class Resolution(nn.Module):
    """One resolution's pipeline: layers on each image alone, then layers on both.

    With early fusion the images are channels of one input from the start.
    """

    def __init__(self, alone: Sequence[int], together: Sequence[int], early: bool):
        super().__init__()
        if early:
            self.alone = nn.ModuleList([_units(2, *(2 * width for width in alone))])
        else:
            self.alone = nn.ModuleList(_units(1, *alone) for _ in range(2))
        self.met = 2 * alone[-1]
        self.together = _units(self.met, *together)
        self.channels = together[-1]
        self.width = quick.filled(self.channels)
        widths = [quick.filled(width) for width in (2 * max(alone), self.met, *together)]
        # Channels alive at once, at worst.
        self.alive = max(2 * widths[1], *(a + b for a, b in pairwise(widths)))

    def forward(self, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
        """Features of both images, five layers or more, each smaller by two voxels."""
        images = [moving, fixed] if len(self.alone) == 2 else [torch.cat([moving, fixed], dim=1)]
        parts = zip(self.alone, images, strict=True)
        width = self.met // len(self.alone)
        # No name for the parts: they are freed before the layers that follow.
        return self.together(torch.cat([layers(image)[:, :width] for layers, image in parts], 1))


class Network(RegistrationNetwork):
    """RegNet in its three designs; displacements in voxels of the grid, meant to be of 1 mm.

    Patches go through `displacements`, which is what is trained. A volume (`predict_directions`,
    `forward`) gets its whole field: at every voxel the answer of the patch around it, voxels
    outside the volume taking the value of the nearest border voxel. So a volume of any size will
    do, also one smaller than the patches. In evaluation the volume is worked off in tiles, on which
    the answer does not depend. In training mode it is one tile, so that batch statistics are those
    of the whole volume.

    Parameters
    ----------
    low_resolution
        Use the second, downsampled patch; False is the paper's design "1Scale".
    fusion
        ``late``: the first layers see each image alone; ``early``: the images are stacked as
        channels. The early layers are then twice as wide, so that all that follows is the same.
    alone
        Channels of the three layers on each image alone.
    together_full, together_low
        Channels of the two and six layers after the images have met, at each resolution.
    joined
        Channels of the four layers after the resolutions have met.
    connected
        Width of the first fully connected layer; the second gives the displacement.
    air, span
        Intensities (HU) go in as ``(image − air) / span``; *code* of the authors.
    memory_mb
        What a tile may take, in MiB, beside the images and the field.
    """

    def __init__(
        self,
        low_resolution: bool = True,
        fusion: str = "late",
        alone: Sequence[int] = (16, 16, 16),
        together_full: Sequence[int] = (25, 30),
        together_low: Sequence[int] = (25, 25, 25, 30, 30, 30),
        joined: Sequence[int] = (60, 70, 75, 150),
        connected: int = 150,
        air: float = -1000.0,
        span: float = 4095.0,
        memory_mb: float = 2048,
    ):
        super().__init__()
        if fusion not in ("late", "early"):
            raise TypeError(f"'fusion' is 'late' or 'early', not '{fusion}'")
        counts = {"alone": 3, "together_full": 2, "together_low": 6, "joined": 4}
        for name, count in counts.items():
            if len(locals()[name]) != count:
                raise TypeError(f"'{name}' needs {count} widths, one for each layer")
        self.full = Resolution(alone, together_full, fusion == "early")
        self.low = Resolution(alone, together_low, fusion == "early") if low_resolution else None
        channels = self.full.channels + (self.low.channels if self.low else 0)
        self.joined = _units(channels, *joined)
        self.connected = Unit(joined[-1], connected, kernel=1)
        self.last = nn.Conv3d(connected, 3, 1)
        self.air, self.span = air, span
        self.memory_mb = memory_mb
        widths = [quick.filled(width) for width in (channels, *joined)]
        self._alive = max(a + b for a, b in pairwise(widths))
        if self._bytes((2, 2, 2)) > memory_mb * 2**20:
            least = self._bytes((2, 2, 2)) / 2**20
            raise TypeError(f"'memory_mb' is below {least:.0f}, the need of the smallest tile")

    def displacements(self, patches: Patches) -> torch.Tensor:
        """Displacements, components (z, y, x), of the patches' centres, in voxels.

        (B, 3); of patches with n³ centres (B n³, 3), patch by patch, in the order of
        `block_offsets`.
        """
        patches = patches.map(self._normalised)
        features = F.max_pool3d(self.full(patches.moving, patches.fixed), 2)
        low = None if self.low is None else (patches.moving_low, patches.fixed_low)
        return self._join(features, low).permute(0, 2, 3, 4, 1).reshape(-1, 3)

    def predict_directions(
        self, moving: torch.Tensor, fixed: torch.Tensor, backward: bool = True
    ) -> tuple[Prediction, Prediction | None]:
        """The dense field of each direction; the pair's order is all that differs."""
        return self._dense(moving, fixed), self._dense(fixed, moving) if backward else None

    def _dense(self, moving: torch.Tensor, fixed: torch.Tensor) -> Prediction:
        shape = tuple(moving.shape[2:])
        tile = tuple(size + size % 2 for size in shape) if self.training else self.tile(shape)
        field = moving.new_empty(len(moving), 3, *shape, dtype=torch.float32)
        for start in product(*(range(0, n, t) for n, t in zip(shape, tile, strict=True))):
            stop = [min(s + t, n) for s, t, n in zip(start, tile, shape, strict=True)]
            place = [slice(a, b) for a, b in zip(start, stop, strict=True)]
            out = self._tile(moving, fixed, start, tile)
            field[:, :, *place] = out[:, :, *(slice(p.stop - p.start) for p in place)]
        return Prediction([field])

    def _tile(
        self, moving: torch.Tensor, fixed: torch.Tensor, start: Sequence[int], tile: Sequence[int]
    ) -> torch.Tensor:
        """Displacements (B, 3, z, y, x) of an even-sized tile; `start` is its first voxel."""

        def around(margin: tuple[int, int]) -> list[torch.Tensor]:
            ranges = [
                range(s - margin[0], s + t + margin[1]) for s, t in zip(start, tile, strict=True)
            ]
            return [self._normalised(_box(image, ranges)) for image in (moving, fixed)]

        features = self._pooled(*around(FULL_MARGIN))
        # Batch statistics must see all lattices together; without them one at a time needs less.
        groups = 1 if self.training else LATTICES
        lows: Iterator = iter([None] * groups)
        if self.low is not None:
            lows = zip(*(split(image).chunk(groups) for image in around(LOW_MARGIN)), strict=True)
        parts = zip(features.chunk(groups), lows, strict=True)
        return merge(torch.cat(abreast(lambda part: self._join(*part), parts, features.device)))

    def _pooled(self, moving: torch.Tensor, fixed: torch.Tensor) -> torch.Tensor:
        """Features of the full resolution, pooled and split, some planes at a time."""
        if self.training:
            return split(F.max_pool3d(self.full(moving, fixed), 2, stride=1))
        batch, _, *shape = moving.shape
        z, y, x = (n - SHORTER - 1 for n in shape)
        whole = moving.new_empty(2, 2, 2, batch, z // 2, y // 2, x // 2, self.full.width)

        def fill(first: int) -> None:
            end = min(first + planes, z)
            seen = slice(first, end + SHORTER + 1)
            features = quick.pool(self.full(moving[:, :, seen], fixed[:, :, seen]))
            whole[:, :, :, :, first // 2 : end // 2] = lattices(features)

        planes = _slab(z, workers(LATTICES, moving.device))
        abreast(fill, range(0, z, planes), moving.device)
        return whole.flatten(0, 3).permute(0, 4, 1, 2, 3)

    def _join(
        self, features: torch.Tensor, low: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        """From the pooled features, and the low-resolution images, on one lattice to the answer."""
        features = features[:, : self.full.channels]
        if low is not None:
            features = torch.cat([features, self.low(*low)[:, : self.low.channels]], dim=1)
        features = self.joined(features)
        if self.training:
            return self.last(self.connected(features))
        return quick.connect(features, self.connected.fixed(), (self.last.weight, self.last.bias))

    def _normalised(self, image: torch.Tensor) -> torch.Tensor:
        return (image - self.air) / self.span

    def tile(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The even-sized tile (z, y, x) in which a volume is worked off within the memory limit.

        Of more threads each has a piece of the tile to itself, so that it must be smaller.
        """
        threads = workers(LATTICES, self.last.weight.device)
        pieces = [1, 1, 1]
        while True:
            tile = tuple(-(-n // k) + -(-n // k) % 2 for n, k in zip(shape, pieces, strict=True))
            if tile == (2, 2, 2) or self._bytes(tile, threads) <= self.memory_mb * 2**20:
                return tile
            longest = max(range(3), key=tile.__getitem__)
            pieces[longest] += 1

    def _bytes(self, tile: Sequence[int], threads: int = 1) -> float:
        """Memory of a tile at its widest stage (measured: benchmarks/regnet_dense.py)."""

        def voxels(margin: int) -> int:
            return math.prod(size + margin for size in tile)

        lost = SHORTER + 1  # and one by pooling
        around, pooled = sum(FULL_MARGIN), sum(FULL_MARGIN) - lost
        slab = (_slab(tile[0] + pooled, threads) + lost) / (tile[0] + around)
        full = (2 + threads * slab * self.full.alive) * voxels(around)
        share = threads / LATTICES
        joined = 2 * 3 * voxels(0) + share * self._alive * voxels(pooled)
        if self.low is not None:
            around = sum(LOW_MARGIN)
            joined += (4 + share * self.low.alive) * voxels(around)
        return 4.0 * (self.full.width * voxels(pooled) + max(full, joined))


def _slab(planes: int, threads: int) -> int:
    """An even number of planes, at most `PLANES`, by which so many threads have equal work."""
    rounds = math.ceil(planes / (PLANES * threads))
    return 2 * math.ceil(planes / (2 * rounds * threads))


def _gather(volume: torch.Tensor, centres: torch.Tensor, offsets: range) -> torch.Tensor:
    """Values (B, n, n, n) of `volume` (z, y, x) at `offsets` from `centres` (B, 3)."""
    steps = torch.tensor(list(offsets), device=volume.device)
    z, y, x = (
        (centres[:, axis, None].to(volume.device) + steps).clamp(0, volume.shape[axis] - 1)
        for axis in range(3)
    )
    return volume[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]


def _box(image: torch.Tensor, ranges: Sequence[range]) -> torch.Tensor:
    """A box of `image` (B, 1, z, y, x) that may reach beyond it; the border's values go on."""
    for axis, wanted in enumerate(ranges, start=2):
        index = torch.tensor(list(wanted), device=image.device)
        image = image.index_select(axis, index.clamp(0, image.shape[axis] - 1))
    return image
