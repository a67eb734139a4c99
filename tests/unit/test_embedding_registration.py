"""A pair from images to field: on oblique grids, with boxes that differ, and what is told of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fieldtools import oblique, smooth_image
from schema_tools import embedding_of
from scipy import ndimage
from scipy.spatial.transform import Rotation

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.registration.embedding import pca
from warpline.registration.embedding.boxes import lung_box
from warpline.registration.embedding.descriptors import pooled_mind_ssc
from warpline.registration.embedding.pair_search import search_pair
from warpline.registration.embedding.registration import finish, register
from warpline.registration.embedding.settings import Settings

torch.set_num_threads(1)
SMALL = Settings(
    **embedding_of(
        1,  # replaced
        keypoints=200,
        erosion=1,
        radius=3,
        neighbours=6,
        strength=0.3,
        share=0.05,
        temperature=0.05,
        shape=[40, 48, 40],
        margin=4.0,
    )
    | {"components": None}  # the maps as they are
)


class Descriptors:
    """MIND-SSC itself in place of a network that predicts it."""

    def features(self, image: torch.Tensor) -> torch.Tensor:
        return pooled_mind_ssc(image, dilation=1)


def textured_pair(grid: Grid, other: Grid, matrix: np.ndarray) -> tuple[Case, Case]:
    """One texture, known as a function of the point, seen on both grids.

    The lungs are an ellipsoid; the moving image shows at ``matrix`` x what the fixed shows at x.
    """
    texture = smooth_image(Grid((64, 64, 64)), seed=4, sigma=1.6).array
    centre = grid.index_to_physical((np.array(grid.shape) - 1) / 2)

    def case(name: str, where: Grid, back: np.ndarray) -> Case:
        points = where.index_to_physical(where.indices()) @ back[:3, :3].T + back[:3, 3] - centre
        values = ndimage.map_coordinates(texture, (points / 1.5 + 31.5).T, order=1, mode="mirror")
        radius = np.linalg.norm(points / (26, 34, 30), axis=-1)
        image = np.where(radius < 1, 200 * values.T - 700, 30.0).astype(np.float32)
        mask = (radius < 1).astype(np.uint8)
        return Case(name, Image(image, where), mask=Image(mask, where))

    return case("fixed", grid, np.eye(4)), case("moving", other, np.linalg.inv(matrix))


def chest_grid(seed: int, shape=(44, 50, 46), spacing=(1.5, 1.7, 1.9)) -> Grid:
    """Oblique and anisotropic, its middle at the origin."""
    rng = np.random.default_rng(seed)
    direction = Rotation.from_rotvec(rng.uniform(-0.25, 0.25, 3)).as_matrix()
    middle = direction @ ((np.array(shape[::-1]) - 1) / 2 * spacing)
    return Grid(shape, spacing, tuple(-middle), tuple(direction.ravel()))


def affine() -> np.ndarray:
    """Shrinks z by a sixth and moves by up to 9 mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag([1.04, 0.97, 0.84])
    matrix[:3, 3] = 4.0, -3.0, 9.0
    return matrix


def errors(field, fixed: Case, matrix: np.ndarray) -> np.ndarray:
    """Of points within the mask, mm."""
    index = np.argwhere(ndimage.binary_erosion(fixed.mask.array, iterations=3))
    points = fixed.grid.index_to_physical(index)
    truth = points @ matrix[:3, :3].T + matrix[:3, 3]
    return np.linalg.norm(field.transform_points(points, order=1) - truth, axis=1)


def test_an_embedding_learns_from_shifted_searches():
    """Each keypoint as often as asked for; without a shift they are all the search itself."""
    grid = chest_grid(1)
    pair = textured_pair(grid, grid, np.eye(4))
    plain = search_pair(*pair, Descriptors(), SMALL)

    def learned(shift: int) -> torch.Tensor:
        settings = replace(SMALL, shift=shift, draws=2)
        random = torch.Generator().manual_seed(0)
        return search_pair(*pair, Descriptors(), settings, generator=random).maps

    assert torch.equal(learned(0), plain.maps.repeat(2, 1))
    # Both images are one: the least entry lies where the shift has moved the keypoint itself to.
    count = 2 * SMALL.radius + 1
    index = np.stack(np.unravel_index(learned(2).argmin(dim=1).numpy(), (count,) * 3))
    found = index - SMALL.radius
    assert np.abs(found).max() == 2
    assert len(np.unique(found, axis=1).T) > 60


def test_a_known_affine_map_is_found_on_oblique_grids():
    """The moving image on another oblique grid; without aligning the boxes it is out of reach."""
    fixed, moving = textured_pair(chest_grid(0), chest_grid(1), affine())
    field, told = register(fixed, moving, Descriptors(), None, SMALL)
    assert field.grid == fixed.grid
    found = errors(field, fixed, affine())
    assert found.mean() < 0.8
    assert told.clipped < 0.05
    apart, other = register(
        fixed, moving, Descriptors(), None, replace(SMALL, align_boxes=False, radius=2)
    )
    assert errors(apart, fixed, affine()).mean() > 2 * found.mean()
    assert other.clipped > 0.2
    assert np.abs(other.start).max() < 1e-9


def test_the_search_finds_what_the_boxes_leave():
    """Seen in the fixed box, keypoints move by 9 mm; before and after the diffusion."""
    fixed, moving = textured_pair(chest_grid(0), chest_grid(1), affine())
    _, told = register(
        fixed, moving, Descriptors(), None, replace(SMALL, align_boxes=False, radius=5)
    )
    truth = told.points @ affine()[:3, :3].T + affine()[:3, 3] - told.points
    start, found, regularised = (
        np.median(np.linalg.norm(u - truth, axis=1))
        for u in (told.start, told.found, told.regularised)
    )
    assert start > 7
    assert max(found, regularised) < 2


