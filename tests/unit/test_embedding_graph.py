"""Diffusion over the keypoints' graph, beside a graph and a solution made by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warpline.errors import WarplineError
from warpline.registration.embedding.graph import diffuse, laplacian

torch.set_num_threads(1)


def cloud(number: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-100, 100, (number, 3)))


def by_hand(points: np.ndarray, neighbours: int) -> np.ndarray:
    matrix = np.zeros((len(points), len(points)))
    for i, point in enumerate(points):
        order = np.argsort(np.linalg.norm(points - point, axis=1))
        for j in order[1 : neighbours + 1]:
            matrix[i, j] = matrix[j, i] = -1
    return matrix - np.diag(matrix.sum(axis=1))


@pytest.mark.parametrize("side", [4, 60])
def test_of_neighbours_as_far_away_the_first_count(side):
    """Points on a lattice, where few distances differ, are tied as by a stable sort."""
    points = np.unique(np.random.default_rng(side).integers(0, side, (300, 3)), axis=0)
    distance = np.linalg.norm((points[:, None] - points).astype(float), axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :10]
    edges = np.zeros_like(distance)
    np.put_along_axis(edges, nearest, 1.0, axis=1)
    found = laplacian(torch.from_numpy(points), 10).numpy()
    np.testing.assert_array_equal(-found * (1 - np.eye(len(points))), np.maximum(edges, edges.T))


@pytest.mark.parametrize("neighbours", [1, 5, 12])
def test_the_laplacian_is_that_of_the_symmetrised_graph(neighbours):
    points = cloud(60)
    found = laplacian(points, neighbours).numpy()
    np.testing.assert_array_equal(found, by_hand(points.numpy(), neighbours))
    assert np.count_nonzero(found, axis=1).min() > neighbours  # with the diagonal
    assert np.linalg.eigvalsh(found).min() > -1e-10


def test_three_points_on_a_line():
    """1 – 2 – – 3: the middle one is the others' nearest."""
    points = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [3.0, 0, 0]])
    expected = [[1, -1, 0], [-1, 2, -1], [0, -1, 1]]
    assert laplacian(points, 1).tolist() == expected
    # (I + L) x = (1, 0, 0) by hand: x = (5, 2, 1) / 8
    found = diffuse(torch.tensor([[1.0], [0], [0]]), laplacian(points, 1), 1.0)
    torch.testing.assert_close(found, torch.tensor([[5.0], [2], [1]]) / 8)


def test_diffusion_is_the_solution_of_the_dense_system():
    points = cloud(80)
    values = np.random.default_rng(1).standard_normal((80, 30))
    for strength in (0.1, 3.0, 100.0):
        system = np.eye(80) + strength * by_hand(points.numpy(), 6)
        expected = np.linalg.solve(system, values)
        found = diffuse(torch.from_numpy(values), laplacian(points, 6), strength)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)
        single = diffuse(torch.from_numpy(values).float(), laplacian(points, 6), strength)
        assert single.dtype == torch.float32
        np.testing.assert_allclose(single.numpy(), expected, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(2, 40),
    neighbours=st.integers(1, 50),
    strength=st.floats(0, 1e3),
    seed=st.integers(0, 1000),
)
def test_constants_and_means_are_preserved(number, neighbours, strength, seed):
    graph = laplacian(cloud(number, seed), neighbours)
    constant = torch.full((number, 2), -7.25, dtype=torch.float64)
    torch.testing.assert_close(diffuse(constant, graph, strength), constant)
    values = cloud(number, seed + 1)
    smooth = diffuse(values, graph, strength)
    torch.testing.assert_close(smooth.mean(0), values.mean(0), atol=1e-8, rtol=0)
    assert float(smooth.std(0).max()) <= float(values.std(0).max()) + 1e-9


def test_without_strength_nothing_changes_and_with_all_of_it_only_the_mean_is_left():
    points = cloud(50)
    graph = laplacian(points, 8)
    values = cloud(50, 2)
    assert torch.equal(diffuse(values, graph, 0.0), values)
    mean = values.mean(0).expand(50, 3)
    torch.testing.assert_close(diffuse(values, graph, 1e9), mean, atol=1e-4, rtol=0)


def test_equal_points_are_neighbours_too():
    graph = laplacian(torch.zeros(5, 3), 2)
    assert torch.equal(graph, graph.T)
    assert torch.equal(graph.sum(1), torch.zeros(5, dtype=torch.float64))
    assert (graph.diagonal() >= 2).all()


def test_bad_input():
    with pytest.raises(WarplineError, match="no edge"):
        laplacian(cloud(5), 0)
    with pytest.raises(WarplineError, match="strength of 0 or more"):
        diffuse(cloud(5), laplacian(cloud(5), 2), -1.0)
