"""Comparing features at keypoints with those at all displacements, and reading the answer.

Hansen & Heinrich 2020, section 2: the displacement map of a keypoint holds, for each displacement,
how much the patches of features differ.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from warpline.devices.abreast import abreast
from warpline.errors import WarplineError

MAPS = 64  # at a time through what a cache holds


def displacements(
    radius: int = 10, step: float = 1.0, device: torch.device | str | None = None
) -> torch.Tensor:
    """The displacements of a map, ((2·radius + 1)³, 3), components (z, y, x), feature voxels.

    In the order of a map's entries: x runs fastest.
    """
    line = torch.arange(-radius, radius + 1, dtype=torch.float32, device=device) * step
    return torch.cartesian_prod(line, line, line)


def displacement_maps(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    points: torch.Tensor,
    *,
    centres: torch.Tensor | None = None,
    radius: int = 10,
    step: float = 1.0,
    patch: int = 3,
    memory_mb: float = 8,
) -> torch.Tensor:
    """Sum of squared differences of feature patches at each keypoint for each displacement.

    Parameters
    ----------
    fixed, moving
        Features (1, C, z, y, x) of both images, on grids of one shape; beyond their faces they go
        on with the values there.
    points
        Keypoints (n, 3), indices (z, y, x) of feature voxels, int64.
    centres
        (n, 3), where in the moving features the searches have their middles; the keypoints' own
        places if not given.
    radius, step
        (2·radius + 1)³ displacements, `step` feature voxels apart along each axis: a whole number,
        or one over a whole number; between voxels the moving features are interpolated linearly.
    patch
        Width of the patches in feature voxels, odd.
    memory_mb
        What the keypoints worked on at a time may take, MiB, beside the answer. The answer does not
        depend on it.

    Returns
    -------
    torch.Tensor
        (n, (2·radius + 1)³), in the order of `displacements`.

    Raises
    ------
    WarplineError
        If `patch` or `step` is none of these.
    """
    finer, stride = _lattice(step)
    if patch < 1 or patch % 2 == 0:
        raise WarplineError(
            f"A patch {patch} voxels wide has no middle voxel.", where="patch", do="Give 1, 3, 5 …"
        )
    half, count = patch // 2, 2 * radius + 1
    moving = _refined(moving[0], finer)
    # |f − m|² = |f|² − 2 f·m + |m|²: with |m|² as one more channel all of it is one product.
    moving = torch.cat([moving, (moving**2).sum(dim=0, keepdim=True)])
    reach = stride * radius + finer * half
    side = 2 * reach + 1
    padded = F.pad(moving[None], [reach] * 6, mode="replicate")[0]
    patches = F.pad(fixed, [half] * 6, mode="replicate")[0]
    patches = patches.unfold(1, patch, 1).unfold(2, patch, 1).unfold(3, patch, 1)

    offsets = [(z, y, x) for z in range(patch) for y in range(patch) for x in range(patch)]
    # All at once: they are small, and a sum's rounding may depend on how many are taken.
    f = patches[:, *points.unbind(1)].flatten(2).permute(1, 2, 0)  # (n, patch³, C)
    weights = torch.cat([-2 * f, torch.ones_like(f[..., :1])], dim=2)
    squares = (f**2).sum(dim=(1, 2))
    # At displacement d the voxel `offset` of the patch meets its voxel d + offset: in a window as
    # one row, so much further on.
    shifts = [finer * ((z * side + y) * side + x) for z, y, x in offsets]
    length = side**3 - shifts[-1]
    each = 4 * ((len(padded) + len(offsets) + 1) * side**3)
    chunk = max(1, int(memory_mb * 2**20 / each))
    maps = fixed.new_empty(len(points), count**3)
    centres = points if centres is None else centres

    def fill(start: int) -> None:
        part = centres[start : start + chunk]
        m = _windows(padded, part * finer, side)
        products = _products(weights[start : start + chunk], m)
        total = squares[start : start + chunk, None].repeat(1, side**3)
        for k, shift in enumerate(shifts):
            total[:, :length] += products[:, k, shift : shift + length]
        lattice = total.unflatten(1, (side, side, side))
        taken = slice(0, stride * (count - 1) + 1, stride)
        found = maps[start : start + chunk].unflatten(1, (count, count, count))
        found.copy_(lattice[:, taken, taken, taken])

    abreast(fill, range(0, len(points), chunk), maps.device)
    # Rounding may leave equal patches a little below 0.
    return maps.clamp_min_(0)


def equalise(maps: torch.Tensor, share: float) -> torch.Tensor:
    """Maps of one scale: ``−exp(−(d − d_min) / (d_share − d_min))`` of each map's entries d.

    A map's scale is that of its patch's texture and says nothing of where the map is least; nor
    does how high it is far from there. Without both, few principal components tell more.

    Parameters
    ----------
    maps
        (n, D).
    share
        Of a map's entries that are at most ``d_share``.

    Returns
    -------
    torch.Tensor
        (n, D), from −1 at the least entry, over −1/e at ``d_share``, towards 0; −1 everywhere of a
        map that does not vary.
    """
    place = max(2, round(share * maps.shape[1]))

    def of_one_scale(maps: torch.Tensor) -> torch.Tensor:
        least = maps.amin(dim=1, keepdim=True)
        unit = _smallest(maps, place) - least
        # Of a map that has its least value so often, anything above that is far.
        unit = unit.clamp_min(torch.finfo(maps.dtype).tiny)
        return maps.sub(least).div_(unit).neg_().exp_().neg_()

    return torch.cat(abreast(of_one_scale, maps.split(MAPS), maps.device))


def _smallest(maps: torch.Tensor, place: int) -> torch.Tensor:
    """The `place`-th smallest entry of each map (n, D), counted from one, (n, 1)."""
    if maps.device.type != "cpu":
        return maps.kthvalue(place, dim=1, keepdim=True).values
    # By NumPy: in a tenth of the time.
    found = np.partition(maps.numpy(), place - 1, axis=1)[:, place - 1]
    return torch.from_numpy(found)[:, None]


def to_one_depth(maps: torch.Tensor) -> torch.Tensor:
    """Each map (n, D) divided by how far its least entry lies below its mean.

    A reconstruction from few dimensions is the shallower the worse they fit the map, but its least
    entry stays in place: a temperature fit for all is one in units of the depth. A map that does
    not vary becomes 0 nearly everywhere.
    """
    mean = maps.mean(dim=1, keepdim=True)
    depth = mean - maps.amin(dim=1, keepdim=True)
    return (maps - mean).div_(depth.clamp_min(torch.finfo(maps.dtype).tiny ** 0.5))


def soft_argmin(
    maps: torch.Tensor, displacements: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Mean displacement (n, 3) with the weights ``softmax(−map / temperature)``.

    Parameters
    ----------
    maps
        (n, D).
    displacements
        (D, 3), in any unit: the answer is in the same.
    temperature
        In units of the map; towards 0 the answer is the displacement of the least entry.
    """
    return torch.softmax(maps.div(-temperature), dim=1) @ displacements


