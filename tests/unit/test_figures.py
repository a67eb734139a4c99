"""Figures: slices the right way up, files that are whole, errors that tell what is missing."""

import inspect
import itertools
from dataclasses import fields

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure

from warpline.cases.case import Case
from warpline.errors import WarplineError
from warpline.evaluation.records import records as tidy
from warpline.evaluation.records import row
from warpline.fields.physical import DisplacementField
from warpline.figures import learning
from warpline.figures.boxplots import metric_boxplots
from warpline.figures.learning import Training, learning_curves
from warpline.figures.pair import draw_row
from warpline.figures.pairs import OfPairs
from warpline.figures.panels import draw_grid
from warpline.figures.registration import registration_figure
from warpline.figures.style import colour
from warpline.images.grid import Grid, Image
from warpline.images.itk import from_sitk, to_sitk
from warpline.images.views import View
from warpline.plan.kinds import FIGURES
from warpline.registry import lookup

ORIENTATIONS = ("LPS", "RAS", "PIR", "SLA", "AIL", "IRP")


def marked_volume():
    """An LPS volume whose voxels hold their own physical place: R–L, A–P, I–S."""
    grid = Grid((4, 5, 6), spacing=(1.0, 2.0, 3.0), origin=(10.0, 20.0, 30.0))
    return Image(grid.index_to_physical(grid.indices()).astype(np.float32), grid)


def reoriented(image, code):
    return from_sitk(sitk.DICOMOrient(to_sitk(image), code))


@pytest.mark.parametrize("code", ORIENTATIONS)
@pytest.mark.parametrize(
    ("plane", "right", "down"),
    [("sagittal", (1, 1), (2, -1)), ("coronal", (0, 1), (2, -1)), ("axial", (0, 1), (1, 1))],
)
def test_slices_lie_as_radiologists_expect(code, plane, right, down):
    image = reoriented(marked_volume(), code)
    view = View.through(image.grid, plane)
    cut = view.cut(image.array)
    assert cut.shape[:2] == view.shape
    steps = np.diff(cut[0, :, right[0]]), np.diff(cut[:, 0, down[0]])
    assert np.allclose(steps[0], right[1] * view.spacing[1])
    assert np.allclose(steps[1], down[1] * view.spacing[0])


@pytest.mark.parametrize("code", ORIENTATIONS)
@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_projected_voxels_fall_on_their_pixels(code, plane):
    grid = reoriented(marked_volume(), code).grid
    view = View.through(grid, plane)
    places = view.cut(view.project(grid.indices()))
    rows, columns = np.indices(view.shape)
    assert np.allclose(places[..., 0], columns * view.spacing[1])
    assert np.allclose(places[..., 1], rows * view.spacing[0])


def test_letters():
    grid = marked_volume().grid
    assert View(grid, "sagittal", 0).letters == {
        "left": "A",
        "right": "P",
        "top": "S",
        "bottom": "I",
    }
    assert View(grid, "axial", 0).letters == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert View(grid, "coronal", 0).letters == {
        "left": "R",
        "right": "L",
        "top": "S",
        "bottom": "I",
    }


def test_the_slice_and_the_window_follow_the_anatomy():
    grid = Grid((20, 30, 40), spacing=(1.0, 1.0, 2.0))
    mask = np.zeros(grid.shape, bool)
    mask[4:8, 10:20, 30:33] = True
    view = View.through(grid, "sagittal", mask)
    assert view.position == 31
    left, right, bottom, top = view.window(mask, margin=0.0)
    assert (left, right) == (9.5, 19.5)
    assert (top, bottom) == ((19 - 7 - 0.5) * 2.0, (19 - 4 + 0.5) * 2.0)
    assert view.window(mask, margin=5.0) == view.extent
    assert view.window(mask & False) == view.extent


def test_an_oblique_grid_is_shown_along_its_own_axes():
    c, s = np.cos(0.3), np.sin(0.3)
    grid = Grid((5, 6, 7), direction=(c, -s, 0, s, c, 0, 0, 0, 1))
    assert View.through(grid, "coronal").normal == 1


@pytest.fixture
def case():
    grid = Grid((24, 28, 20), spacing=(1.0, 1.2, 1.5), direction=(1, 0, 0, 0, -1, 0, 0, 0, 1))
    rng = np.random.default_rng(0)
    labels = np.zeros(grid.shape, np.uint8)
    labels[8:16, 8:14, 7:13] = 1
    labels[8:16, 14:20, 7:13] = 2
    image = (labels + 0.2 * rng.normal(size=grid.shape)).astype(np.float32)
    return Case("c", Image(image, grid), Image(labels, grid))


