"""Phantom abdomens scanned as clinics scan them, for the archives of several providers.

A scan is made with its axes along LPS; `turned` stores it as a provider does, and `placed` puts it
where a scanner's coordinates happen to begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.images.itk import from_sitk, to_sitk
from warpline.phantoms.anatomy import abdomen
from warpline.phantoms.anatomy.abdomen.organs import NUMBER


@dataclass(frozen=True)
class Protocol:
    """How a dataset's scans were made.

    Attributes
    ----------
    phases
        Contrast phases, one of which a scan has.
    tumours
        Organs with tumours.
    top, bottom
        Highest and lowest slice: least and most, z in mm of the mean abdomen.
    """

    phases: tuple[str, ...]
    tumours: tuple[str, ...] = ()
    top: tuple[float, float] = (128.0, 190.0)
    bottom: tuple[float, float] = (-280.0, -120.0)


def clinical_scan(
    seed: tuple[int, int],
    protocol: Protocol,
    *,
    size: int = 64,
    spacing_xy: Sequence[float] = (5.8, 6.9),
    spacing_z: Sequence[float] = (4.0, 8.0),
    variation: float = 1.0,
    noise: float = 10.0,
) -> abdomen.Scan:
    """One subject, scanned by a protocol; axes along LPS.

    Parameters
    ----------
    size
        Voxels along x and y.
    spacing_xy, spacing_z
        Smallest and largest, mm. Real scans have 0.6 to 0.97 and 0.7 to 5, at 512 voxels.
    variation, noise
        See `warpline.phantoms.anatomy.abdomen.subject`.

    Raises
    ------
    WarplineError
        If a parameter is not possible.
    """
    for name, value in (("spacing_xy", spacing_xy), ("spacing_z", spacing_z)):
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            raise WarplineError(
                f"{list(value)} is no range of spacings.",
                where=f"key 'phantom.parameters.{name}' of the dataset file",
                do="Give the smallest and the largest, in mm.",
            )
    rng = np.random.default_rng((*seed, 7))  # another stream than the anatomy's
    # All drawn before any is used: what one parameter does must not change the others' draws.
    in_plane, along, up, down, phase, *away = rng.random(8)
    # Rounded as headers are written.
    xy = round(_between(spacing_xy, in_plane), 4)
    step = round(_between(spacing_z, along), 2)
    top, bottom = _between(protocol.top, up), _between(protocol.bottom, down)
    shape = (max(2, round((top - bottom) / step)), size, size)
    middle = (*abdomen.phantom.MIDDLE[:2], (top + bottom) / 2)
    grid = Grid(
        shape,
        (xy, xy, step),
        tuple(
            m - (n - 1) / 2 * s for m, n, s in zip(middle, shape[::-1], (xy, xy, step), strict=True)
        ),
    )
    scan = abdomen.subject(
        seed,
        grid=grid,
        phase=protocol.phases[int(phase * len(protocol.phases))],
        tumours=protocol.tumours,
        variation=variation,
        noise=noise,
    )
    origin = np.add(grid.origin, np.multiply(np.subtract(away, 0.5), (60, 60, 1200)))
    return placed(scan, tuple(float(round(c, 3)) for c in origin))


def placed(scan: abdomen.Scan, origin: tuple[float, float, float]) -> abdomen.Scan:
    """The scan in coordinates in which its first voxel lies elsewhere."""
    grid = replace(scan.image.grid, origin=origin)
    return abdomen.Scan(*(Image(i.array, grid) for i in (scan.image, scan.labels, scan.others)))


def turned(image: Image, axes: str) -> Image:
    """The same image stored along other axes.

    Parameters
    ----------
    axes
        Where the x, y and z axes run to: letters of L, R, P, A, S, I.
    """
    return from_sitk(sitk.DICOMOrient(to_sitk(image), axes))


def organ(scan: abdomen.Scan, *names: str) -> np.ndarray:
    """Where any of the named organs is (z, y, x), bool."""
    return np.isin(scan.labels.array, [NUMBER[name] for name in names])


def _between(ends: Sequence[float], share: float) -> float:
    return float(ends[0] + (ends[1] - ends[0]) * share)
