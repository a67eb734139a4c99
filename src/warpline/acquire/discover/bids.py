"""BIDS: ``sub-<id>[/ses-<id>]/<kind>/sub-…_<suffix>.nii.gz``, label maps among the derivatives."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from warpline.acquire.discover.found import Found, Scan
from warpline.acquire.discover.words import AS_NAMED, suffix_of, time_of

KINDS = ("anat", "ct", "pet")
LABELS, MASK = "dseg", "mask"


def bids(folder: Path) -> Found | None:
    """The images of the suffix that most subjects have, one a subject and session."""
    images: dict[str, list[tuple[str, str, Path]]] = {}
    for path in sorted(folder.glob("sub-*/**/*.nii*")):
        told = _entities(path)
        if path.parent.name in KINDS and told["suffix"] not in (LABELS, MASK):
            images.setdefault(told["suffix"], []).append((told["sub"], told.get("ses", ""), path))
    if not images:
        return None
    covered = {suffix: len({entry[:2] for entry in found}) for suffix, found in images.items()}
    suffix = max(covered, key=lambda name: (covered[name], name))
    assumed = [
        f"Images with the suffix '{suffix}' are registered; there are also '{other}'."
        for other in sorted(images)
        if other != suffix
    ]
    first: dict[tuple[str, str], Path] = {}
    for sub, ses, path in images[suffix]:
        if first.setdefault((sub, ses), path) != path:
            assumed.append(f"{path.name} is left out: {first[sub, ses].name} is the first of it.")
    sessions = Counter(sub for sub, _ in first)
    if set(sessions.values()) - {1, 2}:
        assumed.append("Subjects have different numbers of sessions; all scans are paired.")
    scans = []
    for (sub, ses), path in first.items():
        name = f"sub-{sub}" + (f"_ses-{ses}" if ses else "")
        belonging = {
            column: _derived(folder, sub, ses, kind)
            for column, kind in (("labels", LABELS), ("mask", MASK))
        }
        image = str(path.relative_to(folder))
        scans.append(
            Scan(
                name,
                f"sub-{sub}",
                image,
                **belonging,
                order=(*(time_of(ses.lower()) or AS_NAMED), ses),
            )
        )
    return Found(folder, "BIDS", tuple(scans), _names(folder), tuple(assumed))


def _entities(path: Path) -> dict[str, str]:
    """The entities of a name, ``sub`` and ``ses`` among them, and its ``suffix``."""
    stem = path.name[: len(path.name) - len(suffix_of(path.name))]
    *pairs, suffix = stem.split("_")
    found = {key: value for key, _, value in (pair.partition("-") for pair in pairs)}
    return {"sub": "", **found, "suffix": suffix}


def _derived(folder: Path, sub: str, ses: str, kind: str) -> str:
    """The label map or mask of a subject and session: beside the image, or among derivatives."""
    for pattern in (f"sub-{sub}/**/*_{kind}.nii*", f"derivatives/**/sub-{sub}_*{kind}.nii*"):
        for path in sorted(folder.glob(pattern)):
            told = _entities(path)
            if told["sub"] == sub and told.get("ses", "") == ses:
                return str(path.relative_to(folder))
    return ""


def _names(folder: Path) -> dict[int, str]:
    """Label value to name by the first ``*_dseg.tsv`` (columns ``index`` and ``name``)."""
    for path in sorted(folder.rglob(f"*{LABELS}.tsv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, delimiter="\t")
            named = {row.get("index") or "": row.get("name") or "" for row in rows}
        found = {int(index): name for index, name in named.items() if index.isdigit() and name}
        found.pop(0, None)
        return found
    return {}
