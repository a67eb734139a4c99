"""Where a training keeps its data: in memory as far as it may, else in files mapped into it.

A mapped file takes no memory that anything else needs: the system reads of it what a batch asks for
and forgets it again. The files lie in one folder for all trainings and go by what is in them, so
that trainings of the same data on the same grid share them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from warpline.cases.case import Case
from warpline.cases.folders import CaseFolders
from warpline.files import atomic_folder, write_json
from warpline.images.grid import Grid, Image
from warpline.plan.recipe import Step

# Of the memory that a job asks for, what its data may take: the rest is the network's.
SHARE = 0.5
DESCRIPTION = "content.json"


@dataclass
class Room:
    """How much memory data may take, and where they lie beyond that.

    Attributes
    ----------
    free
        Bytes of memory that data may still take.
    folder
        Of the files that are mapped.
    files
        Digest of the files of every case and initial field, see
        `warpline.training.source.source_of`: what a file of this room holds follows from them.
    code
        Fingerprint of the code that reads and prepares cases.
    """

    free: int
    folder: Path
    files: Mapping[str, str]
    code: str

    @classmethod
    def of(cls, memory_mb: float, cache: Mapping[str, str], files: Mapping[str, str]) -> Room:
        """The room of a job of so much memory; `cache` has its ``folder`` and ``code``."""
        free = int(SHARE * memory_mb * 10**6)
        return cls(free, Path(cache["folder"]), files, cache["code"])

    def take(self, size: int) -> bool:
        """Whether there is memory for so many bytes; they then are taken."""
        fits = size <= self.free
        self.free -= size * fits
        return fits

    def place(self, names: Sequence[str], steps: Sequence[Step], *more: Any) -> Path:
        """The folder of what is made of these cases and fields by a recipe's own `steps`."""
        known = [[name, self.files[name]] for name in names]
        content = json.dumps([known, list(steps), self.code, *more], sort_keys=True)
        return self.folder / hashlib.sha256(content.encode()).hexdigest()[:20]


@contextmanager
def made_once(place: Path) -> Iterator[Path | None]:
    """A folder to fill, which then takes its name `place`; None if it is there already.

    Of several trainings that want it one fills it and the others wait.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(place.with_name(f"{place.name}.lock")):
        if place.exists():
            yield None
            return
        with atomic_folder(place) as making:
            yield making


def allocated(shape: Sequence[int], dtype: torch.dtype, file: Path | None = None) -> torch.Tensor:
    """Zeros: in memory, or in a new file."""
    if file is None:
        return torch.zeros(tuple(shape), dtype=dtype)
    # A new file is a hole: it reads as zeros and takes no disk until it is written.
    return torch.from_file(str(file), shared=True, size=math.prod(shape), dtype=dtype).view(*shape)


def mapped(shape: Sequence[int], dtype: torch.dtype, file: Path) -> torch.Tensor:
    """What a file holds; what is written to it later stays in this process."""
    return torch.from_file(str(file), shared=False, size=math.prod(shape), dtype=dtype).view(*shape)


class KeptCases(Sequence[Case]):
    """Cases that are read once: kept in memory while there is room, else as mapped files.

    Landmarks are not kept with those in files.

    Parameters
    ----------
    cases
        Whose folders are read.
    room
        None to read a case whenever it is asked for.
    """

    def __init__(self, cases: CaseFolders, room: Room | None):
        self.cases, self.room = cases, room
        self._kept: dict[int, Case] = {}

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Case:
        if self.room is None:
            return self.cases[index]
        if index not in self._kept:
            self._kept[index] = self._found(index)
        return self._kept[index]

    def _found(self, index: int) -> Case:
        _, name = self.cases.folders[index]
        place = self.room.place([name], self.cases.steps, "case")
        if place.exists():
            return _read_mapped(place, name)
        case = self.cases[index]
        if self.room.take(sum(part.array.nbytes for part in _parts(case).values())):
            return case
        with made_once(place) as making:
            if making:
                _write_mapped(making, case)
        return _read_mapped(place, name)


def _parts(case: Case) -> dict[str, Image]:
    parts = {"image": case.image, "labels": case.labels, "mask": case.mask}
    return {name: part for name, part in parts.items() if part is not None}


def _write_mapped(folder: Path, case: Case) -> None:
    for name, part in _parts(case).items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(part.array))
    grid = case.grid
    described = {name: list(getattr(grid, name)) for name in ("shape", "spacing", "origin")}
    content = {
        "grid": {**described, "direction": list(grid.direction)},
        "segmented": case.segmented,
        "annotated": case.annotated and list(case.annotated),
    }
    write_json(folder / DESCRIPTION, content)


def _read_mapped(folder: Path, name: str) -> Case:
    content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    grid = Grid(**{key: tuple(value) for key, value in content["grid"].items()})
    known = content["annotated"]
    # Copied when written to: a tensor on it may be taken for writable.
    parts = {part.stem: Image(np.load(part, mmap_mode="c"), grid) for part in folder.glob("*.npy")}
    annotated = None if known is None else tuple(known)
    return Case(name, **parts, segmented=content["segmented"], annotated=annotated)
