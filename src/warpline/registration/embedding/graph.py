"""Regularisation: diffusion over the graph of neighbouring keypoints.

Hansen & Heinrich 2020, section 3: "a simple diffusion over all keypoints and displacements using
the graph Laplacian".
"""

from __future__ import annotations

import torch

from warpline.errors import WarplineError

SPARE = 32  # points as far away as the last neighbour that have room


def laplacian(points: torch.Tensor, neighbours: int = 10) -> torch.Tensor:
    """The Laplacian D − W of the symmetrised graph of nearest neighbours.

    Parameters
    ----------
    points
        (n, 3), mm.
    neighbours
        How many nearest points each is tied to, with weight 1; two are tied if either is among the
        other's nearest.

    Returns
    -------
    torch.Tensor
        (n, n) float64, symmetric, rows summing to 0.
    """
    if neighbours < 1:
        raise WarplineError(f"A graph of {neighbours} neighbours has no edge.", where="neighbours")
    points = points.double()
    distance = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    distance.fill_diagonal_(torch.inf)
    nearest = _least(distance, min(neighbours, len(points) - 1))
    weights = torch.zeros_like(distance).scatter_(1, nearest, 1.0)
    weights = torch.maximum(weights, weights.T)
    return torch.diag(weights.sum(dim=1)) - weights


def _least(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Where the least entries of each row are, of equal ones the first: as by a stable sort."""
    size = rows.shape[1]
    if count + SPARE < size:
        values, place = rows.topk(count + SPARE, dim=1, largest=False)
        # All that are as far away as the last that counts are among these.
        if bool((values[:, count - 1] < values[:, -1]).all()):
            place = place.sort(dim=1).values
            order = rows.gather(1, place).argsort(dim=1, stable=True)
            return place.gather(1, order)[:, :count]
    return rows.argsort(dim=1, stable=True)[:, :count]


def diffuse(values: torch.Tensor, laplacian: torch.Tensor, strength: float) -> torch.Tensor:
    """Solve ``(I + strength · L) x = values`` for all columns at once.

    By a dense Cholesky factorisation: at 1500 points it is faster than a sparse one, and the matrix
    is 18 MB.

    Parameters
    ----------
    values
        (n, columns).
    laplacian
        (n, n), see `laplacian`.
    strength
        λ ≥ 0; 0 changes nothing, and towards infinity each connected part takes its mean.

    Returns
    -------
    torch.Tensor
        (n, columns), of the type of `values`.
    """
    if strength == 0:
        return values
    if strength < 0:
        raise WarplineError(f"Diffusion needs a strength of 0 or more, not {strength}.", where="λ")
    system = strength * laplacian
    system.diagonal().add_(1.0)
    factor = torch.linalg.cholesky(system)
    return torch.cholesky_solve(values.double(), factor).to(values.dtype)
