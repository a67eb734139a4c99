"""Which scale a run has, whatever files, profile and command line say, and what it says of it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake import cli
from snakemake.settings.types import ConfigSettings
from snakemake.utils import update_config

from snakemake_logger_plugin_warpline.asked import read_words, settle
from warpline.errors import WarplineError
from warpline.plan.downloads import download
from warpline.plan.inputs.acquire import (
    archive_spec,
    archive_to_fetch,
    case_sources,
    source_folder,
)
from warpline.plan.outlook import datasets_asked, outlook
from warpline.plan.run import Run
from warpline.plan.wanted import Wanted, wanted

ROOT = Path(__file__).parents[2]
PROFILE, FILE = ("--workflow-profile", "profiles/site"), ("--configfile", "study.yaml")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A project of a Snakefile, a profile at scale paper and a study at scale cpu."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    (tmp_path / "Snakefile").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("scale: demo\n", encoding="utf-8")
    for name, config in {
        "site": ["scale=paper", "memory_mb=24000"],
        "mapped": {"scale": "paper", "memory_mb": 24000},
        "silent": None,
    }.items():
        profile = tmp_path / "profiles" / name / "config.yaml"
        profile.parent.mkdir(parents=True)
        profile.write_text(yaml.safe_dump({"cores": 2} | ({"config": config} if config else {})))
    (tmp_path / "study.yaml").write_text("scale: cpu\nseed: 3\n")
    (tmp_path / "seed.yaml").write_text("seed: 4\n")
    return tmp_path


def asked(folder: Path, *arguments: str) -> tuple[dict, dict, object]:
    """The configuration of a run, that of its jobs, and what was asked for.

    Snakemake's own parser reads the command line and merges what it says, as in a run; the
    project's file says scale demo.
    """
    given = cli.parse_args(list(arguments))[1]
    files = [Path(file).absolute() for file in given.configfile or ()]
    settings = ConfigSettings(config=cli.parse_config(given.config), configfiles=files)
    config = {"scale": "demo", "memory_mb": 6000}
    update_config(config, settings.overwrite_config)
    workflow = SimpleNamespace(
        config_settings=settings,
        main_snakefile=str(folder / "Snakefile"),
        configfiles=[str(folder / "config" / "config.yaml")],
    )
    if "--directory" in arguments:
        os.chdir(arguments[arguments.index("--directory") + 1])  # where Snakemake reads its rules
    said = settle(workflow, config, arguments, folder)
    of_jobs = {"scale": "demo", "memory_mb": 6000}
    words = cli.parse_config(settings.config_args)
    update_config(of_jobs, ConfigSettings(config=words, configfiles=files).overwrite_config)
    return config, of_jobs, said


@pytest.mark.parametrize(
    ("arguments", "scale", "memory", "origin"),
    [
        ((), "demo", 6000, "config/config.yaml"),
        (FILE, "cpu", 6000, "study.yaml"),
        (("--config", "scale=paper"), "paper", 6000, "the command line"),
        (("--config", "seed=1"), "demo", 6000, "config/config.yaml"),
        (PROFILE, "paper", 24000, "the profile profiles/site"),
        # The user's own --config drops a profile's in Snakemake: here only what it names.
        ((*PROFILE, "--config", "seed=1"), "paper", 24000, "the profile profiles/site"),
        ((*PROFILE, "-C", "seed=1"), "paper", 24000, "the profile profiles/site"),
        ((*PROFILE, "--config", "scale=cpu"), "cpu", 24000, "the command line"),
        ((*PROFILE, "--config", "memory_mb=9"), "paper", 9, "the profile profiles/site"),
        # A profile wins over a file in Snakemake: here the file that was asked for does.
        ((*PROFILE, *FILE), "cpu", 24000, "study.yaml"),
        ((*PROFILE, *FILE, "--config", "seed=1"), "cpu", 24000, "study.yaml"),
        ((*PROFILE, *FILE, "--config", "scale=demo"), "demo", 24000, "the command line"),
        ((*PROFILE, *FILE, "seed.yaml"), "cpu", 24000, "study.yaml and seed.yaml"),
        (("--workflow-profile", "mapped", *FILE), "cpu", 24000, "study.yaml"),
        (("--workflow-profile", "silent", *FILE), "cpu", 6000, "study.yaml"),
        (("--profile", "profiles/site", "--config", "seed=1"), "paper", 24000, "profiles/site"),
        (("--workflow-profile=profiles/site", "--config", "seed=1"), "paper", 24000, "site"),
        (("--workflow-profile", "none"), "demo", 6000, "config/config.yaml"),
    ],
)
def test_the_scale_asked_for_last_and_most_explicitly_holds(
    folder, arguments, scale, memory, origin
):
    config, of_jobs, said = asked(folder, *arguments, "--", "hu2020")
    assert (config["scale"], config["memory_mb"]) == (scale, memory)
    assert of_jobs == config
    assert origin in said.origin
    assert said.targets == ["hu2020"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("key={strengths: false, pairs: 2}", {"strengths": False, "pairs": 2}),
        ("key={b: {c: [0.5, 1e-3, -7, null, x]}}", {"b": {"c": [0.5, 1e-3, -7, None, "x"]}}),
        ("key={'b': True, 'c': False, 'd': None}", {"b": True, "c": False, "d": None}),  # of jobs
        ("key=true", True),
        ("key={case: 007, version: 1.2.3, path: ~/x, name: NaN}",
         {"case": "007", "version": "1.2.3", "path": "~/x", "name": "NaN"}),
        ('key=["3", "true"]', [3, True]),  # Snakemake has taken the quotes away
    ],
)  # fmt: skip
def test_words_of_the_command_line_are_what_yaml_would_have_them(typed, meant):
    assert read_words(cli.parse_config([typed])) == {"key": meant}


def test_jobs_are_told_the_same_nested_words(folder):
    config, of_jobs, _ = asked(folder, *PROFILE, "--config", "arena={pairs: 3, strengths: false}")
    assert config["arena"] == {"pairs": 3, "strengths": False}
    assert read_words(of_jobs) == config


@pytest.mark.parametrize(
    ("arguments", "scale", "origin"),
    [
        ((*PROFILE, "--config", "seed=1"), "paper", "site"),
        (("--workflow-profile", "site", "--config", "seed=1"), "paper", "site"),
        (("--profile", "profiles/site", "--config", "seed=1"), "paper", "site"),
        ((*PROFILE, *FILE), "cpu", "study.yaml"),
        (FILE, "cpu", "study.yaml"),
        (("--config", "scale=paper"), "paper", "the command line"),
    ],
)
def test_the_same_holds_for_results_in_another_folder(folder, arguments, scale, origin):
    """Snakemake goes there before it reads the rules; paths stay those of where it was begun."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    config, of_jobs, said = asked(folder, *arguments, "--directory", str(elsewhere), "--", "hu2020")
    assert config["scale"] == of_jobs["scale"] == scale
    assert origin in said.origin


