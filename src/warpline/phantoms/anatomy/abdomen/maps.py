"""The map between a subject and the mean abdomen: pose, waves, then one organ after the other.

Each step is smooth and changes distances by less than its Lipschitz bound (below one), so the whole
has an inverse, found step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.phantoms.anatomy.chest.maps import SubjectMap
from warpline.phantoms.anatomy.chest.shapes import Points

STEEPEST = 0.6  # Lipschitz bound of each organ's step
MOST_WAVES = 0.4  # the same of all waves together
WAVES = 8
PRECISION = 1e-7  # mm, of the inverse

# Centre and width (mm) of what moves; standard deviations of its shift (mm) and of its size.
ORGANS: dict[str, tuple[tuple, float, tuple, float]] = {
    "right dome": ((-68, -5, 110), 60.0, (0, 0, 13), 0.0),
    "left dome": ((72, -5, 100), 60.0, (0, 0, 13), 0.0),
    "liver": ((-60, -10, 40), 75.0, (11, 8, 13), 0.12),
    "stomach": ((50, -15, 45), 48.0, (11, 11, 15), 0.18),
    "spleen": ((98, 36, 50), 46.0, (8, 14, 16), 0.16),
    "right kidney": ((-58, 44, -18), 46.0, (8, 7, 19), 0.1),
    "left kidney": ((60, 42, -4), 46.0, (8, 7, 19), 0.1),
    "pancreas": ((15, -10, 12), 44.0, (10, 9, 14), 0.1),
    "duodenum": ((-35, -15, -20), 36.0, (9, 7, 11), 0.08),
    "gallbladder": ((-48, -44, -8), 34.0, (9, 8, 12), 0.2),
    "great vessels": ((-4, 10, -10), 55.0, (8, 6, 0), 0.0),
    "bowel": ((0, -45, -90), 70.0, (14, 8, 20), 0.1),
}


@dataclass(frozen=True)
class Shift:
    """Moves and scales what lies about a centre: ``l + (s + g (l − c)) exp(−|l − c|² / 2σ²)``."""

    centre: tuple[float, float, float]
    sigma: float
    shift: tuple[float, float, float]
    grow: float

    @property
    def steepness(self) -> float:
        """Bound of how fast the displacement changes, per mm."""
        return float(np.linalg.norm(self.shift) * np.exp(-0.5) / self.sigma + abs(self.grow))

    def __call__(self, points: Points) -> Points:
        offset = [p - float(c) for p, c in zip(points, self.centre, strict=True)]
        height = sum(o * o for o in offset)
        height *= float(-0.5 / self.sigma**2)
        np.exp(height, out=height)
        return tuple(
            p + (float(s) + float(self.grow) * o) * height
            for p, s, o in zip(points, self.shift, offset, strict=True)
        )

    def inverse(self, moved: Points) -> Points:
        """Where `moved` comes from."""
        points = moved
        # The error shrinks by the steepness in every step.
        for _ in range(60):
            error = [m - c for m, c in zip(moved, self(points), strict=True)]
            points = tuple(p + e for p, e in zip(points, error, strict=True))
            if max(np.abs(e).max(initial=0.0) for e in error) < PRECISION:
                break
        return points


@dataclass(frozen=True)
class AbdomenMap:
    """Points of a subject (mm, LPS) to points of the mean abdomen."""

    pose: SubjectMap
    shifts: tuple[Shift, ...]

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> AbdomenMap:
        """A subject around the mean; `variation` scales all deviations from it.

        Raises
        ------
        WarplineError
            If the variation is negative or too large.
        """
        if not 0 <= variation <= 2:
            raise WarplineError(
                f"A variation of {variation:g} is not possible.",
                where="variation",
                do="Give 0 (all subjects alike) to 2 (twice as different as usual).",
            )
        for_pose, for_organs = rng.spawn(2)
        shifts = []
        for centre, sigma, spread, growth in ORGANS.values():
            drawn = variation * np.clip(for_organs.standard_normal(4), -2, 2)
            shift = Shift(centre, sigma, tuple(drawn[:3] * spread), float(drawn[3] * growth))
            less = min(1.0, STEEPEST / max(shift.steepness, 1e-9))
            moved = tuple(less * s for s in shift.shift)
            shifts.append(Shift(centre, sigma, moved, less * shift.grow))
        return cls(_pose(for_pose, variation), tuple(shifts))

    @property
    def scale(self) -> float:
        """How much larger than the mean abdomen the subject is, as a length."""
        return self.pose.scale

    def __call__(self, points: Points) -> Points:
        """Points of the mean abdomen; the type of the arrays is kept."""
        points = self.pose(points)
        for shift in self.shifts:
            points = shift(points)
        return points

    def inverse(self, reference: Points) -> Points:
        """Points of the subject for points (float64) of the mean abdomen."""
        for shift in reversed(self.shifts):
            reference = shift.inverse(reference)
        return self.pose.inverse(reference)


def _pose(rng: np.random.Generator, variation: float) -> SubjectMap:
    def normal(*shape: int) -> np.ndarray:
        return variation * np.clip(rng.standard_normal(shape), -2, 2)

    size = np.clip(np.exp(0.03 * normal() + np.array([0.05, 0.06, 0.045]) * normal(3)), 0.8, 1.2)
    angles = normal(3) * np.array([0.03, 0.03, 0.04])
    direction = rng.standard_normal((WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wave = direction * (2 * np.pi / rng.uniform(160, 400, (WAVES, 1)))
    amplitude = 1.6 * normal(WAVES, 3)
    steep = np.linalg.norm(amplitude, axis=1) @ np.linalg.norm(wave, axis=1)
    amplitude *= min(1.0, MOST_WAVES / max(steep, 1e-9))
    none = np.zeros((0, 3))
    return SubjectMap(
        matrix=np.diag(1 / size) @ _rotation(angles),
        shift=normal(3) * np.array([6.0, 7.0, 12.0]),
        amplitude=amplitude,
        wave=wave,
        phase=rng.uniform(0, 2 * np.pi, WAVES),
        lift=none,
        centre=none,
        sigma=np.zeros(0),
    )


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Turns about x, y and z, one after the other."""
    (a, b, c), (d, e, f) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z
