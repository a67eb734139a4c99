"""The project's own method: known deformations found again, no folds, what it says of itself."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from fieldtools import oblique, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_tools import warpline_of

import warpline
from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.fields.consistency import inverse_consistency
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image
from warpline.images.itk import to_sitk
from warpline.registration.method import Method, registrar
from warpline.registration.variational.call import TOLD, settings_of
from warpline.registration.variational.call import register as call
from warpline.registration.variational.features import Features
from warpline.registration.variational.frame import frame_of, read_scan
from warpline.registration.variational.guard import Map, along_axes, unfolded
from warpline.registration.variational.labels import Segmenter
from warpline.registration.variational.normal import equations, solve, stiffness
from warpline.registration.variational.pipeline import register
from warpline.registration.variational.registrar import VariationalRegistrar
from warpline.registration.variational.search import search
from warpline.registration.variational.settings import Settings
from warpline.registration.variational.shifts import displaced, likeness
from warpline.registration.variational.velocity import coarser, exponential, resized, spacing_of

GRID = oblique((30, 34, 32), spacing=(1.4, 1.6, 2.2))
SETTINGS = Settings(**warpline_of(quality="fast"))
CENTRE = GRID.index_to_physical((np.asarray(GRID.shape) - 1) / 2)


def shade(points, seed=0):
    """A texture of all of space, about ±1: fifty waves of 6 to 16 mm."""
    rng = np.random.default_rng(seed)
    waves = rng.standard_normal((50, 3))
    waves *= (2 * np.pi / rng.uniform(6, 16, 50) / np.linalg.norm(waves, axis=1))[:, None]
    phases = rng.uniform(0, 2 * np.pi, 50)
    return np.cos(points @ waves.T + phases).sum(axis=-1) / 5


def push(points):
    """A smooth displacement in mm, at most some 5 mm, none far from the middle."""
    q = (points - CENTRE) / 16
    return np.exp(-(q**2).sum(-1, keepdims=True)) * np.array([4.0, -3.0, 2.5])


def places(grid):
    return grid.index_to_physical(grid.indices())


def pair(shift=(0.0, 0.0, 0.0), shape=(32, 36, 34)):
    """A fixed image, the moving one on another grid, and the true field, push and shift."""
    shift = np.asarray(shift)
    grid = replace(GRID, shape=shape, origin=tuple(np.asarray(GRID.origin) + shift - 1.3))
    fixed = shade(places(GRID) + push(places(GRID)))
    moving = shade(places(grid) - shift)
    truth = DisplacementField((push(places(GRID)) + shift).astype(np.float32), GRID)
    return (
        Case("f", Image(fixed.astype(np.float32) * 300, GRID)),
        Case("m", Image(moving.astype(np.float32) * 300, grid)),
        truth,
    )


def error(field, truth, margin=4):
    """Mean distance in mm, away from the faces."""
    inner = (slice(margin, -margin),) * 3
    return float(np.linalg.norm((field.vectors - truth.vectors)[inner], axis=-1).mean())


# A whole pair -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    fixed, moving, truth = pair()
    return fixed, moving, truth, register(fixed, moving, replace(SETTINGS, quality="balanced"))


def test_a_known_deformation_is_found_again(found):
    _, _, truth, result = found
    start = DisplacementField.from_matrix(result.affine, GRID)
    assert error(DisplacementField.identity(GRID), truth) > 1.2
    assert error(start, truth) > 0.5  # it is not affine
    assert error(result.field, truth) < 0.2  # an eighth of a voxel
    assert result.values["confidence"] > 0.9


def test_neither_field_folds_and_each_undoes_the_other(found):
    *_, result = found
    assert (result.field.jacobian_determinant() > 0).all()
    assert (result.inverse.jacobian_determinant() > 0).all()
    assert inverse_consistency(result.field, result.inverse) < 0.05
    assert inverse_consistency(result.inverse, result.field) < 0.05


def test_a_start_that_is_given_leads_to_the_same_place(found):
    fixed, moving, _, result = found
    options = replace(SETTINGS, quality="balanced")
    again = register(fixed, moving, options, given=result.affine, inverse=False)
    assert again.inverse is None
    assert np.abs(again.field.vectors - result.field.vectors).max() < 0.3


def test_a_shift_of_a_hundred_millimetres_is_found(found):
    shift = 100 * np.array([0.6, -0.64, 0.48])
    fixed, moving, truth = pair(shift)
    result = register(fixed, moving, replace(SETTINGS, quality="balanced"), inverse=False)
    assert error(result.field, truth) < 0.2
    assert result.values["confidence"] > 0.9


def test_inverted_non_linear_contrast_is_registered_too():
    fixed, moving, truth = pair()
    other = moving.image.array
    other = 400 - other + 0.0005 * other**2
    bias = 1 + 0.3 * np.linspace(-1, 1, other.shape[2])
    unlike = replace(moving, image=moving.image.with_array((other * bias).astype(np.float32)))
    result = register(fixed, unlike, replace(SETTINGS, quality="balanced"), inverse=False)
    assert result.values["likeness_of_shades"] < 0
    assert error(result.field, truth) < 0.5
    assert (result.field.jacobian_determinant() > 0).all()


def test_a_turn_of_thirty_degrees_is_found():
    fixed, moving, _ = pair()
    turn = np.radians(30)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE
    back = np.linalg.inv(matrix)
    points = places(moving.grid) @ back[:3, :3].T + back[:3, 3]
    turned = replace(moving, image=moving.image.with_array(shade(points).astype(np.float32)))
    result = register(fixed, turned, replace(SETTINGS, start="rigid"), inverse=False)
    truth = DisplacementField.from_matrix(matrix, GRID).compose(
        DisplacementField(push(places(GRID)).astype(np.float32), GRID)
    )
    assert error(result.field, truth, margin=8) < 0.8


def test_masks_say_where_to_look():
    """Half of the moving image shows something else; without masks it would count."""
    fixed, moving, truth = pair()
    other = np.random.default_rng(3).standard_normal(moving.grid.shape).astype(np.float32) * 300
    half = np.arange(moving.grid.shape[2]) < 17
    spoilt = np.where(half, moving.image.array, other)
    mask = np.broadcast_to(half, moving.grid.shape).astype(np.uint8)
    image = moving.image.with_array(spoilt)
    masked = replace(moving, image=image, mask=image.with_array(mask))
    result = register(fixed, masked, SETTINGS, inverse=False)
    distance = np.linalg.norm(result.field.vectors - truth.vectors, axis=-1)
    assert distance[4:-4, 4:-4, 4:12].mean() < 0.5
    unmasked = register(fixed, masked, replace(SETTINGS, masked=False), inverse=False)
    assert unmasked.values["overlap"] > result.values["overlap"]


def test_landmarks_pull_where_images_say_nothing():
    grid = Grid((24, 24, 24), (2.0, 2.0, 2.0))
    flat = Image(np.zeros(grid.shape, np.float32), grid)
    cases = Case("f", flat), Case("m", flat)
    first = np.array([[20.0, 22.0, 24.0], [30.0, 22.0, 24.0]])
    second = first + np.array([3.0, -2.0, 1.0])
    options = replace(SETTINGS, start="none", quality="balanced")
    result = register(*cases, options, landmarks=(first, second))
    moved = result.field.transform_points(first)
    assert np.linalg.norm(moved - second, axis=1).max() < 0.3
    assert np.linalg.norm(result.inverse.transform_points(second) - first, axis=1).max() < 0.3
    assert (result.field.jacobian_determinant() > 0).all()
    with pytest.raises(WarplineError, match="2 landmarks of the fixed and 1"):
        register(*cases, options, landmarks=(first, second[:1]))


def test_probabilities_move_what_the_images_do_not_show():
    grid = Grid((24, 24, 24), (2.0, 2.0, 2.0))
    flat = Image(np.zeros(grid.shape, np.float32), grid)
    index = grid.indices()

    def ball(middle):
        distance = np.linalg.norm(index - np.asarray(middle), axis=-1)
        return (1 / (1 + np.exp(distance - 6)))[None].astype(np.float32)

    fixed, moving = ball((12, 12, 12)), ball((12, 13.5, 11))
    result = register(
        Case("f", flat),
        Case("m", flat),
        replace(SETTINGS, start="none", quality="balanced"),
        probabilities=(fixed, moving),
    )
    warped = result.field.warp_image(flat.with_array(moving[0])).array
    assert np.abs(warped - fixed[0]).mean() < 0.25 * np.abs(moving - fixed).mean()


@pytest.mark.parametrize("case", ["constant", "unrelated", "no number"])
def test_what_shows_nothing_common_is_said_to_be_unsure(case):
    fixed, moving, _ = pair(shape=(20, 22, 21))
    rng = np.random.default_rng(8)
    array = {
        "constant": np.full(moving.grid.shape, 7.0, np.float32),
        "unrelated": rng.standard_normal(moving.grid.shape).astype(np.float32),
        "no number": np.full(moving.grid.shape, np.nan, np.float32),
    }[case]
    other = replace(moving, image=moving.image.with_array(array))
    for one, two in ((fixed, other), (other, fixed))[: 1 if case == "unrelated" else 2]:
        result = register(one, two, SETTINGS)
        assert result.values["confidence"] < 0.2
        assert np.isfinite(result.field.vectors).all()
        assert (result.field.jacobian_determinant() > 0).all()
        assert (result.inverse.jacobian_determinant() > 0).all()


# Parts ------------------------------------------------------------------------------------------


def test_the_equations_are_those_of_a_shift():
    """Of two ramps that differ by a shift along x, each voxel's own solution is that shift."""
    x = torch.arange(12.0).expand(1, 1, 9, 10, 12)
    known = torch.ones_like(x)
    spacing = (2.0, 1.0, 0.5)
    found = equations(
        x, x - 0.6, (known, known), torch.zeros(1, 3, 9, 10, 12), (spacing,) * 2, None
    )
    inner = (slice(None), slice(None), *(slice(1, -1),) * 3)
    curvature, slope = found.curvature[inner], found.slope[inner]
    assert curvature[:, 2].numpy() == pytest.approx(4.0)  # (1 / 0.5 mm)²
    assert (slope[:, 2] / -curvature[:, 2]).numpy() == pytest.approx(0.6 * 0.5, rel=1e-5)
    assert found.mean == pytest.approx(0.36, rel=1e-5)
    halved = equations(
        x, x - 0.6, (known, known), torch.zeros(1, 3, 9, 10, 12), (spacing,) * 2, 0.36
    )
    assert halved.weight.numpy() == pytest.approx(0.5)


