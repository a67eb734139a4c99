"""What a training is given to learn from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from warpline.cases.atlas import atlas_source, without_self
from warpline.cases.tables import read_table
from warpline.plan.pairs import ATLAS, Pair
from warpline.training.data import fit_for_training
from warpline.training.room import Room


@dataclass(frozen=True)
class Material:
    """Cases, pairs and where they lie.

    Attributes
    ----------
    folders
        Of every case, training and validation.
    cases
        Ids of the training cases.
    validation
        (fixed, moving) ids for validation; may be empty.
    labels
        Label values and their names.
    pairs
        (fixed, moving) ids of the training pairs, where they are given; else None.
    initial
        Folder of the field of each pair's initial registration, by the pair's name.
    room
        How much memory the data may take, and where they lie beyond that; None for all of it.
    workers
        Processes that make synthetic pairs ahead of a training on a CPU.
    """

    folders: Mapping[str, str | os.PathLike]
    cases: Sequence[str]
    validation: Sequence[Pair]
    labels: Mapping[int, str]
    pairs: Sequence[Pair] | None = None
    initial: Mapping[str, str | os.PathLike] = field(default_factory=dict)
    room: Room | None = None
    workers: int = 0

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Material:
        """The material of a job's parameters, where pairs may be lists and labels' values text."""
        pairs = entries["pairs"]
        return cls(
            **entries
            | {
                "validation": [(fixed, moving) for fixed, moving in entries["validation"]],
                "labels": {int(value): name for value, name in entries["labels"].items()},
                "pairs": None if pairs is None else [(fixed, moving) for fixed, moving in pairs],
            }
        )

    @property
    def validation_cases(self) -> list[str]:
        """Ids of the cases of the validation pairs, each once."""
        return sorted({case for pair in self.validation for case in pair})

    def fit(self, verdicts: str | os.PathLike | None = None) -> Material:
        """Without cases whose noisy labels fail, and without the atlas' own case beside it.

        Parameters
        ----------
        verdicts
            Table of the training cases whose noisy labels are fit.

        Raises
        ------
        WarplineError
            If too few are left.
        """
        cases = list(self.cases)
        if verdicts:
            cases = fit_for_training(cases, read_table(verdicts, "case"))
        if ATLAS in cases:
            source = atlas_source(self.folders[ATLAS])
            cases = [case for case in cases if case != source]
        return replace(self, cases=cases, validation=without_self(self.validation, self.folders))
