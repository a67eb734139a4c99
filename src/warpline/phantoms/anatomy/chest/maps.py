"""The map between a subject and the mean chest: smooth, closed, with an exact derivative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.phantoms.anatomy.chest.shapes import Points

# Sum over the waves of amplitude × wave number, and over the bumps of their steepest slope: below
# one together, so that the map has an inverse.
MOST_WAVES, MOST_BUMPS = 0.4, 0.4
WAVES = 10


@dataclass(frozen=True)
class SubjectMap:
    """Points of a subject (mm, LPS, at inhale) to points of the mean chest.

    ``r = l + Σ aᵢ sin(kᵢ·l + φᵢ) + Σ bⱼ exp(−|l − cⱼ|² / 2σⱼ²)`` with ``l = M (p − t)``.

    Attributes
    ----------
    matrix, shift
        M: pose and size; t: mm.
    amplitude, wave, phase
        (n, 3), (n, 3), (n,): the waves.
    lift, centre, sigma
        (m, 3), (m, 3), (m,): bumps that raise a dome of the diaphragm, widen the heart, …
    """

    matrix: np.ndarray
    shift: np.ndarray
    amplitude: np.ndarray
    wave: np.ndarray
    phase: np.ndarray
    lift: np.ndarray
    centre: np.ndarray
    sigma: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> SubjectMap:
        """A subject around the mean; `variation` scales all deviations from it."""

        def normal(*shape: int) -> np.ndarray:
            return variation * np.clip(rng.standard_normal(shape), -2, 2)

        size = np.exp(0.035 * normal() + np.array([0.04, 0.045, 0.05]) * normal(3))
        size = np.clip(size, 0.85, 1.16)
        matrix = np.diag(1 / size) @ _rotation(normal(3) * np.array([0.02, 0.025, 0.035]))
        shift = normal(3) * np.array([5.0, 5.0, 8.0])
        direction = rng.standard_normal((WAVES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        wave = direction * (2 * np.pi / rng.uniform(150, 360, (WAVES, 1)))
        amplitude = normal(WAVES, 3) * 1.3
        steep = np.linalg.norm(amplitude, axis=1) @ np.linalg.norm(wave, axis=1)
        amplitude *= min(1.0, MOST_WAVES / max(steep, 1e-9))
        # Domes of the diaphragm, right and left; the heart towards the left; the apices; the belly.
        centre = np.array(
            [(-68, 0, -95), (72, 0, -108), (45, -35, -60), (0, 20, 80), (0, -90, -110)], float
        )
        sigma = np.array([50.0, 50.0, 42.0, 50.0, 60.0])
        lift = normal(5, 1) * np.array(
            [(0, 0, 7.0), (0, 0, 7.0), (-6.0, 3.0, 0), (0, 0, 4.0), (0, 6.0, 0)]
        )
        steep = np.linalg.norm(lift, axis=1) @ (np.exp(-0.5) / sigma)
        lift *= min(1.0, MOST_BUMPS / max(steep, 1e-9))
        phase = rng.uniform(0, 2 * np.pi, WAVES)
        return cls(matrix, shift, amplitude, wave, phase, lift, centre, sigma)

    @property
    def scale(self) -> float:
        """How much larger than the mean chest the subject is, as a length."""
        return float(np.linalg.det(self.matrix) ** (-1 / 3))

    def __call__(self, points: Points) -> Points:
        """Points of the mean chest; the type of the arrays is kept."""
        line = self._line(points)
        result = [c.copy() for c in line]
        for amplitude, wave, phase in zip(self.amplitude, self.wave, self.phase, strict=True):
            height = np.sin(_dot(wave, line) + float(phase))
            for axis in range(3):
                result[axis] += float(amplitude[axis]) * height
        for lift, height, _ in self._bumps(line):
            for axis in np.flatnonzero(lift):
                result[axis] += float(lift[axis]) * height
        return tuple(result)

    def derivative(self, points: Points) -> np.ndarray:
        """∂r/∂p, (3, 3, …)."""
        line = self._line(points)
        result = np.zeros((3, 3, *line[0].shape), dtype=line[0].dtype)
        for axis in range(3):
            result[axis, axis] = 1
        for amplitude, wave, phase in zip(self.amplitude, self.wave, self.phase, strict=True):
            slope = np.cos(_dot(wave, line) + float(phase))
            for i in range(3):
                for j in range(3):
                    result[i, j] += float(amplitude[i] * wave[j]) * slope
        for (lift, height, offset), sigma in zip(self._bumps(line), self.sigma, strict=True):
            for i in np.flatnonzero(lift):
                for j in range(3):
                    result[i, j] -= float(lift[i] / sigma**2) * height * offset[j]
        return np.einsum("ij...,jk->ik...", result, self.matrix.astype(result.dtype))

    def inverse(self, reference: Points, start: Points | None = None, steps: int = 60) -> Points:
        """Points of the subject for points of the mean chest.

        Parameters
        ----------
        start
            A first guess; with a near one a few `steps` do.

        Raises
        ------
        WarplineError
            If the default number of steps does not bring every point to within 1 µm.
        """
        back = np.linalg.inv(self.matrix)
        if start is None:
            start = tuple(
                _dot(row, reference) + float(t) for row, t in zip(back, self.shift, strict=True)
            )
        points = start
        for _ in range(steps):
            error = [r - c for r, c in zip(reference, self(points), strict=True)]
            points = tuple(p + _dot(row, error) for p, row in zip(points, back, strict=True))
            if steps == 60 and max((np.abs(e).max() for e in error if e.size), default=0) < 1e-7:
                return points
        if steps == 60:
            worst = max((np.abs(e).max() for e in error if e.size), default=0)
            if worst > 1e-3:
                raise WarplineError(
                    f"The chest phantom's map was not inverted ({worst:.2g} mm).",
                    where="variation",
                    do="Use a smaller variation.",
                )
        return points

    def _line(self, points: Points) -> list[np.ndarray]:
        offset = -self.matrix @ self.shift
        return [_dot(row, points) + float(o) for row, o in zip(self.matrix, offset, strict=True)]

    def _bumps(self, line: list[np.ndarray]):
        for lift, centre, sigma in zip(self.lift, self.centre, self.sigma, strict=True):
            offset = [c - float(at) for c, at in zip(line, centre, strict=True)]
            square = sum(o * o for o in offset)
            yield lift, np.exp(square * float(-0.5 / sigma**2)), offset


def determinant(matrix: np.ndarray) -> np.ndarray:
    """Of (3, 3, …)."""
    a, b, c = matrix
    return (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )


def _dot(vector: np.ndarray, points) -> np.ndarray:
    # Plain floats keep float32 arrays float32.
    return sum(float(v) * p for v, p in zip(vector, points, strict=True))


def _rotation(angles: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix
