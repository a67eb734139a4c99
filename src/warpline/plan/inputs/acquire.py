"""Archives and case files: where they come from, and what a case is imported from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.kinds import PHANTOMS
from warpline.plan.run import Run

# The keys of a dataset file that are about its files.
FORMAT_KEYS = (
    "format",
    "labels",
    "case_sheet",
    "ask",
    "nan",
    "landmark_folder",
    "scans",
    "phantom",
)


def archive_folder(run: Run, dataset: str) -> str:
    """Real archives are kept when results are deleted; a phantom's are part of the results."""
    if run.catalog.dataset(dataset).spec["phantom"]:
        return run.layout.phantom_archives(dataset)
    return run.catalog.config["data"]


def archive_spec(run: Run, dataset: str, archive: str) -> dict[str, Any]:
    """An archive's entry in the dataset file, with the run's mirror as its first source."""
    data = run.catalog.dataset(dataset)
    spec = dict(data.spec["archives"][archive])
    if data.spec["phantom"]:
        source = f"file:{run.layout.mirror(dataset)}/{archive}"
        return {**spec, "sources": [source], "checksums": [], "size": None}
    if run.catalog.config["mirror"]:
        first = f"{run.catalog.config['mirror'].rstrip('/')}/{archive}"
        spec["sources"] = [first, *spec["sources"]]
    return spec


def archive_to_fetch(run: Run, dataset: str, archive: str) -> dict[str, Any]:
    """The same for a job that fetches this archive alone.

    Raises
    ------
    WarplineError
        If the dataset is generated: its archives come all from one job.
    """
    if run.catalog.dataset(dataset).spec["phantom"]:
        raise WarplineError(
            f"The dataset '{dataset}' is generated at this scale; none of its archives is fetched.",
            where=run.layout.unpacked(dataset, archive),
            do=f"Ask for all of them: {run.layout.phantom_unpacked(dataset)}.",
        )
    return archive_spec(run, dataset, archive)


def cases_to_unpack(run: Run, dataset: str) -> list[str] | None:
    """The cases whose scans are unpacked; None for all that there are."""
    return None if run.catalog.config["unpack"] == "all" else [*run.catalog.dataset(dataset).ids]


def source_format(run: Run, dataset: str) -> str:
    """The name of a dataset's source format."""
    return run.catalog.dataset(dataset).spec["format"]


def archive_specs(run: Run, dataset: str) -> dict[str, dict[str, Any]]:
    """All of a dataset's archives, by name."""
    archives = run.catalog.dataset(dataset).spec["archives"]
    return {archive: archive_spec(run, dataset, archive) for archive in archives}


def per_case_folder(run: Run, dataset: str) -> str:
    """Where files that come case by case are kept: a folder for each kind."""
    return f"{archive_folder(run, dataset)}/{dataset}"


def per_case_files(run: Run, dataset: str, batch: str) -> dict[str, dict[str, Any]]:
    """What a batch's cases have for themselves: case to kind to file, sources and ask."""
    data = run.catalog.dataset(dataset)
    files = {case: data.files_of(case) for case in data.batches()[batch]}
    for kinds in files.values():
        for kind, entry in kinds.items():
            if data.spec["phantom"]:
                mirror = f"file:{run.layout.mirror(dataset)}"
                entry["sources"] = [f"{mirror}/{kind}/{entry['file']}"]
            elif run.catalog.config["mirror"]:
                mirror = f"{run.catalog.config['mirror'].rstrip('/')}/{dataset}"
                entry["sources"].insert(0, f"{mirror}/{kind}/{entry['file']}")
    return files


def phantom_mirror(run: Run, dataset: str) -> str | list[str]:
    """A phantom's mirror, which the download has to wait for."""
    return run.layout.mirror(dataset) if run.catalog.dataset(dataset).spec["phantom"] else []


def phantom_spec(run: Run, dataset: str) -> dict[str, Any]:
    """What a phantom is made from; raw volumes have the sizes that they will be read with."""
    spec = run.catalog.dataset(dataset).spec
    return {**spec["phantom"], "scans": spec["scans"]}


def phantom_cases(run: Run, dataset: str) -> list:
    """Rows of the cases that a phantom is made for."""
    return list(run.catalog.dataset(dataset).cases)


def phantom_code(run: Run, dataset: str) -> str:
    """Fingerprint of the phantom's own kind alone."""
    kind = run.catalog.dataset(dataset).spec["phantom"]["kind"]
    return run.code("phantom.py", *filter(None, [PHANTOMS.get(kind)]))


def case_sources(run: Run, dataset: str, batch: str) -> list[str | Path]:
    """Unpacked archives, or own files: those that exist, since the job names the missing ones."""
    data = run.catalog.dataset(dataset)
    if data.spec["folder"]:
        return run.own_folder(dataset).inputs(case_rows(run, dataset, batch))
    extra = data.spec["landmark_folder"]
    archives = [run.layout.unpacked(dataset, archive) for archive in data.spec["archives"]]
    return [
        # All of a phantom's archives are unpacked by one job.
        *([run.layout.phantom_unpacked(dataset)] if data.spec["phantom"] else archives),
        *([run.layout.fetched(dataset, batch)] if data.spec["per_case"] else []),
        *(sorted(Path(extra).rglob("*.csv")) if extra else []),
    ]


def source_folder(run: Run, dataset: str) -> str:
    """The folder that a format looks for a case's files in."""
    spec = run.catalog.dataset(dataset).spec
    unpacked = run.layout.phantom_unpacked if spec["phantom"] else run.layout.unpacked
    return spec["folder"] or unpacked(dataset)


def source_spec(run: Run, dataset: str, batch: str) -> dict[str, Any]:
    """What a format is told of a dataset: the keys that are about its files, and the patients."""
    data = run.catalog.dataset(dataset)
    told = {key: data.spec[key] for key in FORMAT_KEYS}
    told["own"] = bool(data.spec["folder"])
    if data.spec["per_case"] and not data.spec["folder"]:
        told["per_case"] = data.spec["per_case"]
        told["per_case_folder"] = per_case_folder(run, dataset)
        told["per_case_digests"] = str(run.layout.fetched(dataset, batch))
    return {**told, "patients": data.patients_of(data.batches()[batch])}


def case_rows(run: Run, dataset: str, batch: str) -> list:
    """The case sheet's rows of a batch."""
    data = run.catalog.dataset(dataset)
    return [data.row(case) for case in data.batches()[batch]]


def format_module(run: Run, dataset: str) -> str:
    """The module of a dataset's source format."""
    return f"warpline.acquire.formats.{run.catalog.dataset(dataset).spec['format']}"
