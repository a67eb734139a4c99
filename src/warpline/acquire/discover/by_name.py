"""Files that belong together by their names: ``anna_1.nii.gz`` with ``anna_1_seg.nii.gz``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from warpline.acquire.discover.found import Found, Scan
from warpline.acquire.discover.words import (
    IMAGES,
    LABELS,
    LANDMARKS,
    MASKS,
    POINTS,
    suffix_of,
    time_of,
    words,
)

ROLES = {"labels": LABELS, "mask": MASKS, "landmarks": LANDMARKS}
DATA = {".img", ".img.gz"}  # the voxels of a header that is listed itself
# What this program itself writes into a folder of one's own.
OWN = {"results", "resources", "datasets", "methods", "studies", "models", "config"}


def by_name(folder: Path) -> Found | None:
    """Images with the label maps, masks and landmarks whose names say the same otherwise."""
    images: dict[tuple[str, ...], str] = {}
    others: dict[tuple[str, tuple[str, ...]], str] = {}
    assumed: list[str] = []
    for path in files_in(folder):
        role, key = _role(path)
        target, place = (images, key) if role == "image" else (others, (role, key))
        if place in target:
            assumed.append(f"{path} is left out: by its name it is the same as {target[place]}.")
            continue
        target[place] = str(path)
    if not images:
        return None
    shared = _shared(list(images))
    scans = []
    for key, (name, patient, order) in zip(images, _patients(list(images), shared), strict=True):
        belonging = {role: others.pop((role, key), "") for role in ROLES}
        scans.append(Scan(name, patient, images[key], **belonging, order=order))
    for (role, _), path in others.items():
        if suffix_of(path) or LANDMARKS & set(words(Path(path), "")):  # else any table
            assumed.append(f"{path} ({role}) is left out: no image has its name.")
    return Found(folder, "files that belong together by name", tuple(scans), {}, tuple(assumed))


def files_in(folder: Path) -> Iterator[Path]:
    """Files of images and points, relative to the folder, hidden ones apart."""
    for place, names in folders_in(folder):
        for name in names:
            known = suffix_of(name) or suffix_of(name, POINTS)
            if known and known not in DATA and name[0] != ".":
                yield (place / name).relative_to(folder)


def folders_in(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folder and those below, hidden and own ones apart, with their files' names; sorted."""
    for place, folders, names in os.walk(folder):
        top = Path(place) == folder
        folders[:] = sorted(f for f in folders if f[0] != "." and not (top and f in OWN))
        yield Path(place), sorted(names)


def _role(path: Path) -> tuple[str, tuple[str, ...]]:
    """What a file is, and the words that are left of its name."""
    suffix = suffix_of(path.name)
    said = words(path, suffix or suffix_of(path.name, POINTS))
    role = next((name for name, known in ROLES.items() if known & set(said)), "image")
    if not suffix:
        role = "landmarks"
    told = IMAGES | LABELS | MASKS | LANDMARKS
    return role, tuple(word for word in said if word not in told) or tuple(said)


def _shared(keys: list[tuple[str, ...]]) -> set[str]:
    """Words that all names have, which tell nothing apart."""
    if len(keys) < 2:
        return set()
    return set.intersection(*map(set, keys))


def _patients(
    keys: list[tuple[str, ...]], shared: set[str]
) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, patient, order) of each image.

    The words of a time, or else the last word where that leaves two images for each patient, tell
    the scans of a patient apart.
    """
    names = ["_".join(dict.fromkeys(w for w in key if w not in shared)) or "_".join(key)
             for key in keys]  # fmt: skip
    timed = [[time_of(word) for word in key] for key in keys]
    by_time = ["_".join(w for w in key if time_of(w) is None and w not in shared) for key in keys]
    if all(any(t is not None for t in times) for times in timed) and _in_twos(by_time):
        orders = [next(t for t in times if t is not None) for times in timed]
        return list(zip(names, by_time, orders, strict=True))
    last = ["_".join(key[:-1]) for key in keys]
    if _in_twos(last) and all(len(key) > 1 for key in keys):
        told = ["_".join(w for w in key[:-1] if w not in shared) or key[0] for key in keys]
        return [(n, p, (k,)) for k, (n, p) in enumerate(zip(names, told, strict=True))]
    return [(name, name, ()) for name in names]


def _in_twos(patients: list[str]) -> bool:
    return set(Counter(patients).values()) == {2}
