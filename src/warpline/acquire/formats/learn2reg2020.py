"""Learn2Reg 2020: ``Training/img/hippocampus_001.nii.gz`` and ``Training/label``, ``Testing``.

A case's id is the number at the end of its image's name, or else the case sheet's ``image`` is that
name: of the abdomen the package has other numbers than the later one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from warpline.acquire.dataset import DatasetFiles
from warpline.acquire.formats.base import SUFFIX, CaseFiles, find_one, no_case
from warpline.errors import WarplineError

PARTS = ("Training", "Testing")


def locate(folder: Path, dataset: DatasetFiles, case: Mapping[str, str]) -> CaseFiles:
    """Files of a case.

    Raises
    ------
    WarplineError
        If the layout is another, if the case's image is not there, or its label map is missing
        though its part (training or test) has label maps.
    """
    root = find_one(folder, PARTS[0], "folder of training images").parent
    name = case.get("image") or case["case"]
    number = re.search(r"\d*$", name).group()
    for part in PARTS:
        image = _numbered(root / part / "img").get(number)
        if image is None:
            continue
        label_maps = _numbered(root / part / "label")
        if label_maps and number not in label_maps:
            raise WarplineError(
                f"The label map of the case '{case['case']}' is not in the archive.",
                where=root / part / "label",
                do="Take the case out of the case sheet, or fetch the archive again.",
            )
        return CaseFiles(image=image, labels=label_maps.get(number))
    known = [number for part in PARTS for number in _numbered(root / part / "img")]
    raise no_case(case["case"], known, root)


def _numbered(folder: Path) -> dict[str, Path]:
    """The images of a folder by the number at the end of their names."""
    found = {}
    for path in folder.glob(f"*{SUFFIX}"):
        number = re.search(r"\d+$", path.name.removesuffix(SUFFIX))
        if number and not path.name.startswith("._"):
            found[number.group()] = path
    return found
