"""Breathing: where the points of the exhaled chest lie at inhale, in the frame of the mean chest.

Two maps after one another, from exhale to inhale:

1. the wall: ribs and sternum move forward and to the sides; the back does not move;
2. inside the thoracic cavity, everything moves down along its walls, most under the domes of the
   diaphragm, not at all at the apices, little in the midline. In the cavity's coordinates
   (ρ, θ, z) only z changes, so the cavity is mapped onto itself: at the pleura the field jumps
   along the wall (sliding), never across it. An uneven breath moves some parts of the lungs by
   more than others, by waves that turn and bend across ρ and θ and change slowly along z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.phantoms.anatomy.chest import anatomy
from warpline.phantoms.anatomy.chest.shapes import Points, step, step_slope

LEAST, MOST = 10.0, 30.0  # mm, excursions of the diaphragm
TOP, FULL = 100.0, -70.0  # z between which the motion grows from nothing to all
MOST_UNEVEN = 0.5
WAVES = 3
ACROSS = (4.0, 8.0)  # radians from the cavity's axis to its wall: half a wave to a whole one
ALONG = 0.02  # at most so many radians a mm of z, so that what lies above stays above


@dataclass(frozen=True)
class Waves:
    """By which factor the parts of the lungs take part in a breath, about 1.

    Attributes
    ----------
    across
        (WAVES, 2), radians a unit of ρ along the directions of x and of y.
    along, phase
        (WAVES,), radians a mm of z, and radians.
    height
        Of their sum: a standard deviation is 0.7 of it.
    """

    across: np.ndarray
    along: np.ndarray
    phase: np.ndarray
    height: float

    @classmethod
    def random(cls, rng: np.random.Generator, height: float) -> Waves | None:
        """Waves of a height of 0 to 0.5; None for 0.

        Raises
        ------
        WarplineError
            If the height is another.
        """
        if not 0 <= height <= MOST_UNEVEN:
            raise WarplineError(
                f"A breath cannot be uneven by {height:g}.",
                where="uneven",
                do=f"Give a number from 0 to {MOST_UNEVEN:g}.",
            )
        if not height:
            return None
        angle, length = rng.uniform(0, 2 * np.pi, WAVES), rng.uniform(*ACROSS, WAVES)
        across = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        along, phase = rng.uniform(-ALONG, ALONG, WAVES), rng.uniform(0, 2 * np.pi, WAVES)
        return cls(across, along, phase, height)

    def at(
        self, cavity: anatomy.InCavity, rho: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The factor, and its derivative along z."""
        factor, slope = np.ones_like(z), np.zeros_like(z)
        scale = self.height / np.sqrt(WAVES)
        for (x, y), along, phase in zip(self.across, self.along, self.phase, strict=True):
            angle = rho * (float(x) * cavity.cx + float(y) * cavity.cv) + float(along) * z
            angle += float(phase)
            factor += float(scale) * np.sin(angle)
            slope += float(scale * along) * np.cos(angle)
        return factor, slope


