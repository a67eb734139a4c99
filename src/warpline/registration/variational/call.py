"""Two images registered by the project's own method, without a configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.plan.config import validate
from warpline.plan.loading import schema
from warpline.registration.result import Registration
from warpline.registration.variational import pipeline
from warpline.registration.variational.labels import Segmenter
from warpline.registration.variational.settings import Settings

# What the call does not offer, since the masks that are given are those to look in.
MASKED = True


def register(
    fixed: Case,
    moving: Case,
    *,
    quality: str | None = None,
    smoothness: float | None = None,
    start: str | np.ndarray | None = None,
    landmarks: tuple[np.ndarray, np.ndarray] | None = None,
    probabilities: tuple[np.ndarray, np.ndarray] | None = None,
    segmenter: str | None = None,
    appearance: str | None = None,
    device: str = "cpu",
) -> Registration:
    """Register two images, of one modality or of two, without training.

    What is None is as the schema of methods has it.

    Parameters
    ----------
    fixed, moving
        Their masks, where they have some, say where to look.
    quality
        ``fast``, ``balanced`` or ``best``.
    smoothness
        What a change of the displacement of 1 mm a mm costs beside the difference of the images;
        the same for every voxel size.
    start
        What comes before the deformation: ``none`` (the scanners' frames), ``translation``,
        ``rigid``, ``affine``, or a matrix (4, 4) from fixed to moving points, mm, LPS, that is
        refined.
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
    given = None if start is None or isinstance(start, str) else np.asarray(start, np.float64)
    if given is not None and given.shape != (4, 4):
        raise WarplineError(f"The start has the shape {given.shape}, not (4, 4).", where="start")
    settings = settings_of(
        quality=quality,
        smoothness=smoothness,
        start=start if given is None else None,
        appearance=appearance,
    )
    if segmenter is not None:
        if probabilities is not None:
            raise WarplineError(
                "Probabilities are given, and a segmenter that is to find them.",
                where="probabilities, segmenter",
                do="Give one of them.",
            )
        of = Segmenter.of_model(segmenter, device)
        probabilities = of(fixed), of(moving)
    found = pipeline.register(
        fixed,
        moving,
        settings,
        torch.device(device),
        given=given,
        landmarks=landmarks,
        probabilities=probabilities,
    )
    diagnostics = {
        "settings": {key: getattr(settings, key) for key in TOLD},
        **found.values,
        "stages": dict(found.seconds),
    }
    return Registration(found.field, found.inverse, found.affine, diagnostics)


TOLD = ("quality", "smoothness", "start", "appearance")


def settings_of(**chosen: Any) -> Settings:
    """The method's settings: those that are chosen, and for those that are None the schema's.

    Raises
    ------
    WarplineError
        If a value is none that the schema allows.
    """
    known = {name: value for name, value in chosen.items() if value is not None}
    part = schema("method")["properties"]["warpline"]
    try:
        return Settings(**validate(known | {"masked": MASKED}, part, "arguments of the method"))
    except WarplineError as error:
        raise WarplineError(
            error.what.replace("The configuration is", "The settings are"),
            where=error.where,
            do="Correct the values above; docs/methods/warpline.md has them all.",
        ) from error
