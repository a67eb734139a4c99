"""The explorer keeps for looking what is true of a pair, and shows it in a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.evaluation.pairs import evaluate_pair
from warpline.evaluation.records import records, write_records
from warpline.explorer import grids, volumes
from warpline.explorer.build import WEB, write_page, write_paper
from warpline.explorer.choose import choose, choose_for_all, from_worst_to_best, read_rule
from warpline.explorer.pair import Looked, WayBack
from warpline.fields.io import write_field
from warpline.fields.physical import DisplacementField
from warpline.files import write_json
from warpline.images.grid import Grid, Image
from warpline.plan.config import read_yaml, validate
from warpline.tables.paper import write_table

sys.path.insert(0, str(Path(__file__).parents[1]))
import tour

ROOT = Path(__file__).parents[2]
NAMES = {1: "liver", 2: "left_kidney"}


# Which pairs -----------------------------------------------------------------------------------


def test_a_rule_names_the_ends_and_the_middle_of_an_order():
    order = [("a", str(n)) for n in range(7)]
    assert list(choose(order, "worst 3, median, best").values()) == ["worst"] * 3 + [
        "median",
        "best",
    ]
    assert list(choose(order, "worst 2, best 2")) == [order[i] for i in (0, 1, 6, 5)]
    assert list(choose(order, "all")) == order
    assert list(choose(order[:1], "worst 3, median, best")) == order[:1]
    assert choose([], "worst 3, median, best") == {}


def test_pairs_are_ordered_from_the_worst_and_those_without_a_score_come_last():
    scores = {("a", "b"): 0.5, ("c", "d"): float("nan"), ("e", "f"): 0.9}
    assert from_worst_to_best(scores, higher=True) == [("a", "b"), ("e", "f"), ("c", "d")]
    assert from_worst_to_best(scores, higher=False) == [("e", "f"), ("a", "b"), ("c", "d")]
    both = from_worst_to_best(scores, True), from_worst_to_best(scores, False)
    assert choose_for_all(both, "worst") == [("a", "b"), ("e", "f")]


@pytest.mark.parametrize("rule", ["worse 3", "worst three", "", "worst 3 median"])
def test_a_rule_that_cannot_be_read_is_told(rule):
    with pytest.raises(WarplineError, match="names no pairs"):
        read_rule(rule)


# Grids -----------------------------------------------------------------------------------------


def oblique(shape=(8, 10, 12), spacing=(1.0, 2.0, 3.0)) -> Grid:
    """A grid whose axes are permuted, flipped and turned by 20 degrees."""
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[0, 0, -1.0], [1, 0, 0], [0, -1, 0]]
    )
    return Grid(shape, spacing, (5.0, -7.0, 11.0), tuple(turned.ravel()))


def test_along_the_body_the_voxels_stay_where_they_are():
    grid = oblique()
    turned = grids.along_body(grid)
    places = [np.sort(g.index_to_physical(g.indices()).reshape(-1, 3).round(6), axis=0)
              for g in (grid, turned)]  # fmt: skip
    np.testing.assert_allclose(*places)
    axes = np.array(turned.direction).reshape(3, 3)
    assert (np.diag(axes) > 0.9).all()  # x to the left, y to the back, z to the head


def test_a_coarser_grid_has_the_same_extent_and_refines_no_axis():
    grid = Grid((30, 100, 120), (1.0, 1.0, 4.0))
    coarse = grids.coarser(grid, 40_000)
    assert 30_000 < np.prod(coarse.shape) <= 40_000
    assert coarse.shape[0] == 30
    extents = [np.multiply(g.spacing, g.shape[::-1]) for g in (grid, coarse)]
    np.testing.assert_allclose(*extents)
    starts = [g.index_to_physical(np.full(3, -0.5)) for g in (grid, coarse)]
    np.testing.assert_allclose(*starts, atol=1e-9)
    assert grids.coarser(grid, 10**6) is grid


# Levels ----------------------------------------------------------------------------------------


def test_soft_tissue_of_a_ct_is_kept_to_two_hu():
    values = np.linspace(-240, 290, 4001)
    scale = volumes.Scale.of(np.array([-1000.0, 1500.0]))
    assert scale.hu
    assert np.abs(scale.levels[scale.encode(values)] - values).max() <= 2.01
    assert list(scale.encode(np.array([-5000.0, 5000.0]))) == [0, 255]


def test_other_images_have_even_levels():
    image = np.random.default_rng(0).uniform(-1, 3, 100_000)
    scale = volumes.Scale.of(image)
    assert not scale.hu
    assert np.abs(scale.levels[scale.encode(image)] - image).max() < 0.01
    assert len(volumes.Scale.of(np.zeros(5)).levels) == 256


def test_a_fold_is_told_from_the_least_positive_jacobian():
    levels = volumes.encode_jacobian(np.array([-0.5, 0.0, 1e-6, 0.01, 1.0, 9.0]))
    assert list(levels) == [0, 0, 1, 1, 100, 255]


def test_vectors_come_back_to_half_a_step():
    vectors = np.random.default_rng(0).normal(0, 5, (3, 4, 5, 3)).astype(np.float32)
    parts, step = volumes.encode_vectors(vectors, 0.02)
    assert step == 0.02
    raw = parts[:, 0].astype(int) | (parts[:, 1].astype(int) << 8)
    back = raw.astype(np.uint16).view(np.int16) * step
    np.testing.assert_allclose(back.reshape(3, 3, 4, 5), np.moveaxis(vectors, -1, 0), atol=0.0101)


def test_distances_keep_short_ones_apart_from_a_long_one_and_say_which_are_not_known():
    distances = np.array([0.0, 0.01, 0.5, 20.0, np.nan])
    levels, largest = volumes.encode_distances(distances)
    assert largest == 20.0
    assert levels[-1] == volumes.UNKNOWN
    back = largest * (levels[:-1] / 254.0) ** 2
    np.testing.assert_allclose(back, distances[:-1], rtol=0.12, atol=1e-9)
    nothing, none = volumes.encode_distances(np.array([0.0, np.nan]))
    assert (list(nothing), none) == ([0, volumes.UNKNOWN], 0.0)


# A pair ----------------------------------------------------------------------------------------


def unpacked(text: str, shape) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(shape)


def box(grid: Grid, low, high) -> np.ndarray:
    """A box of body coordinates in mm."""
    points = grid.index_to_physical(grid.indices())
    return ((points > low) & (points < high)).all(axis=-1)


def two_cases(grid: Grid) -> tuple[Case, Case]:
    """A box with a smaller one in it; the moving ones lie 2 mm to the left and 1 mm up."""
    rng = np.random.default_rng(3)
    cases = []
    for name, shift in (("one", np.zeros(3)), ("two", np.array([2.0, 0.0, 1.0]))):
        labels = np.zeros(grid.shape, np.uint8)
        labels[box(grid, shift - 9, shift + 9)] = 1
        labels[box(grid, shift - 4, shift + np.array([4, 4, 6]))] = 2
        image = labels * 100.0 + rng.normal(0, 3, grid.shape)
        points = np.array([[0.0, 0, 0], [5, -3, 2], [-4, 4, -5]]) + shift
        landmarks = pd.DataFrame(points, columns=["x", "y", "z"])
        landmarks.insert(0, "id", ["a", "b", "c"])
        cases.append(
            Case(name, Image(image.astype(np.float32), grid), Image(labels, grid), None, landmarks)
        )
    return cases[0], cases[1]


def centred(shape=(24, 26, 28), spacing=(1.0, 1.0, 1.0)) -> Grid:
    origin = tuple(-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing, strict=True))
    return Grid(shape, spacing, origin)


def test_an_oblique_pair_is_kept_along_the_body_with_its_vectors_and_landmarks():
    c, s = np.cos(0.3), np.sin(0.3)
    direction = np.array([[0, -c, s], [-1, 0, 0], [0, s, c]])  # axes permuted, flipped, turned
    shape = (24, 28, 26)
    start = -direction @ (np.array(shape[::-1]) - 1) / 2
    grid = Grid(shape, (1.0, 1.0, 1.0), tuple(start), tuple(direction.ravel()))
    fixed, moving = two_cases(grid)
    looked = Looked(fixed, moving, NAMES)
    field = DisplacementField(np.broadcast_to([2.0, 0.5, 1.0], (*grid.shape, 3)), grid)
    found = looked.of_method(field)
    axes = np.array(looked.grid.direction).reshape(3, 3)
    np.testing.assert_allclose(np.abs(np.diag(axes)), [c, 1, c], atol=1e-6)
    parts = unpacked(found["field"], (3, 2, -1))
    vectors = (parts[:, 0].astype(int) | (parts[:, 1].astype(int) << 8)).astype(np.uint16)
    mean = (vectors.view(np.int16) * found["fieldStep"]).mean(axis=1)
    np.testing.assert_allclose(mean, axes.T @ [2.0, 0.5, 1.0], atol=0.02)
    for row, point in zip(
        found["landmarks"], fixed.landmarks[["x", "y", "z"]].to_numpy(), strict=True
    ):
        place = looked.grid.index_to_physical(np.array(row[1])[::-1])
        np.testing.assert_allclose(place, point, atol=2e-3)
        assert np.linalg.norm(row[3]) == pytest.approx(0.5, abs=2e-3)  # half a mm too far back
    assert found["folds"] == 0
    # The warped labels are those of evaluation, voxel by voxel.
    kept = unpacked(found["warpedLabels"], looked.grid.shape)
    there = looked.grid.index_to_physical(looked.grid.indices())
    index = np.rint(grid.physical_to_index(there)).astype(int)
    np.testing.assert_allclose(grid.index_to_physical(index), there, atol=1e-6)
    expected = field.warp_labels(moving.labels).array[tuple(np.moveaxis(index, -1, 0))]
    assert (kept == expected).mean() > 0.999


def test_a_fold_stays_one_where_the_grid_is_coarser(monkeypatch):
    grid = centred((30, 30, 30))
    fixed, moving = two_cases(grid)
    vectors = np.zeros((*grid.shape, 3), np.float32)
    vectors[15, 15, 15:17, 0] = [3, -3]
    field = DisplacementField(vectors, grid)
    folds = int((field.jacobian_determinant() <= 0).sum())
    assert folds > 0
    monkeypatch.setattr(volumes, "VOXELS", 4000)
    looked = Looked(fixed, moving, NAMES)
    found = looked.of_method(field)
    assert np.prod(looked.grid.shape) <= 4000
    assert (unpacked(found["jacobian"], looked.grid.shape) == 0).any()
    assert found["folds"] == folds


def inverse_error(found) -> np.ndarray:
    """In mm, on the grid of the field that is kept; NaN where not known."""
    kept = found["inverse"]
    levels = unpacked(kept["levels"], found["fieldShape"]).astype(float)
    levels[levels == volumes.UNKNOWN] = np.nan
    return kept["largest"] * (levels / 254) ** 2


def test_the_inverse_error_is_that_of_both_directions_or_of_the_field_s_own_inverse():
    grid = oblique((20, 22, 24), (1.0, 1.1, 1.2))
    middle = grid.index_to_physical((np.array(grid.shape) - 1) / 2)
    grid = Grid(grid.shape, grid.spacing, tuple(np.array(grid.origin) - middle), grid.direction)
    looked = Looked(*two_cases(grid), NAMES)

    def shift(vector) -> DisplacementField:
        return DisplacementField(np.broadcast_to(vector, (*grid.shape, 3)), grid)

    way = np.array([2.0, 0.5, 1.0])
    there = shift(way)
    found = looked.of_method(there, WayBack(shift([-2.0, -0.5, 2.0]), "the other direction"))
    assert found["inverse"]["by"] == "the other direction"
    error = inverse_error(found)
    half = grids.halved(looked.grid)
    index = grid.physical_to_index(half.index_to_physical(half.indices()) + way)
    known = ((index >= 0) & (index <= np.array(grid.shape) - 1)).all(axis=-1)
    assert 0.5 < known.mean() < 1
    np.testing.assert_array_equal(np.isfinite(error), known)
    np.testing.assert_allclose(error[known], 3.0, atol=1e-4)
    own = looked.of_method(there)
    assert own["inverse"]["by"] == "the same field's numerical inverse"
    assert inverse_error(own).max() < 1e-3


# The pages -------------------------------------------------------------------------------------

TABLE = {
    "title": "Table 1: a box",
    "caption": "At scale {scale}, n = {n}.",
    "reference": "none",
    "columns": {
        "dice": {"title": "Dice", "metric": "dice", "better": "higher", "decimals": 3},
        "tre": {"title": "TRE", "metric": "tre", "better": "lower", "decimals": 2, "unit": "mm"},
        "liver": {"title": "Liver", "metric": "dice", "label": "liver", "better": "higher"},
    },
    "rows": [
        {"id": "none", "title": "Unregistered", "set": "val", "dataset": "boxes",
         "method": "identity", "split": "val", "published": {"dice": 0.5}},
        {"id": "shift", "title": "Shifted", "set": "val", "dataset": "boxes", "method": "shift",
         "split": "val", "published": {"dice": 0.75}},
        {"id": "other", "title": "Somebody's", "set": "val", "published": {"dice": 0.9}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The explorer of a paper of two pairs by two methods."""
    folder = tmp_path_factory.mktemp("explorer")
    schema = read_yaml(ROOT / "workflow" / "schemas" / "paper.schema.yaml")
    about = validate(
        {"title": "Boxes", "citation": "Nobody, 2026.", "tables": {"table1": TABLE}, "figures": {}},
        schema,
        "test",
    )
    grid = centred()
    fixed, moving = two_cases(grid)
    pairs, frames = [("one", "two"), ("two", "one")], []
    cases = {"one": fixed, "two": moving}
    for name, case in cases.items():
        write_case(folder / "cases" / name, case)
    fields: dict[str, dict[str, str]] = {"identity": {}, "shift": {}}
    for a, b in pairs:
        sign = 1 if a == "one" else -1
        vectors = np.broadcast_to(np.array([2.0, 0.5, 1.0]) * sign, (*grid.shape, 3)).copy()
        vectors[4, 4, 4:6, 0] = [3, -3] if a == "one" else vectors[4, 4, 4:6, 0]
        for method, field in (
            ("identity", DisplacementField.identity(grid)),
            ("shift", DisplacementField(vectors, grid)),
        ):
            fields[method][f"{a}__{b}"] = str(folder / "fields" / method)
            write_field(folder / "fields" / method / f"{a}__{b}.nii.gz", field)
            rows = evaluate_pair(cases[a], cases[b], field, NAMES)
            frames.append(records(rows, "boxes", method, "val", a, b))
    frame = pd.concat(frames, ignore_index=True)
    write_records(frame, folder / "results" / "boxes" / "records.parquet")
    values = {"scale": "demo", "device": "cpu"}
    target = folder / "results/boxes/tables/table1.csv"
    write_table(frame, about["tables"]["table1"], values, target)
    write_json(folder / "results" / "boxes" / "claims.json", [])
    source = {
        "title": "Two boxes",
        "labels": NAMES,
        "outside": "border",
        "unit": "mm",
        "folders": {name: str(folder / "cases" / name) for name in cases},
        "fields": fields,
    }
    write_paper("boxes", about, {"boxes/val": source}, folder / "results", "worst, best", values)
    run = {"title": "scale demo", "data": "", "date": "", "code": "", "machine": ""}
    page = folder / "results" / "explorer" / "index.html"
    write_page(page, {"papers": ["boxes"], "run": run})
    frame.to_pickle(folder / "records.pickle")
    return page


