"""A paper's demo on the cluster: the same table as here, GPUs never given twice, none idle."""

from itertools import pairwise

import pytest

from conftest import HERE, SITE, Project

TABLE = "results/estienne2020/tables/table1.csv"
DEMO = ("--configfile", str(HERE / "demo.yaml"))
WEIGHTS = tuple(
    f"results/models/hippocampus/estienne2020-task4-{name}/weights.safetensors"
    for name in ("sym", "unsupervised")
)
GPUS = 2


@pytest.fixture(scope="module")
def run(cluster, new_project) -> tuple[Project, list, dict]:
    """A finished run, SLURM's record of its jobs and which GPUs they were given."""
    project, before = new_project("demo"), cluster.last()
    project.run(
        "--workflow-profile", "profiles/slurm", *SITE, *DEMO,
        # The trainings compute without a GPU, but are given one.
        "--config", "scale=demo", "memory_mb=2000", "threads=1",
        "--set-resources", "train:gpu=1",
        "--group-components", "cases=2",
        "--", TABLE, *WEIGHTS, seconds=900,
    )  # fmt: skip
    return project, cluster.jobs(before), cluster.cards()


def busy(jobs) -> int:
    """The most GPUs that were in use at a time."""
    return max(
        sum(other.gpus for other in jobs if other.start <= job.start < other.end) for job in jobs
    )


def test_the_table_is_that_of_a_run_on_one_machine(run, new_project):
    project, _, _ = run
    local = new_project("local")
    local.run("--cores", "2", *DEMO, "--config", "threads=1", "--", TABLE)
    table = (project.folder / TABLE).read_bytes()
    assert b"estienne2020-task4-baseline" in table
    assert table == (local.folder / TABLE).read_bytes()


def test_every_job_ends_well_and_is_one_that_the_profile_means(run):
    project, jobs, _ = run
    assert {job.state for job in jobs} == {"COMPLETED"}
    rules = [job.rule for job in jobs]
    # Cases are made in groups; downloads where Snakemake runs.
    (cases,) = (job for job in jobs if job.rule.startswith("cases"))
    assert (cases.cores, cases.memory_mb, cases.minutes) == (1, 2000, 2 * 120)
    assert len([rule for rule in rules if rule.endswith("_tables")]) == 1
    assert rules.count("train") == 3
    assert not {"fetch", "prepare"} & set(rules)
    assert (project.folder / "results/phantom/hippocampus/unpacked").exists()


def test_trainings_never_get_more_gpus_than_there_are_nor_one_twice(run):
    _, jobs, cards = run
    trainings = [job for job in jobs if job.rule == "train"]
    assert [job.gpus for job in trainings] == [1, 1, 1]
    assert all(job.gpus == 0 for job in jobs if job.rule != "train")
    assert busy(trainings) == GPUS
    assert {card for job in trainings for card in cards[job.id]} == {"0", "1"}
    for card in ("0", "1"):
        on_card = sorted(
            (job for job in trainings if cards[job.id] == [card]), key=lambda job: job.start
        )
        assert all(first.end <= second.start for first, second in pairwise(on_card))


def test_what_needs_no_gpu_runs_meanwhile(run):
    _, jobs, _ = run
    trainings = [job for job in jobs if job.rule == "train"]
    assert any(
        other.start < job.end and job.start < other.end
        for job in trainings
        for other in jobs
        if other.gpus == 0
    )


def test_the_logs_of_jobs_that_succeed_are_gone(run):
    project, _, _ = run
    assert not list((project.folder / "results/logs/slurm").rglob("*.log"))
    assert list((project.folder / "results/logs/train").rglob("*.log"))
