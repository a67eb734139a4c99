"""MetaImage files that are not what their headers say."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from warpline.errors import WarplineError
from warpline.images.files import read_image, write_image
from warpline.images.grid import Grid, Image
from warpline.images.metaimage import check_complete

SHAPE = (5, 6, 7)
ARRAY = np.random.default_rng(0).integers(-1000, 3000, SHAPE).astype("<i2")
RAW = ARRAY.tobytes()
HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "ElementSpacing": "1 2 3",
    "DimSize": "7 6 5",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "scan.raw",
}


def store(folder: Path, data: bytes | None = RAW, name: str = "scan.mhd", **changes) -> Path:
    """Write a file whose header can be given otherwise; a value of None leaves a key out."""
    values = {key: value for key, value in (HEADER | changes).items() if value is not None}
    if "ElementDataFile" in values:  # the data, or the file's end, follow it
        values["ElementDataFile"] = values.pop("ElementDataFile")
    text = "".join(f"{key} = {value}\n" for key, value in values.items()).encode()
    path = folder / name
    if values.get("ElementDataFile") == "LOCAL":
        path.write_bytes(text + data)
        return path
    path.write_bytes(text)
    if data is not None:
        (folder / values.get("ElementDataFile", "scan.raw")).write_bytes(data)
    return path


def packed(data: bytes = RAW, compress=zlib.compress) -> dict:
    content = compress(data)
    return {
        "data": content,
        "CompressedData": "True",
        "CompressedDataSize": str(len(content)),
    }


WHOLE = {
    "plain": {},
    "compressed": packed(),
    "compressed, of unsaid size": packed() | {"CompressedDataSize": None},
    "gzip": packed(compress=gzip.compress),
    "local": {"ElementDataFile": "LOCAL", "name": "scan.mha"},
    "local compressed": packed() | {"ElementDataFile": "LOCAL", "name": "scan.mha"},
    "after a foreign header": {"HeaderSize": "9", "data": b"nine byte" + RAW},
    "the last bytes": {"HeaderSize": "-1", "data": b"a foreign header" + RAW},
    "without optional keys": {"BinaryData": None, "CompressedData": None},
}


@pytest.mark.parametrize("changes", WHOLE.values(), ids=WHOLE)
def test_whole_files_are_read(tmp_path, changes):
    path = store(tmp_path, **changes)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, ARRAY)
    assert image.grid.spacing == (1, 2, 3)


def test_other_element_types(tmp_path):
    image = Image(np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32), Grid(SHAPE))
    write_image(tmp_path / "vectors.mha", image)
    np.testing.assert_array_equal(read_image(tmp_path / "vectors.mha").array, image.array)


PLAIN = WHOLE["plain"]
WRONG = {
    "no data file": (PLAIN | {"data": None}, "its data file 'scan.raw' does not exist"),
    "empty": (PLAIN | {"data": b""}, "holds 0 bytes of 420"),
    "a byte short": (PLAIN | {"data": RAW[:-1]}, "'scan.raw' holds 419 bytes of 420"),
    "a byte long": (PLAIN | {"data": RAW + b"0"}, "more than the 420 bytes"),
    "another type": ({"ElementType": "MET_FLOAT"}, "holds 420 bytes of 840"),
    "channels": ({"ElementNumberOfChannels": "2"}, "holds 420 bytes of 840"),
    "another size": ({"DimSize": "7 6 4"}, "more than the 336 bytes"),
    "short at the end": ({"HeaderSize": "-1", "data": RAW[:-1]}, "holds 419 bytes of 420"),
    "short after a header": ({"HeaderSize": "9", "data": RAW}, "holds 411 bytes of 420"),
    "local, short": (WHOLE["local"] | {"data": RAW[:-1]}, "'scan.mha' holds 419 bytes of 420"),
    "no type": ({"ElementType": None}, "not that of a MetaImage: 'ElementType'"),
    "no size": ({"DimSize": "many"}, "not that of a MetaImage"),
    "no data key": ({"ElementDataFile": None}, "no ElementDataFile"),
    "empty data key": ({"ElementDataFile": "", "data": None}, "no ElementDataFile"),
    "compressed, cut": (packed() | {"data": zlib.compress(RAW)[:-50]}, "ends before"),
    "compressed, without its checksum": (packed() | {"data": zlib.compress(RAW)[:-4]}, "ends bef"),
    "compressed, damaged": (packed() | {"data": b"??" + zlib.compress(RAW)[2:]}, "decompressing"),
    "compressed, of too small a size": (packed() | {"CompressedDataSize": "400"}, "ends before"),
    "compressed, too little": (packed(RAW[:-2]), "holds 418 bytes of 420"),
    "compressed, too much": (packed(RAW + b"00"), "more than the 420 bytes"),
}


@pytest.mark.parametrize(("changes", "match"), WRONG.values(), ids=WRONG)
def test_what_is_not_whole_is_refused_with_its_reason(tmp_path, changes, match):
    path = store(tmp_path, **changes)
    with pytest.raises(WarplineError) as error:
        read_image(path)
    assert match in error.value.what
    assert error.value.where == path


def test_compressed_data_that_no_memory_holds_are_not_unpacked(tmp_path, monkeypatch):
    """Zeros within zeros: what a small archive brings may unpack to any size."""
    path = store(tmp_path, **packed())
    read_image(path)
    monkeypatch.setattr("warpline.images.memory.memory", lambda: len(RAW) - 1)
    monkeypatch.setattr("warpline.images.metaimage._unpacked_size", None)
    with pytest.raises(WarplineError, match="GiB of memory for it"):
        read_image(path)


def test_damage_in_the_middle_of_compressed_data(tmp_path):
    """Without the checksum at the stream's end, this might be read as other voxels."""
    content = bytearray(zlib.compress(RAW, level=0))  # level 0: the voxels as they are
    content[100] ^= 1
    with pytest.raises(WarplineError, match="incorrect data check"):
        read_image(store(tmp_path, bytes(content), CompressedData="True"))


