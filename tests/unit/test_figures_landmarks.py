"""Figures of landmarks and differences: what is drawn is what was measured."""

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.evaluation.records import records as tidy
from warpline.evaluation.records import row, write_records
from warpline.fields.io import write_field
from warpline.fields.physical import DisplacementField
from warpline.figures import axis_scatter, differences, pairs, residuals
from warpline.figures.entry import FigureEntry
from warpline.images.grid import Grid, Image
from warpline.plan.pairs import pair_name

METHODS = {"affine": "Affine", "net": "RegNet"}
# Along x alone: the affine moves every landmark by 1 mm, the network as below; true are 3, −4, 12.
TRUE = {"a": 3.0, "b": -4.0, "c": 12.0}
FOUND = {"affine": dict.fromkeys(TRUE, 1.0), "net": {"a": 2.5, "b": -3.0, "c": 4.0}}


def landmarks(pairs=("p", "q")) -> pd.DataFrame:
    """Three landmarks of every pair; those of the second pair are mirrored."""
    frames = []
    for method, found in FOUND.items():
        for sign, pair in zip((1, -1), pairs, strict=False):
            rows = []
            for name, moved in found.items():
                rows.append(row("tre", abs(moved - TRUE[name]), "mm", name))
                for axis, true, moves in (("x", sign * TRUE[name], sign * moved), *ZEROS):
                    rows.append(row(f"displacement_{axis}", moves, "mm", name))
                    rows.append(row(f"target_{axis}", true, "mm", name))
            frames.append(tidy(rows, "d", method, "test", f"{pair}0", f"{pair}1"))
    return pd.concat(frames, ignore_index=True)


ZEROS = (("y", 0.0, 0.0), ("z", 0.0, 0.0))


@pytest.fixture
def drawn(monkeypatch):
    """What goes into points, boxes and marks, in the order of drawing."""
    seen = {"points": [], "boxes": [], "marks": []}
    for module in (residuals, axis_scatter):
        monkeypatch.setattr(
            module, "points", lambda axes, x, y, shade: seen["points"].append((x, y))
        )
    monkeypatch.setattr(
        residuals, "box_with_points", lambda axes, values, *_: seen["boxes"].append(values)
    )
    monkeypatch.setattr(residuals, "published_mark", lambda axes, *at: seen["marks"].append(at))
    return seen


def test_every_landmark_is_a_point_of_its_distances_before_and_after(drawn, tmp_path):
    paths = residuals.residual_figure(
        landmarks(("p",)),
        METHODS,
        tmp_path / "f",
        before="affine",
        capture_range=8,
        published={"net": 4.39},
    )
    np.testing.assert_allclose(drawn["boxes"], [[2, 5, 11], [0.5, 1, 8]])
    ((before, after),) = drawn["points"]
    np.testing.assert_allclose(before, [2, 5, 11])
    np.testing.assert_allclose(after, [0.5, 1, 8])
    assert drawn["marks"] == [(1, 4.39)]
    assert matplotlib.image.imread(paths[0])[..., :3].std() > 0.02


def test_landmarks_are_matched_whatever_their_order_and_gaps_are_left_out():
    frame = landmarks().sample(frac=1, random_state=0)
    gap = (frame["method"] == "net") & (frame["label"] == "a") & (frame["fixed"] == "p0")
    frame.loc[gap, "value"] = np.nan
    table = residuals.by_landmark(frame, "tre", ["affine", "net"])
    assert len(table) == 5
    assert table.xs("b", level="label").to_numpy().tolist() == [[5, 1], [5, 1]]


def test_methods_without_landmarks_or_without_common_ones_are_named():
    with pytest.raises(WarplineError, match="'tre' for syn"):
        residuals.by_landmark(landmarks(), "tre", ["affine", "syn"])
    frame = landmarks()
    own = frame["label"].isin(["a"]) == (frame["method"] == "net")
    with pytest.raises(WarplineError, match="No landmark"):
        residuals.by_landmark(frame[own], "tre", ["affine", "net"])


def test_the_scatter_starts_where_the_method_before_leaves_off(drawn, tmp_path):
    paths = axis_scatter.axis_scatter(
        landmarks(),
        METHODS,
        tmp_path / "f",
        before="affine",
        capture_range=8,
        published={"tre": {"net": 1.66}, "tre_x": {"net": 0.58}},
    )
    # Landmark c, 11 mm away after the affine, is out of range in both pairs.
    np.testing.assert_allclose(drawn["boxes"], [[2, 5, 2, 5], [0.5, 1, 0.5, 1]])
    (true, estimated), *others = drawn["points"]
    np.testing.assert_allclose(true, [2, -5, -2, 5])
    np.testing.assert_allclose(estimated, [1.5, -4, -1.5, 4])
    for x, y in others:
        np.testing.assert_allclose((x, y), 0)
    text = paths[1].read_text()
    for part in ("mean error 0.75 mm", "published 0.58 mm", "mean error 0.00 mm"):
        assert part in text


def test_an_empty_capture_range_is_an_error(tmp_path):
    with pytest.raises(WarplineError, match=r"within 0\.1 mm after Affine"):
        axis_scatter.axis_scatter(
            landmarks(), METHODS, tmp_path / "f", before="affine", capture_range=0.1
        )


