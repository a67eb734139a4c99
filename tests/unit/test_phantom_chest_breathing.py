"""Breathing of the chest phantom: the true fields, and that the scans obey them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from warpline.errors import WarplineError
from warpline.images.grid import Grid
from warpline.phantoms.anatomy import chest
from warpline.phantoms.anatomy.chest import anatomy
from warpline.phantoms.anatomy.chest.model import Chest
from warpline.phantoms.anatomy.chest.motion import Motion
from warpline.phantoms.anatomy.chest.render import render

CALM = {"outside": None, "border": None, "couch": False, "noise": 0.0, "threads": 1}
EXCURSION = 20.0


@pytest.fixture(scope="module")
def breath() -> chest.Breath:
    return chest.breathing(2, shape=(84, 72, 88), diaphragm=EXCURSION, **CALM)


@pytest.fixture(scope="module")
def mean_chest() -> Chest:
    return Chest.random(np.random.default_rng(0), 0.0)


@pytest.fixture(scope="module")
def motion() -> Motion:
    return Motion.random(np.random.default_rng(0), EXCURSION, 1.0)


def litres(labels) -> float:
    return float((labels.array > 0).sum() * np.prod(labels.grid.spacing) / 1e6)


def points_in(labels, margin: int) -> np.ndarray:
    """Physical points of voxels at least `margin` voxels inside the labels."""
    inside = ndimage.binary_erosion(labels.array > 0, np.ones((3, 3, 3)), iterations=margin)
    return labels.grid.index_to_physical(np.argwhere(inside))


def jacobian(function, points: np.ndarray, step: float = 0.02) -> np.ndarray:
    """Determinants (n,) of the derivative of a map of points, by central differences."""
    columns = []
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = step
        columns.append((function(points + shift) - function(points - shift)) / (2 * step))
    return np.linalg.det(np.stack(columns, axis=-1))


# --- what moves, and how far ----------------------------------------------------------------------


def test_the_inhale_scan_is_the_subject():
    small = {"shape": (24, 32, 32), "threads": 1}
    one, both = chest.subject(5, **small), chest.breathing(5, **small)
    np.testing.assert_array_equal(one.image.array, both.inhale.image.array)
    again = chest.breathing(5, **small)
    np.testing.assert_array_equal(both.exhale.image.array, again.exhale.image.array)
    np.testing.assert_array_equal(both.exhale_to_inhale.vectors, again.exhale_to_inhale.vectors)
    assert (both.exhale.image.array != both.inhale.image.array).mean() > 0.2


def test_lungs_are_smaller_and_denser_at_exhale(breath):
    inhale, exhale = litres(breath.inhale.lungs), litres(breath.exhale.lungs)
    assert 3 < inhale < 7
    assert 0.6 * inhale < exhale < 0.93 * inhale
    density = [
        np.median(scan.image.array[scan.lungs.array > 0]) for scan in (breath.inhale, breath.exhale)
    ]
    assert density[1] > density[0] + 15


@pytest.mark.parametrize("excursion", [10.0, 20.0, 30.0])
def test_the_diaphragm_moves_as_far_as_asked_for(mean_chest, excursion):
    motion = Motion.random(np.random.default_rng(1), excursion, 1.0)
    dome = np.array([list(anatomy.DOMES[0][:3]), list(anatomy.DOMES[1][:3])])
    moved = mean_chest.from_mean(dome, motion) - mean_chest.from_mean(dome)
    np.testing.assert_allclose(moved[:, 2], excursion, rtol=0.1)


def test_the_diaphragm_of_the_scans_moves_as_far_as_asked_for(breath):
    """The lowest lung in the columns under the right dome's top, in both scans."""
    grid = breath.inhale.lungs.grid
    top = breath.chest.from_mean(np.array(anatomy.DOMES[0][:3]))
    _, y, x = np.rint(grid.physical_to_index(top)).astype(int)
    lowest = [
        np.argmax(scan.lungs.array[:, y - 1 : y + 2, x - 1 : x + 2] > 0, axis=0).mean()
        for scan in (breath.inhale, breath.exhale)
    ]
    assert (lowest[1] - lowest[0]) * grid.spacing[2] == pytest.approx(EXCURSION, abs=3.0)


