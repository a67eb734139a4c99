"""DICOM series, and the scans and two kinds of labels of Pancreas-CT."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import SimpleITK as sitk
from acquire_tools import UID, dataset, nifti, packed, road, served, write_slices
from http_server import serve
from schema_tools import files_of

from warpline.acquire import formats, tcia
from warpline.acquire.dicom import read_series
from warpline.acquire.formats.tcia_pancreas import complete_part
from warpline.cases.case import read_case
from warpline.cases.steps.geometry import orient
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image

# The collection's own frame, which its label maps share: x to the left, y to the front, z to the
# feet. And one oblique frame about all axes.
LAI = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = tuple(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())
SHAPE = (6, 5, 4)
SPACING = (0.7, 0.8, 2.5)
ORIGIN = (-100.0, 120.0, 300.0)
CROP = "id,publisher,data set,original_id,extent_ant,extent_post,extent_left,extent_right,"
CROP += "extent_inf,extent_sup\n"


def grid(direction=LAI, shape=SHAPE) -> Grid:
    return Grid(shape, SPACING, ORIGIN, direction)


def scan(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1024, 2000, shape).astype(np.int16)


def refusal(call, *arguments, **keys) -> str:
    with pytest.raises(WarplineError) as error:
        call(*arguments, **keys)
    return str(error.value)


# --- series ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [LAI, OBLIQUE, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)])
def test_slices_are_ordered_by_their_position(tmp_path, direction):
    write_slices(tmp_path, scan(), grid(direction))
    (tmp_path / "LICENSE").write_text("no DICOM")
    found = read_series(tmp_path, "0001")
    np.testing.assert_array_equal(found.array, scan())
    assert found.grid.close_to(grid(direction), 1e-5)


def test_a_series_that_no_memory_holds_is_refused_before_it_is_read(tmp_path, monkeypatch):
    write_slices(tmp_path, scan(), grid())
    read_series(tmp_path, "0001")
    monkeypatch.setattr("warpline.images.memory.memory", lambda: scan().nbytes - 1)
    monkeypatch.setattr("warpline.acquire.dicom.sitk.ImageSeriesReader", None)
    assert "GiB of memory for it" in refusal(read_series, tmp_path, "0001")


def test_z_is_the_cross_product_of_x_and_y(tmp_path):
    """Slices that are written from foot to head, with a normal to the feet, are turned round."""
    left_handed = Grid(SHAPE, SPACING, ORIGIN, (1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    write_slices(tmp_path, scan(), left_handed)
    found = read_series(tmp_path, "0001")
    np.testing.assert_array_equal(found.array, scan()[::-1])
    top = (*ORIGIN[:2], ORIGIN[2] + 5 * 2.5)
    assert found.grid.close_to(Grid(SHAPE, SPACING, top, LAI), 1e-5)


def test_hounsfield_units(tmp_path):
    """What is stored is rescaled as the headers say: 2 × stored − 1000."""
    stored = scan() // 4
    paths = write_slices(tmp_path, 2 * stored - 1000, grid(), t0028_1052="-1000", t0028_1053="2")
    for path, plane in zip(paths, stored, strict=True):
        assert plane.astype("<i2").tobytes() in path.read_bytes()
    np.testing.assert_array_equal(read_series(tmp_path, "0001").array, 2 * stored - 1000)


def test_a_missing_slice(tmp_path):
    paths = write_slices(tmp_path, scan(), grid())
    paths[2].unlink()
    text = refusal(read_series, tmp_path, "0001")
    assert "DICOM series of the case '0001' misses 1 slices" in text
    assert f"{paths[1].name} and {paths[3].name} are 5 mm apart, others 2.5 mm" in text


def test_uneven_slices(tmp_path):
    def place(k):
        return f"-100\\120\\{300 - 2.5 * k - (0.6 if k > 2 else 0)}"

    write_slices(tmp_path, scan(), grid(), t0020_0032=place)
    assert "has uneven slices" in refusal(read_series, tmp_path, "0001")


def test_mixed_series(tmp_path):
    write_slices(tmp_path / "a", scan(), grid(), "1")
    write_slices(tmp_path / "b", scan(), grid(), "22")
    text = refusal(read_series, tmp_path, "0001")
    assert "is mixed with others" in text
    assert f"{UID.format('1')} (6 files), {UID.format('22')} (6 files)" in text


def test_a_slice_twice(tmp_path):
    paths = write_slices(tmp_path, scan(), grid())
    (tmp_path / "copy.dcm").write_bytes(paths[3].read_bytes())
    text = refusal(read_series, tmp_path, "0001")
    assert "has two slices in one place" in text
    assert "copy.dcm" in text


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"t0008_0060": "MR"}, r"is no CT, but of modality MR \(6 files\)"),
        (
            {"t0020_0037": lambda k: "1\\0\\0\\0\\-1\\0" if k else "1\\0\\0\\0\\0\\-1"},
            "several kinds of orientation",
        ),
        ({"t0020_0032": lambda k: f"{-100 + 0.3 * k}\\120\\{300 - 2.5 * k}"}, "up to 1.5 mm aside"),
        ({"t0020_0032": "-100\\120\\300"}, "two slices in one place"),
    ],
)
def test_what_is_no_volume(tmp_path, tags, message):
    write_slices(tmp_path, scan(), grid(), **tags)
    with pytest.raises(WarplineError, match=message):
        read_series(tmp_path, "0001")


def test_axes_that_are_no_right_angle(tmp_path):
    paths = write_slices(tmp_path, scan(), grid())
    for path in paths:
        content = path.read_bytes()
        assert content.count(b"1\\0\\0\\0\\-1\\0") == 1
        path.write_bytes(content.replace(b"1\\0\\0\\0\\-1\\0", b"1\\1\\0\\0\\-1\\0"))
    assert "axes are no right angle" in refusal(read_series, tmp_path, "0001")


def test_slices_of_two_sizes_or_spacings(tmp_path):
    paths = write_slices(tmp_path / "a", scan(), grid())
    other = write_slices(tmp_path / "b", scan(shape=(6, 4, 4)), grid(shape=(6, 4, 4)))
    content = paths[2].read_bytes()
    paths[2].write_bytes(other[2].read_bytes())
    assert "several kinds of size" in refusal(read_series, tmp_path / "a", "0001")
    coarse = Grid(SHAPE, (0.9, 0.8, 2.5), ORIGIN, LAI)
    other = write_slices(tmp_path / "c", scan(), coarse)
    paths[2].write_bytes(other[2].read_bytes())
    text = refusal(read_series, tmp_path / "a", "0001")
    assert "several kinds of pixel spacing: (0.7, 0.8) and (0.9, 0.8)" in text
    paths[2].write_bytes(content)
    assert read_series(tmp_path / "a", "0001").grid.close_to(grid(), 1e-5)


def test_no_or_one_file(tmp_path):
    (tmp_path / "LICENSE").write_text("no DICOM")
    assert "has 0 DICOM files" in refusal(read_series, tmp_path, "0001")
    write_slices(tmp_path, scan(shape=(1, 5, 4)), grid(shape=(1, 5, 4)))
    assert "has 1 DICOM files" in refusal(read_series, tmp_path, "0001")
    (broken,) = tmp_path.glob("*.dcm")
    broken.write_bytes(broken.read_bytes()[:200])
    assert "has a file" in refusal(read_series, tmp_path, "0001")


# --- where label maps are complete ----------------------------------------------------------------

SIZE = (20, 16, 12)  # z, y, x
BOX = [(2, 9), (3, 12), (4, 10)]  # x from the right, y from the front, z from one end


def labels_in(feet: bool, direction=LAI) -> Image:
    """Labels in the part that the box has if slices are counted from the feet (or the head)."""
    array = np.zeros(SIZE, np.uint8)  # x to the left, y to the back, z to the head
    part = slice(4, 10) if feet else slice(10, 16)
    array[part, 3:12, 2:9] = 6
    signs = np.array(direction).reshape(3, 3).diagonal()
    return Image(np.flip(array, [2 - k for k in range(3) if signs[k] < 0]), grid(direction, SIZE))


@pytest.mark.parametrize("feet", [True, False])
@pytest.mark.parametrize(
    "direction", [LAI, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)]
)
def test_the_box_is_where_the_labels_are(feet, direction):
    label_map = labels_in(feet, direction)
    crop = complete_part(BOX, "0002", label_map)
    box = tuple(slice(a, b) for a, b in zip(crop.start, crop.stop, strict=True))
    assert label_map.array[box].all()
    assert np.count_nonzero(label_map.array) == label_map.array[box].size
    end = "the feet" if feet else "the head"
    assert crop.note["slices_counted_from"] == end
    assert crop.note["labels_inside"][end] == 1
    assert min(crop.note["labels_inside"].values()) == 0


def test_the_feet_where_both_fit():
    array = np.zeros(SIZE, np.uint8)
    array[8:12, 3:12, 2:9] = 6
    crop = complete_part([(2, 9), (3, 12), (0, 20)], "0002", Image(array, grid(LAI, SIZE)))
    assert crop.note["slices_counted_from"] == "the feet"


def test_a_box_of_another_scan():
    label_map = labels_in(True)
    with pytest.raises(WarplineError, match="Only 14% of the labels of the case '0002'"):
        complete_part([(8, 12), (3, 12), (4, 10)], "0002", label_map)
    with pytest.raises(WarplineError, match="4 to 21 of 20 voxels along z"):
        complete_part([(2, 9), (3, 12), (4, 21)], "0002", label_map)


# --- from the archive's interface to canonical cases ----------------------------------------------

ORGANS = (1, 3, 4, 5, 6, 7, 11, 14)


@pytest.fixture
def server(monkeypatch):
    with serve() as running:
        monkeypatch.setattr(tcia, "SERVICES", (f"{running.url}/nbia-api/services/v4",))
        yield running
    tcia.list_series.cache_clear()


def publish(server, tmp_path, cases: dict[str, np.ndarray], direction=LAI) -> None:
    """Serve scans as The Cancer Imaging Archive does."""
    listed = []
    for number, (case, array) in enumerate(cases.items(), start=1):
        folder, series = tmp_path / f"s{case}", str(number)
        write_slices(folder, array, grid(direction, array.shape), series)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        sums = [f"{name},{hashlib.md5(content).hexdigest()}" for name, content in files.items()]
        files["md5hashes.csv"] = "\n".join(["FileName,MD5Hash", *sums]).encode()
        files["LICENSE"] = b"CC BY 3.0"
        server.add(
            f"/nbia-api/services/v4/getImageWithMD5Hash?SeriesInstanceUID={UID.format(series)}",
            content=packed(files, "zip"),
            etag=None,
        )
        patient = {"PatientID": f"PANCREAS_{case}", "Modality": "CT"}
        listed.append(patient | {"SeriesInstanceUID": UID.format(series), "ImageCount": len(array)})
    server.add(
        "/nbia-api/services/v4/getSeries?Collection=Pancreas-CT&format=json",
        content=json.dumps(listed).encode(),
        headers={"Content-Type": "application/json"},
    )


def label_archives(tmp_path, multi: dict, binary: dict, table: str, direction=LAI) -> dict:
    """Label maps as published, with an origin that is not their scans'."""

    def files(folder, arrays):
        return {
            f"{folder}/label{case}.nii.gz": nifti(
                array, Grid(array.shape, SPACING, (0.0, 0.0, 0.0), direction), tmp_path / "n"
            )
            for case, array in arrays.items()
        }

    return {
        "TCIA_pancreas_labels-02-05-2017-1.zip": packed(
            files("TCIA_pancreas_labels-02-05-2017", binary), "zip"
        ),
        "label_tciapancreasct_multiorgan.tar.gz": packed(
            files("label_tcia_multiorgan", multi), "gz"
        ),
        "cropping.csv": (CROP + table).encode(),
    }


