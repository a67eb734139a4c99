"""One method on a dataset's pairs in the arena: registered, timed, measured; failures too."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from warpline.cases.case import Case, read_case
from warpline.evaluation.attempts import ERROR, Say, Work, attempt_all, stopwatch
from warpline.evaluation.experiment import UNITS
from warpline.evaluation.metrics.depth import distance_to_boundary, error_by_depth
from warpline.evaluation.metrics.tetrahedra import non_diffeomorphic_volume
from warpline.evaluation.pairs import evaluate_pair
from warpline.evaluation.records import (
    FAILED,
    SKIPPED,
    read_records,
    records,
    row,
    write_records,
)
from warpline.fields.io import read_field, write_field
from warpline.fields.physical import DisplacementField
from warpline.plan.pairs import Pair, pair_name
from warpline.provenance.record import peak_memory
from warpline.registration.initial import resample_moving
from warpline.registration.job import initial_of, method_of
from warpline.registration.method import Method, registrar
from warpline.registration.registrar import Registrar
from warpline.registration.tuned import tuned

BACK = "-back"
OWN_UNITS = {**UNITS, "cpu_seconds": "s", "start_up": "s"}


@dataclass(frozen=True)
class Contest:
    """A cell of the arena, from `warpline.plan.inputs.arena.cell_settings`.

    Attributes
    ----------
    method, initial
        The method, and the baseline before it if there is one.
    state
        A folder where each pair's records wait for the others, so that nothing is done twice. It
        lies in one of the cell's own.
    """

    settings: Mapping[str, Any]
    method: Method
    initial: Method | None
    state: Path

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], files: Mapping[str, Any], threads: int, state: Path
    ) -> Contest:
        """The cell of a rule's parameters and its inputs by name."""
        method = method_of(settings, files, threads)
        initial = initial_of(settings, files, threads)
        known = [settings, threads, tuned(settings["method"], files.get("tuned"))]
        text = json.dumps(known, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cls(settings, method, initial, state / key)

    def run(self, target: str | os.PathLike, fields: str | os.PathLike | None) -> None:
        """Register and measure every pair, and write all records to a file.

        Parameters
        ----------
        fields
            The folder in which the fields are kept, or None.
        """
        experiment = self.settings["experiment"]
        if self.settings["missing"]:
            print(f"skipped: {self.settings['missing']}", flush=True)
            rows = [row(SKIPPED, 1.0, "", self.settings["missing"])]
            write_records(records(rows, **experiment, fixed="", moving=""), target)
            return
        pairs = [(fixed, moving) for fixed, moving in self.settings["pairs"]]
        self.state.mkdir(parents=True, exist_ok=True)
        for other in self.state.parent.iterdir():
            if other != self.state:  # of a cell that was asked for otherwise, and stopped
                shutil.rmtree(other)
        left = [pair for pair in pairs if not self._file(pair).exists()]
        for pair, reason in attempt_all(self._work, left, self.settings["limit"]):
            print(f"{' <- '.join(pair)}: {reason or 'done'}", flush=True)
        frames = [read_records(self._file(pair)) for pair in pairs]
        frames += [frame for pair in pairs if (frame := self._consistency(pair)) is not None]
        if fields is not None and self.settings["keep_fields"]:
            for pair in pairs:
                shutil.copyfile(self._field(pair), Path(fields) / self._field(pair).name)
        write_records(pd.concat(frames, ignore_index=True), target)
        shutil.rmtree(self.state)

    def _file(self, pair: Pair) -> Path:
        return self.state / f"{pair_name(pair)}.parquet"

    def _field(self, pair: Pair, direction: str = "") -> Path:
        return self.state / f"{pair_name(pair)}{direction}.nii.gz"

    def _consistency(self, pair: Pair) -> pd.DataFrame | None:
        """The inverse consistency of a pair, if the way back was found.

        Measured when all is registered: it loads torch, whose memory is not the method's.
        """
        from warpline.fields.consistency import inverse_consistency

        if not self._field(pair, BACK).exists():
            return None
        both = (read_field(self._field(pair, direction)) for direction in ("", BACK))
        rows = [row("inverse_consistency", inverse_consistency(*both), "mm")]
        return records(rows, **self.settings["experiment"], fixed=pair[0], moving=pair[1])

    def _work(self) -> Work:
        """The work of the process that registers; it holds the method, ready, while it lives."""
        began = time.perf_counter()
        held = ExitStack()
        chosen = held.enter_context(registrar(self.method, self.settings["device"], "arena"))
        first = self.initial and held.enter_context(registrar(self.initial, "cpu", "arena"))
        folders = self.settings["folders"]
        start_up = time.perf_counter() - began
        warm = not chosen.warms_up

        def work(pair: Pair, reason: str, timed: Say) -> None:
            nonlocal warm, start_up
            fixed, moving = (read_case(folders[case]) for case in pair)
            if not warm and not reason:
                # What a network's first run takes longer is its start. The way back is not timed.
                with stopwatch() as cost:
                    if self.settings["both_directions"]:
                        self._backward(chosen, first, fixed, moving)
                    else:
                        _register(chosen, first, fixed, moving)
                start_up, warm = start_up + cost["seconds"], True
            field, rows = self._attempt(chosen, first, fixed, moving, reason, timed)
            if not any(entry["metric"] == "start_up" for entry in rows):
                rows.append(row("start_up", start_up, "s"))
            rows += evaluate_pair(
                fixed,
                moving,
                field,
                {int(value): name for value, name in self.settings["labels"].items()},
                self.settings["outside"],
            )
            rows += _by_depth(fixed, moving, field, self.settings["outside"])
            rows.append(row("non_diffeomorphic_volume", non_diffeomorphic_volume(field)))
            write_field(self._field(pair), field)
            frame = records(rows, **self.settings["experiment"], fixed=pair[0], moving=pair[1])
            write_records(frame, self._file(pair))

        return work

    def _attempt(
        self,
        chosen: Registrar,
        first: Registrar | None,
        fixed: Case,
        moving: Case,
        reason: str,
        timed: Say,
    ) -> tuple[DisplacementField, list[dict[str, Any]]]:
        """A pair's field, that of no displacement after a failure, and what is told of it."""
        rows: list[dict[str, Any]] = []
        if not reason:
            _forget_peak()
            try:
                with stopwatch() as cost:
                    field, told = _register(chosen, first, fixed, moving)
            except Exception:
                print(traceback.format_exc(), flush=True)
                reason = ERROR
            else:
                timed()
                costs = {**cost, "peak_memory": told.pop("peak_memory", peak_memory())}
                costs["seconds"] -= told.pop("outside", 0.0)
                told.pop("inverse_consistency", None)  # of a network's own inverse
                rows += [
                    row(key, value, OWN_UNITS.get(key, ""), "cpu" if key == "seconds" else "")
                    for key, value in {**told, **costs}.items()
                ]
                if self.settings["both_directions"]:
                    self._backward(chosen, first, fixed, moving)
        rows.append(row(FAILED, float(bool(reason)), "", reason))
        if reason:
            field = DisplacementField.identity(fixed.grid)
            if reason != ERROR:
                rows.append(row("seconds", self.settings["limit"], "s", "cpu"))
        return field, rows

    def _backward(
        self, chosen: Registrar, first: Registrar | None, fixed: Case, moving: Case
    ) -> None:
        """Keep the field of the way back, if it is not there; where it fails, there is none."""
        file = self._field((fixed.id, moving.id), BACK)
        if file.exists():
            return
        try:
            back, _ = _register(chosen, first, moving, fixed)
        except Exception:
            print(traceback.format_exc(), flush=True)
            return
        write_field(file, back)


def _register(
    chosen: Registrar, first: Registrar | None, fixed: Case, moving: Case
) -> tuple[DisplacementField, dict[str, float]]:
    """The field of a pair, its initial registration included, and what the method says of it.

    Of a program in a process of its own, ``outside`` is what its seconds leave out of those that
    pass here: its start, and the files that go there and come back.
    """
    before = None
    if first is not None:
        before = first.register(fixed, moving).field
        moving = resample_moving(moving, before)
    with stopwatch() as cost:
        found = chosen.register(fixed, moving)
    told = dict(found.diagnostics.values)
    if "seconds" in told:
        told["outside"] = cost["seconds"] - told.pop("seconds")
    return found.field if before is None else before.compose(found.field), told


def _by_depth(
    fixed: Case, moving: Case, field: DisplacementField, outside: str
) -> list[dict[str, Any]]:
    """Errors of labels by their distance from a boundary; how deep landmarks lie in the mask."""
    spacing = fixed.grid.spacing[::-1]
    rows = []
    if fixed.labels is not None and moving.labels is not None:
        warped = field.warp_labels(moving.labels, outside).array
        shares = error_by_depth(fixed.labels.array, warped, spacing)
        rows += [row("error_by_depth", share, "", band) for band, share in shares.items()]
    if fixed.landmarks is not None and moving.landmarks is not None and fixed.mask is not None:
        distance = distance_to_boundary((fixed.mask.array > 0).astype(np.int8), spacing)
        both = fixed.landmarks[fixed.landmarks["id"].isin(moving.landmarks["id"])]
        index = np.rint(fixed.mask.grid.physical_to_index(both[["x", "y", "z"]].to_numpy()))
        index = np.clip(index.astype(int), 0, np.asarray(distance.shape) - 1)
        depths = distance[tuple(index.T)]
        rows += [
            row("depth", depth, "mm", str(name))
            for name, depth in zip(both["id"], depths, strict=True)
            if np.isfinite(depth)
        ]
    return rows


def _forget_peak() -> None:
    """Let the largest memory so far count from now on, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
