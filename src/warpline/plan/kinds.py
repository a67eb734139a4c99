"""What the configuration chooses by name, and which definition does it.

Each is imported where it is used; here are only names, for the plan and for who uses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warpline.plan.recipe import Step
from warpline.plan.rivals import INCLUDED, PROGRAMS, definitions

# Preparation: the steps of a dataset's ``prepare`` list.
_STEPS = {
    "geometry": (
        "centre_frame", "crop_to_mask", "crop_to_shape", "orient", "pad_crop", "resample", "resize",
        "unit_frame",
    ),
    "intensity": ("clip", "clip_background", "rescale", "window", "zscore"),
    "masks": ("harmonise", "labels_of_mask", "mask_of_labels", "segment_lungs"),
}  # fmt: skip
STEPS = {
    name: f"warpline.cases.steps.{module}:{name}"
    for module, names in _STEPS.items()
    for name in names
}

# Methods, by ``kind``: who registers by one neither loads the others nor depends on their code.
_BASELINE = "warpline.registration.baselines:Baseline"
_RIVAL = "warpline.registration.rivals:Rival"
REGISTRARS = {
    "identity": _BASELINE,
    "affine": _BASELINE,
    "elastix": _BASELINE,
    "syn": _BASELINE,
    "network": "warpline.registration.network:NetworkRegistrar",
    "through_atlas": "warpline.registration.through_atlas:AtlasRegistrar",
    "embedding": "warpline.registration.embedding.registrar:EmbeddingRegistrar",
    "warpline": "warpline.registration.variational.registrar:VariationalRegistrar",
    **dict.fromkeys((*INCLUDED, *PROGRAMS), _RIVAL),
}

# The method that moves nothing, which the others are compared with.
UNREGISTERED = "identity"

# Terms of a registration's loss, by ``loss.similarity.name`` and ``loss.regularisation.name``.
SIMILARITIES = {
    "local_ncc": "warpline.training.losses:local_ncc",
    "mse": "warpline.training.losses:mean_squared_error",
    "cc": "warpline.training.losses:correlation",
}
REGULARISERS = {
    name: f"warpline.training.regularisers:{name}"
    for name in ("identity_gradients", "displacement_gradient", "velocity_prior")
}

# Generated datasets, by ``phantom.kind``.
PHANTOMS = {
    "abdomen": "warpline.phantoms.providers.learn2reg:write_abdomen",
    "abdomen-2020": "warpline.phantoms.providers.learn2reg:write_abdomen_2020",
    "dirlab-4dct": "warpline.phantoms.providers.dirlab:write_4dct",
    "dirlab-copd": "warpline.phantoms.providers.dirlab:write_copd",
    "followup": "warpline.phantoms.providers.followup:write_followup",
    "hippocampus": "warpline.phantoms.providers.msd_hippocampus:write_hippocampus",
    "kits19": "warpline.phantoms.providers.kits19:write_kits19",
    "learn2reg-lung": "warpline.phantoms.providers.learn2reg_lung:write_learn2reg_lung",
    "luna16": "warpline.phantoms.providers.luna16:write_luna16",
    "msd-colon": "warpline.phantoms.providers.msd:write_colon",
    "msd-hepaticvessel": "warpline.phantoms.providers.msd:write_hepatic_vessel",
    "msd-liver": "warpline.phantoms.providers.msd:write_liver",
    "msd-pancreas": "warpline.phantoms.providers.msd:write_pancreas",
    "msd-spleen": "warpline.phantoms.providers.msd:write_spleen",
    "oasis": "warpline.phantoms.providers.neurite_oasis:write_oasis",
    "subjects": "warpline.phantoms.providers.folder:write_subjects",
    "tcia-pancreas": "warpline.phantoms.providers.tcia_pancreas:write_tcia_pancreas",
}


def tool_definitions(kind: str) -> list[str]:
    """The definitions that register by a kind of baseline or rival."""
    if REGISTRARS[kind] == _RIVAL:
        return definitions(kind)
    return [f"warpline.registration.baselines.{kind}"]


def step_definitions(steps: Iterable[Step]) -> list[str]:
    """The definitions of the steps of a ``prepare`` list that are known."""
    names = dict.fromkeys(name for step in steps for name in step)
    return [STEPS[name] for name in names if name in STEPS]


@dataclass(frozen=True)
class Figure:
    """A kind of figure, one module of `warpline.figures`.

    Attributes
    ----------
    draw
        The function that draws it, ``module:function``.
    sources
        What it draws from: each keyword of `draw`, and the question to the run that
        answers it (`warpline.plan.inputs.figures.SOURCES`).
    """

    draw: str
    sources: Mapping[str, str]


def _figure(module: str, **sources: str) -> Figure:
    return Figure(f"warpline.figures.{module}:draw", sources)


_OF_RECORDS = {"records": "records", "colours": "colours"}
_OF_FIELDS = {
    "records": "records",
    "folders": "case folders",
    "fields": "fields",
    "unit": "unit",
}
FIGURES = {
    "architecture": _figure("architecture", network="network", shape="grid shape"),
    "axis_scatter": _figure("axis_scatter", **_OF_RECORDS, published="published, each axis"),
    "boxplot": _figure("boxplots", **_OF_RECORDS, published="published"),
    "differences": _figure("differences", **_OF_FIELDS, intensity="intensity"),
    "distributions": _figure("distributions", **_OF_RECORDS, published="published, each metric"),
    "embedding": _figure("embedding", **_OF_FIELDS),
    "exploration": _figure("exploration", exploration="exploration", slices="slices"),
    "landmarks": _figure("landmarks", **_OF_FIELDS),
    "noisy_labels": _figure(
        "noisy_labels",
        folders="case folders",
        tables="tables of organs",
        limits="limits of organs",
    ),
    "registration": _figure("registration", **_OF_FIELDS, labels="labels"),
    "residuals": _figure("residuals", **_OF_RECORDS, published="published, landmarks"),
    "synthetic": _figure("synthetic", folder="case folder"),
}
# Beside them each paper with a training has its learning curves.
LEARNING = "warpline.figures.learning:draw"
# What tells each of them how it is drawn.
FIGURE_ENTRY = "warpline.figures.entry:FigureEntry"
