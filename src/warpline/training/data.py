"""Prepared cases for training: as tensors kept in memory, or read when they are asked for."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from warpline.cases.case import Case, read_case
from warpline.cases.folders import CaseFolders
from warpline.cases.steps import prepare
from warpline.cases.steps.geometry import without_landmarks_outside
from warpline.errors import WarplineError
from warpline.fields.halved import read_kept
from warpline.files import write_json
from warpline.plan.pairs import Pair, pair_name
from warpline.plan.recipe import Step
from warpline.registration.initial import resample_moving
from warpline.registration.own_grid import prepare_pair
from warpline.training.card import moved
from warpline.training.room import DESCRIPTION, Room, allocated, made_once, mapped

# Fewer tell nothing of a deformation.
FEWEST_LANDMARKS = 3


class CaseMemory:
    """Images and label maps of a dataset's prepared cases, all of one shape.

    Volumes are padded with zeros at their ends to a multiple of `stride` along every axis. Cases
    are read one after the other into what is allocated once: beside the data only one of them is
    in memory.

    Parameters
    ----------
    cases
        A sequence may read each when it is asked for.
    landmarks
        Whether to keep them.
    device
        Where the data are put, a case at a time.
    place
        A folder for the data, which are then mapped from files there. If it is there already,
        `cases` are not read: it must be the folder of the same ones.

    Attributes
    ----------
    images
        (cases, C, z, y, x) float32.
    labels
        (cases, z, y, x) uint8, or None where any case has no label map.
    values
        The foreground label values, in the order of the one-hot channels.
    annotated
        (cases, values) bool: whether the case's label map is complete for the value.
    landmarks
        Of every case, id → index (z, y, x), fractions included; None unless asked for.
    """

    def __init__(
        self,
        cases: Iterable[Case],
        values: Sequence[int],
        stride: int = 1,
        landmarks: bool = False,
        device: torch.device | str = "cpu",
        place: Path | None = None,
    ):
        cases = cases if isinstance(cases, Sequence) else list(cases)
        if place is None:
            content = self._fill(cases, stride, landmarks, device, None)
        else:
            with made_once(place) as making:
                if making:
                    write_json(
                        making / DESCRIPTION, self._fill(cases, stride, landmarks, "cpu", making)
                    )
            content = json.loads((place / DESCRIPTION).read_text(encoding="utf-8"))
            self._map(place, content)
        self.ids = content["ids"]
        self.index = {case_id: i for i, case_id in enumerate(self.ids)}
        self.values = tuple(values)
        self.shape = tuple(self.images.shape[2:])
        self.annotated = torch.tensor(
            [[known is None or v in known for v in self.values] for known in content["annotated"]],
            dtype=torch.bool,
        )
        # Padding is at the ends: an index stays what it is.
        self.landmarks = content["landmarks"]

    def _fill(
        self,
        cases: Sequence[Case],
        stride: int,
        landmarks: bool,
        device: torch.device | str,
        folder: Path | None,
    ) -> dict[str, Any]:
        """Read the cases into memory or into files; what else is to be known of them."""
        content = {"ids": [], "annotated": [], "landmarks": [] if landmarks else None}
        first = None
        for i in range(len(cases)):
            case = cases[i]
            array = case.image.array
            if first is None:
                first = case.id, case.grid.shape
                shape = tuple(n + -n % stride for n in array.shape)
                self.images = _zeros(
                    (len(cases), 1, *shape), torch.float32, device, folder, "images"
                )
                self.labels = None
                if case.labels is not None:
                    kind = torch.uint8 if folder else torch.from_numpy(case.labels.array).dtype
                    self.labels = _zeros((len(cases), *shape), kind, device, folder, "labels")
            elif case.grid.shape != first[1]:
                raise WarplineError(
                    f"The prepared cases differ in shape: {case.grid.shape} and {first[1]}.",
                    where=f"cases {case.id} and {first[0]}",
                    do="End the dataset's 'prepare' list with a 'pad_crop' step.",
                )
            inside = tuple(slice(n) for n in array.shape)
            self.images[i, 0][inside] = torch.from_numpy(array).to(self.images.dtype)
            if case.labels is None:
                self.labels = None
            elif self.labels is not None:
                self.labels[i][inside] = torch.from_numpy(case.labels.array)
            content["ids"].append(case.id)
            content["annotated"].append(case.annotated and list(case.annotated))
            if landmarks:
                content["landmarks"].append(landmarks_inside(case))
            del case, array  # before the next one is read
        if first is None:
            raise WarplineError("There is no case to train on.", do="Check the dataset's splits.")
        if folder and self.labels is None:
            (folder / "labels").unlink(missing_ok=True)
        return content | {
            "images": list(self.images.shape),
            "labels": self.labels is not None,
        }

    def _map(self, folder: Path, content: Mapping[str, Any]) -> None:
        """Take the files of a folder for the data."""
        shape = content["images"]
        self.images = mapped(shape, torch.float32, folder / "images")
        flat = [shape[0], *shape[2:]]
        self.labels = mapped(flat, torch.uint8, folder / "labels") if content["labels"] else None

    def __len__(self) -> int:
        return len(self.ids)

    def one_hot(
        self,
        indices: Sequence[int],
        box: Sequence[slice] = (),
        device: torch.device | str | None = None,
    ) -> torch.Tensor | None:
        """Foreground label maps of some cases, (n, labels, z, y, x) float32.

        Parameters
        ----------
        box
            Slices along z, y and x; everything where not given.
        device
            Where to make them; where the label maps are, if not given.
        """
        if self.labels is None or not self.values:
            return None
        chosen = self.labels[list(indices)][(..., *box)]
        chosen = moved(chosen, device or chosen.device)
        return torch.stack([(chosen == value).float() for value in self.values], dim=1)

    def shared_landmarks(self, first: int, second: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The landmarks that two cases share, in one order: (n, 3) indices (z, y, x) of each."""
        a, b = self.landmarks[first], self.landmarks[second]
        ids = [name for name in a if name in b]
        return tuple(
            torch.tensor([of[name] for name in ids], device=self.images.device).reshape(-1, 3)
            for of in (a, b)
        )


