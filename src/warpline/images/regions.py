"""Where a label lies: shared by the metrics that compare label maps."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Box = tuple[slice, ...]


def bounding_boxes(labels: np.ndarray) -> dict[int, Box]:
    """Bounding box of each positive label of an integer label map, found in one pass."""
    boxes = ndimage.find_objects(np.asarray(labels).astype(np.int32, copy=False))
    return {value: box for value, box in enumerate(boxes, start=1) if box is not None}


def union(first: Box, second: Box) -> Box:
    """The smallest box that holds both."""
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
