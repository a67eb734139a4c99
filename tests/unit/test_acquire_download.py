"""Fetching against a real server on this machine."""

from __future__ import annotations

import errno
import hashlib
import logging
import random
from dataclasses import fields
from io import FileIO
from pathlib import Path

import pytest
from http_server import serve

from warpline.acquire.archive import Archive, SourceFailed
from warpline.acquire.fetch import fetch
from warpline.acquire.http import check_url
from warpline.acquire.patience import Patience
from warpline.acquire.transfer import Part
from warpline.errors import WarplineError

CONTENT = random.Random(0).randbytes(1_000_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serve() as running:
        yield running


def get(folder: Path, *sources: str, checksums=(SHA256,), **keys) -> Path:
    told = {field.name: keys.pop(field.name) for field in fields(Patience) if field.name in keys}
    patience = Patience(**{"backoff": 0.01, "attempts": 3} | told)
    archive = Archive("a.tar", sources, tuple(checksums), **keys)
    return fetch(archive, folder, progress=False, patience=patience)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(server, tmp_path):
    url = server.add("/a", content=CONTENT)
    for _ in range(2):
        assert get(tmp_path, url).read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == ["a.tar", "a.tar.checksums.json"]


def test_a_file_put_in_place_by_hand_is_verified_and_not_fetched(server, tmp_path):
    (tmp_path / "a.tar").write_bytes(CONTENT)
    get(tmp_path, server.add("/a", content=CONTENT))
    assert server.requests == []


def test_a_file_changed_since_is_fetched_again(server, tmp_path):
    url = server.add("/a", content=CONTENT)
    get(tmp_path, url).write_bytes(CONTENT[:-1] + b"?")
    assert get(tmp_path, url).read_bytes() == CONTENT


def test_a_checksum_given_later_is_checked_on_the_file_that_is_there(server, tmp_path):
    url = server.add("/a", content=b"something else")
    get(tmp_path, url, checksums=())
    with pytest.raises(WarplineError, match="has the checksum md5:"):
        get(tmp_path, url, checksums=[MD5])


def test_any_of_several_checksums_will_do(server, tmp_path):
    url = server.add("/a", content=CONTENT)
    assert get(tmp_path, url, checksums=["sha256:" + 64 * "0", MD5]).exists()


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[600_000, 100_000])
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)
    assert [wanted for _, wanted in server.requests] == [None, "bytes=600000-", "bytes=700000-"]


def test_attempts_count_only_failures_without_progress(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[100_000] * 8)
    assert get(tmp_path, url, attempts=2).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_a_download_given_up_is_taken_up_by_the_next_call(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[600_000, 0, 0])
    with pytest.raises(WarplineError, match="connection"):
        get(tmp_path, url, attempts=2)
    assert (tmp_path / "a.tar.part").stat().st_size == 600_000
    get(tmp_path, url)
    assert server.sent == len(CONTENT)


def test_a_source_that_is_down_leaves_the_part_of_another(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[600_000])
    with pytest.raises(WarplineError):
        get(tmp_path, url, server.url + "/gone", attempts=1)
    get(tmp_path, url)
    assert server.sent == len(CONTENT)


def test_another_source_that_gives_the_file_leaves_no_part(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[600_000])
    (tmp_path / "b").write_bytes(CONTENT)
    get(tmp_path / "out", url, f"file://{tmp_path}/b", attempts=1)
    assert leftovers(tmp_path / "out") == ["a.tar", "a.tar.checksums.json"]


def test_a_new_version_is_fetched_from_its_start(server, tmp_path):
    old = bytes(len(CONTENT))
    url = server.add("/a", content=old, drops=[600_000])
    with pytest.raises(WarplineError):
        get(tmp_path, url, attempts=1)
    server.add("/a", content=CONTENT, etag='"v2"')
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert server.requests[-1] == ("/a", "bytes=600000-")


def test_a_server_that_ignores_the_version_is_found_out(server, tmp_path):
    url = server.add("/a", content=bytes(len(CONTENT)), drops=[600_000])
    with pytest.raises(WarplineError):
        get(tmp_path, url, attempts=1)
    server.add("/a", content=CONTENT)  # the same ETag for other content
    assert get(tmp_path, url).read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_whole_file(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[600_000], ranges=False)
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert server.sent == 600_000 + len(CONTENT)


def test_without_a_validator_nothing_is_pieced_together(server, tmp_path):
    url = server.add("/a", content=CONTENT, drops=[600_000], etag=None)
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, None]


def test_a_range_that_cannot_be_satisfied_starts_anew(server, tmp_path):
    url = server.add("/a", content=CONTENT + b"longer", drops=[1_000_003])
    with pytest.raises(WarplineError):
        get(tmp_path, url, attempts=1)
    server.add("/a", content=CONTENT)
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=1000003-", None]


