"""Cases of a dataset read from their folders, when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from warpline.cases.case import Case, read_case
from warpline.cases.steps import prepare
from warpline.plan.recipe import Step


def read_cases(
    folders: Mapping[str, str | os.PathLike],
    ids: Iterable[str],
    steps: Sequence[Step] = (),
) -> list[Case]:
    """Read the prepared cases `ids`, as a recipe's own preparation `steps` leave them.

    `folders` maps every case to its folder, which may have another name: that of a case in the
    dataset that it comes from.
    """
    return [_read(folders[case_id], case_id, steps) for case_id in ids]


def _read(folder: str | os.PathLike, case_id: str, steps: Sequence[Step]) -> Case:
    return prepare(replace(read_case(folder), id=case_id), steps)


class CaseFolders(Sequence):
    """Prepared cases, read when they are asked for: a training set need not fit into memory."""

    def __init__(
        self,
        folders: Mapping[str, str],
        ids: Sequence[str],
        steps: Sequence[Step] = (),
    ):
        self.folders = [(folders[case_id], case_id) for case_id in ids]
        self.steps = steps  # a recipe's own preparation

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, index: int) -> Case:
        return _read(*self.folders[index], self.steps)
