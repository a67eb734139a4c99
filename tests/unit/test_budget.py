"""What a paper takes, told before it starts: counted memory and operations, data, disk, misfits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch
from click.testing import CliRunner

from warpline import networks
from warpline.cli.budget import Need, _misfits, disk_of, need_of
from warpline.cli.main import main
from warpline.plan.config import read_yaml
from warpline.plan.inputs.seconds import steps_an_epoch
from warpline.plan.run import Run
from warpline.plan.volumes import prepared_shape, shape_after
from warpline.training import losses
from warpline.training.budget import Alive, step_cost
from warpline.training.registration_loss import Batch, RegistrationLoss

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)
KNOWN = read_yaml(ROOT / "config" / "budget.yaml")
GIB = 2**30


@pytest.fixture(scope="module")
def bouabid() -> Run:
    return Run({"papers": ["bouabid2019"], "scale": "paper"}, ROOT)


@pytest.fixture(scope="module")
def small() -> dict:
    """A recipe whose step is computed in a second."""
    return Run({"scale": "cpu"}, ROOT).catalog.method("estienne2020-task4-sym") | {
        "network": {
            "name": "estienne2020",
            "parameters": {"channels": [4, 8, 16], "convolutions": [1, 1]},
        }
    }


def alive_in_steps(network: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> int:
    """Bytes alive at the most in two steps that are computed, weights and moments included."""
    alive = Alive()
    with alive:
        for weight in network.parameters():
            alive.count(weight)
        optimiser = torch.optim.Adam(network.parameters(), foreach=False)
        for _ in range(2):
            loss().backward()
            optimiser.step()
            optimiser.zero_grad()
    return alive.peak


def test_what_is_counted_without_contents_is_what_a_step_keeps_alive(small):
    training = {**small["training"], "precision": "single", "batch_size": 1}
    recipe, shape = {**small, "training": training}, (24, 32, 16)
    cost = step_cost(recipe, shape, 2)
    network = networks.build("estienne2020", recipe["network"]["parameters"]).train()
    assert cost.parameters == networks.parameter_count(network)
    criterion = RegistrationLoss(
        recipe["loss"], symmetric=training["symmetric"], masked=training["masked"]
    )

    def loss() -> torch.Tensor:
        batch = Batch(*(torch.rand(1, n, *shape) for n in (1, 1, 2, 2)))
        return criterion(network, batch)[0]

    assert cost.bytes == pytest.approx(alive_in_steps(network, loss), rel=0.1)


def test_operations_are_those_of_the_convolutions(small):
    training = {**small["training"], "precision": "single", "batch_size": 1}
    recipe = {**small, "training": training}
    once = step_cost(recipe, (16, 16, 16), 2).operations
    twice = {**recipe, "training": {**training, "batch_size": 2}}
    # But for gradients of weights and gates, which are of no image.
    assert step_cost(twice, (16, 16, 16), 2).operations == pytest.approx(2 * once, rel=0.01)


def test_mixed_precision_and_recomputing_take_less(small):
    single = {**small["training"], "precision": "single"}
    mixed = {**single, "precision": "float16"}
    plain, half = (step_cost({**small, "training": t}, (32,) * 3, 2).bytes for t in (single, mixed))
    assert half < 0.9 * plain


def test_muon_keeps_one_moment_of_a_kernel_and_adam_two(small):
    adam = {**small["training"], "precision": "single", "batch_size": 1}
    muon = {**adam, "optimiser": {**adam["optimiser"], "name": "muon"}}
    # Of images so large that most is alive in the backward pass, not while Muon turns a kernel.
    wide = {"channels": [64, 128], "convolutions": [1]}
    recipe = {**small, "network": {"name": "estienne2020", "parameters": wide}}
    one, two = (step_cost({**recipe, "training": t}, (16, 16, 16), 2) for t in (muon, adam))
    assert two.bytes - one.bytes == pytest.approx(4 * one.parameters, rel=0.01)


def test_a_segmenters_step_is_that_of_its_objective():
    """Also on whole images, without crops."""
    run = Run({"scale": "cpu"}, ROOT)
    recipe = run.catalog.method("hippocampus-segmenter")
    shape, count = (24, 32, 16), recipe["training"]["batch_size"]
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"]).train()

    def loss() -> torch.Tensor:
        labels = torch.randint(0, 3, (count, *shape))
        target = torch.stack([labels == value for value in network.numbers], dim=1)
        known = torch.ones(count, len(network.numbers), dtype=torch.bool)
        found = network(torch.rand(count, 1, *shape))[:, 1:]
        return losses.partial_dice(found, target.float(), known)

    training = {**recipe["training"], "precision": "single"}
    cost = step_cost({**recipe, "training": training}, shape, 2)
    assert cost.bytes == pytest.approx(alive_in_steps(network, loss), rel=0.1)
    need = need_of(run, "hippocampus", "hippocampus-segmenter", KNOWN["grids"])
    assert need.shape == list(prepared_shape(run, "hippocampus", KNOWN["grids"]))


def test_steps_of_patches_are_those_of_the_objective():
    run = Run({"papers": ["sokooti2017"], "scale": "paper"}, ROOT)
    sampling = run.catalog.method("sokooti2017-regnet")["training"]["sampling"]
    assert sampling["flips"]  # each patch four times
    size = run.catalog.method("sokooti2017-regnet")["training"]["batch_size"]
    cases = sampling["in_memory"]
    once = cases * sampling["fields"] * sampling["patches"]
    # Every block's batches are full.
    assert steps_an_epoch(run, "followup", "sokooti2017-regnet", cases) == pytest.approx(
        4 * once / size, abs=sampling["fields"]
    )


def test_an_epoch_that_a_recipe_makes_shorter():
    run = Run({"papers": ["estienne2020"], "scale": "paper", "rehearse": True}, ROOT)
    # A rehearsal's two steps: an epoch each of pairs, one of both where cases have examples.
    assert steps_an_epoch(run, "abdomen", "estienne2020-task3-sym", 1000) == 1
    assert steps_an_epoch(run, "abdomen-annotated", "estienne2020-task3-segmenter", 1000) == 2


def test_bouabids_data_beside_a_step(bouabid):
    need = need_of(bouabid, "luna16", "bouabid2019-alpha-1e-4", KNOWN["grids"])
    assert need.shape == [256, 256, 256]
    cases = need.data / (256**3 * 5)
    assert cases == int(cases) > 100
    assert need.device == need.step + need.data
    assert need.host == 0
    # Three GiB and a half by hand: 12 full-size maps of 16 channels are half of it.
    assert 3 * GIB < need.step < 4 * GIB
    spec = bouabid.catalog.method("bouabid2019-alpha-1e-4")["training"]
    an_epoch = steps_an_epoch(bouabid, "luna16", "bouabid2019-alpha-1e-4", 99)
    assert an_epoch == 98 // spec["batch_size"]


def test_the_disk_of_luna16(bouabid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    disk = disk_of(bouabid, "bouabid2019", KNOWN)["luna16"]
    assert (disk["download"], disk["unpacked"]) == pytest.approx((66, 120))
    # Of 888 cases 756 are only described.
    assert disk["prepared"] == pytest.approx(132 * 256**3 * 5 / 1e9)
    assert disk["fields"] > 1000 * 256**3 * 12 / 1e9


def test_the_disk_of_scans_of_different_sizes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run({"papers": ["hansen2020"], "scale": "paper"}, ROOT)
    slices = [(256, 94 + 112 + 104 + 99 + 106), (512, 128 + 136 + 128 + 128 + 120)]
    voxels = sum(side**2 * n for side, n in slices)
    # Both phases of ten patients, 4 bytes a voxel, without label maps.
    disk = disk_of(run, "hansen2020", KNOWN)["dirlab-4dct"]
    assert disk["prepared"] == pytest.approx(2 * voxels * 4 / 1e9)
    assert disk["fields"] / disk["prepared"] == pytest.approx(12 / 4 * 50 / 20)


def test_a_cpu_s_memory_holds_data_and_a_step_with_its_buffers():
    run = Run({"papers": ["estienne2020"], "scale": "cpu"}, ROOT)
    need = need_of(run, "hippocampus", "estienne2020-task4-sym", KNOWN["grids"])
    assert need.host == int(1.05 * need.data + 1.85 * need.step)
    assert need.data > 0


def need(step: float, data: float, on_device: bool = True) -> Need:
    step, data = int(step * GIB), int(data * GIB)
    device, host = (step + data, 0) if on_device else (step, data)
    return Need("d/m", 1, [64] * 3, 1, device, step, data, host, 1)


@pytest.mark.parametrize(
    ("one", "memory", "said"),
    [
        (need(4, 8), None, "Everything fits"),
        (need(4, 12), None, "training.memory: host"),
        (need(17, 0), None, "training.precision: float16"),
        (need(4, 12), 8, "mapped from files"),
        (need(4, 12, on_device=False), 64, "Everything fits"),
        (need(4, 12, on_device=False), 8, "mapped from files"),
    ],
)
def test_what_will_not_fit_is_said_with_the_key_that_helps(one, memory, said):
    assert said in " ".join(_misfits([one], "v100-16", KNOWN["cards"], memory))


def test_the_shape_is_that_of_the_last_step_that_sets_it():
    resize, crop = {"resize": {"shape": [4, 5, 6]}}, {"crop_to_mask": {"margin": 2}}
    assert shape_after([{"orient": {}}, resize, {"zscore": {}}]) == (4, 5, 6)
    assert shape_after([resize, {"resample": {"spacing": [1, 1, 1]}}]) is None
    assert shape_after([crop, resize]) == (4, 5, 6)
    assert shape_after([resize, crop]) is None


def test_grids_of_other_datasets_papers():
    run = Run({"papers": ["hu2020", "estienne2020"], "scale": "paper"}, ROOT)
    assert prepared_shape(run, "chest", KNOWN["grids"]) == (208, 112, 160)
    assert prepared_shape(run, "abdomen-public", KNOWN["grids"]) == (256, 160, 192)
    assert prepared_shape(run, "hippocampus", KNOWN["grids"]) == (64, 64, 64)


def test_the_command_tells_it_to_people_and_to_programs():
    arguments = ["hu2020", "--scale", "demo", "--gpu", "v100-16", "--memory", "16"]
    said = CliRunner().invoke(main, ["budget", *arguments])
    assert said.exit_code == 0, said.output
    assert "chest/hu2020-landmarks" in said.output
    assert "Everything fits." in said.output
    told = json.loads(CliRunner().invoke(main, ["budget", *arguments, "--json"]).stdout)
    assert {n["name"] for n in told["trainings"]} >= {"chest/hu2020-voxelmorph"}
    assert told["disk"]["chest"]["download"] == 0
    wrong = CliRunner().invoke(main, ["budget", "hu2020", "--gpu", "abacus"])
    assert wrong.exit_code == 2
    assert "v100-16" in wrong.output


def test_what_a_run_has_made_tells_the_disk_of_the_rest(bouabid, tmp_path, monkeypatch):
    """Two cases and one field of 70 bytes: the others will be alike."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        a_case(tmp_path / "results/data/luna16/prepared/b000" / name, (256, 256, 256))
    folder = tmp_path / "results/fields/luna16/identity/test/whole"
    folder.mkdir(parents=True)
    (folder / "a__b.nii.gz").write_bytes(bytes(70))
    (folder / "a__b-spread.nii.gz.part").write_bytes(bytes(9))
    (folder / "registrations.csv").write_bytes(bytes(900))
    disk = disk_of(bouabid, "bouabid2019", KNOWN)["luna16"]
    made = sum(f.stat().st_size for f in (tmp_path / "results/data").rglob("*.nii.gz"))
    assert disk["prepared"] == pytest.approx(132 * made / 2 / 1e9)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    counted = disk_of(bouabid, "bouabid2019", KNOWN)["luna16"]
    assert disk["fields"] == pytest.approx(counted["fields"] * 70 / (12 * 256**3))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/phantom/luna16/mirror").mkdir(parents=True)  # these were generated
    assert disk_of(bouabid, "bouabid2019", KNOWN)["luna16"] == counted


def test_what_another_scale_has_made_tells_nothing(bouabid, tmp_path, monkeypatch):
    """As after the demo, whose cases lie in the same folder."""
    monkeypatch.chdir(tmp_path)
    counted = disk_of(bouabid, "bouabid2019", KNOWN)["luna16"]
    a_case(tmp_path / "results/data/luna16/prepared/b000/one", (32, 32, 32))
    assert disk_of(bouabid, "bouabid2019", KNOWN)["luna16"] == counted


def a_case(folder: Path, size: tuple[int, int, int]) -> None:
    folder.mkdir(parents=True)
    sitk.WriteImage(sitk.Image(size, sitk.sitkUInt8), folder / "image.nii.gz", True)
    (folder / "mask.nii.gz").write_bytes(bytes(100))
