"""What a dataset still needs from elsewhere: files that are not there, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from warpline.plan.dataset import Dataset
from warpline.plan.inputs.acquire import (
    archive_folder,
    archive_spec,
    per_case_files,
    per_case_folder,
)
from warpline.plan.inputs.described import waiting_batches
from warpline.plan.rates import known
from warpline.plan.run import Run

GB = 1e9


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
        Of the files that are not there yet where each one's is known (`counted`), else of all of
        the dataset's; None where nobody has said it.
    missing
        Names of what no source gives by itself, with the page to ask where one is known.
    """

    dataset: str
    files: int = 0
    all_files: int = 0
    gigabytes: float | None = None
    counted: bool = False
    missing: dict[str, str | None] = field(default_factory=dict)

    def in_words(self) -> str:
        """As a part of a sentence."""
        size = "size not known" if self.gigabytes is None else f"{self.gigabytes:.3g} GB"
        others = self.all_files - self.files
        if self.gigabytes is not None and not self.counted and others:
            size += f" with the {others} that {'is' if others == 1 else 'are'} there or missing"
        return f"{self.dataset} ({self.files} file{'s' * (self.files != 1)}, {size})"


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
    waiting = [
        (archive, archive, archive_spec(run, dataset, archive))
        for archive in data.spec["archives"]
        if not (here / archive).exists()
        and not Path(run.layout.unpacked(dataset, archive)).exists()
    ]
    place = Path(per_case_folder(run, dataset))
    batches = data.batches() if data.spec["per_case"] else ()
    cases = (files for batch in batches for files in per_case_files(run, dataset, batch).values())
    for kind, entry in (entry for files in cases for entry in files.items()):
        found.all_files += 1
        if not (place / kind / entry["file"]).exists():
            waiting.append((f"files of cases ({kind})", entry["file"], entry))
    sizes = []
    for name, file, spec in waiting:
        source = next((s for s in spec["sources"] if _gives(s, file)), None)
        if source is None:
            found.missing[name] = spec["ask"]
        else:
            sizes.append(_size(file, source, spec, told))
    found.files = len(sizes)
    if sizes and None not in sizes:
        found.gigabytes, found.counted = sum(sizes), True
    return found


def _gives(source: str, file: str) -> bool:
    """Whether a source can be expected to give a file: it has it, or is a server."""
    local = _local(source, file)
    return local is None or local.exists()


def _local(source: str, file: str) -> Path | None:
    """Where a source of this machine has a file; None of a server."""
    kind, _, rest = source.partition(":")
    if kind == "folder":
        return Path(rest) / file
    return Path(unquote(urlsplit(source).path)) if kind == "file" else None


def _size(file: str, source: str, spec: Mapping[str, Any], told: Mapping[str, Any]) -> float | None:
    """GB of a file: as it lies here, as its dataset names it, or as config/budget.yaml does."""
    local = _local(source, file)
    if local:
        return local.stat().st_size / GB
    return spec["size"] / GB if spec.get("size") else size_told(file, told)


def size_told(file: str, told: Mapping[str, Any]) -> float | None:
    """GB of a file by a dataset's entry under ``downloads`` in config/budget.yaml."""
    return next((n for p, n in (told.get("files") or {}).items() if fnmatchcase(file, p)), None)


def sizes_told(dataset: Dataset, told: Mapping[str, Any]) -> dict[str, float | None]:
    """GB of all of a dataset's archives, and unpacked: the whole's, or of those that a
    configuration leaves in where each one's size is known."""
    whole, files = told.get("gigabytes"), [size_told(a, told) for a in dataset.spec["archives"]]
    share = sum(files) / whole if whole and files and None not in files else 1
    found = {"download": whole, "unpacked": told.get("unpacked")}
    return {key: size and size * share for key, size in found.items()}
