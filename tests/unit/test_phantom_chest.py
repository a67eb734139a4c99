"""The chest phantom: plausible anatomy, the same on every grid, scanned as real scanners do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Grid
from warpline.phantoms.anatomy import chest
from warpline.phantoms.anatomy.chest import anatomy, trunks
from warpline.phantoms.anatomy.chest.maps import SubjectMap, determinant
from warpline.phantoms.anatomy.chest.model import Chest
from warpline.phantoms.anatomy.chest.render import render
from warpline.phantoms.anatomy.chest.trees import mean_trees

SHAPE = (64, 64, 64)
CALM = {"outside": None, "border": None, "couch": False, "noise": 0.0, "threads": 1}
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def subjects() -> list[chest.Scan]:
    return [chest.subject(seed, shape=SHAPE, **CALM) for seed in SEEDS]


@pytest.fixture(scope="module")
def models() -> list[Chest]:
    """The subjects of `subjects`, with their maps."""
    return [Chest.random(np.random.default_rng(seed).spawn(5)[0], 1.0) for seed in SEEDS]


def litres(labels) -> float:
    return float((labels.array > 0).sum() * np.prod(labels.grid.spacing) / 1e6)


def at(scan: chest.Scan, points: np.ndarray, order: int = 1) -> np.ndarray:
    """HU of a scan at physical points."""
    index = scan.image.grid.physical_to_index(np.atleast_2d(points))
    return ndimage.map_coordinates(scan.image.array.astype(float), index.T, order=order)


def fine_box(centre: np.ndarray, size: float = 24.0, spacing: float = 1.0) -> Grid:
    n = int(size / spacing)
    return Grid((n, n, n), (spacing,) * 3, tuple(np.asarray(centre) - (n - 1) / 2 * spacing))


# --- determinism ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes():
    small = {"shape": (32, 32, 32), "outside": -2048, "couch": True}
    first = chest.subject((4, 7), threads=2, **small)
    again = chest.subject((4, 7), threads=1, **small)
    other = chest.subject((4, 8), threads=1, **small)
    np.testing.assert_array_equal(first.image.array, again.image.array)
    np.testing.assert_array_equal(first.lobes.array, again.lobes.array)
    assert first.landmarks.equals(again.landmarks)
    assert (first.lobes.array != other.lobes.array).mean() > 0.01
    assert np.abs(first.image.array.astype(int) - other.image.array).mean() > 20


def test_variation_scales_the_difference_between_subjects(subjects):
    alike = [chest.subject(seed, shape=(32, 32, 32), variation=0, **CALM) for seed in (1, 2)]
    np.testing.assert_array_equal(alike[0].lobes.array, alike[1].lobes.array)
    np.testing.assert_allclose(
        alike[0].landmarks[["x", "y", "z"]], alike[1].landmarks[["x", "y", "z"]]
    )
    a, b = (s.landmarks.set_index("id") for s in subjects[:2])
    both = a.index.intersection(b.index)
    distance = np.linalg.norm(a.loc[both].to_numpy() - b.loc[both].to_numpy(), axis=1)
    assert 5 < distance.mean() < 40


# --- one anatomy on any grid ----------------------------------------------------------------------


def oblique_grid() -> Grid:
    angle = 0.3
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]]
    )
    shape, spacing = (56, 70, 76), (6.0, 5.0, 7.0)
    middle = turn @ (np.array(shape[::-1]) * np.array(spacing) / 2)
    origin = np.array([0, 8, -33]) - middle
    return Grid(shape, spacing, tuple(origin), tuple(turn.ravel()))


def test_two_grids_sample_the_same_anatomy(subjects):
    one = subjects[0]
    other = chest.subject(SEEDS[0], grid=oblique_grid(), **CALM)
    assert litres(other.lungs) == pytest.approx(litres(one.lungs), rel=0.02)
    a, b = one.landmarks.set_index("id"), other.landmarks.set_index("id")
    both = a.index.intersection(b.index)
    assert len(both) > 0.95 * len(a)
    np.testing.assert_allclose(a.loc[both], b.loc[both], atol=1e-6)
    # A grid of every second voxel sees the very labels of the fine one.
    grid = one.lobes.grid
    every = Grid((32, 32, 32), tuple(2 * s for s in grid.spacing), grid.origin, grid.direction)
    coarse = chest.subject(SEEDS[0], grid=every, **CALM)
    same = coarse.lobes.array == one.lobes.array[::2, ::2, ::2]
    assert same.mean() > 0.9995


def test_a_mirrored_direction_matrix_gives_the_mirrored_array(subjects):
    grid = subjects[0].image.grid
    far = grid.index_to_physical([0, grid.shape[1] - 1, grid.shape[2] - 1])
    flipped = Grid(grid.shape, grid.spacing, tuple(far), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    turned = chest.subject(SEEDS[0], grid=flipped, **CALM)
    assert (turned.lobes.array[:, ::-1, ::-1] == subjects[0].lobes.array).mean() > 0.9999


def test_thin_structures_fade_on_coarse_grids_and_do_not_vanish():
    """The mean HU of a box in the lung hardly depends on the voxels' size."""
    centre = np.array([-75.0, 20.0, -30.0])
    means = []
    for spacing in (1.0, 2.0, 4.0):
        grid = fine_box(centre, 48.0, spacing)
        scan = chest.subject(0, grid=grid, variation=0, **CALM)
        means.append(scan.image.array.mean())
    assert -880 < means[0] < -600
    assert np.ptp(means) < 30


