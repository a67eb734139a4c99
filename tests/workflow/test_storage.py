"""A full disk, a folder that cannot be written, two runs at once, a clock that jumps."""

import os
import shutil
import subprocess
import time

import pytest

STUDY = {
    "papers": [],
    "studies": {"storage": {"datasets": ["tiny-chest"], "methods": ["identity"], "split": "test"}},
}
TABLE = "results/storage/tables/table.csv"
PREPARED = "results/data/tiny-chest/prepared/b000"
FILES = ("--configfile", "tiny.yaml", "storage.yaml")


def own_mounts() -> list[str]:
    """Command that gives a process mounts of its own; none where that is not allowed."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        if (
            shutil.which("unshare")
            and not subprocess.run(
                [*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
            ).returncode
        ):
            return command
    return []


MOUNTS = own_mounts()
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="no mounts of one's own are allowed here")


@pytest.fixture
def study(project):
    project.write("storage.yaml", STUDY)
    (project.folder / "results").mkdir()
    return project


def under(project, script: str) -> subprocess.CompletedProcess:
    """Run a shell script, in which `run` is Snakemake, with mounts of its own."""
    command = " ".join(project.command(*FILES, "--rerun-incomplete", "--", TABLE))
    return subprocess.run(
        [*MOUNTS, "bash", "-c", f"run() {{ {command}; }}\n{script}"],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@needs_mounts
@pytest.mark.long
def test_a_disk_that_fills_up_says_so_and_nothing_half_written_is_accepted(study):
    # A little more room after each failure, until it suffices.
    done = under(
        study,
        """
        mount -t tmpfs -o size=200k none results
        for size in 200k 400k 600k 800k 200m; do
            mount -o remount,size=$size results
            if run; then echo "ENOUGH: $size"; break; fi
            echo "TOO SMALL: $size"
        done
        cp -r results finished
        """,
    )
    output = done.stdout + done.stderr
    assert output.count("TOO SMALL") >= 2, output[-4000:]
    assert "ENOUGH" in output
    # Whatever was being written, its job or Snakemake names the reason.
    says = output.count("The disk is full") + output.count("No space left on device")
    assert says >= output.count("TOO SMALL")
    study.snakemake(*FILES, "--", TABLE)
    made = sorted((study.folder / "results/data").rglob("*.nii.gz"))
    assert made
    for path in [study.folder / TABLE, *made]:
        other = study.folder / "finished" / path.relative_to(study.folder / "results")
        assert path.read_bytes() == other.read_bytes() or path.suffix == ".csv"
    assert not list((study.folder / "finished").rglob(".*.nii.gz"))


@needs_mounts
def test_a_folder_that_cannot_be_written_is_named(study):
    done = under(
        study, "mount --bind results results && mount -o remount,ro,bind results results; run"
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Read-only file system: 'results" in output
    assert not list((study.folder / "results").iterdir())


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(study):
    first = study.start(*FILES, "--", PREPARED)
    deadline = time.monotonic() + 120
    while not list((study.folder / ".snakemake/locks").glob("*")):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    output = study.snakemake(*FILES, "--", PREPARED, ok=False)
    assert "Directory cannot be locked" in output
    assert "--unlock" in output
    assert first.wait() == 0
    assert (study.folder / PREPARED / "subject01").is_dir()
    assert "Nothing to be done" in study.snakemake(*FILES, "--", PREPARED)


def test_a_clock_that_jumped_is_named_and_set_right_by_a_touch(copy):
    copy.write("storage.yaml", STUDY)
    copy.snakemake(*FILES, "--", TABLE)
    # Of a folder; a small file that only looks newer is known by its checksum to be the same.
    batch = copy.folder / "results/data/tiny-chest/aligned/b000/.snakemake_timestamp"
    tomorrow = time.time() + 86400
    os.utime(batch, (tomorrow, tomorrow))
    output = copy.snakemake(*FILES, "--", TABLE, ok=False)
    assert "older modification time" in output
    assert "aligned/b000" in output
    batch.touch()
    copy.snakemake(*FILES, "--", TABLE)
    assert "Nothing to be done" in copy.snakemake(*FILES, "--", TABLE)
