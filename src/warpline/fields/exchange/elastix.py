"""elastix: files ``TransformParameters.*.txt`` with those that they begin with, and its fields.

Parameters map fixed to moving points, mm, LPS. The transform named by
``InitialTransformParameterFileName`` comes first, and the two are composed, or their displacements
added, as ``HowToCombineTransforms`` says. Read are affine maps, similarities, rigid maps, shifts,
B-splines, fields and, since elastix 5.1, files of ITK. transformix' ``deformationField`` is an ITK
field. Written are an affine map, or else a field that a file of parameters names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from warpline.errors import WarplineError
from warpline.fields.affine import affine_of
from warpline.fields.exchange import itk
from warpline.fields.exchange.common import IMAGES, has_suffix, needed, one, unknown_suffix
from warpline.fields.io import from_sitk_transform, read_field, to_sitk_transform, write_field
from warpline.fields.physical import DisplacementField
from warpline.files import write_text
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk

LINE = re.compile(r"\(\s*(\w+)\s+(.*?)\s*\)\s*(?://.*)?")
VALUE = re.compile(r'"([^"]*)"|(\S+)')
INITIAL = ("InitialTransformParameterFileName", "InitialTransformParametersFileName")
NONE = ("", "NoInitialTransform")
Parameters = dict[str, list[str]]


def read(files: Sequence[str], fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """See `warpline.fields.exchange`; the grid is by default that of the registered fixed image."""
    path = one(files, "elastix")
    if has_suffix(path, IMAGES):
        return itk.read(files, fixed, moving)
    chain = read_chain(path)
    if fixed is None:
        fixed = needed(_grid(chain[-1][1]), "fixed", "the file does not tell its grid", path)
    field = None
    for file, parameters in chain:
        transform = _transform(parameters, file)
        if field is None:
            field, before = from_sitk_transform(transform, fixed), transform
            continue
        how = parameters.get("HowToCombineTransforms", ["Compose"])[0]
        if how == "Add":
            added = from_sitk_transform(transform, fixed)
            field = DisplacementField(field.vectors + added.vectors, fixed)
            before = to_sitk_transform(field)
        else:
            # A composite transform applies its last member first.
            before = sitk.CompositeTransform([transform, before])
            field = from_sitk_transform(before, fixed)
    return field


def write(path: Path, field: DisplacementField, moving: Grid | None) -> list[Path]:
    """A field as an image, or as a file of parameters for transformix."""
    if has_suffix(path, IMAGES):
        write_field(path, field)
        return [path]
    if not has_suffix(path, (".txt",)):
        raise unknown_suffix(path, "elastix", (".txt", *IMAGES))
    matrix = affine_of(field)
    written = [path]
    if matrix is not None:
        said = [
            '(Transform "AffineTransform")',
            "(NumberOfParameters 12)",
            f"(TransformParameters {_numbers([*matrix[:3, :3].ravel(), *matrix[:3, 3]])})",
            "(CenterOfRotationPoint 0 0 0)",
        ]
    else:
        image = path.with_name(f"{path.stem}.deformationField.nii.gz")
        write_field(image, field)
        written.append(image)
        said = [
            '(Transform "DeformationFieldTransform")',
            "(NumberOfParameters 0)",
            f'(DeformationFieldFileName "{image.resolve()}")',
            "(DeformationFieldInterpolationOrder 1)",
        ]
    grid = field.grid
    said += [
        '(InitialTransformParameterFileName "NoInitialTransform")',
        '(HowToCombineTransforms "Compose")',
        "(FixedImageDimension 3)",
        "(MovingImageDimension 3)",
        '(FixedInternalImagePixelType "float")',
        '(MovingInternalImagePixelType "float")',
        f"(Size {' '.join(str(n) for n in grid.shape[::-1])})",
        "(Index 0 0 0)",
        f"(Spacing {_numbers(grid.spacing)})",
        f"(Origin {_numbers(grid.origin)})",
        f"(Direction {_numbers(np.reshape(grid.direction, (3, 3)).T.ravel())})",
        '(UseDirectionCosines "true")',
        '(ResampleInterpolator "FinalLinearInterpolator")',
        '(Resampler "DefaultResampler")',
        "(DefaultPixelValue 0)",
        '(ResultImageFormat "nii.gz")',
        '(ResultImagePixelType "float")',
    ]
    write_text(path, "\n".join(said) + "\n")
    return written


def read_chain(path: Path) -> list[tuple[Path, Parameters]]:
    """A file of parameters and those before it, the first to be applied first.

    Raises
    ------
    WarplineError
        If one is missing, holds no transform, or begins with itself.
    """
    chain: list[tuple[Path, Parameters]] = []
    following: Path | None = path
    while following is not None:
        if following in [file for file, _ in chain]:
            raise WarplineError("The files of elastix begin with one another.", where=following)
        parameters = _parse(following)
        chain.insert(0, (following, parameters))
        named = next((parameters[key][0] for key in INITIAL if parameters.get(key)), "")
        following = None if named in NONE else _beside(following, named)
    return chain


def _parse(path: Path) -> Parameters:
    text = path.read_text(encoding="utf-8", errors="replace")
    found = (LINE.fullmatch(line.strip()) for line in text.splitlines())
    parameters = {m[1]: [a or b for a, b in VALUE.findall(m[2])] for m in found if m}
    if "Transform" not in parameters:
        raise WarplineError(
            "The file holds no transform of elastix.",
            where=path,
            do="Give the TransformParameters.*.txt of the last stage, or the deformationField.",
        )
    return parameters


def _beside(path: Path, named: str) -> Path:
    """A file that another one names, which may have been moved here with it."""
    choices = [Path(named), path.parent / named, path.parent / re.split(r"[/\\]", named)[-1]]
    for choice in choices:
        if choice.is_file():
            return choice
    raise WarplineError(
        f"The file begins with '{named}', which is not there.",
        where=path,
        do="Put it into the same folder.",
    )


def _transform(parameters: Parameters, path: Path) -> sitk.Transform:
    """The transform of SimpleITK that one file describes, without those before it."""
    name = parameters["Transform"][0]
    reader = READERS.get(name.removesuffix("Transform"))
    if reader is not None:
        try:
            return reader(parameters, path)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise WarplineError(
                f"The {name} of elastix cannot be read ({reason}).", where=path
            ) from error
    raise WarplineError(
        f"elastix' {name} is not read.",
        where=path,
        do="Have transformix write its field ('transformix -def all -tp …') and give that.",
    )


def _affine(parameters: Parameters, path: Path) -> sitk.Transform:
    values = _floats(parameters, "TransformParameters", 12)
    transform = sitk.AffineTransform(3)
    transform.SetCenter(_floats(parameters, "CenterOfRotationPoint", 3))
    transform.SetMatrix(values[:9])
    transform.SetTranslation(values[9:])
    return transform


def _euler(parameters: Parameters, path: Path) -> sitk.Transform:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(_floats(parameters, "CenterOfRotationPoint", 3))
    transform.SetComputeZYX(parameters.get("ComputeZYX", ["false"])[0] == "true")
    transform.SetParameters(_floats(parameters, "TransformParameters", 6))
    return transform


def _similarity(parameters: Parameters, path: Path) -> sitk.Transform:
    transform = sitk.Similarity3DTransform()
    transform.SetCenter(_floats(parameters, "CenterOfRotationPoint", 3))
    transform.SetParameters(_floats(parameters, "TransformParameters", 7))
    return transform


def _shift(parameters: Parameters, path: Path) -> sitk.Transform:
    return sitk.TranslationTransform(3, _floats(parameters, "TransformParameters", 3))


def _spline(parameters: Parameters, path: Path) -> sitk.Transform:
    """A B-spline; its coefficients lie on a grid of their own, the component slowest."""
    if parameters.get("UseCyclicTransform", ["false"])[0] == "true":
        raise ValueError("it is cyclic")
    grid = _placed(parameters, "Grid")
    values = np.array(_floats(parameters, "TransformParameters", 3 * int(np.prod(grid.shape))))
    images = [to_sitk(Image(component, grid)) for component in values.reshape(3, *grid.shape)]
    order = int(float(parameters.get("BSplineTransformSplineOrder", ["3"])[0]))
    return sitk.BSplineTransform(images, order)


def _field(parameters: Parameters, path: Path) -> sitk.Transform:
    named = _beside(path, parameters["DeformationFieldFileName"][0])
    return to_sitk_transform(read_field(named))


def _file(parameters: Parameters, path: Path) -> sitk.Transform:
    return itk.read_sitk(_beside(path, parameters["TransformFileName"][0]))


READERS = {
    "Affine": _affine,
    "Euler": _euler,
    "Similarity": _similarity,
    "Translation": _shift,
    "BSpline": _spline,
    "RecursiveBSpline": _spline,
    "DeformationField": _field,
    "File": _file,
}


def _floats(parameters: Parameters, key: str, number: int) -> list[float]:
    values = [float(value) for value in parameters[key]]
    if len(values) != number or not np.isfinite(values).all():
        raise ValueError(f"{key} has {len(values)} values, not {number} finite ones")
    return values


def _direction(parameters: Parameters, key: str) -> tuple[float, ...]:
    """elastix writes the columns of a direction one after another."""
    if key not in parameters:
        return Grid((1, 1, 1)).direction
    return tuple(np.reshape(_floats(parameters, key, 9), (3, 3)).T.ravel())


def _grid(parameters: Parameters) -> Grid | None:
    """The grid of the fixed image that was registered."""
    try:
        return _placed({"Index": ["0"] * 3, **parameters})
    except (KeyError, ValueError):
        return None


def _placed(parameters: Parameters, prefix: str = "") -> Grid:
    """The grid of the keys ``Size``, ``Spacing``, … that begin with a prefix."""
    size = [int(float(n)) for n in parameters[f"{prefix}Size"]]
    grid = Grid(
        tuple(size[::-1]),
        tuple(_floats(parameters, f"{prefix}Spacing", 3)),
        tuple(_floats(parameters, f"{prefix}Origin", 3)),
        _direction(parameters, f"{prefix}Direction"),
    )
    first = np.array(_floats(parameters, f"{prefix}Index", 3))
    return replace(grid, origin=tuple(map(float, grid.index_to_physical(first[::-1]))))


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.12g}" for value in values)
