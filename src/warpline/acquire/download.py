"""Fetching archives: ordered sources, resumed, verified, named only when whole."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import html
import io
import ipaddress
import json
import logging
import os
import random
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import requests
import tenacity
import urllib3

from warpline.errors import WarplineError
from warpline.files import atomic_path, write_json
from warpline.progress import Progress
from warpline.registry import suggestion

log = logging.getLogger(__name__)

CHUNK = 1 << 18
LONGEST_WAIT = 120.0  # seconds: a server that asks for more is given up for the next source
MOST_REDIRECTS = 10
ZENODO = "https://zenodo.org/api/records"
# The Cancer Imaging Archive's interface: its two hosts, and the version before.
TCIA = (
    "https://services.cancerimagingarchive.net/nbia-api/services/v4",
    "https://nbia.cancerimagingarchive.net/nbia-api/services/v4",
    "https://services.cancerimagingarchive.net/nbia-api/services/v1",
)
MEMBER_SUMS = "md5hashes.csv"  # in their zips: a header, then name and MD5 of each file
LARGEST_RECORD = 1 << 24  # bytes: a longer answer describes no record
LONGEST_SAYING = 200  # characters of what a server says in place of a file
# Some hosts answer 403 to the default agents of command-line tools.
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; warpline)", "Accept-Encoding": "identity"}


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
        for the CT series, zipped, of the patient of this name in The Cancer Imaging Archive.
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


class _SourceFailed(Exception):
    """This source does not give the file; the next one may."""


class _TryAgain(Exception):
    """This source may give the file a little later, after `wait` seconds if it said so."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