def test_stiffness_is_half_the_gradient_of_the_slope_squared():
    torch.manual_seed(0)
    spacing = (1.5, 0.7, 2.0)
    v = torch.randn(1, 3, 5, 6, 7, dtype=torch.float64, requires_grad=True)
    energy = sum((v.diff(dim=a + 2) / s).square().sum() for a, s in enumerate(spacing))
    (gradient,) = torch.autograd.grad(energy, v)
    assert torch.allclose(2 * stiffness(v.detach(), spacing), gradient)


def test_conjugate_gradients_solve_the_equations():
    torch.manual_seed(1)
    shape, spacing = (5, 6, 5), (1.0, 2.0, 1.5)
    g = torch.randn(3, 4, *shape, dtype=torch.float64)
    r = torch.randn(4, *shape, dtype=torch.float64)
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    curvature = torch.stack([(g[i] * g[j]).sum(0) for i, j in pairs])[None]
    slope = (g * r).sum(1)[None]
    v = torch.randn(1, 3, *shape, dtype=torch.float64)
    step = solve(curvature, slope, v, spacing, 0.3, 0.01, 200).requires_grad_()
    data = ((r + torch.einsum("kczyx,kzyx->czyx", g, step[0])) ** 2).sum()
    smooth_part = sum(
        ((v + step).diff(dim=a + 2) / s).square().sum() for a, s in enumerate(spacing)
    )
    energy = data + 0.3 * smooth_part + 0.01 * step.square().sum()
    (gradient,) = torch.autograd.grad(energy, step)
    assert gradient.abs().max() < 1e-8 * slope.abs().max()


