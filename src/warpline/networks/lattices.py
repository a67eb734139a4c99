"""A volume's eight lattices of even and odd voxels, each as a volume of its own."""

from __future__ import annotations

import torch

LATTICES = 8


def split(features: torch.Tensor) -> torch.Tensor:
    """The eight lattices of even and odd voxels, one after the other along the batch.

    (B, C, 2z, 2y, 2x) → (8B, C, z, y, x), channels last in memory.
    """
    return lattices(features).flatten(0, 3).permute(0, 4, 1, 2, 3)


def lattices(features: torch.Tensor) -> torch.Tensor:
    """The same as a view (2, 2, 2, B, z, y, x, C)."""
    batch, channels, *shape = features.shape
    z, y, x = (size // 2 for size in shape)
    return features.reshape(batch, channels, z, 2, y, 2, x, 2).permute(3, 5, 7, 0, 2, 4, 6, 1)


def merge(parts: torch.Tensor) -> torch.Tensor:
    """The inverse of `split`."""
    total, channels, z, y, x = parts.shape
    blocks = parts.reshape(2, 2, 2, total // 8, channels, z, y, x)
    return blocks.permute(3, 4, 5, 0, 6, 1, 7, 2).reshape(total // 8, channels, 2 * z, 2 * y, 2 * x)
