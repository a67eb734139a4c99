"""The contact sheet of noisy labels: what is red, in which order, and how many."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_rgb
from schema_tools import limits_of
from scipy import ndimage

from warpline.cases.case import Case, write_case
from warpline.cases.organs import NUMBER, ORGANS
from warpline.errors import WarplineError
from warpline.figures import contact_sheet
from warpline.figures import noisy_labels as sheet
from warpline.figures.contact_sheet import COLOURS, RED
from warpline.figures.entry import FigureEntry
from warpline.figures.style import PALETTE
from warpline.images.files import write_image
from warpline.images.grid import Image
from warpline.phantoms.anatomy import abdomen
from warpline.segmentation.noisy_labels import Distribution, Limits, measure, noisy_labels

LIMITS = Limits(**limits_of())
ALL = tuple(range(1, len(ORGANS) + 1))
SPLEEN, LIVER, STOMACH, PANCREAS = (
    NUMBER[name] for name in ("spleen", "liver", "stomach", "pancreas")
)
# What is dropped of each case, in the order of the table; more than three: left out.
LOST = {
    "fine.1": {},
    "few.2": {"pancreas": "misplaced along z"},
    "out.3": dict.fromkeys(["spleen", "aorta", "pancreas", "portal_vein"], "not found"),
    "fine.4": {},
    "out.5": dict.fromkeys(ORGANS[:6], "misplaced along x"),
}


def organs_of(scan: abdomen.Scan) -> Image:
    labels = scan.labels
    return labels.with_array(np.where(labels.array <= len(ORGANS), labels.array, 0).astype("u1"))


@pytest.fixture(scope="module")
def scan() -> abdomen.Scan:
    return abdomen.subject(1, spacing=8.0)


def rows(case: str, lost: dict[str, str], annotated=("liver",)) -> pd.DataFrame:
    """A table of one case, with the columns that the sheet is drawn from."""
    return pd.DataFrame(
        {
            "case": case,
            "organ": ORGANS,
            "source": ["annotated" if name in annotated else "predicted" for name in ORGANS],
            "kept": [name not in lost for name in ORGANS],
            "reason": [lost.get(name, "") for name in ORGANS],
        }
    )


def store(folder, scan: abdomen.Scan, lost=(), predicted: np.ndarray | None = None) -> None:
    """A case's folder; `predicted` is the phantom's own map if not given."""
    labels = organs_of(scan)
    kept = np.where(np.isin(labels.array, [NUMBER[name] for name in lost]), 0, labels.array)
    write_case(folder, Case(folder.name, scan.image, labels.with_array(kept)))
    array = labels.array if predicted is None else predicted
    write_image(folder / "predicted.nii.gz", labels.with_array(array))


@pytest.fixture
def drawn(monkeypatch):
    """Figures instead of files."""
    seen = []
    monkeypatch.setattr(sheet, "save", lambda figure, stem: seen.append(figure))
    return seen


def drawn_sheet(drawn, table, folders, **settings):
    sheet.contact_sheet(table, folders, "unused", limits=LIMITS, **settings)
    return drawn.pop()


def texts(figure) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in figure.texts]


def red(figure, axes) -> np.ndarray:
    """(right, down) in mm of the red pixels within a panel's frame."""
    figure.set_dpi(200)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    down, right = np.nonzero(np.abs(pixels - 255 * np.array(to_rgb(RED))).max(axis=2) < 30)
    box = axes.get_window_extent().padded(-6)
    points = np.column_stack([right + 0.5, len(pixels) - down - 0.5])
    inside = [box.contains(*point) for point in points]
    return axes.transData.inverted().transform(points[inside])


@pytest.fixture
def five(tmp_path, scan):
    """The table and the folders of `LOST`."""
    for case, lost in LOST.items():
        store(tmp_path / case, scan, lost)
    table = pd.concat([rows(*item) for item in LOST.items()], ignore_index=True)
    return table, {case: tmp_path / case for case in LOST}


# What is red, in which order, how many -----------------------------------------------------------


def test_the_worst_comes_first_and_only_what_is_left_out_is_framed_in_red(drawn, five):
    figure = drawn_sheet(drawn, *five)
    found = [text for text in texts(figure) if text.partition(":")[0] in LOST]
    assert found == ["out.5: left out", "out.3: left out", "few.2", "fine.1", "fine.4"]
    edges = [axes.spines["left"].get_edgecolor() for axes in figure.axes]
    assert [same_color(edge, RED) for edge in edges] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert "pancreas: misplaced along z" in texts(figure)
    assert "spleen, aorta, portal vein, pancreas: not found" in texts(figure)
    assert texts(figure)[-1] == (
        "Shown: 5 of 5 cases (2 of 2 left out, 1 of 1 others with dropped organs, "
        "2 of 2 with none)."
    )