# --- anatomy --------------------------------------------------------------------------------------


@pytest.mark.long
def test_lungs_have_the_volume_and_the_place_of_lungs(subjects):
    for scan in subjects:
        assert 3 < litres(scan.lungs) < 7
        where = [np.argwhere(scan.lungs.array == side) for side in (1, 2)]
        right, left = (scan.lungs.grid.index_to_physical(w.mean(axis=0)) for w in where)
        assert right[0] < -40
        assert left[0] > 40
        assert len(where[0]) > len(where[1])  # the heart takes its room on the left
        assert ((scan.lobes.array > 0) == (scan.lungs.array > 0)).all()
        assert ((scan.lobes.array > 3) == (scan.lungs.array == 2)).all()
        share = (
            np.bincount(scan.lobes.array.ravel(), minlength=6)[1:] / (scan.lungs.array > 0).sum()
        )
        assert (share > 0.04).all()
        assert (share < 0.35).all()
        # The liver's dome is higher than the left one.
        floor = [w[:, 0].min() for w in where]
        assert max(floor) < scan.lungs.array.shape[0] / 3


@pytest.mark.long
def test_lobes_lie_in_order(subjects):
    for scan in subjects:
        middle = {
            lobe: scan.lobes.grid.index_to_physical(
                np.argwhere(scan.lobes.array == lobe).mean(axis=0)
            )
            for lobe in anatomy.LOBES
        }
        assert middle[anatomy.RUL][2] > middle[anatomy.RML][2]
        assert middle[anatomy.RLL][1] > middle[anatomy.RML][1] + 30
        assert middle[anatomy.LLL][2] < middle[anatomy.LUL][2]


@pytest.mark.long
@pytest.mark.parametrize(
    ("point", "low", "high"),
    [
        ((-75, 15, 25), -910, -780),  # lung
        ((-90, 10, -140), 40, 75),  # liver
        (anatomy.HEART, 25, 60),
        ((0, 12, 50), -1010, -960),  # trachea
        ((24, 36, -5), 30, 50),  # aorta
        ((62, -44, -150), -1000, -900),  # gas in the stomach
        ((0, 73, 9.5), 110, 320),  # marrow of a vertebra
        ((0, 92, -2), 20, 50),  # spinal cord
        ((0, -170, 0), -1000, -1000),  # air before the chest
    ],
)
def test_tissues_have_their_hu(point, low, high):
    mean = Chest.random(np.random.default_rng(0), 0.0)
    hu, _, _ = render(mean, fine_box(point, 5.0), None, couch=False, threads=1)
    assert low <= np.median(hu[1:4, 1:4, 1:4]) <= high


@pytest.mark.long
def test_the_parenchyma_is_denser_at_the_back(subjects):
    for scan in subjects:
        index = np.argwhere(ndimage.binary_erosion(scan.lungs.array > 0, iterations=2))
        y = scan.image.grid.index_to_physical(index)[:, 1]
        hu = scan.image.array[tuple(index.T)]
        front, back = hu[y < np.quantile(y, 0.2)], hu[y > np.quantile(y, 0.8)]
        assert np.quantile(back, 0.25) > np.quantile(front, 0.25) + 10
        assert -900 < np.quantile(hu, 0.25) < -810


# --- trees and landmarks --------------------------------------------------------------------------


def test_trees_branch_and_taper():
    for kind, tree in mean_trees().items():
        assert len(set(tree.ids)) == len(tree.ids)
        child = np.flatnonzero(tree.parent >= 0)
        assert (tree.parent[child] < child).all()
        assert (tree.radius[:, 1] <= tree.radius[:, 0] + 1e-9).all()
        beyond = child[tree.depth[child] > 0]
        assert (tree.radius[beyond, 1] < tree.radius[tree.parent[beyond], 1]).mean() > 0.8
        assert tree.generation.max() >= (5 if kind == "airway" else 8)