def test_how_the_moving_image_is_stored_does_not_matter():
    """Its voxels upside down and its axes exchanged: the same points, so the same field."""
    fixed, moving = textured_pair(chest_grid(0), chest_grid(1), affine())

    def turned(image: Image) -> Image:
        old = image.grid
        axes = np.asarray(old.direction).reshape(3, 3)
        first = old.index_to_physical(np.array([old.shape[0] - 1, 0, 0]))
        grid = Grid(
            (old.shape[1], old.shape[0], old.shape[2]),
            (old.spacing[0], old.spacing[2], old.spacing[1]),
            tuple(first),
            tuple(np.stack([axes[:, 0], -axes[:, 2], axes[:, 1]], axis=1).ravel()),
        )
        array = np.ascontiguousarray(image.array[::-1].transpose(1, 0, 2))
        return Image(array, grid)

    other = Case("moving", turned(moving.image), mask=turned(moving.mask))
    a, _ = register(fixed, moving, Descriptors(), None, SMALL)
    b, _ = register(fixed, other, Descriptors(), None, SMALL)
    np.testing.assert_allclose(a.vectors, b.vectors, atol=2e-2)


def test_the_box_holds_the_mask_with_its_margin():
    """Along axes that are not the image's: brute force over all corners of all voxels."""
    grid = oblique((12, 14, 10))
    rng = np.random.default_rng(0)
    mask = ndimage.binary_dilation(rng.random(grid.shape) > 0.997, iterations=2).astype(np.uint8)
    case = Case("c", Image(mask.astype(np.float32), grid), mask=Image(mask, grid))
    axes = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
    box = lung_box(case, tuple(axes.ravel()), (20, 16, 24), 2.5)
    steps = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3)).reshape(3, -1).T
    corners = (np.argwhere(mask)[:, None] + steps).reshape(-1, 3)
    inside = box.physical_to_index(grid.index_to_physical(corners))
    spacing = np.array(box.spacing[::-1])
    np.testing.assert_allclose((inside.min(0) + 0.5) * spacing, 2.5, atol=1e-9)
    far = (np.array(box.shape) - 0.5 - inside.max(0)) * spacing
    np.testing.assert_allclose(far, 2.5, atol=1e-9)


def test_a_full_embedding_changes_nothing_and_a_short_one_is_the_first_of_it():
    fixed, moving = textured_pair(chest_grid(0), chest_grid(1), affine())
    short = replace(SMALL, radius=2, keypoints=400)
    search = search_pair(fixed, moving, Descriptors(), short)
    assert search.maps.shape == (len(search.points), 125)
    plain, _ = finish(search, fixed.grid, None, short)
    count = len(search.maps) - 1  # spans the maps that it was learned from
    full = pca.fit([search.maps], count)
    field, told = register(fixed, moving, Descriptors(), full, replace(short, components=count))
    np.testing.assert_allclose(field.vectors, plain.vectors, atol=2e-2)
    np.testing.assert_allclose(told.displacement_map.ravel(), search.maps[0].numpy())
    _, few = register(fixed, moving, Descriptors(), full, replace(short, components=20))
    _, same = finish(search, fixed.grid, full.first(20), short)
    np.testing.assert_array_equal(few.reconstruction, same.reconstruction)
    assert not np.allclose(few.reconstruction, told.reconstruction, atol=1e-3)


def test_the_reach_is_that_of_the_search_in_mm():
    fixed, moving = textured_pair(chest_grid(0), chest_grid(1), affine())
    short = replace(SMALL, radius=2, step=0.5)
    search = search_pair(fixed, moving, Descriptors(), short)
    _, told = finish(search, fixed.grid, None, short)
    expected = 2 * np.array(search.moving.spacing[::-1])  # 2 steps of half a stride of 2
    np.testing.assert_allclose(told.reach, expected)
    stages = "resample", "features", "keypoints", "search", "embedding", "diffusion", "densify"
    assert set(stages) < set(told.seconds)


def test_bad_input():
    fixed, moving = textured_pair(chest_grid(0), chest_grid(1), affine())
    network = Descriptors()
    with pytest.raises(WarplineError, match="has no lung mask") as caught:
        register(fixed, replace(moving, mask=None), network, None, SMALL)
    assert caught.value.where == "case moving"
    empty = fixed.mask.with_array(np.zeros_like(fixed.mask.array))
    with pytest.raises(WarplineError, match="without any voxel"):
        register(replace(fixed, mask=empty), moving, network, None, SMALL)
    flat = fixed.image.with_array(np.full_like(fixed.image.array, -800))
    with pytest.raises(WarplineError, match="no keypoints") as caught:
        register(replace(fixed, image=flat), moving, network, None, SMALL)
    assert caught.value.where == "case fixed"
    embedding = pca.fit([torch.rand(30, 125)], 8)
    for given, settings in (
        (None, replace(SMALL, components=8)),
        (embedding, replace(SMALL, components=8)),
    ):
        with pytest.raises(WarplineError, match="does not fit a search of 343"):
            register(fixed, moving, network, given, settings)
    with pytest.raises(WarplineError, match="has 8 components, not 9"):
        register(fixed, moving, network, embedding, replace(SMALL, radius=2, components=9))
