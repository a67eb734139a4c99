"""Phantom chests packed as LUNA16 packs its scans, the same bytes every time.

Scans differ as LUNA16's do: in the size of their voxels, in how much of neck and abdomen they
cover, and in some the axes x and y are stored the other way round.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warpline.errors import WarplineError
from warpline.files import atomic_path
from warpline.images.grid import Grid, Image
from warpline.phantoms.anatomy import chest
from warpline.phantoms.providers.mirror import add_entry, enter_checksum
from warpline.phantoms.providers.request import Phantom

SUBSETS = 10
MASKS = "seg-lungs-LUNA16"
# Values in LUNA16's masks; in LPS the right lung lies at smaller x.
RIGHT, LEFT, TRACHEA = 3, 4, 5
WITH_TRACHEA = 0.5  # share of the masks that have the trachea
SCOUT = 8.0  # mm: voxels of the first, coarse view that says where the lungs are
# Where the scout looks, in the chest's frame: (z, y, x) of its first and last voxel.
SCOUT_FROM, SCOUT_TO = (-330.0, -200.0, -240.0), (230.0, 200.0, 240.0)


@dataclass(frozen=True)
class StoredScan:
    """A scan as it is stored: `image` int16 HU, `mask` uint8 with LUNA16's values, on one grid."""

    image: Image
    mask: Image


def write_luna16(
    phantom: Phantom,
    cases: Sequence[Mapping[str, str]],
    folder: Path,
    make: Callable[..., Any] | None = None,
) -> list[Path]:
    """``subset0.zip`` to ``subset9.zip`` and ``seg-lungs-LUNA16.zip`` with a phantom for each case.

    A case's subset follows from its id; all ten archives are there, empty or not. Their checksums
    are entered in ``SHA256SUMS``.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `stored_scan`.
    make
        What makes a subject; `warpline.phantoms.anatomy.chest.subject` unless given.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    scan_of = phantom.maker(stored_scan)
    ids = sorted(row["case"] for row in cases)
    paths = [folder / f"subset{number}.zip" for number in range(SUBSETS)]
    masks = folder / f"{MASKS}.zip"
    with atomic_path(masks) as temporary, zipfile.ZipFile(temporary, "w") as mask_archive:
        add_entry(mask_archive, f"{MASKS}/")
        for number, path in enumerate(paths):
            with atomic_path(path) as part, zipfile.ZipFile(part, "w") as archive:
                add_entry(archive, f"subset{number}/")
                for case in (case for case in ids if subset_of(case) == number):
                    scan = scan_of(make or chest.subject, phantom.seed_of(case))
                    _add_image(archive, f"subset{number}/{case}", scan.image, compressed=False)
                    _add_image(mask_archive, f"{MASKS}/{case}", scan.mask, compressed=True)
    for path in (*paths, masks):
        enter_checksum(path)
    return [*paths, masks]


def subset_of(case: str) -> int:
    """Number of the archive in which a case's scan lies."""
    return int(hashlib.sha256(case.encode()).hexdigest(), 16) % SUBSETS


def stored_scan(
    make: Callable[..., Any],
    seed: tuple[int, int],
    *,
    size: int = 64,
    spacing_xy: Sequence[float] = (5.2, 6.4),
    spacing_z: Sequence[float] = (2.0, 9.0),
    neck: Sequence[float] = (2.0, 60.0),
    abdomen: Sequence[float] = (2.0, 160.0),
    flipped: float = 0.1,
    variation: float = 1.0,
) -> StoredScan:
    """One subject, scanned and segmented. The lungs are whole in every scan.

    Parameters
    ----------
    make
        Makes a subject on a grid, as `warpline.phantoms.anatomy.chest.subject` does.
    size
        Voxels along x and y.
    spacing_xy, spacing_z
        Smallest and largest spacing in mm. LUNA16 has 0.46 to 0.98 and 0.45 to 2.5, at 512 voxels.
    neck, abdomen
        Least and most that is scanned above and below the lungs, mm.
    flipped
        Share of scans with the direction -1 -1 1.
    variation
        How much the subjects differ, see `make`.

    Raises
    ------
    WarplineError
        If `size` voxels do not reach over the lungs, or a range is none.
    """
    ranges = {
        "spacing_xy": spacing_xy,
        "spacing_z": spacing_z,
        "neck": neck,
        "abdomen": abdomen,
    }
    for name, value in ranges.items():
        _check_range(name, value, positive=name.startswith("spacing"))
    rng = np.random.default_rng((*seed, 16))  # another stream than the anatomy's
    # All drawn before any is used: what one parameter does must not change the others' draws.
    in_plane, along, below, above, turn, tube, *shift = rng.random(8)
    options = {"variation": variation, "outside": "mixed", "couch": "mixed"}
    low, high = _lungs_box(make(seed, grid=_scout_grid(), **options).lungs)
    # Rounded as headers are written; logarithmic, since thick and thin slices are as common.
    pixel = round(_between(spacing_xy, in_plane), 6)
    slices = round(spacing_z[0] * (spacing_z[1] / spacing_z[0]) ** along, 6)
    if pixel * (size - 1) < max(high[:2] - low[:2]):
        raise WarplineError(
            f"{size} voxels of {pixel:g} mm do not reach over lungs of "
            f"{max(high[:2] - low[:2]):.0f} mm.",
            where="key 'phantom.parameters' of the dataset file",
            do="Give more voxels ('size') or larger ones ('spacing_xy').",
        )
    bottom = low[2] - _between(abdomen, below)
    top = high[2] + _between(neck, above)
    extent = pixel * (size - 1)
    free = extent - (high[:2] - low[:2])  # what can be to the sides of the lungs; middle ± a tenth
    origin = low[:2] - free * (0.5 + 0.1 * (2 * np.asarray(shift) - 1))
    grid = Grid(
        shape=(int(np.ceil((top - bottom) / slices)) + 1, size, size),
        spacing=(pixel, pixel, slices),
        origin=tuple(round(float(value), 6) for value in (*origin, bottom)),
    )
    scan = make(seed, grid=grid, **options)
    mask = _mask(scan, trachea=tube < WITH_TRACHEA)
    image, mask = (Image(array, grid) for array in (scan.image.array, mask))
    if turn < flipped:
        image, mask = _flipped(image), _flipped(mask)
    return StoredScan(image, mask)