@pytest.mark.parametrize("profile", ["gpu", "slurm"])
def test_what_the_default_profile_sets_the_others_set_too(profile):
    """Another profile takes its place whole."""
    default, other = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
        for name in ("default", profile)
    )
    left_out = {"cores"} if other.get("executor") else set()
    assert {*default} - {*other} == left_out
    assert other["rerun-incomplete"]
    assert other["show-failed-logs"]
    assert other.get("executor") or other["resources"]["gpu"] == default["resources"]["gpu"]


@pytest.mark.parametrize("arguments", [(), PROFILE, FILE, (*PROFILE, *FILE)])
@pytest.mark.parametrize("scale", ["demo", "cpu", "paper"])
def test_the_command_line_s_scale_holds_against_all(folder, arguments, scale):
    config, of_jobs, said = asked(folder, *arguments, "--config", f"scale={scale}", "--", "hu2020")
    assert (config["scale"], of_jobs["scale"]) == (scale, scale)
    assert said.origin == "the command line"


def test_the_seed_of_the_last_file_and_of_the_command_line_holds(folder):
    assert asked(folder, *PROFILE, *FILE, "seed.yaml")[0]["seed"] == 4
    assert asked(folder, *PROFILE, *FILE, "seed.yaml", "--config", "seed=5")[0]["seed"] == 5


