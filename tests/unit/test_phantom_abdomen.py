"""The abdomen phantom: plausible anatomy in CT, and exact maps between its subjects."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Grid
from warpline.phantoms.anatomy import abdomen
from warpline.phantoms.anatomy.abdomen.maps import STEEPEST, Shift
from warpline.phantoms.anatomy.abdomen.organs import (
    COLON_TUMOUR,
    DUODENUM,
    HEPATIC_VESSEL,
    KIDNEY_TUMOUR,
    LIVER_TUMOUR,
    NUMBER,
    ORGANS,
    PANCREAS_TUMOUR,
)
from warpline.phantoms.anatomy.abdomen.phases import PHASES

SEEDS = (21, 22, 23, 24)
# ml: what adults have, kidneys without their sinus, the portal vein with the splenic one.
MEAN_VOLUME = {
    "spleen": (90, 300),
    "right_kidney": (90, 190),
    "left_kidney": (90, 190),
    "gallbladder": (15, 50),
    "esophagus": (12, 45),
    "liver": (1200, 1900),
    "stomach": (200, 550),
    "aorta": (60, 140),
    "inferior_vena_cava": (50, 130),
    "portal_vein": (10, 35),
    "pancreas": (45, 110),
    "right_adrenal": (2, 8),
    "left_adrenal": (2, 8),
}


@pytest.fixture(scope="module")
def mean() -> abdomen.Scan:
    """The mean abdomen, without noise."""
    return abdomen.subject(1, spacing=4.0, variation=0, noise=0)


@pytest.fixture(scope="module")
def subjects() -> list[abdomen.Scan]:
    return [abdomen.subject(seed, spacing=6.0, noise=0) for seed in SEEDS]


def where(scan: abdomen.Scan, *names: str) -> np.ndarray:
    return np.isin(scan.labels.array, [NUMBER[name] for name in names])


def millilitres(scan: abdomen.Scan, name: str) -> float:
    return float(where(scan, name).sum() * np.prod(scan.labels.grid.spacing) / 1000)


def middle(scan: abdomen.Scan, name: str) -> np.ndarray:
    """Centre (x, y, z) of an organ, mm, LPS."""
    return scan.labels.grid.index_to_physical(np.argwhere(where(scan, name)).mean(axis=0))


def dice(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array(
        [
            2 * ((a == k) & (b == k)).sum() / ((a == k).sum() + (b == k).sum())
            for k in NUMBER.values()
        ]
    )


# --- anatomy --------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_mean_organs_have_the_volumes_of_adults(mean):
    for name, (low, high) in MEAN_VOLUME.items():
        assert low < millilitres(mean, name) < high, name


@pytest.mark.long
def test_every_subject_has_every_organ_at_half_to_twice_the_mean(mean, subjects):
    for scan in subjects:
        for name, (low, high) in MEAN_VOLUME.items():
            assert 0.4 * low < millilitres(scan, name) < 2 * high, name


@pytest.mark.long
def test_organs_lie_where_anatomy_has_them(mean, subjects):
    for scan in (mean, *subjects):
        at = {name: middle(scan, name) for name in ORGANS}
        # LPS: x grows to the left, y to the back, z to the head.
        assert at["liver"][0] < at["inferior_vena_cava"][0] < at["aorta"][0] < at["spleen"][0]
        assert at["right_kidney"][0] < at["right_adrenal"][0] < at["left_adrenal"][0]
        assert at["left_adrenal"][0] < at["left_kidney"][0]
        assert at["gallbladder"][0] < at["stomach"][0] > at["pancreas"][0]
        for name in ("pancreas", "stomach", "liver", "gallbladder", "portal_vein"):
            assert at[name][1] < at["right_kidney"][1], name
            assert at[name][1] < at["left_kidney"][1], name
        assert at["pancreas"][1] < at["aorta"][1]
        for side in ("right", "left"):
            assert at[f"{side}_adrenal"][2] > at[f"{side}_kidney"][2] + 20
        assert at["esophagus"][2] == max(point[2] for point in at.values())
        both = where(scan, "aorta").any((1, 2)) & where(scan, "inferior_vena_cava").any((1, 2))
        for z in np.flatnonzero(both):
            left, right = (
                np.argwhere(where(scan, name)[z])[:, 1].mean()
                for name in ("aorta", "inferior_vena_cava")
            )
            assert left > right


@pytest.mark.long
def test_organs_are_whole_and_within_the_body(mean):
    # Slice by slice: the lungs are open at the top.
    body = np.stack([ndimage.binary_fill_holes(plane > -300) for plane in mean.image.array])
    for name in ORGANS:
        organ = where(mean, name)
        assert body[ndimage.binary_dilation(organ)].all(), name
        parts, count = ndimage.label(organ, np.ones((3, 3, 3)))
        largest = np.bincount(parts.ravel())[1:].max() if count else 0
        assert largest > 0.93 * organ.sum(), name


def test_the_other_structures_lie_in_or_beside_their_organs(mean):
    assert (mean.labels.array[mean.others.array == HEPATIC_VESSEL] == NUMBER["liver"]).all()
    assert (mean.labels.array[mean.others.array == DUODENUM] == 0).all()
    assert 20 < (mean.others.array == DUODENUM).sum() * 0.064 < 90  # ml


@pytest.mark.long
def test_tissues_have_their_hu_where_the_mean_abdomen_has_them(mean):
    """Points by hand, in the frame that a subject without variation has."""
    expected = {
        (0, 36, 16): (120, 260),  # the first lumbar vertebra
        (0, 62, 16): (0, 60),  # the spinal canal behind it
        (-75, 0, 165): (-900, -800),  # the right lung
        (75, 0, 165): (-900, -800),  # the left lung
        (35, 38, -40): (45, 80),  # the left psoas
        (-94, 8, -214): (120, 420),  # the head of the right femur
        (0, -18, -226): (-5, 20),  # the bladder
        (50, -50, 10): (-1024, -850),  # gas in front in the stomach
        (161, 5, -170): (-125, -75),  # fat under the skin
    }
    for point, (low, high) in expected.items():
        index = mean.image.grid.physical_to_index(np.array(point))
        (hu,) = ndimage.map_coordinates(mean.image.array.astype(float), index[:, None], order=1)
        assert low <= hu <= high, (point, hu)


# --- contrast -------------------------------------------------------------------------------------

# HU of the median: unenhanced, arterial, portal venous.
EXPECTED = {
    "aorta": ((35, 50), (250, 320), (130, 180)),
    "inferior_vena_cava": ((35, 50), (60, 120), (110, 160)),
    "portal_vein": ((30, 50), (80, 140), (120, 180)),
    "liver": ((50, 65), (60, 85), (95, 120)),
    "spleen": ((40, 55), (110, 150), (105, 135)),
    "right_kidney": ((25, 40), (95, 200), (150, 190)),
    "pancreas": ((30, 50), (85, 120), (75, 105)),
    "gallbladder": ((0, 25), (0, 25), (0, 25)),
}


@pytest.mark.long
@pytest.mark.parametrize("phase", PHASES)
def test_organs_have_the_hu_of_the_phase(phase, mean):
    scan = abdomen.subject(1, spacing=4.0, variation=0, noise=0, phase=phase)
    np.testing.assert_array_equal(scan.labels.array, mean.labels.array)
    for name, ranges in EXPECTED.items():
        low, high = ranges[list(PHASES).index(phase)]
        # Away from the edge, where a voxel is partly something else.
        inside = where(scan, name) & (scan.others.array == 0)
        deep = ndimage.binary_erosion(inside)
        median = np.median(scan.image.array[deep if deep.sum() > 8 else inside])
        assert low <= median <= high, (name, median)
    # Cortex and medulla differ while the agent is on its way through the kidneys only.
    kidney = ndimage.binary_erosion(where(scan, "left_kidney"))
    low, high = np.percentile(scan.image.array[kidney], [10, 90])
    if phase == "arterial":
        assert high - low > 60
    else:
        assert high - low < 40


def test_noise_has_the_asked_size():
    calm, noisy = (abdomen.subject(5, spacing=6.0, noise=level) for level in (0.0, 20.0))
    liver = ndimage.binary_erosion(where(calm, "liver"), iterations=2)
    difference = (noisy.image.array.astype(int) - calm.image.array)[liver]
    assert abs(difference.mean()) < 5
    assert 10 < difference.std() < 45


# --- subjects -------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes():
    small = {"spacing": 12.0, "tumours": ("liver",)}
    first, again = (abdomen.subject((4, 7), threads=threads, **small) for threads in (1, 2))
    other = abdomen.subject((4, 8), **small)
    for kind in ("image", "labels", "others"):
        np.testing.assert_array_equal(getattr(first, kind).array, getattr(again, kind).array)
    assert (first.labels.array != other.labels.array).mean() > 0.01


def test_without_variation_all_have_one_anatomy():
    scans = [abdomen.subject(seed, spacing=10.0, variation=0) for seed in (1, 2)]
    np.testing.assert_array_equal(scans[0].labels.array, scans[1].labels.array)


@pytest.mark.long
def test_unregistered_subjects_overlap_as_little_as_real_ones(subjects):
    """Learn2Reg's unregistered pairs have a mean Dice of 0.23."""
    scores = np.array(
        [dice(a.labels.array, b.labels.array) for a, b in combinations(subjects, 2)]
    ).mean(axis=0)
    assert 0.12 < scores.mean() < 0.35
    assert scores[NUMBER["liver"] - 1] == scores.max()
    assert scores[[NUMBER["right_adrenal"] - 1, NUMBER["left_adrenal"] - 1]].max() < 0.25


