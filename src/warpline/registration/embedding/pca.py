"""The embedding: principal components of displacement maps.

Hansen & Heinrich 2020, section 3: 256 or 512 dimensions for the 9261 entries of a map.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.linalg import eigh

from warpline.errors import WarplineError
from warpline.files import atomic_path

# A direction with less than this share of the largest variance is a rounding error.
LEAST = 1e-12
TENSORS = ("mean", "components", "variances")


@dataclass(frozen=True)
class Pca:
    """Mean and principal components of displacement maps.

    Attributes
    ----------
    mean
        (D,).
    components
        (k, D), orthonormal, by falling variance; the entry of largest size is positive in each.
    variances
        (k,), of the training maps along each.
    """

    mean: torch.Tensor
    components: torch.Tensor
    variances: torch.Tensor

    def encode(self, maps: torch.Tensor) -> torch.Tensor:
        """The embeddings (n, k) of maps (n, D)."""
        return (maps - self.mean) @ self.components.T

    def decode(self, embeddings: torch.Tensor) -> torch.Tensor:
        """The maps (n, D) of embeddings (n, k)."""
        return torch.addmm(self.mean, embeddings, self.components)

    def first(self, components: int) -> Pca:
        """The first of the components alone: what a fit of so many gives.

        Raises
        ------
        WarplineError
            If there are not so many.
        """
        there = len(self.components)
        if not 1 <= components <= there:
            raise WarplineError(
                f"The embedding has {there} components, not {components}.",
                where="components",
                do=f"Give 1 to {there}, or learn an embedding of more.",
            )
        return replace(
            self, components=self.components[:components], variances=self.variances[:components]
        )

    def to(self, device: torch.device | str) -> Pca:
        """The same on a device."""
        return Pca(*(getattr(self, name).to(device) for name in TENSORS))


def fit(maps: Sequence[torch.Tensor], components: int) -> Pca:
    """Learn the components from maps.

    By the eigenvectors of the smaller of two matrices, products of the centred maps with
    themselves: entry by entry (D × D) or map by map (n × n). Their sums are in double precision.

    Parameters
    ----------
    maps
        Maps (nᵢ, D) of one training pair each.
    components
        k; more than k maps are needed, for their mean takes one away.

    Raises
    ------
    WarplineError
        If there are too few maps, or they differ in fewer than k ways.
    """
    count, length = sum(len(part) for part in maps), maps[0].shape[1]
    if count <= components or components > length:
        raise WarplineError(
            f"{components} components cannot be learned from {count} displacement maps of "
            f"{length} entries.",
            where="components",
            do="Give more training pairs or keypoints, or ask for fewer components.",
        )
    mean = sum(part.double().sum(dim=0) for part in maps) / count
    if count >= length:
        scatter = mean.new_zeros(length, length)
        for part in maps:
            centred = part.double() - mean
            scatter.addmm_(centred.T, centred)
        values, vectors = _leading(scatter, components)
        rows = vectors.T
    else:
        centred = torch.cat([part.double() for part in maps]) - mean
        values, vectors = _leading(centred @ centred.T, components)
        rows = vectors.T @ centred
    if values[-1] <= LEAST * values[0]:
        ways = int((values > LEAST * values[0]).sum())
        raise WarplineError(
            f"{count} displacement maps differ in {ways} ways only: {components} components cannot "
            "be learned from them.",
            where="components",
            do="Give more training pairs, not the same one several times.",
        )
    rows = rows / rows.norm(dim=1, keepdim=True)
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    rows = rows * largest.sign()
    return Pca(mean.float(), rows.float().contiguous(), (values / (count - 1)).float())


def _leading(matrix: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest eigenvalues (count,) of a symmetric matrix, falling, and vectors (n, count).

    By SciPy, which finds a few without the others: 512 of 9261 in a third of the time.
    """
    size = len(matrix)
    values, vectors = eigh(
        matrix.cpu().numpy(), subset_by_index=(size - count, size - 1), overwrite_a=True
    )
    pair = (torch.from_numpy(part[..., ::-1].copy()) for part in (values, vectors))
    return tuple(part.to(matrix.device) for part in pair)


def save(path: str | os.PathLike, pca: Pca) -> None:
    """Write an embedding as safetensors, atomically."""
    tensors = {name: getattr(pca, name).detach().cpu().contiguous() for name in TENSORS}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def load(path: str | os.PathLike) -> Pca:
    """Read an embedding; no code is unpickled.

    Raises
    ------
    WarplineError
        If the file cannot be read or holds something else.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WarplineError(
            f"The embedding cannot be read ({error}).", where=path, do="Learn it again."
        ) from error
    shapes = [tuple(tensors[name].shape) for name in TENSORS if name in tensors]
    fits = len(shapes) == 3 and len(shapes[0]) == 1
    if not fits or shapes[1] != (*shapes[2], *shapes[0]):
        raise WarplineError(
            "The file holds no embedding: it needs mean (D), components (k, D) and variances (k).",
            where=path,
            do="Give the file that the training of the embedding wrote.",
        )
    return Pca(*(tensors[name] for name in TENSORS))
