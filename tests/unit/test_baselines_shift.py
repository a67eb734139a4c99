"""The translation under which two images are most alike: known shifts, brute force, parts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from fieldtools import smooth_image
from schema_tools import asked

from warpline.cases.case import Case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.phantoms.providers.clinical import clinical_scan
from warpline.phantoms.providers.learn2reg import stored_scan
from warpline.phantoms.providers.tcia_pancreas import PROTOCOL, crop_of
from warpline.registration.baselines.affine import prealign
from warpline.registration.baselines.shift import LEAST_OVERLAP, best_shift

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
WHOLE = Grid((20, 18, 16), (2.0, 2.0, 2.0), (-20.0, 10.0, 5.0), OBLIQUE)
PART = (slice(9, 19), slice(2, 15), slice(4, 14))
AWAY = np.array([250.0, -400.0, 900.0])  # frames of two scanners


def part_of(image: Image, away=AWAY) -> Image:
    """A part of an image, in coordinates of its own; the shift from one to the other is `away`."""
    first = image.grid.index_to_physical(np.array([side.start for side in PART]))
    array = np.ascontiguousarray(image.array[PART])
    origin = tuple(map(float, first + away))
    return Image(array, Grid(array.shape, image.grid.spacing, origin, image.grid.direction))


def test_a_part_is_found_in_the_whole_and_the_whole_from_the_part():
    whole = smooth_image(WHOLE)
    np.testing.assert_allclose(best_shift(whole, part_of(whole)), AWAY, atol=1e-6)
    np.testing.assert_allclose(best_shift(part_of(whole), whole), -AWAY, atol=1e-6)


def test_no_other_shift_has_a_larger_correlation():
    rng = np.random.default_rng(0)
    spacing = (3.0, 3.0, 3.0)
    fixed = Image(rng.normal(size=(6, 5, 4)), Grid((6, 5, 4), spacing))
    moving = Image(rng.normal(size=(4, 5, 7)), Grid((4, 5, 7), spacing, (10.0, 20.0, 30.0)))
    # As the search sees them: the largest and the smallest values cut.
    values = [
        np.clip(i.array, *np.percentile(i.array[::2, ::2, ::2], (1, 99))) for i in (fixed, moving)
    ]
    best, found = -1.0, None
    for shift in product(*(range(-n + 1, m) for m, n in zip((6, 5, 4), (4, 5, 7), strict=True))):
        low = np.maximum(shift, 0)
        high = np.minimum(np.add(shift, (4, 5, 7)), (6, 5, 4))
        if np.prod(high - low) < LEAST_OVERLAP * 4 * 5 * 4:
            continue
        one = values[0][tuple(map(slice, low, high))]
        other = values[1][tuple(map(slice, low - shift, high - shift))]
        likeness = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        if likeness > best:
            best, found = likeness, shift
    expected = np.array([10.0, 20.0, 30.0]) - 3.0 * np.array(found[::-1])
    np.testing.assert_allclose(best_shift(fixed, moving), expected, atol=1e-6)


def test_half_of_what_can_overlap_must():
    """A corner that is the same to the bit counts less than a whole that is alike."""
    rng = np.random.default_rng(1)
    texture = rng.normal(size=(12, 12, 12))
    fixed = Image(texture, Grid(texture.shape))
    other = texture + 0.5 * rng.normal(size=texture.shape)
    other[:4, :4, :4] = texture[-4:, -4:, -4:]
    np.testing.assert_allclose(best_shift(fixed, Image(other, fixed.grid)), 0, atol=1e-6)


def test_a_coarse_search_is_right_to_a_coarse_voxel():
    """Voxels of 1 mm along 160 mm are searched in steps of 2.5 mm."""
    grid = Grid((160, 40, 40))
    fixed = smooth_image(grid, sigma=5.0)
    moving = Image(fixed.array[37:137], Grid((100, 40, 40)))
    assert np.abs(best_shift(fixed, moving) - [0, 0, -37]).max() < 2.5


def test_a_translation_is_found_where_centres_of_mass_mislead():
    # Below zero, as HU of air: the centre of what is negative lies anywhere.
    whole = smooth_image(WHOLE)
    whole = whole.with_array((whole.array - whole.array.mean()).astype(np.float32))
    matrix = prealign(part_of(whole), whole, transform="Translation")
    np.testing.assert_allclose(matrix[:3, :3], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(matrix[:3, 3], AWAY, atol=0.5)


def test_organs_of_another_person_come_to_lie_where_the_reference_s_are():
    """A crop about the organs, of coarse voxels: ANTs' coarsest levels would lose it again."""
    phantom = asked(seed=2020)
    reference = stored_scan(phantom.seed_of("AbdomenCTCT/0001"), coarser=4)
    scan = clinical_scan(
        phantom.seed_of("tcia-pancreas/0034"),
        PROTOCOL,
        size=48,
        spacing_xy=(7.7, 9.2),
        spacing_z=(5.0, 8.0),
    )
    box = crop_of(scan)
    grid = scan.image.grid
    first = grid.index_to_physical(np.array([side.start for side in box]))
    shape = scan.image.array[box].shape
    part = Grid(shape, grid.spacing, tuple(map(float, first)), grid.direction)
    image, labels = (
        Image(np.ascontiguousarray(whole.array[box]), part) for whole in (scan.image, scan.labels)
    )
    case = prepare(Case("0034", image), [{"resample": {"spacing": [8, 8, 8]}}])
    matrix = prealign(case.image, reference.image, transform="Translation")
    apart = []
    for organ in (1, 3, 6, 7, 11):  # spleen, left kidney, liver, stomach, pancreas
        there, here = (
            where.grid.index_to_physical(np.argwhere(where.array == organ)).mean(axis=0)
            for where in (labels, reference.labels)
        )
        apart.append(there - here - matrix[:3, 3])
    assert np.linalg.norm(np.mean(apart, axis=0)) < 15


def test_values_that_are_no_number_are_refused_by_name():
    whole = smooth_image(WHOLE)
    whole.array[3, 4, 5] = np.nan
    with pytest.raises(WarplineError, match="not finite") as error:
        prealign(part_of(whole), whole, transform="Translation", names=("two", "one"))
    assert error.value.where == "fixed one"
