"""Phantom abdomens in the layouts of their providers, with own orientations and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from schema_tools import asked, files_of, phantom_of

from warpline import phantoms
from warpline.acquire.formats import kits19 as kits19_format
from warpline.acquire.formats import learn2reg, learn2reg2020, msd, neurite_oasis
from warpline.acquire.formats import tcia_pancreas as tcia_format
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError
from warpline.files import checksum
from warpline.images.files import read_image
from warpline.images.grid import Image
from warpline.phantoms.anatomy.abdomen.organs import NUMBER
from warpline.phantoms.providers.clinical import clinical_scan
from warpline.phantoms.providers.tcia_pancreas import PROTOCOL, crop_of

COARSE = {"size": 40, "spacing_xy": [9.4, 10.2], "spacing_z": [7.5, 9.5]}


def write(kind: str, cases: list[dict], folder: Path, parameters: dict | None = None, seed=3):
    spec = {"seed": seed, "parameters": COARSE if parameters is None else parameters}
    return phantoms.write(kind, phantom_of(**spec), cases, folder)


def middle(labels: Image, *values: int) -> np.ndarray:
    """Centre (x, y, z) of some labels, mm, LPS, as SimpleITK's header has it."""
    index = np.argwhere(np.isin(labels.array, values)).mean(axis=0)
    return labels.grid.index_to_physical(index)


def body_axis(image: Image) -> np.ndarray:
    """Middle of the body, mm, LPS."""
    return image.grid.index_to_physical(np.argwhere(image.array > -200).mean(axis=0))


def matrix(path: Path) -> np.ndarray:
    return np.array(sitk.ReadImage(str(path)).GetDirection()).reshape(3, 3)


def listed(folder: Path) -> dict[str, str]:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {name: total for total, name in (line.split("  ") for line in lines)}


def test_learn2reg_has_thirteen_organs_on_one_grid(tmp_path):
    cases = [{"case": "0001", "image": "img0001"}, {"case": "0011", "image": "img0021"}]
    (archive,) = write("abdomen", cases, tmp_path, {"coarser": 5})
    assert archive.name == "AbdomenCTCT.zip"
    assert listed(tmp_path)[archive.name] == checksum(archive)
    folder = unpack(archive, tmp_path / "new")
    names = {str(k): name for name, k in NUMBER.items()}
    found = [learn2reg.locate(folder, files_of(labels=names), case) for case in cases]
    images = [read_image(files.image) for files in found]
    assert images[0].grid == images[1].grid
    assert images[0].array.shape == (51, 32, 38)
    assert images[0].grid.spacing == (10.0, 10.0, 10.0)
    np.testing.assert_allclose(images[0].grid.origin, 0, atol=1e-4)
    np.testing.assert_array_equal(matrix(found[0].image), np.diag([-1, -1, 1]))
    for files in found:
        labels = read_image(files.labels)
        assert set(np.unique(labels.array)) - {12, 13} == set(range(12))
        assert middle(labels, NUMBER["liver"])[0] < middle(labels, NUMBER["spleen"])[0]
        assert middle(labels, 2)[1] > middle(labels, NUMBER["stomach"])[1]
        assert middle(labels, NUMBER["esophagus"])[2] > middle(labels, 3)[2]
    # 2020's package has the same scans under other names.
    (older,) = write("abdomen-2020", cases, tmp_path, {"coarser": 5})
    folder = unpack(older, tmp_path / "old")
    files = learn2reg2020.locate(
        folder, files_of(labels=names), {"case": "0021", "image": "img0021"}
    )
    np.testing.assert_array_equal(read_image(files.image).array, images[1].array)


