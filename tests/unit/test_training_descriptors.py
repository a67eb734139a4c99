"""Training on descriptors: which crops come when, that they are right, and what memory holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from schema_tools import sampling_of
from training_tools import course

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.registration.embedding.descriptors import mind_ssc
from warpline.training import objectives
from warpline.training.descriptors import DescriptorObjective, Sampling
from warpline.training.loop import train
from warpline.training.material import Material

torch.set_num_threads(1)
SHAPE = (20, 24, 18)
FEW = Sampling(**sampling_of("descriptors", crop=8, crops=6, validation_crops=3, in_memory=2))
NARROW = {"encoder": [4, 4, 4], "decoder": [4, 4], "low": 0.0, "high": 1.0}


def case(name: str, seed: int, mask: bool = True, shape=SHAPE) -> Case:
    """An image that holds its voxels' indices, plus 1e5 times the seed; a mask in one corner."""
    index = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1e5 * seed
    inside = np.zeros(shape, np.uint8)
    inside[10:13, 4:9, 9:12] = 1
    grid = Grid(shape)
    return Case(name, Image(index, grid), mask=Image(inside, grid) if mask else None)


def objective(cases: int = 3, **changes) -> DescriptorObjective:
    arguments = {"error": {"name": "mse"}, "batch_size": 4, "sampling": FEW, "seed": 5} | changes
    training = [case(f"t{i}", i) for i in range(cases)]
    return DescriptorObjective(training, [case("v", 8)], **arguments)


def test_a_batch_is_a_function_of_seed_and_step():
    """Also when the steps before it were never taken."""
    straight, resumed = objective(), objective()
    steps = 2 * straight.steps_per_epoch
    for step in range(steps):
        batch = straight.batch(step)
    assert torch.equal(batch.images, resumed.batch(steps - 1).images)
    assert torch.equal(straight.batch(0).images, resumed.batch(0).images)
    assert not torch.equal(resumed.batch(0).images, resumed.batch(1).images)
    assert not torch.equal(objective(seed=6).batch(0).images, resumed.batch(0).images)


def test_every_case_gives_its_crops_in_an_epoch_from_within_the_mask():
    one = objective(cases=3)
    # Two cases, then one: 12 and 6 crops, four at a time.
    assert one.sampler.block_steps == [3, 2]
    assert one.steps_per_epoch == 5
    counts, middles = [], []
    for step in range(5):
        for crop in one.batch(step).images[:, 0]:
            number, first = divmod(int(crop[0, 0, 0]), 100_000)
            counts.append(number)
            start = np.array(np.unravel_index(first, SHAPE))
            z, y, x = start
            whole = one.training[number].image.array[z : z + 8, y : y + 8, x : x + 8]
            assert np.array_equal(crop.numpy(), whole)
            middles.append(start + 4)
        assert len(one._cases) <= 2
    assert sorted(counts) == [0] * 6 + [1] * 6 + [2] * 6
    middles = np.array(middles)
    assert (middles >= [10, 4, 9]).all()
    assert (middles <= [12, 8, 11]).all()
    assert len({tuple(m) for m in middles}) > 10
    # Drawn anew in the next epoch.
    later = {float(c) for s in range(5, 10) for c in one.batch(s).images[:, 0, 0, 0, 0]}
    assert later != {float(c) for s in range(5) for c in one.batch(s).images[:, 0, 0, 0, 0]}


def test_without_a_mask_crops_come_from_everywhere_and_small_images_go_on():
    thin = case("t", 0, mask=False, shape=(5, 30, 30))
    one = DescriptorObjective(
        [thin], [], error={"name": "mse"}, batch_size=40, sampling=replace(FEW, crops=40), seed=0
    )
    crops = one.batch(0).images[:, 0]
    assert crops.shape == (40, 8, 8, 8)
    assert torch.equal(crops[:, 5:], crops[:, 4:5].expand(-1, 3, -1, -1))
    starts = np.array(np.unravel_index(crops[:, 0, 0, 0].long().numpy(), (5, 30, 30)))
    assert (starts[0] == 0).all()
    assert starts[1:].min() == 0
    assert starts[1:].max() == 22


