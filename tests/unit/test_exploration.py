"""What a dataset looks like: the numbers by hand, the slices by their place, the figures' words."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from warpline.cases.case import Case, read_case, write_case
from warpline.cases.exploration import (
    PIXELS,
    Slice,
    describe,
    gather,
    of_cases,
    read_slices,
    shown,
    write_description,
)
from warpline.cases.preparation import prepare_case
from warpline.cases.steps import prepare
from warpline.errors import WarplineError
from warpline.figures.exploration import PLOTS, explore
from warpline.images.grid import Grid, Image
from warpline.plan import experiments
from warpline.plan.catalog import Catalog

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
STEPS = [
    {"clip_background": {}},
    {"resample": {"spacing": [2, 2, 2]}},
    {"resize": {"shape": [12, 20, 20]}},
    {"zscore": {}},
    {"unit_frame": {}},
]


def scan(outside: float | None = -2048, slices: int = 12, name: str = "a", body: int = 40) -> Case:
    """A body in a field of view, with a mask of 6 × 4 voxels a slice."""
    rng = np.random.default_rng(slices)
    shape = (slices, 40, 48)
    hu = rng.normal(-1000, 8, shape)
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    hu[(x / 0.7) ** 2 + (y / 0.5) ** 2 < 1] = body
    mask = np.zeros(shape, np.uint8)
    mask[:, 18:24, 10:14] = 1
    hu[mask > 0] = -850
    if outside is not None:
        hu[x**2 + y**2 > 1] = outside
    grid = Grid(shape, (1.5, 1.5, 2.5))
    return Case(name, Image(np.rint(hu).astype(np.int16), grid), mask=Image(mask, grid))


def described(case: Case):
    clipped = prepare(case, STEPS[:1])
    return describe(case, prepare(clipped, STEPS[1:]), clipped)


def value(description, stage: str, name: str, item: str = "") -> float:
    (found,) = [
        row["value"]
        for row in description.records
        if (row["stage"], row["name"], row["item"]) == (stage, name, item)
    ]
    return found


# Numbers ----------------------------------------------------------------------------------------


def test_a_scan_is_described_by_its_numbers():
    case = scan()
    found = described(case)
    for name, expected in {
        "slices": 12,
        "rows": 40,
        "columns": 48,
        "slice_spacing": 2.5,
        "row_spacing": 1.5,
        "column_spacing": 1.5,
        "height": 30,
        "lung_volume": 12 * 24 * 1.5 * 1.5 * 2.5 / 1000,
        "minimum": -2048,
        "maximum": 40,
        "infinity": 40,
        "backgrounds": 2,
    }.items():
        assert value(found, "before", name) == pytest.approx(expected), name
    assert value(found, "before", "background_value", "1") == -2048
    assert value(found, "before", "background_inside", "1") == 0
    assert value(found, "before", "background_inside", "2") == 1
    inside = value(found, "before", "background_value", "2")
    assert value(found, "clipped", "backgrounds") == 1
    assert value(found, "clipped", "background_value", "1") == inside
    assert value(found, "clipped", "minimum") == inside
    prepared = prepare(case, STEPS).image.array.astype(float)
    assert value(found, "prepared", "norm") == pytest.approx(np.linalg.norm(prepared), rel=1e-5)


def test_the_frobenius_norm_is_the_one_at_1_mm():
    case = scan(body=100)
    positive = np.maximum(case.image.array.astype(float), 0)
    by_hand = np.sqrt((positive**2).sum() * 1.5 * 1.5 * 2.5)
    assert value(described(case), "before", "frobenius") == pytest.approx(by_hand)
    real = Case("a", case.image.with_array(case.image.array.astype(np.float32)))
    assert value(described(real), "before", "frobenius") == pytest.approx(by_hand)
    # Every voxel cut into 2 × 3 × 5 of the same value: finer, but the same scan.
    finer = case.image.array.repeat(5, 0).repeat(3, 1).repeat(2, 2)
    cut = Case("a", Image(finer, Grid(finer.shape, (0.75, 0.5, 0.5))))
    assert value(described(cut), "before", "frobenius") == pytest.approx(by_hand)


def test_axes_are_named_by_the_patient_not_by_the_file():
    case = scan()
    turned = np.moveaxis(case.image.array, 0, 2)
    grid = Grid(turned.shape, (2.5, 1.5, 1.5), direction=(0, 1, 0, 0, 0, 1, 1, 0, 0))
    found, upright = described(Case("a", Image(turned, grid))), described(case)
    for name in ("slices", "rows", "columns", "slice_spacing", "height"):
        assert value(found, "before", name) == value(upright, "before", name), name
    for key, slice_ in upright.slices.items():
        if key[0] == "before":
            assert (found.slices[key].pixels == slice_.pixels).all()
            assert found.slices[key].size == slice_.size


# Slices -----------------------------------------------------------------------------------------


def test_slices_lie_at_their_part_of_the_height_head_up():
    grid = Grid((20, 6, 8), (1.0, 2.0, 3.0))
    array = np.broadcast_to(np.arange(20, dtype=np.int16)[:, None, None], grid.shape)
    for direction, sense in (((1, 0, 0, 0, 1, 0, 0, 0, 1), 1), ((1, 0, 0, 0, 1, 0, 0, 0, -1), -1)):
        image = Image(array[::sense], Grid(grid.shape, grid.spacing, direction=direction))
        slices = describe(Case("a", image), Case("a", image)).slices
        for view, height in (("low", 6), ("axial", 10), ("high", 14)):
            assert (slices["before", view].pixels == height).all()
        assert slices["before", "coronal"].pixels[:, 0].tolist() == list(range(20))[::-1]
        assert slices["before", "coronal"].size == (60, 8)
        assert slices["before", "sagittal"].size == (60, 12)


def test_large_slices_are_thinned_not_blurred():
    array = np.random.default_rng(0).integers(-1000, 1000, (2, 3, 600)).astype(np.int16)
    image = Image(array, Grid(array.shape))
    found = describe(Case("a", image), Case("a", image)).slices["before", "axial"]
    assert (found.pixels == array[1][:, ::3]).all()
    assert max(found.pixels.shape) <= PIXELS
    assert found.size == (3, 600)


def test_the_slice_after_clipping_has_the_size_that_the_scan_had():
    slices = described(scan()).slices
    for plane in ("axial", "coronal", "sagittal"):
        assert slices["clipped", plane].size == slices["before", plane].size
        assert slices["clipped", plane].pixels.shape == slices["before", plane].pixels.shape
    assert slices["clipped", "axial"].pixels.min() > -1010
    assert slices["before", "axial"].pixels.min() == -2048


# Gathering --------------------------------------------------------------------------------------


def cohort(tmp_path, cases) -> tuple[pd.DataFrame, dict[str, Slice]]:
    folders = {}
    for case in cases:
        folders[case.id] = tmp_path / case.id
        write_description(folders[case.id], described(case))
    gather(folders, tmp_path / "all.parquet", tmp_path / "all.npz")
    return pd.read_parquet(tmp_path / "all.parquet"), read_slices(tmp_path / "all.npz")


def test_cases_are_gathered_in_their_order(tmp_path):
    cases = [scan(name="b", slices=14), scan(name="a", outside=None), scan(name="c", slices=20)]
    records, slices = cohort(tmp_path, cases)
    assert list(records.columns) == ["case", "stage", "name", "item", "value", "unit"]
    assert of_cases(records, "slices").to_dict() == {"b": 14, "a": 12, "c": 20}
    assert of_cases(records, "backgrounds").to_dict() == {"b": 2, "a": 1, "c": 2}
    chosen = shown(records)
    assert chosen["examples"] == ["a", "b", "c"]
    assert chosen["extremes"] == ["a", "c"]
    assert chosen["backgrounds"] == ["a", "b", "c"]
    assert chosen["clipping"] == ["b"]
    expected = described(cases[0]).slices["before", "coronal"]
    assert (slices["b/before/coronal"].pixels == expected.pixels).all()
    assert slices["b/before/coronal"].size == expected.size


def test_only_slices_that_are_shown_are_kept(tmp_path):
    records, slices = cohort(tmp_path, [scan(name=f"c{k:02d}", slices=12 + k) for k in range(20)])
    kept = {name.split("/")[0] for name in slices}
    assert kept == {case for cases in shown(records).values() for case in cases}
    assert len(kept) < 20
    assert {"c00", "c19"} <= kept


def test_a_case_that_was_not_described_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(WarplineError) as error:
        gather({"a": tmp_path / "a"}, tmp_path / "x.parquet", tmp_path / "x.npz")
    assert "The case 'a' was prepared without being described" in str(error.value)
    assert "explore: true" in str(error.value)
    assert not (tmp_path / "x.parquet").exists()


# Figures ----------------------------------------------------------------------------------------


def words(path: Path) -> str:
    """The text of an SVG: matplotlib writes it as a comment before its outlines."""
    text = path.read_text(encoding="utf-8")
    return "\n".join(part.split("-->")[0].strip() for part in text.split("<!--")[1:])


@pytest.fixture(scope="module", params=[1, 5])
def drawn(request, tmp_path_factory):
    """A cohort of so many scans."""
    cases = [scan(name=f"c{k}", slices=12 + 3 * k, body=40 + k) for k in range(request.param)]
    return request.param, *cohort(tmp_path_factory.mktemp("cohort"), cases)


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_is_drawn_of_one_and_of_several_scans(tmp_path, monkeypatch, plot, drawn):
    monkeypatch.setattr("warpline.figures.style.DPI", 80)
    number, records, slices = drawn
    png, svg = explore(records, slices, plot, tmp_path / "figure")
    picture = matplotlib.image.imread(png)[..., :3]
    assert picture.std() > 0.02
    assert max(picture.shape) <= 800
    if plot in ("heights", "norms", "norm_by_height"):
        assert ("1 scan" if number == 1 else "5 scans") in words(svg)


def test_backgrounds_are_told_and_clipping_shown(tmp_path):
    cases = [scan(name="one", outside=None), scan(name="two", slices=14)]
    records, slices = cohort(tmp_path, cases)
    said = words(explore(records, slices, "backgrounds", tmp_path / "f7")[1])
    for part in ("1 value", "2 values", "outside −2048 (", "inside −"):
        assert part in said
    assert "No scan has" not in said
    said = words(explore(records, slices, "clipping", tmp_path / "f8")[1])
    for part in ("Before", "clipping", "outside −2048 (", "Along the dashed line (mm)"):
        assert part in said


def test_what_no_scan_has_is_said(tmp_path):
    records, slices = cohort(tmp_path, [scan(outside=None)])
    said = words(explore(records, slices, "backgrounds", tmp_path / "f7")[1])
    assert "No scan has two background values." in said
    said = words(explore(records, slices, "clipping", tmp_path / "f8")[1])
    assert "No scan has two background values that were clipped to one." in said
    # A scan without any background
    array = np.random.default_rng(0).normal(-860, 30, (20, 30, 30)).astype(np.int16)
    records, slices = cohort(tmp_path, [Case("crop", Image(array, Grid(array.shape)))])
    said = words(explore(records, slices, "backgrounds", tmp_path / "f7")[1])
    assert "0 values" in said
    assert "no background" in said
    assert "No scan has one or two background values." in said


# The preparation job ----------------------------------------------------------------------------


def test_a_case_is_described_only_where_that_is_asked_for(tmp_path):
    write_case(tmp_path / "canonical" / "a", scan())
    for explored in (False, True):
        target = tmp_path / f"prepared{explored}"
        prepare_case(tmp_path / "canonical/a", STEPS, target / "a", explore=explored)
        names = {path.name for path in (target / "a").iterdir()}
        expected = {"image.nii.gz", "mask.nii.gz"}
        assert names == expected | ({"exploration.json", "slices.npz"} if explored else set())
    images = [
        read_case(tmp_path / f"prepared{explored}" / "a").image.array for explored in (False, True)
    ]
    assert (images[0] == images[1]).all()
    stored = json.loads((tmp_path / "preparedTrue/a/exploration.json").read_text())
    assert stored == described(read_case(tmp_path / "canonical" / "a")).records


# The configuration ------------------------------------------------------------------------------


def refusal(figure: dict, dataset: dict | None = None) -> str:
    """What the catalog says of a paper with this figure."""
    override = {
        "papers": {"estienne2020": {"figures": {"seen": {"title": "Seen", **figure}}}},
        "datasets": {"hippocampus": dataset or {}},
    }
    with pytest.raises(WarplineError) as error:
        Catalog({"override": override}, ROOT).paper("estienne2020")
    return str(error.value)


def test_an_exploration_needs_a_dataset_that_is_described():
    figure = {"kind": "exploration", "plot": "heights", "dataset": "hippocampus"}
    message = refusal(figure)
    for part in ("'hippocampus', which is not described", "figures.seen", "explore: true"):
        assert part in message
    assert "Did you mean 'hippocampus'?" in refusal({**figure, "dataset": "hipocampus"})
    override = {
        "papers": {"estienne2020": {"figures": {"seen": {"title": "Seen", **figure}}}},
        "datasets": {"hippocampus": {"explore": True}},
    }
    catalog = Catalog({"override": override}, ROOT)
    assert catalog.paper("estienne2020")["figures"]["seen"]["plot"] == "heights"
    assert experiments.registrations(catalog, "estienne2020") == experiments.registrations(
        Catalog({}, ROOT), "estienne2020"
    )


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"kind": "exploration", "dataset": "hippocampus"}, "'plot' is a required property"),
        ({"kind": "exploration", "plot": "heights"}, "'dataset' is a required property"),
        ({"kind": "exploration", "plot": "hights", "dataset": "x"}, "did you mean 'heights'"),
        ({"kind": "boxplot", "metric": "dice"}, "figures.seen.experiments"),
        ({"kind": "explorations", "plot": "heights"}, "did you mean 'exploration'"),
    ],
)
def test_a_figure_s_keys_are_those_of_its_kind(figure, message):
    assert message in refusal(figure)