def test_trees_stay_in_their_lobes():
    for tree in mean_trees().values():
        deep = np.flatnonzero(tree.depth >= 2)
        points = tuple(tree.position[deep].T)
        distance = anatomy.lung_distance(points, anatomy.InCavity.of(points))
        assert (distance < 0).mean() > 0.97
        names = np.array(["_".join(tree.ids[k].split("_")[1:3]) for k in deep])
        found = np.array([anatomy.LOBES[int(k)] for k in anatomy.lobes(points)])
        assert (names == found).mean() > 0.95


@pytest.mark.long
def test_the_airways_lumen_is_air_from_the_trachea_to_the_fifth_generation(models):
    """One connected lumen at 0.7 mm through trachea, carina and the way to a lobe's branches."""
    model = models[0]
    airway = model.trees["airway"]
    node = airway.ids.index("airway_R_lower_11")
    assert airway.generation[node] >= 5
    way = []
    while node >= 0 and airway.ids[node] != "trachea_3":
        way.append(node)
        node = airway.parent[node]
    nodes = model.from_mean(airway.position[way])
    line = np.concatenate([np.linspace(a, b, 30) for a, b in pairwise(nodes)])
    low, high = line.min(axis=0) - 8, line.max(axis=0) + 8
    spacing = 1.0
    shape = tuple(np.ceil((high - low) / spacing).astype(int)[::-1])
    scan = chest.subject(SEEDS[0], grid=Grid(shape, (spacing,) * 3, tuple(low)), **CALM)
    hu = at(scan, line)
    # The last branches are 4 mm wide: partial volume with their wall.
    assert (hu < -880).mean() > 0.97
    lumen = scan.image.array < -940
    pieces, _ = ndimage.label(lumen, np.ones((3, 3, 3)))
    index = np.rint(scan.image.grid.physical_to_index(line)).astype(int)
    reached = pieces[tuple(index.T)]
    assert (reached == reached[-20]).mean() > 0.9


@pytest.mark.long
def test_vessels_are_blood_in_the_lung(models):
    model = models[0]
    for kind in ("artery", "vein"):
        tree = model.trees[kind]
        node = tree.ids.index(f"{kind}_L_lower")
        point = model.from_mean(tree.position[node])
        scan = chest.subject(SEEDS[0], grid=fine_box(point, 40.0), **CALM)
        assert 25 < at(scan, point)[0] < 55


def test_landmarks_are_many_in_every_lobe_with_ids_that_subjects_share(subjects):
    tables = []
    for scan in subjects:
        table = scan.landmarks.set_index("id")
        assert table.index.is_unique
        index = np.rint(scan.lobes.grid.physical_to_index(table.to_numpy())).astype(int)
        lobe = scan.lobes.array[tuple(index.T)]
        counts = np.bincount(lobe, minlength=6)[1:]
        assert counts.sum() >= 300
        assert counts.min() >= 30
        assert set(chest.HU2020) <= set(table.index)
        assert len(chest.HU2020) == 11
        assert table.loc["airway_R", "x"] < table.loc["carina", "x"] < table.loc["airway_L", "x"]
        heights = [table.loc[f"trachea_{k}", "z"] for k in (1, 2, 3, 4)] + [
            table.loc["carina", "z"]
        ]
        assert (np.diff(heights) < 0).all()
        tables.append(table)
    shared = tables[0].index.intersection(tables[1].index)
    assert 0.7 * len(tables[0]) < len(shared)
    assert set(tables[0].index) != set(tables[1].index)  # some branches are missing in some


def test_landmarks_outside_the_grid_are_left_out():
    grid = fine_box((-75.0, 15.0, 0.0), 40.0, 2.0)
    scan = chest.subject(1, grid=grid, **CALM)
    index = grid.physical_to_index(scan.landmarks[["x", "y", "z"]].to_numpy())
    assert 0 < len(index) < 200
    assert (index >= 0).all()
    assert (index <= np.array(grid.shape) - 1).all()


def test_the_central_airways_are_not_lung(subjects, models):
    for scan, model in zip(subjects, models, strict=True):
        nodes = [trunks.AIRWAYS.nodes[name][1] for name in ("carina", "airway_R", "airway_L")]
        points = model.from_mean(np.array(nodes, float))
        index = np.rint(scan.lungs.grid.physical_to_index(points)).astype(int)
        assert not scan.lungs.array[tuple(index.T)].any()


# --- subjects' maps -------------------------------------------------------------------------------


