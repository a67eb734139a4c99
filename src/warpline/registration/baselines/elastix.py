"""Registration by elastix (Klein et al. 2010, IEEE TMI 29:196), from its own parameter files."""

from __future__ import annotations

import os
from pathlib import Path

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.elastix import parameter_object, run_elastix
from warpline.fields.io import from_elastix
from warpline.fields.physical import DisplacementField
from warpline.plan.recipe import Parameters
from warpline.registration.baselines.tools import check_finite, tool_run


def register(
    fixed: Case, moving: Case, parameters: Parameters, *, threads: int, seed: int
) -> DisplacementField:
    """Registration of a pair by one or more stages of elastix.

    Parameters
    ----------
    fixed, moving
        The cases.
    parameters
        ``files``: paths of elastix parameter files, one a stage. ``masked``: whether to look only
        inside the masks of cases that have them (default true), or only inside the mask of the
        ``fixed`` case. Any other key replaces an elastix parameter in every stage (a value, or a
        list of values).
    threads
        Number of threads. The result depends on it: each thread sums a part of the samples.
    seed
        Of elastix' random sampling.

    Raises
    ------
    WarplineError
        If no parameter file is given, one cannot be read, or elastix fails.
    """
    changes = {**parameters}
    files = changes.pop("files", [])
    masked = changes.pop("masked", True)
    changes = {"RandomSeed": seed, "WriteResultImage": False} | changes
    stages = _parameter_object([Path(file) for file in files], changes)
    options = {}
    for name, case in (("fixed", fixed), ("moving", moving)):
        check_finite("elastix", f"{name} {case.id}", case.image)
        if masked in (True, name) and case.mask is not None:
            options[f"{name}_mask"] = case.mask
    with tool_run("elastix", fixed.id, moving.id) as folder:
        result = run_elastix(
            fixed.image,
            moving.image,
            stages,
            threads=threads,
            output_directory=os.fspath(folder),
            log_to_file=True,
            log_file_name="elastix.log",
            **options,
        )
        return from_elastix(result, fixed.image.grid)


def _parameter_object(files: list[Path], changes: Parameters):
    if not files:
        raise WarplineError(
            "elastix needs at least one parameter file.",
            where="parameter_files",
            do="Name one, such as config/methods/elastix-bspline.txt.",
        )
    stages = parameter_object()
    for file in files:
        if not file.exists():
            raise WarplineError("The elastix parameter file does not exist.", where=file)
        try:
            stages.AddParameterFile(os.fspath(file))
        except RuntimeError as error:
            raise WarplineError(
                f"The elastix parameter file cannot be read ({str(error).splitlines()[-1]}).",
                where=file,
            ) from error
    for key, value in changes.items():
        values = value if isinstance(value, list | tuple) else [value]
        for stage in range(len(files)):
            stages.SetParameter(stage, key, [_text(item) for item in values])
    return stages


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