def clipped(maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Whether the least entry of each map lies on the border of the search range, (n,) bool.

    The keypoint's displacement may then be beyond the range.
    """
    count = 2 * radius + 1
    least = maps.argmin(dim=1)
    index = torch.stack([least // count**2, least // count % count, least % count])
    return ((index == 0) | (index == count - 1)).any(dim=0)


def _windows(padded: torch.Tensor, corners: torch.Tensor, side: int) -> torch.Tensor:
    """Windows (n, C, side³) of a volume (C, z, y, x) that begin at `corners` (n, 3)."""
    if padded.device.type != "cpu":
        windows = padded.unfold(1, side, 1).unfold(2, side, 1).unfold(3, side, 1)
        return windows[:, *corners.unbind(1)].flatten(2).transpose(0, 1)
    out = padded.new_empty(len(corners), len(padded), side, side, side)
    for corner, window in zip(corners.tolist(), out, strict=True):
        window.copy_(padded[:, *(slice(a, a + side) for a in corner)])
    return out.flatten(2)


def _products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Batched matrix product; on a CPU one by one, so that it does not depend on the batch."""
    if a.device.type != "cpu":
        return torch.bmm(a, b)
    out = a.new_empty(len(a), a.shape[1], b.shape[2])
    for one, other, product in zip(a, b, out, strict=True):
        torch.mm(one, other, out=product)
    return out


def _lattice(step: float) -> tuple[int, int]:
    """How much finer than the features the moving ones are to be, and the step on that lattice."""
    if step >= 1 and step == round(step):
        return 1, int(step)
    if 0 < step < 1 and abs(1 / step - round(1 / step)) < 1e-6:
        return round(1 / step), 1
    raise WarplineError(
        f"The search cannot take steps of {step} feature voxels.",
        where="step",
        do="Give a whole number, or one over a whole number such as 0.5.",
    )


def _refined(volume: torch.Tensor, factor: int) -> torch.Tensor:
    """(C, z, y, x) on a lattice `factor` times as fine: voxel i becomes voxel factor · i."""
    if factor == 1:
        return volume
    size = [factor * (n - 1) + 1 for n in volume.shape[1:]]
    return F.interpolate(volume[None], size=size, mode="trilinear", align_corners=True)[0]