def oblique_grid() -> Grid:
    """Anisotropic, turned about two axes, about the middle of the upper abdomen."""
    c, s, d, t = np.cos(0.3), np.sin(0.3), np.cos(0.2), np.sin(0.2)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, d, -t], [0, t, d]]
    shape, spacing = (34, 42, 50), (8.0, 6.5, 7.0)
    half = turn @ (np.subtract(shape[::-1], 1) * np.array(spacing) / 2)
    return Grid(shape, spacing, tuple(np.array([0, 4, 20]) - half), tuple(turn.ravel()))


def test_the_known_deformation_maps_one_subjects_labels_to_the_others():
    fixed, moving = SEEDS[:2]
    grid = oblique_grid()
    target = abdomen.subject(fixed, grid=grid, noise=0).labels.array
    source = abdomen.subject(moving, spacing=4.0, noise=0).labels
    field = abdomen.correspondence(abdomen.model(fixed), abdomen.model(moving), grid)
    points = grid.index_to_physical(grid.indices()) + field.vectors
    index = source.grid.physical_to_index(points).reshape(-1, 3).T
    warped = ndimage.map_coordinates(source.array, index, order=0).reshape(grid.shape)
    scores = dice(target, warped)
    assert scores.mean() > 0.85
    assert scores.min() > 0.6


