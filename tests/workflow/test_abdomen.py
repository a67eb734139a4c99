"""Abdominal CT by hand: faulty labels and series, an archive that is down, other orientations."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from warpline.cases.case import read_case
from warpline.images.files import read_image
from warpline.phantoms import write
from warpline.phantoms.providers.clinical import turned
from warpline.phantoms.providers.mirror import nifti

pytestmark = pytest.mark.long

COARSE = {
    "seed": 3,
    "parameters": {"size": 32, "spacing_xy": [12, 13], "spacing_z": [10, 11]},
    "scans": {},
}
DATA = "results/data"
BY_HAND = "resources/by-hand"
SERIES = "PANCREAS_{}.zip".format
# Two cases a job: DICOM that is refused, labels that are refused, an archive that is down.
SHEET = """case	split	labels
0002	train	multi-organ
0003	train	multi-organ
0001	test	pancreas
0004	train	multi-organ
0034	val	multi-organ
"""
# Without the pancreas, all that 0001 has, and without 14, the duodenum.
TABLE = {1: "spleen", 3: "left_kidney", 4: "gallbladder", 5: "esophagus", 6: "liver", 7: "stomach"}
TABLE |= {11: None}


@contextmanager
def down_for_maintenance() -> Iterator[str]:
    """A server on this machine that answers everything with a web page; its URL."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<html><title>Down for maintenance</title><p>Come back.</p></html>")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def members(path: Path) -> dict[str, bytes]:
    """The DICOM files of a series, in the order of the slices."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".dcm")}


def rewrite(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def pancreas_by_hand(project, provider: str) -> dict:
    """Series and label maps in the folder for them; what goes into the configuration."""
    folder = project.folder / BY_HAND
    rows = [dict(zip(("case", "split", "labels"), row.split("\t"), strict=True))
            for row in SHEET.splitlines()[1:]]  # fmt: skip
    write("tcia-pancreas", COARSE, rows, folder)
    (folder / "images").rename(folder / "tcia-pancreas")
    (folder / "tcia-pancreas/SHA256SUMS").unlink()  # nobody who fills the folder has it
    series = {row["case"]: folder / "tcia-pancreas" / SERIES(row["case"]) for row in rows}
    files = members(series["0002"])
    missing = sorted(files)[5]
    rewrite(series["0002"], {name: files[name] for name in files if name != missing})
    others = {f"2-{name}": content for name, content in members(series["0004"]).items()}
    rewrite(series["0003"], members(series["0003"]) | others)
    series["0034"].unlink()
    (project.folder / "config/datasets/tcia-pancreas.tsv").write_text(SHEET, encoding="utf-8")
    from_hand = {"sources": [f"folder:{BY_HAND}"], "checksums": []}
    archives = ("TCIA_pancreas_labels-02-05-2017-1.zip", "label_tciapancreasct_multiorgan.tar.gz",
                "cropping.csv")  # fmt: skip
    return {
        "archives": dict.fromkeys(archives, from_hand),
        # In place of the archive's interface, which the tests of the download try.
        "per_case": {
            "images": {
                "sources": [f"{provider}/{SERIES('{case}')}", f"folder:{BY_HAND}/tcia-pancreas"]
            }
        },
        "cases_per_job": 2,
        "prepare": [{"orient": {}}, {"harmonise": {"values": TABLE}}],
    }


def kidneys_by_hand(project) -> dict:
    """One scan twice: as the provider stores it, and with its axes in another order and sense."""
    folder = project.folder / BY_HAND / "kits19"
    write("kits19", COARSE, [{"case": "00001", "split": "train"}], folder)
    for kind in ("imaging", "segmentation"):
        image = read_image(folder / kind / "case_00001.nii.gz")
        (folder / kind / "case_00002.nii.gz").write_bytes(nifti(turned(image, "RSP")))
    return {
        "per_case": {
            kind: {"sources": [f"folder:{BY_HAND}/kits19/{kind}"]}
            for kind in ("imaging", "segmentation")
        },
        "cases": {"train": 2},
        "cases_per_job": 2,
        "prepare": [{"orient": {}}, {"harmonise": {"values": {1: "kidneys", 2: "kidneys"}}}],
    }


def test_faults_are_named_with_their_case_and_another_orientation_is_none(project):
    with down_for_maintenance() as provider:
        datasets = {
            "tcia-pancreas": pancreas_by_hand(project, provider),
            "kits19": kidneys_by_hand(project),
        }
        project.write("own.yaml", {"scale": "paper", "papers": [], "memory_mb": 1000,
                                   "override": {"datasets": datasets}})  # fmt: skip
        output = project.snakemake(
            "--configfile", "own.yaml", "--keep-going", "--",
            *(f"{DATA}/tcia-pancreas/prepared/b00{k}" for k in range(3)),
            f"{DATA}/kits19/prepared/b000",
            ok=False,
        )  # fmt: skip
    assert "Traceback" not in output
    # Both cases of a job are named at once, whether series or label map is at fault.
    for batch in ("b000", "b001"):
        log = project.folder / f"results/logs/prepare/tcia-pancreas/{batch}.log"
        assert "2 of 2 cases are refused" in log.read_text(encoding="utf-8")
    # Series, with what to do.
    assert "The DICOM series of the case '0002' misses 1 slices" in output
    assert "The DICOM series of the case '0003' is mixed with others" in output
    assert "take the case out of the case sheet" in output
    assert not (project.folder / DATA / "tcia-pancreas/prepared/b000").exists()
    # Label maps, each with its case.
    assert "No organ is annotated in the case: of the values [11]" in output
    assert "(case 0001)" in output
    assert re.search(r"table of labels does not name: 14 \(\d+ voxels\)\. \(case 0004\)", output)
    assert "Add them to the table" in output
    # The archive is asked first; what is not in the folder either says where to ask.
    assert "a web page came instead of the file" in output
    assert "Down for maintenance" in output
    assert SERIES("0034") in output
    assert "https://www.cancerimagingarchive.net/collection/pancreas-ct/" in output
    # The same scan, however its axes run.
    kits = project.folder / DATA / "kits19"
    records = [
        json.loads((kits / f"prepared/b000/{case}/import.json").read_text(encoding="utf-8"))
        for case in ("00001", "00002")
    ]
    assert [record["orientation"] for record in records] == ["IPL", "RSP"]
    assert sorted(records[0]["size"]) == sorted(records[1]["size"])
    assert records[0]["size"] != records[1]["size"]
    first, second = (read_case(kits / "prepared/b000" / case) for case in ("00001", "00002"))
    assert first.grid.close_to(second.grid, 1e-2)
    np.testing.assert_allclose(np.reshape(second.grid.direction, (3, 3)), np.eye(3), atol=1e-6)
    np.testing.assert_array_equal(first.image.array, second.image.array)
    np.testing.assert_array_equal(first.labels.array, second.labels.array)
    # The right kidney, 2, lies at smaller x than the left one, 3.
    assert first.annotated == (2, 3)
    right, left = (np.argwhere(first.labels.array == value)[:, 2].mean() for value in (2, 3))
    assert right < left
