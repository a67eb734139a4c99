"""Where cases lie at each stage, and what prepares, aligns, labels and describes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from warpline.plan.inputs.acquire import format_module
from warpline.plan.inputs.weights import weights_of
from warpline.plan.kinds import step_definitions
from warpline.plan.pairs import ATLAS, Pair
from warpline.plan.recipe import Recipe
from warpline.plan.run import Run
from warpline.plan.trainings import labelled_by, training_cases


def cases_of(pairs: Iterable[Pair]) -> list[str]:
    """The cases of some pairs, each once."""
    return sorted({case for pair in pairs for case in pair})


def ready_stage(run: Run, dataset: str) -> str:
    """The last stage of a dataset's cases before registration."""
    spec = run.catalog.dataset(dataset).spec
    if spec["noisy_labels"]:
        return "labelled"
    if not spec["prealign"]:
        return "prepared"
    # Beside a reference of their own, or where they are described, cases are there unaligned too.
    elsewhere = spec["prealign"]["dataset"] not in (None, dataset)
    return "prealigned" if elsewhere and not spec["explore"] else "aligned"


def as_members(run: Run, dataset: str) -> bool:
    """Whether a dataset's cases are those of others, as they are there."""
    spec = run.catalog.dataset(dataset).spec
    return "members" in spec and not spec["noisy_labels"]


def case_folders(
    run: Run, dataset: str, cases: Iterable[str], stage: str | None = None
) -> dict[str, str]:
    """Folder of every case, by its id."""
    cases = list(cases)
    if as_members(run, dataset):
        return member_folders(run, dataset, cases)
    stage = stage or ready_stage(run, dataset)
    atlas = {ATLAS: f"{run.layout.atlas(dataset)}/{ATLAS}"}
    return (atlas if ATLAS in cases else {}) | {
        case: f"{run.layout.batch(dataset, stage, batch)}/{case}"
        for case, batch in run.catalog.dataset(dataset).batch_of(cases).items()
    }


def batches_with(run: Run, dataset: str, cases: Iterable[str]) -> list[str]:
    """Folders of the batches that hold the cases: what a job has to wait for."""
    if as_members(run, dataset):
        return member_batches(run, dataset, cases)
    stage = ready_stage(run, dataset)
    batches = run.catalog.dataset(dataset).batches_of(cases)
    return [run.layout.batch(dataset, stage, batch) for batch in batches]


def member_folders(run: Run, dataset: str, cases: Iterable[str]) -> dict[str, str]:
    """Folder of every case of a dataset made of others, where it lies there."""
    return {
        known[case]: folder
        for member, known in run.catalog.dataset(dataset).members_of(cases).items()
        for case, folder in case_folders(run, member, known).items()
    }


def member_batches(run: Run, dataset: str, cases: Iterable[str]) -> list[str]:
    """Folders of the batches that hold the cases of a dataset made of others."""
    return [
        batch
        for member, known in run.catalog.dataset(dataset).members_of(cases).items()
        for batch in batches_with(run, member, known)
    ]


def batch_cases(run: Run, dataset: str, batch: str) -> list[str]:
    """The cases of a batch."""
    return run.catalog.dataset(dataset).batches()[batch]


def all_batches(run: Run, dataset: str, stage: str) -> list[str]:
    """The folders of all a dataset's batches at a stage."""
    return [run.layout.batch(dataset, stage, b) for b in run.catalog.dataset(dataset).batches()]


def labelled_batches(run: Run, dataset: str) -> list[str]:
    """All batches of a dataset with noisy labels."""
    return all_batches(run, dataset, "labelled")


# Preparation ----------------------------------------------------------------------------------


def preparation_steps(run: Run, dataset: str) -> list:
    """The steps of a dataset's preparation, in order."""
    return run.catalog.dataset(dataset).spec["prepare"]


def is_explored(run: Run, dataset: str) -> bool:
    """Whether cases are described while they are prepared."""
    return run.catalog.dataset(dataset).spec["explore"]


def preparation_code(run: Run, dataset: str) -> str:
    """Fingerprint of the import of the dataset's format and of its steps, and of no other."""
    chosen = step_definitions(preparation_steps(run, dataset))
    chosen.append(format_module(run, dataset))
    if is_explored(run, dataset):
        chosen.append("warpline.cases.exploration")
    return run.code("prepare.py", *chosen)