def test_targets_are_pooled_descriptors():
    sampling = replace(FEW, radius=2, dilation=1)
    batch = objective(sampling=sampling).batch(0)
    whole = mind_ssc(batch.images, 2, 1)
    assert batch.targets.shape == (4, 12, 4, 4, 4)
    block = whole[:, :, 2:4, 6:8, 0:2].mean((2, 3, 4))
    torch.testing.assert_close(batch.targets[:, :, 1, 3, 0], block)


class Constant(torch.nn.Module):
    """Predicts the same everywhere."""

    def features(self, image: torch.Tensor) -> torch.Tensor:
        return torch.full((len(image), 12, 4, 4, 4), 0.25)


def test_errors_by_hand():
    one, absolute = objective(), objective(error={"name": "mae"})
    batch = one.batch(0)
    batch.targets = torch.full((4, 12, 4, 4, 4), 0.75)
    batch.targets[:, :6] = 0.25
    assert float(one.loss(Constant(), batch)[0]) == pytest.approx(0.125)
    assert float(absolute.loss(Constant(), batch)[0]) == pytest.approx(0.25)


def test_validation_is_on_fixed_crops():
    one = objective()
    first = one.validate(Constant())
    kept = one._validation
    one.batch(3)
    assert one.validate(Constant()) == first
    assert one._validation is kept
    assert [len(batch.images) for batch in kept] == [3]
    expected = float(torch.mean((kept[0].targets - 0.25) ** 2))
    assert first == pytest.approx({"loss": expected})


def recipe(**changes) -> dict:
    return {
        "seed": 1,
        "network": {"name": "hansen2020", "parameters": NARROW},
        "loss": {"error": {"name": "mse"}},
        "training": {
            "objective": "descriptors",
            "batch_size": 4,
            "sampling": sampling_of("descriptors", crop=16, crops=8, validation_crops=2),
        },
    } | changes


def test_a_recipe_trains_and_the_loss_falls(tmp_path):
    rng = np.random.default_rng(0)
    folders = {}
    for k in range(2):
        image = Image(np.kron(rng.random((10, 10, 10)), np.ones((3, 3, 3))), Grid((30, 30, 30)))
        write_case(tmp_path / f"c{k}", Case(f"c{k}", image))
        folders[f"c{k}"] = str(tmp_path / f"c{k}")
    torch.manual_seed(0)
    network = networks.build("hansen2020", NARROW)
    cpu = torch.device("cpu")
    one = objectives.build(recipe(), network, Material(folders, ["c0"], [("c1", "c1")], {}), cpu)
    before = one.validate(network)["loss"]
    result = train(network, one, course(epochs=8, learning_rate=1e-2), tmp_path / "state")
    assert result.steps == 8 * one.steps_per_epoch == 16
    assert one.validate(network)["loss"] < 0.95 * before


def test_bad_recipes():
    cpu = torch.device("cpu")
    network = networks.build("hansen2020", NARROW)
    with pytest.raises(WarplineError, match="needs the error"):
        objectives.build(recipe(loss={}), network, Material({}, [], [], {}), cpu)
    with pytest.raises(WarplineError, match="predicts no features"):
        objectives.build(recipe(), torch.nn.Identity(), Material({}, [], [], {}), cpu)
    with pytest.raises(WarplineError, match="no case to train on"):
        objectives.build(recipe(), network, Material({}, [], [], {}), cpu)
    with pytest.raises(WarplineError, match="There is no error 'huber'"):
        objective(error={"name": "huber"})
    with pytest.raises(WarplineError, match="cannot be halved"):
        objective(sampling=replace(FEW, crop=7))
