"""Pairs, batches, augmentation and the loss of registration training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from training_tools import LOSS, blob_case, small_network, small_objective

from warpline import losses
from warpline.errors import WarplineError
from warpline.fields.io import write_field
from warpline.fields.physical import DisplacementField
from warpline.fields.sampling import warp
from warpline.images import Grid, Image
from warpline.networks import Prediction
from warpline.preprocess import Case, write_case
from warpline.training.augmentation import Augmentation
from warpline.training.data import CaseMemory
from warpline.training.devices import claim
from warpline.training.registration import RegistrationObjective, from_recipe

torch.set_num_threads(1)
PLAIN = Augmentation()


def test_every_case_moves_once_an_epoch_and_never_onto_itself():
    objective = small_objective(cases=6, augmentation=PLAIN)
    images = objective.training.images

    def which(image):
        return next(i for i in range(6) if torch.equal(images[i], image))

    pairs = []
    for step in range(2 * objective.steps_per_epoch):
        batch = objective.batch(step)
        pairs += [(which(m), which(f)) for m, f in zip(batch.moving, batch.fixed, strict=True)]
    assert sorted(m for m, _ in pairs[:6]) == list(range(6))
    assert sorted(m for m, _ in pairs[6:]) == list(range(6))
    assert all(m != f for m, f in pairs)
    assert pairs[:6] != pairs[6:]


def test_a_batch_is_a_function_of_seed_and_step():
    a, b, other = small_objective(), small_objective(), small_objective(seed=4)
    b.batch(0)
    torch.testing.assert_close(a.batch(7).moving, b.batch(7).moving, rtol=0, atol=0)
    assert not torch.equal(a.batch(7).moving, other.batch(7).moving)


def test_loss_of_the_untrained_network_by_its_parts():
    objective = small_objective(augmentation=PLAIN, batch_size=1)
    batch = objective.batch(0)
    total, parts = objective.loss(small_network(), batch)
    mask = ((batch.moving > 0) & (batch.fixed > 0)).float()
    forth = losses.local_ncc(batch.moving, batch.fixed, mask, window=5)
    back = losses.local_ncc(batch.fixed, batch.moving, mask, window=5)
    dice = losses.soft_dice(batch.moving_labels, batch.fixed_labels)
    # the coarser levels' heads start at random, so the similarity is not that of the identity
    assert float(parts["dice"]) == pytest.approx(float(dice), abs=1e-5)
    assert float(parts["regularity"]) == pytest.approx(0, abs=1e-7)
    expected = parts["similarity"] + parts["dice"] + 0.1 * parts["regularity"]
    torch.testing.assert_close(total, expected)
    single = small_network()
    single.heads = torch.nn.ModuleList()
    _, parts = objective.loss(single, batch)
    assert float(parts["similarity"]) == pytest.approx(float(forth + back) / 2, abs=1e-5)


def test_one_direction_only_when_not_symmetric():
    objective = small_objective(augmentation=PLAIN, batch_size=1, symmetric=False)
    batch, network = objective.batch(0), small_network()
    torch.nn.init.normal_(network.last.weight, std=0.1)
    network.eval()
    _, parts = objective.loss(network, batch)
    field = network(batch.moving, batch.fixed).displacement
    dice = losses.soft_dice(warp(batch.moving_labels, field), batch.fixed_labels)
    assert float(parts["dice"]) == pytest.approx(float(dice), abs=1e-5)


def test_validation_dice_by_numpy():
    objective, network = small_objective(), small_network()
    memory = objective.validation
    a, b = memory.labels.numpy() == 1
    dice = 2 * (a & b).sum() / (a.sum() + b.sum())
    assert objective.validate(network)["dice"] == pytest.approx(dice, abs=1e-6)


def test_augmentation_moves_image_and_labels_alike_as_scipy_would():
    augmentation = Augmentation(flip=True, quarter_turns=True, rotation=20, translation=3, zoom=0.2)
    shape = (12, 14, 10)
    rng = np.random.default_rng(5)
    image = ndimage.gaussian_filter(rng.random(shape), 1.5).astype(np.float32)
    images = torch.from_numpy(np.stack([image, image[::-1].copy()]))[:, None]
    matrix = augmentation.draw(np.random.default_rng(9), shape)
    ours, _ = augmentation(np.random.default_rng(9), images, None, pairs=1)
    centre = (np.array(shape) - 1) / 2
    offset = matrix[:, 3] + centre - matrix[:, :3] @ centre
    for k in range(2):
        theirs = ndimage.affine_transform(
            images[k, 0].numpy(), matrix[:, :3], offset, order=1, mode="nearest"
        )
        np.testing.assert_allclose(ours[k, 0].numpy(), theirs, atol=1e-4)


def test_augmentation_without_interpolation_keeps_every_value():
    augmentation = Augmentation(flip=True, quarter_turns=True)
    images = torch.rand(2, 1, 8, 6, 8)
    labels = (images > 0.5).float()
    for seed in range(8):
        moved, moved_labels = augmentation(np.random.default_rng(seed), images, labels, pairs=1)
        assert moved.shape == images.shape
        torch.testing.assert_close(
            moved.flatten(1).sort().values, images.flatten(1).sort().values, atol=1e-5, rtol=0
        )
        assert torch.equal(moved_labels.sum((1, 2, 3, 4)), labels.sum((1, 2, 3, 4)))


def test_quarter_turns_only_in_square_planes():
    augmentation = Augmentation(quarter_turns=True)
    seen = set()
    for seed in range(200):
        matrix = augmentation.draw(np.random.default_rng(seed), (8, 6, 8))[:, :3]
        seen.add(tuple(np.abs(matrix).argmax(1)))
    assert seen == {(0, 1, 2), (2, 1, 0)}  # only the axes of eight voxels change places


def test_bad_input():
    with pytest.raises(WarplineError, match="One case makes no pair"):
        small_objective(cases=1)
    with pytest.raises(WarplineError, match="no case"):
        CaseMemory([], [1])
    odd = blob_case("odd", 1)
    small = replace(odd, id="small", image=Image(np.zeros((8, 8, 8)), Grid((8, 8, 8))))
    with pytest.raises(WarplineError, match="differ in shape"):
        CaseMemory([odd, small], [1])
    unlabelled = CaseMemory([blob_case(f"u{i}", i, labelled=False) for i in range(3)], [1])
    arguments = {
        "batch_size": 1,
        "symmetric": True,
        "augmentation": PLAIN,
        "masked": False,
        "seed": 0,
    }
    with pytest.raises(WarplineError, match="not every training case has a label map"):
        RegistrationObjective(unlabelled, None, [], loss=LOSS, **arguments)
    unsupervised = LOSS | {"dice": {"weight": 0}}
    objective = RegistrationObjective(unlabelled, None, [], loss=unsupervised, **arguments)
    loss, parts = objective.loss(small_network(), objective.batch(0))
    assert torch.isfinite(loss)
    assert "dice" not in parts


def test_a_gpu_asked_for_where_there_is_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with (
        pytest.raises(WarplineError, match=r"torch sees none[\s\S]*device: cpu"),
        claim("cuda", tmp_path),
    ):
        pass
    with claim("cpu", tmp_path) as device:
        assert device.type == "cpu"


def test_a_card_is_held_by_one_job_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with claim("cuda", tmp_path) as first, claim("cuda", tmp_path) as second:
        assert {first.index, second.index} == {0, 1}
        assert sorted(p.name for p in tmp_path.iterdir()) == ["gpu-4.lock", "gpu-7.lock"]


def test_shapes_are_padded_to_the_networks_stride():
    memory = CaseMemory([blob_case(f"t{i}", i) for i in range(2)], [1], stride=12)
    assert memory.shape == (24, 24, 24)
    assert memory.images.shape == (2, 1, 24, 24, 24)
    plain = CaseMemory([blob_case(f"t{i}", i) for i in range(2)], [1])
    assert torch.equal(memory.images[..., :16, :16, :16], plain.images)
    assert memory.labels.sum() == plain.labels.sum()


def test_with_an_atlas_every_other_case_moves_to_it_once_an_epoch():
    objective = small_objective(cases=6, augmentation=PLAIN, batch_size=1, atlas="t2")
    images = objective.training.images
    assert objective.steps_per_epoch == 5
    moved = []
    for step in range(objective.steps_per_epoch):
        batch = objective.batch(step)
        torch.testing.assert_close(batch.fixed[0], images[2], rtol=0, atol=0)
        moved.append(next(i for i in range(6) if torch.equal(images[i], batch.moving[0])))
    assert sorted(moved) == [0, 1, 3, 4, 5]


def test_given_pairs_are_trained_on_once_an_epoch_each_in_its_direction():
    given = [("t0", "t4"), ("t3", "t1"), ("t2", "t5")]  # (fixed, moving)
    objective = small_objective(cases=6, augmentation=PLAIN, batch_size=1, pairs=given)
    images = objective.training.images

    def which(image):
        return f"t{next(i for i in range(6) if torch.equal(images[i], image))}"

    assert objective.steps_per_epoch == 3
    for epoch in range(2):
        batches = [objective.batch(3 * epoch + step) for step in range(3)]
        assert sorted((which(b.fixed[0]), which(b.moving[0])) for b in batches) == sorted(given)
    both = small_objective(cases=6, augmentation=PLAIN, batch_size=2, pairs=given).batch(0)
    trained = [(which(f), which(m)) for f, m in zip(both.fixed, both.moving, strict=True)]
    assert len(set(trained)) == 2
    assert set(trained) <= set(given)


def test_a_recipe_s_own_preparation_gives_scans_of_different_sizes_one_shape(tmp_path):
    """And its pairs are those trained on, validation seen in the same way."""
    for name, shape in (("a", (12, 10, 14)), ("b", (9, 16, 11)), ("c", (10, 10, 10))):
        image = np.random.default_rng(len(name)).random(shape).astype(np.float32)
        write_case(tmp_path / name, Case(name, Image(image, Grid(shape))))
    training = {"batch_size": 1, "symmetric": False, "masked": False, "pairing": "split"}
    recipe = {
        "prepare": [{"resize": {"shape": [8, 8, 8]}}],
        "loss": LOSS | {"dice": {"weight": 0}},
        "training": training | {"augmentation": {}, "pairs": [("a", "b")]},
        "seed": 0,
        "initial": None,
    }
    folders = {name: tmp_path / name for name in "abc"}
    arguments = (folders, ["a", "b"], [("c", "a")], {}, torch.device("cpu"))
    objective = from_recipe(recipe, small_network(), *arguments)
    assert objective.training.shape == objective.validation.shape == (8, 8, 8)
    assert torch.equal(objective.batch(0).fixed[0], objective.training.images[0])
    with pytest.raises(WarplineError, match="differ in shape"):
        from_recipe({**recipe, "prepare": []}, small_network(), *arguments)


def test_given_pairs_are_seen_as_their_initial_registration_leaves_them(tmp_path):
    """The moving image is the fixed one, shifted; the initial field takes the shift back."""
    rng = np.random.default_rng(5)
    grid = Grid((10, 12, 14), spacing=(1.0, 2.0, 1.5))
    inner = (slice(2, 8), slice(3, 9), slice(2, 12))
    mask = np.zeros(grid.shape, np.uint8)
    mask[inner] = 1
    for (fixed, moving), shift in ((("a", "b"), 1), (("c", "d"), 2)):
        texture = rng.random(grid.shape).astype(np.float32)
        vectors = np.zeros((*grid.shape, 3), np.float32)
        vectors[..., 0] = shift * grid.spacing[0]
        for name, by in ((fixed, 0), (moving, shift)):
            image, own = (Image(np.roll(part, by, axis=2), grid) for part in (texture, mask))
            write_case(tmp_path / name, Case(name, image, mask=own))
        (tmp_path / f"{fixed}__{moving}").mkdir()
        field = tmp_path / f"{fixed}__{moving}" / f"{fixed}__{moving}.nii.gz"
        write_field(field, DisplacementField(vectors, grid))
    training = {"batch_size": 1, "symmetric": False, "masked": False, "pairing": "split"}
    recipe = {
        "prepare": [{"crop_to_mask": {}}],
        "loss": LOSS | {"dice": {"weight": 0}},
        "training": training | {"augmentation": {}, "pairs": [("a", "b")]},
        "seed": 0,
        "initial": "affine",
    }
    folders = {name: tmp_path / name for name in ("a", "b", "c", "d", "a__b", "c__d")}
    arguments = (folders, ["a", "b"], [("c", "d")], {}, torch.device("cpu"))
    objective = from_recipe(recipe, small_network(), *arguments)
    batch = objective.batch(0)
    assert objective.training.ids == ["a", "a__b"]
    assert batch.fixed.shape == (1, 1, 8, 8, 12)  # 6 × 6 × 10, padded to the network's stride
    torch.testing.assert_close(batch.moving, batch.fixed)
    assert objective.validation_pairs == [("c", "c__d")]
    torch.testing.assert_close(objective.validation.images[0], objective.validation.images[1])


def test_the_published_loss_of_bouabid_by_its_parts():
    """MSE + α·|∇φ − ∇φ_Id| − β·Dice, eq. 6, of a network that predicts nearly the identity."""
    loss = {
        "similarity": {"name": "mse", "weight": 1},
        "dice": {"weight": 0.5, "squared": False},
        "regularisation": {"name": "identity_gradients", "unit": 1, "weight": 10.0},
    }
    objective = small_objective(
        loss=loss, augmentation=PLAIN, batch_size=1, symmetric=False, masked=False, atlas="t0"
    )
    batch = objective.batch(0)
    gradients = torch.full((1, 3, 16, 16, 16), 0.5)
    gradients[:, 0] = 0.6  # a stretch of 1.2 along z: |2s − 1| = 0.2 in a third of the channels

    class Stretch(torch.nn.Module):
        def both(self, moving, fixed, backward):
            return Prediction([torch.zeros(1, 3, 16, 16, 16)], gradients), None

    total, parts = objective.loss(Stretch(), batch)
    mse = ((batch.moving - batch.fixed) ** 2).mean()
    both = (batch.moving_labels * batch.fixed_labels).sum()
    size = batch.moving_labels.sum() + batch.fixed_labels.sum()
    dice = (2 * both + 1) / (size + 1)
    assert float(parts["regularity"]) == pytest.approx(0.2 / 3, rel=1e-5)
    assert float(parts["dice"]) == pytest.approx(1 - float(dice), rel=1e-5)
    expected = float(mse) + 10 * 0.2 / 3 + 0.5 * (1 - float(dice))
    assert float(total) == pytest.approx(expected, rel=1e-5)