def organs() -> np.ndarray:
    """In the collection's order: z to the feet. Labels in slices 1 to 3, counted from the feet."""
    array = np.zeros(SHAPE, np.uint8)
    array[2:5, 1:4, 1] = np.array([*ORGANS, 0]).reshape(3, 3)
    return array


def test_the_sheet():
    data = dataset("tcia-pancreas")
    assert [len(data.split(split)) for split in ("train", "val", "test")] == [29, 13, 37]
    assert not {"0025", "0070"} & set(data.ids)
    kinds = {
        split: {row["labels"] for row in data.cases if row["split"] == split}
        for split in data.splits
    }
    assert kinds == {"train": {"multi-organ"}, "val": {"multi-organ"}, "test": {"pancreas"}}
    assert data.files_of("0001")["images"]["file"] == "PANCREAS_0001.zip"


def test_scans_and_labels_of_both_kinds(server, tmp_path):
    """0002: cut to x 1 to 2 from the right, y 1 to 3 from the front, z 1 to 3 from the feet."""
    publish(server, tmp_path, {"0001": scan(1), "0002": scan(2)})
    pancreas = (organs() == 11).astype(np.uint8)
    table = "1,Synapse,BTCV,2,0,1,0,1,0,1\n41,TCIA,Pancreas-CT,2,1,4,1,3,1,4\n"
    archives = label_archives(tmp_path, {"0002": organs()}, {"0001": pancreas}, table)
    data = served("tcia-pancreas", server, archives)
    folder = road(data, ["0002", "0001"], tmp_path)
    case = read_case(folder / "0002")
    # y to the front: 1 to 3 from the front are 1 to 3 of 0 to 4 from the back too; z to the feet:
    # 1 to 3 from the feet are 2 to 4 of 0 to 5.
    np.testing.assert_array_equal(case.image.array, scan(2)[2:5, 1:4, 1:3])
    np.testing.assert_array_equal(case.labels.array, organs()[2:5, 1:4, 1:3])
    first = grid().index_to_physical(np.array([2, 1, 1]))
    np.testing.assert_allclose(case.grid.index_to_physical(np.zeros(3)), first, atol=1e-5)
    record = json.loads((folder / "0002/record.json").read_text())
    assert record["orientation"] == "LAI"
    assert record["annotated"] == list(ORGANS)
    assert record["crop"]["slices_counted_from"] == "the feet"
    assert (record["crop"]["start"], record["crop"]["stop"]) == ([1, 1, 2], [3, 4, 5])
    assert record["label_map_moved_mm"] == pytest.approx(np.linalg.norm(ORIGIN), abs=0.01)
    other = read_case(folder / "0001")
    np.testing.assert_array_equal(other.image.array, scan(1))
    np.testing.assert_array_equal(other.labels.array, 11 * pancreas)
    record = json.loads((folder / "0001/record.json").read_text())
    assert record["annotated"] == [11]
    assert "crop" not in record
    turned = orient(other)
    np.testing.assert_array_equal(turned.image.array, scan(1)[::-1, ::-1])
    np.testing.assert_array_equal(turned.labels.array, 11 * pancreas[::-1, ::-1])
    lists = [path for path, _ in server.requests if "getSeries" in path]
    assert len(lists) == 1