def test_the_deformation_from_one_to_another_and_back_is_none():
    one, other = abdomen.model(SEEDS[0]), abdomen.model(SEEDS[1])
    grid = Grid((9, 7, 8), (40.0, 41.0, 55.0), (-140.0, -110.0, -250.0))
    there = abdomen.correspondence(one, other, grid)
    start = grid.index_to_physical(grid.indices())
    moved = start + there.vectors
    back = one.from_mean(other.to_mean(moved))
    np.testing.assert_allclose(back, start, atol=1e-3)  # the field is float32
    assert np.linalg.norm(there.vectors, axis=-1).max() > 10


points = st.tuples(st.floats(-200, 200), st.floats(-150, 150), st.floats(-300, 250))


@given(st.integers(0, 10_000), st.lists(points, min_size=1, max_size=6), st.floats(0, 2))
@settings(max_examples=12, deadline=None)
def test_every_subjects_map_has_an_inverse(seed, places, variation):
    model = abdomen.model(seed, variation=variation)
    places = np.array(places)
    np.testing.assert_allclose(model.from_mean(model.to_mean(places)), places, atol=1e-4)


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_no_subjects_map_folds(seed):
    model = abdomen.model(seed, variation=2.0)
    grid = Grid((12, 8, 9), (45.0,) * 3, (-180.0, -150.0, -290.0))
    at = grid.index_to_physical(grid.indices())
    h = 0.01
    columns = [
        (model.to_mean(at + h * step) - model.to_mean(at - h * step)) / (2 * h)
        for step in np.eye(3)
    ]
    assert np.linalg.det(np.stack(columns, axis=-1)).min() > 0


