"""A sheet of pictures of the chest phantom, to look at with a radiologist's eye.

``python benchmarks/chest_sheet.py SHEET.png`` draws it, in about half a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from warpline.figures.style import PALETTE, new_figure, style
from warpline.files import atomic_path
from warpline.images.grid import Grid
from warpline.phantoms.anatomy.chest import phantom
from warpline.phantoms.anatomy.chest.trees import Tree

SEED = 3
# Centre and width of the windows, HU.
LUNG, MEDIASTINUM, EVERYTHING = (-600, 1500), (40, 400), (-1400, 3400)
STEP = 1.0  # mm
DPI = 100  # the sheet is kept in the repository
QUIET = {"outside": None, "border": None, "couch": True, "noise": 14.0}
LOBE_COLOURS = ListedColormap(["none", *PALETTE[:4], PALETTE[5]])


def draw() -> Figure:
    """The whole sheet."""
    figure = new_figure(10, 12.9)
    axes = figure.subplots(6, 4)
    for ax in axes.flat:
        ax.axis("off")
    _windows(axes[:2])
    _sagittal_and_subjects(axes[2])
    _breathing(axes[3])
    _structures(axes[4])
    _backgrounds(axes[5])
    return figure


def axial(z: float, step: float = STEP) -> Grid:
    n = round(290 / step), round(400 / step)
    return Grid((1, *n), (step,) * 3, (-200 + step / 2, -140.0, z))


def coronal(y: float, step: float = STEP) -> Grid:
    n = round(340 / step), round(400 / step)
    return Grid((n[0], 1, n[1]), (step,) * 3, (-200 + step / 2, y, -205.0))


def sagittal(x: float, step: float = STEP) -> Grid:
    n = round(340 / step), round(290 / step)
    return Grid((*n, 1), (step,) * 3, (x, -140.0, -205.0))


def _hu(grid: Grid, seed: int = SEED, **settings) -> np.ndarray:
    """A slice of one subject; the grid has one voxel along one axis."""
    # A slice in the midline has no lung in it and would be refused: take it out of a thicker stack.
    if grid.shape[2] == 1:
        reach = round(60 / STEP)
        wide = Grid(
            (*grid.shape[:2], 2 * reach + 1),
            grid.spacing,
            (grid.origin[0] - reach * STEP, *grid.origin[1:]),
        )
        return phantom.subject(seed, grid=wide, **{**QUIET, **settings}).image.array[..., reach]
    return np.squeeze(phantom.subject(seed, grid=grid, **{**QUIET, **settings}).image.array)


def _show(ax: Axes, hu: np.ndarray, window: tuple[float, float], title: str, head_up: bool) -> None:
    centre, width = window
    low, high = centre - width / 2, centre + width / 2
    origin = "lower" if head_up else "upper"
    ax.imshow(hu, cmap="gray", vmin=low, vmax=high, origin=origin, interpolation="bilinear")
    ax.set_title(title, fontsize=8)


def _windows(axes: np.ndarray) -> None:
    for column, (z, name) in enumerate(((28, "aortic arch"), (-22, "hila"), (-62, "heart"))):
        hu = _hu(axial(z))
        _show(axes[0, column], hu, LUNG, f"Axial, {name}", False)
        _show(axes[1, column], hu, MEDIASTINUM, f"Axial, {name}", False)
    _show(axes[0, 3], _hu(coronal(22)), LUNG, "Coronal, carina", True)
    _show(axes[1, 3], _hu(coronal(-22)), MEDIASTINUM, "Coronal, heart", True)


def _sagittal_and_subjects(axes: np.ndarray) -> None:
    _show(axes[0], _hu(sagittal(-80)), LUNG, "Sagittal, right lung", True)
    _show(axes[1], _hu(sagittal(0)), MEDIASTINUM, "Sagittal, midline", True)
    for ax, seed in zip(axes[2:], (11, 21), strict=True):
        _show(ax, _hu(coronal(5), seed), LUNG, "Another subject", True)


def _breathing(axes: np.ndarray) -> None:
    grid = coronal(40, 1.25)
    breath = phantom.breathing(SEED, grid=grid, diaphragm=26.0, **QUIET)
    inhale, exhale = (np.squeeze(s.image.array) for s in (breath.inhale, breath.exhale))
    _show(axes[0], inhale, LUNG, "Inhale", True)
    _show(axes[1], exhale, LUNG, "Exhale", True)
    vectors = np.squeeze(breath.exhale_to_inhale.vectors)
    _show(axes[2], exhale, LUNG, "Exhale → inhale", True)
    z, x = np.mgrid[4 : len(exhale) : 11, 4 : exhale.shape[1] : 11]
    size = np.linalg.norm(vectors, axis=-1)
    seen = size[z, x] > 0.5
    part = vectors[z, x][seen] / grid.spacing[0]
    axes[2].quiver(
        *(x[seen], z[seen], part[:, 0], part[:, 2]),
        **{"angles": "xy", "scale_units": "xy", "scale": 1.6, "color": PALETTE[1], "width": 0.004},
    )
    picture = axes[3].imshow(size, cmap="viridis", origin="lower")
    axes[3].set_title("|u| (mm): a jump at the pleura", fontsize=8)
    axes[3].figure.colorbar(picture, ax=axes[3], fraction=0.04)


def _structures(axes: np.ndarray) -> None:
    for ax, grid, hu_slice, name in (
        (axes[0], coronal(15, 1.25), 0, "coronal"),
        (axes[1], sagittal(-85, 1.25), 0, "sagittal"),
    ):
        scan = phantom.subject(SEED, grid=grid, **QUIET)
        axis = 1 if name == "coronal" else 2
        hu, lobes = (np.take(i.array, hu_slice, axis=axis) for i in (scan.image, scan.lobes))
        _show(ax, hu, LUNG, f"Lobes, {name}", True)
        ax.imshow(lobes, cmap=LOBE_COLOURS, vmin=0, vmax=5, alpha=0.35, origin="lower")
    chest = phantom.model(SEED)
    _tree(axes[2], chest.trees["airway"], PALETTE[0])
    axes[2].set_title("Airways, and landmarks on all trees", fontsize=8)
    _, points = chest.landmarks()
    points = chest.to_mean(points)
    axes[2].scatter(points[:, 0], points[:, 2], s=1.2, c=PALETTE[5], linewidths=0, zorder=3)
    _tree(axes[3], chest.trees["vein"], PALETTE[4])
    _tree(axes[3], chest.trees["artery"], PALETTE[5])
    axes[3].set_title("Arteries and veins", fontsize=8)


def _tree(ax: Axes, tree: Tree, colour: str) -> None:
    """From the front, in the frame of the mean chest."""
    child = np.flatnonzero((tree.parent >= 0) & (tree.position[:, 2] < 120))
    ends = np.stack([tree.position[tree.parent[child]], tree.position[child]], axis=1)
    width = tree.radius[child].mean(axis=1) * 0.42
    ax.add_collection(LineCollection(ends[..., ::2], linewidths=width, colors=colour))
    ax.set_xlim(-150, 150)
    ax.set_ylim(-180, 115)
    ax.set_aspect("equal")


def _backgrounds(axes: np.ndarray) -> None:
    step = 2.0
    grid = Grid((1, 190, 190), (step,) * 3, (-189.0, -181.0, -10.0))
    for ax, settings, title in (
        (axes[0], {"couch": False}, "No circle, no couch"),
        (axes[1], {"outside": -2048}, "−2048 outside"),
        (axes[2], {"outside": -3024, "couch": False}, "−3024 outside, no couch"),
        (axes[3], {"outside": -3024, "border": -2048}, "−3024 outside, rows of −2048"),
    ):
        _show(ax, _hu(grid, **settings), EVERYTHING, title, False)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with style(), atomic_path(target) as temporary:
        draw().savefig(temporary, dpi=DPI, metadata={"Software": None})
