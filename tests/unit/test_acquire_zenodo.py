"""Files of Zenodo's records, asked of a server on this machine."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest
from http_server import serve

from warpline.acquire import http, zenodo
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.patience import Patience
from warpline.errors import WarplineError

CONTENT = random.Random(1).randbytes(300_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
OTHER = "md5:" + 32 * "0"
RECORD = "/api/records/3723295"


@pytest.fixture
def server(monkeypatch):
    with serve() as running:
        monkeypatch.setattr(zenodo, "API", running.url + "/api/records")
        yield running


def publish(server, name="subset0.zip", content=CONTENT, **keys) -> None:
    """Serve a record with one file, whose description can be given otherwise."""
    path = f"{RECORD}/files/{name}/content"
    url = server.add(path, content=content)
    entry = {"key": name, "links": {"self": url}, "checksum": MD5, "size": len(CONTENT)} | keys
    answer(server, {"id": 3723295, "files": [entry]})


def answer(server, value: object, **keys) -> None:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    server.add(RECORD, content=content, headers={"Content-Type": "application/json"}, **keys)


def get(folder: Path, *more: str, source="zenodo:3723295", checksums=(), size=None) -> Path:
    archive = Archive("subset0.zip", (source, *more), tuple(checksums), size)
    return fetch(archive, folder, progress=False, patience=Patience(attempts=3, backoff=0.01))


def refused(tmp_path: Path, match: str, **keys) -> str:
    with pytest.raises(WarplineError, match=match) as error:
        get(tmp_path, **keys)
    assert list(tmp_path.iterdir()) == []
    return str(error.value)


def asked(server) -> list[str]:
    return [path for path, _ in server.requests]


def test_the_file_of_the_record(server, tmp_path):
    publish(server)
    assert get(tmp_path).read_bytes() == CONTENT
    assert asked(server) == [RECORD, f"{RECORD}/files/subset0.zip/content"]
    record = json.loads((tmp_path / "subset0.zip.checksums.json").read_text())
    assert f"md5:{record['md5']}" == MD5


def test_a_file_that_is_there_is_not_asked_for(server, tmp_path):
    publish(server)
    get(tmp_path, checksums=[MD5])
    get(tmp_path, checksums=[MD5])
    assert len(server.requests) == 2


def test_the_content_must_have_the_record_s_checksum(server, tmp_path):
    publish(server, checksum=OTHER)
    refused(tmp_path, f"has the checksum {MD5} instead of {OTHER}")


def test_the_content_must_have_the_record_s_size(server, tmp_path):
    publish(server, size=5)
    refused(tmp_path, "offers 300000 bytes instead of 5")


def test_the_dataset_file_s_checksum_decides(server, tmp_path):
    publish(server)
    refused(tmp_path, f"the record's file has {MD5} instead of {OTHER}", checksums=[OTHER])
    assert asked(server) == [RECORD]
    sha256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    refused(tmp_path, "has the checksum sha256:", checksums=["sha256:" + 64 * "0"])
    assert get(tmp_path, checksums=[sha256]).exists()


def test_the_dataset_file_s_checksum_holds_where_the_record_s_is_of_another_kind(server, tmp_path):
    publish(server, checksum="sha512:00")
    refused(tmp_path, f"has the checksum {MD5} instead of {OTHER}", checksums=[OTHER])
    assert get(tmp_path, checksums=[MD5]).exists()


def test_the_dataset_file_s_size_decides(server, tmp_path):
    publish(server)
    refused(tmp_path, "the record's file has 300000 bytes instead of 7", size=7)


def test_a_broken_download_goes_on(server, tmp_path):
    publish(server)
    server.resources[f"{RECORD}/files/subset0.zip/content"].drops = [200_000]
    assert get(tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=200000-"


@pytest.mark.parametrize("failure", [{"statuses": [503, 503]}, {"drops": [10]}])
def test_a_record_is_asked_for_again(server, tmp_path, failure):
    publish(server)
    for name, value in failure.items():
        setattr(server.resources[RECORD], name, value)
    assert get(tmp_path).read_bytes() == CONTENT


def test_a_record_that_stays_busy_is_given_up(server, tmp_path):
    answer(server, {}, statuses=[503] * 9)
    refused(tmp_path, r"does not list the record's files: HTTP 503 .*\(3 attempts\)")
    assert len(server.requests) == 3


def test_a_record_that_is_not_there(server, tmp_path):
    publish(server)
    text = refused(tmp_path, "HTTP 404", source="zenodo:999")
    assert "zenodo:999: " in text
    assert "/api/records/999 does not list" in text
    assert asked(server) == ["/api/records/999"]


@pytest.mark.parametrize("record", ["", "abc", "12/files", "²", "10.5281/zenodo.3723295"])
def test_what_is_no_record(server, tmp_path, record):
    refused(tmp_path, "not the number of a record", source=f"zenodo:{record}")
    assert server.requests == []


def test_a_file_that_the_record_does_not_have(server, tmp_path):
    publish(server, name="subset-0.zip")
    text = refused(tmp_path, "the record has no file of this name")
    assert "Did you mean 'subset-0.zip'?" in text


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (b"<html>", "something else than JSON"),
        (b"\xff\xfe", "something else than JSON"),
        ([], "lists no files"),
        ({"id": 1}, "lists no files"),
        ({"files": {"a": 1}}, "lists no files"),
        ({"files": ["a"]}, "lists no files"),
        ({"files": []}, "no file of this name. Known: none"),
        ({"files": [{"key": "subset0.zip"}]}, "lacks the file's links.self"),
        ({"files": [{"key": "subset0.zip", "links": [], "checksum": "a", "size": 1}]}, "lacks"),
        ({"files": [{"key": "subset0.zip", "links": {"self": "ftp://a/b"}}]}, "lacks"),
    ],
)
def test_an_answer_that_is_no_record(server, tmp_path, value, match):
    answer(server, value)
    refused(tmp_path, match)


def test_a_page_in_place_of_the_record(server, tmp_path):
    server.add(RECORD, content=b"<html>", headers={"Content-Type": "text/html"})
    refused(tmp_path, "a web page came instead")


def test_an_endless_answer(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "LARGEST_ANSWER", 1000)
    answer(server, b" " * 2000)
    refused(tmp_path, "more than 1000 bytes")


@pytest.mark.parametrize("link", ["http://192.0.2.1/a", "file:///etc/passwd", "a"])
def test_a_record_cannot_lead_to_a_forbidden_address(server, tmp_path, link):
    publish(server, links={"self": link})
    refused(tmp_path, "is refused: only https")


def test_a_source_may_name_another_interface(server, tmp_path, monkeypatch):
    publish(server)
    monkeypatch.setattr(zenodo, "API", "http://192.0.2.1/records")
    source = f"zenodo:3723295@{server.url}/api/records"
    assert get(tmp_path, source=source).read_bytes() == CONTENT
    refused(tmp_path / "no", "is refused: only https")


def test_the_next_source_is_a_folder(server, tmp_path):
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    (by_hand / "subset0.zip").write_bytes(CONTENT)
    assert get(tmp_path / "out", f"folder:{by_hand}").read_bytes() == CONTENT
    (tmp_path / "out" / "subset0.zip").unlink()
    (by_hand / "subset0.zip").unlink()
    with pytest.raises(WarplineError, match=r"(?s)HTTP 404.*is not there yet; put it into"):
        get(tmp_path / "out", f"folder:{by_hand}")