def fetch(
    archive: Archive,
    folder: str | os.PathLike,
    *,
    progress: bool = True,
    attempts: int = 5,
    backoff: float = 1.0,
    timeout: tuple[float, float] = (20.0, 60.0),
) -> Path:
    """Bring an archive into a folder and verify it.

    A download that broke off is taken up where it stopped, in this call or in a later one
    (``<name>.part`` and ``<name>.part.json`` beside). The checksums of a finished file are kept in
    ``<name>.checksums.json``; a file that is there and has the right one is not fetched again.

    Parameters
    ----------
    attempts
        Failures in a row, without a byte more, after which a source is given up.
    backoff
        Seconds before the second attempt; doubles each time, with jitter.
    timeout
        Seconds to wait for a connection and for data.

    Returns
    -------
    The path of the verified file, ``folder/name``.

    Raises
    ------
    WarplineError
        If no source gives the file (with what went wrong at each), or the disk is full.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / archive.name
    if not archive.checksums:
        archive = replace(archive, checksums=_checksums_beside(archive))
    if target.exists():
        problem = _existing_problem(archive, target)
        if problem is None:
            return target
        log.warning("%s: %s; it is fetched again", target, problem)
    problems = []
    for source in archive.sources:
        try:
            kind, _, rest = source.partition(":")
            if kind in ("https", "http"):
                _download(archive, source, target, progress, attempts, backoff, timeout)
            elif kind == "zenodo":
                listed, url = _in_record(archive, rest, attempts, backoff, timeout)
                _download(listed, url, target, progress, attempts, backoff, timeout)
            elif kind == "tcia":
                _download_series(archive, rest, target, progress, attempts, backoff, timeout)
            elif kind == "file":
                host = urlsplit(source).netloc
                if host not in ("", "localhost"):
                    raise _SourceFailed(f"names the host '{host}'; write file:///… or file:path")
                _copy(archive, _file_path(source), target)
            elif kind == "folder":
                _copy(archive, _in_folder(Path(rest), archive), target)
            else:
                raise _SourceFailed("is none of https:, zenodo:, tcia:, file: and folder:")
            _Part.of(target).remove()
            return target
        except _SourceFailed as error:
            log.warning("%s: %s: %s", archive.name, source, error)
            problems.append(f"{source}: {error}")
    key = archive.key or f"archives.{archive.name}"
    raise WarplineError(
        "\n    ".join([f"No source gives the archive '{archive.name}':", *problems])
        if problems
        else f"The archive '{archive.name}' has no source.",
        where=target,
        do=(f"Ask for the file at {archive.ask}, or correct" if archive.ask else "Correct")
        + f" '{key}' in the dataset file, or put the file at the place above.",
    )


# --- verification ---------------------------------------------------------------------------------


def _digests(path: Path, algorithms: Iterable[str]) -> dict[str, str]:
    """Hexadecimal digests of a file, in one pass."""
    hashes = {name: hashlib.new(name) for name in algorithms}
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            for value in hashes.values():
                value.update(chunk)
    return {name: value.hexdigest() for name, value in hashes.items()}


def _problem(archive: Archive, size: int, digests: Mapping[str, str]) -> str | None:
    """What is wrong with a file of this size and these digests; None if nothing."""
    if archive.size is not None and size != archive.size:
        return f"has {size} bytes instead of {archive.size}"
    if archive.checksums and not any(
        digests.get(name) == value.lower()
        for name, _, value in (checksum.partition(":") for checksum in archive.checksums)
    ):
        algorithms = dict.fromkeys(checksum.partition(":")[0] for checksum in archive.checksums)
        found = ", ".join(f"{name}:{digests.get(name)}" for name in algorithms)
        return f"has the checksum {found} instead of {' or '.join(archive.checksums)}"
    return None


def _verified(archive: Archive, path: Path) -> dict[str, str]:
    """Digests of a file that is what the archive says; raises `_SourceFailed` if it is not."""
    wanted = {"sha256", *(checksum.partition(":")[0] for checksum in archive.checksums)}
    digests = _digests(path, sorted(wanted))
    problem = _problem(archive, path.stat().st_size, digests)
    if problem:
        raise _SourceFailed(f"the file {problem}")
    if not archive.checksums:
        log.warning(
            "%s: no checksum is configured, so the file is taken as it came; it has sha256:%s",
            archive.name,
            digests["sha256"],
        )
    return digests


def _received(archive: Archive, path: Path) -> dict[str, str]:
    """`_verified` of what a server sent; without a checksum it must at least be whole."""
    damage = None if archive.checksums else _damage(path, archive.name)
    if damage:
        raise _SourceFailed(f"the file {damage}")
    return _verified(archive, path)


def _damage(path: Path, name: str) -> str | None:
    """Why a file cannot be the whole zip or gzip file that its name promises; None if it can."""
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return _damaged_member(archive)
        if name.endswith(".gz"):
            with gzip.open(path) as stream:
                while stream.read(1 << 20):
                    pass
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        with path.open("rb") as stream:
            said = _saying(stream.read(1 << 14))
        return f"is no whole {name.rpartition('.')[2]} file ({error}){said}"
    return None


def _damaged_member(archive: zipfile.ZipFile) -> str | None:
    """What is wrong with a zip's members, by their own sums and by a list of them inside."""
    if any(member.flag_bits & 1 for member in archive.infolist()):
        return None  # encrypted: whoever unpacks it will say so
    bad = archive.testzip()
    if bad is not None:
        return f"is damaged at its member '{bad}'"
    names = archive.namelist()
    if MEMBER_SUMS not in names:
        return None
    if archive.getinfo(MEMBER_SUMS).file_size > LARGEST_RECORD:
        return f"has an {MEMBER_SUMS} of more than {LARGEST_RECORD} bytes"
    rows = csv.reader(io.StringIO(archive.read(MEMBER_SUMS).decode("utf-8", "replace")))
    for name, *rest in list(rows)[1:]:
        if name not in names:
            return f"lacks its member '{name}', which its {MEMBER_SUMS} lists"
        with archive.open(name) as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
        if [value.strip().lower() for value in rest[:1]] != [found]:
            return f"has another member '{name}' than its {MEMBER_SUMS} says"
    return None


def _saying(content: bytes) -> str:
    """What a page or message says that came in place of something else, to be put after it."""
    text = content.decode("utf-8", "replace")
    if not text.strip() or "\ufffd" in text[:LONGEST_SAYING] or "\0" in text:
        return ""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    for part in (title.group(1) if title else "", body):
        words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())
        if words:
            return f"; it says: {words[:LONGEST_SAYING]}"
    return ""


def source_of(target: str | os.PathLike) -> dict[str, Any]:
    """What is known of a file that `fetch` has verified: its name, digests, size and source."""
    target = Path(target)
    known = json.loads(_record_path(target).read_text(encoding="utf-8"))
    return {"name": target.name, **{key: known[key] for key in known if key != "mtime_ns"}}