def test_the_values_of_pairs_are_those_of_the_records(pages):
    frame = pd.read_pickle(pages.parents[2] / "records.pickle")
    text = (pages.parent / "boxes" / "paper.js").read_text(encoding="utf-8")
    content = json.loads(text.removeprefix('warpline.take("paper","boxes",').removesuffix(");\n"))
    place = content["places"]["boxes/val"]
    means = frame.groupby(["method", "metric", "fixed", "moving"])["value"].mean()
    for method in ("identity", "shift"):
        for metric in ("dice", "tre", "folding_fraction"):
            kept = place["scores"][method][metric]["pairs"]
            expected = [means[method, metric, a, b] for a, b in place["pairs"]]
            assert kept == pytest.approx(expected, rel=1e-5)
    liver = content["tables"]["table1"]["rows"][1]["cells"][2]["pairs"]
    own = frame[(frame["method"] == "shift") & (frame["label"] == "liver")]
    assert liver == pytest.approx(own[own["metric"] == "dice"]["value"].tolist(), rel=1e-5)
    assert content["tables"]["table1"]["rows"][2]["place"] == ""


def test_the_library_that_is_shipped_is_the_one_that_its_licence_names():
    licence = (WEB / "NIIVUE-LICENSE.txt").read_text(encoding="utf-8")
    digest = hashlib.sha256((WEB / "niivue.umd.js").read_bytes()).hexdigest()
    assert digest in licence
    assert "BSD 2-Clause" in licence