def parts(folder: Path, number: int = 5, changed: dict[int, bytes] | None = None) -> None:
    for k in range(number):
        content = ARRAY[k].tobytes()
        (folder / f"scan{k}.raw").write_bytes((changed or {}).get(k, content))


LISTS = ["LIST\n" + "\n".join(f"scan{k}.raw" for k in range(5)), "scan%d.raw 0 4 1"]


@pytest.mark.parametrize("files", LISTS)
def test_data_in_several_files(tmp_path, files):
    path = store(tmp_path, None, ElementDataFile=files)
    parts(tmp_path)
    np.testing.assert_array_equal(read_image(path).array, ARRAY)
    for problem in (lambda: parts(tmp_path, changed={2: b"123"}), (tmp_path / "scan4.raw").unlink):
        parts(tmp_path)
        problem()
        with pytest.raises(WarplineError, match=r"scan2.raw' holds 3 bytes of 84|does not exist"):
            read_image(path)


def test_a_list_without_its_last_name_is_refused(tmp_path):
    """ITK leaves in the last slice what was in the memory."""
    parts(tmp_path)
    path = store(tmp_path, None, ElementDataFile=LISTS[0].rpartition("\n")[0])
    with pytest.raises(WarplineError, match=r"'scan0\.raw' holds 84 bytes of 105"):
        read_image(path)


def test_text_is_refused(tmp_path):
    with pytest.raises(OSError, match="text"):
        check_complete(store(tmp_path, b"1 2 3", BinaryData="False"))


@pytest.mark.parametrize("key", ["Offset", "ElementSpacing"])
@pytest.mark.parametrize("value", ["nan 0 0", "1 inf 1", "1 one 1"])
def test_geometry_that_is_no_number_is_refused(tmp_path, key, value):
    """ITK takes 0 for it, and where it may not be 0, 1."""
    with pytest.raises(WarplineError, match="not that of a MetaImage"):
        read_image(store(tmp_path, **{key: value}))


@pytest.mark.parametrize("name", ["scan.MHD", "scan.Mhd", "scan.MHA"])
def test_names_in_capitals(tmp_path, name):
    local = {"ElementDataFile": "LOCAL"} if name.endswith("A") else {"ElementDataFile": "Some.RAW"}
    path = store(tmp_path, name=name, **local)
    np.testing.assert_array_equal(read_image(path).array, ARRAY)
    data = path if name.endswith("A") else tmp_path / "Some.RAW"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(WarplineError, match="419 bytes of 420"):
        read_image(path)