@pytest.mark.long
def test_the_chest_wall_expands_and_the_spine_stays(mean_chest, motion):
    sternum, spine = [[0.0, -105.0, -40.0]], [[0.0, 75.0, -40.0], [10.0, 100.0, 20.0]]
    side, apex = [[-142.0, 5.0, -60.0]], [[-45.0, 25.0, 99.0]]
    shift = {
        name: mean_chest.from_mean(np.array(p), motion) - mean_chest.from_mean(np.array(p))
        for name, p in (("sternum", sternum), ("spine", spine), ("side", side), ("apex", apex))
    }
    assert 3 < shift["sternum"][0, 1] < 10  # to the back at exhale
    assert 1 < shift["side"][0, 0] < 6
    assert abs(shift["side"][0, 2]) < 0.01  # ribs do not go down with the lung
    assert np.abs(shift["spine"]).max() < 0.3
    assert np.abs(shift["apex"]).max() < 1.5


@pytest.mark.long
def test_couch_and_back_do_not_move():
    both = chest.breathing(3, shape=(32, 64, 64), **{**CALM, "couch": True})
    low = both.inhale.image.grid.physical_to_index([[0, both.chest.back[1] + 2, 0]])[0, 1]
    rows = slice(int(np.ceil(low)), None)
    a, b = (scan.image.array[:, rows].astype(int) for scan in (both.inhale, both.exhale))
    assert a.max() > -950  # the couch is there
    assert np.abs(a - b).max() <= 2


# --- the field ------------------------------------------------------------------------------------


def test_landmarks_obey_the_maps(breath):
    inhale, exhale = (
        scan.landmarks.set_index("id")[["x", "y", "z"]] for scan in (breath.inhale, breath.exhale)
    )
    both = inhale.index.intersection(exhale.index)
    assert len(both) > 600
    moved = breath.to_inhale(exhale.loc[both].to_numpy())
    assert np.abs(moved - inhale.loc[both].to_numpy()).max() < 0.05
    back = breath.to_exhale(inhale.loc[both].to_numpy())
    assert np.abs(back - exhale.loc[both].to_numpy()).max() < 0.05
    distance = np.linalg.norm(moved - exhale.loc[both].to_numpy(), axis=1)
    assert 3 < distance.mean() < 25
    # The field between the voxels of its grid.
    sampled = breath.exhale_to_inhale.transform_points(exhale.loc[both].to_numpy(), order=1)
    error = np.linalg.norm(sampled - moved, axis=1)
    assert np.median(error) < 0.1


def test_the_fields_are_the_maps_at_the_voxels(breath):
    rng = np.random.default_rng(0)
    for field, function in (
        (breath.exhale_to_inhale, breath.to_inhale),
        (breath.inhale_to_exhale, breath.to_exhale),
    ):
        index = rng.integers(0, field.grid.shape, (3000, 3))
        points = field.grid.index_to_physical(index)
        vectors = function(points) - points
        # Within rounding of the pleura, the field may take the other side's value.
        error = np.abs(vectors - field.vectors[tuple(index.T)]).max(axis=1)
        assert (error < 0.01).mean() > 0.999


def test_the_two_directions_are_each_others_inverse(breath):
    points = points_in(breath.exhale.lungs, 1)[::7]
    there = breath.to_inhale(points)
    np.testing.assert_allclose(breath.to_exhale(there), points, atol=1e-3)
    # The sampled fields, away from the pleura.
    points = points_in(breath.exhale.lungs, 3)[::3]
    assert len(points) > 500
    there = breath.exhale_to_inhale.transform_points(points, order=1)
    error = breath.inhale_to_exhale.transform_points(there, order=1) - points
    assert np.abs(error).max() < 0.1


def test_warping_the_inhaled_anatomy_gives_the_exhaled(breath):
    field = breath.exhale_to_inhale
    warped = field.warp_labels(breath.inhale.lobes).array
    for lobe in anatomy.LOBES:
        a, b = warped == lobe, breath.exhale.lobes.array == lobe
        still = breath.inhale.lobes.array == lobe
        dice = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert dice > 0.9
        assert dice > 2 * (still & b).sum() / (still.sum() + b.sum()) + 0.02
    image = field.warp_image(breath.inhale.image).array
    lung = ndimage.binary_erosion(breath.exhale.lungs.array > 0, iterations=2)
    bones = breath.exhale.image.array > 150
    before = np.abs(breath.inhale.image.array[bones] - breath.exhale.image.array[bones]).mean()
    assert np.abs(image[bones] - breath.exhale.image.array[bones]).mean() < 0.75 * before
    assert np.corrcoef(image[lung], breath.exhale.image.array[lung])[0, 1] > 0.85


