"""What moves most in a chest is in it: where its lungs are, if an image is a CT of one.

The wall of a chest hardly moves in a breath, and most of what a start compares is wall: it then
leaves the diaphragm centimetres away. A start that looks into the lungs does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from warpline.cases.lungs import segment_lungs
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.images.resample import resample_to
from warpline.registration.variational.frame import Scan

COARSE = 4.0  # mm, of the view that lungs are looked for in
AIR, TISSUE = -900.0, 50.0  # HU that a CT of a chest has below and above


def lungs_in(images: Sequence[Image], scans: Sequence[Scan]) -> list[Scan] | None:
    """The scans with what they show outside the lungs unknown.

    None unless both are in HU and show lungs, as `warpline.cases.lungs.segment_lungs` finds them.
    """
    found = []
    for image, scan in zip(images, scans, strict=True):
        low, high = np.percentile(image.array[::2, ::4, ::4], (2, 90))
        if not (np.isfinite(low) and low < AIR and high > TISSUE):
            return None
        grid = image.grid
        steps = [max(1, round(COARSE / side)) for side in grid.spacing[::-1]]
        coarse = Image(
            np.ascontiguousarray(image.array[:: steps[0], :: steps[1], :: steps[2]]),
            Grid(
                tuple(-(-n // step) for n, step in zip(grid.shape, steps, strict=True)),
                tuple(s * step for s, step in zip(grid.spacing, steps[::-1], strict=True)),
                grid.origin,
                grid.direction,
            ),
        )
        try:
            mask = segment_lungs(coarse)
        except WarplineError:
            return None
        inside = resample_to(mask, grid, nearest=True).array > 0
        known = scan.known.with_array((scan.known.array * inside).astype(np.float32))
        found.append(replace(scan, known=known))
    return found