READY = "document.querySelector('.panes')?.dataset.ready"
PAIR = "#/pair/boxes/boxes/val/0?m=1&labels=0&cross=0"


def words(page) -> str:
    return page.run("document.getElementById('main').innerText")


def test_a_value_leads_to_its_pairs_and_a_pair_to_its_images(page, pages):
    page.go(f"{pages.as_uri()}#/table/boxes/table1", "document.querySelector('td a.value')")
    cells = page.run("[...document.querySelectorAll('td a.value')].map((a) => a.innerText.trim())")
    frame = pd.read_pickle(pages.parents[2] / "records.pickle")
    dice = frame[frame["metric"] == "dice"].groupby("method")["value"].mean()
    tre = frame[frame["metric"] == "tre"].groupby("method")["value"].mean()
    assert cells[:2] == [f"{dice['identity']:.3f}", f"{tre['identity']:.2f}"]
    assert cells[3:5] == [f"{dice['shift']:.3f}", f"{tre['shift']:.2f}"]
    page.run("document.querySelectorAll('td a.value')[3].click()")
    page.wait("document.querySelector('.pairs a')")
    assert page.run("document.querySelectorAll('.strips .dot').length") == 4
    worst = page.run("document.querySelector('.pairs tbody th').innerText")
    page.run("document.querySelector('.pairs a').click()")
    page.wait(READY)
    assert page.run("document.querySelector('h1').innerText").startswith(worst)
    assert f"{round(float(tre['shift']), 4):g}" in words(page) or "0.5" in words(page)


