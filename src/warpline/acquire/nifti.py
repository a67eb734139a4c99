"""What ITK does not tell about a NIfTI file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def stored_floats(path: str | os.PathLike) -> np.ndarray | None:
    """Voxels as they are stored, (…, z, y, x); None if the file is no NIfTI file of floats.

    ITK's reader puts 0 in the place of every voxel that is no finite number, silently; only the
    file itself tells. Truncated files are refused by `warpline.images.files.read_image`.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    import nibabel

    stored = nibabel.load(path).dataobj
    if stored.dtype.kind != "f":
        return None
    return np.asarray(stored.get_unscaled()).T