def test_each_source_of_a_configuration_is_named_with_what_it_says(folder):
    sources = asked(folder, *PROFILE, *FILE, "seed.yaml", "--config", "seed=5")[2].sources
    names = ["config/config.yaml", "the profile profiles/site", "study.yaml", "seed.yaml"]
    assert list(sources) == [*names, "--config"]
    assert sources["seed.yaml"] == {"seed": 4}
    assert sources["--config"] == {"seed": 5}


# What is said ---------------------------------------------------------------------------------


def run(folder: Path, scale: str, **config: object) -> Run:
    """A run whose archives lie in an empty folder."""
    places = {"results": str(folder / "results"), "data": str(folder / "resources")}
    return Run({"papers": ["hu2020", "bouabid2019"], "scale": scale, **places, **config}, ROOT)


def test_only_papers_that_are_targets_count(tmp_path):
    both = run(tmp_path, "cpu")
    assert wanted(both, ["bouabid2019"]) == Wanted(["bouabid2019"])
    assert wanted(both, ["bouabid2019", "tables"]) == Wanted(["hu2020", "bouabid2019"])
    assert wanted(both, []) == Wanted(["hu2020", "bouabid2019"], pages=True)
    assert datasets_asked(both, Wanted(["bouabid2019"])) == ["luna16"]


def test_a_run_on_generated_images_downloads_nothing(tmp_path):
    said = outlook(run(tmp_path, "demo"), ["hu2020"], "config/config.yaml")
    assert said.startswith("Scale demo ")
    assert "generated images" in said
    assert "hu2020." in said
    assert "Nothing to download." in said


def test_models_and_the_arena_are_told_with_their_images(tmp_path):
    entry = {"dataset": "luna16", "method": "bouabid2019-alpha-1e-4", "split": None, "about": ""}
    arena = {"datasets": ["hippocampus"], "methods": ["affine"]}
    of = run(tmp_path, "demo", papers=[], models={"of-lungs": entry}, arena=arena)
    said = outlook(of, ["models"], "a file")
    assert "generated images, device cpu: 1 model of the house. Nothing to download." in said
    assert "training" in said
    said = outlook(of, ["arena"], "a file")
    assert "generated images, device cpu: the arena (2 cells). Nothing to download." in said
    real = run(tmp_path, "cpu", papers=[], arena=arena)
    assert "real images, device cpu: the arena (2 cells). To download: " in outlook(
        real, ["arena"], "a file"
    )


def test_an_archive_of_generated_images_is_not_fetched(tmp_path):
    generated, real = run(tmp_path, "demo"), run(tmp_path, "paper")
    with pytest.raises(WarplineError, match="'luna16' is generated at this scale") as error:
        archive_to_fetch(generated, "luna16", "subset0.zip")
    assert error.value.do == f"Ask for all of them: {tmp_path}/results/phantom/luna16/unpacked."
    # What a demo has unpacked is not there for a run on real images, nor the other way round.
    batch = next(iter(generated.catalog.dataset("luna16").batches()))
    assert case_sources(generated, "luna16", batch) == [source_folder(generated, "luna16")]
    assert source_folder(generated, "luna16") == generated.layout.phantom_unpacked("luna16")
    Path(source_folder(generated, "luna16"), "subset0.zip").mkdir(parents=True)
    assert download(real, "luna16").files == 11
    for path in case_sources(real, "luna16", "b000"):
        assert path.startswith(real.layout.unpacked("luna16"))
    found = archive_to_fetch(real, "luna16", "subset0.zip")
    assert found == archive_spec(real, "luna16", "subset0.zip")


def test_what_is_downloaded_is_told_with_its_size(tmp_path):
    said = outlook(run(tmp_path, "paper"), ["bouabid2019"], "the command line")
    assert "from the command line), real images" in said
    assert "luna16 (11 files, 66 GB)" in said
    assert "Missing" not in said
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "subset0.zip").touch()
    unpacked = tmp_path / "results" / "data" / "luna16" / "unpacked" / "subset1.zip"
    unpacked.mkdir(parents=True)
    said = outlook(run(tmp_path, "paper"), ["bouabid2019"], "")
    assert "luna16 (9 files, 52.8 GB)" in said