def test_a_wrong_checksum_leads_to_the_next_source(server, tmp_path, caplog):
    bad, good = server.add("/bad", content=b"bad"), server.add("/good", content=CONTENT)
    assert get(tmp_path, bad, good).read_bytes() == CONTENT
    assert f"{bad}: the file has the checksum sha256:" in caplog.text
    assert leftovers(tmp_path) == ["a.tar", "a.tar.checksums.json"]


def test_the_error_says_what_went_wrong_at_each_source(server, tmp_path):
    bad = server.add("/bad", content=b"bad")
    sources = [bad, server.url + "/none", "http://example.org/a", "ftp://example.org/a", "folder:x"]
    with pytest.raises(WarplineError) as error:
        get(tmp_path, *sources, ask="https://example.org/form")
    text = str(error.value)
    for part in (
        f"{bad}: the file has the checksum",
        f"{sources[1]}: HTTP 404",
        f"{sources[2]}: it is refused: only https",
        f"{sources[3]}: is none of https:",
        "folder:x: the file is not there yet; ask for it at https://example.org/form",
    ):
        assert part in text
    assert leftovers(tmp_path) == []


def test_no_source(tmp_path):
    with pytest.raises(WarplineError, match="has no source"):
        get(tmp_path)


def test_a_missing_file_is_not_asked_for_twice(server, tmp_path):
    good = server.add("/good", content=CONTENT)
    get(tmp_path, server.url + "/none", good)
    assert [path for path, _ in server.requests] == ["/none", "/good"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, tmp_path, status):
    slept = []
    url = server.add("/a", content=CONTENT, statuses=[status, status], headers={"Retry-After": "7"})
    assert get(tmp_path, url, sleep=slept.append).read_bytes() == CONTENT
    assert slept == [7, 7]


def test_a_server_that_stays_busy_is_given_up(server, tmp_path):
    with pytest.raises(WarplineError, match=r"HTTP 503 .*\(3 attempts\)"):
        get(tmp_path, server.add("/a", statuses=[503] * 9))
    assert len(server.requests) == 3


def test_a_long_retry_after_is_not_waited_for(server, tmp_path):
    url = server.add("/a", statuses=[503] * 9, headers={"Retry-After": "3600"})
    with pytest.raises(WarplineError, match="come back in 3600 s"):
        get(tmp_path, url)
    assert len(server.requests) == 1


def test_back_off_doubles_with_jitter(server, tmp_path):
    slept = []
    with pytest.raises(WarplineError):
        get(tmp_path, server.add("/a", statuses=[500] * 9), attempts=5, sleep=slept.append)
    assert len(slept) == 4
    for number, seconds in enumerate(slept):
        assert 0.5 <= seconds / (0.01 * 2**number) <= 1.5


def test_nobody_listens(tmp_path):
    with pytest.raises(WarplineError, match=r"no connection .*\(2 attempts\)"):
        get(tmp_path, "http://127.0.0.1:9/a", attempts=2)


def test_a_server_that_falls_silent(server, tmp_path):
    url = server.add("/a", content=CONTENT, stalls=[0.3])
    assert get(tmp_path, url, connect=1, read=0.05).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_wrong_size_is_known_before_the_download(server, tmp_path):
    url = server.add("/a", content=CONTENT)
    with pytest.raises(WarplineError, match="offers 1000000 bytes instead of 5"):
        get(tmp_path, url, size=5)