@given(st.integers(0, 1000), st.floats(0.2, 6.0))
@settings(max_examples=15, deadline=None)
def test_a_velocity_of_any_size_is_made_a_field_without_folds(seed, amplitude):
    """White noise a voxel apart: far from anything that a registration makes."""
    frame = oblique((9, 10, 8), seed=seed)
    rng = np.random.default_rng(seed)
    velocity = torch.from_numpy(rng.standard_normal((1, 3, 9, 10, 8)) * amplitude).float()
    matrix = np.eye(4)
    matrix[:3, :3] += 0.1 * rng.standard_normal((3, 3))
    fixed = replace(frame, shape=(14, 12, 13))
    moving = oblique((9, 12, 11), seed=seed + 1)
    forward, inverse, calm, repairs = unfolded(velocity, frame, matrix, fixed, moving)
    assert (forward.jacobian_determinant() > 0).all()
    assert (inverse.jacobian_determinant() > 0).all()
    assert repairs > 0 or torch.equal(calm, velocity)


def test_a_calm_velocity_is_left_as_it_is():
    velocity = smooth((12, 12, 12), 0.5)
    frame = oblique((12, 12, 12))
    *_, same, repairs = unfolded(velocity, frame, np.eye(4), frame, frame)
    assert repairs == 0
    assert torch.equal(same, velocity)


