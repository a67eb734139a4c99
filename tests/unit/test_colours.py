"""Colours: one a method in all figures of a run, apart from each other, dark enough on white."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from warpline.figures.arena import looks
from warpline.figures.style import FRAME, METHODS, UNREGISTERED, colour, shades
from warpline.plan.colours import arena_colours, colours
from warpline.plan.inputs import figures
from warpline.plan.run import Run

ROOT = Path(__file__).parents[2]
PAPERS = ["bouabid2019", "estienne2020", "hansen2020", "hu2020", "sokooti2017"]


@pytest.fixture(scope="module")
def run():
    return Run({"papers": PAPERS, "scale": "demo", "results": "results"}, ROOT)


def contrast_with_white(shade):
    """WCAG 2: (1 + 0.05) / (L + 0.05) with the relative luminance L."""
    c = np.array(to_rgb(shade))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return 1.05 / (float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)


def test_contrast():
    assert contrast_with_white("black") == pytest.approx(21)
    assert contrast_with_white("#767676") == pytest.approx(4.54, abs=0.01)  # WCAG's own example
    for shade in (*METHODS, UNREGISTERED, FRAME):
        assert contrast_with_white(shade) >= 3, shade


def test_figures_of_all_papers_agree_and_tell_methods_apart(run):
    seen = {}
    for paper in PAPERS:
        for name, piece in figures.figure_pieces(run, paper).items():
            places = piece["sources"].get("colours", {})
            assert len(set(places.values())) == len(places), (paper, name)
            assert max(places.values(), default=0) < len(METHODS)
            for method, place in places.items():
                assert seen.setdefault(method, place) == place
            for each in piece["sources"].get("trainings", []):
                own = [t for t in piece["sources"]["trainings"] if t["dataset"] == each["dataset"]]
                assert len({t["colour"] for t in own}) == len(own)
    assert seen["identity"] == -1
    assert len(seen) > 20


def test_a_study_of_methods_that_had_one_colour_gives_them_two():
    methods = ["hu2020-syn", "hansen2020-voxelmorph"]
    study = {"datasets": ["dirlab-4dct"], "methods": methods, "split": "all"}
    papers = ["hansen2020", "hu2020"]
    before = colours(Run({"papers": papers, "scale": "demo"}, ROOT).catalog)
    run = Run({"papers": papers, "scale": "demo", "studies": {"mine": study}}, ROOT)
    after = colours(run.catalog)
    assert len({before[name] for name in methods}) == 1
    assert len({after[name] for name in methods}) == 2


@pytest.mark.parametrize("papers", [PAPERS, []])
def test_the_arena_s_methods_have_the_colours_of_papers_and_look_apart(papers):
    catalog = Run({"papers": papers, "scale": "cpu"}, ROOT).catalog
    places, known = arena_colours(catalog), colours(catalog)
    assert len(places) > len(METHODS)
    assert {n: p for n, p in places.items() if n in known} == {
        n: p for n, p in known.items() if n in places
    }
    assert list(places.values()).count(-1) == 1
    shown = looks({name: name for name in places}, places).values()
    assert len({(look.shade, look.marker) for look in shown}) == len(places)


def test_a_place_beyond_the_last_begins_anew_and_without_places_the_order_counts():
    assert colour(len(METHODS)) == colour(0)
    assert shades(["a", "b"]) == {"a": METHODS[0], "b": METHODS[1]}
    assert shades(["a", "b"], {"a": 3, "b": -1}) == {"a": METHODS[3], "b": UNREGISTERED}