def pixels(page, plane: str) -> np.ndarray:
    """What a pane shows, (rows, columns, 3)."""
    width, height, data = page.run(
        f"""(() => {{ const c = document.querySelector("canvas[data-plane='{plane}']");
        const image = c.getContext("2d").getImageData(0, 0, c.width, c.height);
        return [c.width, c.height, Array.from(image.data)]; }})()"""
    )
    return np.array(data, np.uint8).reshape(height, width, 4)[..., :3]


def drawing(page, plane: str) -> str:
    return page.run(f"""document.querySelector("canvas[data-plane='{plane}']").toDataURL()""")


def test_a_slice_is_drawn_with_the_head_up_and_the_right_side_left(page, pages):
    page.go(f"{pages.as_uri()}{PAIR}&show=fixed&at=14,13,12", READY)
    where = json.loads(
        (pages.parent / "boxes" / "boxes-val-0.js").read_text().split(",", 2)[2][:-3]
    )
    shape, levels = where["shape"], np.array(where["levels"])
    fixed = levels[unpacked(where["fixed"], shape)]
    seen = pixels(page, "coronal")
    plane = fixed[::-1, 13, :]  # head up; x runs to the left of the body, to the right of the page
    scale = min(seen.shape[0] / plane.shape[0], seen.shape[1] / plane.shape[1])
    left = (seen.shape[1] - scale * plane.shape[1]) / 2
    top = (seen.shape[0] - scale * plane.shape[0]) / 2
    rows, columns = np.meshgrid(*map(np.arange, plane.shape), indexing="ij")
    inner = (
        (rows > 3) & (rows < plane.shape[0] - 4) & (columns > 3) & (columns < plane.shape[1] - 4)
    )
    at = seen[
        (top + (rows + 0.5) * scale).astype(int), (left + (columns + 0.5) * scale).astype(int)
    ]
    assert (at[inner].max(axis=-1) == at[inner].min(axis=-1)).all()  # grey
    assert np.corrcoef(at[inner][:, 0], plane[inner])[0, 1] > 0.97
    flipped = plane[::-1]
    assert np.corrcoef(at[inner][:, 0], flipped[inner])[0, 1] < 0.9