@dataclass(frozen=True)
class Motion:
    """Breathing of one subject.

    Attributes
    ----------
    diaphragm
        How far the domes go down from exhale to inhale, mm of the mean chest.
    front, side
        How far the sternum goes forward (mm), and by what part the chest widens.
    waves
        By which factor the parts of the lungs move; None: all alike.
    """

    diaphragm: float
    front: float
    side: float
    waves: Waves | None = None

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        diaphragm: float | None,
        height: float,
        uneven: float = 0.0,
    ) -> Motion:
        """A motion of `diaphragm` mm, or one drawn, for a subject `height` times the mean's.

        Raises
        ------
        WarplineError
            If the excursion is not one of breathing.
        """
        drawn, front, side = rng.uniform(12.0, 28.0), rng.uniform(0.2, 0.4), rng.uniform(0.7, 1.3)
        excursion = drawn if diaphragm is None else float(diaphragm)
        if not LEAST <= excursion <= MOST:
            raise WarplineError(
                f"The diaphragm cannot move by {excursion:g} mm.",
                where="diaphragm",
                do=f"Give an excursion from {LEAST:g} to {MOST:g} mm, or None to draw one.",
            )
        waves = Waves.random(rng, uneven)
        return cls(excursion / height, front * excursion, side * excursion * 0.0011, waves)

    def to_inhale(self, points: Points) -> Points:
        """Points at inhale of points at exhale."""
        return self._inside(self.with_wall(points))

    def to_exhale(self, points: Points) -> Points:
        """Points at exhale of points at inhale."""
        return self._wall_back(self._inside_back(points))

    def volume_ratio(self, points: Points) -> np.ndarray:
        """Volume at inhale over volume at exhale, at points of the exhaled chest."""
        _, y, z = points
        level = self._level(z)
        widening, _ = self._wall_parts(y, level)
        ratio = (1 + widening) * (1 - self.front * level * _front_slope(y))
        moved = self.with_wall(points)
        cavity = anatomy.InCavity.of(moved)
        slope, _, new_radius, _ = self._shifted(moved, cavity)
        inner = (new_radius / cavity.radius) ** 2
        inner *= 1 - slope
        return np.where(cavity.distance < 0, ratio * inner, ratio)

    # --- the wall ---------------------------------------------------------------------------------

    def _level(self, z: np.ndarray) -> np.ndarray:
        """How much a level of the chest widens: most over the diaphragm, less at the apices."""
        return (0.25 + 0.75 * step(z, 110, -20)) * (0.6 + 0.4 * step(z, -230, -80))

    def _wall_parts(self, y: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Relative widening along x, and the motion forward."""
        return self.side * level * step(y, 85, 0), self.front * level * step(y, 55, -100)

    def with_wall(self, points: Points) -> Points:
        """Points moved as the chest's wall widens, before what lies in it moves along it."""
        x, y, z = points
        widening, forward = self._wall_parts(y, self._level(z))
        return x * (1 + widening), y - forward, z

    def _wall_back(self, points: Points) -> Points:
        x, y, z = points
        level = self._level(z)
        before = y
        for _ in range(8):
            wrong = before - self.front * level * step(before, 55, -100) - y
            before = before - wrong / (1 - self.front * level * _front_slope(before))
        widening, _ = self._wall_parts(before, level)
        return x / (1 + widening), before, z

    # --- inside the cavity ------------------------------------------------------------------------

    def _shift(
        self, cavity: anatomy.InCavity, rho: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far a point at level `z` of a line of constant (ρ, θ) goes down; its derivative."""
        lateral = 0.25 + 0.75 * step(rho * np.abs(cavity.cx), 0.05, 0.5)
        share = self.diaphragm * (lateral * (1 + 0.15 * rho * cavity.cv))
        level, slope = step(z, TOP, FULL), step_slope(z, TOP, FULL)
        if self.waves is None:
            return share * level, share * slope
        factor, bend = self.waves.at(cavity, rho, z)
        return share * level * factor, share * (slope * factor + level * bend)

    def _shifted(self, points: Points, cavity: anatomy.InCavity):
        """The shift's derivative; z, radius and axis after the shift along the walls."""
        z = points[2]
        shift, slope = self._shift(cavity, cavity.r / cavity.radius, z)
        new_z = z - shift
        new_radius = anatomy.cavity_radius(cavity.cx, cavity.cv, new_z)
        return slope, new_z, new_radius, anatomy.axis_of(new_z)

    def _inside(self, points: Points) -> Points:
        cavity = anatomy.InCavity.of(points)
        inside = cavity.distance < 0
        if not inside.any():
            return points
        part = cavity[inside]
        _, z, radius, axis = self._shifted(tuple(p[inside] for p in points), part)
        return _placed(points, inside, part, z, radius, axis)

    def _inside_back(self, points: Points) -> Points:
        cavity = anatomy.InCavity.of(points)
        inside = cavity.distance < 0
        if not inside.any():
            return points
        part = cavity[inside]
        z = points[2][inside]
        rho, before = part.r / part.radius, z
        for _ in range(8):
            shift, slope = self._shift(part, rho, before)
            before = before - (before - shift - z) / (1 - slope)
        radius = anatomy.cavity_radius(part.cx, part.cv, before)
        return _placed(points, inside, part, before, radius, anatomy.axis_of(before))


def _front_slope(y: np.ndarray) -> np.ndarray:
    """Derivative of the step by which the front moves."""
    return step_slope(y, 55, -100)


def _placed(
    points: Points,
    inside: np.ndarray,
    part: anatomy.InCavity,
    z: np.ndarray,
    radius: np.ndarray,
    axis: np.ndarray,
) -> Points:
    """The points, those inside put at the same (ρ, θ) of another level."""
    r = part.r * radius / part.radius
    result = tuple(p.copy() for p in points)
    for component, value in zip(result, (r * part.cx, axis + r * part.cv, z), strict=True):
        component[inside] = value
    return result
