"""Affine registration by ANTs as a baseline; alignment of a dataset to one case, by two tools."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.io import matrix_of_transform
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Image
from warpline.plan.recipe import Parameters
from warpline.registration.baselines import elastix
from warpline.registration.baselines.ants_tools import run
from warpline.registration.baselines.shift import best_shift

# ANTs' own levels, for scans of 1 or 2 mm: shrink factor, smoothing, most iterations.
LEVELS = ((6, 3, 2100), (4, 2, 1200), (2, 1, 1200), (1, 0, 10))
# Along the longest side of the coarser levels: with fewer, a good start is lost again.
LEAST_VOXELS = 32
SAMPLES = 200_000  # voxels that are compared, where the image has as many
NOT_AFFINE = 0.05  # mm by which no voxel may miss the matrix


def register(
    fixed: Case, moving: Case, parameters: Parameters, *, threads: int, seed: int
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
    tool: str = "ants",
    transform: str = "Affine",
    parameter_files: Sequence[str | os.PathLike] = (),
    parameters: Parameters | None = None,
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
    tool
        ``ants`` or ``elastix``.
    transform
        Of ANTs: Translation, Rigid, Similarity or Affine. A translation is searched everywhere
        first, by `best_shift`; the others begin at the centres of mass.
    parameter_files
        Of elastix, one a stage; all of them linear transforms.
    parameters
        Of elastix, in place of those in the files.
    moving_mask, reference_mask
        Where to look; everywhere if None.
    seed
        Of the tool's random sampling.
    names
        What to call the two images in an error.

    Returns
    -------
    numpy.ndarray
        (4, 4) float64, homogeneous, mm, LPS: takes points of the *reference* to points of
        `moving`. The aligned image samples `moving` there; points of `moving`, as landmarks, go
        to the reference by the inverse.

    Raises
    ------
    WarplineError
        For an error of the tool, or parameter files of a transform that is not linear.
    """
    fixed = Case(names[1], reference, mask=reference_mask)
    other = Case(names[0], moving, mask=moving_mask)
    if tool == "ants" and transform == "Translation":
        return _translation(fixed, other, seed)
    if tool == "ants":
        return _matrix(fixed, other, {"type_of_transform": transform}, seed)
    options = {**(parameters or {}), "files": list(parameter_files)}
    field = elastix.register(fixed, other, options, threads=1, seed=seed)
    return _matrix_of_field(field, names[0])


def _matrix_of_field(field: DisplacementField, name: str) -> np.ndarray:
    """The matrix (4, 4) of a field that is linear."""
    # A few planes of voxels along each axis, the outermost among them.
    some = np.ix_(*(np.unique(np.linspace(0, n - 1, 7).astype(int)) for n in field.grid.shape))
    points = field.grid.index_to_physical(field.grid.indices()[some]).reshape(-1, 3)
    targets = points + field.vectors[some].reshape(-1, 3)
    # About the middle, where the products lose the least.
    middle = points.mean(axis=0)
    columns = np.c_[points - middle, np.ones(len(points))]
    solution = np.linalg.lstsq(columns, targets, rcond=None)[0]
    worst = float(np.abs(columns @ solution - targets).max())
    if worst > NOT_AFFINE:
        raise WarplineError(
            f"The alignment of '{name}' is not affine: voxels miss the matrix by {worst:.2g} mm.",
            where="key 'prealign.parameter_files' of the dataset",
            do="Name parameter files with a linear transform, such as AffineTransform.",
        )
    matrix = np.eye(4)
    matrix[:3, :3] = solution[:3].T
    matrix[:3, 3] = solution[3] - matrix[:3, :3] @ middle
    return matrix


def _translation(fixed: Case, moving: Case, seed: int) -> np.ndarray:
    """The matrix (4, 4) of ANTs' translation, begun where the images are most alike."""
    shift = best_shift(fixed.image, moving.image)
    grid = moving.image.grid
    nearer = replace(grid, origin=tuple(map(float, np.subtract(grid.origin, shift))))
    image, mask = (
        None if part is None else Image(part.array, nearer) for part in (moving.image, moving.mask)
    )
    whole = fixed.image.array
    fine = [level for level in LEVELS[:-2] if max(whole.shape) >= LEAST_VOXELS * level[0]]
    factors, smoothing, iterations = zip(*fine, *LEVELS[-2:], strict=True)
    options = {
        "type_of_transform": "Translation",
        "aff_shrink_factors": factors,
        "aff_smoothing_sigmas": smoothing,
        "aff_iterations": iterations,
        "aff_random_sampling_rate": float(np.clip(SAMPLES / whole.size, 0.2, 1)),
    }
    rest = _matrix(fixed, replace(moving, image=image, mask=mask), options, seed, start="Identity")
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix @ rest


def _matrix(
    fixed: Case,
    moving: Case,
    parameters: Parameters,
    seed: int,
    start: str | None = None,
) -> np.ndarray:
    options = {"type_of_transform": "Affine", **parameters}

    def use(files: list[str]) -> np.ndarray:
        # ANTs lists the last stage first, and the first applies to points first.
        matrix = np.eye(4)
        for file in files:
            matrix = matrix_of_transform(sitk.ReadTransform(file)) @ matrix
        return matrix

    return run(fixed, moving, options, use, seed=seed, start=start)