def test_panels_are_limited_and_the_foot_says_of_how_many(drawn, five, monkeypatch):
    monkeypatch.setattr(sheet, "MOST", 4)
    figure = drawn_sheet(drawn, *five)
    assert len(figure.axes) == 4
    assert "fine.4" not in texts(figure)
    assert texts(figure)[-1] == (
        "Shown: 4 of 5 cases (2 of 2 left out, 1 of 1 others with dropped organs, "
        "1 of 2 with none)."
    )


def test_the_limits_decide_what_is_left_out(five):
    table = five[0]
    for dropped, expected in ((3, 2), (4, 1), (6, 0)):
        cases = sheet.worst_first(sheet.verdicts(table, Limits(**limits_of(dropped=dropped))))
        assert (~cases["kept"]).sum() == expected
        assert cases["case"].tolist() == ["out.5", "out.3", "few.2", "fine.1", "fine.4"]


@pytest.mark.parametrize("where", ["in the slice", "beside it"])
def test_a_dropped_organ_is_red_where_it_was_predicted(drawn, tmp_path, scan, where):
    """A box of pancreas: its outline has the box's corners, to the line's width in mm."""
    labels = organs_of(scan).array
    others = [n for n in np.unique(labels) if n not in (0, PANCREAS)]
    middle = round(np.mean([ndimage.center_of_mass(labels == n)[1] for n in others]))
    y = middle if where == "in the slice" else middle + 6
    predicted = np.where(labels == PANCREAS, 0, labels)
    predicted[10:16, y, 20:29] = PANCREAS
    store(tmp_path / "a", scan, ["pancreas"], predicted)
    table = rows("a", {"pancreas": "misplaced along z"})
    figure = drawn_sheet(drawn, table, {"a": tmp_path / "a"})
    (axes,) = figure.axes
    found = red(figure, axes)
    view = sheet.View(scan.image.grid, "coronal", middle)
    corners = view.project(np.array([[9.5, y, 19.5], [15.5, y, 28.5]]))
    np.testing.assert_allclose(found.min(axis=0), corners.min(axis=0), atol=3)
    np.testing.assert_allclose(found.max(axis=0), corners.max(axis=0), atol=3)
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    silhouette = where == "beside it"
    assert ("dropped, silhouette" in names, "dropped" in names) == (silhouette, not silhouette)


def test_nothing_is_red_in_a_case_that_lost_nothing(drawn, tmp_path, scan):
    store(tmp_path / "a", scan)
    figure = drawn_sheet(drawn, rows("a", {}), {"a": tmp_path / "a"})
    assert len(red(figure, figure.axes[0])) == 0


# How organs are drawn ----------------------------------------------------------------------------


def test_annotated_organs_have_solid_lines_predicted_ones_dashed(drawn, tmp_path, scan):
    # As they were kept: nothing of them need have been predicted.
    store(tmp_path / "a", scan, predicted=np.zeros(scan.labels.array.shape, np.uint8))
    table = rows("a", {}, annotated=("liver", "pancreas"))
    (axes,) = drawn_sheet(drawn, table, {"a": tmp_path / "a"}).axes
    solid = {}
    for lines in axes.collections:
        if not lines.filled:
            ((_, dashes),) = lines.get_linestyle()
            solid[tuple(lines.get_edgecolor()[0])] = dashes is None
    expected = {
        number: (*to_rgb(PALETTE[COLOURS[number - 1]]), 1.0)
        for number in (LIVER, PANCREAS, STOMACH, SPLEEN)
    }
    found = {number: solid[colour] for number, colour in expected.items()}
    assert found == {LIVER: True, PANCREAS: True, STOMACH: False, SPLEEN: False}


def lab(colour: str, vision: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as seen with a colour vision, a matrix on linear RGB."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(vision @ linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_organs_that_touch_are_told_apart_with_any_colour_vision():
    """With the matrices of Machado, Oliveira and Fernandes 2009 for the three dichromacies."""
    visions = [
        np.eye(3),
        np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
        np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
        np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
    ]
    shades = [PALETTE[position] for position in COLOURS]
    assert len(set(shades)) == len(ORGANS)
    touching = set()
    for seed in range(3):
        labels = organs_of(abdomen.subject(seed, spacing=8.0, noise=0)).array
        for number in ALL:
            around = ndimage.binary_dilation(labels == number, np.ones((3, 3, 3)))
            touching |= {(number, int(other)) for other in np.unique(labels[around])}
    # In people, if not in the phantom, the spleen touches the pancreas and a large left lobe.
    pairs = {(a, b) for a, b in touching if 0 < a < b} | {(SPLEEN, PANCREAS), (SPLEEN, LIVER)}
    assert len(pairs) > 25
    for vision in visions:
        seen = [lab(shade, vision) for shade in shades]
        assert min(np.linalg.norm(seen[a - 1] - seen[b - 1]) for a, b in pairs) > 20


def test_lines_are_broken_where_they_read_well():
    """In 1.4 inches there is room for 28 letters."""
    found = contact_sheet.wrapped(["left kidney: too small: 53.24 ml", "spleen: not found"], 1.4)
    assert found == ["left kidney: too small:", "53.24 ml", "spleen: not found"]


# Page -------------------------------------------------------------------------------------------


def test_one_scale_within_the_page_and_no_texts_upon_each_other(drawn, five, tmp_path):
    table, folders = five
    long = "a-dataset-with-a-long-name.and-a-case-of-it.123"
    store(tmp_path / long, abdomen.subject(2, spacing=8.0, variation=2.0))
    lost = {
        name: f"too large: {100 * k}.1 ml; misplaced along x" for k, name in enumerate(ORGANS[:8])
    }
    table = pd.concat([table, rows(long, lost)], ignore_index=True)
    figure = drawn_sheet(drawn, table, folders | {long: tmp_path / long})
    assert figure.get_size_inches()[0] == pytest.approx(7.2)
    scales = []
    for axes in figure.axes:
        box = axes.get_window_extent()
        scales += [box.width / np.ptp(axes.get_xlim()), box.height / np.ptp(axes.get_ylim())]
    np.testing.assert_allclose(scales, scales[0])
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    boxes.append(figure.legends[0].get_window_extent())
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:k])


