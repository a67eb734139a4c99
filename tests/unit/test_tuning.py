"""Settings that are searched: on which pairs, by which rounds, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fieldtools import smooth_image

from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.evaluation.halving import Round, halve, rounds_of
from warpline.evaluation.tuning import Tuning, candidates_of
from warpline.fields.physical import DisplacementField
from warpline.images.grid import Grid
from warpline.plan import arena, tuning
from warpline.plan.inputs import register, tune
from warpline.plan.run import Run
from warpline.registration.job import method_of
from warpline.registration.tuned import tuned, with_settings

ROOT = Path(__file__).parents[2]
ARENA = {"datasets": ["hippocampus"], "methods": ["affine", "demons"], "tune": True}
STUDY = {"datasets": ["hippocampus"], "methods": ["affine", "demons"], "split": "val"}


def run_of(**settings) -> Run:
    return Run({"scale": "demo", "papers": [], **settings}, ROOT)


# Rounds -----------------------------------------------------------------------------------------


def test_rounds_take_a_quarter_half_and_all_of_the_pairs():
    assert rounds_of(12, 8, True) == [Round(2, True), Round(4, True), Round(8, False)]
    assert rounds_of(12, 8, False) == [Round(2, False), Round(4, False), Round(8, False)]
    assert rounds_of(12, 1, True) == [Round(1, True), Round(1, True), Round(1, False)]
    assert rounds_of(4, 6, True) == [Round(3, True), Round(6, False)]
    assert rounds_of(2, 6, True) == [Round(6, False)]


def test_the_better_third_goes_on_with_what_there_was_before():
    asked = []

    def measure(candidate, pair, half):
        asked.append((candidate, pair, half))
        return candidate + 10 * pair, 1.0

    found = halve(12, rounds_of(12, 4, True), measure, 1e6, higher=True)
    assert found.best == 11
    names = [[*range(12)], [0, 8, 9, 10, 11], [0, 10, 11]]
    assert [sorted(each.values) for each in found.standings] == names
    # The mean of pairs 0 and 1.
    assert found.standings[1].values == {0: 5, 8: 13, 9: 14, 10: 15, 11: 16}
    assert found.seconds == len(asked) == 12 + 5 * 2 + 3 * 4
    assert found.finished
    lower = halve(12, rounds_of(12, 4, True), measure, 1e6, higher=False)
    assert lower.best == 0


def test_what_the_last_round_says_counts_and_not_the_first():
    def measure(candidate, pair, half):  # candidate 1 is best on little, 2 on all
        return ([0.5, 0.9, 0.8] if half else [0.5, 0.4, 0.6])[candidate], 1.0

    found = halve(3, [Round(1, True), Round(4, False)], measure, 1e6, higher=True)
    assert sorted(found.standings[1].values) == [0, 1]
    assert found.best == 0


def test_time_ends_a_search_between_two_pairs_and_leaves_out_who_had_none():
    def measure(candidate, pair, half):
        return float(candidate), 1.0

    rounds = [Round(2, True), Round(2, False)]
    found = halve(6, rounds, measure, 8.0, higher=True)  # 4 s a round: two of six are left out
    assert sorted(found.standings[0].values) == [0, 1, 2, 3]
    assert found.standings[0].pairs == 1
    assert sorted(found.standings[1].values) == [0, 2, 3]
    assert not found.finished
    assert found.best == 3
    # What was there before is always compared with on a whole pair.
    found = halve(6, rounds, measure, 0.1, higher=True)
    assert found.best == 0
    assert found.standings[-1].pairs == 1


# What is tried ----------------------------------------------------------------------------------


def test_all_combinations_but_the_files_own_are_tried_and_of_many_a_choice():
    spec = {"parameters": {"a": 1, "b": [2, 2]}}
    settings = {"parameters.a": [1, 3], "parameters.b": [[2, 2], [4, 4]], "parameters.c": [0]}
    found = candidates_of(spec, settings, 12)
    assert len(found) == 5
    assert found[0] == {}
    assert {"parameters.a": 1, "parameters.b": [2, 2], "parameters.c": 0} in found
    own = candidates_of(spec, {"parameters.a": [1, 3], "parameters.b": [[2, 2]]}, 12)
    assert own == [{}, {"parameters.a": 3, "parameters.b": [2, 2]}]
    few = candidates_of(spec, {"parameters.a": list(range(50))}, 5)
    assert len(few) == 5
    assert few[0] == {}
    assert few == candidates_of(spec, {"parameters.a": list(range(50))}, 5)
    assert spec == {"parameters": {"a": 1, "b": [2, 2]}}


def test_settings_replace_values_at_their_places():
    spec = {"kind": "elastix", "parameters": {"a": [1, 2], "b": 1}, "warpline": {"window": 5}}
    changed = with_settings(spec, {"parameters.a": [3], "warpline.window": 7})
    assert changed == {
        "kind": "elastix",
        "parameters": {"a": [3], "b": 1},
        "warpline": {"window": 7},
    }
    assert spec["parameters"]["a"] == [1, 2]
    assert tuned(spec, None) == spec
    assert tuned(spec, []) == spec


# Where it is searched ---------------------------------------------------------------------------


def test_the_arena_has_a_second_row_of_what_may_be_searched():
    run = run_of(arena=ARENA | {"strengths": False})
    found = [cell.method for cell in arena.cells(run.catalog)]
    assert found == ["identity", "affine", "demons", "demons=tuned"]
    assert run.catalog.method("demons=tuned")["title"].endswith(", tuned")
    assert "tune" not in run.catalog.method("demons")
    search = tuning.search(run.catalog, "hippocampus", "demons=tuned")
    cases = {case for pair in search["pairs"] for case in pair}
    assert cases <= set(run.catalog.dataset("hippocampus").split("train"))
    assert len(search["pairs"]) == 8
    assert tune.tuned_file(run, "hippocampus", "demons") == []
    file = tune.tuned_file(run, "hippocampus", "demons=tuned")
    assert file == run.layout.tuned("hippocampus", "demons=tuned")
    with pytest.raises(WarplineError, match="'affine' has nothing to be searched"):
        run.catalog.method("affine=tuned")


def test_a_study_has_a_second_row_too():
    run = run_of(studies={"mine": STUDY | {"tune": {"split": "tune"}}})
    rows = run.catalog.paper("mine")["tables"]["table"]["rows"]
    assert [row["method"] for row in rows] == ["affine", "demons", "demons=tuned"]
    assert tuning.search(run.catalog, "hippocampus", "demons=tuned")["split"] == "tune"
    assert tuning.search(run.catalog, "hippocampus", "demons") is None


@pytest.mark.parametrize(
    "settings",
    [
        {"studies": {"mine": STUDY | {"tune": {"split": "val"}}}},
        {
            "studies": {"mine": STUDY},
            "override": {"methods": {"demons": {"tune": {"split": "val"}}}},
        },
        # The arena's, though no study reports them.
        {"override": {"methods": {"demons": {"tune": {"split": "val"}}}}},
    ],
)
def test_pairs_that_a_table_reports_are_refused(settings):
    run = run_of(**settings)
    name = "demons" if "override" in settings else "demons=tuned"
    with pytest.raises(WarplineError, match="reports the case"):
        tune.tuned_file(run, "hippocampus", name)


def test_two_askers_must_name_the_same_pairs():
    other = {"datasets": {"hippocampus": {"pairs": {"more": {"from": "all", "split": "train"}}}}}
    study = STUDY | {"tune": {"split": "more"}}
    run = run_of(arena=ARENA, studies={"mine": study}, override=other)
    with pytest.raises(WarplineError, match=r"different pairs by the study 'mine' \('more'\)"):
        tuning.search(run.catalog, "hippocampus", "demons=tuned")


def test_a_setting_that_is_not_there_and_a_network_are_refused():
    wrong = {
        "methods": {"warpline": {"tune": {"split": "tune", "settings": {"warpline.smooth": [1]}}}}
    }
    with pytest.raises(WarplineError, match=r"no setting 'warpline\.smooth'") as caught:
        tuning.search(run_of(override=wrong).catalog, "hippocampus", "warpline")
    assert "warpline.smoothness" in str(caught.value)
    part = {"tune": {"split": "tune", "settings": {"parameters.a": [1]}}}
    network = {"methods": {"estienne2020-task4-sym": part}}
    with pytest.raises(WarplineError, match="cannot be searched"):
        tuning.search(run_of(override=network).catalog, "hippocampus", "estienne2020-task4-sym")


def test_what_is_searched_changes_no_job_that_registers_by_the_file():
    before, after = (
        register.registration_settings(run, "hippocampus", "demons", "val", batch)
        for run in (
            run_of(studies={"mine": STUDY}),
            run_of(
                studies={"mine": STUDY},
                override={
                    "methods": {"demons": {"tune": {"settings": {"parameters.smoothing": [9]}}}}
                },
            ),
        )
        for batch in ["whole"]
    )
    assert before == after


# A search ---------------------------------------------------------------------------------------

GRID = Grid((33, 34, 32), (1.0, 1.5, 2.0), (3.0, -2.0, 1.0), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))


@pytest.fixture
def search(tmp_path):
    """Pairs of a smooth image with blobs, and the same 3 mm further; demons too stiff for that."""
    pairs, folders = [], {}
    for seed in range(2):
        image = smooth_image(GRID, seed=seed)
        labels = image.with_array((image.array > np.quantile(image.array, 0.8)).astype(np.uint8))
        field = DisplacementField.identity(GRID)
        field = DisplacementField(field.vectors + np.array([3.0, 0, 0], np.float32), GRID)
        moved = Case(
            f"m{seed}", field.warp_image(image), labels=field.warp_labels(labels, "border")
        )
        for case in (Case(f"f{seed}", image, labels=labels), moved):
            folders[case.id] = str(tmp_path / case.id)
            write_case(folders[case.id], case)
        pairs.append((f"f{seed}", f"m{seed}"))
    run = run_of(arena=ARENA)
    spec = run.catalog.method("demons=tuned") | {"initial": None}
    stiff = {"shrink": [1], "iterations": [1], "smoothing": 4}
    spec["parameters"] = spec["parameters"] | stiff
    search = {"pairs": pairs, "metric": "dice", "better": "higher", "split": "tune"}
    settings = {"parameters.smoothing": [4, 1.5], "parameters.iterations": [[1], [8], [1, 2]]}
    return {
        "dataset": "blobs",
        "search": search
        | {"settings": settings, "candidates": 12, "seconds": 200, "resolution": "half"},
        "method": spec,
        "network": None,
        "initial": None,
        "pairs": pairs,
        "folders": folders,
        "labels": {1: "blob"},
        "outside": "background",
        "device": "cpu",
    }


def test_a_search_finds_what_is_better_and_a_job_registers_by_it(search, tmp_path):
    told = Tuning(search, {}, 1, tmp_path / "state").run(tmp_path / "found.json")
    assert told == json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert told["settings"]["parameters.iterations"] == [8]
    assert told["score"] > told["score_of_own"] + 0.02
    assert told["finished"]
    assert 0 < told["seconds"] < 200
    first, last = told["rounds"][0], told["rounds"][-1]
    assert told["score"] == max(each["score"] for each in last["tried"])
    assert (first["resolution"], last["resolution"]) == ("half", "full")
    assert len(first["tried"]) == 6
    assert len(last["pairs"]) == 2
    # Iterations that do not fit the levels are an error of the method: noted, and no end of it.
    failed = [each for each in first["tried"] if each["failures"]]
    assert [each["settings"]["parameters.iterations"] for each in failed] == [[1, 2]] * 2
    assert not list((tmp_path / "state").iterdir())
    method = method_of({**search, "initial": {}}, {"tuned": str(tmp_path / "found.json")}, 1)
    assert method.parameters["iterations"] == [8]
    assert method.parameters["shrink"] == [1]


def test_a_search_that_was_stopped_goes_on_from_what_it_had(search, tmp_path, monkeypatch):
    whole = Tuning(search, {}, 1, tmp_path / "state").run(tmp_path / "found.json")

    def stopped(*_):
        raise KeyboardInterrupt

    again = Tuning(search, {}, 1, tmp_path / "other")
    with monkeypatch.context() as patch:
        patch.setattr("warpline.evaluation.tuning.write_json", _but_at_the_end(stopped))
        with pytest.raises(KeyboardInterrupt):
            again.run(tmp_path / "again.json")
    kept = sorted((tmp_path / "other").rglob("*.json"))
    assert len(kept) == sum(len(r["tried"]) * len(r["pairs"]) for r in whole["rounds"])
    with monkeypatch.context() as patch:
        patch.setattr("warpline.evaluation.tuning.attempt_all", lambda *_: (_ for _ in ()))
        found = again.run(tmp_path / "again.json")
    assert found["settings"] == whole["settings"]
    assert found["score"] == whole["score"]


def test_a_search_of_which_nothing_succeeds_is_an_error(search, tmp_path):
    search["method"] = {**search["method"], "parameters": {"variant": "none"}}
    search["search"]["settings"] = {"parameters.smoothing": [1]}
    with pytest.raises(WarplineError, match="No registration of the search succeeded"):
        Tuning(search, {}, 1, tmp_path / "state").run(tmp_path / "found.json")
    assert not (tmp_path / "found.json").exists()


def _but_at_the_end(stopped):
    from warpline.files import write_json

    def write(target, value):
        return stopped() if "rounds" in value else write_json(target, value)

    return write
