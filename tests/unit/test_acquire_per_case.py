"""Files that come case by case, and the series of The Cancer Imaging Archive among them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os

import pytest
from acquire_tools import dataset, fetch_cases, packed
from http_server import serve

from warpline.acquire import tcia
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.patience import Patience
from warpline.errors import WarplineError

SCAN = gzip.compress(os.urandom(50_000))
UID = "1.3.6.1.4.1.14519.5.2.1.7"
V4 = "/nbia-api/services/v4"
LIST = f"{V4}/getSeries?Collection=Pancreas-CT&format=json"
IMAGE = f"{V4}/getImageWithMD5Hash?SeriesInstanceUID={UID}"
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"""<!DOCTYPE html><html><head><title>Down for
 maintenance &amp; repair</title><style>p {}</style></head><body><p>Come back.</p></body></html>"""


@pytest.fixture
def server(monkeypatch):
    with serve() as running:
        monkeypatch.setattr(tcia, "SERVICES", (running.url + V4,))
        yield running
    tcia.list_series.cache_clear()


def refusal(call, *arguments, **keys) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments, **keys)
    return str(error.value)


# --- what the dataset file says -------------------------------------------------------------------


def test_names_and_splits_of_files():
    files = {
        "scan": {"file": "s{case}.nii.gz", "sources": ["https://a.org/{case}/{case}.nii.gz"]},
        "seg": {"file": "l_{case}.nii.gz", "sources": ["folder:x/{case}"], "splits": ["val"]},
    }
    both = {"imaging": None, "segmentation": None}
    data = dataset("kits19", per_case=files | both)
    assert list(data.spec["per_case"]) == ["scan", "seg"]
    assert list(data.files_of("00001")) == ["scan"]
    assert data.files_of("00001")["scan"]["file"] == "s00001.nii.gz"
    assert data.files_of("00001")["scan"]["sources"] == ["https://a.org/00001/00001.nii.gz"]
    label_map = data.files_of("00148")["seg"]
    assert (label_map["file"], label_map["sources"]) == ("l_00148.nii.gz", ["folder:x/00148"])


def test_a_split_counts_even_where_this_run_has_no_case_of_it():
    data = dataset("kits19", cases={"train": 2})
    assert list(data.files_of("00001")) == ["imaging", "segmentation"]


@pytest.mark.parametrize(
    ("per_case", "message"),
    [
        ({"segmentation": {"splits": ["trian"]}}, "has no split 'trian'"),
        ({"imaging": {"file": "case.nii.gz"}}, "does not match"),
        ({"imaging": {"file": "../{case}.nii.gz"}}, "does not match"),
        ({"a/b": {"file": "{case}"}}, "does not match"),
        ({"images": {"sources": []}}, "'file' is a required property"),
        ({"imaging": {"checksums": []}}, "per_case.imaging.checksums: unknown key"),
        ({"segmentations": None}, "no file per case 'segmentations' to leave out"),
    ],
)
def test_what_the_dataset_file_may_not_say(per_case, message):
    assert message in refusal(dataset, "kits19", per_case=per_case)


# --- fetching -------------------------------------------------------------------------------------


def of_cases(server, *cases: str) -> dict:
    return {
        case: {
            "scan": {"file": f"{case}.nii.gz", "sources": [f"{server.url}/{case}.gz"], "ask": None}
        }
        for case in cases
    }


def test_nothing_that_came_is_lost_or_asked_for_again(server, tmp_path):
    for case in ("a", "c"):
        server.add(f"/{case}.gz", content=SCAN)
    text = refusal(fetch_cases, of_cases(server, "a", "b", "c"), str(tmp_path))
    assert "No source gives the archive 'b.nii.gz'" in text
    assert "HTTP 404" in text
    assert [(tmp_path / f"scan/{case}.nii.gz").read_bytes() for case in "ac"] == [SCAN, SCAN]
    server.add("/b.gz", content=SCAN)
    server.requests.clear()
    fetch_cases(of_cases(server, "a", "b", "c"), str(tmp_path))
    assert [path for path, _ in server.requests] == ["/b.gz"]


def test_several_missing_files_are_named_together(server, tmp_path):
    server.add("/b.gz", content=SCAN)
    text = refusal(fetch_cases, of_cases(server, "a", "b", "c"), str(tmp_path))
    assert "2 of 3 files cannot be fetched" in text
    assert "'a.nii.gz'" in text
    assert "'c.nii.gz'" in text
    assert "Correct 'per_case.scan' in the dataset file" in text


def test_a_broken_download_goes_on(server, tmp_path):
    server.add("/a.gz", content=SCAN, drops=[30_000])
    archive = Archive("a.nii.gz", (f"{server.url}/a.gz",))
    path = fetch(archive, tmp_path, progress=False, patience=Patience(backoff=0.01))
    assert path.read_bytes() == SCAN
    assert server.requests[-1][1] == "bytes=30000-"


def test_a_page_in_place_of_a_file(server, tmp_path):
    server.add("/a.gz", content=PAGE, headers=HTML)
    text = refusal(fetch_cases, of_cases(server, "a"), str(tmp_path))
    assert "a web page came instead of the file" in text
    assert "it says: Down for maintenance & repair" in text
    assert not list((tmp_path / "scan").iterdir())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SCAN[:-9], "is no whole gz file"),
        (PAGE, "it says: Down for maintenance & repair"),
        (b"version https://git-lfs.github.com/spec/v1", "it says: version https://git-lfs"),
        (b'{"error": "quota exceeded"}', 'it says: {"error": "quota exceeded"}'),
        (b"\0\1\2" * 99, "is no whole gz file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(server, tmp_path, content, reason):
    """Though the server calls it a file, and no checksum is known."""
    server.add("/a.gz", content=content)
    text = refusal(fetch_cases, of_cases(server, "a"), str(tmp_path))
    assert reason in text
    assert not list((tmp_path / "scan").iterdir())


def test_a_damaged_zip(server, tmp_path):
    content = bytearray(packed({"1.dcm": b"A" * 100}, "zip"))
    content[content.index(b"AAAA")] ^= 1
    server.add("/a.zip", content=bytes(content))
    archive = Archive("a.zip", (f"{server.url}/a.zip",))
    assert "is damaged at its member '1.dcm'" in refusal(fetch, archive, tmp_path, progress=False)
    server.add("/a.zip", content=bytes(content)[:-5])
    assert "is no whole zip file" in refusal(fetch, archive, tmp_path, progress=False)


# --- The Cancer Imaging Archive -------------------------------------------------------------------


def series(patient="PANCREAS_0001", uid=UID, **more) -> dict:
    return {"PatientID": patient, "SeriesInstanceUID": uid, "Modality": "CT"} | more


def publish(server, *listed: dict, files=None, sums=None) -> bytes:
    files = {"1-001.dcm": b"one", "1-002.dcm": b"two"} if files is None else files
    if sums is None:
        sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    rows = ["FileName,MD5Hash", *(f"{name},{md5}" for name, md5 in sums.items())]
    content = packed(files | {"md5hashes.csv": "\n".join(rows).encode()}, "zip")
    server.add(IMAGE, content=content, etag=None)
    server.add(LIST, content=json.dumps(list(listed) or [series()]).encode(), headers=JSON)
    return content


def get(folder, patient="PANCREAS_0001"):
    archive = Archive(f"{patient}.zip", ("tcia:Pancreas-CT",))
    return fetch(archive, folder, progress=False, patience=Patience(attempts=2, backoff=0.01))


def test_the_series_of_a_patient(server, tmp_path):
    content = publish(server, series("PANCREAS_0002", "1.2"), series(), series(Modality="SEG"))
    assert get(tmp_path).read_bytes() == content
    assert [path for path, _ in server.requests] == [LIST, IMAGE]
    get(tmp_path)
    assert len(server.requests) == 2


def test_series_are_listed_once_a_job(server, tmp_path):
    content = publish(server, series(), series("PANCREAS_0002", "1.2"))
    server.add(IMAGE.replace(UID, "1.2"), content=content)
    for patient in ("PANCREAS_0001", "PANCREAS_0002"):
        get(tmp_path, patient)
    assert [path for path, _ in server.requests].count(LIST) == 1


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([series("PANCREAS_0010")], "no CT series of the patient 'PANCREAS_0001'. Did you mean"),
        ([series(Modality="SEG")], "no CT series of the patient 'PANCREAS_0001'"),
        ([series(), series(uid="1.2")], f"has 2 series: {UID}, 1.2"),
        ([series(uid="1.2&a=b")], "has no UID but '1.2&a=b'"),
        ([series(uid=None)], "has no UID"),
    ],
)
def test_a_patient_without_one_series(server, tmp_path, listed, message):
    publish(server, *listed)
    assert message in refusal(get, tmp_path)
    assert [path for path, _ in server.requests] == [LIST]


@pytest.mark.parametrize(
    ("answer", "headers", "message"),
    [
        (PAGE, HTML, "it says: Down for maintenance & repair"),
        (PAGE, JSON, "answers with something else than JSON; it says: Down for maintenance"),
        (b"", JSON, "answers with something else than JSON"),
        (b'{"message": "log in"}', JSON, 'no list of series; it says: {"message": "log in"}'),
        (b"[1]", JSON, "no list of series"),
    ],
)
def test_an_interface_that_answers_otherwise(server, tmp_path, answer, headers, message):
    publish(server)
    server.add(LIST, content=answer, headers=headers)
    text = refusal(get, tmp_path)
    assert message in text
    assert LIST in text
    assert not list(tmp_path.iterdir())


def test_a_page_in_place_of_a_series(server, tmp_path):
    publish(server)
    server.add(IMAGE, content=PAGE, headers=HTML)
    assert "it says: Down for maintenance & repair" in refusal(get, tmp_path)


def test_another_host_where_the_first_fails(server, tmp_path, monkeypatch):
    content = publish(server)
    monkeypatch.setattr(tcia, "SERVICES", (server.url + "/gone", server.url + V4))
    assert get(tmp_path).read_bytes() == content
    monkeypatch.setattr(tcia, "SERVICES", (server.url + "/gone", server.url + "/too"))
    text = refusal(get, tmp_path / "again")
    assert text.count("HTTP 404") == 2


def test_a_source_may_name_another_interface(server, tmp_path, monkeypatch):
    content = publish(server)
    monkeypatch.setattr(tcia, "SERVICES", ())
    archive = Archive("PANCREAS_0001.zip", (f"tcia:Pancreas-CT@{server.url}{V4}",))
    assert fetch(archive, tmp_path, progress=False).read_bytes() == content
    elsewhere = Archive("PANCREAS_0002.zip", ("tcia:Pancreas-CT@http://192.0.2.1/v4",))
    assert "192.0.2.1: it is refused: only https" in refusal(fetch, elsewhere, tmp_path)


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        ({"1-001.dcm": 32 * "0"}, "has another member '1-001.dcm' than its md5hashes.csv says"),
        ({"1-003.dcm": 32 * "0"}, "lacks its member '1-003.dcm'"),
    ],
)
def test_every_file_of_a_series_is_verified(server, tmp_path, sums, message):
    publish(server, sums=sums)
    assert message in refusal(get, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_other_road_than_https(tmp_path, monkeypatch):
    monkeypatch.setattr(tcia, "SERVICES", ("http://services.cancerimagingarchive.net/v4",))
    assert "only https is allowed" in refusal(get, tmp_path)
    tcia.list_series.cache_clear()