def test_label_maps_are_turned_as_their_headers_say(server, tmp_path):
    """The label map's file runs to the right, back and head, its scan's to left, front and feet."""
    publish(server, tmp_path, {"0001": scan(1)})
    pancreas = (organs() == 11).astype(np.uint8)
    direction = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    turned = np.ascontiguousarray(pancreas[::-1, ::-1, ::-1])
    archives = label_archives(tmp_path, {}, {"0001": turned}, "", direction)
    folder = road(served("tcia-pancreas", server, archives), ["0001"], tmp_path)
    np.testing.assert_array_equal(read_case(folder / "0001").labels.array, 11 * pancreas)


def test_a_label_map_of_another_size(server, tmp_path):
    publish(server, tmp_path, {"0001": scan(1)})
    archives = label_archives(tmp_path, {}, {"0001": np.ones((7, 5, 4), np.uint8)}, "")
    data = served("tcia-pancreas", server, archives)
    assert "does not lie on its image's grid" in refusal(road, data, ["0001"], tmp_path)


def test_what_is_not_there(server, tmp_path):
    publish(server, tmp_path, {"0001": scan(1), "0002": scan(2)})
    archives = label_archives(tmp_path, {"0002": organs()}, {}, "")
    data = served("tcia-pancreas", server, archives)
    text = refusal(road, data, ["0002", "0001"], tmp_path)
    assert "The table of crops lacks the case '0002'" in text
    assert "no label map (pancreas) of the case '0001'" in text
    unknown = {**data.row("0001"), "labels": "multiorgan"}
    told = files_of(per_case=data.spec["per_case"], per_case_folder=str(tmp_path / "files"))
    locate = formats.get("tcia_pancreas").locate
    text = refusal(locate, tmp_path / "unpacked", told, unknown)
    assert "Did you mean 'multi-organ'?" in text
    assert locate(tmp_path / "unpacked", told, {**unknown, "labels": ""}).labels is None


def test_series_that_lie_unpacked_in_a_folder(tmp_path):
    """As a manifest's download leaves them: a folder for patient, study and series."""
    write_slices(tmp_path / "Pancreas-CT/PANCREAS_0001/study/series", scan(), grid())
    found = formats.get("tcia_pancreas").locate(
        tmp_path, files_of(), {"case": "0001", "labels": ""}
    )
    image, landmarks = found.read()
    np.testing.assert_array_equal(image.array, scan())
    assert landmarks is None
