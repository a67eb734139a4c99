"""Grids and smooth random fields for the tests of `warpline.fields`."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid, Image


def oblique(shape=(14, 18, 16), seed=0, spacing=(0.8, 1.3, 2.1)) -> Grid:
    """An oblique, anisotropic grid away from the origin."""
    rng = np.random.default_rng(seed)
    direction = Rotation.from_rotvec(rng.uniform(-0.5, 0.5, 3)).as_matrix()
    return Grid(shape, spacing, tuple(rng.uniform(-40, 40, 3)), tuple(direction.ravel()))


def smooth(shape, amplitude=1.5, sigma=3.0, seed=0) -> torch.Tensor:
    """A smooth random voxel displacement (1, 3, z, y, x) whose largest component is `amplitude`."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((3, *shape)), (0, sigma, sigma, sigma))
    return torch.from_numpy(noise * (amplitude / np.abs(noise).max())).float()[None]


def smooth_field(grid: Grid, amplitude=1.5, sigma=3.0, seed=0) -> DisplacementField:
    """A smooth random field on `grid`, its amplitude in voxels."""
    return DisplacementField.from_voxel(smooth(grid.shape, amplitude, sigma, seed), grid, grid)


def smooth_image(grid: Grid, seed=0, sigma=2.0) -> Image:
    """A smooth random float32 image."""
    rng = np.random.default_rng(seed)
    array = ndimage.gaussian_filter(rng.standard_normal(grid.shape), sigma)
    return Image((array / array.std()).astype(np.float32), grid)


def interior_points(grid: Grid, count=60, margin=1.0, seed=0) -> np.ndarray:
    """Random physical points (count, 3) at least `margin` voxels inside the grid."""
    rng = np.random.default_rng(seed)
    index = rng.uniform(margin, np.array(grid.shape) - 1 - margin, (count, 3))
    return grid.index_to_physical(index)


def sitk_transform(field: DisplacementField) -> sitk.DisplacementFieldTransform:
    """SimpleITK's transform of a field, made without `warpline.fields.io`."""
    image = sitk.GetImageFromArray(field.vectors.astype(np.float64), isVector=True)
    image.SetSpacing(field.grid.spacing)
    image.SetOrigin(field.grid.origin)
    image.SetDirection(field.grid.direction)
    return sitk.DisplacementFieldTransform(image)
