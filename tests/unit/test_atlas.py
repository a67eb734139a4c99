"""The atlas: chosen by its medians, copied, never registered to itself; pairs through it."""

import json

import numpy as np
import pytest
import torch

from warpline.cases.atlas import atlas_source, make_atlas, nearest_median, without_self
from warpline.cases.case import Case, read_case, write_case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.networks import Prediction, RegistrationNetwork
from warpline.plan.pairs import ATLAS
from warpline.registration.through_atlas import predict_through_atlas

torch.set_num_threads(1)


def test_nearest_median_by_hand():
    # Medians 3 and 20; the deviations' medians are 1 and 10.
    cases = {"a": (1, 10), "b": (2, 20), "c": (3, 50), "d": (4, 20), "e": (90, 10)}
    # a: 2 + 1, b: 1 + 0, c: 0 + 3, d: 1 + 0 (later than b), e: 87 + 1
    assert nearest_median(cases) == "b"
    assert nearest_median({"a": (1, 5), "b": (1, 5)}) == "a"


def test_neither_units_nor_outliers_matter():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 2))
    cases = {str(i): tuple(v) for i, v in enumerate(values)}
    scaled = {str(i): (1000 * v[0] + 7, v[1]) for i, v in enumerate(values)}
    assert nearest_median(cases) == nearest_median(scaled)


def case_of(folder, name: str, size: int, bright: float):
    array = np.zeros((8, 8, 8), np.float32)
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[:size] = 1
    array[labels > 0] = bright
    grid = Grid((8, 8, 8))
    write_case(folder / name, Case(name, Image(array, grid), Image(labels, grid)))
    return folder / name


def test_the_atlas_is_a_copy_of_the_middle_case(tmp_path):
    folders = {f"c{n}": case_of(tmp_path, f"c{n}", n, 1.0) for n in (1, 2, 3, 4, 7)}
    assert make_atlas(folders, tmp_path / "made") == "c3"
    copy = read_case(tmp_path / "made" / ATLAS)
    original = read_case(folders["c3"])
    assert copy.id == ATLAS
    np.testing.assert_array_equal(copy.image.array, original.image.array)
    np.testing.assert_array_equal(copy.labels.array, original.labels.array)
    assert atlas_source(tmp_path / "made" / ATLAS) == "c3"
    assert json.loads((tmp_path / "made" / ATLAS / "atlas.json").read_text())["candidates"] == 5


def test_an_explored_case_is_measured_as_the_scanner_saw_it(tmp_path):
    folders = {f"c{n}": case_of(tmp_path, f"c{n}", n, 1.0) for n in (1, 2, 3)}
    for name, volume in (("c1", 5000.0), ("c2", 6000.0), ("c3", 4000.0)):
        rows = [
            {"stage": "before", "name": "lung_volume", "value": volume},
            {"stage": "before", "name": "frobenius", "value": 1.0},
            {"stage": "prepared", "name": "norm", "value": 8.0},
        ]
        (folders[name] / "exploration.json").write_text(json.dumps(rows))
    assert make_atlas(folders, tmp_path / "made") == "c1"


def test_a_single_candidate_is_the_atlas(tmp_path):
    assert make_atlas({"x": case_of(tmp_path, "x", 2, 1.0)}, tmp_path / "made") == "x"


def test_the_atlas_is_not_registered_to_itself(tmp_path):
    make_atlas({"x": case_of(tmp_path, "x", 2, 1.0)}, tmp_path / "made")
    folders = {ATLAS: tmp_path / "made" / ATLAS}
    assert without_self([(ATLAS, "w"), (ATLAS, "x")], folders) == [(ATLAS, "w")]
    assert without_self([("w", "x")], {}) == [("w", "x")]
    with pytest.raises(WarplineError, match="only case") as error:
        without_self([(ATLAS, "x")], folders)
    assert "atlas.case" in str(error.value)


def test_a_folder_that_is_no_atlas_is_named(tmp_path):
    with pytest.raises(WarplineError, match="no atlas") as error:
        atlas_source(tmp_path)
    assert str(tmp_path) in str(error.value)


class Shift(RegistrationNetwork):
    """Moves every case to the atlas by the whole number of voxels that its image holds."""

    def predict_directions(self, moving, fixed, backward=True):
        amount = moving.reshape(-1)[0]
        field = torch.zeros(1, 3, *moving.shape[2:])
        field[:, 0], field[:, 2] = amount, -2 * amount
        return Prediction([field]), None


def constant_case(name: str, value: float, grid: Grid) -> Case:
    return Case(name, Image(np.full(grid.shape, value, np.float32), grid))


def test_through_the_atlas_in_oblique_frames_far_apart():
    """φ_T: i → i + t, φ_S: i → i + s (indices); through the atlas: i → i − t + s."""
    turn = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    atlas = constant_case(ATLAS, 0, Grid((9, 9, 9), (1, 1, 1), (5, 0, 0)))
    fixed = constant_case("t", 1, Grid((9, 9, 9), (2, 1, 3), (500, -80, 7), turn))
    moving = constant_case("s", 3, Grid((9, 9, 9), (0.5, 1, 1), (0, 900, 0)))
    field = predict_through_atlas(Shift(), fixed, moving, atlas)
    assert field.grid == fixed.grid
    index = np.array([[4, 4, 6], [3, 5, 5]])
    expected = moving.grid.index_to_physical(index + np.array([2, 0, -4]))
    mapped = fixed.grid.index_to_physical(index) + field.vectors[tuple(index.T)]
    np.testing.assert_allclose(mapped, expected, atol=1e-3)


def test_a_case_through_the_atlas_onto_itself_is_the_identity():
    grid = Grid((12, 12, 12), (1.0, 2.0, 1.5))
    rng = np.random.default_rng(1)

    class Wave(RegistrationNetwork):
        def predict_directions(self, moving, fixed, backward=True):
            z = torch.arange(12.0)
            field = torch.zeros(1, 3, 12, 12, 12)
            field[:, 1] = 0.8 * torch.sin(z / 2)[:, None, None]
            return Prediction([field]), None

    case = Case("a", Image(rng.random(grid.shape).astype(np.float32), grid))
    field = predict_through_atlas(Wave(), case, case, constant_case(ATLAS, 0, grid))
    inner = (slice(None), slice(2, -2))
    assert isinstance(field, DisplacementField)
    assert np.abs(field.vectors[inner]).max() < 5e-3
