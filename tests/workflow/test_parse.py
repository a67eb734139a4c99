"""What Snakemake says before any job runs: plans, speed, and refusals that help."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def repeated(*values):
    """What tests of the catalog show as well, without a start of Snakemake."""
    return pytest.param(*values, marks=pytest.mark.long)


def test_a_dry_run_of_the_named_targets_is_quick(project):
    def used():
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    before = used()
    output = project.snakemake("--dry-run", "--", "all", "tables", "figures", "estienne2020")
    assert "train" in output
    # A bound against accidents (networks, globbing, torch at parse time), not a benchmark.
    assert used() - before < 20


@pytest.mark.long
@pytest.mark.parametrize("target", ["all", "tables", "figures", "estienne2020"])
def test_every_named_target_trains_what_it_shows(project, target):
    assert "train" in project.snakemake("--dry-run", "--", target)


@pytest.mark.long
@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_real_data_are_downloaded_and_none_generated(project, scale):
    output = project.snakemake("--dry-run", "--config", f"scale={scale}")
    assert "phantom" not in output
    assert "fetch" in output


def test_the_first_line_says_the_scale_that_holds_and_what_will_be_downloaded(project):
    project.write("study.yaml", {"scale": "cpu"})
    asked = ("--workflow-profile", "profiles/gpu", "--configfile", "study.yaml")
    output = project.snakemake("--dry-run", *asked, "--config", "threads=1", "--", "bouabid2019")
    assert "Scale cpu (smaller networks than published; from study.yaml), real images" in output
    assert output.index("luna16 (11 files, 66 GB)") < output.index("Building DAG")
    assert "phantom" not in output
    first = next(line for line in output.splitlines() if line.startswith("Scale "))
    assert "It may take " in first


def test_a_profile_s_scale_holds_for_results_in_another_folder(project, tmp_path):
    """Beside a --config of one's own, and however far from the project Snakemake goes."""
    asked = ("--workflow-profile", "profiles/gpu", "--directory", str(tmp_path / "elsewhere"))
    told = project.snakemake("--dry-run", *asked, "--config", "seed=1", "--", "hu2020")
    assert "Scale paper (the published setting; from the profile " in told
    assert "Missing: chest, see below." in told
    assert "Missing: chest, the folder resources/chest: data of your own" in told
    assert "phantom" not in told


def test_parsing_imports_nothing_heavy(project):
    code = (
        "import sys; sys.path.insert(0, 'src')\n"
        "import warpline.plan.catalog, warpline.plan.fingerprint, warpline.plan.environment\n"
        "import warpline.errors\n"
        "import warpline.phantoms\n"
        "heavy = {'torch', 'SimpleITK', 'itk', 'ants', 'pandas', 'matplotlib', 'scipy', 'numpy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config", "scael=demo"], "did you mean 'scale'"),
        (["--config", "papers=[hu2020]", "--", "hu202"], "Did you mean 'hu2020'? Targets are all"),
        repeated(["--config", "scale=dmeo"], "did you mean 'demo'"),
        repeated(["--config", "papers=[estiene2020]"], "Did you mean 'estienne2020'"),
        repeated(["--config", "extra_methods=[sym]"], "There is no 'sym' in config/methods"),
    ],
)
def test_a_typo_on_the_command_line_is_refused_before_any_job(project, arguments, expected):
    output = project.snakemake("--dry-run", *arguments, ok=False)
    assert expected in output
    assert "Traceback" not in output
    assert not (project.folder / "results").exists()


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        (
            "config/datasets/hippocampus.yaml",
            {"lables": {1: "head"}},
            ["lables", "did you mean 'labels'"],
        ),
        repeated(
            "config/methods/estienne2020-task4-sym.yaml",
            {"training": {"symetric": True}},
            ["training.symetric", "did you mean 'symmetric'"],
        ),
        repeated(
            "config/papers/estienne2020.yaml",
            {"tabels": {}},
            ["tabels", "did you mean 'tables'"],
        ),
    ],
)
def test_a_typo_in_a_file_is_refused_with_file_key_and_nearest_key(project, file, change, expected):
    path = project.folder / file
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **change}))
    output = project.snakemake("--dry-run", ok=False)
    assert file in output
    for words in expected:
        assert words in output


# The cohort's thousands of jobs take half a minute to plan: test_scale.py does it for fewer scans.
EXAMPLES = {*(ROOT / "config" / "examples").glob("*.yaml")} - {
    ROOT / "config" / "examples" / "luna16-cohort.yaml"
}


@pytest.mark.long
@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_every_example_can_be_run(project, example):
    output = project.snakemake("--dry-run", "--configfile", f"config/examples/{example.name}")
    assert "total" in output


def test_the_arena_is_a_job_a_cell(project):
    """Every method on every dataset, a network that is trained for one of them on all."""
    methods = ["syn", "estienne2020-task4-sym"]
    project.write("tuned.yaml", {"arena": {"methods": methods, "tune": True}})
    asked = ("--dry-run", "--quiet", "rules", "--configfile", "tuned.yaml", "--", "arena")
    output = project.snakemake(*asked)
    counts = dict(line.split()[:2] for line in output.splitlines() if len(line.split()) == 2)
    # Seven datasets: unregistered, SyN at five strengths with its own, the network.
    # In five of them are pairs to search SyN's settings on.
    assert counts["arena_cell"] == str(7 * (1 + 5 + 1) + 5)
    assert counts["tune"] == "5"
    assert counts["train"] == "1"
    assert counts["arena_comparison"] == "1"


@pytest.mark.long
def test_every_paper_can_be_run(project):
    for path in sorted((ROOT / "config" / "papers").glob("*.yaml")):
        output = project.snakemake("--dry-run", "--config", f"papers=[{path.stem}]")
        assert f"rule {path.stem}_tables" in output


@pytest.mark.long
def test_a_patient_in_two_splits_is_refused(project):
    sheet = project.folder / "config/datasets/hippocampus.tsv"
    sheet.write_text("case\tpatient\tsplit\na\tp1\ttrain\nb\tp2\ttrain\nc\tp1\tval\nd\tp3\tval\n")
    output = project.snakemake("--dry-run", ok=False)
    assert "The patient 'p1' is in two splits" in output
