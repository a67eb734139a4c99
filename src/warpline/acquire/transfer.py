"""One file over HTTP: taken up where it stopped, named only when it is whole and verified."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests
import urllib3

from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.http import check_status, check_url, get, session_for, whole_number
from warpline.acquire.local import disk_full
from warpline.acquire.patience import Patience, TryAgain, insist
from warpline.acquire.shared import refuse_link
from warpline.acquire.verify import received, write_record
from warpline.files import replace_durably, write_json
from warpline.progress import Progress

log = logging.getLogger(__name__)

CHUNK = 1 << 18


@dataclass
class Part:
    """The unfinished file and what the server said about the whole one."""

    path: Path
    url: str = ""

    @classmethod
    def of(cls, target: Path, url: str = "") -> Part:
        """The part that becomes `target`."""
        return cls(target.with_name(f"{target.name}.part"), url)

    @property
    def state_path(self) -> Path:
        """Where what the server said is kept."""
        return self.path.with_name(f"{self.path.name}.json")

    def state(self) -> dict[str, Any]:
        """What is known about the part if it is this URL's; empty otherwise."""
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and state.get("url") == self.url else {}

    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, validator: str | None, total: int | None) -> None:
        """Say what the whole file is: its version and its bytes, as far as the server tells."""
        write_json(self.state_path, {"url": self.url, "validator": validator, "total": total})

    def open(self, offset: int) -> IO[bytes]:
        """The file to write to, behind the bytes that are there or, at 0, from its start."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
        flags |= os.O_APPEND if offset else os.O_TRUNC
        return os.fdopen(os.open(self.path, flags, 0o666), "ab" if offset else "wb")

    def remove(self) -> None:
        """Forget all of it."""
        self.path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)


def download(archive: Archive, url: str, target: Path, progress: bool, patience: Patience) -> None:
    """Bring the file at a URL to its place, verified.

    Raises
    ------
    SourceFailed
        If the URL does not give the file.
    WarplineError
        If the disk is full (what has come stays), or a link lies in the part's place.
    """
    check_url(url)
    part = Part.of(target, url)
    refuse_link(part.path)
    with session_for(url) as session:
        transfer = _Transfer(session, archive, part, progress, patience)
        resumed = transfer.whole()
        try:
            digests = received(archive, part.path)
        except SourceFailed:
            part.remove()
            if not resumed:
                raise
            # Two versions may have been pieced together: one whole download decides.
            log.warning("%s: the resumed file is wrong; it is fetched from its start", archive.name)
            transfer.whole()
            try:
                digests = received(archive, part.path)
            except SourceFailed:
                part.remove()
                raise
    replace_durably(part.path, target)
    write_record(target, digests, url)


@dataclass
class _Transfer:
    """A part on its way."""

    session: requests.Session
    archive: Archive
    part: Part
    progress: bool
    patience: Patience

    def whole(self) -> bool:
        """Go on until the file is whole; whether any of it was taken up from an earlier part."""
        resumed = False

        def attempt() -> None:
            nonlocal resumed
            resumed |= self._attempt()

        insist(attempt, self.archive.name, self.patience, so_far=self.part.size)
        return resumed

    def _attempt(self) -> bool:
        """One attempt; whether it began after bytes that were there before."""
        archive, part = self.archive, self.part
        state, have = part.state(), part.size()
        if have and state and have == state.get("total"):
            return True
        headers = {}
        if have and state.get("validator"):
            headers = {"Range": f"bytes={have}-", "If-Range": state["validator"]}
        with get(self.session, part.url, headers, self.patience) as response:
            offset = have if response.status_code == 206 else 0
            if response.status_code == 416 or (
                response.status_code == 206
                and not (headers and _continues(response, offset, state["validator"]))
            ):
                part.remove()
                raise TryAgain(
                    "the server cannot continue the part; it is fetched from its start", 0
                )
            check_status(response, self.patience)
            length = whole_number(response.headers.get("Content-Length", ""))
            total = None if length is None else offset + length
            if archive.size is not None and total not in (None, archive.size):
                raise SourceFailed(f"the server offers {total} bytes instead of {archive.size}")
            if not offset:
                part.begin(_validator(response.headers), total)
            with (
                disk_full(part.path, total - offset if total else None),
                part.open(offset) as stream,
            ):
                got = offset + self._receive(response, stream, offset, total)
            if total is not None and got != total:
                raise TryAgain(f"the connection ended after {got} of {total} bytes")
            if part.size() != got:
                have = part.size()
                part.remove()
                raise TryAgain(f"{part.path} has {have} bytes after {got} were written to it", 0)
            return offset > 0

    def _receive(
        self, response: requests.Response, stream: IO[bytes], offset: int, total: int | None
    ) -> int:
        """Write the body; the number of bytes. What was written stays if the connection breaks."""
        got, size = 0, self.archive.size
        bar = Progress(total, self.archive.name, "B", initial=offset) if self.progress else None
        chunks = response.raw.stream(CHUNK, decode_content=False)
        try:
            while True:
                try:
                    chunk = next(chunks, None)
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    raise TryAgain(f"the connection broke after {offset + got} bytes") from error
                if chunk is None:
                    return got
                stream.write(chunk)
                got += len(chunk)
                if size is not None and offset + got > size:
                    raise SourceFailed(f"the server sends more than the {size} bytes known")
                if bar:
                    bar.update(len(chunk))
        finally:
            if bar:
                bar.close()


def _continues(response: requests.Response, offset: int, validator: str) -> bool:
    """Whether a 206 answer goes on exactly where the part ends, in the same version."""
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return start == str(offset) and _validator(response.headers) in (None, validator)


def _validator(headers: Mapping[str, str]) -> str | None:
    """What identifies a version in ``If-Range``: a strong ETag, or the time of change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
