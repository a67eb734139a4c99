"""Random augmentation: in space the same for both images of a pair, or for an image and its labels.

Source: Estienne et al. 2020, section 2.1; ranges after its authors' practice. Bends, contrast and
noise are not theirs: they are what segmenters are commonly trained with (Isensee et al. 2021,
*nnU-Net*, supplementary note 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F

from warpline.fields.sampling import identity_grid, sample

NODES = 12  # voxels between the nodes of a bend


@dataclass(frozen=True)
class Augmentation:
    """Flips, quarter turns, one affine map and a bend, composed and sampled once; then shades.

    A recipe's ``training.augmentation``, as the schema leaves it.

    Attributes
    ----------
    flip
        Flip each axis with probability one half.
    quarter_turns
        Turn by a multiple of 90° in a random plane; in a plane that is not square, by 0° or 180°.
    rotation
        Largest angle, in degrees, about one random axis.
    translation
        Largest shift along each axis, in voxels.
    zoom
        Isotropic scale is drawn from [1 − zoom, 1 + zoom].
    bend
        Standard deviation, in voxels, of random displacements at nodes `NODES` voxels apart,
        linear between them.
    contrast
        Each image's values between its least and its greatest are raised to a power, whose
        logarithm is drawn from [−contrast, contrast].
    noise
        Standard deviation of added normal noise, as a part of the image's range, at the most.
    """

    flip: bool
    quarter_turns: bool
    rotation: float
    translation: float
    zoom: float
    bend: float
    contrast: float
    noise: float

    @property
    def moves(self) -> bool:
        """Whether voxels are moved."""
        affine = (self.flip, self.quarter_turns, self.rotation, self.translation, self.zoom)
        return any((*affine, self.bend))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """A 3×4 matrix from centred output to centred input voxel coordinates (z, y, x)."""
        matrix = np.eye(3)
        if self.flip:
            matrix = np.diag(rng.choice([-1.0, 1.0], 3)) @ matrix
        if self.quarter_turns:
            a, b = list(combinations(range(3), 2))[rng.integers(3)]
            turns = int(rng.integers(4)) if shape[a] == shape[b] else 2 * int(rng.integers(2))
            matrix = _rotation(a, b, turns * np.pi / 2) @ matrix
        if self.rotation:
            a, b = list(combinations(range(3), 2))[rng.integers(3)]
            angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
            matrix = _rotation(a, b, angle) @ matrix
        if self.zoom:
            matrix = matrix * rng.uniform(1 - self.zoom, 1 + self.zoom)
        shift = rng.uniform(-self.translation, self.translation, 3)
        return np.hstack([matrix, shift[:, None]])

    def __call__(
        self,
        rng: np.random.Generator,
        images: torch.Tensor,
        labels: torch.Tensor | None,
        pairs: int,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Augment a stack of `pairs` moving volumes followed by their fixed volumes.

        Parameters
        ----------
        images
            (2·pairs, C, z, y, x).
        labels
            (2·pairs, labels, z, y, x) one-hot, interpolated linearly and cut at one half.
        """
        if self.moves:
            shape = tuple(images.shape[2:])
            matrices = [self.draw(rng, shape) for _ in range(pairs)]
            coordinates = _places(np.stack(matrices * 2), images)
            if self.bend:
                coordinates += self._bends([rng] * pairs, images).repeat(2, 1, 1, 1, 1)
            images = sample(images, coordinates)
            if labels is not None:
                labels = (sample(labels, coordinates) > 0.5).float()
        return self._shaded([rng] * len(images), images), labels

    def of_each(
        self, rngs: Sequence[np.random.Generator], images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment single volumes, each by its own generator.

        Parameters
        ----------
        images
            (B, C, z, y, x).
        labels
            (B, z, y, x) uint8, read at the nearest voxel.
        """
        if self.moves:
            shape = tuple(images.shape[2:])
            coordinates = _places(np.stack([self.draw(rng, shape) for rng in rngs]), images)
            if self.bend:
                coordinates += self._bends(rngs, images)
            nearest = sample(labels[:, None].float(), coordinates.round())
            images, labels = sample(images, coordinates), nearest[:, 0].round().to(labels.dtype)
        return self._shaded(rngs, images), labels

    def _bends(self, rngs: Sequence[np.random.Generator], images: torch.Tensor) -> torch.Tensor:
        """Displacements in voxels, (n, 3, z, y, x), one of each generator."""
        shape = tuple(images.shape[2:])
        nodes = [-(-n // NODES) + 1 for n in shape]
        drawn = np.stack([rng.normal(0.0, self.bend, (3, *nodes)) for rng in rngs])
        drawn = torch.as_tensor(drawn, device=images.device, dtype=images.dtype)
        wide = [(n - 1) * NODES + 1 for n in nodes]
        bent = F.interpolate(drawn, wide, mode="trilinear", align_corners=True)
        return bent[:, :, : shape[0], : shape[1], : shape[2]]

    def _shaded(self, rngs: Sequence[np.random.Generator], images: torch.Tensor) -> torch.Tensor:
        """Images with another contrast and noise each, of one generator each."""
        if not (self.contrast or self.noise):
            return images
        return torch.stack([self._shade(r, i) for r, i in zip(rngs, images, strict=True)])

    def _shade(self, rng: np.random.Generator, image: torch.Tensor) -> torch.Tensor:
        low, high = image.min(), image.max()
        width = torch.clamp(high - low, min=1e-12)
        part = (image - low) / width
        if self.contrast:
            part = part ** float(np.exp(rng.uniform(-self.contrast, self.contrast)))
        if self.noise:
            level = rng.uniform(0.0, self.noise)
            noise = rng.standard_normal(tuple(image.shape), dtype=np.float32)
            part = part + level * torch.as_tensor(noise, device=image.device, dtype=image.dtype)
        return low + width * part


def _places(matrices: np.ndarray, images: torch.Tensor) -> torch.Tensor:
    """Where (n, 3, 4) matrices read images, (n, 3, z, y, x), indices."""
    shape = tuple(images.shape[2:])
    matrices = torch.as_tensor(matrices, device=images.device, dtype=images.dtype)
    centre = (torch.tensor(shape, device=images.device, dtype=images.dtype) - 1) / 2
    grid = identity_grid(shape, images.device) - centre.view(1, 3, 1, 1, 1)
    moved = torch.einsum("nij,jzyx->nizyx", matrices[:, :, :3], grid[0])
    return moved + (matrices[:, :, 3] + centre).view(-1, 3, 1, 1, 1)


def _rotation(a: int, b: int, angle: float) -> np.ndarray:
    """Rotation by `angle` (radians) in the plane of axes a and b."""
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix.round(12) + 0.0
