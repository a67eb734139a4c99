"""The hippocampus phantom: known deformations, plausible anatomy, the same bytes every time."""

from __future__ import annotations

import hashlib
import tarfile
from itertools import combinations

import numpy as np
import pytest
from schema_tools import files_of, phantom_of
from scipy import ndimage

from warpline import phantoms
from warpline.acquire import formats
from warpline.acquire.archive import Archive
from warpline.acquire.canonical import canonicalise
from warpline.acquire.fetch import fetch
from warpline.acquire.unpack import unpack
from warpline.errors import WarplineError
from warpline.images.grid import Grid
from warpline.phantoms.anatomy.deformation import (
    compose,
    exponential,
    jacobian_determinant,
    random_diffeomorphism,
    random_velocity,
    warp,
)
from warpline.phantoms.anatomy.hippocampus import BODY, HEAD, LABELS, subject

GRID = Grid((24, 26, 28), spacing=(1.0, 1.5, 2.0))


# --- deformations ---------------------------------------------------------------------------------


def millimetres(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Lengths (z, y, x) in mm of a field in voxels."""
    return np.linalg.norm(field * np.asarray(grid.spacing[::-1])[:, None, None, None], axis=0)


def test_amplitude_is_in_millimetres():
    velocity = random_velocity(GRID, amplitude=4, smoothness=9, seed=0)
    assert millimetres(velocity, GRID).max() == pytest.approx(4)
    deformation = random_diffeomorphism(GRID, amplitude=4, smoothness=9, seed=0)
    assert 2 < millimetres(deformation.displacement, GRID).max() < 4.05


def test_smoothness_is_in_millimetres():
    """A field's correlation length grows as the smoothness does, and is the same along all axes."""
    lengths = []
    for smoothness in (4, 8):
        fields = [
            random_velocity(Grid((40, 40, 40)), amplitude=1, smoothness=smoothness, seed=seed)
            for seed in range(6)
        ]
        steps = np.array([[(np.diff(f, axis=k) ** 2).mean() for k in (1, 2, 3)] for f in fields])
        variance = np.mean([f.var() for f in fields])
        per_axis = np.sqrt(variance / steps.mean(axis=0))
        assert per_axis.max() / per_axis.min() < 1.5
        lengths.append(per_axis.mean())
    assert 1.6 < lengths[1] / lengths[0] < 2.4


def test_the_same_seed_gives_the_same_field():
    first, second, other = (
        random_velocity(GRID, amplitude=4, smoothness=9, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1


def test_inverse():
    deformation = random_diffeomorphism(GRID, amplitude=4, smoothness=9, seed=0)
    there_and_back = compose(deformation.displacement, deformation.inverse)
    inner = there_and_back[:, 5:-5, 5:-5, 5:-5]
    assert np.abs(inner).max() < 0.05


def test_a_deformation_is_a_diffeomorphism():
    deformation = random_diffeomorphism(GRID, amplitude=4, smoothness=9, seed=0)
    assert jacobian_determinant(deformation.displacement).min() > 0
    assert jacobian_determinant(deformation.inverse).min() > 0
    with pytest.raises(ValueError, match="folds"):
        random_diffeomorphism(GRID, amplitude=200, smoothness=2, seed=0)


def test_exponential_of_a_constant_is_the_constant():
    velocity = np.ones((3, 5, 6, 7)) * np.array([1.0, -2.0, 0.5])[:, None, None, None]
    np.testing.assert_allclose(exponential(velocity), velocity)
    np.testing.assert_array_equal(exponential(np.zeros((3, 4, 4, 4))), 0)


def test_exponential_of_a_linear_field_is_the_exponential_of_its_matrix():
    """exp(a (i - c)) = e^a (i - c), away from the border."""
    centred = np.indices((31, 31, 31)) - 15.0
    displacement = exponential(-0.3 * centred, steps=10)
    np.testing.assert_allclose(displacement, (np.exp(-0.3) - 1) * centred, atol=2e-3)


def test_jacobian_determinant_of_an_affine_map():
    matrix = np.array([[1.2, 0.1, 0.0], [0.0, 0.9, 0.2], [-0.1, 0.0, 1.1]])
    index = np.indices((5, 6, 7))
    displacement = np.einsum("ij,jzyx->izyx", matrix - np.eye(3), index)
    np.testing.assert_allclose(jacobian_determinant(displacement), np.linalg.det(matrix))


def test_warp_samples_at_the_displaced_index():
    array = np.random.default_rng(0).normal(size=(4, 5, 6))
    shift = np.zeros((3, 4, 5, 6))
    shift[2] = 1
    np.testing.assert_allclose(warp(array, shift)[..., :-1], array[..., 1:])
    np.testing.assert_allclose(warp(array, shift)[..., -1], array[..., -1])


# --- anatomy --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def subjects():
    return [subject(seed) for seed in range(6)]


def padded(array: np.ndarray, size: int = 64) -> np.ndarray:
    before = [(size - n) // 2 for n in array.shape]
    after = [size - n - b for n, b in zip(array.shape, before, strict=True)]
    return np.pad(array, list(zip(before, after, strict=True)))


def test_a_subject_is_the_same_for_the_same_seed(subjects):
    again = subject(2)
    np.testing.assert_array_equal(again.image.array, subjects[2].image.array)
    np.testing.assert_array_equal(again.labels.array, subjects[2].labels.array)
    assert (
        again.image.array.shape != subjects[3].image.array.shape
        or (again.image.array != subjects[3].image.array).any()
    )


@pytest.mark.long
def test_size_and_volumes_are_those_of_the_real_task(subjects):
    """Ranges of the Decathlon's 230 cases, a little widened."""
    for one in subjects:
        assert one.image.grid == one.labels.grid
        low, high = (20, 40, 24), (50, 62, 45)
        assert all(a <= n <= b for a, n, b in zip(low, one.image.array.shape, high, strict=True))
        volumes = [(one.labels.array == label).sum() for label in (HEAD, BODY)]
        assert all(900 < volume < 2700 for volume in volumes)


def test_each_label_is_one_piece_with_a_margin(subjects):
    for one in subjects:
        for label in LABELS:
            _, pieces = ndimage.label(one.labels.array == label)
            assert pieces == 1
        inner = np.zeros_like(one.labels.array, dtype=bool)
        inner[2:-2, 2:-2, 2:-2] = True
        assert not one.labels.array[~inner].any()


def test_the_head_lies_before_and_below_the_body(subjects):
    for one in subjects:
        head, body = (np.argwhere(one.labels.array == label).mean(axis=0) for label in LABELS)
        assert head[0] < body[0]  # z up
        assert head[1] > body[1] + 10  # y forward


def test_there_is_an_edge_at_the_boundary(subjects):
    """The signal just outside differs from the signal inside by several times the noise."""
    for one in subjects:
        image = one.image.array / np.percentile(one.image.array, 95)
        inside = one.labels.array > 0
        shell = ndimage.binary_dilation(inside, iterations=2) & ~inside
        core = ndimage.binary_erosion(inside)
        contrast = np.abs(image[shell] - image[core].mean())
        assert np.median(contrast) > 0.12
        assert image[core].std() < 0.12


@pytest.mark.long
def test_subjects_overlap_as_real_ones_do(subjects):
    """The Decathlon's cases, padded about their middle, have a mean Dice of 0.55."""
    maps = [padded(one.labels.array) for one in subjects]
    scores = [
        2 * ((a == label) & (b == label)).sum() / ((a == label).sum() + (b == label).sum())
        for a, b in combinations(maps, 2)
        for label in LABELS
    ]
    assert 0.45 < np.mean(scores) < 0.68


def test_without_variation_only_the_margins_differ():
    calm = {"variation": 0, "amplitude": 0, "noise": 0, "bias": 0}
    volumes = {tuple(np.bincount(subject(s, **calm).labels.array.ravel())[1:]) for s in range(2)}
    assert len(volumes) == 1


# --- archive --------------------------------------------------------------------------------------

CASES = [{"case": "004"}, {"case": "001"}]
DATASET = {"labels": {"1": "head", "2": "body"}}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    (path,) = phantoms.write(
        "hippocampus", phantom_of(seed=1), CASES, tmp_path_factory.mktemp("mirror")
    )
    return path


def test_the_archive_is_the_same_every_time(archive, tmp_path):
    (again,) = phantoms.write("hippocampus", phantom_of(seed=1), CASES[::-1], tmp_path)
    assert again.read_bytes() == archive.read_bytes()
    (other,) = phantoms.write("hippocampus", phantom_of(seed=2), CASES, tmp_path)
    assert other.read_bytes() != archive.read_bytes()
    sums = (tmp_path / "SHA256SUMS").read_text()
    assert sums == f"{hashlib.sha256(other.read_bytes()).hexdigest()}  Task04_Hippocampus.tar\n"


def test_the_archive_is_laid_out_as_the_real_one(archive):
    with tarfile.open(archive) as tar:
        assert tar.getnames() == [
            "Task04_Hippocampus/dataset.json",
            "Task04_Hippocampus/imagesTr/hippocampus_001.nii.gz",
            "Task04_Hippocampus/labelsTr/hippocampus_001.nii.gz",
            "Task04_Hippocampus/imagesTr/hippocampus_004.nii.gz",
            "Task04_Hippocampus/labelsTr/hippocampus_004.nii.gz",
        ]


def test_a_case_does_not_depend_on_the_others(archive, tmp_path):
    (alone,) = phantoms.write("hippocampus", phantom_of(seed=1), CASES[:1], tmp_path)
    name = "Task04_Hippocampus/imagesTr/hippocampus_004.nii.gz"
    with tarfile.open(alone) as one, tarfile.open(archive) as both:
        assert one.extractfile(name).read() == both.extractfile(name).read()


def test_from_archive_to_canonical_cases(archive, tmp_path):
    (line,) = (archive.parent / "SHA256SUMS").read_text().splitlines()
    source = Archive(archive.name, (archive.as_uri(),), (f"sha256:{line.split()[0]}",))
    folder = unpack(fetch(source, tmp_path / "archives"), tmp_path / "unpacked")
    for case, files in formats.locate_all("msd", folder, files_of(**DATASET), CASES).items():
        made = canonicalise(files, case, tmp_path / "cases" / case, labels=LABELS)
        assert set(np.unique(made.labels.array)) == {0, 1, 2}
        assert made.image.array.std() > 0


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(WarplineError, match="no phantom 'hipocampus'") as error:
        phantoms.write("hipocampus", phantom_of(), CASES, tmp_path)
    assert "Did you mean 'hippocampus'?" in error.value.do
    with pytest.raises(WarplineError, match="no parameter 'noize'") as error:
        phantoms.write("hippocampus", phantom_of(parameters={"noize": 0}), CASES, tmp_path)
    assert "Did you mean 'noise'?" in error.value.do
