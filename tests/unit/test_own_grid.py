"""A method on a grid of its own: where its field lies on the dataset's grid."""

import numpy as np
import pytest

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.registration.own_grid import on_own_grid, prepare_pair

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
TO_BOX = [{"crop_to_mask": {}}, {"resize": {"shape": [8, 12, 10], "least": 2}}]


def boxed(name: str, shape, spacing, origin, low, high) -> Case:
    """A case on an oblique grid whose mask is a box of voxels from `low` up to `high`."""
    grid = Grid(shape, spacing=spacing, origin=origin, direction=tuple(TURN.ravel()))
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return Case(name, Image(np.zeros(shape, np.float32), grid), mask=Image(mask, grid))


@pytest.fixture
def pair() -> tuple[Case, Case]:
    """Two scans of different sizes, spacings and places; their boxes have different sizes too."""
    fixed = boxed("f", (20, 24, 22), (1.0, 1.5, 2.0), (5.0, -7.0, 9.0), (4, 6, 5), (16, 18, 17))
    moving = boxed("m", (16, 20, 30), (1.2, 1.0, 2.5), (-3.0, 2.0, 4.0), (3, 2, 8), (11, 17, 24))
    return fixed, moving


def still(fixed: Case, moving: Case) -> DisplacementField:
    """Index to index: what a network says that displaces nothing."""
    assert fixed.grid.shape == moving.grid.shape == (8, 12, 10)
    nothing = DisplacementField.identity(fixed.grid).to_voxel(fixed.grid)
    return DisplacementField.from_voxel(nothing, fixed.grid, moving.grid)


def test_boxes_alone_align_a_pair_axis_by_axis(pair):
    """Fixed voxel i goes to moving voxel (i + ½ − a)·m/n + b − ½: face on face, inside the box."""
    fixed, moving = pair
    index = np.array([[9.0, 11.0, 10.0], [6.0, 14.0, 7.0], [13.0, 8.0, 14.0]])  # z, y, x
    scale = np.array([8 / 12, 15 / 12, 16 / 12])
    expected = (index + 0.5 - [4, 6, 5]) * scale + [3, 2, 8] - 0.5
    field = on_own_grid(still, TO_BOX)(fixed, moving)
    assert field.grid == fixed.grid
    found = field.transform_points(fixed.grid.index_to_physical(index), order=1)
    np.testing.assert_allclose(moving.grid.physical_to_index(found), expected, atol=1e-4)


def test_a_displacement_found_on_the_own_grid_is_the_same_in_mm(pair):
    fixed, moving = pair
    shift = np.array([3.0, -2.0, 1.0])

    def shifted(a: Case, b: Case) -> DisplacementField:
        return DisplacementField(np.full((*a.grid.shape, 3), shift), a.grid)

    field = on_own_grid(shifted, TO_BOX)(fixed, moving)
    np.testing.assert_allclose(
        field.vectors, np.broadcast_to(shift, field.vectors.shape), atol=1e-5
    )


def test_an_aligned_pair_is_seen_in_the_fixed_box(pair):
    fixed, other = pair
    array = np.random.default_rng(0).random(fixed.grid.shape).astype(np.float32)
    moving = Case("m", Image(array, fixed.grid), mask=fixed.mask.with_array(1 - fixed.mask.array))
    for aligned in (True, False):
        a, b = prepare_pair(fixed, moving, TO_BOX, aligned=aligned)
        assert (a.grid == b.grid) == aligned
    nothing = on_own_grid(still, TO_BOX, aligned=True)(fixed, moving)
    np.testing.assert_allclose(nothing.vectors, 0, atol=1e-5)
    a, b = prepare_pair(fixed, other, [], aligned=True)
    assert a is fixed
    assert b is other


def test_without_steps_the_method_is_itself_and_a_missing_mask_is_told(pair):
    fixed, moving = pair
    assert on_own_grid(still, []) is still
    bare = Case("bare", moving.image)
    with pytest.raises(WarplineError, match="no mask"):
        on_own_grid(still, TO_BOX)(fixed, bare)


def test_a_network_that_sees_the_body_upside_down_gives_the_same_field_in_mm():
    """As the authors of Estienne et al. 2020 turn their scans; nothing is interpolated."""
    grid = Grid((6, 8, 10), (2.0, 2.0, 2.0), (5.0, -3.0, 1.0))
    rng = np.random.default_rng(0)
    fixed, moving = (
        Case(name, Image(rng.random(grid.shape).astype(np.float32), grid)) for name in "fm"
    )
    seen = []

    def by_content(fixed: Case, moving: Case) -> DisplacementField:
        seen.append(moving.image.array)
        vectors = np.stack([fixed.image.array, moving.image.array, 0 * fixed.image.array], axis=-1)
        return DisplacementField(vectors, fixed.grid)

    field = on_own_grid(by_content, [{"orient": {"axes": "LPI"}}])(fixed, moving)
    np.testing.assert_array_equal(seen[0], moving.image.array[::-1])
    assert field.grid == grid
    np.testing.assert_allclose(field.vectors[..., 0], fixed.image.array, atol=1e-5)
    np.testing.assert_allclose(field.vectors[..., 1], moving.image.array, atol=1e-5)
    with pytest.raises(WarplineError, match="does not say where x, y and z run to"):
        prepare_pair(fixed, moving, [{"orient": {"axes": "LPL"}}])