def test_every_picture_and_overlay_is_drawn_and_the_address_keeps_the_view(page, pages):
    page.go(f"{pages.as_uri()}{PAIR}", READY)
    seen = {}
    for key, kind in enumerate(
        ("fixed", "moving", "warped", "difference", "blend", "checkerboard", "curtain", "flicker",
         "jacobian"), 1,
    ):  # fmt: skip
        page.press(str(key))
        page.wait(f"document.querySelector('[aria-pressed=true]').dataset.kind === '{kind}'")
        seen[kind] = drawing(page, "axial")
    assert len(set(seen.values())) >= 8  # flicker is one of the two that it shows
    page.press("3")
    for key, wanted in (
        ("d", "field=colour"), ("d", "field=arrows"), ("d", "field=grid"), ("j", "jacobian=1"),
        ("i", "inverse=1"), ("l", "labels"), ("v", "six=1"),
    ):  # fmt: skip
        here = "document.querySelector('canvas').toDataURL()"
        page.run(f"window.before = {here}")
        page.press(key)
        page.wait(f"{here} !== window.before")
        page.wait(f"location.hash.includes('{wanted}') || '{wanted}' === 'labels'")
    address = page.run("location.href")
    page.go(address, READY)
    assert page.run("location.href") == address
    assert page.run("document.querySelectorAll('.panes canvas').length") == 6


