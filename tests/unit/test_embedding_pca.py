"""The embedding: round trips, the best approximation, files."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import linalg

from warpline.errors import WarplineError
from warpline.registration.embedding import pca

torch.set_num_threads(1)


def some_maps(count: int, length: int, seed: int = 0) -> torch.Tensor:
    """Correlated entries about a mean that is not 0."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((length, length)) * 0.8 ** np.arange(length)
    return torch.from_numpy(rng.standard_normal((count, length)) @ mixing + 30).float()


@pytest.mark.parametrize("count", [90, 25])
def test_k_components_are_the_best_approximation_of_rank_k(count):
    """Both ways of fitting, with more maps than entries and with fewer, beside SciPy's SVD."""
    maps = some_maps(count, 40)
    found = pca.fit([maps[:10], maps[10:]], 12)
    array = maps.double().numpy()
    mean = array.mean(axis=0)
    u, s, rows = linalg.svd(array - mean, full_matrices=False)
    expected = mean + (u[:, :12] * s[:12]) @ rows[:12]
    approximation = found.decode(found.encode(maps))
    np.testing.assert_allclose(approximation.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(found.variances.numpy(), s[:12] ** 2 / (count - 1), rtol=1e-4)
    np.testing.assert_allclose(
        (found.components @ found.components.T).numpy(), np.eye(12), atol=1e-5
    )


def test_at_full_rank_the_round_trip_is_exact():
    maps = some_maps(60, 20)
    full = pca.fit([maps], 20)
    torch.testing.assert_close(full.decode(full.encode(maps)), maps, atol=1e-4, rtol=0)
    codes = torch.randn(5, 20)
    torch.testing.assert_close(full.encode(full.decode(codes)), codes, atol=1e-4, rtol=0)
    # Fewer maps than entries: as many components as they span.
    few = some_maps(8, 20)
    spanned = pca.fit([few], 7)
    torch.testing.assert_close(spanned.decode(spanned.encode(few)), few, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [90, 25])
def test_the_sign_is_fixed(count):
    maps = some_maps(count, 40)
    rows = pca.fit([maps], 10).components
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()
    # In another order of the maps, and mirrored: the same up to rounding.
    again = pca.fit([maps.flip(0)], 10).components
    torch.testing.assert_close(again, rows, atol=1e-3, rtol=0)
    mirrored = pca.fit([-maps], 10).components
    torch.testing.assert_close(mirrored, rows, atol=1e-3, rtol=0)


def test_the_first_components_are_those_of_a_smaller_fit():
    maps = some_maps(50, 30)
    large, small = pca.fit([maps], 16), pca.fit([maps], 6)
    first = large.first(6)
    for name in pca.TENSORS:
        torch.testing.assert_close(getattr(first, name), getattr(small, name))
    with pytest.raises(WarplineError, match="has 16 components, not 17"):
        large.first(17)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(WarplineError, match="12 components cannot be learned from 12 displ"):
        pca.fit([some_maps(12, 40)], 12)
    with pytest.raises(WarplineError, match="cannot be learned"):
        pca.fit([some_maps(90, 10)], 11)
    maps = some_maps(10, 40)
    with pytest.raises(WarplineError, match=r"40 displacement maps differ in 9 ways only"):
        pca.fit([maps] * 4, 12)


def test_files(tmp_path):
    found = pca.fit([some_maps(50, 30)], 6)
    path = tmp_path / "embedding.safetensors"
    pca.save(path, found)
    again = pca.load(path)
    for name in pca.TENSORS:
        assert torch.equal(getattr(again, name), getattr(found, name))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WarplineError, match="cannot be read"):
        pca.load(path)
    save_file({"mean": torch.zeros(3), "components": torch.zeros(2, 4)}, path)
    with pytest.raises(WarplineError, match="holds no embedding"):
        pca.load(path)