def check_landmarks(memory: CaseMemory, pairs: Iterable[tuple[int, int]]) -> None:
    """Refuse pairs of cases that share too few landmarks to learn from.

    Raises
    ------
    WarplineError
        Naming the first such pair, and how many landmarks each of its cases has.
    """
    for pair in pairs:
        first, second = (memory.landmarks[i] for i in pair)
        shared = len(first.keys() & second.keys())
        if shared < FEWEST_LANDMARKS:
            names = (
                f"{memory.ids[i]} (landmarks in the image: {len(memory.landmarks[i])})"
                for i in pair
            )
            raise WarplineError(
                f"A pair has {shared} landmarks in common, by their ids; {FEWEST_LANDMARKS} are "
                "the least.",
                where=f"cases {' and '.join(names)}",
                do="Give both the same ids, or take the case with few off the case sheet.",
            )


def place_of(
    cases: CaseFolders | PairedCases,
    steps: Sequence[Step],
    stride: int,
    landmarks: bool,
    device: torch.device | str,
    room: Room | None,
) -> Path | None:
    """The folder of a `CaseMemory` that there is no room for in memory; None where there is.

    One case is read to know its size. What is kept on another device takes no memory.
    """
    if room is None or torch.device(device).type != "cpu" or not len(cases):
        return None
    if room.take(size_of(cases, stride)):
        return None
    if isinstance(cases, PairedCases):
        names = [*cases.names, *cases.moving]
        return room.place(sorted({*names}), steps, cases.names, cases.pairs, stride, landmarks)
    return room.place([name for _, name in cases.folders], steps, stride, landmarks)


def size_of(cases: CaseFolders | PairedCases, stride: int) -> int:
    """Bytes of a `CaseMemory` of some cases; one of them is read to know it."""
    if not len(cases):
        return 0
    one = cases[0]
    voxels = math.prod(n + -n % stride for n in one.grid.shape)
    return len(cases) * voxels * (4 + (one.labels is not None))


def _zeros(
    shape: Sequence[int],
    kind: torch.dtype,
    device: torch.device | str,
    folder: Path | None,
    name: str,
) -> torch.Tensor:
    if torch.device(device).type != "cpu":
        return torch.zeros(tuple(shape), dtype=kind, device=device)
    return allocated(shape, kind, None if folder is None else folder / name)


def landmarks_inside(case: Case) -> dict[str, tuple[float, ...]]:
    """Landmarks of a case by id, as indices (z, y, x); empty if it has none.

    Those beyond its grid are left out, and the log names them.
    """
    landmarks = without_landmarks_outside(case).landmarks
    if landmarks is None:
        return {}
    index = case.grid.physical_to_index(landmarks[["x", "y", "z"]].to_numpy(float))
    return dict(zip(landmarks["id"], map(tuple, index.tolist()), strict=True))


class PairedCases(Sequence[Case]):
    """The cases of pairs, read when asked for; moving ones as their initial field leaves them.

    Parameters
    ----------
    folders
        Of every case.
    pairs
        (fixed, moving) ids.
    initial
        Folder of the field of each initial registration, by the pair's name.
    steps
        Of the recipe's own preparation, see `warpline.registration.own_grid.prepare_pair`.

    Attributes
    ----------
    pairs
        (fixed, moving) names: a moving case goes by the name of its pair.
    names
        Of the cases.
    moving
        Ids of those that move.
    """

    def __init__(
        self,
        folders: Mapping[str, str | os.PathLike],
        pairs: Iterable[Pair],
        initial: Mapping[str, str | os.PathLike],
        steps: Sequence[Step] = (),
    ):
        self.folders, self.initial, self.steps = folders, initial, steps
        pairs = list(pairs)
        self._pairs = {pair_name(pair): pair for pair in pairs}
        self.pairs = [(pair[0], pair_name(pair)) for pair in pairs]
        self.moving = sorted({pair[1] for pair in pairs})
        self.names = list(dict.fromkeys(name for pair in self.pairs for name in pair))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Case:
        name = self.names[index]
        if name not in self._pairs:
            return prepare(replace(read_case(Path(self.folders[name])), id=name), self.steps)
        fixed, moving = (read_case(Path(self.folders[case])) for case in self._pairs[name])
        first = read_kept(Path(self.initial[name]) / f"{name}.nii.gz", fixed.grid)
        case = replace(resample_moving(moving, first), id=name)
        return prepare_pair(fixed, case, self.steps, aligned=True)[1]


def fit_for_training(cases: Sequence[str], judged: pd.DataFrame) -> list[str]:
    """Those of `cases` whose labels did not fail; the log names the others.

    Parameters
    ----------
    judged
        Rows of `warpline.segmentation.noisy_labels.verdicts`.

    Raises
    ------
    WarplineError
        If fewer than two are left.
    """
    out = judged[~judged["kept"].astype(bool)].set_index("case")["reason"]
    left = [case for case in cases if case not in out.index]
    for case in cases:
        if case in out.index:
            print(f"{case} is left out, its labels fail: {out[case]}", flush=True)
    if len(left) < 2:
        raise WarplineError(
            f"Of {len(cases)} training cases {len(cases) - len(left)} have noisy labels that fail.",
            do="Train the segmenter for longer, or widen 'noisy_labels.limits' of the dataset.",
        )
    return left
