"""What is unpacked of an archive, and what stays of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from acquire_tools import packed

from warpline.acquire.archive import Archive
from warpline.acquire.arrival import arrive
from warpline.acquire.formats import wanted_files
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError

TASK = "Task04_Hippocampus"
FILES = [
    f"{TASK}/dataset.json",
    f"{TASK}/imagesTr/hippocampus_001.nii.gz",
    f"{TASK}/imagesTr/hippocampus_003.nii.gz",
    f"{TASK}/labelsTr/hippocampus_001.nii.gz",
    f"{TASK}/labelsTr/hippocampus_003.nii.gz",
    f"{TASK}/imagesTs/hippocampus_002.nii.gz",
]


def tar(path: Path, names=FILES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed({name: name.encode() for name in names}, "tar"))
    return path


def unpacked(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_of_a_decathlon_s_archive_the_scans_of_some_cases(tmp_path):
    archive = tar(tmp_path / "task.tar")
    unpack(archive, tmp_path / "some", wanted=wanted_files("msd", ["003"]))
    assert unpacked(tmp_path / "some") == [FILES[0], FILES[2], FILES[4]]
    unpack(archive, tmp_path / "all", wanted=wanted_files("msd", None))
    assert unpacked(tmp_path / "all") == sorted(FILES)


def test_of_luna16_header_and_voxels_of_scans_and_masks():
    one, two = "1.3.6.1.4.1.14519.5.2.1.6279.6001.1002", "1.3.6.1.4.1.14519.5.2.1.6279.6001.1003"
    wanted = wanted_files("luna16", [one])
    for place, suffix in (("subset0", "mhd"), ("subset0", "raw"), ("seg-lungs-LUNA16", "zraw")):
        assert wanted(f"{place}/{one}.{suffix}")
        assert not wanted(f"{place}/{two}.{suffix}")
    assert wanted("annotations.csv")


def test_a_format_that_cannot_tell_wants_everything():
    assert wanted_files("dirlab", ["case1"])("Case2Pack/Images/case2_T00.img")


def test_what_is_not_wanted_is_looked_at_all_the_same(tmp_path):
    archive = tar(tmp_path / "task.tar", [*FILES, "../outside_009.nii.gz"])
    with pytest.raises(WarplineError, match="outside its folder"):
        unpack(archive, tmp_path / "some", wanted=wanted_files("msd", ["003"]))
    assert not (tmp_path / "some").exists()


def test_an_archive_that_does_not_stay_and_one_that_was_put_there_by_hand(tmp_path):
    source = tar(tmp_path / "source" / "task.tar")
    archive = Archive("task.tar", (source.as_uri(),))
    data = tmp_path / "data"
    known = arrive(archive, data, tmp_path / "one", keep=False)
    assert known["name"] == "task.tar"
    assert len(known["sha256"]) == 64
    assert unpacked(tmp_path / "one") == sorted(FILES)
    assert not [path for path in data.iterdir() if path.name.startswith("task.tar")]
    assert source.exists()
    arrive(archive, data, tmp_path / "two")
    assert (data / "task.tar").exists()
    by_hand = tar(tmp_path / "own" / "task.tar")
    arrive(Archive("task.tar", ()), by_hand.parent, tmp_path / "three", keep=False)
    assert by_hand.exists()
