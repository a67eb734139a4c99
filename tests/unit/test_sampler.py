"""Which examples come when, what is held, and where the settings of sampling come from."""

from pathlib import Path

import numpy as np
import pytest
from schema_tools import SCHEMA, sampling_of

from warpline.errors import WarplineError
from warpline.plan.config import validate
from warpline.plan.fingerprint import definitions_reached
from warpline.training.sampler import BlockSampler, HeldCases, crop

SCRIPTS = Path(__file__).parents[2] / "scripts"


def sampler(**changes) -> BlockSampler:
    arguments = {"in_memory": 2, "batch_size": 4, "seed": 5, "purposes": (0, 1)}
    return BlockSampler(5, 3, **arguments | changes)


def test_every_example_comes_once_an_epoch_from_its_block():
    one = sampler()
    assert one.block_sizes == [2, 2, 1]
    assert one.block_steps == [2, 2, 1]  # 6, 6 and 3 examples, four at a time
    for epoch in range(2):
        found, members = [], {}
        for step in range(5 * epoch, 5 * epoch + 5):
            examples = one.batch(step)
            assert examples.epoch == epoch
            members[examples.block] = tuple(examples.members)
            found += [(int(examples.members[place]), int(k)) for place, k in examples.chosen]
        assert sorted(found) == [(member, k) for member in range(5) for k in range(3)]
        assert sorted(sum(members.values(), ())) == [0, 1, 2, 3, 4]


def test_the_order_is_that_of_numpy_s_generators():
    """By hand: what a seed has drawn once it draws always."""
    members = np.random.default_rng((5, 0, 1)).permutation(5)[2:4]
    mixed = np.random.default_rng((5, 1, 1, 1)).permutation(6)
    examples = sampler().batch(5 + 3)  # the second step of the second block
    assert (examples.epoch, examples.block) == (1, 1)
    assert examples.members.tolist() == members.tolist()
    assert (examples.chosen @ [3, 1]).tolist() == mixed[4:].tolist()
    assert sampler().batch(8).chosen.tolist() == examples.chosen.tolist()


def test_whole_batches_leave_a_rest_and_need_enough():
    one = sampler(whole=True, batch_size=3)
    assert one.block_steps == [2, 2, 1]
    assert sampler(whole=True, batch_size=2).block_steps == [3, 3, 1]
    with pytest.raises(WarplineError, match="A batch of 4 needs more patches than 1 synthetic"):
        sampler(whole=True)
    with pytest.raises(WarplineError, match="no case to train on"):
        BlockSampler(0, 3, in_memory=2, batch_size=4, seed=5, purposes=(0, 1))


def test_a_case_is_read_once_while_it_is_held():
    read = []

    class Cases:
        def __getitem__(self, index):
            read.append(index)
            return f"case {index}"

    held = HeldCases(Cases())
    assert held.hold([2, 0]) == ["case 2", "case 0"]
    assert held.hold([0, 1]) == ["case 0", "case 1"]
    assert held.hold([2]) == ["case 2"]
    assert read == [2, 0, 1, 2]
    assert len(held) == 1


def test_a_crop_is_moved_inside_and_goes_on_at_the_ends():
    z, y, x = (axis.ravel().tolist() for axis in crop((0, 5, 1), 4, (9, 7, 3)))
    assert z == [0, 1, 2, 3]
    assert y == [3, 4, 5, 6]
    assert x == [0, 1, 2, 2]


def test_each_objective_has_its_own_defaults_and_a_registration_none():
    assert sampling_of("segmentation", crops=2) == {
        "crop": 144,
        "crops": 2,
        "centred": 0.5,
        "in_memory": 12,
    }
    assert set(sampling_of("descriptors")) == {
        *("crop", "crops", "validation_crops", "in_memory", "radius", "dilation")
    }
    assert sampling_of("synthetic")["classes"] == [1.5, 4, 8]
    spec = {"title": "t", "kind": "network", "training": {"epochs": 1}}
    assert "sampling" not in validate(spec, SCHEMA, "a test")["training"]


def test_only_what_trains_depends_on_training():
    training = {
        script.stem
        for script in SCRIPTS.glob("*.py")
        if any(name.startswith("warpline.training") for name, _ in definitions_reached(script))
    }
    assert training == {"train"}