def aligned_preparation_code(run: Run, dataset: str) -> str:
    """`preparation_code` of cases that are aligned by the same job."""
    chosen = step_definitions(preparation_steps(run, dataset))
    return run.code("prepare_aligned.py", *chosen, format_module(run, dataset))


def network_definitions(recipe: Recipe) -> list[str]:
    """What a recipe chooses by name wherever its network runs: the network, its own preparation."""
    steps = step_definitions(recipe.get("prepare", []))
    return [f"warpline.networks.{recipe['network']['name']}", *steps]


# Alignment and atlas --------------------------------------------------------------------------


def alignment(run: Run, dataset: str) -> dict[str, Any]:
    """How a dataset's cases are aligned."""
    return run.catalog.dataset(dataset).spec["prealign"]


def alignment_reference(run: Run, dataset: str) -> str:
    """The batch that holds the reference of an alignment."""
    setting = alignment(run, dataset)
    other = run.catalog.dataset(setting["dataset"] or dataset)
    return run.layout.batch(other.name, "prepared", other.batches_of([setting["reference"]])[0])


def alignment_parameters(run: Run, dataset: str) -> list[str]:
    """elastix' parameter files of an alignment."""
    return [run.named_file(path, "datasets") for path in alignment(run, dataset)["parameter_files"]]


def atlas_batches(run: Run, dataset: str) -> list[str]:
    """The batches that hold the candidates for the atlas."""
    return batches_with(run, dataset, run.catalog.dataset(dataset).atlas_candidates())


def atlas_folders(run: Run, dataset: str) -> dict[str, str]:
    """Folder of every candidate for the atlas."""
    return case_folders(run, dataset, run.catalog.dataset(dataset).atlas_candidates())


# Noisy labels ---------------------------------------------------------------------------------


def annotated_cases(run: Run, dataset: str) -> list[str]:
    """The cases whose annotations say what organs look like: those that train the segmenter."""
    return training_cases(run.catalog, *labelled_by(run.catalog, dataset))[0]


def annotated_batches(run: Run, dataset: str) -> list[str]:
    """The batches that hold the annotated cases."""
    return batches_with(run, labelled_by(run.catalog, dataset)[0], annotated_cases(run, dataset))


def annotated_folders(run: Run, dataset: str) -> dict[str, str]:
    """Folder of every annotated case."""
    return case_folders(run, labelled_by(run.catalog, dataset)[0], annotated_cases(run, dataset))


def label_setting(run: Run, dataset: str) -> dict[str, Any]:
    """How a dataset's noisy labels are made and judged."""
    return run.catalog.dataset(dataset).spec["noisy_labels"]


def label_limits(run: Run, dataset: str) -> dict[str, Any]:
    """When an organ is an outlier, and a case."""
    return label_setting(run, dataset)["limits"]


def unlabelled_batches(run: Run, dataset: str, batch: str) -> list[str]:
    """The batches that hold the cases which get noisy labels."""
    return member_batches(run, dataset, batch_cases(run, dataset, batch))


def unlabelled_folders(run: Run, dataset: str, batch: str) -> dict[str, str]:
    """Folder of every case that gets noisy labels."""
    return member_folders(run, dataset, batch_cases(run, dataset, batch))


def segmenter_weights(run: Run, dataset: str) -> str:
    """The weights of the segmenter that labels a dataset."""
    return weights_of(run, *labelled_by(run.catalog, dataset))


def segmenter_recipe(run: Run, dataset: str) -> dict[str, Any]:
    """The recipe of the segmenter that labels a dataset."""
    return run.catalog.method(labelled_by(run.catalog, dataset)[1])


def labelling_code(run: Run, dataset: str) -> str:
    """Fingerprint of the labelling with that segmenter's network."""
    return run.code("noisy_labels.py", *network_definitions(segmenter_recipe(run, dataset)))


def verdicts(run: Run, dataset: str) -> str | list[str]:
    """Which cases are fit for training, of a dataset with noisy labels."""
    return run.layout.verdicts(dataset) if label_setting(run, dataset) else []