def test_where_only_the_whole_size_is_known_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asking = run(tmp_path, "paper", papers=["hu2020"])
    first = next(iter(asking.catalog.dataset("learn2reg-lung").spec["archives"]))
    here = Path(asking.catalog.config["data"])
    here.mkdir()
    (here / first).touch()
    said = download(asking, "learn2reg-lung").in_words()
    assert said == "learn2reg-lung (1 file, 0.4 GB with the 1 that is there or missing)"


def test_what_several_datasets_come_to_is_told(tmp_path):
    said = outlook(run(tmp_path, "paper", papers=["estienne2020"]), [], "a file")
    known = [0.03, 6, 8, 27, 12.3, 6.6]  # hippocampus, four of the decathlon, OASIS
    assert f"To download: {sum(known):.3g} GB and what is not known: abdomen" in said


def test_private_and_requested_data_are_missing_before_any_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = outlook(run(tmp_path, "paper", papers=["hansen2020", "hu2020"]), [], "a file")
    assert "Missing: chest, dirlab-4dct, dirlab-copd, see below." in said.splitlines()[0]
    assert "chest, the folder resources/chest: data of your own" in said
    assert "dirlab-copd, the folder resources/dirlab-copd: ask for it at https://med.emory" in said
    (tmp_path / "resources" / "chest").mkdir(parents=True)
    (tmp_path / "resources" / "chest" / "subject01.nii.gz").touch()
    assert "issing" not in outlook(run(tmp_path, "paper"), ["hu2020"], "a file")


def test_of_single_files_of_a_run_without_papers_nothing_is_said_to_be_there(tmp_path):
    said = outlook(run(tmp_path, "demo", papers=[]), ["results/fields/x"], "a file")
    assert said == (
        "Scale demo (small networks, minutes; from a file), device cpu: single targets. "
        "What they take is not counted."
    )
    assert "device cpu: nothing" in outlook(run(tmp_path, "demo", papers=[]), [], "a file")


def test_an_archive_that_only_a_folder_could_give_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "https://example.org/request"
    archives = {"AbdomenCTCT.zip": {"sources": ["folder:by-hand"], "ask": page}}
    override = {"datasets": {"abdomen": {"archives": archives}}}
    asking = run(tmp_path, "paper", papers=["estienne2020"], override=override)
    assert download(asking, "abdomen").missing == {"AbdomenCTCT.zip": page}
    mirrored = run(
        tmp_path, "paper", papers=["estienne2020"], override=override, mirror=f"file:{tmp_path}"
    )
    assert download(mirrored, "abdomen").missing
    (tmp_path / "AbdomenCTCT.zip").touch()
    assert download(mirrored, "abdomen").missing == {}
    assert download(mirrored, "abdomen").files == 1


def test_of_archives_that_are_left_out_or_there_no_size_is_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    some = {f"subset{n}.zip": None for n in range(2, 10)}
    override = {"datasets": {"luna16": {"archives": some}}}
    asking = run(tmp_path, "paper", papers=["bouabid2019"], override=override)
    two = download(asking, "luna16")
    assert (two.files, two.gigabytes) == (3, pytest.approx(2 * 6.59 + 0.1))
    here = Path(asking.catalog.config["data"])
    here.mkdir()
    (here / "subset1.zip").touch()
    assert download(asking, "luna16").in_words() == "luna16 (2 files, 6.69 GB)"
    all_of_it = download(run(tmp_path, "paper", papers=["bouabid2019"]), "luna16")
    assert all_of_it.gigabytes == pytest.approx(66.0 - 6.59)


def test_a_file_on_this_machine_has_its_own_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    some = {f"subset{n}.zip": None for n in range(1, 10)}
    override = {"datasets": {"luna16": {"archives": some}}}
    (tmp_path / "subset0.zip").write_bytes(b"0" * 30_000)
    mirrored = run(
        tmp_path, "paper", papers=["bouabid2019"], override=override, mirror=f"file:{tmp_path}"
    )
    assert download(mirrored, "luna16").gigabytes == pytest.approx(0.1 + 3e-5)
