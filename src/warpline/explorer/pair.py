"""What is kept of a registered pair to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from warpline.cases.case import Case
from warpline.evaluation.pairs import MASK_LABEL
from warpline.explorer import grids, volumes
from warpline.fields.consistency import distance_after_return
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to

SMALLEST = 0.01  # of a voxel: the least step by which displacements are kept


@dataclass(frozen=True)
class WayBack:
    """From moving to fixed points; ``by`` says in words what leads back."""

    field: DisplacementField | None
    """None: the forward field's own numerical inverse."""
    by: str


OWN_INVERSE = WayBack(None, "the same field's numerical inverse")


@dataclass(frozen=True)
class Looked:
    """A pair on the grid on which it is looked at.

    Attributes
    ----------
    names
        Label value → name; where there is at most one and a case has no label map, the masks
        stand for it, as in evaluation.
    outside
        See `DisplacementField.warp_labels`.
    """

    fixed: Case
    moving: Case
    names: Mapping[int, str]
    outside: str = "border"

    @cached_property
    def grid(self) -> Grid:
        """Along the body's axes, about the labels (or mask, or what is no padding)."""
        full = grids.along_body(self.fixed.grid)
        mask = resample_to(self._of_interest, full, nearest=True).array > 0
        return grids.coarser(grids.cropped(full, *grids.box_of(mask)), volumes.VOXELS)

    @property
    def _of_interest(self) -> Image:
        case = self.fixed
        for part in (case.mask, case.labels):
            if part is not None and (part.array > 0).any():
                return part.with_array((part.array > 0).astype(np.uint8))
        return case.image.with_array((case.image.array > case.image.array.min()).astype(np.uint8))

    @cached_property
    def label_maps(self) -> tuple[Image, Image, dict[int, str]] | None:
        """Of the fixed and of the moving case, each on its own grid, and the labels' names."""
        labels = self.fixed.labels, self.moving.labels
        masks = self.fixed.mask, self.moving.mask
        if None not in labels:
            return *labels, dict(self.names) or {1: MASK_LABEL}
        if len(self.names) < 2 and None not in masks:
            return *(m.with_array((m.array > 0).astype(np.uint8)) for m in masks), {1: MASK_LABEL}
        return None

    @cached_property
    def scale(self) -> volumes.Scale:
        """The levels of both images."""
        return volumes.Scale.of(self.fixed.image.array, self.moving.image.array)

    def content(self) -> dict[str, Any]:
        """The images of both cases, their labels and how they lie; the same for all methods."""
        grid, unmoved = self.grid, DisplacementField.identity(self.grid)
        found: dict[str, Any] = {
            "shape": grid.shape,
            "spacing": [round(s, 5) for s in grid.spacing],
            "levels": [round(float(v), 4) for v in self.scale.levels],
            "hu": self.scale.hu,
            "fixed": self._image(resample_to(self.fixed.image, grid)),
            "moving": self._image(unmoved.warp_image(self.moving.image)),
        }
        if self.label_maps is not None:
            here, there, found["names"] = self.label_maps
            found["fixedLabels"] = self._labels(unmoved.warp_labels(here))
            found["movingLabels"] = self._labels(unmoved.warp_labels(there, self.outside))
        return found

    def of_method(self, field: DisplacementField, back: WayBack = OWN_INVERSE) -> dict[str, Any]:
        """What a method's field makes of the pair, and how well the way back undoes it.

        Vectors are in mm along the grid's own axes, (x, y, z); places are its indices, (x, y, z).
        """
        grid = self.grid
        here, determinant = field.resample(grid), field.jacobian_determinant()
        half = grids.halved(grid)
        along = np.asarray(grid.direction).reshape(3, 3)
        vectors, step = volumes.encode_vectors(
            field.resample(half).vectors @ along, SMALLEST * min(grid.spacing)
        )
        found = {
            "warped": self._image(here.warp_image(self.moving.image)),
            "jacobian": volumes.pack(
                volumes.encode_jacobian(self._jacobian(determinant, field.grid))
            ),
            "field": volumes.pack(vectors),
            "fieldShape": half.shape,
            "fieldStep": step,
            "folds": int((determinant <= 0).sum()),
            "inverse": self._inverse(field, half, back),
        }
        if self.label_maps is not None:
            found["warpedLabels"] = self._labels(here.warp_labels(self.label_maps[1], self.outside))
        if self.fixed.landmarks is not None and self.moving.landmarks is not None:
            found["landmarks"] = self._landmarks(field)
        return found

    def _image(self, image: Image) -> str:
        return volumes.pack(self.scale.encode(image.array))

    def _labels(self, labels: Image) -> str:
        known = np.where(np.isin(labels.array, list(self.label_maps[2])), labels.array, 0)
        return volumes.pack(known.astype(np.uint8))

    def _jacobian(self, interior: np.ndarray, field: Grid) -> np.ndarray:
        """On the grid, of that on a field's; a coarser voxel that holds a fold is a fold."""
        determinant = np.pad(interior, 1, constant_values=1.0)
        there = resample_to(Image(determinant, field), self.grid, fill=1.0).array
        folds = np.argwhere(determinant <= 0)
        if len(folds):
            places = self.grid.physical_to_index(field.index_to_physical(folds))
            index = np.rint(places).astype(int)
            inside = ((index >= 0) & (index < self.grid.shape)).all(axis=1)
            there[tuple(index[inside].T)] = 0.0
        return there

    def _inverse(self, field: DisplacementField, half: Grid, back: WayBack) -> dict[str, Any]:
        """How far the points of a grid are from themselves after the way there and back (mm)."""
        points = half.index_to_physical(half.indices()).reshape(-1, 3)
        distances = distance_after_return(field, points, back.field)
        levels, largest = volumes.encode_distances(distances)
        return {"levels": volumes.pack(levels), "largest": round(largest, 6), "by": back.by}

    def _landmarks(self, field: DisplacementField) -> list[list[Any]]:
        """Of each landmark of both: id, place, displacement, and the rest of the way (mm)."""
        both = self.fixed.landmarks.merge(
            self.moving.landmarks, on="id", suffixes=("_fixed", "_moving")
        )
        start, target = (
            both[[f"{axis}_{of}" for axis in "xyz"]].to_numpy(float) for of in ("fixed", "moving")
        )
        mapped = field.transform_points(start)
        along = np.asarray(self.grid.direction).reshape(3, 3)
        places = self.grid.physical_to_index(start)[:, ::-1]
        return [
            [str(identifier), *(np.round(part, 3).tolist() for part in parts)]
            for identifier, *parts in zip(
                both["id"], places, (mapped - start) @ along, (target - mapped) @ along, strict=True
            )
        ]
