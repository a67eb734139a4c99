"""Pictures of one registered pair, each a PNG by itself, for a page to arrange."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from warpline.fields.physical import DisplacementField
from warpline.files import atomic_path
from warpline.images.grid import Image
from warpline.images.views import View

PLANES = ("axial", "coronal", "sagittal")
RANGE = (1.0, 99.0)  # per cent of the values that grey shades span
SQUARES = 7  # of a checkerboard, along the longer side
KINDS = ("fixed", "before", "after", "board before", "board after", "grid", "jacobian")
LINES = 18  # of the deformed grid, along the longer side
SIZE = 420  # pixels of the longer side of a drawn picture
FINER = 3  # times that it is drawn larger and made smaller again: no line has steps
LINE, DIMMED = "#ffd166", 0.45
FOLD = (0.0, 0.0, 0.0)
# Red to blue over white (C. Brewer's RdBu), from HALVED to DOUBLED.
COLOURS = (
    "#67001f",
    "#b2182b",
    "#d6604d",
    "#f4a582",
    "#fddbc7",
    "#f7f7f7",
    "#d1e5f0",
    "#92c5de",
    "#4393c3",
    "#2166ac",
    "#053061",
)
HALVED, DOUBLED = -1.0, 1.0  # log₂ of the determinant at the ends of the colours


@dataclass(frozen=True)
class Panel:
    """A picture.

    Attributes
    ----------
    kind
        One of `KINDS`.
    aspect
        Width by height in mm.
    """

    plane: str
    kind: str
    png: bytes
    aspect: float


def panels(
    fixed: Image,
    before: Image,
    after: Image,
    field: DisplacementField,
    determinant: np.ndarray,
    kinds: Sequence[str] = KINDS,
) -> Iterator[Panel]:
    """Pictures of a pair, in three planes where the images differed most.

    Parameters
    ----------
    fixed, before, after
        The fixed image, and the moving one on its grid without and with the field. The shades of
        the fixed go from its 1st to its 99th percentile, those of the others from those of `after`.
    determinant
        (z, y, x), the Jacobian determinant on the fixed grid; folds are black.
    kinds
        Which are wanted, a plane's in this order.
    """
    own, other = _range(fixed.array), _range(after.array)
    pairs = ((fixed, own), (before, other), (after, other))
    shaded = [_unit(image.array, *ends) for image, ends in pairs]
    difference = np.abs(shaded[1] - shaded[0])
    for plane in PLANES:
        view = _where_most(View.through(fixed.grid, plane), difference)
        height, width = (n * mm for n, mm in zip(view.shape, view.spacing, strict=True))
        cuts = [view.cut(array) for array in shaded]
        board = _board(view)
        shades = {
            "fixed": cuts[0],
            "before": cuts[1],
            "after": cuts[2],
            "board before": np.where(board, cuts[0], cuts[1]),
            "board after": np.where(board, cuts[0], cuts[2]),
        }
        for kind in kinds:
            if kind == "grid":
                png = _deformed_grid(view, cuts[0], field)
            else:
                png = _png(shades[kind] if kind in shades else _coloured(view.cut(determinant)))
            yield Panel(plane, kind, png, width / height)


def draw_row(
    fixed: Image,
    before: Image,
    after: Image,
    field: DisplacementField,
    determinant: np.ndarray,
    path: str | os.PathLike,
) -> None:
    """Fixed, before, after and the determinant beside each other, a row a plane, as a PNG.

    Parameters as of `panels`.
    """
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    shown = {"fixed": "fixed", "before": "moving, before", "after": "moving, after"}
    shown["jacobian"] = "Jacobian determinant, ½ to 2"
    figure = Figure(figsize=(2.4 * len(shown), 2.4 * len(PLANES)), layout="constrained")
    axes = figure.subplots(len(PLANES), len(shown), squeeze=False)
    for panel in panels(fixed, before, after, field, determinant, list(shown)):
        axis = axes[PLANES.index(panel.plane), [*shown].index(panel.kind)]
        picture = imread(io.BytesIO(panel.png))
        aspect = picture.shape[1] / picture.shape[0] / panel.aspect
        # Of one channel, or of three, which take no heed of the shades.
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect=aspect)
        axis.set_axis_off()
        if panel.plane == PLANES[0]:
            axis.set_title(shown[panel.kind], fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _range(array: np.ndarray) -> tuple[float, float]:
    finite = array[np.isfinite(array)]
    low, high = np.percentile(finite, RANGE) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def _unit(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """Grey shades from 0 to 1; what is no number is black."""
    array = np.asarray(array, np.float32)
    return np.nan_to_num(np.clip((array - low) / max(high - low, 1e-6), 0, 1))


def _where_most(view: View, difference: np.ndarray) -> View:
    """The slice of a plane, in the middle two fifths, in which a volume is largest."""
    others = tuple(axis for axis in range(3) if axis != view.normal)
    profile = difference.sum(axis=others)
    margin = 3 * len(profile) // 10
    inner = profile[margin : len(profile) - margin]
    if not len(inner) or inner.max() <= 0:
        return view
    return View(view.grid, view.plane, int(np.argmax(inner)) + margin)


def _board(view: View) -> np.ndarray:
    """True and False in squares, (rows, columns)."""
    places = np.indices(view.shape) * np.reshape(view.spacing, (2, 1, 1))
    side = max(n * mm for n, mm in zip(view.shape, view.spacing, strict=True)) / SQUARES
    return (places // side).sum(axis=0) % 2 == 0


def _png(picture: np.ndarray) -> bytes:
    """Grey (rows, columns) or coloured (rows, columns, 3) values from 0 to 1."""
    return _written(Picture.fromarray(_bytes(picture)))


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.ascontiguousarray(picture) * 255).astype(np.uint8)


def _written(picture: Picture.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="png")
    return stream.getvalue()


def _coloured(determinant: np.ndarray) -> np.ndarray:
    shade = (np.log2(np.maximum(determinant, 1e-6)) - HALVED) / (DOUBLED - HALVED)
    known = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in COLOURS]) / 255
    places = np.linspace(0, 1, len(COLOURS))
    colours = np.stack([np.interp(shade, places, part) for part in known.T], axis=-1)
    colours[determinant <= 0] = FOLD
    return colours


def _deformed_grid(view: View, background: np.ndarray, field: DisplacementField) -> bytes:
    """Lines of the fixed image where the field takes them, without what all of them share."""
    left, right, bottom, top = view.extent
    scale = SIZE / max(right - left, bottom - top)
    size = [max(1, round(length * scale)) for length in (right - left, bottom - top)]
    large = [FINER * n for n in size]
    below = Picture.fromarray(_bytes(background * DIMMED)).convert("RGB")
    picture = below.resize(large, Picture.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    pixels = np.array(large) / (right - left, bottom - top)
    for line in _lines(view, field):
        places = (line - (left, top)) * pixels
        pen.line([*map(tuple, places.tolist())], fill=LINE, width=FINER, joint="curve")
    return _written(picture.resize(size, Picture.Resampling.BOX))


def _lines(view: View, field: DisplacementField) -> Iterator[np.ndarray]:
    """(n, 2) each, right and down in mm."""
    grid = field.grid
    others = [axis for axis in range(3) if axis != view.normal]
    index = np.stack(
        np.meshgrid(*[np.arange(grid.shape[axis]) for axis in others], indexing="ij"), axis=-1
    )
    whole = np.full((*index.shape[:2], 3), float(view.position))
    whole[..., others] = index
    vectors = np.take(field.vectors, view.position, axis=view.normal).astype(np.float64)
    moved = whole + (vectors @ np.linalg.inv(grid.matrix).T)[..., ::-1]
    places = view.project(moved)
    places -= (places - view.project(whole)).mean(axis=(0, 1))
    side = max(n * grid.spacing[2 - axis] for n, axis in zip(index.shape[:2], others, strict=True))
    for along in range(2):
        step = max(1, round(side / LINES / grid.spacing[2 - others[along]]))
        for position in range(step // 2, index.shape[along], step):
            yield np.take(places, position, axis=along)