def test_the_fields_of_a_map_are_the_affine_one_of_no_velocity():
    matrix = np.array([[1.1, 0.1, 0, 4], [-0.1, 0.9, 0.2, -7], [0, 0.1, 1, 2], [0, 0, 0, 1.0]])
    still = Map(torch.zeros(1, 3, 6, 7, 5), oblique((11, 12, 10)), matrix)
    fixed, moving = oblique((8, 9, 7)), oblique((6, 8, 9), seed=4)
    points = places(fixed)
    moved = points + still.forward(fixed)[0].vectors
    assert moved == pytest.approx(points @ matrix[:3, :3].T + matrix[:3, 3], abs=1e-4)
    back = DisplacementField.from_matrix(np.linalg.inv(matrix), moving).vectors
    assert still.inverse(moving)[0].vectors == pytest.approx(back, abs=1e-4)


def test_the_folds_that_are_looked_for_are_those_of_evaluation():
    frame = oblique((10, 10, 10))
    velocity = torch.randn(1, 3, 10, 10, 10, generator=torch.manual_seed(2)) * 3
    field, folds = Map(velocity, frame, np.eye(4)).forward(frame)
    assert folds == (field.jacobian_determinant() <= 0).sum() > 0


def test_reading_along_axes_is_reading_linearly():
    own = oblique((7, 8, 6))
    field = DisplacementField(np.random.default_rng(0).random((*own.shape, 3)), own)
    volume = torch.from_numpy(np.moveaxis(field.vectors, -1, 0))[None]
    origin = tuple(own.index_to_physical([-1.3, 2.2, 0.4]))
    spacing = tuple(np.asarray(own.spacing) * (0.7, 1.2, 0.9))
    other = Grid((9, 5, 8), spacing, origin, own.direction)
    read = np.moveaxis(along_axes(volume, own, other)[0].numpy(), 0, -1)
    assert read == pytest.approx(field.resample(other).vectors, abs=1e-5)


def test_the_exponential_of_a_constant_is_the_constant_in_millimetres():
    velocity = torch.tensor([3.0, -2.0, 5.0]).view(1, 3, 1, 1, 1).expand(1, 3, 6, 6, 6)
    assert torch.allclose(exponential(velocity, (2.0, 0.5, 1.0)), velocity, atol=1e-5)


def test_a_coarser_grid_spans_the_same_box():
    shape = coarser((41, 21, 9), 2)
    assert shape == (21, 11, 5)
    spacing = spacing_of((41, 21, 9), (1.0, 2.0, 3.0), shape)
    assert [(n - 1) * s for n, s in zip(shape, spacing, strict=True)] == pytest.approx([40, 40, 24])
    ramp = torch.linspace(0, 1, 41).view(1, 1, 41, 1, 1).expand(1, 1, 41, 21, 9)
    small = Features(ramp.contiguous(), torch.ones(1, 1, 41, 21, 9)).at(shape)
    inner = small.channels[0, 0, 1:-1, 3, 3]
    assert inner.numpy() == pytest.approx(np.linspace(0, 1, 21)[1:-1], abs=1e-5)
    assert resized(ramp, ramp.shape[2:]) is ramp


