"""What a call to register two images gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import SimpleITK as sitk

from warpline.fields.physical import DisplacementField
from warpline.images.grid import Image
from warpline.images.itk import to_sitk


@dataclass(frozen=True)
class Registration:
    """What was found of a pair.

    Attributes
    ----------
    forward
        Fixed to moving points, on the fixed grid: what brings the moving image onto the fixed one.
    backward
        Moving to fixed points, on the moving grid.
    affine
        (4, 4) float64, fixed to moving points, mm, LPS: the part before the deformation; None of a
        method that does not tell it.
    diagnostics
        ``method``, ``seconds`` in all, and what the method tells of itself; of the project's own
        ``confidence`` (0 to 1: that the images were brought together) and ``stages`` (seconds).
    """

    forward: DisplacementField
    backward: DisplacementField
    affine: np.ndarray | None
    diagnostics: Mapping[str, Any]

    @property
    def field(self) -> sitk.Image:
        """SimpleITK image of vectors, mm, on the fixed grid.

        ``x + field(x)`` is the moving image's point of the fixed point x, as
        ``SimpleITK.DisplacementFieldTransform`` takes it.
        """
        return _as_sitk(self.forward)

    @property
    def inverse(self) -> sitk.Image:
        """The way back, on the moving grid."""
        return _as_sitk(self.backward)

    @cached_property
    def determinant(self) -> np.ndarray:
        """The Jacobian determinant of `forward` on its interior, (z − 2, y − 2, x − 2)."""
        return self.forward.jacobian_determinant()

    @property
    def folds(self) -> int:
        """How many voxels of `forward` have a determinant of 0 or less."""
        return int((self.determinant <= 0).sum())

    def warp(self, moving: Any, labels: bool = False) -> sitk.Image:
        """A moving image on the fixed grid, linearly, or by nearest neighbour if it has labels.

        Parameters
        ----------
        moving
            As of `warpline.acquire.scans.as_image`.
        """
        from warpline.acquire.scans import as_image

        image = as_image(moving, "moving")
        return to_sitk(
            self.forward.warp_labels(image) if labels else self.forward.warp_image(image)
        )


def _as_sitk(field: DisplacementField) -> sitk.Image:
    return to_sitk(Image(field.vectors.astype(np.float64), field.grid))
