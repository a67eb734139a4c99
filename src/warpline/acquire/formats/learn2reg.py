"""Learn2Reg since 2021: ``<Name>/<Name>_dataset.json``, ``imagesTr``, ``labelsTr``, ``masksTr`` ….

A case's id is ``0001`` for ``<Name>_0001_0000.nii.gz``, or ``0001_0001`` where one number stands
for several images (phases, modalities).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import (
    SUFFIX,
    CaseFiles,
    existing,
    find_one,
    no_case,
    read_description,
)
from warpline.errors import WarplineError


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case. Landmarks by readers are preferred to automatic keypoints.

    Raises
    ------
    WarplineError
        If the description is missing or broken, if the case's image is not there, or its label map
        is missing though the package has label maps for its part (training or test).
    """
    path = find_one(folder, "*_dataset.json", "description of a Learn2Reg task")
    read_description(path)
    root, name = path.parent, path.name.removesuffix("_dataset.json")
    number, _, modality = case["case"].partition("_")
    stem = f"{name}_{number}_{modality or '0000'}"
    image = _first(root, ("imagesTr", "imagesTs"), (stem,), SUFFIX)
    if image is None:
        raise no_case(case["case"], _ids(root, name), path)
    part = image.parent.name[-2:]
    # Packages before 2022 name what belongs to an image without its modality.
    stems = (stem, f"{name}_{number}") if not modality else (stem,)
    labels = _first(root, (f"labels{part}",), stems, SUFFIX)
    if labels is None and dataset.labels and (root / f"labels{part}").is_dir():
        raise WarplineError(
            f"The label map of the case '{case['case']}' is not in the archive.",
            where=root / f"labels{part}" / f"{stem}{SUFFIX}",
            do="Take the case out of the case sheet, or fetch the archive again.",
        )
    return CaseFiles(
        image=image,
        labels=labels,
        mask=_first(root, (f"masks{part}",), stems, SUFFIX),
        landmarks=_first(root, (f"landmarks{part}", f"keypoints{part}"), stems, ".csv"),
        landmarks_in="voxel",
    )


def _first(
    root: Path, folders: tuple[str, ...], stems: tuple[str, ...], suffix: str
) -> Path | None:
    candidates = (root / folder / f"{stem}{suffix}" for folder in folders for stem in stems)
    return next(filter(existing, candidates), None)


def _ids(root: Path, name: str) -> list[str]:
    """Case ids of all images, without the modality where it is the first."""
    files = root.glob(f"images*/{name}_*{SUFFIX}")
    stems = (file.name.removesuffix(SUFFIX).removeprefix(f"{name}_") for file in files)
    return sorted(stem.removesuffix("_0000") for stem in stems)
