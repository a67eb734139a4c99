"""What a run is about to do, told before it begins: scale, images, downloads, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from warpline.plan.duration import duration
from warpline.plan.inputs.acquire import (
    archive_folder,
    archive_spec,
    per_case_files,
    per_case_folder,
)
from warpline.plan.inputs.described import waiting_batches
from warpline.plan.rates import known
from warpline.plan.run import Run
from warpline.plan.trainings import labelled_by
from warpline.plan.wanted import Wanted, experiments_wanted, networks_wanted, wanted

SCALES_IN_WORDS = {
    "demo": "small networks, minutes",
    "cpu": "smaller networks than published",
    "paper": "the published setting",
}


@dataclass
class Download:
    """What a dataset still needs.

    Attributes
    ----------
    files
        How many archives and files of cases are not there yet.
    all_files
        How many there are.
    gigabytes
        Of all of the dataset's files; None where nobody has said it.
    missing
        Names of what no source gives by itself, with the page to ask where one is known.
    """

    dataset: str
    files: int = 0
    all_files: int = 0
    gigabytes: float | None = None
    missing: dict[str, str | None] = field(default_factory=dict)

    def in_words(self) -> str:
        """As a part of a sentence."""
        size = "size not known" if self.gigabytes is None else f"{self.gigabytes:g} GB"
        if self.gigabytes is not None and self.files < self.all_files:
            size += f" with the {self.all_files - self.files} that are there or missing"
        return f"{self.dataset} ({self.files} file{'s' * (self.files != 1)}, {size})"


def datasets_asked(run: Run, asked: Wanted) -> list[str]:
    """The datasets whose files are needed; with those that others are made of or aligned to."""
    waiting = [
        *(experiment.dataset for experiment in experiments_wanted(run, asked)),
        *(dataset for dataset, _ in networks_wanted(run, asked)),
        *(cell.dataset for cell in asked.cells),
        *(name for paper in asked.papers for name in _explored(run.catalog.paper(paper))),
    ]
    found: list[str] = []
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found.append(name)
        spec = run.catalog.dataset(name).spec
        waiting += spec.get("members", ())
        waiting += [d for d, _ in filter(None, [labelled_by(run.catalog, name)])]
        waiting += filter(None, [(spec["prealign"] or {}).get("dataset")])
    return sorted(name for name in found if "members" not in run.catalog.dataset(name).spec)


def _explored(paper: Mapping[str, Any]) -> list[str]:
    figures = paper["figures"].values()
    return [f["dataset"] for f in figures if f["kind"] == "exploration" and f.get("dataset")]


def download(run: Run, dataset: str) -> Download:
    """What a dataset still needs from elsewhere; nothing of a phantom."""
    data = run.catalog.dataset(dataset)
    told = known(run.catalog)["downloads"].get(dataset, {})
    found = Download(dataset, gigabytes=told.get("gigabytes"))
    if data.spec["phantom"]:
        return found
    if data.spec["folder"]:
        folder = Path(data.spec["folder"])
        if not (folder.is_dir() and any(folder.iterdir())):
            found.missing[f"the folder {folder}"] = data.spec["ask"]
        return found
    found.all_files = len(data.spec["archives"])
    if run.catalog.config["keep_downloads"] != "all" and not waiting_batches(run, dataset):
        return found  # neither archives nor what was unpacked need be there
    here = Path(archive_folder(run, dataset))
    for archive in data.spec["archives"]:
        if (here / archive).exists() or Path(run.layout.unpacked(dataset, archive)).exists():
            continue
        spec = archive_spec(run, dataset, archive)
        _note(found, archive, spec["sources"], archive, spec["ask"])
    place = Path(per_case_folder(run, dataset))
    batches = data.batches() if data.spec["per_case"] else ()
    cases = (files for batch in batches for files in per_case_files(run, dataset, batch).values())
    for kind, entry in (entry for files in cases for entry in files.items()):
        found.all_files += 1
        if not (place / kind / entry["file"]).exists():
            name = f"files of cases ({kind})"
            _note(found, name, entry["sources"], entry["file"], entry["ask"])
    return found


def _note(found: Download, name: str, sources: list[str], file: str, ask: str | None) -> None:
    if any(_gives(source, file) for source in sources):
        found.files += 1
    else:
        found.missing[name] = ask


def _gives(source: str, file: str) -> bool:
    """Whether a source can be expected to give a file: it has it, or is a server."""
    kind, _, rest = source.partition(":")
    if kind == "folder":
        return (Path(rest) / file).exists()
    if kind == "file":
        return Path(unquote(urlsplit(source).path)).exists()
    return True


def outlook(run: Run, targets: Iterable[str], origin: str, cores: int | None = None) -> str:
    """What this run is: its first line, and one for each thing that is missing.

    Parameters
    ----------
    targets
        That were asked for.
    origin
        Who named the scale.
    cores
        Of this machine that it may take; None where it does not run here.
    """
    asked = wanted(run, targets := list(targets))
    scale = run.catalog.scale
    begun = (
        f"{'Rehearsal of scale' if run.catalog.config['rehearse'] else 'Scale'} {scale} "
        f"({SCALES_IN_WORDS[scale]}; from {origin})"
    )
    if targets and not (asked.papers or asked.models or asked.cells):
        device = run.catalog.device
        return f"{begun}, device {device}: single targets. What they take is not counted."
    datasets = datasets_asked(run, asked)
    generated = [n for n in datasets if run.catalog.dataset(n).spec["phantom"]]
    real = [name for name in datasets if name not in generated]
    images = "generated images" if generated else "real images"
    if generated and real:
        images = f"generated images ({', '.join(generated)}) and real ones ({', '.join(real)})"
    needs = [download(run, name) for name in real]
    parts = [need.in_words() for need in needs if need.files]
    first = f"{begun}, {images}, device {run.catalog.device}: {asked.in_words()}. " + (
        f"To download: {_total(needs)}{', '.join(parts)}." if parts else "Nothing to download."
    )
    missing = [need.dataset for need in needs if need.missing]
    first += f" Missing: {', '.join(missing)}, see below." * bool(missing)
    spent = duration(run, asked, datasets, forked=cores is not None)
    first += f" {spent.in_words(cores)}"
    lines = [first]
    for need in needs:
        for name, ask in need.missing.items():
            where = f"ask for it at {ask}" if ask else "data of your own, see docs/own-data.md"
            lines.append(f"Missing: {need.dataset}, {name}: {where}.")
    return "\n".join(lines)


def _total(needs: Iterable[Download]) -> str:
    """What several datasets' downloads come to, as far as that is known."""
    waiting = [need for need in needs if need.files]
    known = [need.gigabytes for need in waiting if need.gigabytes is not None]
    if len(waiting) < 2 or not known:
        return ""
    more = " and what is not known" * (len(known) < len(waiting))
    return f"{sum(known):.3g} GB{more}: "
