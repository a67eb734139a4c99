"""What an archive is: a file to fetch, where from, and what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warpline.errors import WarplineError, plain


@dataclass(frozen=True)
class Archive:
    """A file to fetch.

    Attributes
    ----------
    name
        Name of the file, without a folder.
    sources
        Tried in order: ``https:`` URLs, ``http:`` URLs of this machine, ``file:`` URLs (absolute,
        or relative to the working directory), ``folder:<path>`` that the user fills by hand,
        ``zenodo:<record>`` for the file of this name in a record of Zenodo, ``tcia:<collection>``
        for the CT series, zipped, of the patient of this name in The Cancer Imaging Archive; both
        asked of another interface where ``@<address>`` follows.
    checksums
        ``md5:<hex>`` or ``sha256:<hex>``; the file must have one of them. Empty: those in a
        ``SHA256SUMS`` beside a source of this machine, or the one that Zenodo's record names;
        without one, any file is accepted, from a server if it is whole, as far as a zip or gzip
        file tells.
    size
        Bytes, if known.
    ask
        Where a user asks for the file, if it cannot be downloaded freely.
    key
        Where the dataset file describes it, if not under ``archives``.
    """

    name: str
    sources: tuple[str, ...]
    checksums: tuple[str, ...] = ()
    size: int | None = None
    ask: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.name in ("", ".", "..") or "/" in self.name or "\\" in self.name:
            raise WarplineError("An archive's name must be a plain file name.", where=self.name)
        for checksum in self.checksums:
            if checksum.partition(":")[0] not in ("md5", "sha256"):
                raise WarplineError(
                    f"The checksum '{checksum}' is neither 'md5:<hex>' nor 'sha256:<hex>'.",
                    where=self.name,
                )

    @classmethod
    def from_spec(cls, name: str, spec: Mapping[str, Any], key: str | None = None) -> Archive:
        """The archive `name` of a dataset file, where `spec` is its entry at `key`."""
        return cls(
            name,
            tuple(spec.get("sources") or ()),
            tuple(spec.get("checksums") or ()),
            spec.get("size"),
            spec.get("ask"),
            key,
        )


class SourceFailed(Exception):
    """This source does not give the file; the next one may."""

    def __init__(self, reason: str):
        super().__init__(plain(reason))
