"""Prepared cases for training: as tensors kept in memory, or read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F

from warpline.cases.case import Case, read_case
from warpline.cases.steps.geometry import without_landmarks_outside
from warpline.errors import WarplineError
from warpline.fields.io import read_field
from warpline.networks import padding_to
from warpline.plan.pairs import Pair, pair_name
from warpline.plan.recipe import Step
from warpline.registration.initial import resample_moving
from warpline.registration.own_grid import prepare_pair


class CaseMemory:
    """Images and label maps of a dataset's prepared cases, all of one shape.

    Volumes are padded with zeros at their ends to a multiple of `stride` along every axis.

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
    ):
        cases = list(cases)
        if not cases:
            raise WarplineError("There is no case to train on.", do="Check the dataset's splits.")
        first = cases[0]
        for case in cases:
            if case.grid.shape != first.grid.shape:
                raise WarplineError(
                    f"The prepared cases differ in shape: {case.grid.shape} and "
                    f"{first.grid.shape}.",
                    where=f"cases {case.id} and {first.id}",
                    do="End the dataset's 'prepare' list with a 'pad_crop' step.",
                )
        self.ids = [case.id for case in cases]
        self.index = {case_id: i for i, case_id in enumerate(self.ids)}
        self.values = tuple(values)
        width = padding_to(first.grid.shape, stride)
        images = torch.stack([torch.from_numpy(c.image.array).float()[None] for c in cases])
        self.images = F.pad(images, width)
        self.shape = tuple(self.images.shape[2:])
        self.labels = None
        if all(case.labels is not None for case in cases):
            labels = torch.stack([torch.from_numpy(c.labels.array) for c in cases])
            self.labels = F.pad(labels, width)
        self.annotated = torch.tensor(
            [[c.annotated is None or v in c.annotated for v in self.values] for c in cases],
            dtype=torch.bool,
        )
        # Padding is at the ends: an index stays what it is.
        self.landmarks = [landmarks_inside(case) for case in cases] if landmarks else None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> CaseMemory:
        """Move everything to a device, so that no step waits for a copy."""
        self.images = self.images.to(device)
        if self.labels is not None:
            self.labels = self.labels.to(device)
        return self

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
        chosen = chosen.to(device or chosen.device)
        return torch.stack([(chosen == value).float() for value in self.values], dim=1)

    def shared_landmarks(self, first: int, second: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The landmarks that two cases share, in one order: (n, 3) indices (z, y, x) of each."""
        a, b = self.landmarks[first], self.landmarks[second]
        ids = [name for name in a if name in b]
        return tuple(
            torch.tensor([of[name] for name in ids], device=self.images.device).reshape(-1, 3)
            for of in (a, b)
        )


def landmarks_inside(case: Case) -> dict[str, tuple[float, ...]]:
    """Landmarks of a case by id, as indices (z, y, x); empty if it has none.

    Those beyond its grid are left out, and the log names them.
    """
    landmarks = without_landmarks_outside(case).landmarks
    if landmarks is None:
        return {}
    index = case.grid.physical_to_index(landmarks[["x", "y", "z"]].to_numpy(float))
    return dict(zip(landmarks["id"], map(tuple, index.tolist()), strict=True))


def read_pairs(
    folders: Mapping[str, str | os.PathLike],
    pairs: Iterable[Pair],
    initial: Mapping[str, str | os.PathLike],
    steps: Sequence[Step] = (),
) -> tuple[list[Case], list[Pair]]:
    """Read pairs with the moving case as its initial registration leaves it.

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

    Returns
    -------
    cases, pairs
        A moving case goes by the name of its pair.
    """
    cases: dict[str, Case] = {}
    renamed = []
    for pair in pairs:
        name = pair_name(pair)
        fixed, moving = (read_case(Path(folders[case_id])) for case_id in pair)
        first = read_field(Path(initial[name]) / f"{name}.nii.gz")
        case = replace(resample_moving(moving, first), id=name)
        cases[pair[0]], cases[name] = prepare_pair(fixed, case, steps, aligned=True)
        renamed.append((pair[0], name))
    return list(cases.values()), renamed


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