def field_of(grid, amplitude):
    z, y, _ = np.indices(grid.shape)
    vectors = np.zeros((*grid.shape, 3), np.float32)
    vectors[..., 1] = amplitude * np.sin(z / 3)
    vectors[..., 2] = amplitude * np.cos(y / 4)
    return DisplacementField(vectors, grid)


def assert_picture(paths, least=300):
    assert [p.suffix for p in paths] == [".png", ".svg"]
    picture = matplotlib.image.imread(paths[0])
    assert min(picture.shape[:2]) > least
    assert picture[..., :3].std() > 0.02
    assert paths[1].read_text().rstrip().endswith("</svg>")


def test_registration_figure(case, tmp_path):
    grid = case.grid
    fields = {"Baseline": field_of(grid, 1.0), "Other": field_of(grid, 2.0)}
    paths = registration_figure(case, case, fields, {1: "head", 2: "tail"}, tmp_path / "figure2")
    assert_picture(paths)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_row_of_pictures_shows_images_in_grey_and_the_determinant_in_colours(case, tmp_path):
    image, field = case.image, field_of(case.grid, 2.0)
    determinant = np.pad(field.jacobian_determinant(), 1, mode="edge")
    draw_row(image, image, field.warp_image(image), field, determinant, tmp_path / "row.png")
    shown = matplotlib.image.imread(tmp_path / "row.png")[..., :3]
    coloured = np.ptp(shown, axis=2).max(axis=0) > 0.02
    width = len(coloured)
    assert not coloured[: 3 * width // 4].any()
    assert coloured[3 * width // 4 :].any()


def test_registration_figure_of_bare_images(case, tmp_path):
    bare = Case("bare", case.image)
    fields = {"Baseline": field_of(bare.grid, 1.0)}
    assert_picture(registration_figure(bare, bare, fields, {}, tmp_path / "f", plane="axial"))


@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_the_deformed_grid_lies_where_the_field_takes_it(case, plane):
    """A shift by (1, 2, 3) mm moves every line by its in-plane part, in display coordinates."""
    grid = case.grid
    view = View.through(grid, plane)
    lines = []
    for shift in ((0, 0, 0), (1.0, 2.0, 3.0)):
        field = DisplacementField(np.full((*grid.shape, 3), shift, np.float32), grid)
        axes = Figure().add_subplot()
        draw_grid(axes, view, field, view.extent)
        lines.append(np.concatenate(axes.collections[0].get_segments()))
    expected = {"sagittal": (2.0, -3.0), "coronal": (1.0, -3.0), "axial": (1.0, 2.0)}[plane]
    assert np.allclose(lines[1] - lines[0], expected, atol=1e-4)


@pytest.fixture
def records():
    rng = np.random.default_rng(0)
    frames = []
    for method, pair in itertools.product(("identity", "net"), range(12)):
        rows = [
            row("dice", 0.5 + 0.3 * (method == "net") + 0.05 * rng.normal(), "", label)
            for label in ("head", "tail")
        ]
        frames.append(tidy(rows, "hippocampus", method, "val", f"f{pair}", f"m{pair}"))
    return pd.concat(frames, ignore_index=True)


def test_boxplots(records, tmp_path):
    methods = {"identity": "Unregistered", "net": "Baseline"}
    paths = metric_boxplots(
        records, "dice", methods, tmp_path / "dice", published={"identity": 0.55, "net": 0.8}
    )
    assert_picture(paths)
    assert_picture(metric_boxplots(records, "dice", methods, tmp_path / "d", by="pair"))
    with pytest.raises(WarplineError, match="'hd95'"):
        metric_boxplots(records, "hd95", methods, tmp_path / "none")


def write_log(path, steps):
    rng = np.random.default_rng(1)
    lines = []
    for step in range(steps):
        for name in ("loss", "similarity"):
            lines.append(
                (step, step // 10, 2.0 * step, "train", name, 1 / (1 + step) + rng.random())
            )
        if step % 10 == 0:
            lines.append((step, step // 10, 2.0 * step, "val", "dice", 0.5 + step / 1000))
    columns = ["step", "epoch", "seconds", "split", "name", "value"]
    pd.DataFrame(lines, columns=columns).to_csv(path, index=False)


def training(*logs, folds=(), title="A", dataset="Chests", place=0):
    return Training(dataset, title, place, logs, folds)


def drawn_curves(monkeypatch, trainings, against="epoch"):
    drawn = []
    monkeypatch.setattr(learning, "save", lambda figure, stem: drawn.append(figure))
    learning_curves(trainings, "curves", against=against)
    (figure,) = drawn
    return figure


@pytest.mark.parametrize("against", ["step", "epoch", "seconds"])
def test_learning_curves(tmp_path, against):
    write_log(tmp_path / "a.csv", 100)
    write_log(tmp_path / "b.csv", 30)
    trainings = [training(tmp_path / "a.csv"), training(tmp_path / "b.csv", title="B", place=1)]
    assert_picture(learning_curves(trainings, tmp_path / "curves", against=against))


def test_panels_are_named_in_words_and_labels_and_axes_have_none(tmp_path, monkeypatch):
    write_log(tmp_path / "a.csv", 30)
    with (tmp_path / "a.csv").open("a") as log:
        for split, name in (("val", "dice liver"), ("val", "mae_x"), ("train", "dice")):
            log.write(f"30,3,3.0,{split},{name},0.5\n")
    figure = drawn_curves(monkeypatch, [training(tmp_path / "a.csv")])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "training: loss"
    assert {"validation: Dice", "training: Dice loss"} <= set(titles)
    assert not any("liver" in title or "mae" in title for title in titles)


def test_a_dataset_has_a_row_with_its_trainings_and_folds_are_dashed(tmp_path, monkeypatch):
    for name in "abcd":
        write_log(tmp_path / f"{name}.csv", 30)
    a, b, c, d = (tmp_path / f"{name}.csv" for name in "abcd")
    trainings = [
        training(folds=[a, b], title="Folds"),
        training(c, title="Other", place=4),
        training(d, dataset="Heads", place=-1),
    ]
    figure = drawn_curves(monkeypatch, trainings)
    rows = len({axes.get_subplotspec().rowspan.start for axes in figure.axes})
    columns = len(figure.axes) // rows
    assert rows == 2
    assert [figure.axes[k * columns].get_ylabel() for k in range(rows)] == ["Chests", "Heads"]
    legends = [figure.axes[(k + 1) * columns - 1].get_legend() for k in range(rows)]
    texts = [[text.get_text() for text in legend.get_texts()] for legend in legends]
    assert texts == [["Folds", "Other", "without one fold"], ["A"]]
    for axes in figure.axes[:columns]:
        lines = [line for line in axes.lines if len(line.get_xdata())]
        assert [line.get_color() for line in lines] == [colour(0), colour(0), colour(4)]
        assert [line.is_dashed() for line in lines] == [True, True, False]
    assert figure.axes[columns].lines[0].get_color() == colour(-1)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_epochs_are_whole_numbers(tmp_path, monkeypatch, epochs):
    rows = [(k, k, 1.0 * k, "train", "loss", 1 / k) for k in range(1, epochs + 1)]
    columns = ["step", "epoch", "seconds", "split", "name", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "a.csv", index=False)
    figure = drawn_curves(monkeypatch, [training(tmp_path / "a.csv")])
    ticks = figure.axes[0].get_xticks()
    assert len(ticks) >= 2
    assert np.allclose(ticks, np.round(ticks))


def test_logs_that_cannot_be_drawn(tmp_path):
    with pytest.raises(WarplineError, match="cannot be read"):
        learning_curves([training(tmp_path / "none.csv")], tmp_path / "f")
    (tmp_path / "short.csv").write_text("step,epoch,value\n1,1,1\n")
    with pytest.raises(WarplineError, match="lacks seconds, split, name"):
        learning_curves([training(tmp_path / "short.csv")], tmp_path / "f")
    (tmp_path / "empty.csv").write_text("step,epoch,seconds,split,name,value\n")
    with pytest.raises(WarplineError, match="no line"):
        learning_curves([training(tmp_path / "empty.csv")], tmp_path / "f")
    with pytest.raises(ValueError, match="none of"):
        learning_curves([training(tmp_path / "empty.csv")], tmp_path / "f", against="days")


def test_the_same_figure_twice_is_the_same_file(records, tmp_path):
    first = metric_boxplots(records, "dice", {"net": "Net"}, tmp_path / "a")
    second = metric_boxplots(records, "dice", {"net": "Net"}, tmp_path / "b")
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("kind", sorted(FIGURES))
def test_a_kind_is_drawn_from_what_its_line_asks_for(kind):
    """A keyword that `draw` lacks, or has and is not given, would fail after hours of work."""
    asked = set(FIGURES[kind].sources)
    function = lookup(kind, {kind: FIGURES[kind].draw}, "figure")
    known = inspect.signature(function).parameters
    assert list(known)[:2] == ["figure", "stem"]
    named = {name for name, p in known.items() if p.kind is p.KEYWORD_ONLY}
    if "sources" in known:
        named |= {field.name for field in fields(OfPairs)}
    assert asked == named
