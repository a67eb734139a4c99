"""Where a training keeps its data: what is kept in files is what was read, and is shared."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_tools import blob_case

from warpline.cases.case import Case, read_case, write_case
from warpline.cases.folders import CaseFolders
from warpline.images.grid import Grid, Image
from warpline.training.data import CaseMemory
from warpline.training.material import Material
from warpline.training.room import KeptCases, Room, made_once
from warpline.training.source import source_of

OBLIQUE = Grid((5, 6, 7), (0.7, 0.8, 2.5), (-3.25, 4, 1 / 3), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    """Three cases: of differing shapes, with and without labels, mask and annotation."""
    rng = np.random.default_rng(0)
    image = Image(rng.normal(size=OBLIQUE.shape).astype(np.float32), OBLIQUE)
    labels = image.with_array((image.array > 0).astype(np.uint8))
    cases = [
        Case("a", image, labels, labels, annotated=(1,)),
        Case("b", image.with_array(np.round(image.array * 100).astype(np.int16)), None, labels),
        blob_case("c", 1),
    ]
    for case in cases:
        write_case(tmp_path / case.id, case)
    return {case.id: str(tmp_path / case.id) for case in cases}


def room(folders: dict[str, str], folder: Path, free: int) -> Room:
    return Room(free, folder, source_of(Material(folders, list(folders), [], {}))["files"], "c")


def same(one: Case, other: Case) -> None:
    assert one.id == other.id
    assert one.grid == other.grid
    assert one.annotated == other.annotated
    assert one.segmented == other.segmented
    for name in ("image", "labels", "mask"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.array.dtype == b.array.dtype
            np.testing.assert_array_equal(a.array, b.array)


def test_cases_from_files_are_those_that_were_read(folders, tmp_path):
    kept = KeptCases(CaseFolders(folders, [*folders]), room(folders, tmp_path / "cache", 0))
    for case, folder in zip(kept, folders.values(), strict=True):
        same(case, read_case(folder))
        assert isinstance(case.image.array, np.memmap)
    # Another training takes the files: it does not need the cases.
    other = KeptCases(
        CaseFolders(dict.fromkeys(folders, "gone"), [*folders]),
        replace(kept.room),
    )
    for case, folder in zip(other, folders.values(), strict=True):
        same(case, read_case(folder))


def test_cases_stay_in_memory_while_there_is_room(folders, tmp_path):
    voxels = 5 * 6 * 7
    space = room(folders, tmp_path / "cache", voxels * (4 + 1 + 1) + voxels * 3)
    kept = KeptCases(CaseFolders(folders, [*folders]), space)
    found = [type(case.image.array) for case in kept]
    assert found == [np.ndarray, np.ndarray, np.memmap]
    assert kept[0] is kept[0]  # read once
    assert space.free == 0


def test_without_a_room_a_case_is_read_whenever_it_is_asked_for(folders):
    kept = KeptCases(CaseFolders(folders, [*folders]), None)
    assert kept[0] is not kept[0]


def test_other_contents_or_other_steps_have_other_files(folders, tmp_path):
    space = room(folders, tmp_path / "cache", 0)
    places = {space.place(["a"], []), space.place(["b"], []), space.place(["a"], [{"orient": {}}])}
    write_case(Path(folders["a"]), replace(read_case(folders["a"]), annotated=None))
    places.add(replace(space, code="d").place(["a"], []))
    (Path(folders["a"]) / "annotated.json").unlink()
    places.add(room(folders, tmp_path / "cache", 0).place(["a"], []))
    assert len(places) == 5
    assert space.place(["a"], []) in places


def test_files_are_written_once_however_many_trainings_want_them(tmp_path):
    made = []

    def want() -> None:
        with made_once(tmp_path / "cache" / "x") as making:
            if making:
                made.append(making)
                (making / "data").write_text("whole")

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (tmp_path / "cache" / "x" / "data").read_text() == "whole"


def test_files_of_a_training_that_failed_are_not_taken_for_whole(tmp_path):
    def fail() -> None:
        with made_once(tmp_path / "x") as making:
            (making / "data").write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert not (tmp_path / "x").exists()
    with made_once(tmp_path / "x") as making:
        assert list(making.iterdir()) == []


def test_volumes_mapped_from_files_are_those_in_memory(tmp_path):
    cases = [
        blob_case("a", 0),
        replace(blob_case("b", 1), annotated=(1,)),
        replace(blob_case("c", 2), annotated=()),
    ]
    plain = CaseMemory(cases, [1, 2], stride=12, landmarks=True)
    mapped = CaseMemory(cases, [1, 2], stride=12, landmarks=True, place=tmp_path / "x")
    again = CaseMemory([], [1, 2], stride=12, landmarks=True, place=tmp_path / "x")
    for other in (mapped, again):
        torch.testing.assert_close(other.images, plain.images, rtol=0, atol=0)
        torch.testing.assert_close(other.labels, plain.labels, rtol=0, atol=0)
        assert other.shape == plain.shape == (24, 24, 24)
        assert other.ids == ["a", "b", "c"]
        assert other.annotated.tolist() == plain.annotated.tolist()
        assert other.landmarks == plain.landmarks == [{}, {}, {}]
    assert plain.annotated.tolist() == [[True, True], [True, False], [False, False]]
    assert plain.images[0, 0, 16:].abs().max() == 0


def test_a_case_without_labels_takes_those_of_all_away(tmp_path):
    cases = [blob_case("a", 0), blob_case("b", 1, labelled=False)]
    assert CaseMemory(cases, [1]).labels is None
    assert CaseMemory(cases, [1], place=tmp_path / "x").labels is None
    assert not (tmp_path / "x" / "labels").exists()