def test_nothing_folds(breath):
    """The Jacobian is positive in the lungs and outside the cavity, each by itself."""
    inside = points_in(breath.exhale.lungs, 2)[::5]
    assert jacobian(breath.to_inhale, inside).min() > 0.3
    rng = np.random.default_rng(0)
    reference = rng.uniform([-170, -115, -180], [170, 125, 90], (6000, 3))
    cavity = anatomy.InCavity.of(tuple(reference.T))
    outside = breath.chest.from_mean(reference[cavity.distance > 8])
    assert len(outside) > 500
    assert jacobian(breath.to_inhale, outside).min() > 0.3


def test_the_exhaled_lobes_are_the_inhaled_ones_at_the_fields_points(breath):
    """The labels of the exhale scan are those of the anatomy at inhale where the field points."""
    index = np.argwhere(breath.exhale.image.array > -2000)[::11]
    points = breath.exhale.image.grid.index_to_physical(index)
    points = points + breath.exhale_to_inhale.vectors[tuple(index.T)]
    reference = tuple(breath.chest.to_mean(points).T)
    distance = anatomy.lung_distance(reference, anatomy.InCavity.of(reference))
    expected = np.where(distance < 0, anatomy.lobes(reference), 0)
    found = breath.exhale.lobes.array[tuple(index.T)]
    assert (found > 0).mean() > 0.05
    assert (found == expected).mean() > 0.9995


@pytest.mark.long
def test_mass_of_the_lung_is_conserved(breath):
    """(HU + 1000) goes as one over the volume, point by point and in sum."""
    # Vessels do not get denser, so leave them out where each point is looked at.
    bare = replace(breath.chest, body=replace(breath.chest.body, vessels=1e-3))
    points = points_in(breath.exhale.lungs, 2)
    there = breath.to_inhale(points)
    density = []
    for scan, motion, where in (
        (breath.exhale, breath.motion, points),
        (breath.inhale, None, there),
    ):
        grid = scan.image.grid
        hu, _, _ = render(bare, grid, motion, couch=False, threads=1)
        index = grid.physical_to_index(where).T
        density.append(ndimage.map_coordinates(hu + 1000.0, index, order=1))
    ratio = jacobian(breath.to_inhale, points)
    assert np.median(ratio) > 1.08
    conserved = density[0] / (density[1] * ratio)
    assert np.median(conserved) == pytest.approx(1, abs=0.01)
    assert np.abs(conserved - 1).mean() < 0.05
    mass = [
        (scan.image.array[scan.lungs.array > 0] + 1000.0).sum() * np.prod(scan.image.grid.spacing)
        for scan in (breath.inhale, breath.exhale)
    ]
    assert mass[1] / mass[0] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("uneven", [0.0, 0.5])
def test_the_volume_ratio_is_the_jacobian(uneven):
    motion = Motion.random(np.random.default_rng(0), EXCURSION, 1.0, uneven)
    rng = np.random.default_rng(0)
    points = rng.uniform([-120, -80, -120], [120, 80, 80], (2000, 3))
    cavity = anatomy.InCavity.of(tuple(points.T))
    # Profiles are tabulated: their kinks are not differentiated across.
    points = points[np.abs(cavity.distance) > 8]
    measured = jacobian(
        lambda p: np.stack(motion.to_inhale(tuple(p.T)), axis=-1), points, step=1e-3
    )
    stated = motion.volume_ratio(tuple(points.T))
    np.testing.assert_allclose(np.median(np.abs(stated / measured - 1)), 0, atol=1e-3)
    assert (np.abs(stated / measured - 1) < 0.02).mean() > 0.98


