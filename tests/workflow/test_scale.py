"""The graph of jobs for many scans: how many jobs it has, and that none searches all scans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest
import yaml

from warpline.plan import experiments
from warpline.plan.catalog import Catalog
from warpline.plan.dataset import Dataset
from warpline.plan.experiments import Experiment
from warpline.plan.pairs import Pair

ROOT = Path(__file__).parents[2]
SCANS = 100
NOTED = """
import sys

sys.path.insert(0, "src")
from warpline.plan import fingerprint

fingerprint_of = fingerprint.code_version


def noted(script, *modules):
    with open("fingerprints", "a", encoding="utf-8") as notes:
        print(script, *modules, file=notes)
    return fingerprint_of(script, *modules)


fingerprint.code_version = noted


include: "Snakefile"
"""
EXAMPLE = ROOT / "config" / "examples" / "luna16-cohort.yaml"


@pytest.fixture(scope="module")
def planned(new_project) -> tuple[dict[str, int], list[str]]:
    """A dry run of the cohort: number of jobs by rule, and every fingerprint that it made."""
    project = new_project("scale")
    splits = ["train"] * 10 + ["test"] * 5 + ["rest"] * (SCANS - 15)
    lines = ["case\tsplit", *(f"scan{k:04d}\t{split}" for k, split in enumerate(splits))]
    (project.folder / "cases.tsv").write_text("\n".join(lines), encoding="utf-8")
    project.write("few.yaml", {"override": {"datasets": {"luna16": {"case_sheet": "cases.tsv"}}}})
    # As the Snakefile, which finds a `code_version` that notes what it is asked for.
    (project.folder / "noted.smk").write_text(NOTED, encoding="utf-8")
    files = (f"config/examples/{EXAMPLE.name}", "few.yaml")
    output = project.snakemake(
        *("--snakefile", "noted.smk", "--dry-run", "--quiet", "rules", "--configfile", *files),
        *("--", "all"),
    )
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}
    return jobs, (project.folder / "fingerprints").read_text(encoding="utf-8").splitlines()


def test_a_cohort_is_prepared_and_registered_in_batches(planned):
    jobs, _ = planned
    assert jobs["fetch"] == 11
    assert jobs["prepare"] == ceil(SCANS / 12)
    assert jobs["atlas"] == jobs["explore"] == 1
    # The studies' methods that learn have one job for all of their pairs, as the identity has; the
    # few that the paper itself registers are measured by the same job.
    studies = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["studies"].values()
    own = sum(len(study["methods"]) for study in studies)
    paper = len(experiments.registrations(Catalog({"scale": "paper"}, ROOT), "bouabid2019"))
    assert jobs["register"] == 3 * SCANS // 10 + SCANS // 20 + (own - 4)
    assert jobs["register_and_evaluate"] == paper
    assert jobs["evaluate"] == own


def test_code_is_fingerprinted_once_for_all_jobs_of_a_rule(planned):
    _, fingerprints = planned
    assert len(fingerprints) == len(set(fingerprints)) >= 15


class Counted(tuple):
    """The rows of a case sheet; how many were looked at by going through them."""

    seen = 0

    def __iter__(self) -> Iterator:
        for row in super().__iter__():
            type(self).seen += 1
            yield row


def looked_at(scans: int) -> int:
    """Rows that are gone through while every case's job asks for what it needs."""
    Counted.seen = 0
    rows = Counted({"case": f"c{k}", "patient": f"p{k // 2}", "split": "x"} for k in range(scans))
    data = Dataset("many", {"case_sheet": "cases.tsv", "cases_per_job": 1}, rows)
    for k in range(scans):
        case = f"c{k}"
        assert data.row(case)["case"] == case
        assert data.batches()[case] == [case]
        assert data.batches_of([case]) == [case]
        assert data.batch_of([case]) == {case: case}
        assert case in [row["case"] for row in data.patients_of([case])]
    return Counted.seen


def test_what_jobs_ask_of_a_dataset_goes_through_its_cases_a_fixed_number_of_times():
    assert looked_at(50) / 50 == looked_at(400) / 400 <= 4


def test_pairs_are_made_once_for_all_registrations_of_an_experiment(monkeypatch):
    calls = []

    def pairs(self: Dataset, split: str) -> list[Pair]:
        calls.append(split)
        return made(self, split)

    made = Dataset.pairs
    monkeypatch.setattr(Dataset, "pairs", pairs)
    catalog = Catalog({"scale": "paper"}, ROOT)
    experiment = Experiment("luna16", "elastix-bspline", "train")
    found = [experiments.registration_batches(catalog, experiment) for _ in range(98)]
    assert calls == ["train"]
    assert [len(batch) for batch in found[-1].values()] == [10] * 9 + [8]