@pytest.mark.parametrize(
    ("kind", "archive", "stem", "values", "side"),
    [
        ("msd-liver", "Task03_Liver.tar", "liver", {1, 2}, -1),
        ("msd-pancreas", "Task07_Pancreas.tar", "pancreas", {1, 2}, 0),
        ("msd-hepaticvessel", "Task08_HepaticVessel.tar", "hepaticvessel", {1, 2}, -1),
        ("msd-spleen", "Task09_Spleen.tar", "spleen", {1}, 1),
        ("msd-colon", "Task10_Colon.tar", "colon", {1}, 0),
    ],
)
def test_a_task_of_the_decathlon_has_its_own_labels_only(
    kind, archive, stem, values, side, tmp_path
):
    cases = [{"case": "002", "split": "train"}, {"case": "007", "split": "test"}]
    parameters = {**COARSE, "size": 60, "spacing_xy": [6.3, 6.8], "spacing_z": [5.0, 6.0]}
    (path,) = write(kind, cases, tmp_path, parameters)
    assert path.name == archive
    folder = unpack(path, tmp_path / "unpacked")
    description = json.loads(next(folder.glob("**/dataset.json")).read_text())
    assert set(description["labels"]) == {"0", *map(str, values)}
    assert description["training"][0]["image"] == f"./imagesTr/{stem}_002.nii.gz"
    files = msd.locate(folder, files_of(), cases[0])
    labels, image = read_image(files.labels), read_image(files.image)
    assert labels.grid == image.grid
    assert set(np.unique(labels.array)) == {0, *values}
    if side:
        assert side * (middle(labels, *values) - body_axis(image))[0] > 20
    assert msd.locate(folder, files_of(), cases[1]).labels is None


def test_kits19_stores_slices_first_from_the_head(tmp_path):
    cases = [{"case": "00000", "split": "train"}, {"case": "00210", "split": "test"}]
    paths = write("kits19", cases, tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in paths]
    assert names == [
        "imaging/case_00000.nii.gz",
        "segmentation/case_00000.nii.gz",
        "imaging/case_00210.nii.gz",
    ]
    for path in paths:
        assert listed(path.parent)[path.name] == checksum(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(paths[0]))
    reader.ReadImageInformation()
    # NIfTI's affine, in RAS: rows [[0, 0, -px], [0, -px, 0], [-st, 0, 0]].
    np.testing.assert_allclose(matrix(paths[0]), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-6)
    assert reader.GetSize()[1:] == (40, 40)
    labels = read_image(paths[1])
    assert set(np.unique(labels.array)) == {0, 1, 2}
    index = np.argwhere(labels.array > 0)
    x = labels.grid.index_to_physical(index)[:, 0] - body_axis(read_image(paths[0]))[0]
    # A kidney on either side, and none in the midline.
    assert (x < -20).sum() > 10
    assert (x > 20).sum() > 10
    assert not (np.abs(x) < 8).any()
    unpacked = tmp_path / "repository" / "case_00000"
    unpacked.mkdir(parents=True)
    for path, name in zip(paths[:2], ("imaging", "segmentation"), strict=True):
        (unpacked / f"{name}.nii.gz").write_bytes(path.read_bytes())
    files = kits19_format.locate(unpacked.parent, files_of(), cases[0])
    assert read_image(files.labels).grid == read_image(files.image).grid


def test_pancreas_ct_comes_as_series_and_labels_apart(tmp_path):
    cases = [{"case": "0002", "labels": "multi-organ"}, {"case": "0051", "labels": "pancreas"}]
    paths = write("tcia-pancreas", cases, tmp_path)
    assert {path.name for path in paths} == {
        "PANCREAS_0002.zip",
        "PANCREAS_0051.zip",
        "TCIA_pancreas_labels-02-05-2017-1.zip",
        "label_tciapancreasct_multiorgan.tar.gz",
        "cropping.csv",
    }
    again = write("tcia-pancreas", cases[1:], tmp_path / "again")
    assert checksum(again[0]) == checksum(paths[1])
    sources = tmp_path / "unpacked"
    for path in paths:
        if path.suffix != ".csv":
            stem = path.name.split(".")[0]
            unpack(path, sources / stem)
    (sources / "cropping.csv").write_text((tmp_path / "cropping.csv").read_text())
    # The scan as it was made, axes along LPS, is what the series and its labels must be.
    scan = clinical_scan(asked(seed=3).seed_of("tcia-pancreas/0002"), PROTOCOL, **COARSE)
    for case in cases:
        files = tcia_format.locate(sources, files_of(), case)
        image, _ = files.read()
        labels = read_image(files.labels)
        assert image.array.shape == labels.array.shape
        np.testing.assert_array_equal(matrix(files.labels), np.diag([1, -1, -1]))
        pancreas = middle(labels, 11 if case["case"] == "0002" else 1)
        assert abs((pancreas - body_axis(image))[0]) < 60
        if case["case"] == "0002":
            at = image.grid.physical_to_index(scan.image.grid.index_to_physical([5, 20, 11]))
            voxel = tuple(np.rint(at).astype(int))
            np.testing.assert_allclose(at, voxel, atol=1e-2)
            assert image.array[voxel] == scan.image.array[5, 20, 11]
            assert set(np.unique(labels.array)) <= {0, 1, 3, 4, 5, 6, 7, 11, 14}
            assert middle(labels, 6)[0] < middle(labels, 1)[0]
    row = (tmp_path / "cropping.csv").read_text().splitlines()[1].split(",")
    z, y, x = crop_of(scan)
    assert [int(v) for v in row[4:]] == [y.start, y.stop, x.start, x.stop, z.start, z.stop]


