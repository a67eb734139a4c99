"""Which files of a folder of own data belong to which cases: a change to one is a change to them.

Formats look for them when a job runs (`warpline.acquire.formats`); here they are listed before, so
that Snakemake sees what has changed, and a result's record holds their digests.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from warpline.provenance.companions import companions

COLUMNS = ("image", "labels", "mask", "landmarks")
BY_PATH = ("folder", "followup")  # formats whose case sheet holds paths
BY_PATTERN = ("dirlab",)  # and patterns of names
# Whose names do not tell the case: any file may be one of its.
BY_LIST = ("neurite_oasis",)
TABLES = (".json", ".csv", ".tsv", ".txt")  # what may describe all cases


class OwnFolder:
    """A folder of own data, listed once.

    Parameters
    ----------
    folder
        It need not exist.
    kind
        The dataset's format.
    results
        The folder of results: where it lies within, its files are nobody's.
    """

    def __init__(self, folder: str | os.PathLike, kind: str, results: str | os.PathLike):
        self.folder, self.kind = Path(folder), kind
        self._results = os.path.realpath(results)
        self._files: list[Path] | None = None
        self._members: dict[Path, list[str]] = {}

    def inputs(self, rows: Iterable[Mapping[str, str]]) -> list[Path]:
        """The existing files that rows of the case sheet are imported from, and their companions.

        What is missing is named when the cases are imported.
        """
        found = dict.fromkeys(path for row in rows for path in self._of(row))
        every = dict.fromkeys(part for path in found for part in (path, *companions(path)))
        return [path for path in every if path.is_file()]

    @property
    def files(self) -> list[Path]:
        """All files, hidden ones and results apart, sorted."""
        if self._files is None:
            self._files = sorted(self._beneath(self.folder))
        return self._files

    def _beneath(self, folder: Path) -> Iterator[Path]:
        for place, folders, names in os.walk(folder):
            kept = [name for name in folders if not name.startswith(".")]
            folders[:] = [
                name
                for name in kept
                if os.path.realpath(os.path.join(place, name)) != self._results
            ]
            yield from (Path(place) / name for name in names if not name.startswith("."))

    def _of(self, row: Mapping[str, str]) -> Iterator[Path]:
        if self.kind in BY_PATH:
            for path in (row[column] for column in COLUMNS if row[column]):
                whole = self.folder / path
                # A path may also be relative to a folder in the folder, or a series of DICOM files.
                for found in [whole] if whole.exists() else self.folder.glob(f"*/{path}"):
                    yield from sorted(self._beneath(found)) if found.is_dir() else [found]
        elif self.kind in BY_PATTERN:
            for pattern in (row[column] for column in COLUMNS if row[column]):
                yield from self._matching(pattern.lower())
        elif self.kind in BY_LIST:
            yield from self.files
        else:
            names = (row["case"], row["case"].replace("-", "_"))
            for path in self.files:
                told = path.relative_to(self.folder).as_posix()
                if path.suffix.lower() in TABLES or any(name in told for name in names):
                    yield path

    def _matching(self, pattern: str) -> list[Path]:
        """The files of a pattern's name, or else the zips that hold one."""
        found = [path for path in self.files if fnmatchcase(path.name.lower(), pattern)]
        zips = (path for path in self.files if path.suffix.lower() == ".zip")
        return found or [
            path for path in zips if any(fnmatchcase(n, pattern) for n in self._names(path))
        ]

    def _names(self, path: Path) -> list[str]:
        """The names of a zip's members, without their folders, in small letters."""
        if path not in self._members:
            try:
                with zipfile.ZipFile(path) as archive:
                    names = [name.rpartition("/")[2].lower() for name in archive.namelist()]
            except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
                names = []  # the job names what is wrong with it
            self._members[path] = names
        return self._members[path]
