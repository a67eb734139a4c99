"""One subject's chest: parameters, trees, and the exact maps between its phases and the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.phantoms.anatomy.chest import anatomy, trees
from warpline.phantoms.anatomy.chest.anatomy import Body
from warpline.phantoms.anatomy.chest.maps import SubjectMap, determinant
from warpline.phantoms.anatomy.chest.motion import Motion
from warpline.phantoms.anatomy.chest.shapes import Points
from warpline.phantoms.anatomy.chest.tissue import make_texture

Seed = int | tuple[int, ...] | np.random.Generator | np.random.SeedSequence

# Bifurcations further out than this are too fine to be told apart in a scan.
LANDMARK_DEPTH = 5
# The eleven kinds of point that Hu et al. 2020 have placed in each scan.
HU2020 = (
    "carina",
    "airway_R",
    "airway_L",
    "airway_R_intermediate",
    "artery_trunk",
    "artery_R",
    "artery_L",
    *(f"trachea_{k}" for k in (1, 2, 3, 4)),
)


@dataclass(frozen=True)
class Chest:
    """A subject, before any scanner sees it.

    Attributes
    ----------
    map
        From the subject at inhale to the mean chest.
    body
        What differs from the mean chest by no deformation.
    trees
        ``airway``, ``artery`` and ``vein``, in the frame of the mean chest.
    texture
        Grain of the tissues, a periodic pattern.
    """

    map: SubjectMap
    body: Body
    trees: dict[str, trees.Tree]
    texture: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float, hila: float = 0.0) -> Chest:
        """A subject around the mean chest; `variation` 0: the mean itself, but for its grain.

        `hila`: by how many mm (standard deviation along each axis) the large airways and vessels
        lie elsewhere than in another subject whose lungs are alike.

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
        if not 0 <= hila <= 6:
            raise WarplineError(
                f"Hila that lie {hila:g} mm elsewhere are not possible.",
                where="hila",
                do="Give 0 (as the lungs say) to 6 mm.",
            )
        for_map, for_body, for_trees, for_texture, for_hila = rng.spawn(5)
        lift = hila * np.clip(for_hila.standard_normal((len(trees.CENTRES), 3)), -2, 2)
        mean = trees.mean_trees()
        return cls(
            SubjectMap.random(for_map, variation),
            Body.random(for_body, variation),
            {name: tree.variant(for_trees, variation).shifted(lift) for name, tree in mean.items()},
            make_texture(for_texture),
        )

    def to_mean(self, points: np.ndarray, motion: Motion | None = None) -> np.ndarray:
        """Points (…, 3) of the mean chest for points of the subject (mm, LPS).

        `motion` is given for points at exhale, None for points at inhale.
        """
        reference = self.map(_split(points))
        return _join(motion.to_inhale(reference) if motion else reference)

    def from_mean(self, points: np.ndarray, motion: Motion | None = None) -> np.ndarray:
        """The inverse of `to_mean`."""
        reference = _split(points)
        return _join(self.map.inverse(motion.to_exhale(reference) if motion else reference))

    def volume_ratio(self, points: Points, reference: Points, motion: Motion) -> np.ndarray:
        """Volume at inhale over volume at exhale, at points at exhale.

        `reference` is where the points lie in the frame of the mean chest, before the motion.
        """
        moved = motion.to_inhale(reference)
        at_inhale = self.map_back(points, reference, moved)
        stretch = determinant(self.map.derivative(points))
        stretch /= determinant(self.map.derivative(at_inhale))
        return motion.volume_ratio(reference) * stretch

    def map_back(self, points: Points, reference: Points, moved: Points) -> Points:
        """Subject points of `moved`, near `points`, whose reference is `reference`."""
        back = np.linalg.inv(self.map.matrix)
        change = [m - r for m, r in zip(moved, reference, strict=True)]
        start = tuple(
            p + sum(float(b) * c for b, c in zip(row, change, strict=True))
            for p, row in zip(points, back, strict=True)
        )
        return self.map.inverse(moved, start, steps=7)

    def landmarks(self, motion: Motion | None = None) -> tuple[list[str], np.ndarray]:
        """Ids and positions (n, 3) of all landmarks, mm, LPS."""
        ids: list[str] = []
        positions = []
        for tree in self.trees.values():
            where = tree.bifurcations()
            where = where[tree.depth[where] <= LANDMARK_DEPTH]
            points = [k for k, name in enumerate(tree.ids) if name in HU2020[-4:]]
            where = np.union1d(where, np.array(points, dtype=int))
            ids += [tree.ids[k] for k in where]
            positions.append(tree.position[where])
        return ids, self.from_mean(np.concatenate(positions), motion)

    @property
    def back(self) -> tuple[float, float]:
        """x and y of the lowest point of the back, where the couch is, mm."""
        z = np.linspace(-140, 60, 9)
        level = anatomy.BACK + 0.7 * self.body.fat
        points = np.stack([0 * z, np.full_like(z, level), z], axis=-1)
        placed = self.from_mean(points)
        return float(placed[:, 0].mean()), float(placed[:, 1].max())


def _split(points: np.ndarray) -> Points:
    points = np.asarray(points, dtype=np.float64)
    return points[..., 0], points[..., 1], points[..., 2]


def _join(points: Points) -> np.ndarray:
    return np.stack(points, axis=-1)
