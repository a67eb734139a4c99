"""Registering a batch of pairs: their fields, what each cost and what is told of each."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from warpline.cases.atlas import without_self
from warpline.cases.case import Case, read_case
from warpline.fields.halved import read_kept, write_kept
from warpline.fields.physical import DisplacementField
from warpline.files import atomic_folder, write_json
from warpline.images.files import write_image
from warpline.plan.pairs import Pair, pair_name
from warpline.provenance.record import peak_memory
from warpline.registration.initial import resample_moving
from warpline.registration.registrar import Diagnostics, Registrar, Registration

TABLE, ORIGIN = "registrations.csv", "origin.json"
# Of a first registration that takes longer, what it takes for its set-up is a small part.
SET_UP_TELLS = 60  # seconds


def _timed(registrar: Registrar, fixed: Case, moving: Case) -> tuple[Registration, float]:
    """A pair's registration, and its seconds."""
    started = time.perf_counter()
    result = registrar.register(fixed, moving)
    return result, time.perf_counter() - started


def register_batch(
    registrar: Registrar,
    pairs: Sequence[Pair],
    folders: Mapping[str, str],
    target: str | os.PathLike,
    initial: Mapping[str, str] | None = None,
    origin: object = None,
    *,
    halved: bool = False,
) -> None:
    """Register pairs into a folder, which appears when all of them are done.

    It holds each pair's field ``<fixed>__<moving>.nii.gz``, the arrays (``.npz``) and images
    (``-<name>.nii.gz``) of its diagnostics, and the table ``registrations.csv``: fixed, moving,
    seconds, device, peak_memory (MiB, of the process so far), and the diagnostics' values.

    Parameters
    ----------
    pairs
        (fixed, moving) ids; that of the atlas with the case that it copies is left out.
    folders
        Of every case, and of the atlas where pairs hold it.
    initial
        Folder of the field of each pair's initial registration, by the pair's name. The registrar
        gets the moving case as that leaves it, and the two fields are composed.
    origin
        What the fields are made from, any JSON value, kept beside them for `is_registered`.
    halved
        Whether fields are kept halved where they are smooth enough (`warpline.fields.halved`).

    Raises
    ------
    WarplineError
        If a case or a field cannot be read, or a registration fails; `target` is as it was.
    """
    pairs = without_self(pairs, folders, some=False)
    rows: list[dict[str, Any]] = []
    with atomic_folder(target) as folder, _Writer(apart=registrar.device != "cpu") as writer:
        for pair in pairs:
            fixed, moving, first = read_pair(pair, folders, initial)
            # Without the initial registration, as published.
            result, seconds = _timed(registrar, fixed, moving)
            if not rows and registrar.warms_up and seconds < SET_UP_TELLS:
                del result  # which would count in the peak of the next one
                result, seconds = _timed(registrar, fixed, moving)
            field = result.field if first is None else first.compose(result.field)
            path = folder / f"{pair_name(pair)}.nii.gz"
            writer.do(partial(write_kept, path, field, halved=halved))
            writer.do(partial(write_diagnostics, folder, pair, result.diagnostics))
            row = dict(zip(("fixed", "moving"), pair, strict=True)) | {"seconds": seconds}
            row |= {"device": registrar.device, "peak_memory": peak_memory()}
            rows.append(row | dict(result.diagnostics.values))
            done = f"{len(rows)}/{len(pairs)}"
            print(f"{' <- '.join(pair)}: {seconds:.2f} s ({done})", flush=True)
        writer.finish()
        if registrar.examines:
            # Afterwards: the memory of the above is that of the registrations alone.
            for pair, row in zip(pairs, rows, strict=True):
                fixed, moving, _ = read_pair(pair, folders, initial)
                found = registrar.examine(fixed, moving)
                write_diagnostics(folder, pair, found)
                row |= found.values
        columns = None if rows else ["fixed", "moving"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / TABLE, index=False)
        if origin is not None:
            write_json(folder / ORIGIN, _digest(origin))


class _Writer:
    """Writes while a device registers the next pair; on the CPU, which would share it, at once."""

    def __init__(self, *, apart: bool) -> None:
        self.pool = ThreadPoolExecutor(1) if apart else None
        self.waiting: list[Future] = []

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def do(self, work: Callable[[], None]) -> None:
        """Write something; what was asked for before the last two is done, and raises its error."""
        if self.pool is None:
            work()
            return
        while len(self.waiting) > 1:
            self.waiting.pop(0).result()
        self.waiting.append(self.pool.submit(work))

    def finish(self) -> None:
        """Wait for all."""
        while self.waiting:
            self.waiting.pop(0).result()


def is_registered(target: str | os.PathLike, origin: object) -> bool:
    """Whether a folder holds the fields of just this origin."""
    kept = Path(target) / ORIGIN
    return kept.is_file() and json.loads(kept.read_text(encoding="utf-8")) == _digest(origin)


def _digest(origin: object) -> str:
    text = json.dumps(origin, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def read_pair(
    pair: Pair, folders: Mapping[str, str], initial: Mapping[str, str] | None = None
) -> tuple[Case, Case, DisplacementField | None]:
    """The fixed case, the moving one as its initial registration leaves it, and the latter's field.

    Without an initial registration the moving case is as it was, and there is no field.
    """
    fixed, moving = (read_case(folders[case]) for case in pair)
    if not initial:
        return fixed, moving, None
    name = pair_name(pair)
    first = read_kept(Path(initial[name]) / f"{name}.nii.gz", fixed.grid)
    return fixed, resample_moving(moving, first), first


def write_diagnostics(folder: Path, pair: Pair, diagnostics: Diagnostics) -> None:
    """Write the arrays and images of a pair's diagnostics beside its field."""
    name = pair_name(pair)
    if diagnostics.arrays:
        np.savez_compressed(folder / f"{name}.npz", **diagnostics.arrays)
    for part, image in diagnostics.images.items():
        write_image(folder / f"{name}-{part}.nii.gz", image)
