"""Phantom abdomens packed as tasks of the Medical Segmentation Decathlon, each with its labels."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from warpline.files import atomic_path
from warpline.phantoms.anatomy import abdomen
from warpline.phantoms.anatomy.abdomen import organs
from warpline.phantoms.anatomy.abdomen.phases import PHASES
from warpline.phantoms.providers.clinical import Protocol, clinical_scan, organ, turned
from warpline.phantoms.providers.mirror import add_member, enter_checksum, nifti
from warpline.phantoms.providers.request import Phantom

PORTAL = ("portal-venous",)


@dataclass(frozen=True)
class Task:
    """A task of the Decathlon.

    Attributes
    ----------
    labels
        Names of the values from 1 on.
    parts
        Where each value is, later ones over earlier ones.
    axes
        How the images are stored, one of which a scan has.
    """

    name: str
    stem: str
    labels: tuple[str, ...]
    parts: Callable[[abdomen.Scan], tuple[np.ndarray, ...]]
    protocol: Protocol
    axes: tuple[str, ...] = ("RAS",)


def _other(scan: abdomen.Scan, value: int) -> np.ndarray:
    return scan.others.array == value


LIVER = Task(
    "Task03_Liver",
    "liver",
    ("liver", "cancer"),
    lambda scan: (organ(scan, "liver"), _other(scan, organs.LIVER_TUMOUR)),
    # From many clinics.
    Protocol(tuple(PHASES), ("liver",)),
    ("RAS", "LAS"),
)
PANCREAS = Task(
    "Task07_Pancreas",
    "pancreas",
    ("pancreas", "cancer"),
    lambda scan: (organ(scan, "pancreas"), _other(scan, organs.PANCREAS_TUMOUR)),
    Protocol(PORTAL, ("pancreas",)),
)
HEPATIC_VESSEL = Task(
    "Task08_HepaticVessel",
    "hepaticvessel",
    ("vessel", "tumour"),
    lambda scan: (_other(scan, organs.HEPATIC_VESSEL), _other(scan, organs.LIVER_TUMOUR)),
    Protocol(PORTAL, ("liver",), bottom=(-180.0, -80.0)),
)
SPLEEN = Task(
    "Task09_Spleen",
    "spleen",
    ("spleen",),
    lambda scan: (organ(scan, "spleen"),),
    Protocol(PORTAL),
)
COLON = Task(
    "Task10_Colon",
    "colon",
    ("colon cancer primaries",),
    lambda scan: (_other(scan, organs.COLON_TUMOUR),),
    # Down to the rectum.
    Protocol(PORTAL, ("colon",), bottom=(-290.0, -270.0)),
)


def write_task(
    task: Task, phantom: Phantom, cases: Sequence[Mapping[str, str]], folder: Path
) -> list[Path]:
    """``<Task>.tar`` with a phantom for each case; the split ``test`` has no labels.

    Parameters
    ----------
    phantom
        Its parameters are the keyword arguments of `clinical.clinical_scan`.

    Raises
    ------
    WarplineError
        If a parameter is unknown or not possible.
    """
    make = phantom.maker(clinical_scan)
    stems = {row["case"]: f"{task.stem}_{row['case']}.nii.gz" for row in cases}
    tests = {row["case"] for row in cases if row.get("split") == "test"}
    training = [stem for case, stem in stems.items() if case not in tests]
    description = {
        "name": task.stem,
        "description": "Phantom of the abdomen in CT",
        "reference": "warpline.phantoms.anatomy.abdomen",
        "licence": "none: synthetic",
        "release": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {str(n): name for n, name in enumerate(("background", *task.labels))},
        "numTraining": len(training),
        "numTest": len(tests),
        "training": [
            {"image": f"./imagesTr/{stem}", "label": f"./labelsTr/{stem}"} for stem in training
        ],
        "test": [f"./imagesTs/{stems[case]}" for case in stems if case in tests],
    }
    path = folder / f"{task.name}.tar"
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        add_member(tar, f"{task.name}/dataset.json", json.dumps(description, indent=1).encode())
        for case, stem in stems.items():
            seed = phantom.seed_of(f"{task.name}/{case}")
            scan = make(seed, task.protocol)
            axes = task.axes[seed[1] % len(task.axes)]
            part = "Ts" if case in tests else "Tr"
            add_member(tar, f"{task.name}/images{part}/{stem}", nifti(turned(scan.image, axes)))
            if case not in tests:
                labels = turned(scan.labels.with_array(label_map(task, scan)), axes)
                add_member(tar, f"{task.name}/labelsTr/{stem}", nifti(labels))
    enter_checksum(path)
    return [path]


def label_map(task: Task, scan: abdomen.Scan) -> np.ndarray:
    """What the task labels, by its own numbers, (z, y, x) uint8."""
    labels = np.zeros(scan.labels.array.shape, np.uint8)
    for value, where in enumerate(task.parts(scan), start=1):
        labels[where] = value
    return labels


write_liver = partial(write_task, LIVER)
write_pancreas = partial(write_task, PANCREAS)
write_hepatic_vessel = partial(write_task, HEPATIC_VESSEL)
write_spleen = partial(write_task, SPLEEN)
write_colon = partial(write_task, COLON)
