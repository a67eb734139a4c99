"""The files of a folder of one's own that say what was found: to be looked over and changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from warpline.acquire.discover.found import Found

SPLIT = "test"
COLUMNS = ("image", "labels", "mask", "landmarks")
METHODS = ("identity", "affine", "syn", "warpline")

CONFIG = """\
# What is run here: the studies of the folder 'studies', on the datasets of the folder 'datasets'.
# What is not said here has its default: docs/reference/configuration.md of the project.
scale: cpu
papers: []          # papers to reproduce as well, such as estienne2020
threads: 1          # CPU threads of one registration; several run side by side
results: results    # all that is made
"""

DATASET = """\
# {what}, as 'warpline init' found it. Look it over: the case sheet says which files a case has.
title: {title}
format: folder
folder: {folder}
case_sheet: datasets/{name}.tsv
{labels}
pairs:
  {split}: {pairs}    # {why}
{prepare}
# A network needs one shape, a multiple of 16, and a split to train on, in the case sheet too:
#   - pad_crop: {{shape: [96, 96, 96], fill: minimum}}
#   - rescale: {{}}
"""

STUDY = """\
# Every method on every pair: tables, pictures, statistics. Run by: warpline run {name}
title: {title}
datasets: [{dataset}]
methods: [{methods}]
split: {split}
reference: identity    # the row that the others are tested against
"""


def texts(found: Found, name: str, into: Path) -> dict[str, str]:
    """The dataset's file, its case sheet, pairs that the layout names, and a study of it.

    Parameters
    ----------
    name
        The dataset's.
    into
        One's own folder: a folder of scans within it is named relative to it.

    Returns
    -------
    Relative path to text.
    """
    folder = Path(os.path.abspath(found.folder))
    told = os.path.relpath(folder, into)
    folder_key = told if not told.startswith("..") else str(folder)
    steps, resampled = found.preparation()
    rule, why = found.pairing()
    files = {f"datasets/{name}.tsv": _sheet(found)}
    if found.sheet:
        rule, why = {"from": "sheet", "file": f"datasets/{name}-pairs.csv"}, "those of the layout"
        files[f"datasets/{name}-pairs.csv"] = _pairs(found)
    prepare = _flow({"prepare": steps})
    files[f"datasets/{name}.yaml"] = DATASET.format(
        what=_sentence(found.layout),
        title=_flow(found.folder.absolute().name or name),
        folder=_flow(folder_key),
        name=name,
        labels=_flow({"labels": found.labels}),
        split=SPLIT,
        pairs=_flow(rule, True),
        why=why,
        prepare=prepare + (f"  # {resampled}" if resampled else ""),
    )
    study = study_name(name)
    files[f"studies/{study}.yaml"] = STUDY.format(
        name=study,
        title=_flow(found.folder.absolute().name or name),
        dataset=name,
        methods=", ".join(METHODS),
        split=SPLIT,
    )
    return files


def study_name(dataset: str) -> str:
    """The study of a dataset."""
    return f"compare-{dataset}"


def _sheet(found: Found) -> str:
    used = [column for column in COLUMNS if any(getattr(scan, column) for scan in found.scans)]
    cases, patients = found.cases, found.patients
    lines = [("case", "patient", "split", *used)]
    for scan in found.scans:
        files = (getattr(scan, column) for column in used)
        lines.append((cases[scan.name], patients[scan.patient], SPLIT, *files))
    return _lines(lines, "\t")


def _pairs(found: Found) -> str:
    cases = found.cases
    return _lines(
        [("fixed", "moving"), *((cases[one], cases[other]) for one, other in found.sheet)], ","
    )


def _lines(rows: Sequence[Sequence[str]], separator: str) -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


def _flow(value: object, inline: bool = False) -> str:
    """A value as YAML: a mapping block by block, or all `inline`."""
    text = yaml.safe_dump(
        value, allow_unicode=True, sort_keys=False, width=10_000, default_flow_style=inline or None
    )
    return text.removesuffix("\n").removesuffix("...").strip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