def test_a_shift_moves_its_centre_and_is_no_steeper_than_it_says():
    shift = Shift((10.0, -5.0, 20.0), 30.0, (12.0, 0.0, 9.0), 0.2)
    centre = tuple(np.array([c]) for c in shift.centre)
    np.testing.assert_allclose(np.concatenate(shift(centre)), [22.0, -5.0, 29.0])
    grid = np.stack(np.meshgrid(*[np.linspace(-90, 90, 37)] * 3, indexing="ij"))
    moved = np.stack(shift(tuple(grid))) - grid
    slopes = np.stack(np.gradient(moved, 5.0, axis=(1, 2, 3)))  # (along, of, …)
    steepest = np.linalg.norm(np.moveaxis(slopes, (0, 1), (-1, -2)), ord=2, axis=(-2, -1)).max()
    assert 0.5 * shift.steepness < steepest <= shift.steepness < STEEPEST
    back = shift.inverse(tuple(np.stack(shift(tuple(grid)))))
    np.testing.assert_allclose(np.stack(back), grid, atol=1e-6)


# --- grids ----------------------------------------------------------------------------------------


def test_the_default_grid_is_learn2regs():
    grid = abdomen.whole_abdomen_grid(2.0)
    assert grid.shape == (256, 160, 192)
    # As many voxels of 6 mm as cover it, about the same middle.
    coarse = abdomen.whole_abdomen_grid(6.0)
    assert coarse.shape == (85, 53, 64)
    for g in (grid, coarse):
        centre = g.index_to_physical((np.array(g.shape) - 1) / 2)
        np.testing.assert_allclose(centre, (0, 4, -42), atol=1e-9)


def test_two_grids_sample_the_same_anatomy(subjects):
    one = subjects[0]
    grid = one.labels.grid
    far = grid.index_to_physical([0, grid.shape[1] - 1, grid.shape[2] - 1])
    flipped = Grid(grid.shape, grid.spacing, tuple(far), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    turned = abdomen.subject(SEEDS[0], grid=flipped, noise=0)
    assert (turned.labels.array[:, ::-1, ::-1] == one.labels.array).mean() > 0.9995
    oblique = abdomen.subject(SEEDS[0], grid=oblique_grid(), noise=0)
    for name in ("right_kidney", "left_kidney", "pancreas", "spleen"):
        assert millilitres(oblique, name) == pytest.approx(millilitres(one, name), rel=0.15)
        np.testing.assert_allclose(middle(oblique, name), middle(one, name), atol=2.5)


# --- tumours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_tumours_count_as_their_organ_and_are_darker(seed):
    organs = ("liver", "pancreas", "kidney", "colon")
    scan = abdomen.subject(seed, spacing=4.0, noise=0, tumours=organs)
    homes = {
        LIVER_TUMOUR: [NUMBER["liver"]],
        PANCREAS_TUMOUR: [NUMBER["pancreas"]],
        KIDNEY_TUMOUR: [NUMBER["right_kidney"], NUMBER["left_kidney"]],
        COLON_TUMOUR: [0],
    }
    for value, numbers in homes.items():
        tumour = scan.others.array == value
        assert tumour.sum() * 0.064 > 0.5, value  # ml
        assert np.isin(scan.labels.array[tumour], numbers).all()
        if value != COLON_TUMOUR:
            healthy = np.isin(scan.labels.array, numbers) & (scan.others.array == 0)
            hu = scan.image.array
            assert np.median(hu[tumour]) < np.median(hu[healthy]) - 15


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"phase": "portal"}, "no contrast phase 'portal'"),
        ({"tumours": ["spleen"]}, "no tumours of 'spleen'"),
        ({"variation": -0.1}, "variation of -0.1"),
        ({"variation": 2.5}, "variation of 2.5"),
        ({"spacing": 0}, "not the spacing"),
        ({"noise": -1}, "noise of -1"),
        ({"grid": Grid((4, 4, 4), origin=(0.0, 0.0, 900.0))}, "no organ in it"),
    ],
)
def test_what_is_not_possible_is_refused(parameters, message):
    with pytest.raises(WarplineError, match=message):
        abdomen.subject(1, **{"spacing": 20.0, **parameters})