@pytest.mark.parametrize("number", [1, 4, 12, 24])
def test_a_row_is_as_wide_as_the_page(drawn, tmp_path, scan, number, monkeypatch):
    monkeypatch.setattr(contact_sheet, "draw_case", lambda axes, panel: None)
    store(tmp_path / "a", scan)
    cases = [f"a{k}" for k in range(number)]
    table = pd.concat([rows(case, {}) for case in cases], ignore_index=True)
    axes = drawn_sheet(drawn, table, dict.fromkeys(cases, tmp_path / "a")).axes
    lefts = sorted({round(panel.get_position().x0, 6) for panel in axes})
    assert len(lefts) == {1: 1, 4: 3, 12: 4, 24: 5}[number]
    for a, b in pairwise(lefts):
        assert b - a == pytest.approx(1 / len(lefts), abs=0.01)


# From the rules to the files ---------------------------------------------------------------------


def test_from_predictions_by_the_rules_to_the_same_files_each_time(tmp_path, scan):
    """A pancreas that was found 120 mm too low."""
    examples = [organs_of(abdomen.subject(seed, spacing=8.0, noise=0)) for seed in range(10, 15)]
    measured = [measure(labels, ALL, f"t{k}") for k, labels in enumerate(examples)]
    labels = organs_of(scan)
    low = np.where(labels.array == PANCREAS, 0, labels.array)
    z, y, x = np.nonzero(labels.array == PANCREAS)
    low[np.maximum(z - 15, 0), y, x] = PANCREAS
    own = labels.with_array(np.where(labels.array == LIVER, LIVER, 0).astype("u1"))
    case = Case("msd-liver.12", scan.image, own, annotated=(LIVER,))
    limits = limits_of(volume=50, position=5)
    found, table = noisy_labels(
        case,
        labels.with_array(low),
        ALL,
        Distribution(pd.concat(measured)),
        Limits(**limits),
    )
    assert PANCREAS not in found.annotated
    write_case(tmp_path / case.id, found)
    write_image(tmp_path / case.id / "predicted.nii.gz", labels.with_array(low))
    table.to_csv(tmp_path / "table.csv", index=False)
    sources = {
        "folders": {case.id: str(tmp_path / case.id)},
        "tables": [str(tmp_path / "table.csv")],
        "limits": limits,
    }
    for stem in ("a", "b"):
        sheet.draw(FigureEntry.of({"plane": "coronal"}), tmp_path / stem, **sources)
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    text = (tmp_path / "a.svg").read_text()
    for part in ("msd-liver.12", "pancreas: misplaced along z", "annotated", "predicted", "liver"):
        assert f"<!-- {part} -->" in text


# Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "case,organ,source,kept,reason\n"])
def test_an_empty_table_is_refused_by_name(tmp_path, content):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    rows("007", {}).to_csv(good, index=False)
    assert set(sheet.read_tables([good])["case"]) == {"007"}
    bad.write_text(content)
    with pytest.raises(WarplineError, match=r"no case to show(.|\n)*bad\.csv"):
        sheet.read_tables([good, bad])


def test_what_a_case_lacks_is_said(tmp_path, scan):
    folder = tmp_path / "a"
    store(folder, scan)
    table = rows("a", {})

    def draw(folders):
        sheet.contact_sheet(table, folders, tmp_path / "sheet", limits=LIMITS)

    with pytest.raises(WarplineError, match="without a folder"):
        draw({"b": folder})
    labels = organs_of(scan)
    moved = Image(labels.array, replace(labels.grid, origin=(0.0, 0.0, 0.0)))
    write_image(folder / "predicted.nii.gz", moved)
    with pytest.raises(WarplineError, match=r"scan's grid(.|\n)*predicted"):
        draw({"a": folder})
    (folder / "predicted.nii.gz").unlink()
    with pytest.raises(WarplineError, match=r"case a has no predicted\.nii\.gz"):
        draw({"a": folder})
    assert not list(tmp_path.glob("sheet*"))
