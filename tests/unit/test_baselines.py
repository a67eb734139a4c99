"""The baselines recover a known deformation, repeat themselves to the bit, and say what failed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fieldtools import smooth_field, smooth_image

from warpline.cases.case import Case, read_case, write_case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.plan.catalog import Catalog
from warpline.registration import align, baselines
from warpline.registration.baselines.affine import _matrix_of_field, prealign
from warpline.registration.initial import resample_moving

pytestmark = pytest.mark.tool("elastix")

ROOT = Path(__file__).parents[2]
# An oblique frame and a spacing along z of its own: a slip of convention shows.
GRID = Grid(
    (26, 32, 32),
    (1.5, 1.5, 2.0),
    (-20.0, 10.0, 5.0),
    (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
)
QUICK = {
    "affine": {"aff_iterations": [200, 100, 50], "aff_shrink_factors": [4, 2, 1]}
    | {"aff_smoothing_sigmas": [2, 1, 0]},
    "syn": {"type_of_transform": "SyNOnly", "reg_iterations": [20, 10]},
    "elastix": {
        "files": [ROOT / "config/methods/elastix-bspline.txt"],
        "MaximumNumberOfIterations": 40,
        "NumberOfSpatialSamples": 1000,
        "NumberOfResolutions": 2,
        "ImagePyramidSchedule": [2, 2, 2, 1, 1, 1],
        "GridSpacingSchedule": [2, 1],
        "FinalGridSpacingInPhysicalUnits": 12,
    },
}


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    torch.set_num_threads(1)
    return folder


def blob(grid: Grid = GRID) -> Image:
    """A textured ellipsoid on an empty background."""
    z, y, x = np.moveaxis(grid.indices() / (np.array(grid.shape) - 1) * 2 - 1, -1, 0)
    shape = 1 / (1 + np.exp(12 * (np.sqrt(z**2 / 0.4 + y**2 / 0.3 + x**2 / 0.5) - 1)))
    return Image((shape * (3 + smooth_image(grid).array)).astype(np.float32), grid)


@pytest.fixture(scope="module")
def pair() -> tuple[Case, Case]:
    """A moving image and, as the fixed one, itself after a small deformation."""
    moving = blob()
    field = smooth_field(GRID, amplitude=2.0, sigma=6.0)
    return Case("one", field.warp_image(moving)), Case("two", moving)


def run(kind: str, pair, parameters=None, seed=0) -> DisplacementField:
    # Two threads: what elastix' own `number_of_threads` would not survive.
    return baselines.get(kind)(*pair, parameters or QUICK[kind], threads=2, seed=seed)


@pytest.mark.parametrize("kind", ["affine", "syn"])
@pytest.mark.parametrize("zero", [-1000.0, None])
def test_ants_begins_at_the_bodies_whatever_number_air_has(kind, zero):
    """Of z-scores (None), whose sum is 0, a centre of mass would lie nowhere."""
    image = blob()
    away = np.array([30.0, -20.0, 15.0])
    first = GRID.origin + away + GRID.index_to_physical(np.array([0, 0, 5])) - GRID.origin
    part = replace(GRID, shape=(26, 32, 27), origin=tuple(map(float, first)))
    values = image.array + (-image.array.mean() if zero is None else zero)
    fixed = Case("fixed", Image(values, GRID))
    moving = Case("moving", Image(np.ascontiguousarray(values[:, :, 5:]), part))
    options = {"affine": QUICK["affine"], "syn": {"reg_iterations": [5, 0]}}[kind]
    inside = image.array > 1
    found = run(kind, (fixed, moving), options).vectors[inside]
    np.testing.assert_allclose(found.mean(axis=0), away, atol=0.5)


def test_elastix_takes_a_pair_of_two_types(pair):
    fixed, moving = pair
    counts = [np.round(case.image.array * 100) for case in pair]
    whole, mixed = (
        run(
            "elastix", (replace(fixed, image=Image(a, GRID)), replace(moving, image=Image(b, GRID)))
        )
        for a, b in (
            [values.astype(np.float32) for values in counts],
            [counts[0].astype(np.int16), counts[1].astype(np.float32)],
        )
    )
    np.testing.assert_array_equal(whole.vectors, mixed.vectors)


def mismatch(field: DisplacementField, pair) -> float:
    fixed, moving = pair
    difference = field.warp_image(moving.image).array - fixed.image.array
    return float(np.square(difference).mean())


def turned(angle=0.1) -> np.ndarray:
    """A rotation about the middle of the grid, and a shift."""
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    centre = GRID.index_to_physical((np.array(GRID.shape) - 1) / 2)
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + [3.0, -2.0, 1.0]
    return matrix


@pytest.mark.parametrize("kind", ["affine", "syn", "elastix"])
def test_registers_and_repeats_itself(kind, pair, own_temporary_folder):
    if kind == "affine":
        field = DisplacementField.from_matrix(turned(), GRID)
        pair = Case("one", field.warp_image(pair[1].image)), pair[1]
    field, again = run(kind, pair), run(kind, pair)
    assert field.grid == GRID
    np.testing.assert_array_equal(field.vectors, again.vectors)
    unregistered = mismatch(DisplacementField.identity(GRID), pair)
    assert mismatch(field, pair) < 0.5 * unregistered
    assert not list(own_temporary_folder.iterdir())


def test_identity(pair):
    field = baselines.get("identity")(*pair, {}, threads=1, seed=0)
    assert not field.vectors.any()
    assert field.grid == GRID
    with pytest.raises(WarplineError, match="takes no parameters"):
        baselines.get("identity")(*pair, {"weight": 1}, threads=1, seed=0)


def test_unknown_kinds_and_parameters_name_the_nearest(pair):
    with pytest.raises(WarplineError, match="Did you mean 'affine'"):
        baselines.get("afine")
    with pytest.raises(WarplineError, match="Did you mean 'reg_iterations'"):
        run("syn", pair, {"reg_iteration": [1]})
    with pytest.raises(WarplineError, match="no parameter 'random_seed'"):
        run("syn", pair, {"random_seed": 1})


def test_errors_of_the_tools_name_the_pair(pair, tmp_path):
    with pytest.raises(WarplineError, match=r"ANTs failed(.|\n)*fixed one, moving two"):
        run("syn", pair, {"type_of_transform": "SyNN"})
    with pytest.raises(WarplineError, match="at least one parameter file"):
        run("elastix", pair, {"masked": True})
    with pytest.raises(WarplineError, match="does not exist"):
        run("elastix", pair, {"files": [tmp_path / "none.txt"]})
    with pytest.raises(WarplineError, match=r"(?s)elastix failed.*fixed one, moving two.*Metricc"):
        run("elastix", pair, QUICK["elastix"] | {"Metric": ["Metricc", "Metricc"]})
    broken = pair[0].image.array.copy()
    broken[0, 0, 0] = np.nan
    for kind in ("syn", "elastix"):
        with pytest.raises(WarplineError, match=r"not finite(.|\n)*fixed one"):
            run(kind, (Case("one", Image(broken, GRID)), pair[1]))


@pytest.mark.parametrize("kind", ["affine", "elastix"])
def test_masks_are_used(kind, pair):
    inside = pair[0].image.array > 0.5
    masked = [Case(c.id, c.image, mask=Image(inside, GRID)) for c in pair]
    free, bound = run(kind, pair), run(kind, masked)
    assert not np.array_equal(free.vectors, bound.vectors)
    ignored = run(kind, masked, QUICK[kind] | {"masked": False})
    np.testing.assert_array_equal(free.vectors, ignored.vectors)


def test_a_b_spline_does_not_start_blind():
    """Images 35 mm apart: the B-spline alone is lost; after the stage that its file names not."""
    spec = Catalog({"scale": "demo"}, ROOT).method("elastix-bspline")
    grid = Grid((24, 30, 36), (4.0, 4.0, 4.0))
    fixed = Case("one", blob(grid))
    away = np.eye(4)
    away[:3, 3] = (35.0, 0.0, 0.0)
    moving = Image(fixed.image.array, replace(grid, origin=(35.0, 0.0, 0.0)))
    options = {"files": [ROOT / path for path in spec["parameter_files"]]}
    options |= {"MaximumNumberOfIterations": 30, "NumberOfSpatialSamples": 1000}

    def error(field: DisplacementField) -> float:
        body = fixed.image.array > 0.5
        return float(np.linalg.norm(field.vectors[body] - away[:3, 3], axis=-1).mean())

    blind = run("elastix", (fixed, Case("two", moving)), options)
    first = run(spec["initial"], (fixed, Case("two", moving)), QUICK["affine"])
    moved = resample_moving(Case("two", moving), first)
    found = first.compose(run("elastix", (fixed, moved), options))
    assert error(blind) > 10
    assert error(found) < 1


def test_the_mask_of_the_fixed_case_alone(pair):
    inside = Image(pair[0].image.array > 0.5, GRID)
    fixed, moving = (Case(case.id, case.image, mask=inside) for case in pair)
    options = QUICK["elastix"] | {"MaximumNumberOfIterations": 10}
    alone = run("elastix", (fixed, moving), options | {"masked": "fixed"})
    np.testing.assert_array_equal(
        alone.vectors, run("elastix", (fixed, Case("two", moving.image)), options).vectors
    )
    assert not np.array_equal(alone.vectors, run("elastix", (fixed, moving), options).vectors)


def test_prealignment_finds_a_known_map():
    # moving(known(x)) = reference(x): the moving image samples the reference at the inverse.
    reference, known = blob(), turned()
    grid = Grid((30, 40, 40), (1.4, 1.4, 1.8), tuple(np.array(GRID.origin) - 3), GRID.direction)
    moving = DisplacementField.from_matrix(np.linalg.inv(known), grid).warp_image(reference)
    matrix = prealign(moving, reference)
    index = np.array([[8, 10, 10], [18, 10, 20], [8, 22, 20], [18, 22, 10]])
    points = np.c_[GRID.index_to_physical(index), np.ones(4)]
    error = np.linalg.norm(points @ (matrix - known).T, axis=1)
    assert np.linalg.norm(points @ (np.eye(4) - known).T, axis=1).max() > 3
    assert error.max() < 1.0


ELASTIX_AFFINE = ROOT / "config/methods/hu2020-affine.txt"


def test_prealignment_by_elastix_finds_a_known_map():
    reference, known = blob(), turned()
    grid = Grid((30, 40, 40), (1.4, 1.4, 1.8), tuple(np.array(GRID.origin) - 3), GRID.direction)
    moving = DisplacementField.from_matrix(np.linalg.inv(known), grid).warp_image(reference)
    options = {
        "tool": "elastix",
        "parameter_files": [ELASTIX_AFFINE],
        "parameters": {"MaximumNumberOfIterations": 60, "MaximumStepLength": 0.5},
    }
    matrix = prealign(moving, reference, **options)
    index = np.array([[8, 10, 10], [18, 10, 20], [8, 22, 20], [18, 22, 10]])
    points = np.c_[GRID.index_to_physical(index), np.ones(4)]
    error = np.linalg.norm(points @ (matrix - known).T, axis=1)
    assert error.max() < 1.0


def test_the_matrix_of_a_field_is_exact_and_of_no_other_transform():
    known = turned()
    known[:3, 3] += [300.0, -40.0, 7.5]  # frames of two scanners
    field = DisplacementField.from_matrix(known, GRID)
    corners = np.c_[GRID.index_to_physical(np.array([[0, 0, 0], [25, 31, 31.0]])), np.ones(2)]
    found = _matrix_of_field(field, "two")
    np.testing.assert_allclose(corners @ found.T, corners @ known.T, atol=1e-3)
    bent = DisplacementField(field.vectors + smooth_field(GRID).vectors, GRID)
    with pytest.raises(WarplineError, match="alignment of 'two' is not affine") as error:
        _matrix_of_field(bent, "two")
    assert "prealign.parameter_files" in error.value.where


def test_aligned_cases_share_a_grid_about_the_reference_s_mask(tmp_path, monkeypatch, capsys):
    known, image = turned(), blob()
    mask = np.zeros(GRID.shape, np.uint8)
    mask[8:18, 10:20, 12:26] = 1
    points = GRID.index_to_physical(np.array([[12.0, 14, 18], [2.0, 14, 18]]))
    table = pd.DataFrame(points, columns=["x", "y", "z"]).assign(id=["in", "out"])
    reference = Case("one", image, mask=Image(mask, GRID), landmarks=table)
    # Another patient, all of whose points lie where `known` takes the reference's.
    moving = DisplacementField.from_matrix(np.linalg.inv(known), GRID).warp_image(image)
    carried = table.assign(
        **dict(zip("xyz", (points @ known[:3, :3].T + known[:3, 3]).T, strict=True))
    )
    other = Case("two", moving, landmarks=carried)
    for case in (reference, other):
        write_case(tmp_path / "prepared" / case.id, case)
    found = {"one": np.eye(4), "two": known}
    monkeypatch.setattr(align, "prealign", lambda *_, names, **__: found[names[0]])
    setting = {"tool": "elastix", "transform": "Affine", "reference": "one", "seed": 0}
    setting |= {"shape": [16, 16, 16], "parameters": {}}
    folder = str(tmp_path / "prepared")
    alignment = align.Alignment.of(setting)
    align.align_batch(folder, ["one", "two"], folder, alignment, ["a.txt"], tmp_path / "aligned")
    first, second = (read_case(tmp_path / "aligned" / name) for name in ("one", "two"))
    assert first.grid.close_to(second.grid)
    assert first.grid.shape == (16, 16, 16)
    # About the middle of the mask: 8 to 17, 10 to 19, 12 to 25.
    start = GRID.physical_to_index(np.array(first.grid.origin))
    np.testing.assert_allclose(start, [5, 7, 11], atol=1e-6)
    np.testing.assert_array_equal(first.image.array, image.array[5:21, 7:23, 11:27])
    # Twice interpolated, so alike, and the landmark is at the reference's place.
    inside = (slice(3, -3),) * 3
    assert (
        np.corrcoef(first.image.array[inside].ravel(), second.image.array[inside].ravel())[0, 1]
        > 0.9
    )
    for case in (first, second):
        assert list(case.landmarks["id"]) == ["in"]
        np.testing.assert_allclose(case.landmarks[["x", "y", "z"]], points[:1], atol=1e-4)
    assert "two: landmarks outside the crop are left out: out" in capsys.readouterr().out