def test_a_frame_keeps_the_voxels_that_it_can():
    grid = oblique((40, 50, 60), spacing=(1.0, 1.0, 2.5))
    whole = (np.zeros(3), np.asarray(grid.shape) - 1.0)
    assert frame_of(grid, whole, 10**6).close_to(grid)
    less = frame_of(grid, whole, 30_000)
    assert less.spacing[2] == 2.5
    assert np.prod(less.shape) < 33_000
    middles = [g.index_to_physical((np.asarray(g.shape) - 1) / 2) for g in (grid, less)]
    assert middles[0] == pytest.approx(middles[1], abs=0.1)
    part = frame_of(grid, (np.array([5.0, 7, 9]), np.array([20.0, 30, 40])), 10**6)
    assert part.shape == (16, 24, 32)
    assert part.origin == pytest.approx(grid.index_to_physical([5, 7, 9]))


def test_padding_is_not_looked_at_but_dark_voxels_inside_are():
    array = np.random.default_rng(0).uniform(1, 2, (20, 20, 20)).astype(np.float32)
    array[:4] = 0
    array[10, 10, 10] = 0
    known = read_scan(Image(array, oblique((20, 20, 20))), None).known.array
    assert not known[:4].any()
    assert known[4:].all()


@given(st.tuples(*[st.integers(-4, 4)] * 3))
@settings(max_examples=10, deadline=None)
def test_the_best_of_all_shifts_is_the_true_one(shift):
    whole = np.random.default_rng(5).standard_normal((2, 24, 24, 24))
    low = np.asarray(shift) + 6
    fixed = whole[:, 6:18, 6:18, 6:18]
    moving = whole[:, *(slice(a, a + 11) for a in low)]
    score, overlap = likeness((fixed, np.ones((12,) * 3)), (moving, np.ones((11,) * 3)))
    index = np.unravel_index(score.argmax(), score.shape)
    assert tuple(displaced(index, score.shape, (12,) * 3)) == shift
    assert overlap[index] > 0.3


def test_a_displacement_of_many_voxels_is_searched():
    """Noise of single voxels, which no gradient leads anywhere; 4 mm along z and -4 along x."""
    rng = np.random.default_rng(6)
    whole = torch.from_numpy(rng.standard_normal((1, 2, 28, 20, 28))).float()
    known = torch.ones(1, 1, 20, 20, 20)
    fixed = Features(whole[:, :, 4:24, :, 4:24].contiguous(), known)
    moving = Features(whole[:, :, 2:22, :, 6:26].contiguous(), known)
    velocity = search(fixed, moving, (2.0, 2.0, 2.0), 3, 27_000)
    inner = velocity[0, :, 5:-5, 5:-5, 5:-5].flatten(1)
    assert inner.mean(1).numpy() == pytest.approx([4.0, 0.0, -4.0], abs=0.3)
    back = search(moving, fixed, (2.0, 2.0, 2.0), 3, 27_000)
    assert torch.allclose(back, -velocity, atol=1e-4)


# Its doors --------------------------------------------------------------------------------------


def test_the_call_has_the_defaults_of_the_schema():
    assert settings_of() == Settings(**warpline_of())
    assert settings_of(quality="fast") == SETTINGS
    own = {k: p.default for k, p in inspect.signature(call).parameters.items()}
    assert {own[k] for k in TOLD} == {None}