def test_a_subjects_map_has_an_inverse_and_the_derivative_it_says(models):
    rng = np.random.default_rng(0)
    points = rng.uniform(-180, 180, (500, 3))
    for model in models:
        there = model.to_mean(points)
        np.testing.assert_allclose(model.from_mean(there), points, atol=1e-4)
        split = tuple(points.T)
        derivative = model.map.derivative(split)
        assert determinant(derivative).min() > 0.2
        step = 1e-4
        for axis in range(3):
            moved = points.copy()
            moved[:, axis] += step
            slope = (model.to_mean(moved) - there) / step
            np.testing.assert_allclose(derivative[:, axis], slope.T, atol=1e-5)


def test_every_map_can_be_inverted():
    """Waves and bumps stay below the bound that makes the map one to one, however drawn."""
    points = np.random.default_rng(0).uniform(-200, 200, (2000, 3)).T
    for seed in range(20):
        one = SubjectMap.random(np.random.default_rng(seed), 2.0)
        assert determinant(one.derivative(tuple(points))).min() > 0


# --- scanner --------------------------------------------------------------------------------------


def backgrounds(scan: chest.Scan) -> set[int]:
    return set(np.unique(scan.image.array[scan.image.array < -1024]))


@pytest.mark.parametrize("couch", [False, True])
def test_scans_have_as_many_backgrounds_as_asked_for(couch):
    shape = {"shape": (24, 48, 48), "couch": couch, "threads": 1}
    none = chest.subject(1, outside=None, border=None, **shape)
    one = chest.subject(1, outside=-3024, border=None, **shape)
    two = chest.subject(1, outside=-3024, border=-2048, **shape)
    assert backgrounds(none) == set()
    assert backgrounds(one) == {-3024}
    assert backgrounds(two) == {-3024, -2048}
    circle = (one.image.array != -3024).mean()
    assert circle == pytest.approx(np.pi / 4, abs=0.02)
    for scan in (none, one, two):
        inside = scan.image.array >= -1024
        assert scan.image.array[inside].max() <= 3071
        air = scan.image.array[:, 24, :][inside[:, 24, :]]
        assert air.min() >= -1024
    empty = none.image.array[:, :4]
    assert abs(np.median(empty) + 1000) < 4


@pytest.mark.long
def test_the_couch_lies_under_the_patient():
    shape = {"shape": SHAPE, "outside": None, "border": None, "noise": 0, "threads": 1}
    without, table = (chest.subject(1, couch=couch, **shape) for couch in (False, True))
    changed = np.argwhere(np.abs(table.image.array - without.image.array) > 20)
    y = table.image.grid.index_to_physical(changed)[:, 1]
    lung = np.argwhere(table.lungs.array > 0)
    assert y.min() > table.image.grid.index_to_physical(lung)[:, 1].max()
    assert table.image.array[:, -1].max() < -900


@pytest.mark.long
def test_mixed_settings_differ_between_seeds():
    scans = [chest.subject(seed, shape=(12, 24, 24), threads=1) for seed in range(9)]
    found = {tuple(sorted(backgrounds(scan))) for scan in scans}
    assert {(), (-2048,), (-3024,)} <= found


def test_noise_is_correlated_in_the_slice_and_not_across_slices():
    grid = Grid((12, 90, 90), (1.0, 1.0, 2.0), (-130.0, -30.0, -150.0))
    quiet = {**CALM, "grid": grid, "variation": 0}
    noisy = chest.subject(3, **{**quiet, "noise": 20.0}).image.array.astype(float)
    noise = noisy - chest.subject(3, **quiet).image.array
    liver = noise[:, 30:60, 30:60]
    assert 8 < liver.std() < 40
    in_plane = np.corrcoef(liver[:, :, 1:].ravel(), liver[:, :, :-1].ravel())[0, 1]
    across = np.corrcoef(liver[1:].ravel(), liver[:-1].ravel())[0, 1]
    assert in_plane > 0.4
    assert abs(across) < 0.06


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"grid": Grid((8, 8, 8), origin=(900.0, 0.0, 0.0))}, "grid"),
        ({"shape": (8, 8)}, "shape"),
        ({"shape": (8, 8, 8), "spacing": -1.0}, "spacing"),
        ({"variation": 9}, "variation"),
        ({"outside": 40}, "outside"),
        ({"outside": "mixt"}, "outside"),
        ({"border": 0}, "border"),
        ({"couch": "maybe"}, "couch"),
        ({"noise": -1}, "noise"),
    ],
)
def test_impossible_parameters_are_refused(arguments, where):
    with pytest.raises(WarplineError) as error:
        chest.subject(1, **{"shape": (8, 8, 8), **arguments})
    assert error.value.where == where
    assert error.value.do
