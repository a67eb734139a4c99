"""What a file holds, of which program it seems to be, and what looks wrong.

Nothing is repaired here, and a file that the readers refuse is still told as far as it goes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from warpline.errors import WarplineError
from warpline.fields.exchange import conventions
from warpline.fields.exchange.common import IMAGES, has_suffix
from warpline.fields.exchange.points import ELASTIX, read_points
from warpline.images.grid import Grid
from warpline.images.nifti import is_packed, misnamed

SHEAR = 1e-4  # of a cosine between two axes, from which on ITK refuses a header
SLIGHT = 0.0175  # a degree
AGREE = 0.01  # of a voxel, by which qform and sform may differ
TRANSFORMS = (".tfm", ".txt", ".h5", ".hdf5", ".mat", ".1d")


@dataclass
class Finding:
    """What was found of a file.

    Attributes
    ----------
    kind
        ``image``, ``field``, ``affine map``, ``transform``, ``points``, or ``array``.
    facts
        Name to value, in the order in which they are told.
    seems
        The format, one of `warpline.fields.exchange.FORMATS`, and `why`; None where nothing says.
    problems
        What looks wrong, each a sentence.
    """

    path: Path
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    seems: str | None = None
    why: str = ""
    problems: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            **self.facts,
            "seems": self.seems,
            "why": self.why,
            "problems": self.problems,
        }

    def as_text(self) -> str:
        """For a terminal."""
        lines = [f"{self.path}: {self.kind}"]
        lines += [f"  {name.replace('_', ' ')}: {_text(v)}" for name, v in self.facts.items()]
        if self.why:
            lines.append(f"  seems: {self.seems or 'unknown'} ({self.why})")
        return "\n".join([*lines, *(f"  ! {problem}" for problem in self.problems)])


def inspect_file(path: Path) -> Finding:
    """What is in a file.

    Raises
    ------
    WarplineError
        If it does not exist, or nothing at all can be read of it.
    """
    if not path.is_file():
        raise WarplineError("The file does not exist.", where=path)
    name = path.name.lower()
    if name.endswith((".csv", ".tsv", ".fcsv", ".json", ".pts")) or _is_list(path):
        return _points(path)
    if name.endswith(".npz"):
        return _arrays(path)
    if has_suffix(path, TRANSFORMS):
        return _transform(path)
    if name.endswith((".nii", ".nii.gz", ".hdr", ".img")):
        return _nifti(path)
    if has_suffix(path, IMAGES):
        return _image(path)
    do = "Convert an image to .nii.gz; docs/exchange.md lists transforms."
    raise WarplineError(f"Files of the kind '{path.suffix}' are not known.", where=path, do=do)


def _is_list(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.readline(16).strip().decode(errors="replace") in ELASTIX


def _points(path: Path) -> Finding:
    points = read_points(path)
    found = Finding(path, "points", {"points": len(points.ids)})
    found.facts["names"] = ", ".join(points.ids[:5]) + (" …" if len(points.ids) > 5 else "")
    found.facts["unit"] = "voxels from 0" if points.in_voxels else "mm, LPS"
    for end, values in (("least", points.values.min(0)), ("most", points.values.max(0))):
        found.facts[end] = _rounded(values)
    return found


def _arrays(path: Path) -> Finding:
    try:
        with np.load(path, allow_pickle=False) as content:
            shapes = {name: list(content[name].shape) for name in content}
    except (OSError, ValueError) as error:
        raise WarplineError(f"The file cannot be read ({error}).", where=path) from error
    found = Finding(path, "array", {"arrays": shapes})
    for name, shape in shapes.items():
        if name == "arr_0" and len(shape) == 4 and shape[0] == 3:
            found.seems, found.why = "learn2reg", "arr_0 of three components: half resolution"
        elif 3 in (shape[-1:] or [0]) + shape[:2]:
            found.seems, found.why = "voxelmorph", f"three components in '{name}': voxels"
    return found


def _transform(path: Path) -> Finding:
    from warpline.fields.exchange import elastix, itk, matrices

    name = path.name.lower()
    if name.endswith(".1d"):
        said = ("afni", "AFNI's suffix: from base to source, mm, LPS")
        return _matrix(path, matrices.read_matrix(path), *said)
    try:
        return _itk_transform(path, itk.read_sitk(path))
    except WarplineError as error:
        unreadable = error
    if name.endswith(".txt"):
        try:
            chain = elastix.read_chain(path)
        except (WarplineError, OSError):
            chain = []
        if chain:
            found = Finding(path, "transform", seems="elastix")
            found.facts["chain"] = [p["Transform"][0] for _, p in chain]
            found.why = "parameters in brackets, the first transform first"
            return found
    try:
        matrix = matrices.read_matrix(path)
    except WarplineError:
        raise WarplineError(
            "This is none of the files that are known: neither an image nor a transform.",
            where=path,
            do="docs/exchange.md lists the files of each program.",
        ) from unreadable
    if name.endswith(".mat"):
        return _matrix(path, matrix, "fsl", "4 × 4 numbers: FLIRT's, from moving to fixed")
    return _matrix(path, matrix, "niftyreg", "4 × 4 numbers in .txt: from fixed to moving, RAS")


def _itk_transform(path: Path, transform: Any) -> Finding:
    from warpline.fields.io import matrix_of_transform

    why = "a file of ITK, from fixed to moving points, mm, LPS"
    seems = "ants" if "genericaffine" in path.name.lower() else "itk"
    if transform.IsLinear():
        return _matrix(path, matrix_of_transform(transform), seems, why)
    return Finding(path, "transform", {"class": transform.GetName()}, seems, why)


def _matrix(path: Path, matrix: np.ndarray, seems: str, why: str) -> Finding:
    found = Finding(path, "affine map", {"matrix": _rounded(matrix)}, seems, why)
    determinant = float(np.linalg.det(matrix[:3, :3]))
    found.facts["volume_ratio"] = round(determinant, 6)
    if determinant < 0:
        found.problems.append("The map mirrors (its determinant is negative).")
    if not 0.2 < abs(determinant) < 5:
        found.problems.append("The map changes volumes by more than five times: is the unit mm?")
    return found


def _image(path: Path) -> Finding:
    from warpline.images.files import read_image

    image = read_image(path)
    found = Finding(path, "image", _grid_facts(image.grid))
    found.facts["type"] = str(image.array.dtype)
    _look_at_grid(found, image.grid)
    _look_at_values(found, image.array)
    if image.array.ndim == 4 and image.array.shape[-1] == 3 and image.array.dtype != np.uint8:
        found.kind = "field"
        found.seems, found.why = "itk", "vectors of MetaImage or NRRD: displacements in mm, LPS"
        _look_at_field(found, conventions.displacements("itk", image.array, image.grid), image.grid)
    return found


def _nifti(path: Path) -> Finding:
    import nibabel

    from warpline.fields.exchange.nifti import DAMAGED, grid_of_affine

    try:
        image = _loaded(path)
        array = np.asarray(image.dataobj)
    except (*DAMAGED, nibabel.filebasedimages.ImageFileError) as error:
        raise WarplineError(f"The file cannot be read ({error}).", where=path) from error
    header = image.header
    found = Finding(path, "image")
    if not isinstance(image, nibabel.Nifti1Pair):
        found.facts["size"] = list(image.shape)
        found.problems.append("An Analyze file does not say where left and right are.")
        return found
    grid = grid_of_affine(image.affine, (*image.shape, 1, 1, 1)[:3])
    found.facts = _grid_facts(grid) | {"size": list(image.shape), "type": str(array.dtype)}
    found.facts["codes"] = f"qform {int(header['qform_code'])}, sform {int(header['sform_code'])}"
    found.facts["intent"] = (
        f"{int(header['intent_code'])} '{header['intent_name'].item().decode()}'"
    )
    if misnamed(path):
        said = "is gzip, its name does not say so" if is_packed(path) else "is no gzip"
        found.problems.append(f"The file {said}: other programs may refuse it.")
    _look_at_header(found, header, image.shape)
    _look_at_grid(found, grid)
    _look_at_values(found, array)
    shape = array.shape
    vectors = shape[-1] == 3 and (len(shape) == 4 or (len(shape) == 5 and shape[3] == 1))
    if vectors and array.dtype != np.uint8:
        found.kind = "field"
        array = array.reshape(*shape[:3], 3).transpose(2, 1, 0, 3).astype(np.float64)
        found.seems, found.why = conventions.of_nifti(path.name, header, len(shape), array, grid)
        if found.seems:
            _look_at_field(found, conventions.displacements(found.seems, array, grid), grid)
    elif len(shape) > 3 and np.prod(shape[3:]) > 1:
        found.problems.append(f"The file holds {int(np.prod(shape[3:]))} volumes, not one.")
    return found


def _loaded(path: Path) -> Any:
    """nibabel's image of a file, whether it is packed as its name says or not."""
    import nibabel

    from warpline.images import nifti

    if not path.name.lower().endswith((".nii", ".nii.gz")) or not nifti.misnamed(path):
        return nibabel.load(path)
    with nifti.unpacked(path) as stream:
        content = stream.read()
    second = int.from_bytes(content[:4], "little") in nifti.NIFTI_2
    return (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(content)


def _look_at_header(found: Finding, header: Any, shape: tuple[int, ...]) -> None:
    qcode, scode = int(header["qform_code"]), int(header["sform_code"])
    if not qcode and not scode:
        found.problems.append(
            "Neither qform nor sform says where the voxels lie; programs assume different origins "
            "and x axes."
        )
    elif qcode and scode:
        ends = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [
            *(np.array((*shape, 1, 1)[:3]) - 1),
            1,
        ]
        apart = np.abs(ends @ (header.get_qform() - header.get_sform()).T).max()
        if apart > AGREE * np.abs(header["pixdim"][1:4]).min():
            found.problems.append(
                f"qform and sform put voxels up to {apart:.3g} mm apart: ITK takes the sform if "
                "its code is 1, else the qform; nibabel, FSL and SPM take the sform."
            )
    pixdim = np.asarray(header["pixdim"][1:4], dtype=float)
    if not (np.isfinite(pixdim).all() and (pixdim > 0).all()):
        found.problems.append(f"The header's spacing is {_rounded(pixdim)}.")
    unit = header.get_xyzt_units()[0]
    if unit not in ("mm", "unknown"):
        found.problems.append(f"The header's unit is {unit}; most programs take it for mm.")


def _look_at_grid(found: Finding, grid: Grid) -> None:
    if min(grid.shape) == 1:
        found.problems.append("This is a single slice; volumes are registered.")
    direction = np.reshape(grid.direction, (3, 3))
    if not np.isfinite(direction).all():
        found.problems.append("The header's axes are no numbers, or have no length.")
        return
    if np.linalg.det(direction) < 0:
        found.facts["handedness"] = "left-handed (FSL turns the first axis of the others)"
    skew = np.abs(direction.T @ direction - np.eye(3)).max()
    if skew > SHEAR:
        what = "slightly, by less than a degree" if skew < SLIGHT else "by more than a degree"
        found.problems.append(
            f"The axes are not at right angles ({what}): ITK refuses such a file; warpline "
            + ("takes the nearest right ones." if skew <= SLIGHT else "does, too.")
        )
    axes = np.abs(direction).max(axis=0)
    oblique = float(np.degrees(np.arccos(np.clip(axes, 0, 1)).max()))
    found.facts["oblique_degrees"] = round(oblique, 2)


def _look_at_values(found: Finding, array: np.ndarray) -> None:
    if array.dtype.kind in "fc":
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            found.problems.append(f"{bad} values are no finite numbers.")
    if array.dtype.names or array.dtype.kind in "cV":
        found.problems.append(f"Values are of the type {array.dtype}, not one number each.")
    if array.dtype == np.uint8 and array.ndim > 3 and array.shape[-1] in (3, 4):
        found.problems.append(f"A voxel has {array.shape[-1]} bytes: a colour, or several masks.")


def _look_at_field(found: Finding, field: np.ndarray | None, grid: Grid) -> None:
    """Lengths and folds of displacements (z, y, x, 3) in mm, LPS."""
    from warpline.fields.physical import DisplacementField

    if field is None or not np.isfinite(field).any():
        return
    length = np.linalg.norm(np.nan_to_num(field), axis=-1)
    found.facts["displacement_mm"] = f"{length.mean():.3g} (mean), {length.max():.3g} (largest)"
    if length.max() == 0:
        found.problems.append("The field moves nothing.")
    if min(grid.shape) >= 3 and np.isfinite(field).all():
        folds = int((DisplacementField(field, grid).jacobian_determinant() <= 0).sum())
        found.facts["folds"] = folds
        if folds:
            found.problems.append(f"The field folds at {folds} voxels (if it is of {found.seems}).")
    extent = float(np.linalg.norm(np.multiply(grid.shape[::-1], grid.spacing)))
    if length.mean() > extent:
        found.problems.append(
            "Displacements are longer than the image: positions, or another unit?"
        )


def _grid_facts(grid: Grid) -> dict[str, Any]:
    return {
        "voxels": list(grid.shape[::-1]),
        "spacing_mm": _rounded(np.array(grid.spacing)),
        "origin_lps_mm": _rounded(np.array(grid.origin)),
        "direction": _rounded(np.reshape(grid.direction, (3, 3))),
    }


def _rounded(values: np.ndarray) -> Any:
    return np.round(np.asarray(values, dtype=float), 6).tolist()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
