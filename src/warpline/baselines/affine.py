"""Affine registration by ANTs, as a baseline and as the alignment of a dataset to one case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk

from warpline.baselines.ants_tools import run
from warpline.fields.io import matrix_of_transform
from warpline.fields.physical import DisplacementField
from warpline.images import Image
from warpline.preprocess import Case


def register(
    fixed: Case, moving: Case, parameters: Mapping[str, Any], *, threads: int, seed: int
) -> DisplacementField:
    """Affine registration of a pair.

    Parameters
    ----------
    fixed, moving
        The cases.
    parameters
        Arguments of ``ants.registration`` (``type_of_transform``: Translation, Rigid, Similarity
        or Affine, the default) and ``masked``.
    threads
        Not used: ANTs repeats itself on one thread only.
    seed
        Of ANTs' random sampling.

    Raises
    ------
    WarplineError
        For an unknown parameter or an error of ANTs.
    """
    return DisplacementField.from_matrix(_matrix(fixed, moving, parameters, seed), fixed.image.grid)


def prealign(
    moving: Image,
    reference: Image,
    *,
    transform: str = "Affine",
    moving_mask: Image | None = None,
    reference_mask: Image | None = None,
    seed: int = 0,
    names: tuple[str, str] = ("moving", "reference"),
) -> np.ndarray:
    """Affine alignment of an image to a reference.

    Parameters
    ----------
    moving, reference
        The images, each on a grid of its own.
    transform
        Translation, Rigid, Similarity or Affine.
    moving_mask, reference_mask
        Where to look; everywhere if None.
    seed
        Of ANTs' random sampling.
    names
        What to call the two images in an error.

    Returns
    -------
    numpy.ndarray
        (4, 4) float64, homogeneous, mm, LPS: takes points of the *reference* to points of
        `moving`. The aligned image samples `moving` there; points of `moving`, as landmarks, go
        to the reference by the inverse.
    """
    return _matrix(
        Case(names[1], reference, mask=reference_mask),
        Case(names[0], moving, mask=moving_mask),
        {"type_of_transform": transform},
        seed,
    )


def _matrix(fixed: Case, moving: Case, parameters: Mapping[str, Any], seed: int) -> np.ndarray:
    options = {"type_of_transform": "Affine", **parameters}

    def use(files: list[str]) -> np.ndarray:
        # ANTs lists the last stage first, and the first applies to points first.
        matrix = np.eye(4)
        for file in files:
            matrix = matrix_of_transform(sitk.ReadTransform(file)) @ matrix
        return matrix

    return run(fixed, moving, options, use, seed=seed)
