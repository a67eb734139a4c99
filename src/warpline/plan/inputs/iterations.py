"""Iterations that settings of elastix and SyN ask for, at the most: what their time goes by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpline.plan.catalog import Catalog, remembered
from warpline.plan.inputs.cases import alignment, alignment_parameters
from warpline.plan.inputs.register import parameter_files
from warpline.plan.run import Run

# Of elastix where a file does not say it, and of ants.registration.
RESOLUTIONS, ITERATIONS = 3, 500
LEVELS, METRIC = (40, 20, 0), "mattes"
PENALTY = "TransformBendingEnergyPenalty"  # takes longer than a similarity of 2048 samples
ENTRY = re.compile(r"^\s*\((\w+)\s+([^)]*)\)", re.MULTILINE)


@dataclass(frozen=True)
class Iterations:
    """Of one pair.

    Attributes
    ----------
    samples
        Those that look at a number of samples, however large the images are (elastix).
    penalised
        Those of them that also price the bending of a B-spline.
    voxels
        Those that look at every voxel (SyN): of a level with half as many points along each axis
        one counts as an eighth.
    metric
        Of SyN.
    """

    samples: float = 0.0
    penalised: float = 0.0
    voxels: float = 0.0
    metric: str = METRIC

    def seconds(self, rate: Mapping[str, Any]) -> tuple[float, float]:
        """By a rate of config/budget.yaml: seconds of a pair, and of a million voxels of it."""
        of_pair = self.samples * rate.get("iteration", 0) + self.penalised * rate.get("penalty", 0)
        return of_pair, self.voxels * rate.get(self.metric, rate.get(METRIC, 0))


def iterations(run: Run, method: str) -> Iterations:
    """What a method's settings ask for; nothing of other kinds than ``elastix`` and ``syn``."""
    spec = run.catalog.method(method)
    if spec["kind"] == "elastix":
        return _of_files(run.catalog, method, *parameter_files(run, method))
    return of_syn(spec["parameters"]) if spec["kind"] == "syn" else Iterations()


def of_alignment(run: Run, dataset: str) -> Iterations:
    """What the alignment of a dataset's cases asks of elastix; nothing of ANTs."""
    if alignment(run, dataset)["tool"] != "elastix":
        return Iterations()
    return _of_alignment(run.catalog, dataset, *alignment_parameters(run, dataset))


@remembered
def _of_files(catalog: Catalog, method: str, *files: str) -> Iterations:
    return of_elastix(_texts(files), catalog.method(method)["parameters"])


@remembered
def _of_alignment(catalog: Catalog, dataset: str, *files: str) -> Iterations:
    return of_elastix(_texts(files), catalog.dataset(dataset).spec["prealign"]["parameters"])


def _texts(files: Sequence[str]) -> list[str]:
    return [Path(path).read_text(encoding="utf-8", errors="replace") for path in files]


def of_elastix(texts: Sequence[str], parameters: Mapping[str, Any]) -> Iterations:
    """Of parameter files, one after the other; `parameters` stand before what any of them says."""
    samples = penalised = 0.0
    for text in texts:
        said = {name: values.split() for name, values in ENTRY.findall(text)}
        resolutions = int(_values(said, parameters, "NumberOfResolutions", RESOLUTIONS)[0])
        each = [
            float(n) for n in _values(said, parameters, "MaximumNumberOfIterations", ITERATIONS)
        ]
        # One number holds for every resolution; of several the last one for those that have none.
        each = (each + [each[-1]] * resolutions)[:resolutions]
        samples += sum(each)
        if f'"{PENALTY}"' in said.get("Metric", []):
            penalised += sum(each)
    return Iterations(samples=samples, penalised=penalised)


def of_syn(parameters: Mapping[str, Any]) -> Iterations:
    """Of arguments of ``ants.registration``, whose levels halve the points of the one before."""
    levels = parameters.get("reg_iterations", LEVELS)
    count = sum(n / 8**coarse for coarse, n in enumerate(reversed(levels)))
    return Iterations(voxels=count, metric=parameters.get("syn_metric", METRIC))


def _values(
    said: Mapping[str, list[str]], parameters: Mapping[str, Any], name: str, otherwise: int
) -> list[Any]:
    value = parameters.get(name, said.get(name, otherwise))
    return list(value) if isinstance(value, list | tuple) else [value]