def test_the_call_takes_images_and_files_and_gives_what_itk_takes(tmp_path):
    fixed, moving, truth = pair()
    images = [to_sitk(case.image) for case in (fixed, moving)]
    sitk.WriteImage(images[1], str(tmp_path / "moving.nii.gz"))
    result = warpline.register(images[0], tmp_path / "moving.nii.gz", quality="fast")
    assert result.folds == 0
    assert set(result.diagnostics["stages"]) >= {"start", "refine"}
    transform = sitk.DisplacementFieldTransform(sitk.Image(result.field))
    point = GRID.index_to_physical([15, 17, 16])
    there = transform.TransformPoint(point)
    assert there == pytest.approx(point + truth.vectors[15, 17, 16], abs=1.0)
    assert result.inverse.GetSize() == images[1].GetSize()
    assert result.warp(images[1]).GetSize() == images[0].GetSize()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quality": "perfect"}, "quality.*fast.*balanced.*best"),
        ({"smoothness": 0}, "smoothness: 0 is less"),
        ({"start": "similarity"}, "affine"),
        ({"start": np.eye(3)}, "4, 4"),
        ({"appearance": "odd"}, "unlike"),
    ],
)
def test_the_call_says_what_it_takes(changes, says):
    image = Image(np.zeros((4, 4, 4), np.float32), Grid((4, 4, 4)))
    with pytest.raises(WarplineError, match=says):
        warpline.register(image, image, **changes)


def test_it_is_a_method_like_any_other():
    fixed, moving, truth = pair()
    spec = {
        "kind": "warpline",
        "seed": 0,
        "parameters": {},
        "warpline": warpline_of(quality="fast"),
    }
    with registrar(Method.of(spec), "cpu", "test") as chosen:
        found = chosen.register(fixed, moving)
    assert error(found.field, truth) < 0.6
    assert 0.9 < found.diagnostics.values["confidence"] <= 1


class Bright(torch.nn.Module):
    """Says that what is brighter than one half of the image's range is the label."""

    organs, numbers = ("bright",), (1,)

    def forward(self, image):
        low, high = image.amin(), image.amax()
        found = torch.sigmoid(8 * ((image - low) / (high - low).clamp_min(1e-6) - 0.5))
        return torch.cat([1 - found, found], dim=1)


def test_a_segmenter_says_its_probabilities_on_the_image_of_the_scanner():
    """Whatever grid its own preparation leads to, which is undone."""
    fixed, _, _ = pair()
    cpu = torch.device("cpu")
    plain = Segmenter(Bright().eval(), None, [], cpu)(fixed)
    assert plain.shape == (1, *fixed.grid.shape)
    steps = [{"pad_crop": {"shape": [40, 40, 40], "fill": "minimum"}}, {"rescale": {}}]
    padded = Segmenter(Bright().eval(), None, steps, cpu)(fixed)
    np.testing.assert_allclose(padded, plain, atol=1e-4)
    windows = Segmenter(Bright().eval(), 64, [], cpu)(fixed)
    np.testing.assert_allclose(windows, plain, atol=1e-6)


def test_a_registrar_compares_what_its_segmenter_says():
    """Images that are flat but for a ball each, in shades that alone say little."""
    grid = Grid((24, 24, 24), (2.0, 2.0, 2.0))
    index = grid.indices()

    def ball(name, middle):
        inside = 1 / (1 + np.exp(np.linalg.norm(index - np.asarray(middle), axis=-1) - 6))
        return Case(name, Image(inside.astype(np.float32), grid))

    fixed, moving = ball("f", (12, 12, 12)), ball("m", (12, 13.5, 11))
    options = Settings(**warpline_of(quality="balanced", start="none", local=0, whole=1e-6))
    apart = {}
    for name, segmenter in (
        ("alone", None),
        ("with", Segmenter(Bright().eval(), None, [], torch.device("cpu"))),
    ):
        found = VariationalRegistrar(options, "cpu", segmenter).register(fixed, moving)
        warped = found.field.warp_image(moving.image).array
        apart[name] = float(np.abs(warped - fixed.image.array).mean())
    assert apart["with"] < 0.5 * apart["alone"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("abdomen-generated-sym", "segments nothing"),
        ("abdomen-generated-segmenter", "does not say how its cases were prepared"),
        ("abdomen-segmenter", "no model 'abdomen-segmenter'"),
    ],
)
def test_models_that_cannot_segment_images_are_refused(name, says):
    image = Image(np.zeros((4, 4, 4), np.float32), Grid((4, 4, 4)))
    with pytest.raises(WarplineError, match=says):
        warpline.register(image, image, segmenter=name)