def _check_range(name: str, value: Sequence[float], positive: bool) -> None:
    try:
        low, high = (float(number) for number in value)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not low <= high or low < 0 or (positive and low == 0):
        raise WarplineError(
            f"The phantom's parameter '{name}' is no range of lengths: {value}.",
            where="key 'phantom.parameters' of the dataset file",
            do="Write the smallest and the largest in mm, as [1, 2.5].",
        )


def _between(limits: Sequence[float], share: float) -> float:
    return limits[0] + share * (limits[1] - limits[0])


def _scout_grid() -> Grid:
    shape = (np.subtract(SCOUT_TO, SCOUT_FROM) / SCOUT).astype(int) + 1
    return Grid(tuple(int(n) for n in shape), (SCOUT,) * 3, SCOUT_FROM[::-1])


def _lungs_box(lungs: Image) -> tuple[np.ndarray, np.ndarray]:
    """The (x, y, z) in mm between which the lungs lie, a voxel wider on all sides."""
    index = np.argwhere(lungs.array)
    low, high = index.min(axis=0) - 1, index.max(axis=0) + 1
    return lungs.grid.index_to_physical(low), lungs.grid.index_to_physical(high)


def _mask(scan: Any, trachea: bool) -> np.ndarray:
    """Lungs with LUNA16's values, and if asked for the air between them in their upper half."""
    lungs = scan.lungs.array
    mask = np.select([lungs == 1, lungs == 2], [RIGHT, LEFT], 0).astype(np.uint8)
    if trachea:
        index = np.argwhere(lungs)
        low, high = index.min(axis=0), index.max(axis=0)
        middle = (low + high) // 2
        _, deep, wide = high - low
        box = (  # not as far forward as the breastbone, before which there is air too
            slice(middle[0], high[0] + 1),
            slice(low[1] + deep // 4, high[1] + 1),
            slice(middle[2] - wide // 6, middle[2] + wide // 6 + 1),
        )
        mask[box][(scan.image.array[box] < -900) & (lungs[box] == 0)] = TRACHEA
    return mask


def _flipped(image: Image) -> Image:
    """The same voxels at the same places, stored with the axes x and y the other way round."""
    grid = image.grid
    _, rows, columns = grid.shape
    origin = grid.index_to_physical((0, rows - 1, columns - 1))
    turned = Grid(
        grid.shape,
        grid.spacing,
        tuple(round(float(value), 6) for value in origin),
        (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    )
    return Image(image.array[:, ::-1, ::-1], turned)


def _add_image(archive: zipfile.ZipFile, stem: str, image: Image, compressed: bool) -> None:
    """Add ``<stem>.mhd`` and ``.raw`` or ``.zraw``, with the keys that ITK writes, in its order."""
    grid = image.grid
    data = image.array.astype(image.array.dtype.newbyteorder("<")).tobytes()
    suffix = ".raw"
    header = {"ObjectType": "Image", "NDims": 3, "BinaryData": True}
    header |= {"BinaryDataByteOrderMSB": False, "CompressedData": compressed}
    if compressed:
        data, suffix = zlib.compress(data), ".zraw"
        header["CompressedDataSize"] = len(data)
    header |= {
        "TransformMatrix": _numbers(grid.direction),
        "Offset": _numbers(grid.origin),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI" if grid.direction[0] > 0 else "LPI",
        "ElementSpacing": _numbers(grid.spacing),
        "DimSize": _numbers(grid.shape[::-1]),
        "ElementType": {"int16": "MET_SHORT", "uint8": "MET_UCHAR"}[image.array.dtype.name],
        "ElementDataFile": stem.rpartition("/")[2] + suffix,
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    add_entry(archive, f"{stem}.mhd", text.encode())
    add_entry(archive, f"{stem}{suffix}", data)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.17g}" for value in values)