def ranked(*means: float) -> pd.DataFrame:
    frames = [
        tidy([row("tre", mean, "mm", "a")], "d", "net", "test", f"f{k}", f"m{k}")
        for k, mean in enumerate(means)
    ]
    return pd.concat(frames, ignore_index=True)


def test_pairs_are_chosen_by_their_distance():
    chosen = pairs.choose_pairs(ranked(3, 1, 9, 2), "net", ["best", "median", "worst", "first"])
    assert chosen == {"best": ("f1", "m1"), "median": ("f3", "m3"), "worst": ("f2", "m2"),
                      "first": ("f0", "m0")}  # fmt: skip
    assert pairs.choose_pairs(ranked(3), "net", ["median", "worst"]) == {"median": ("f0", "m0")}


def test_without_landmarks_only_the_first_pair_can_be_chosen():
    frame = tidy([row("cc", 1)], "d", "net", "test", "f", "m")
    assert pairs.choose_pairs(frame, "net", ["first"]) == {"first": ("f", "m")}
    with pytest.raises(WarplineError, match="worst"):
        pairs.choose_pairs(frame, "net", ["worst"])


def shifted_pair() -> tuple[Case, Case, DisplacementField]:
    """A moving image that is the fixed one 2 mm further along x, and the field that knows it."""
    grid = Grid((12, 14, 20), spacing=(2.0, 2.0, 2.0), origin=(5.0, 6.0, 7.0))
    image = np.random.default_rng(0).normal(0, 100, grid.shape).astype(np.float32)
    points = pd.DataFrame({"id": ["a", "b"], "x": 15.0, "y": [20.0, 24.0], "z": 11.0})
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:10, 3:12, 4:16] = 1
    fixed = Case("f", Image(image, grid), mask=Image(mask, grid), landmarks=points)
    moving = Case("m", Image(np.roll(image, 1, axis=2), grid))
    vectors = np.zeros((*grid.shape, 3), np.float32)
    vectors[..., 0] = 2.0
    return fixed, moving, DisplacementField(vectors, grid)


@pytest.mark.parametrize(("plane", "position"), [("sagittal", 5), ("coronal", 8), ("axial", 2)])
def test_the_slice_goes_through_the_centre_of_the_landmarks(plane, position):
    fixed, *_ = shifted_pair()
    view = pairs.through_landmarks(fixed.grid, plane, fixed.landmarks)
    assert (view.plane, view.position) == (plane, position)
    away = fixed.landmarks.copy()
    away[["x", "y", "z"]] += 1000
    edge = pairs.through_landmarks(fixed.grid, plane, away)
    assert edge.position == fixed.grid.shape[edge.normal] - 1


def test_a_true_field_leaves_no_difference():
    fixed, moving, field = shifted_pair()
    unmoved = DisplacementField.identity(field.grid)
    shown = differences.example(
        "one", fixed, moving, {"before": unmoved, "after": field}, plane="axial"
    )
    before, after = shown.differences()
    np.testing.assert_allclose(after[:, :-1], 0, atol=1e-3)
    np.testing.assert_allclose(before, shown.moving - shown.fixed, atol=1e-3)
    expected = np.percentile(np.abs(before), 99)
    assert differences.difference_range([shown]) == pytest.approx(expected)
    same = differences.example("two", fixed, fixed, {"before": unmoved}, plane="axial")
    # Where nothing differs, rounding does not fill the scale.
    assert 3 < differences.difference_range([same]) < 8
    assert shown.window != shown.view.extent


def test_the_difference_figure_of_files(tmp_path, monkeypatch):
    fixed, moving, field = shifted_pair()
    folders = {}
    for case in (fixed, moving):
        folders[case.id] = str(tmp_path / case.id)
        write_case(tmp_path / case.id, case)
    fields = {}
    for method, own in (("affine", DisplacementField.identity(field.grid)), ("net", field)):
        folder = tmp_path / method
        folder.mkdir()
        write_field(folder / f"{pair_name(('f', 'm'))}.nii.gz", own)
        fields[method] = {pair_name(("f", "m")): str(folder)}
    frames = [
        tidy([row("tre", value, "mm", "a")], "d", method, "test", "f", "m")
        for method, value in (("affine", 2.0), ("net", 0.04))
    ]
    write_records(pd.concat(frames), tmp_path / "records.parquet")
    spec = {
        "experiments": [
            {"dataset": "d", "method": method, "split": "test", "title": title}
            for method, title in METHODS.items()
        ],
        "pairs": ["median", "worst"],
        "plane": "coronal",
    }
    sources = {
        "records": tmp_path / "records.parquet",
        "folders": folders,
        "fields": fields,
        "unit": "mm",
        "intensity": "HU",
    }
    written = []
    monkeypatch.setattr(differences, "write", lambda axes, text: written.append(text))
    differences.draw(FigureEntry.of(spec), tmp_path / "figure2_5", **sources)
    assert written == ["Moving", "TRE 2.0 mm", "TRE 0.0 mm"]
    text = (tmp_path / "figure2_5.svg").read_text()
    for part in ("Fixed", "Affine", "RegNet", "median TRE by", "deformed − fixed (HU)"):
        assert f"<!-- {part} -->" in text
    assert "<!-- worst" not in text  # the same pair
    assert matplotlib.image.imread(tmp_path / "figure2_5.png")[..., :3].std() > 0.05
