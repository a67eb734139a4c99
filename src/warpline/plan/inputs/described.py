"""Which cases are only described: those that are looked at, and that nothing registers or learns.

Their prepared images would be written for nothing, 67 MB each on the grid of Bouabid et al. 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warpline.plan.catalog import Catalog, remembered
from warpline.plan.experiments import measured, networks_of
from warpline.plan.inputs.acquire import case_rows, case_sources, format_module, source_spec
from warpline.plan.inputs.cases import cases_of, preparation_steps, ready_stage
from warpline.plan.kinds import step_definitions
from warpline.plan.run import Run
from warpline.plan.splits import split_and_suffix
from warpline.plan.trainings import given, training_cases

STAGE = "described"
NAME = r"[A-Za-z0-9_-]+"  # of a dataset


@remembered
def used_cases(catalog: Catalog, dataset: str) -> frozenset[str]:
    """The cases that the run's papers and studies register, measure or learn from."""
    data, found = catalog.dataset(dataset), set()
    for paper in catalog.papers:
        for experiment in measured(catalog, paper):
            if experiment.dataset == dataset:
                split, suffix = split_and_suffix(experiment.split)
                found |= set(data.split(split) if suffix else cases_of(data.pairs(split)))
        for place, method in networks_of(catalog, paper):
            if place == dataset and not given(catalog, method):
                cases, validation = training_cases(catalog, dataset, method)
                found |= {*cases, *cases_of(validation)}
    return frozenset(found)


@remembered
def described_batches(catalog: Catalog, dataset: str) -> frozenset[str]:
    """The batches that are only described: of an explored dataset those that nothing uses."""
    data = catalog.dataset(dataset)
    spec = data.spec
    # Cases that come with files of their own, or from a folder of one's own, are few.
    if not spec["explore"] or spec["prealign"] or spec["per_case"] or spec["folder"]:
        return frozenset()
    used = used_cases(catalog, dataset)
    return frozenset(name for name, cases in data.batches().items() if used.isdisjoint(cases))


def batch_stage(run: Run, dataset: str, batch: str) -> str:
    """The stage at which a batch's descriptions lie."""
    return STAGE if batch in described_batches(run.catalog, dataset) else "prepared"


def waiting_batches(run: Run, dataset: str) -> list[str]:
    """The batches that are not there yet, ready for registration or described."""
    described, ready = described_batches(run.catalog, dataset), ready_stage(run, dataset)
    return [
        batch
        for batch in run.catalog.dataset(dataset).batches()
        if not Path(
            run.layout.batch(dataset, STAGE if batch in described else ready, batch)
        ).exists()
    ]


def explored_batches(run: Run, dataset: str) -> list[str]:
    """The folders of all batches with the descriptions of their cases."""
    return [
        run.layout.batch(dataset, batch_stage(run, dataset, batch), batch)
        for batch in run.catalog.dataset(dataset).batches()
    ]


def explored_folders(run: Run, dataset: str) -> dict[str, str]:
    """Folder of every case's description."""
    return _folders(run, dataset, run.catalog.dataset(dataset).ids)


def whose_atlas_is_described(run: Run) -> str:
    """The datasets whose atlas is chosen among cases that are only described, as a constraint."""
    asked = {
        place
        for paper in run.catalog.papers
        for place in (
            *(experiment.dataset for experiment in measured(run.catalog, paper)),
            *(dataset for dataset, _ in networks_of(run.catalog, paper)),
        )
    }
    names = sorted(name for name in asked if _atlas_is_described(run, name))
    return "(?:" + "|".join(names) + ")" if names else "(?!)"


def whose_atlas_is_prepared(run: Run) -> str:
    """The other datasets."""
    return rf"(?!{whose_atlas_is_described(run)}/){NAME}"


def candidate_inputs(run: Run, dataset: str) -> list[Any]:
    """The batches that hold the candidates for an atlas, and what the chosen one is made of."""
    batches = run.catalog.dataset(dataset).batches_of(_candidates(run, dataset))
    folders = [run.layout.batch(dataset, batch_stage(run, dataset, b), b) for b in batches]
    return [*folders, *case_sources(run, dataset, batches[0])]


def candidate_folders(run: Run, dataset: str) -> dict[str, str]:
    """Folder of every candidate's description."""
    return _folders(run, dataset, _candidates(run, dataset))


def candidate_rows(run: Run, dataset: str) -> list:
    """The case sheet's rows of the candidates."""
    batches = run.catalog.dataset(dataset).batches_of(_candidates(run, dataset))
    rows = [row for batch in batches for row in case_rows(run, dataset, batch)]
    return [row for row in rows if row["case"] in set(_candidates(run, dataset))]


def candidate_spec(run: Run, dataset: str) -> dict[str, Any]:
    """What a format is told of the candidates."""
    data = run.catalog.dataset(dataset)
    cases = _candidates(run, dataset)
    told = source_spec(run, dataset, data.batches_of(cases)[0])
    return {**told, "patients": data.patients_of(cases)}


def described_code(run: Run, dataset: str, script: str) -> str:
    """Fingerprint of the import of the dataset's format, its steps and their description."""
    chosen = step_definitions(preparation_steps(run, dataset))
    return run.code(script, *chosen, format_module(run, dataset), "warpline.cases.exploration")


def _candidates(run: Run, dataset: str) -> list[str]:
    return run.catalog.dataset(dataset).atlas_candidates()


def _folders(run: Run, dataset: str, cases: list[str]) -> dict[str, str]:
    return {
        case: f"{run.layout.batch(dataset, batch_stage(run, dataset, batch), batch)}/{case}"
        for case, batch in run.catalog.dataset(dataset).batch_of(cases).items()
    }


def _atlas_is_described(run: Run, dataset: str) -> bool:
    data = run.catalog.dataset(dataset)
    if data.spec["atlas"] is None or not described_batches(run.catalog, dataset):
        return False
    candidates = _candidates(run, dataset)
    described = described_batches(run.catalog, dataset)
    return len(candidates) > 1 and not described.isdisjoint(data.batches_of(candidates))
