"""A method's settings searched on a few pairs within a time limit, and what was found."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from warpline.cases.case import Case, read_case
from warpline.cases.steps.geometry import resample
from warpline.errors import WarplineError
from warpline.evaluation.attempts import ERROR, TIMED_OUT, Say, Work, attempt_all, stopwatch
from warpline.evaluation.halving import OWN, Standing, halve, rounds_of
from warpline.evaluation.pairs import evaluate_pair
from warpline.fields.physical import DisplacementField
from warpline.files import write_json
from warpline.registration.initial import resample_moving
from warpline.registration.job import initial_of, method_of
from warpline.registration.method import Method, registrar
from warpline.registration.tuned import with_settings

SMALLEST = 16  # voxels along every axis, below which images are not halved
# s by the clock that a registration may take, if the search has not more: a busy machine's seconds
# are longer than the CPU's, of which the search is given so many.
LEAST = 600.0
Item = tuple[int, int, bool]  # a candidate, a pair, whether at half the resolution


def candidates_of(
    spec: Mapping[str, Any], settings: Mapping[str, list[Any]], most: int
) -> list[dict[str, Any]]:
    """What is tried: changes of a method's file by their places in it, none of them first.

    All combinations of the values; of more than `most`, a random choice (seed 0) in their order.
    """
    own = {
        place: (spec.get(place.partition(".")[0]) or {}).get(place.partition(".")[2])
        for place in settings
    }
    found = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
    found = [each for each in found if each != own]
    if len(found) >= most:
        chosen = np.random.default_rng(0).choice(len(found), most - 1, replace=False)
        found = [found[k] for k in sorted(chosen)]
    return [{}, *found]


@dataclass(frozen=True)
class Tuning:
    """A search, from `warpline.plan.inputs.tune.search_settings`.

    Attributes
    ----------
    settings
        All but files.
    files
        The rule's inputs by name.
    threads
        Of each registration.
    state
        A folder where what was tried waits for the end, so that nothing is tried twice.
    """

    settings: Mapping[str, Any]
    files: Mapping[str, Any]
    threads: int
    state: Path

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """What is tried, see `candidates_of`."""
        search = self.settings["search"]
        return candidates_of(self.settings["method"], search["settings"], search["candidates"])

    def run(self, target: str | os.PathLike) -> dict[str, Any]:
        """Search, and write the settings that were best with all that was tried.

        Returns
        -------
        dict
            What is written: ``settings`` (by their places in the method's file; none where its own
            were best), their ``score`` and that of the file's own, ``seconds`` of registration,
            whether they were enough (``finished``), and of each of the ``rounds`` its pairs and the
            scores of what was tried.
        """
        search, candidates = self.settings["search"], self.candidates
        text = json.dumps([self.settings, self.threads], sort_keys=True, default=str)
        place = self.state / hashlib.sha256(text.encode()).hexdigest()[:16]
        place.mkdir(parents=True, exist_ok=True)
        for other in self.state.iterdir():
            if other != place:  # of a search that was asked for otherwise, and stopped
                shutil.rmtree(other)
        rounds = rounds_of(len(candidates), len(search["pairs"]), search["resolution"] == "half")
        # One process that lives through all items, which it is told one after the other.
        asked: list[Item] = []
        items = iter(asked.pop, None)

        def measure(candidate: int, pair: int, half: bool) -> tuple[float, float]:
            file = _file(place, (candidate, pair, half))
            if not file.exists():
                asked.append((candidate, pair, half))
                next(outcomes)
            told = json.loads(file.read_text(encoding="utf-8"))
            return told["value"], told["seconds"]

        higher = search["better"] == "higher"
        with closing(
            attempt_all(lambda: self._work(place, candidates), items, max(LEAST, search["seconds"]))
        ) as outcomes:
            found = halve(len(candidates), rounds, measure, search["seconds"], higher=higher)
        last = found.standings[-1].values
        rounds_told = [self._told(place, each, candidates) for each in found.standings]
        final = rounds_told[-1]
        if all(each["failures"] == len(final["pairs"]) for each in final["tried"]):
            raise WarplineError(
                f"No registration of the search succeeded, of {len(final['tried'])} settings.",
                where=f"dataset {self.settings['dataset']}, pairs '{search['split']}'",
                do="Read the job's log, which has the error of each.",
            )
        result = {
            "dataset": self.settings["dataset"],
            **{key: search[key] for key in ("split", "metric", "better")},
            "settings": candidates[found.best],
            "score": last[found.best],
            "score_of_own": last[OWN],
            "seconds": round(found.seconds, 2),
            "limit": search["seconds"],
            "finished": found.finished,
            "threads": self.threads,
            "rounds": rounds_told,
        }
        write_json(target, result)
        shutil.rmtree(place)
        return result

    def _told(self, place: Path, standing: Standing, candidates: list[dict]) -> dict[str, Any]:
        """A round: its pairs, and of what was tried the mean score, seconds and failures."""
        half = standing.round.half
        tried = []
        for candidate, score in standing.values.items():
            items = [(candidate, pair, half) for pair in range(standing.pairs)]
            told = [json.loads(_file(place, item).read_text(encoding="utf-8")) for item in items]
            seconds = sum(each["seconds"] for each in told) / len(told)
            failed = sum(bool(each["failure"]) for each in told)
            tried.append({"settings": candidates[candidate], "score": score})
            tried[-1] |= {"seconds_a_pair": round(seconds, 3), "failures": failed}
        pairs = [list(pair) for pair in self.settings["pairs"][: standing.pairs]]
        return {"resolution": "half" if half else "full", "pairs": pairs, "tried": tried}

    def _work(self, place: Path, candidates: list[dict[str, Any]]) -> Work:
        """The work of the process that registers; it keeps what it has made."""
        held = ExitStack()
        chosen: dict[int, Any] = {}
        cases: dict[tuple[int, bool], tuple[Case, Case, Case, DisplacementField | None]] = {}
        first = initial_of(self.settings, self.files, self.threads)
        before = first and held.enter_context(registrar(first, "cpu", "tuning"))

        def work(item: Item, reason: str, timed: Say) -> None:
            candidate, pair, half = item
            if (pair, half) not in cases:
                cases[pair, half] = self._cases(pair, half, before)
            fixed, moving, placed, start = cases[pair, half]
            field = DisplacementField.identity(fixed.grid)
            device = self.settings["device"]
            with stopwatch() as cost:
                if not reason:
                    try:
                        if candidate not in chosen:
                            method = self._method(candidates[candidate])
                            made = held.enter_context(registrar(method, device, "tuning"))
                            chosen[candidate] = made
                        field = chosen[candidate].register(fixed, placed).field
                    except Exception as error:
                        print(f"{candidates[candidate]}: {error}", flush=True)
                        reason = ERROR
            if reason == TIMED_OUT:
                cost = dict.fromkeys(cost, self.settings["search"]["seconds"])
            timed()
            if start is not None and not reason:
                field = start.compose(field)
            told = {
                "value": self._value(pair, fixed, moving, field),
                "seconds": cost["cpu_seconds" if device == "cpu" else "seconds"],
                "failure": reason,
            }
            write_json(_file(place, item), told)

        return work

    def _method(self, changes: Mapping[str, Any]) -> Method:
        spec = with_settings(self.settings["method"], changes)
        return method_of({**self.settings, "method": spec}, self.files, self.threads)

    def _pair(self, pair: int, half: bool) -> tuple[Case, Case]:
        folders = self.settings["folders"]
        both = [read_case(folders[case]) for case in self.settings["pairs"][pair]]
        fixed, moving = (_halved(case) if half else case for case in both)
        return fixed, moving

    def _cases(
        self, pair: int, half: bool, before: Any
    ) -> tuple[Case, Case, Case, DisplacementField | None]:
        """The cases of a pair, the moving one again after the initial registration, and its field.

        Without an initial registration they are the same, and there is no field.
        """
        fixed, moving = self._pair(pair, half)
        if before is None:
            return fixed, moving, moving, None
        start = before.register(fixed, moving).field
        return fixed, moving, resample_moving(moving, start), start

    def _value(self, pair: int, fixed: Case, moving: Case, field: DisplacementField) -> float:
        """The mean of the metric over a pair's labels or landmarks."""
        labels = {int(value): name for value, name in self.settings["labels"].items()}
        rows = evaluate_pair(fixed, moving, field, labels, self.settings["outside"])
        metric = self.settings["search"]["metric"]
        values = [row["value"] for row in rows if row["metric"] == metric]
        values = [value for value in values if math.isfinite(value)]
        if not values:
            raise ValueError(f"The pair {self.settings['pairs'][pair]} has no {metric}.")
        return float(np.mean(values))


def _file(place: Path, item: Item) -> Path:
    candidate, pair, half = item
    return place / f"{candidate}-{pair}-{'half' if half else 'full'}.json"


def _halved(case: Case) -> Case:
    """A case of twice the voxels' sides, where it has enough of them."""
    if min(case.grid.shape) < 2 * SMALLEST:
        return case
    return resample(case, [2 * side for side in case.grid.spacing])
