# Paths, names and input functions; what is to be made is decided by warpline.plan.catalog.

import os
import sys
import threading
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))

from warpline.plan.catalog import Catalog, Experiment
from warpline.plan.fingerprint import code_version
from warpline.plan.pairs import ATLAS, pair_name
from warpline.plan.environment import export_environment
from warpline.errors import WarplineError
from warpline.figures import KINDS as FIGURE_KINDS
from warpline.phantoms import KNOWN as PHANTOMS

export_environment(ROOT / "src")
try:
    catalog = Catalog(config, ROOT)
    RUNS = list(
        dict.fromkeys(e for paper in catalog.papers for e in catalog.experiments(paper))
    )
    for run in RUNS:
        catalog.registration_batches(run)
except WarplineError as error:
    raise WorkflowError(str(error)) from None

RESULTS = catalog.config["results"]
THREADS = catalog.config["threads"]
GPUS = 1 if catalog.device == "cuda" else 0
# What much else waits for goes first: else the longest trainings come last, one core after the other.
CASES_FIRST, TRAININGS_FIRST = 10, 20


wildcard_constraints:
    dataset=r"[A-Za-z0-9_-]+",
    method=r"[A-Za-z0-9_-]+(@[A-Za-z0-9]+)?",
    paper=r"[A-Za-z0-9_-]+",
    split=r"[A-Za-z0-9]+",
    batch=r"[A-Za-z0-9_.-]+",
    table=r"[A-Za-z0-9_-]+",
    figure=r"[A-Za-z0-9_-]+",


def growing(amount):
    """A resource of which a job that failed is given more, where a profile lets jobs be retried."""
    return lambda wildcards, attempt: amount * attempt


@cache
def code_of(name, *modules):
    """Fingerprint of a script and all the library code that it runs."""
    return code_version(ROOT / "scripts" / name, *modules)


def project_file(path):
    """A file of the project as an input: relative, so that the project may move."""
    return os.path.relpath(ROOT / path)


def ready_stage(dataset):
    """The last stage of a dataset's cases before registration."""
    spec = catalog.dataset(dataset).spec
    if spec["noisy_labels"]:
        return "labelled"
    return "aligned" if spec["prealign"] else "prepared"


def as_members(dataset):
    """Whether a dataset's cases are those of others, as they are there."""
    spec = catalog.dataset(dataset).spec
    return "members" in spec and not spec["noisy_labels"]


def batch_folder(dataset, stage, batch):
    if batch == ATLAS:
        return f"{RESULTS}/data/{dataset}/atlas"
    return f"{RESULTS}/data/{dataset}/{stage}/{batch}"


def case_folders(dataset, cases, stage=None):
    """Folder of every case, by its id."""
    if as_members(dataset):
        return member_folders(dataset, cases)
    stage = stage or ready_stage(dataset)
    atlas = {ATLAS: f"{batch_folder(dataset, stage, ATLAS)}/{ATLAS}"}
    return (atlas if ATLAS in cases else {}) | {
        case: f"{batch_folder(dataset, stage, batch)}/{case}"
        for case, batch in catalog.dataset(dataset).batch_of(cases).items()
    }


def batches_with(dataset, cases):
    """Folders of the batches that hold the cases: what a job has to wait for."""
    if as_members(dataset):
        return member_batches(dataset, cases)
    stage = ready_stage(dataset)
    batches = catalog.dataset(dataset).batches_of(cases)
    return [batch_folder(dataset, stage, batch) for batch in batches]


def member_folders(dataset, cases):
    """Folder of every case of a dataset made of others, where it lies there."""
    return {
        known[case]: folder
        for member, known in catalog.dataset(dataset).members_of(cases).items()
        for case, folder in case_folders(member, known).items()
    }


def member_batches(dataset, cases):
    return [
        batch
        for member, known in catalog.dataset(dataset).members_of(cases).items()
        for batch in batches_with(member, known)
    ]


def cases_of(pairs):
    return sorted({case for pair in pairs for case in pair})


def experiment_of(wildcards):
    return Experiment(wildcards.dataset, wildcards.method, wildcards.split)


def measured(paper):
    return [
        *catalog.experiments(paper),
        *catalog.synthetic_experiments(paper),
        *catalog.segmentation_experiments(paper),
    ]


def records_of(paper):
    return [
        f"{RESULTS}/records/{e.dataset}/{e.method}/{e.split}.parquet"
        for e in measured(paper)
    ]


def tables_of(paper):
    return [
        f"{RESULTS}/{paper}/tables/{table}.{kind}"
        for table in catalog.paper(paper)["tables"]
        for kind in ("csv", "md", "tex", "html")
    ]


def figures_of(paper):
    names = [*catalog.paper(paper)["figures"]]
    if trainings_of(paper):
        names.append("learning_curves")
    return [
        f"{RESULTS}/{paper}/figures/{name}.{kind}"
        for name in names
        for kind in ("png", "svg")
    ]


def explorations_of(paper):
    return [
        f"{RESULTS}/{paper}/figures/{name}.png"
        for name, figure in catalog.paper(paper)["figures"].items()
        if figure["kind"] == "exploration"
    ]


def trainings_of(paper):
    """(dataset, method) of every network behind a paper's experiments.

    What it is pretrained with, and the segmenters of labels that it is trained on, included.
    """
    found, waiting = [], [(e.dataset, e.method) for e in measured(paper)]
    while waiting:
        pair = waiting.pop(0)
        pair = (pair[0], catalog.network_method(pair[1]))
        if pair[1] is not None and pair not in found:
            found.append(pair)
            before = [catalog.pretraining(*pair), catalog.labelled_by(pair[0])]
            waiting += [other for other in before if other]
    return found


def model_file(dataset, method, name):
    return f"{RESULTS}/models/{dataset}/{method}/{name}"


def weights_of(dataset, method):
    return model_file(dataset, method, "weights.safetensors")


def stop_timers():
    """End the timers of Snakemake's rate limit, for which it would wait before it exits."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


onsuccess:
    stop_timers()


onerror:
    stop_timers()


include: "../functions/acquire.smk"
include: "../functions/align.smk"
include: "../functions/label.smk"
include: "../functions/train.smk"
include: "../functions/register.smk"
include: "../functions/evaluate.smk"
include: "../functions/report.smk"