def test_oasis_has_a_hippocampus_on_either_side(tmp_path):
    cases = [{"case": "0002-left", "image": ""}, {"case": "0002-right", "image": "aligned_norm"}]
    (path,) = write("oasis", cases, tmp_path, {})
    folder = unpack(path, tmp_path / "unpacked")
    names = next(folder.glob("**/subjects.txt")).read_text().split()
    assert names == ["OASIS_OAS1_0001_MR1", "OASIS_OAS1_0002_MR1"]
    for case in cases:
        neurite_oasis.locate(folder, files_of(), case)
    subject = next(folder.glob("**/OASIS_OAS1_0002_MR1"))
    labels, image = (read_image(subject / f"{kind}.nii.gz") for kind in ("seg35", "orig"))
    assert image.array.min() >= 0
    assert image.array.max() == pytest.approx(1)
    # LPS: the left one, 14, lies at larger x; each has 2 to 5 ml.
    assert middle(labels, 14)[0] > middle(labels, 30)[0] + 35
    for value in (14, 30):
        assert 1500 < (labels.array == value).sum() < 5500
    np.testing.assert_allclose(matrix(subject / "orig.nii.gz"), [[1, 0, 0], [0, 0, -1], [0, -1, 0]])
    brain = read_image(subject / "norm.nii.gz").array
    assert 0.2 < (brain > 0).mean() < (image.array > 0).mean()
    with pytest.raises(WarplineError, match="does not fit"):
        write("oasis", cases, tmp_path, {"size": 90})


def test_a_case_depends_on_its_id_alone(tmp_path):
    alone = write("msd-spleen", [{"case": "003"}], tmp_path / "alone")
    more = write("msd-spleen", [{"case": "001"}, {"case": "003"}], tmp_path / "more")
    stored = [
        msd.locate(unpack(paths[0], paths[0].parent / "unpacked"), files_of(), {"case": "003"})
        for paths in (alone, more)
    ]
    assert stored[0].image.read_bytes() == stored[1].image.read_bytes()
    # The same id in another dataset is another person.
    other = clinical_scan(asked(seed=3).seed_of("Task03_Liver/003"), PROTOCOL, **COARSE)
    assert other.image.grid != read_image(stored[0].image).grid


@pytest.mark.parametrize("kind", ["abdomen", "kits19", "msd-liver", "oasis", "tcia-pancreas"])
def test_a_parameter_that_is_none_is_refused(kind, tmp_path):
    with pytest.raises(WarplineError, match="no parameter 'sise'"):
        write(kind, [{"case": "0001"}], tmp_path, {"sise": 3})


def test_a_range_the_wrong_way_round_is_refused(tmp_path):
    with pytest.raises(WarplineError, match="range of spacings") as refused:
        write("kits19", [{"case": "0"}], tmp_path, {**COARSE, "spacing_z": [5, 3]})
    assert "spacing_z" in str(refused.value)
