"""Folders that a ``dataset.json`` describes: Decathlon, nnU-Net and Learn2Reg."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.acquire.discover.found import Found, Scan
from warpline.acquire.discover.words import suffix_of
from warpline.acquire.names import inside
from warpline.errors import WarplineError

FIRST = "_0000"  # the first channel of an image


def decathlon(folder: Path) -> Found | None:
    """A task of the Medical Segmentation Decathlon: the images of ``training``."""
    path = folder / "dataset.json"
    described = _description(path)
    if described is None or not isinstance(described.get("training"), list):
        return None
    scans = []
    for entry in described["training"]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("image"), str):
            raise _broken(path, f"an entry of 'training' names no image: {entry!r}")
        scans.append(_scan(folder, entry, _stem(entry["image"])))
    channels = described.get("modality")
    several = (
        (f"Images have {len(channels)} channels; only single ones can be registered.",)
        if isinstance(channels, Mapping) and len(channels) > 1
        else ()
    )
    return Found(folder, "a task of the Decathlon", tuple(scans), _names(described, path), several)


def nnunet(folder: Path) -> Found | None:
    """A dataset of nnU-Net: ``imagesTr/<case>_0000.<ending>`` and ``labelsTr/<case>.<ending>``."""
    path = folder / "dataset.json"
    described = _description(path)
    if described is None or "channel_names" not in described:
        return None
    ending = str(described.get("file_ending", ".nii.gz"))
    scans = []
    for image in sorted((folder / "imagesTr").glob(f"*{FIRST}{ending}")):
        case = image.name.removesuffix(ending).removesuffix(FIRST)
        labels = folder / "labelsTr" / f"{case}{ending}"
        relative = str(labels.relative_to(folder)) if labels.is_file() else ""
        scans.append(Scan(case, case, str(image.relative_to(folder)), relative))
    channels = described["channel_names"]
    several = (
        (f"Of {len(channels)} channels the first is registered, {channels.get('0', '0000')}.",)
        if isinstance(channels, Mapping) and len(channels) > 1
        else ()
    )
    return Found(folder, "a dataset of nnU-Net", tuple(scans), _names(described, path), several)


def learn2reg(folder: Path) -> Found | None:
    """A task of Learn2Reg: the images of ``<Name>_dataset.json``, and its pairs for validation."""
    files = sorted(folder.glob("*_dataset.json"))
    described = _description(files[0]) if len(files) == 1 else None
    if described is None:
        return None
    path = files[0]
    entries = [e for e in described.get("training") or [] if isinstance(e, Mapping)]
    scans = {
        _stem(e["image"]): _scan(folder, e, _stem(e["image"])) for e in entries if "image" in e
    }
    pairs = described.get("registration_val") or []
    told = [(_stem(pair["fixed"]), _stem(pair["moving"])) for pair in pairs
            if isinstance(pair, Mapping) and {"fixed", "moving"} <= set(pair)]  # fmt: skip
    sheet = tuple(pair for pair in told if set(pair) <= set(scans) and pair[0] != pair[1])
    if sheet:
        named = {name for pair in sheet for name in pair}
        scans = {name: scan for name, scan in scans.items() if name in named}
    left = (
        "Keypoints without ids (keypointsTr) are left out: they are no landmarks of readers."
        if (folder / "keypointsTr").is_dir()
        else None
    )
    return Found(
        folder,
        "a task of Learn2Reg",
        tuple(scans.values()),
        _names(described, path),
        tuple(filter(None, [left])),
        sheet,
    )


def _description(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"it is no JSON ({error})") from error
    return value if isinstance(value, dict) else None


def _broken(path: Path, why: str) -> WarplineError:
    return WarplineError(
        f"The dataset's description is broken: {why}.", where=path, do="Correct or remove the file."
    )


def _names(described: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Label value to name, whichever of the two stands first; background apart."""
    table = described.get("labels") or {}
    if isinstance(table, Mapping) and set(table) == {"0"} and isinstance(table["0"], Mapping):
        table = table["0"]  # Learn2Reg: by modality
    if not isinstance(table, Mapping):
        return {}
    found = {}
    for key, value in table.items():
        number, name = (key, value) if str(key).isdigit() else (value, key)
        if not str(number).isdigit():
            continue  # nnU-Net's regions are lists of values
        found[int(number)] = str(name)
    found.pop(0, None)
    return found


def _scan(folder: Path, entry: Mapping[str, Any], name: str) -> Scan:
    kinds = {"image": "image", "label": "labels", "mask": "mask"}
    paths = {}
    for key, column in kinds.items():
        if isinstance(entry.get(key), str):
            file = inside(folder, entry[key], folder / "dataset.json")
            if file.is_file() or key == "image":
                paths[column] = str(Path(entry[key]))
    return Scan(name, name, **paths)


def _stem(path: str) -> str:
    name = Path(path).name
    return name[: len(name) - len(suffix_of(name))].removesuffix(FIRST)