def test_the_key_for_folds_goes_to_the_fold_and_two_methods_stand_side_by_side(page, pages):
    page.go(f"{pages.as_uri()}{PAIR}&m2=0&show=warped", READY)
    assert page.run("document.querySelectorAll('.panes canvas').length") == 6
    page.press("f")
    page.wait("document.querySelector('.readout').innerText.includes('a fold')")
    page.press("e")
    page.wait("document.querySelector('.note').innerText.includes('0.50 mm off')")


def test_heaps_of_folds_are_told_the_largest_first(page, pages):
    page.go(f"{pages.as_uri()}{PAIR}", READY)
    found = page.run(
        """(() => { const size = [5, 4, 3], jacobian = new Uint8Array(60).fill(100);
        for (const [x, y, z] of [[4, 0, 0], [0, 1, 1], [1, 2, 1], [2, 3, 2], [4, 3, 0]])
            jacobian[x + 5 * (y + 4 * z)] = 0;
        return warpline.volumes.heaps({ jacobian, size }); })()"""
    )
    assert [heap["count"] for heap in found] == [3, 1, 1]  # the first three touch by corners
    assert found[0]["middle"] == [1, 2, 1]


def test_the_inverse_error_is_told_and_drawn(page, pages):
    """Both directions were registered: 0.5 mm of each shift is not undone by the other."""
    page.go(f"{pages.as_uri()}{PAIR}&show=fixed&points=0&at=14,13,12", READY)
    told = "document.querySelector('.readout').innerText"
    assert "inverse error 0 mm" in page.run(told)
    plain = pixels(page, "axial")
    page.press("i")
    page.wait("document.querySelector('.bars').innerText.includes('inverse error (mm)')")
    said = page.run("document.querySelector('.bars').innerText")
    assert "by this method's field of the other direction" in said
    inner = pixels(page, "axial")[100:-100, 100:-100]
    assert (inner != plain[100:-100, 100:-100]).any(axis=-1).mean() > 0.9
    # At the fold, the way back leads elsewhere.
    page.press("f")
    page.wait(f"{told}.includes('a fold')")
    assert "inverse error 0 mm" not in page.run(told)
    page.press(",")  # the method before: nothing moves, nothing is to be undone
    page.wait(f"{told}.includes('displaced 0.00 mm')")
    assert "inverse error 0 mm" in page.run(told)


def test_the_three_dimensional_view_draws_something(page, pages, tmp_path):
    page.go(f"{pages.as_uri()}{PAIR}", READY)
    page.press("t")
    page.wait("document.querySelector('.space canvas[data-ready], .space .problem')")
    assert page.run("document.querySelector('.space .problem')?.innerText ?? ''") == ""
    box = page.run("document.querySelector('.space canvas').getBoundingClientRect().toJSON()")
    page.screenshot(tmp_path / "space.png")
    seen = (imread(tmp_path / "space.png")[..., :3] * 255).astype(int)
    top, left = max(0, int(box["top"])), int(box["left"])
    seen = seen[top : int(box["bottom"]), left : int(box["right"])]
    drawn = seen.max(axis=-1) > 40
    assert 0.01 < drawn.mean() < 0.9
    assert not drawn[20:-20, 10:60].any()  # black beside it


