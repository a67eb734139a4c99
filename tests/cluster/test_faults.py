"""Jobs that are cancelled, killed or lose their node: noticed, retried, nothing finished lost."""

import signal

import pytest

from conftest import HERE, ROOT, SITE, Project, wait_for_file

# The workflow profile has settings of warpline, which these jobs do not know.
FAULTS = (
    "--snakefile", str(HERE / "Snakefile"),
    "--workflow-profile", str(ROOT / "profiles" / "slurm"),
    *SITE,
)  # fmt: skip
NAMES = ("cancelled", "memory", "node", "time")


def changed(project) -> int:
    return (project.folder / "finished").stat().st_mtime_ns


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def faults(cluster, tmp_path_factory):
    """One run in which everything happens at once; the record of its jobs, and of `finished`."""
    project, before = Project(tmp_path_factory.mktemp("faults")), cluster.last()
    process = project.start(*FAULTS)
    try:
        for name in ("cancelled", "node"):
            wait_for_file(project.folder / f"{name}.started")
        cancelled, lost = (
            next(job for job in cluster.jobs(before) if job.name.endswith(name))
            for name in ("cancelled", "node")
        )
        finished = changed(project)
        cluster.command("scancel", cancelled.id)
        assert lost.node == "node2"
        cluster.node("node2", "down")
        project.end(process)
    finally:
        process.kill()
        cluster.node("node2", "resume")
    return project, cluster.jobs(before), finished


def attempts(jobs, name):
    return [job for job in jobs if job.name.endswith(name)]


def test_the_run_completes_and_nothing_finished_is_made_again(faults):
    project, jobs, finished = faults
    assert {path.name for path in project.folder.iterdir()} >= {*NAMES, "finished"}
    assert changed(project) == finished
    assert len(attempts(jobs, "finished")) == 1


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("cancelled", "CANCELLED"),
        ("memory", "FAILED"),  # OUT_OF_MEMORY where cgroups do it
        ("node", "NODE_FAIL"),
        ("time", "TIMEOUT"),
    ],
)
def test_a_job_that_ends_badly_is_named_and_tried_again_with_more(faults, name, state):
    project, jobs, _ = faults
    first, second = attempts(jobs, name)
    assert (first.state, second.state) == (state, "COMPLETED")
    assert f"'{first.id}' failed" in project.output()
    if name == "memory":
        assert "memory limit" in project.output()
        assert second.memory_mb == 2 * first.memory_mb
    if name == "node":
        assert (first.node, second.node) == ("node2", "node1")


def test_a_run_that_was_stopped_is_taken_up_while_a_node_is_drained(cluster, tmp_path):
    project, before = Project(tmp_path), cluster.last()
    process = project.start(*FAULTS, "--", "cancelled")
    try:
        wait_for_file(tmp_path / "cancelled.started")
        job = cluster.jobs(before)[-1]
        cluster.node("node2", "drain")
        finished = changed(project)
        process.send_signal(signal.SIGINT)
        project.end(process, ok=False, seconds=60)
        # Ctrl-C takes its jobs out of the queue.
        assert cluster.jobs(before)[-1].state == "CANCELLED"
        # The second run counts attempts from one.
        project.run(*FAULTS, "--config", "patience=0", "--", "cancelled")
    finally:
        process.kill()
        cluster.node("node2", "resume")
    assert changed(project) == finished
    assert (job.node, cluster.jobs(before)[-1].node) == ("node2", "node1")


def test_one_of_a_group_that_fails_takes_nothing_along(cluster, tmp_path):
    project, before = Project(tmp_path), cluster.last()
    group = (
        "--groups", "member=members", "weak=members", "--group-components", "members=3",
        "--retries", "0", "--", "member/0", "member/1", "weak",
    )  # fmt: skip
    output = project.run(*FAULTS, *group, ok=False)
    assert "Error in group members" in output
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "member").iterdir()}
    assert len(finished) == 2
    (tmp_path / "mended").touch()
    project.run(*FAULTS, *group)
    assert (tmp_path / "weak").exists()
    assert all(path.stat().st_mtime_ns == made for path, made in finished.items())
    # They ran one after another: the time of all, the cores and the memory of the largest.
    first, second = cluster.jobs(before)
    assert (first.minutes, first.cores, first.memory_mb) == (15, 1, 600)
    assert (second.minutes, second.cores, second.memory_mb) == (5, 1, 600)


def test_a_job_that_slurm_refuses_is_named_with_the_reason(cluster, tmp_path):
    project = Project(tmp_path)
    output = project.run(
        *FAULTS, "--retries", "0",
        "--set-resources", "finished:slurm_partition=nowhere", "--", "finished",
        ok=False, seconds=120,
    )  # fmt: skip
    assert "invalid partition" in output


def test_an_option_that_the_plugin_forbids_is_named(cluster, tmp_path):
    output = Project(tmp_path).run(
        *FAULTS, "--retries", "0",
        "--set-resources", "finished:slurm_extra=--mem=1", "--", "finished",
        ok=False, seconds=120,
    )  # fmt: skip
    assert "slurm_extra" in output
