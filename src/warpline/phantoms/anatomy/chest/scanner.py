"""What the scanner adds: noise, the field of view, what lies outside it, the couch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Grid

LOWEST, HIGHEST = -1024, 3071
WATER_PER_MM = 0.019  # attenuation of water at about 70 keV, 1/mm


@dataclass(frozen=True)
class Scanner:
    """Settings of one scan.

    Attributes
    ----------
    outside
        HU outside the circular field of view; None: no circle.
    border
        HU of rows of padding at the slices' edges, a further constant; None: no such rows.
    couch
        Whether the couch is seen.
    noise
        Standard deviation in the middle of a chest of usual size, HU.
    """

    outside: float | None
    border: float | None
    couch: bool
    noise: float

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        outside: float | str | None,
        border: float | str | None,
        couch: bool | str,
        noise: float,
    ) -> Scanner:
        """These settings, with what is "mixed" drawn.

        Raises
        ------
        WarplineError
            If a setting is not possible.
        """
        which, third, table = rng.random(3)
        for name, value in (("outside", outside), ("border", border)):
            if isinstance(value, str) and value != "mixed":
                raise WarplineError(
                    f"'{value}' is no value outside the field of view.",
                    where=name,
                    do="Give HU as a number, None, or 'mixed'.",
                )
            if value is not None and value != "mixed" and not -32768 <= value < LOWEST + 1:
                raise WarplineError(
                    f"{value:g} HU cannot stand for what was not scanned.",
                    where=name,
                    do=f"Give a value of {LOWEST} or below, such as -2048 or -3024, or None.",
                )
        if couch not in (True, False, "mixed"):
            raise WarplineError(
                f"'{couch}' does not say whether there is a couch.",
                where="couch",
                do="Give True, False or 'mixed'.",
            )
        if not 0 <= noise <= 500:
            raise WarplineError(
                f"A noise of {noise:g} HU is not possible.", where="noise", do="Give 0 to 500 HU."
            )
        if outside == "mixed":
            outside = (None, -2048.0, -3024.0)[int(3 * which)]
        if border == "mixed":
            drawn = outside is not None and third < 0.2
            border = (-2048.0 if outside != -2048.0 else -3024.0) if drawn else None
        return cls(
            None if outside is None else float(outside),
            None if border is None else float(border),
            table < 0.75 if couch == "mixed" else bool(couch),
            float(noise),
        )


def add_couch(hu: np.ndarray, points, top: float, middle: float, width: float) -> None:
    """Lay the couch under the patient where there is air.

    Parameters
    ----------
    hu
        Flat array, changed in place.
    points
        Physical points (x, y, z), flat arrays.
    top, middle
        y of the couch's upper face in its middle, and x of the middle, mm.
    """
    x, y, _ = points
    u = x - middle
    # Mattress on a curved shell, filled with foam.
    depth = y - top - 5 + 0.00042 * u * u
    side = np.abs(u) - 205
    value = np.full_like(hu, -1000)
    for surface, level in (
        (np.maximum(np.abs(depth + 1) - 4.0, side + 12), -915.0),
        (np.maximum(np.abs(depth - 20) - 16.0, side), -60.0),
        (np.maximum(np.abs(depth - 20) - 14.2, side + 2), -935.0),
    ):
        value += np.clip(0.5 - surface / width, 0, 1) * (level - value)
    # In the air only: as much as there is of it.
    hu += np.clip((-hu - 100) / 900, 0, 1) * (value + 1000)


def acquire(hu: np.ndarray, grid: Grid, scanner: Scanner, rng: np.random.Generator) -> np.ndarray:
    """The scan (int16) of HU (z, y, x), float32, which is changed in place."""
    if scanner.noise > 0:
        _add_noise(hu, grid, scanner.noise, rng)
    np.clip(hu, LOWEST, HIGHEST, out=hu)
    image = np.rint(hu).astype(np.int16)
    if scanner.outside is not None:
        image[:, ~field_of_view(grid)] = int(scanner.outside)
    if scanner.border is not None:
        rows = max(1, round(0.03 * grid.shape[1]))
        image[:, :rows] = int(scanner.border)
        image[:, -rows:] = int(scanner.border)
    return image


def field_of_view(grid: Grid) -> np.ndarray:
    """Which voxels of a slice (y, x) lie in the circle as wide as the slice's longer side."""
    _, ny, nx = grid.shape
    sx, sy, _ = grid.spacing
    y = (np.arange(ny) - (ny - 1) / 2) * sy
    x = (np.arange(nx) - (nx - 1) / 2) * sx
    radius = max(nx * sx, ny * sy) / 2
    return y[:, None] ** 2 + x**2 <= radius**2


def _add_noise(hu: np.ndarray, grid: Grid, noise: float, rng: np.random.Generator) -> None:
    """Noise that reconstruction has smoothed in the slice, more where the rays lose more."""
    sx, sy, _ = grid.spacing
    dense = np.clip(hu + 1000, 0, 2000) * np.float32(WATER_PER_MM / 1000)
    along_x = dense.sum(axis=2) * np.float32(sx)
    along_y = dense.sum(axis=1) * np.float32(sy)
    for z in range(grid.shape[0]):
        loss = 0.5 * (along_x[z][:, None] + along_y[z][None, :])
        level = np.exp(0.28 * (np.minimum(loss, 9.0) - 3.0)).astype(np.float32)
        white = rng.standard_normal(hu.shape[1:], dtype=np.float32)
        smooth = ndimage.gaussian_filter(white, (0.75, 0.75), mode="wrap")
        hu[z] += smooth * level * np.float32(noise / 0.376)