def test_a_broken_volume_is_told(page, pages, tmp_path):
    import shutil

    broken = tmp_path / "explorer"
    shutil.copytree(pages.parent, broken)
    path = broken / "boxes" / "boxes-val-0-1.js"
    text = path.read_text(encoding="utf-8")
    start = text.index('"warped":"') + len('"warped":"')
    path.write_text(text[:start] + text[start + 40 :], encoding="utf-8")
    page.go(f"{(broken / 'index.html').as_uri()}{PAIR}", "document.querySelector('[role=alert]')")
    assert "The warped volume is broken" in words(page)
    assert "snakemake --cores 2 --forcerun explorer explorer" in words(page)
    text = text.replace('"levels":"', '"levels":"AAAA')
    path.write_text(text, encoding="utf-8")
    page.go(f"{(broken / 'index.html').as_uri()}{PAIR}", "document.querySelector('[role=alert]')")
    assert "The map of the inverse error is broken" in words(page)
    path.unlink()
    page.go(f"{(broken / 'index.html').as_uri()}{PAIR}", "document.querySelector('[role=alert]')")
    assert "boxes/boxes-val-0-1.js cannot be read" in words(page)
    start = broken / "start.js"
    content = start.read_text(encoding="utf-8")
    own = content.replace('"papers":', '"again":"warpline view out","papers":', 1)
    assert own != content
    start.write_text(own, encoding="utf-8")
    page.go(f"{(broken / 'index.html').as_uri()}{PAIR}", "document.querySelector('[role=alert]')")
    assert "Make it again: warpline view out" in words(page)
    page.errors[:] = [e for e in page.errors if "ERR_FILE_NOT_FOUND" not in e]


def test_the_five_tasks_of_the_tour(page, pages, tmp_path):
    frame = pd.read_pickle(pages.parents[2] / "records.pickle")
    dice = frame[(frame["metric"] == "dice") & (frame["method"] == "shift")]
    means = dice.groupby(["fixed", "moving"])["value"].mean()
    page.go(pages.as_uri(), "document.querySelector('.cards a')")
    reader = tour.Reader(page)
    # 1: the worst pair of a method.
    worst = tour.worst_pair(reader, "Table 1: a box", "Shifted", "Dice")
    assert worst == " ← ".join(means.idxmin())
    # 2: where it folds.
    tour.open_worst(reader)
    assert page.run("document.querySelector('h1').innerText").startswith(worst)
    own = frame[(frame["metric"] == "folding_fraction") & (frame["method"] == "shift")]
    folding = own.set_index(["fixed", "moving"])["value"]
    assert folding[means.idxmin()] == 0
    assert "Shifted folds nowhere in what is shown of this pair." in tour.fold(reader)
    other = " ← ".join(folding.idxmax())
    reader.choose("Pair", other, f"document.querySelector('h1').innerText.startsWith('{other}')")
    assert "a fold" in tour.fold(reader)
    # 3: two methods there, with one crosshair.
    tour.compare(reader, "Unregistered")
    images = "[...document.querySelectorAll('.panes canvas')].map((c) => c.toDataURL())"
    before = page.run(images)
    box = page.run("document.querySelector('.panes canvas').getBoundingClientRect().toJSON()")
    address = page.run("location.href")
    reader.point(box["left"] + 0.6 * box["width"], box["top"] + 0.4 * box["height"])
    page.wait(f"location.href !== {json.dumps(address)}")
    after = page.run(images)
    assert len(after) == 6
    assert all(a != b for a, b in zip(before, after, strict=True))
    # 4: a link, which opens the same view.
    address = tour.send(reader)
    page.go(address, f"{READY} && document.querySelectorAll('.panes canvas').length === 6")
    assert page.run(images) == after
    # 5: the numbers.
    reader.click("Table 1: a box", within="#crumbs", until="document.querySelector('td a.value')")
    rows = tour.take_numbers(reader, tmp_path).read_text(encoding="utf-8").splitlines()
    named = dict(zip(rows[0].split(","), rows[2].split(","), strict=True))
    assert named["method"] == "Shifted"
    assert float(named["Dice"]) == pytest.approx(means.mean())


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "where", ["#/", "#/table/boxes/table1", "#/value/boxes/table1/1/dice", PAIR]
)
def test_no_page_is_wider_than_the_window(page, pages, where, width):
    page.size(width, 720, dark=width < 600)
    page.go(f"{pages.as_uri()}{where}", "document.querySelector('main h1')")
    assert page.run("document.documentElement.scrollWidth") <= width
    page.size(1280, 720)
