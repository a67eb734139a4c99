"""The figure of synthetic deformations."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from warpline.cases.case import Case, write_case
from warpline.figures.entry import FigureEntry
from warpline.figures.synthetic import draw, magnitude, synthetic_figure
from warpline.images.grid import Grid, Image
from warpline.registration.synthetic.pairs import FREQUENCIES, random_field

GRID = Grid((24, 26, 30), spacing=(9.0, 10.0, 11.0))


def scan() -> tuple[Image, Image]:
    z, y, x = np.moveaxis(GRID.indices() / (np.array(GRID.shape) - 1) * 2 - 1, -1, 0)
    lung = (np.abs(x) - 0.45) ** 2 / 0.1 + y**2 / 0.4 + z**2 / 0.6 < 1
    return Image(np.where(lung, -800, 40).astype(np.int16), GRID), Image(lung, GRID)


def test_the_length_is_in_mm():
    field = np.zeros((3, *GRID.shape), np.float32)
    field[0], field[2] = 3.0, 4.0
    assert magnitude(field, GRID) == pytest.approx(np.hypot(33, 36))


@pytest.mark.parametrize("plane", ["coronal", "axial"])
def test_maps_of_any_plane(tmp_path, plane):
    image, mask = scan()
    fields = {name: random_field(GRID, frequency=name, seed=1) for name in FREQUENCIES}
    paths = synthetic_figure(image, fields, tmp_path / "figure", plane=plane, mask=mask.array)
    assert [path.suffix for path in paths] == [".png", ".svg"]
    text = paths[1].read_text()
    for part in ("low frequency", "medium frequency", "high frequency", f"{plane} slice"):
        assert f"<!-- {part} -->" in text


def test_larger_fields_are_brighter(tmp_path):
    image, _ = scan()
    fields = {name: random_field(GRID, frequency="low", seed=1) for name in ("one", "two")}
    fields["two"] = fields["two"] * 0
    (path, _) = synthetic_figure(image, fields, tmp_path / "figure")
    picture = imread(path)[..., :3].mean(axis=2)
    height, width = picture.shape
    left, right = (picture[: height // 3, a : a + width // 4] for a in (width // 12, width // 2))
    assert np.median(left) > np.median(right) + 0.02


def test_drawn_from_a_prepared_case_the_same_every_time(tmp_path, capsys):
    image, mask = scan()
    write_case(tmp_path / "p1", Case("p1", image, mask=mask))
    figure = FigureEntry.of({"plane": "coronal", "seed": 3})
    for stem in ("a", "b"):
        draw(figure, tmp_path / stem, folder=tmp_path / "p1")
    assert "case: p1" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
