"""The programs elastix and transformix of the package itk-elastix, without the rest of ITK.

``itk.ElastixRegistrationMethod`` loads a thousand modules of ITK's filters for its defaults and
its docstrings: 17 seconds of CPU, ten times a small registration. Its classes by themselves need
the modules that they are made of: two seconds. They are the same classes and give the same fields.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image

if TYPE_CHECKING:
    import itk

# Voxels' types, by their NumPy names, as they stand in the classes' names.
TYPES = {"uint8": "UC", "uint16": "US", "int16": "SS", "float32": "F", "float64": "D"}


def parameter_object() -> itk.ParameterObject:
    """Parameter maps of elastix, none yet."""
    _without_torch()
    from itk.elxParameterObjectPython import elastixParameterObject

    return elastixParameterObject.New()


def run_elastix(
    fixed: Image,
    moving: Image,
    parameters: itk.ParameterObject,
    *,
    threads: int,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    **options: Any,
) -> itk.ParameterObject:
    """The transforms of elastix, a map a stage.

    Parameters
    ----------
    fixed, moving
        The images; of two types of voxels, both are taken as float32.
    parameters
        A parameter map a stage.
    threads
        Number of threads. ITK reads it once from the environment and keeps it.
    fixed_mask, moving_mask
        Where to look, if not everywhere.
    options
        Others of ``itk.elastix_registration_method``, such as ``output_directory``.

    Raises
    ------
    RuntimeError
        If elastix fails.
    """
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    _without_torch()
    from itk import itkElastixRegistrationMethodPython as module
    from itk.ITKCommonBasePython import itkMultiThreaderBase

    # elastix' own `number_of_threads` crashes the interpreter.
    itkMultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
    kind = _kind(fixed)
    if _kind(moving) != kind:  # one of them has been resampled, say
        fixed, moving = (Image(i.array.astype(np.float32), i.grid) for i in (fixed, moving))
        kind = _kind(fixed)
    for name, mask in (("fixed_mask", fixed_mask), ("moving_mask", moving_mask)):
        if mask is not None:
            options[name] = to_itk(mask)
    program = getattr(module, f"itkElastixRegistrationMethod{kind}{kind}").New(
        to_itk(fixed), to_itk(moving), parameter_object=parameters, **options
    )
    program.UpdateLargestPossibleRegion()
    return program.GetTransformParameterObject()


def run_transformix(
    grid: Grid, parameters: itk.ParameterObject, folder: str | os.PathLike
) -> tuple[np.ndarray, Grid]:
    """Displacements of transforms of elastix, (z, y, x, 3) in mm, and the grid that they lie on.

    transformix asks for a moving image even where none is needed: it is given one of zeros on
    `grid`. The grid that comes back is the one that the transforms name. `folder` is for its log.

    Raises
    ------
    RuntimeError
        If transformix fails.
    """
    _without_torch()
    import itk
    from itk.itkTransformixFilterPython import itkTransformixFilterIF3

    program = itkTransformixFilterIF3.New(
        to_itk(Image(np.zeros(grid.shape, np.float32), grid)),
        transform_parameter_object=parameters,
        output_directory=os.fspath(folder),
    )
    program.SetComputeDeformationField(True)
    program.UpdateLargestPossibleRegion()
    field = program.GetOutputDeformationField()
    return itk.array_from_image(field), _grid(field)


def to_itk(image: Image) -> itk.Image:
    """An `Image` as an image of the `itk` package, a mask as bytes."""
    import itk

    array = image.array.astype(np.uint8) if image.array.dtype == bool else image.array
    result = itk.image_from_array(np.ascontiguousarray(array))
    result.SetSpacing(image.grid.spacing)
    result.SetOrigin(image.grid.origin)
    result.SetDirection(itk.matrix_from_array(np.array(image.grid.direction).reshape(3, 3)))
    return result


def _grid(image: itk.Image) -> Grid:
    import itk

    return Grid(
        tuple(int(n) for n in itk.size(image))[::-1],
        tuple(image.GetSpacing()),
        tuple(image.GetOrigin()),
        tuple(itk.array_from_matrix(image.GetDirection()).ravel()),
    )


def _kind(image: Image) -> str:
    name = str(image.array.dtype)
    if name not in TYPES:
        raise WarplineError(
            f"elastix cannot register an image of {name}.",
            where="image",
            do="Convert it to float32.",
        )
    return f"I{TYPES[name]}3"


def _without_torch() -> None:
    """ITK's functions take tensors where torch is there, and load it for that: they get none."""
    from itk.support import helpers

    helpers._HAVE_TORCH = False
