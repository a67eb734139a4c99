"""From spatial gradients to a transformation, by cumulative sums.

Source: Estienne et al. 2020, section 2; Bouabid et al. 2019.
"""

from __future__ import annotations

import torch


def integrate_gradients(gradients: torch.Tensor) -> torch.Tensor:
    """Voxel displacement whose coordinate along each axis grows by the given gradients.

    Parameters
    ----------
    gradients
        (B, 3, z, y, x): channel k is the derivative of coordinate k along axis k, in voxels a
        voxel; 1 everywhere is the identity.

    Returns
    -------
    torch.Tensor
        (B, 3, z, y, x). The coordinate of voxel i is ``cumsum(g)[i] − 1``; the sum is taken over
        ``g − 1``, so that the identity is exact on any size of grid.
    """
    excess = gradients - 1.0
    return torch.stack([part.cumsum(k + 1) for k, part in enumerate(excess.unbind(1))], dim=1)
