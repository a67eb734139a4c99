"""Memory and minutes that jobs ask for: the count by hand, what stands before it, its limits."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakemake_logger_plugin_warpline.nodes import memory_of_nodes, most_allowed
from snakemake_logger_plugin_warpline.rules import growing
from warpline.errors import WarplineError
from warpline.plan import run as run_of
from warpline.plan.arena import pairs as pairs_of_cells
from warpline.plan.config import read_yaml
from warpline.plan.duration import Duration, duration, in_words
from warpline.plan.experiments import Experiment, registration_batches, trainings_of
from warpline.plan.inputs import models as models_of
from warpline.plan.inputs import needs, seconds
from warpline.plan.inputs.described import batch_stage, described_batches, waiting_batches
from warpline.plan.inputs.train import training_threads, training_workers
from warpline.plan.rivals import missing
from warpline.plan.rows import table_rows
from warpline.plan.run import Run
from warpline.plan.trainings import recipe, training_cases
from warpline.plan.volumes import voxels_after
from warpline.plan.wanted import Wanted, trainings_wanted, wanted
from warpline.training.sampler import BlockSampler

ROOT = Path(__file__).parents[2]
KNOWN = read_yaml(ROOT / "config" / "budget.yaml")
JOBS = KNOWN["jobs"]
BOUABID = ("luna16", "bouabid2019-alpha-1e-4")


def run(**config) -> Run:
    return Run({"papers": ["bouabid2019"], "scale": "paper", "device": "cpu", **config}, ROOT)


@pytest.fixture(scope="module")
def paper() -> Run:
    return run()


@pytest.fixture
def large_machine(paper, monkeypatch):
    monkeypatch.setattr(run_of, "this_machine_mb", lambda: 1e6)


def test_a_registration_asks_for_what_its_volumes_take(paper):
    rate = JOBS["register"]["bouabid2019"]
    counted = 500 + 1.5 * (rate["start"] + rate["bytes"] * 256**3 / 1e6)
    assert needs.registration_mb(paper, *BOUABID) == pytest.approx(counted, abs=1)
    name, pairs = next(
        iter(registration_batches(paper.catalog, Experiment(*BOUABID, "test")).items())
    )
    measure = JOBS["measure"]
    one = (rate["seconds"] + measure["seconds"]) * 256**3 / 1e6 + measure["pair"]
    minutes = 10 + 5 * len(pairs) * one / 60
    asked = needs.registration_minutes(paper, *BOUABID, "test", name)
    assert asked == pytest.approx(max(60, minutes), abs=1)


def test_other_methods_and_grids_ask_for_other_amounts(paper):
    of = {m: needs.registration_mb(paper, "luna16", m) for m in ("identity", "syn", "warpline")}
    assert of["identity"] < of["syn"]
    small = run(scale="cpu")
    assert needs.registration_mb(small, "luna16", "syn") < of["syn"]
    place = ("luna16", "syn", "test")
    name = next(iter(registration_batches(paper.catalog, Experiment(*place))))
    assert needs.registration_minutes(small, *place, name) == 60
    assert needs.registration_minutes(paper, *place, name) > 240


def test_a_preparation_asks_for_the_memory_of_its_largest_scan_and_the_time_of_typical_ones(paper):
    rate = JOBS["prepare"]
    counted = 500 + 1.5 * (rate["start"] + rate["bytes"] * 764 * 512 * 512 / 1e6)
    assert needs.preparation_mb(paper, "luna16") == pytest.approx(counted, abs=1)
    name, cases = next(iter(paper.catalog.dataset("luna16").batches().items()))
    typical = 5 * len(cases) * rate["seconds"] * 228 * 512 * 512 / 1e6 / 60
    assert needs.preparation_minutes(paper, "luna16", name) == math.ceil(max(60, 10 + typical))


def test_a_training_asks_for_its_data_twice_or_with_its_step(paper, large_machine):
    data = (98 + 33) * 256**3 * 5 / 1e6  # 131 cases, 4 bytes a voxel and 1 of its label
    step = JOBS["steps"]["bouabid2019"]["bytes"] * 256**3 / 1e6
    assert data / 0.5 > 1.05 * data + 1.85 * step
    assert needs.training_mb(paper, *BOUABID) == pytest.approx(1500 + data / 0.5, rel=0.02)
    card = needs.training_mb(run(device="cuda"), *BOUABID)
    assert card == needs.training_mb(paper, *BOUABID) + 3000


def test_a_training_takes_no_more_than_most_of_this_machine(paper, monkeypatch):
    monkeypatch.setattr(run_of, "this_machine_mb", lambda: 10_000)
    small = run()
    assert needs.training_mb(small, *BOUABID) == needs.largest_mb(small) == 9000


def test_a_training_takes_no_more_than_most_of_a_node_where_jobs_run_elsewhere(monkeypatch):
    monkeypatch.setattr(run_of, "this_machine_mb", lambda: 10_000)
    told = {"papers": ["bouabid2019"], "scale": "paper", "device": "cpu"}
    on_nodes = Run(told, ROOT, node_mb=lambda: 20_000)
    assert needs.training_mb(on_nodes, *BOUABID) == 18_000
    unknown = Run(told, ROOT, node_mb=lambda: math.inf)
    assert 20_000 < needs.training_mb(unknown, *BOUABID) < 64_000
    named = Run(told | {"node_memory_mb": 12_000}, ROOT, node_mb=lambda: 20_000)
    assert needs.training_mb(named, *BOUABID) == 10_800


def test_a_second_attempt_asks_for_more_than_the_first_but_not_for_more_than_a_node_has():
    asked = growing(lambda wildcards: 10_000, lambda: 18_000)
    assert [asked(None, attempt) for attempt in (1, 2, 3)] == [10_000, 18_000, 18_000]
    more = growing(lambda wildcards: 30_000, lambda: 18_000)  # by memory_mb: as one has said
    assert [more(None, attempt) for attempt in (1, 2)] == [30_000, 30_000]
    assert growing(5)(None, 3) == 15


def test_the_memory_of_nodes_is_what_the_scheduler_s_partitions_allow(tmp_path):
    profile = ROOT / "profiles" / "slurm" / "partitions.yaml"
    assert most_allowed(profile) == 380_000  # of the one with GPUs
    mine = tmp_path / "partitions.yaml"
    mine.write_text("partitions:\n  a: {max_mem_mb: 5000}\n  b: {max_mem_mb: 7000}\n")
    assert most_allowed(mine) == 7000
    mine.write_text("partitions:\n  a: {max_mem_mb: 5000}\n  b:\n")
    assert most_allowed(mine) == math.inf

    def asked(local: bool, partitions: str | None) -> float:
        settings = SimpleNamespace(partition_config=partitions)
        workflow = SimpleNamespace(local_exec=local, executor_settings=settings, dryrun=False)
        return memory_of_nodes(workflow, [], tmp_path)()

    assert asked(False, str(profile)) == 380_000
    assert asked(False, None) == math.inf
    assert asked(True, str(profile)) == run_of.this_machine_mb()


def test_a_dry_run_tells_the_memory_of_the_machine_that_jobs_would_go_to(tmp_path):
    (tmp_path / "partitions.yaml").write_text("partitions:\n  a: {max_mem_mb: 5000}\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "config.yaml").write_text("executor: cluster\n")
    workflow = SimpleNamespace(
        local_exec=True,
        dryrun=True,
        main_snakefile=str(tmp_path / "Snakefile"),
    )
    assert memory_of_nodes(workflow, ["-n"], tmp_path)() == run_of.this_machine_mb()
    on_site = ["-n", "--workflow-profile", "site"]
    assert memory_of_nodes(workflow, on_site, tmp_path)() == math.inf


def test_processes_that_make_pairs_ahead_have_threads_and_memory_of_their_own():
    place = ("followup", "sokooti2017-regnet")
    ahead = run(papers=["sokooti2017"], workers=2, threads=3)
    assert (training_workers(ahead, *place), training_threads(ahead, *place)) == (2, 5)
    assert needs.training_mb(ahead, *place) == needs.NOT_KNOWN + 2 * needs.AHEAD
    assert needs.training_mb(run(papers=["sokooti2017"], workers=2, memory_mb=700), *place) == 700
    assert training_threads(run(papers=["sokooti2017"]), *place) == 1
    # A GPU makes them itself, and others learn from no such pairs.
    assert training_workers(run(papers=["sokooti2017"], workers=2, device="cuda"), *place) == 0
    assert training_workers(run(workers=2), *BOUABID) == 0


# Time -----------------------------------------------------------------------------------------


def test_a_training_takes_the_operations_of_its_steps_by_the_rate_of_a_core(paper):
    """98 scans, one of them the atlas, one pair a step; 61 GFLOP a million voxels, 256³."""
    rate, work = KNOWN["rates"]["core"], JOBS["steps"]["bouabid2019"]["work"]["paper"]
    steps = recipe(paper.catalog, *BOUABID)["training"]["epochs"] * 98
    counted = steps * work * 256**3 / 1e6 / rate
    assert seconds.training(paper, *BOUABID) == pytest.approx(counted)
    assert needs.training_minutes(paper, *BOUABID) == 1440  # far more: attempts go on
    small, place = run(papers=["hu2020"], scale="demo"), ("chest", "hu2020-voxelmorph")
    assert needs.training_minutes(small, *place) == 60
    middle = run(papers=["hu2020"], scale="cpu")
    minutes = 10 + 5 * seconds.training(middle, *place) / 60
    assert 60 < minutes < 1440
    assert needs.training_minutes(middle, *place) == math.ceil(minutes)
    threads = run(papers=["hu2020"], scale="cpu", threads=2)
    assert needs.training_minutes(threads, *place) == pytest.approx(10 + (minutes - 10) / 2, abs=1)


def test_a_card_s_training_has_its_constant_until_somebody_has_measured_the_card(monkeypatch):
    plain = run(device="cuda")
    assert seconds.training(plain, *BOUABID) is None
    assert needs.training_minutes(plain, *BOUABID) == 1440
    known = {**KNOWN, "rates": {**KNOWN["rates"], "a100": 20_000}}
    monkeypatch.setattr(seconds, "known", lambda catalog: known)
    counted = seconds.training(run(device="cuda", card="a100"), *BOUABID)
    core = seconds.training(run(), *BOUABID)
    assert counted == pytest.approx(core * KNOWN["rates"]["core"] / 20_000)
    assert 60 < needs.training_minutes(run(device="cuda", card="a100"), *BOUABID) < 1440
    assert seconds.training(run(device="cuda", card="h100"), *BOUABID) is None
    with pytest.raises(WarplineError, match="no card 'a10'"):
        seconds.training(run(device="cuda", card="a10"), *BOUABID)


def test_regnet_s_training_takes_its_patches_and_its_pairs(monkeypatch):
    regnet = run(papers=["sokooti2017"])
    place = ("followup", "sokooti2017-regnet")
    own = recipe(regnet.catalog, *place)["training"]
    assert seconds.training(regnet, *place) is None  # nobody knows how large its scans are
    monkeypatch.setattr(seconds, "training_shape", lambda *arguments: (100, 100, 100))
    cases, validation = training_cases(regnet.catalog, *place)
    cases, watched = len(cases), {case for pair in validation for case in pair}
    pairs = (cases + len(watched)) * own["sampling"]["fields"] * JOBS["pairs"]["seconds"]
    assert seconds.synthetic_pairs(regnet, *place) == pytest.approx(pairs)
    steps = own["epochs"] * seconds.steps_an_epoch(regnet, *place, cases)
    work = JOBS["steps"]["sokooti2017"]["work"]["paper"] * own["batch_size"]
    counted = steps * work / KNOWN["rates"]["core"] + pairs
    assert seconds.training(regnet, *place) == pytest.approx(counted)


@pytest.mark.parametrize(
    ("papers", "scale", "method", "cases"),
    [
        ("sokooti2017", "paper", "sokooti2017-regnet", 5),
        ("sokooti2017", "cpu", "sokooti2017-regnet", 3),
        ("estienne2020", "paper", "estienne2020-task3-segmenter", 450),
        ("hansen2020", "paper", "hansen2020-features", 16),
    ],
)
def test_steps_of_an_epoch_are_those_of_the_sampler(papers, scale, method, cases):
    one = run(papers=[papers], scale=scale)
    place = next(p for p in trainings_of(one.catalog, papers) if p[1].startswith(method))
    own = recipe(one.catalog, *place)["training"]
    sampling, whole = own["sampling"], own["objective"] == "synthetic"
    examples = sampling["patches"] * (1 + 3 * sampling["flips"]) if whole else sampling["crops"]
    sampler = BlockSampler(
        cases * (sampling["fields"] if whole else 1),
        examples,
        in_memory=sampling["in_memory"],
        batch_size=own["batch_size"],
        seed=0,
        purposes=(0, 1),
        whole=whole,
    )
    assert seconds.steps_an_epoch(one, *place, cases) == sampler.steps_per_epoch


def test_how_long_a_run_may_take_is_told_as_far_as_it_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = run()
    scans = sum(map(len, of.catalog.dataset("luna16").batches().values()))
    batches = len(of.catalog.dataset("luna16").batches())
    found = duration(of, Wanted(["bouabid2019"]), ["luna16"])
    one = JOBS["prepare"]["seconds"] * 228 * 512 * 512 / 1e6
    beginning = JOBS["fork"]
    assert found.cores["preparation"] == pytest.approx(scans * one + batches * beginning)
    trainings = trainings_of(of.catalog, "bouabid2019")
    counted = sum(seconds.training(of, *place) + beginning for place in trainings)
    assert found.cores["training"] == pytest.approx(counted)
    assert not found.unknown
    assert found.longest == pytest.approx(
        max(seconds.training(of, *place) for place in trainings) + beginning
    )
    weights = tmp_path / of.layout.weights(*trainings[0])
    weights.parent.mkdir(parents=True)
    weights.touch()
    shorter = duration(of, Wanted(["bouabid2019"]), ["luna16"]).cores["training"]
    assert shorter == pytest.approx(counted - seconds.training(of, *trainings[0]) - beginning)
    elsewhere = duration(of, Wanted(["bouabid2019"]), ["luna16"], forked=False).cores
    more = batches * (JOBS["beginning"] - beginning)
    assert elsewhere["preparation"] == pytest.approx(found.cores["preparation"] + more)
    there = next(iter(described_batches(of.catalog, "luna16")))
    (tmp_path / of.layout.batch("luna16", batch_stage(of, "luna16", there), there)).mkdir(
        parents=True
    )
    assert there not in waiting_batches(of, "luna16")
    fewer = duration(of, Wanted(["bouabid2019"]), ["luna16"]).cores["preparation"]
    cases = len(of.catalog.dataset("luna16").batches()[there])
    assert fewer == pytest.approx(found.cores["preparation"] - cases * one - beginning)
    card = duration(run(device="cuda"), Wanted(["bouabid2019"]), ["luna16"])
    assert card.unknown == {"training": ["on a GPU"], "registration": ["on a GPU"]}
    assert "How long is not known: training on a GPU, registration on a GPU." in card.in_words(2)


def test_the_alignment_of_cases_is_counted_with_their_preparation():
    rates = JOBS["register"]
    of = run(papers=["hu2020", "estienne2020"], rehearse=True)
    voxels = 208 * 112 * 160 / 1e6  # three resolutions of 250 iterations
    rate = rates["elastix"]
    one = rate["pair"] + 3 * 250 * rate["iteration"] + rate["seconds"] * voxels
    assert seconds.aligning(of, "chest", 7) == pytest.approx(7 * one)
    own = JOBS["generated"] + JOBS["prepare"]["seconds"] * voxels
    assert seconds.preparing(of, "chest", 7) == pytest.approx(7 * (one + own))
    voxels = 256 * 160 * 192 / 1e6
    one = rates["affine"]["pair"] + rates["affine"]["seconds"] * voxels
    assert seconds.aligning(of, "msd-liver", 3) == pytest.approx(3 * one)
    assert seconds.aligning(of, "hippocampus", 3) == 0


def test_sizes_that_a_dataset_s_file_says_need_no_download():
    """DIR-Lab's ten patients; three of followup's generated scans go from 4 × 4 × 5 mm to 4³."""
    sizes = [256 * 256 * z for z in (94, 112, 104, 99, 106)]
    sizes += [512 * 512 * z for z in (128, 136, 128, 128, 120)]
    breaths = run(papers=["hansen2020"])
    counted = 20 * JOBS["prepare"]["seconds"] * sum(sizes) / 10 / 1e6
    assert seconds.preparing(breaths, "dirlab-4dct", 20) == pytest.approx(counted)
    rate = JOBS["measure"]
    one = rate["pair"] + rate["seconds"] * sum(sizes) / 10 / 1e6
    assert seconds.measuring(breaths, "dirlab-4dct", 4) == pytest.approx(4 * one)
    generated = run(papers=["sokooti2017"], scale="demo")
    voxels = 100 * 75 * 67 * 5 / 4
    one = rate["pair"] + rate["seconds"] * voxels / 1e6
    assert seconds.measuring(generated, "followup", 1) == pytest.approx(one)
    one = JOBS["generated"] + JOBS["prepare"]["seconds"] * voxels / 1e6
    assert seconds.preparing(generated, "followup", 3) == pytest.approx(3 * one)
    assert voxels_after([{"crop_to_mask": {"margin": 1}}], 8, 1) is None
    assert voxels_after([{"resample": {"spacing": [1, 1, 1]}}], 8, None) is None
    shaped = [{"resample": {"spacing": [1, 1, 1]}}, {"resize": {"shape": [3, 4, 5]}}]
    assert voxels_after(shaped, 8, 2) == 60


def test_a_network_registers_on_its_own_grid():
    demo = run(papers=["hansen2020"], scale="demo")
    rate = JOBS["register"]["voxelmorph"]
    side = demo.catalog.method("hansen2020-voxelmorph")["prepare"][1]["resize"]["shape"]
    one = rate["pair"] + rate["seconds"] * math.prod(side) / 1e6
    assert seconds.registering(demo, "dirlab-4dct", "hansen2020-voxelmorph", 4) == pytest.approx(
        4 * one
    )


def test_a_drawing_job_asks_for_the_fields_of_its_largest_pairs():
    """A job that drew cases of 335 × 300 × 400 voxels took 5704 MB, where 2000 were asked for."""
    of = run(papers=["sokooti2017"], scale="paper", rehearse=True, device="cpu")
    rate, voxels = JOBS["pictures"], 335 * 300 * 400
    asked = needs.pictures_mb(of, "sokooti2017")
    assert asked == pytest.approx(500 + 1.5 * (rate["start"] + rate["bytes"] * voxels / 1e6), abs=1)
    assert asked > 5704
    real = run(papers=["sokooti2017"], scale="paper")  # whose scans' sizes nobody knows
    assert needs.pictures_mb(real, "sokooti2017") == needs.NOT_KNOWN
    assert needs.pictures_mb(run(papers=["hu2020"], scale="demo"), "hu2020") == needs.PICTURES
    told = run(papers=["hu2020"], scale="demo", memory_mb=4500)
    assert needs.pictures_mb(told, "hu2020") == 4500


def test_noisy_labels_are_counted_by_their_windows(tmp_path, monkeypatch):
    """256 × 160 × 192 voxels in windows of 144, every 72: three, two and two of them."""
    monkeypatch.chdir(tmp_path)
    of = run(papers=["estienne2020"], scale="paper", device="cpu")
    segmenter = ("abdomen-noisy", "estienne2020-task3-segmenter")
    window = of.catalog.method(segmenter[1])["training"]["sampling"]["crop"]
    assert window == 144
    assert of.catalog.dataset(segmenter[0]).spec["noisy_labels"]["overlap"] == 0.5
    work = JOBS["steps"]["estienne2020_segmenter"]["work"]["paper"] / 3
    one = 12 * 144**3 / 1e6 * work / KNOWN["rates"]["core"]
    assert seconds.segmenting(of, *segmenter, 5) == pytest.approx(5 * one)
    cases = sum(map(len, of.catalog.dataset("abdomen-noisy").batches().values()))
    measured = len(of.catalog.dataset("abdomen-annotated").split("val"))
    found = duration(of, Wanted(["estienne2020"]), [])
    batches = len(of.catalog.dataset("abdomen-noisy").batches())
    counted = (cases + measured) * one + batches * JOBS["fork"]
    assert found.cores["noisy labels"] == pytest.approx(counted)
    on_a_card = run(papers=["estienne2020"], scale="paper", device="cuda")
    assert duration(on_a_card, Wanted(["estienne2020"]), []).unknown["noisy labels"] == ["on a GPU"]


def test_measurements_pictures_and_pages_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = run(papers=["hu2020"], scale="demo")
    found = duration(of, Wanted(["hu2020"], pages=True), ["chest"]).cores
    spec = of.catalog.paper("hu2020")
    rows = {row["method"] for row in table_rows(spec)}  # all of one split, four pairs
    voxels = math.prod((48, 32, 48)) / 1e6
    rate, one = JOBS["measure"], JOBS["fork"]
    counted = len(rows) * 4 * (rate["pair"] + rate["seconds"] * voxels)
    assert found["measurement"] == pytest.approx(counted)
    rates, each = JOBS["pictures"], JOBS["explorer"]
    drawn = (len(spec["figures"]) + 1) * rates["figure"] + rates["tables"] + 2 * one
    pages = len(rows) * 4 * (each["pair"] + each["seconds"] * voxels) + rates["report"] + 3 * one
    assert found["pictures"] == pytest.approx(drawn + pages)  # of four pairs none is left out
    without = duration(of, Wanted(["hu2020"]), ["chest"]).cores
    assert without["pictures"] == pytest.approx(drawn)
    few = run(papers=["hu2020"], scale="demo", explorer={"pairs": "worst"})
    fewer = duration(few, Wanted(["hu2020"], pages=True), ["chest"]).cores["pictures"]
    assert found["pictures"] - fewer == pytest.approx(
        len(rows) * 3 * (each["pair"] + each["seconds"] * voxels)
    )
    claims = tmp_path / of.layout.claims("hu2020")
    claims.parent.mkdir(parents=True)
    claims.touch()
    without = duration(of, Wanted(["hu2020"]), ["chest"]).cores
    assert without["pictures"] == pytest.approx(drawn - rates["tables"] - one)


def lacks(of, method):
    return missing(of.catalog.method(method))


def test_how_long_models_and_the_arena_may_take_is_counted_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = {"of-lungs": {"dataset": "luna16", "method": BOUABID[1], "split": "test", "about": ""}}
    methods = ["affine", "demons", "fireants"]
    arena = {"datasets": ["hippocampus"], "methods": methods, "strengths": False}
    of = run(scale="demo", models=models, arena=arena)
    asked = wanted(of, ["models"])
    assert asked == Wanted(models=["of-lungs"])
    assert wanted(of, [models_of.files(of, "of-lungs")[1]]) == asked
    assert trainings_wanted(of, asked) == [BOUABID]
    made = duration(of, asked, ["luna16"])
    counted = seconds.training(of, *BOUABID) + JOBS["fork"]
    assert made.cores["training"] == pytest.approx(counted)
    assert set(made.cores) == {"preparation", "training", "registration", "measurement"}
    compared = wanted(of, ["arena"])
    assert [cell.method for cell in compared.cells] == ["identity", *methods]
    assert compared.papers == compared.models == []
    assert wanted(of, ["results/arena/records.csv"]) == compared
    cells = duration(of, compared, []).cores["the arena"]
    pairs = 2 * len(pairs_of_cells(of.catalog, "hippocampus", "val"))  # in both directions
    each = [seconds.registering(of, "hippocampus", cell.method, pairs) for cell in compared.cells]
    here = [s for s, c in zip(each, compared.cells, strict=True) if not lacks(of, c.method)]
    assert len(here) >= 3  # FireANTs need not be there, and is skipped then
    assert here[1] > 0  # of the affine map there is a rate
    own = JOBS["beginning"] + seconds.measuring(of, "hippocampus", pairs)
    assert cells == pytest.approx(sum(s or 0 for s in here) + len(here) * own)
    done = tmp_path / of.layout.arena_cell("hippocampus", "demons", "val")
    done.parent.mkdir(parents=True)
    done.touch()
    left = duration(of, compared, []).cores["the arena"]
    assert left == pytest.approx(cells - (here[2] or 0) - own)
    pages = [wanted(of, t).pages for t in ([], ["all"], ["results/report.html"], ["tables"])]
    assert pages == [True, True, True, False]
    assert wanted(of, ["models", "arena"]).in_words() == "1 model of the house, the arena (4 cells)"


def test_a_duration_in_words():
    found = Duration()
    found.add("training", "a", 7 * 3600, 1, 0)
    found.add("preparation", "b", 3600, 60, 0)
    assert found.in_words(None) == (
        "It may take 8 h of one core (training 7 h, preparation 60 min)."
    )
    assert found.in_words(4).endswith(", 7 h on 4.")  # the longest job is one core's
    found.add("registration", "c", None, 1, 60)
    assert found.in_words(1).startswith("What is counted takes 8 h of one core")
    assert found.in_words(1).endswith("How long is not known: registration c.")
    assert in_words(200 * 3600) == "8 days"
    assert Duration().in_words(2) == "Cases, networks and measurements are all there."


def test_what_is_configured_stands_before_the_count():
    fixed = run(memory_mb=7000)
    asked = (
        needs.memory_mb(fixed),
        needs.registration_mb(fixed, *BOUABID),
        needs.preparation_mb(fixed, "luna16"),
        needs.training_mb(fixed, *BOUABID),
    )
    assert set(asked) == {7000}


def test_where_sizes_are_not_known_much_is_asked_for():
    breaths = run(papers=["hansen2020"])
    assert needs.preparation_mb(breaths, "dirlab-4dct") == needs.NOT_KNOWN
    private = run(papers=["sokooti2017"])
    assert seconds.preparing(private, "followup", 3) is None
    assert seconds.measuring(private, "followup", 3) is None
    generated = run(scale="demo")
    assert needs.preparation_mb(generated, "luna16") == needs.NOT_KNOWN


def test_the_share_of_data_is_that_of_a_training():
    from warpline.training import room

    assert room.SHARE == needs.SHARE


def test_steps_are_those_that_are_counted():
    from warpline.training.budget import step_cost

    spec = recipe(run().catalog, *BOUABID)
    counted = step_cost(spec, (64, 64, 64), 1).bytes / math.prod((64, 64, 64))
    assert JOBS["steps"]["bouabid2019"]["bytes"] == pytest.approx(counted, rel=0.15)
    work = step_cost(spec, (64, 64, 64), 1).operations / math.prod((64, 64, 64)) / 1e3
    assert JOBS["steps"]["bouabid2019"]["work"]["paper"] == pytest.approx(work, rel=0.05)