def _record_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.checksums.json")


def _record(target: Path, digests: Mapping[str, str], source: str) -> None:
    stat = target.stat()
    write_json(
        _record_path(target),
        {**digests, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "source": source},
    )


def _existing_problem(archive: Archive, target: Path) -> str | None:
    """Why a file that is there cannot be taken; None if it can.

    The record spares hashing a large file again, but only while size and time are as recorded.
    """
    stat = target.stat()
    try:
        record = json.loads(_record_path(target).read_text(encoding="utf-8"))
        known = (record["size"], record["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
        if known and _problem(archive, stat.st_size, record) is None:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or one that cannot be read: the file itself decides
    try:
        digests = _verified(archive, target)
    except _SourceFailed as error:
        return str(error)
    _record(target, digests, "found in place")
    return None


# --- files of this machine ------------------------------------------------------------------------


def _checksums_beside(archive: Archive) -> tuple[str, ...]:
    """What a ``SHA256SUMS`` beside the first source of this machine that has one says.

    So a phantom's archive that is written anew is also fetched anew.
    """
    for source in archive.sources:
        kind, _, rest = source.partition(":")
        if kind not in ("file", "folder"):
            continue
        path = _file_path(source) if kind == "file" else Path(rest) / archive.name
        sums = path.with_name("SHA256SUMS")
        for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else ():
            digest, _, name = line.partition(" ")
            if name.lstrip(" *") == path.name:
                return (f"sha256:{digest}",)
    return ()


def _file_path(source: str) -> Path:
    return Path(unquote(urlsplit(source).path))


def _in_folder(folder: Path, archive: Archive) -> Path:
    if not (folder / archive.name).exists():
        place = f"ask for it at {archive.ask} and put it" if archive.ask else "put it"
        raise _SourceFailed(f"the file is not there yet; {place} into {folder.absolute()}")
    return folder / archive.name


def _copy(archive: Archive, source: Path, target: Path) -> None:
    """Copy, verify and name a file.

    A copy and no link: a link would share the original's time and content, so that a change made
    to the original later would pass for the verified file.
    """
    if not source.is_file():
        raise _SourceFailed("the file does not exist")
    try:
        with atomic_path(target) as temporary:
            with _disk_full(target, source.stat().st_size):
                shutil.copyfile(source, temporary)
            digests = _verified(archive, temporary)
    except PermissionError as error:
        raise _SourceFailed(f"the file cannot be read ({error.strerror})") from error
    _record(target, digests, os.fspath(source))


@contextmanager
def _disk_full(path: Path, needed: int | None) -> Iterator[None]:
    """Turn a full disk into an error that says so, before writing where that can be foreseen."""
    message = WarplineError(
        "The disk is full" + (f": {needed} bytes more are needed." if needed else "."),
        where=path,
        do="Free some space and start again; what is already downloaded is kept and taken up.",
    )
    if needed is not None and needed > shutil.disk_usage(path.parent).free:
        raise message
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise message from error
        raise


# --- HTTP -----------------------------------------------------------------------------------------


def _scheme_and_host(url: str) -> tuple[str | None, str]:
    """Of an address as the connection reads it: in odd ones other readers find another host."""
    try:
        parts = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return None, ""
    return parts.scheme, (parts.host or "").strip("[]")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_url(url: str, came_from: str | None = None) -> None:
    """Refuse addresses over which a file could be changed on its way."""
    scheme, host = _scheme_and_host(url)
    secure_before = came_from is not None and _scheme_and_host(came_from)[0] == "https"
    if scheme == "https" and host:
        return
    if scheme == "http" and _is_loopback(host) and not secure_before:
        return
    what = f"redirects to {url}, which" if came_from else "it"
    raise _SourceFailed(f"{what} is refused: only https is allowed (http on this machine alone)")


@dataclass
class _Part:
    """The unfinished file and what the server said about the whole one."""

    path: Path
    url: str = ""

    @classmethod
    def of(cls, target: Path, url: str = "") -> _Part:
        """The part that becomes `target`."""
        return cls(target.with_name(f"{target.name}.part"), url)

    @property
    def state_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def state(self) -> dict[str, Any]:
        """What is known about the part if it is this URL's; empty otherwise."""
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and state.get("url") == self.url else {}

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)


def _validator(headers: Mapping[str, str]) -> str | None:
    """What identifies a version in ``If-Range``: a strong ETag, or the time of change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _session(url: str) -> requests.Session:
    """A session for the host of a URL."""
    session = requests.Session()
    session.headers.update(HEADERS)
    session.trust_env = not _is_loopback(_scheme_and_host(url)[1])  # no proxy to this machine
    return session


def _download(
    archive: Archive,
    url: str,
    target: Path,
    progress: bool,
    attempts: int,
    backoff: float,
    timeout: tuple[float, float],
) -> None:
    _check_url(url)
    part = _Part.of(target, url)
    with _session(url) as session:
        resumed = _transfer_all(session, archive, part, progress, attempts, backoff, timeout)
        try:
            digests = _received(archive, part.path)
        except _SourceFailed:
            part.remove()
            if not resumed:
                raise
            # Two versions may have been pieced together: one whole download decides.
            log.warning("%s: the resumed file is wrong; it is fetched from its start", archive.name)
            _transfer_all(session, archive, part, progress, attempts, backoff, timeout)
            try:
                digests = _received(archive, part.path)
            except _SourceFailed:
                part.remove()
                raise
    with part.path.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(part.path, target)
    _record(target, digests, url)


def _transfer_all(
    session: requests.Session,
    archive: Archive,
    part: _Part,
    progress: bool,
    attempts: int,
    backoff: float,
    timeout: tuple[float, float],
) -> bool:
    """Transfer until the file is whole; whether any of it was taken up from an earlier part."""
    resumed = False

    def transfer() -> None:
        nonlocal resumed
        resumed |= _transfer(session, archive, part, progress, timeout)

    _insist(transfer, archive.name, attempts, backoff, so_far=part.size)
    return resumed


def _insist(
    ask: Callable[[], Any],
    name: str,
    attempts: int,
    backoff: float,
    so_far: Callable[[], int] = lambda: 0,
) -> Any:
    """What `ask` returns once it does not raise `_TryAgain`.

    Parameters
    ----------
    so_far
        Bytes that are there; attempts that bring more do not count as failures.
    """
    failures, furthest = 0, so_far()

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception()
        asked = error.wait if isinstance(error, _TryAgain) else None
        if asked is not None:
            return asked
        return min(backoff * 2 ** (failures - 1), 60.0) * random.uniform(0.5, 1.5)

    def announce(state: tenacity.RetryCallState) -> None:
        reason, seconds = state.outcome.exception(), state.next_action.sleep
        log.warning("%s: %s; trying again in %.1f s", name, reason, seconds)

    def once() -> Any:
        nonlocal failures, furthest
        try:
            return ask()
        except _TryAgain:
            failures = 1 if so_far() > furthest else failures + 1
            furthest = max(furthest, so_far())
            raise

    retrying = tenacity.Retrying(
        stop=lambda _: failures >= attempts,
        wait=wait,
        retry=tenacity.retry_if_exception_type(_TryAgain),
        before_sleep=announce,
        reraise=True,
    )
    try:
        return retrying(once)
    except _TryAgain as error:
        raise _SourceFailed(f"{error} ({attempts} attempts)") from error


def _transfer(
    session: requests.Session,
    archive: Archive,
    part: _Part,
    progress: bool,
    timeout: tuple[float, float],
) -> bool:
    """One attempt; whether it began after bytes that were there before."""
    state, have = part.state(), part.size()
    if have and state and have == state.get("total"):
        return True
    headers = {}
    if have and state.get("validator"):
        headers = {"Range": f"bytes={have}-", "If-Range": state["validator"]}
    with _get(session, part.url, headers, timeout) as response:
        offset = have if response.status_code == 206 else 0
        if response.status_code == 416 or (
            offset and not _continues(response, offset, state["validator"])
        ):
            part.remove()
            raise _TryAgain("the server cannot continue the part; it is fetched from its start", 0)
        _check_status(response)
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdigit() else None
        if archive.size is not None and total not in (None, archive.size):
            raise _SourceFailed(f"the server offers {total} bytes instead of {archive.size}")
        if not offset:
            validator = _validator(response.headers)
            write_json(part.state_path, {"url": part.url, "validator": validator, "total": total})
        with (
            _disk_full(part.path, total - offset if total else None),
            part.path.open("ab" if offset else "wb") as stream,
        ):
            got = offset + _receive(response, stream, archive, offset, total, progress)
        if total is not None and got != total:
            raise _TryAgain(f"the connection ended after {got} of {total} bytes")
        return offset > 0


def _receive(
    response: requests.Response,
    stream: IO[bytes],
    archive: Archive,
    offset: int,
    total: int | None,
    progress: bool,
) -> int:
    """Write the body; the number of bytes. What was written stays when the connection breaks."""
    got = 0
    bar = Progress(total, archive.name, "B", initial=offset) if progress else None
    chunks = response.raw.stream(CHUNK, decode_content=False)
    try:
        while True:
            try:
                chunk = next(chunks, None)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _TryAgain(f"the connection broke after {offset + got} bytes") from error
            if chunk is None:
                return got
            stream.write(chunk)
            got += len(chunk)
            if archive.size is not None and offset + got > archive.size:
                raise _SourceFailed(f"the server sends more than the {archive.size} bytes known")
            if bar:
                bar.update(len(chunk))
    finally:
        if bar:
            bar.close()


def _continues(response: requests.Response, offset: int, validator: str) -> bool:
    """Whether a 206 answer goes on exactly where the part ends, in the same version."""
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return start == str(offset) and _validator(response.headers) in (None, validator)


@contextmanager
def _get(
    session: requests.Session, url: str, headers: Mapping[str, str], timeout: tuple[float, float]
) -> Iterator[requests.Response]:
    """A streamed answer, redirects followed one by one so that each address is checked."""
    for _ in range(MOST_REDIRECTS):
        try:
            response = session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=timeout
            )
        except requests.exceptions.InvalidURL as error:
            raise _SourceFailed(f"is not a valid address ({error})") from error
        except requests.exceptions.SSLError as error:
            raise _SourceFailed(f"the secure connection failed ({error})") from error
        except requests.RequestException as error:
            raise _TryAgain(f"no connection ({_innermost(error)})") from error
        with response:
            if not response.is_redirect:
                yield response
                return
            target = urljoin(url, response.headers["Location"])
            _check_url(target, came_from=url)
            url = target
    raise _SourceFailed(f"more than {MOST_REDIRECTS} redirects")


def _check_status(response: requests.Response) -> None:
    status = f"HTTP {response.status_code} {response.reason}".strip()
    if response.status_code in (408, 429) or response.status_code >= 500:
        asked = response.headers.get("Retry-After", "")
        wait = float(asked) if asked.isdigit() else None
        if wait is not None and wait > LONGEST_WAIT:
            raise _SourceFailed(f"{status}; it asks to come back in {wait:.0f} s")
        raise _TryAgain(status, wait)
    if response.status_code not in (200, 206):
        raise _SourceFailed(status)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        said = _saying(response.raw.read(1 << 14, decode_content=True))
        raise _SourceFailed(f"a web page came instead of the file (a login or consent page?){said}")


def _innermost(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return str(error) or type(error).__name__


# --- Zenodo ---------------------------------------------------------------------------------------


def _in_record(
    archive: Archive, record: str, attempts: int, backoff: float, timeout: tuple[float, float]
) -> tuple[Archive, str]:
    """An archive with what Zenodo's record says of the file of its name, and the file's URL."""
    if not record.isascii() or not record.isdigit():
        raise _SourceFailed(f"'{record}' is not the number of a record")
    address = f"{ZENODO}/{record}"
    _check_url(address)
    with _session(address) as session:
        try:
            answer = _insist(
                lambda: _read_small(session, address, timeout), archive.name, attempts, backoff
            )
        except _SourceFailed as error:
            raise _SourceFailed(f"{address} does not list the record's files: {error}") from error
    files = _record_files(answer, address)
    if archive.name not in files:
        raise _SourceFailed(
            f"the record has no file of this name. {suggestion(archive.name, files)}"
        )
    entry = files[archive.name]
    try:
        url, checksum, size = str(entry["links"]["self"]), entry["checksum"].lower(), entry["size"]
    except (KeyError, TypeError, AttributeError) as error:
        raise _SourceFailed(f"{address} lacks the file's links.self, checksum or size") from error
    _check_url(url, came_from=address)
    # What is known here need not wait until many gigabytes have come.
    algorithm = checksum.partition(":")[0]
    own = [value.lower() for value in archive.checksums]
    if own and checksum not in own and all(value.startswith(f"{algorithm}:") for value in own):
        raise _SourceFailed(f"the record's file has {checksum} instead of {' or '.join(own)}")
    if archive.size not in (None, size):
        raise _SourceFailed(f"the record's file has {size} bytes instead of {archive.size}")
    if not own and algorithm in ("md5", "sha256"):
        own = [checksum]
    return replace(archive, checksums=tuple(own), size=size), url


def _record_files(answer: bytes, address: str) -> dict[str, Mapping[str, Any]]:
    """The entries of a record's files by name."""
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise _no_json(address, answer) from error
    files = value.get("files") if isinstance(value, dict) else None
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise _SourceFailed(f"{address} lists no files (is the record restricted?)")
    return {str(file.get("key")): file for file in files}


def _no_json(address: str, answer: bytes) -> _SourceFailed:
    return _SourceFailed(f"{address} answers with something else than JSON{_saying(answer)}")


def _read_small(session: requests.Session, url: str, timeout: tuple[float, float]) -> bytes:
    """The whole body of an answer that is no large file."""
    with _get(session, url, {}, timeout) as response:
        _check_status(response)
        try:
            body = response.raw.read(LARGEST_RECORD + 1, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _TryAgain(f"the connection broke ({_innermost(error)})") from error
    if len(body) > LARGEST_RECORD:
        raise _SourceFailed(f"the answer has more than {LARGEST_RECORD} bytes")
    return body


# --- The Cancer Imaging Archive -------------------------------------------------------------------


def _download_series(
    archive: Archive,
    collection: str,
    target: Path,
    progress: bool,
    attempts: int,
    backoff: float,
    timeout: tuple[float, float],
) -> None:
    """The zip of the CT series of the patient whose id is the archive's name without its ending."""
    patient = archive.name.rpartition(".")[0]
    problems = []
    for service in TCIA:
        try:
            address = f"{service}/getSeries?Collection={quote(collection)}&format=json"
            uid = _series_uid(_series(address, attempts, backoff, timeout), patient)
            # With a list of the files' MD5 in the zip; the interface tells no other checksum.
            url = f"{service}/getImageWithMD5Hash?SeriesInstanceUID={uid}"
            return _download(archive, url, target, progress, attempts, backoff, timeout)
        except _SourceFailed as error:
            problems.append(f"{urlsplit(service).hostname}: {error}")
    raise _SourceFailed("; ".join(problems))


@cache
def _series(
    address: str, attempts: int, backoff: float, timeout: tuple[float, float]
) -> tuple[Mapping[str, Any], ...]:
    """The series of a collection; asked for once, however many patients are fetched."""
    _check_url(address)
    with _session(address) as session:
        try:
            answer = _insist(
                lambda: _read_small(session, address, timeout), "getSeries", attempts, backoff
            )
        except _SourceFailed as error:
            raise _SourceFailed(f"{address} does not list the series: {error}") from error
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise _no_json(address, answer) from error
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _SourceFailed(f"{address} answers with no list of series{_saying(answer)}")
    return tuple(value)


def _series_uid(series: Iterable[Mapping[str, Any]], patient: str) -> str:
    """UID of a patient's only CT series."""
    series = list(series)
    found = [
        str(entry.get("SeriesInstanceUID", ""))
        for entry in series
        if entry.get("PatientID") == patient and entry.get("Modality", "CT") == "CT"
    ]
    if not found:
        patients = sorted({str(entry.get("PatientID")) for entry in series})
        raise _SourceFailed(
            f"the collection has no CT series of the patient '{patient}'. "
            f"{suggestion(patient, patients)}"
        )
    if len(found) > 1:
        raise _SourceFailed(f"the patient '{patient}' has {len(found)} series: {', '.join(found)}")
    if not re.fullmatch(r"[0-9.]+", found[0]):
        raise _SourceFailed(f"the series of the patient '{patient}' has no UID but '{found[0]}'")
    return found[0]
