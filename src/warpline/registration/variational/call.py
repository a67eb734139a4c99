"""Two images registered by one call, without a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.files import read_image
from warpline.images.grid import Grid, Image
from warpline.images.itk import from_sitk, to_sitk
from warpline.registration.variational import pipeline
from warpline.registration.variational.labels import Segmenter
from warpline.registration.variational.settings import QUALITIES, Settings

Readable = sitk.Image | Image | str | os.PathLike


@dataclass(frozen=True)
class Registration:
    """What was found of a pair.

    Attributes
    ----------
    field
        SimpleITK image of vectors, mm, on the fixed grid: ``x + field(x)`` is the moving image's
        point of the fixed point x, as ``SimpleITK.DisplacementFieldTransform`` takes it.
    inverse
        The way back, on the moving grid.
    affine
        (4, 4) float64, fixed to moving points, mm, LPS: the part before the deformation.
    diagnostics
        ``confidence`` (0 to 1: that the images were brought together), ``folds`` (voxels of either
        field with a determinant of 0 or less), ``seconds`` in all, ``stages`` (seconds of each),
        and what the stages tell.
    """

    field: sitk.Image
    inverse: sitk.Image
    affine: np.ndarray
    diagnostics: Mapping[str, object]

    def warp(self, moving: sitk.Image, labels: bool = False) -> sitk.Image:
        """A moving image on the fixed grid, linearly, or by nearest neighbour if it has labels."""
        image = from_sitk(moving)
        field = DisplacementField(sitk.GetArrayFromImage(self.field), from_sitk(self.field).grid)
        return to_sitk(field.warp_labels(image) if labels else field.warp_image(image))


def register(
    fixed: Readable,
    moving: Readable,
    *,
    quality: str = "balanced",
    smoothness: float = 0.01,
    start: str | np.ndarray = "affine",
    masks: tuple[Readable | None, Readable | None] = (None, None),
    landmarks: tuple[np.ndarray, np.ndarray] | None = None,
    probabilities: tuple[np.ndarray, np.ndarray] | None = None,
    segmenter: str | None = None,
    appearance: str = "auto",
    device: str = "cpu",
) -> Registration:
    """Register two images, of one modality or of two, without training.

    Parameters
    ----------
    fixed, moving
        Three-dimensional images, or the files of them.
    quality
        ``fast``, ``balanced`` or ``best``.
    smoothness
        What a change of the displacement of 1 mm a mm costs beside the difference of the images;
        the same for every voxel size.
    start
        What comes before the deformation: ``none`` (the scanners' frames), ``translation``,
        ``rigid``, ``affine``, or a matrix (4, 4) from fixed to moving points, mm, LPS, that is
        refined.
    masks
        Of the fixed and of the moving image: where to look. Either may be None.
    landmarks
        Corresponding points, (n, 3) each, mm, LPS.
    probabilities
        What a segmenter says of both images, (C, z, y, x) each, on their grids.
    segmenter
        A model of the house (``warpline models``) that says the probabilities.
    appearance
        Whether both show tissues in ``like`` shades or in ``unlike`` ones, or ``auto``.
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    WarplineError
        If a file cannot be read, or an argument is none of those above.
    """
    _check("quality", quality, QUALITIES)
    _check("appearance", appearance, ("auto", "like", "unlike"))
    if not smoothness > 0:
        raise WarplineError(
            f"The smoothness {smoothness} is not above 0.",
            where="smoothness",
            do="Give a positive number; more is smoother.",
        )
    given = None if isinstance(start, str) else np.asarray(start, dtype=np.float64)
    if given is None:
        _check("start", start, ("none", "translation", "rigid", "affine"))
    elif given.shape != (4, 4):
        raise WarplineError(f"The start has the shape {given.shape}, not (4, 4).", where="start")
    settings = Settings(
        quality=quality,
        smoothness=float(smoothness),
        start="affine" if given is not None else str(start),
        masked=True,
        appearance=appearance,
        **DETAILS,
    )
    cases = [
        Case(name, _image(image), mask=None if mask is None else _image(mask))
        for name, image, mask in (("fixed", fixed, masks[0]), ("moving", moving, masks[1]))
    ]
    if segmenter is not None:
        if probabilities is not None:
            raise WarplineError(
                "Probabilities are given, and a segmenter that is to find them.",
                where="probabilities, segmenter",
                do="Give one of them.",
            )
        of = Segmenter.of_model(segmenter, device)
        probabilities = of(cases[0]), of(cases[1])
    found = pipeline.register(
        *cases,
        settings,
        torch.device(device),
        given=given,
        landmarks=landmarks,
        probabilities=probabilities,
    )
    diagnostics = {
        **found.values,
        "folds": sum(
            int((field.jacobian_determinant() <= 0).sum()) for field in (found.field, found.inverse)
        ),
        "seconds": sum(found.seconds.values()),
        "stages": dict(found.seconds),
    }
    return Registration(
        _field_image(found.field), _field_image(found.inverse), found.affine, diagnostics
    )


# As the schema of methods has them.
DETAILS = {
    "window": 5,
    "local": 0.12,
    "whole": 0.12,
    "radius": 1,
    "dilation": 2,
    "robust": None,
    "landmark_weight": 1.0,
    "extra_weight": 16.0,
}


def _check(name: str, value: object, known: object) -> None:
    if value not in known:
        raise WarplineError(
            f"The {name} '{value}' is not known.", where=name, do=f"One of: {', '.join(known)}."
        )


def _image(image: Readable) -> Image:
    if isinstance(image, Image):
        return image
    return from_sitk(image) if isinstance(image, sitk.Image) else read_image(image)


def _field_image(field: DisplacementField) -> sitk.Image:
    grid: Grid = field.grid
    return to_sitk(Image(field.vectors.astype(np.float64), grid))
