"""Datasets: cases, splits and pairs, known before any file is downloaded.

Imported while the Snakefile is parsed: nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.pairs import ATLAS, MEMBER, Pair, balanced_pairs, balanced_sample
from warpline.plan.sheets import read_pair_sheet
from warpline.registry import suggestion

# Without a word from the dataset's file, cases of a larger cohort are prepared by so many a job.
SMALL_COHORT, COHORT_BATCH = 64, 12


@dataclass(frozen=True)
class Dataset:
    """A dataset at one scale.

    What a job asks for is looked up: with a search through all cases, the time that the graph of
    jobs takes would grow with the square of their number.

    Attributes
    ----------
    spec
        The validated dataset file with the scale's overrides.
    cases
        Rows of the case sheet, in its order.
    file
        The dataset's file, as errors name it.
    """

    name: str
    spec: Mapping[str, Any]
    cases: tuple[Mapping[str, str], ...]
    file: str = ""

    @property
    def ids(self) -> list[str]:
        """All case ids, in the sheet's order."""
        return [row["case"] for row in self.cases]

    def row(self, case: str) -> Mapping[str, str]:
        """The case sheet's row of a case."""
        if case in self._places:
            return self.cases[self._places[case]]
        raise WarplineError(
            f"There is no case '{case}' in the dataset '{self.name}'.",
            where=self.spec["case_sheet"],
            do=suggestion(case, self.ids),
        )

    @property
    def splits(self) -> list[str]:
        """The splits that have a case."""
        return sorted({row["split"] for row in self.cases})

    def split(self, *names: str) -> list[str]:
        """Ids of the cases in any of the named splits.

        Raises
        ------
        WarplineError
            If no case has one of them.
        """
        found = [row["case"] for row in self.cases if row["split"] in names]
        if not found:
            raise WarplineError(
                f"The dataset '{self.name}' has no case in the split {' or '.join(names)}.",
                where=self.spec["case_sheet"],
                do=f"Its splits are: {', '.join(self.splits)}.",
            )
        return found

    def pairs(self, split: str) -> list[Pair]:
        """(fixed, moving) pairs of a split, as the dataset file defines them."""
        rule = self.spec["pairs"].get(split)
        if rule is None:
            raise WarplineError(
                f"The dataset '{self.name}' defines no pairs for the split '{split}'.",
                where=f"{self.file}, key 'pairs'",
                do=f"It has pairs for: {', '.join(self.spec['pairs']) or 'none'}.",
            )
        named = rule.get("split", split)
        cases = self.split(*([named] if isinstance(named, str) else named))
        if rule["from"] == "sheet":
            pairs = read_pair_sheet(Path(rule["file"]), set(cases), self.file)
        elif rule["from"] == "patient":
            pairs = self._two_of_each_patient(cases)
        else:
            pairs = list(PAIR_RULES[rule["from"]](cases))
        if not pairs:
            raise WarplineError(
                f"The split '{split}' of '{self.name}' makes no pair.",
                where=f"{self.file}, key 'pairs.{split}'",
                do="Give it at least two cases.",
            )
        limit, seed = rule.get("limit"), rule.get("seed", 0)
        if limit is None or limit >= len(pairs):
            return pairs
        if rule["from"] == "all":  # in either direction: else the first case would never move
            return balanced_pairs(cases, limit, seed)
        return balanced_sample(pairs, limit, seed)

    def _two_of_each_patient(self, cases: list[str]) -> list[Pair]:
        """The two scans of each patient; the one that the sheet names first is fixed."""
        patients: dict[str, list[str]] = {}
        for case in cases:
            patients.setdefault(self.row(case)["patient"], []).append(case)
        for patient, scans in patients.items():
            if len(scans) != 2:
                raise WarplineError(
                    f"The patient '{patient}' has {len(scans)} cases in its split; pairs from "
                    "'patient' need two.",
                    where=self.spec["case_sheet"],
                    do="Give both scans the same 'patient', the fixed one first. Where 'cases' "
                    "limits a split, an even number keeps patients whole.",
                )
        return [(fixed, moving) for fixed, moving in patients.values()]

    def patients_of(self, cases: Iterable[str]) -> list[Mapping[str, str]]:
        """All rows of the given cases' patients."""
        wanted = {self.row(case)["patient"] for case in cases}
        return [self.cases[k] for k in sorted(k for p in wanted for k in self._patients[p])]

    def members_of(self, cases: Iterable[str]) -> dict[str, dict[str, str]]:
        """Of a dataset made of others: member → id there → id here, of the given cases."""
        found: dict[str, dict[str, str]] = {}
        for case in cases:
            member, _, own = case.partition(MEMBER)
            found.setdefault(member, {})[own] = case
        return found

    def files_of(self, case: str) -> dict[str, dict[str, Any]]:
        """What is downloaded for a case by itself: kind to ``file``, ``sources`` and ``ask``."""
        split = self.row(case)["split"]

        def named(template: str) -> str:
            return template.replace("{case}", case)

        return {
            kind: {
                "file": named(entry["file"]),
                "sources": [named(source) for source in entry["sources"]],
                "ask": entry["ask"],
            }
            for kind, entry in self.spec["per_case"].items()
            if entry["splits"] is None or split in entry["splits"]
        }

    def batches(self) -> dict[str, list[str]]:
        """Cases by the job that prepares them: the case's id, or ``b000`` … for several."""
        return self._batches

    @cached_property
    def _batches(self) -> dict[str, list[str]]:
        ids = self.ids
        size = self.spec["cases_per_job"] or (1 if len(ids) <= SMALL_COHORT else COHORT_BATCH)
        if size == 1:
            return {case: [case] for case in ids}
        chunks = [ids[i : i + size] for i in range(0, len(ids), size)]
        return {f"b{number:03d}": chunk for number, chunk in enumerate(chunks)}

    def batch_of(self, cases: Iterable[str]) -> dict[str, str]:
        """Batch of each of the given cases, in the sheet's order; of the atlas none."""
        wanted = {case for case in cases if case in self._places}
        return {case: self._batch_names[case] for case in sorted(wanted, key=self._places.get)}

    def batches_of(self, cases: Iterable[str]) -> list[str]:
        """The batches that hold the given cases, in order."""
        wanted = set(cases)
        return [ATLAS] * (ATLAS in wanted) + list(dict.fromkeys(self.batch_of(wanted).values()))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {row["case"]: place for place, row in enumerate(self.cases)}

    @cached_property
    def _patients(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, row in enumerate(self.cases):
            places.setdefault(row["patient"], []).append(place)
        return places

    @cached_property
    def _batch_names(self) -> dict[str, str]:
        return {case: name for name, chunk in self._batches.items() for case in chunk}

    def atlas_candidates(self) -> list[str]:
        """Ids of the cases of which one becomes the atlas.

        Raises
        ------
        WarplineError
            If the dataset has no atlas, or it names a case that is not there.
        """
        atlas = self.spec["atlas"]
        if atlas is None:
            raise WarplineError(
                f"The dataset '{self.name}' has no atlas, which a method or its pairs need.",
                where=f"{self.file}, key 'atlas'",
                do="Give it one: atlas: {among: train}, or atlas: {case: <id>}.",
            )
        if atlas["case"] is not None:
            return [self.row(atlas["case"])["case"]]
        return self.split(atlas["among"])


def _reversed_order(cases: list[str]) -> Iterable[Pair]:
    """The k-th case with the k-th from the end, both directions (Learn2Reg 2020 task 4)."""
    return ((a, b) for a, b in zip(cases, reversed(cases), strict=True) if a != b)


def _cycle(cases: list[str]) -> Iterable[Pair]:
    """Every case moved onto the next one, the last onto the first; so each is fixed once."""
    return ((b, a) for a, b in zip(cases, cases[1:] + cases[:1], strict=True) if a != b)


PAIR_RULES = {
    "all": lambda cases: combinations(cases, 2),
    "reversed": _reversed_order,
    "consecutive": pairwise,
    "cycle": _cycle,
    "atlas": lambda cases: ((ATLAS, case) for case in cases),
}