def test_a_login_page_is_no_archive(server, tmp_path):
    url = server.add("/a", content=b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(WarplineError, match="a web page came instead"):
        get(tmp_path, url)


def test_redirects_are_followed(server, tmp_path):
    server.add("/a", content=CONTENT)
    assert get(tmp_path, server.add("/old", location="/a")).read_bytes() == CONTENT


@pytest.mark.parametrize("to", ["http://192.0.2.1/a", "ftp://127.0.0.1/a", "file:///etc/passwd"])
def test_a_redirect_to_a_forbidden_address_is_refused(server, tmp_path, to):
    with pytest.raises(WarplineError, match=r"redirects to .* is refused"):
        get(tmp_path, server.add("/a", location=to))


def test_endless_redirects(server, tmp_path):
    with pytest.raises(WarplineError, match="more than 10 redirects"):
        get(tmp_path, server.add("/a", location="/a"))


@pytest.mark.parametrize(
    ("url", "came_from", "allowed"),
    [
        ("https://example.org/a", None, True),
        ("http://localhost:80/a", None, True),
        ("http://127.3.2.1/a", None, True),
        ("http://[::1]/a", None, True),
        ("http://localhost.example.org/a", None, False),
        ("http://127.0.0.1.example.org/a", None, False),
        ("http://127.0.0.1@example.org/a", None, False),
        ("https:///a", None, False),
        ("https://example.org/a", "https://example.com/a", True),
        ("http://example.org/a", "https://example.org/a", False),
        ("http://127.0.0.1/a", "https://example.org/a", False),
    ],
)
def test_which_addresses_are_allowed(url, came_from, allowed):
    if allowed:
        check_url(url, came_from)
    else:
        with pytest.raises(SourceFailed, match="refused"):
            check_url(url, came_from)


def test_without_a_checksum_the_one_found_is_said(server, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        get(tmp_path, server.add("/a", content=CONTENT), checksums=())
    assert SHA256 in caplog.text
    assert SHA256.removeprefix("sha256:") in (tmp_path / "a.tar.checksums.json").read_text()


def test_a_full_disk_keeps_the_part(server, tmp_path, monkeypatch):
    url = server.add("/a", content=CONTENT)
    opened = Part.open

    class Full:
        def __init__(self, stream):
            self.stream, self.room = stream, 300_000

        def write(self, data):
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.stream.write(data)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

    monkeypatch.setattr(Part, "open", lambda part, offset: Full(opened(part, offset)))
    with pytest.raises(WarplineError, match="disk is full"):
        get(tmp_path, url)
    monkeypatch.undo()
    have = (tmp_path / "a.tar.part").stat().st_size
    assert 0 < have < len(CONTENT)
    assert get(tmp_path, url).read_bytes() == CONTENT
    assert server.requests[-1] == ("/a", f"bytes={have}-")


def test_too_little_space_is_known_before_the_download(server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(WarplineError, match="1000000 bytes more"):
        get(tmp_path, server.add("/a", content=CONTENT))
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_the_kernel_says_the_disk_is_full(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Part, "open", lambda *_: FileIO("/dev/full", "w"))
    with pytest.raises(WarplineError, match="disk is full"):
        get(tmp_path, server.add("/a", content=CONTENT))


@pytest.mark.parametrize("form", ["absolute", "relative", "localhost", "spaces"])
def test_file_urls(tmp_path, monkeypatch, form):
    folder = tmp_path / "my mirror"
    folder.mkdir()
    (folder / "b.tar").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    url = {
        "absolute": f"file://{folder}/b.tar",
        "relative": "file:my mirror/b.tar",
        "localhost": f"file://localhost{folder}/b.tar",
        "spaces": (folder / "b.tar").as_uri(),
    }[form]
    assert get(tmp_path / "out", url).read_bytes() == CONTENT
    assert leftovers(tmp_path / "out") == ["a.tar", "a.tar.checksums.json"]


def test_files_are_verified_as_downloads_are(tmp_path):
    (tmp_path / "b").write_bytes(b"bad")
    with pytest.raises(WarplineError, match="the file has the checksum"):
        get(tmp_path / "out", f"file://{tmp_path}/b")
    with pytest.raises(WarplineError, match="does not exist"):
        get(tmp_path / "out", f"file://{tmp_path}/none")
    with pytest.raises(WarplineError, match="names the host 'server'"):
        get(tmp_path / "out", "file://server/b")
    assert leftovers(tmp_path / "out") == []


def test_a_folder_filled_by_hand(tmp_path):
    with pytest.raises(WarplineError, match=f"put it into {tmp_path}/mine"):
        get(tmp_path / "out", f"folder:{tmp_path}/mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.tar").write_bytes(CONTENT)
    assert get(tmp_path / "out", f"folder:{tmp_path}/mine").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["file://", "folder:"])
def test_checksums_beside_a_local_source(tmp_path, kind, caplog):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    source = f"{kind}{mirror}" + ("/a.tar" if kind == "file://" else "")
    for content in (CONTENT, b"written anew"):
        (mirror / "a.tar").write_bytes(content)
        sums = f"{hashlib.sha256(content).hexdigest()}  a.tar\n"
        (mirror / "SHA256SUMS").write_text(64 * "0" + "  b.tar\n" + sums)
        assert get(tmp_path / "out", source, checksums=()).read_bytes() == content
    assert "no checksum" not in caplog.text
    (mirror / "a.tar").write_bytes(b"changed since")
    (tmp_path / "out" / "a.tar").unlink()
    with pytest.raises(WarplineError, match="has the checksum"):
        get(tmp_path / "out", source, checksums=())


@pytest.mark.parametrize("name", ["../a", "", "..", "a/b"])
def test_an_archive_name_is_no_path(name):
    with pytest.raises(WarplineError, match="plain file name"):
        Archive(name, ())


def test_an_unknown_kind_of_checksum():
    with pytest.raises(WarplineError, match="neither 'md5:"):
        Archive("a", (), ("crc32:00",))


def test_from_the_dataset_file():
    spec = {"sources": ["https://example.org/a"], "checksums": [MD5], "size": None, "ask": None}
    assert Archive.from_spec("a", spec) == Archive("a", ("https://example.org/a",), (MD5,))