@pytest.mark.parametrize("seed", range(4))
def test_an_uneven_breath_has_an_inverse_and_keeps_the_cavity(seed):
    """At most 30 mm and the most uneven: nothing folds, nothing leaves the cavity."""
    motion = Motion.random(np.random.default_rng(seed), 30.0, 1.0, 0.5)
    points = np.random.default_rng(9).uniform([-120, -80, -150], [120, 80, 110], (20000, 3))
    cavity = anatomy.InCavity.of(tuple(points.T))
    points = points[np.abs(cavity.distance) > 1]
    there = np.stack(motion.to_inhale(tuple(points.T)), axis=-1)
    back = np.stack(motion.to_exhale(tuple(there.T)), axis=-1)
    assert np.abs(back - points).max() < 0.01
    assert motion.volume_ratio(tuple(points.T)).min() > 0.2
    inside = anatomy.InCavity.of(motion.with_wall(tuple(points.T))).distance < 0
    stays = anatomy.InCavity.of(tuple(there.T)).distance[inside]
    assert (stays < 0.5).all()


def test_an_uneven_breath_moves_parts_of_the_lungs_differently(mean_chest):
    """The even and the uneven breath of one seed differ by as much as is asked for."""
    points = np.random.default_rng(3).uniform([-100, -60, -100], [100, 60, 0], (4000, 3))
    inside = anatomy.InCavity.of(tuple(points.T)).distance < -2
    even, uneven = (
        np.stack(
            Motion.random(np.random.default_rng(5), 20.0, 1.0, height).to_inhale(tuple(points.T)),
            axis=-1,
        )[inside, 2]
        - points[inside, 2]
        for height in (0.0, 0.4)
    )
    factor = uneven[even < -5] / even[even < -5]
    assert factor.std() == pytest.approx(0.4 / np.sqrt(2), rel=0.35)
    assert np.abs(factor - 1).max() <= 0.4 * np.sqrt(3) + 1e-6


def test_a_breath_that_is_too_uneven_is_refused():
    with pytest.raises(WarplineError, match=r"uneven by 0\.7"):
        Motion.random(np.random.default_rng(0), 20.0, 1.0, 0.7)


@pytest.mark.long
def test_the_lung_slides_along_the_ribs_and_leaves_no_gap(motion):
    """Across the pleura at the side the field jumps along the wall, not through it."""
    angle = np.linspace(1.1, 2.0, 12)
    z = np.full_like(angle, -50.0)
    x, v = np.sin(angle), np.cos(angle)
    radius = anatomy.cavity_radius(x, v, z)
    axis = anatomy.axis_of(z)
    sides = []
    for out in (-1e-3, 1e-3):
        at_inhale = np.stack([x * (radius + out), axis + v * (radius + out), z], axis=-1)
        at_exhale = np.stack(motion.to_exhale(tuple(at_inhale.T)), axis=-1)
        sides.append(at_exhale - at_inhale)
    jump = sides[0] - sides[1]
    assert np.linalg.norm(jump, axis=1).min() > 8
    slid = np.stack([x * (radius - 1e-3), axis + v * (radius - 1e-3), z], axis=-1)
    slid = slid + sides[0]
    back = np.stack(motion.with_wall(tuple(slid.T)), axis=-1)
    # Taken back by the wall's own map, the slid points still lie on the wall.
    on_wall = anatomy.InCavity.of(tuple(back.T)).distance
    assert np.abs(on_wall).max() < 0.01


# --- other grids, errors --------------------------------------------------------------------------


def test_the_phases_may_lie_on_different_grids():
    angle = 0.2
    turn = (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)
    exhale = chest.whole_chest_grid((48, 48, 48))
    corner = np.array([-205.0, -165.0, -195.0])
    origin = np.array([0.0, 8.0, -33.0]) + np.reshape(turn, (3, 3)) @ corner
    inhale = Grid((50, 56, 60), (7.0, 6.0, 8.0), tuple(origin), turn)
    both = chest.breathing(2, grid=exhale, inhale_grid=inhale, **CALM)
    assert both.inhale.image.grid == both.inhale_to_exhale.grid == inhale
    assert both.exhale.image.grid == both.exhale_to_inhale.grid == exhale
    warped = both.exhale_to_inhale.warp_labels(both.inhale.lungs).array > 0
    target = both.exhale.lungs.array > 0
    assert 2 * (warped & target).sum() / (warped.sum() + target.sum()) > 0.94


@pytest.mark.parametrize("excursion", [0, 9, 31, float("nan")])
def test_an_excursion_that_is_no_breath_is_refused(excursion):
    with pytest.raises(WarplineError, match="diaphragm") as error:
        chest.breathing(1, shape=(8, 8, 8), diaphragm=excursion)
    assert error.value.where == "diaphragm"
    assert "10 to 30" in error.value.do
