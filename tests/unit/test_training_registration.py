"""Pairs, batches, augmentation and the loss of registration training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from schema_tools import augmentation_of
from scipy import ndimage
from training_tools import LOSS, blob_case, course, small_network, small_objective

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.devices.claim import claim
from warpline.errors import WarplineError
from warpline.fields.io import write_field
from warpline.fields.physical import DisplacementField
from warpline.fields.sampling import warp
from warpline.images.grid import Grid, Image
from warpline.networks import Prediction
from warpline.training import losses, regularisers
from warpline.training.augmentation import Augmentation
from warpline.training.checkpoints import StateFolder
from warpline.training.data import CaseMemory
from warpline.training.loop import train
from warpline.training.material import Material
from warpline.training.registration import RegistrationObjective, from_recipe

torch.set_num_threads(1)
PLAIN = Augmentation(**augmentation_of())


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


def test_a_batch_is_full_where_there_are_fewer_cases():
    objective = small_objective(cases=3, batch_size=5, augmentation=PLAIN)
    batch = objective.batch(0)
    assert objective.steps_per_epoch == 1
    assert len(batch.moving) == len(batch.fixed) == 5
    times = [
        sum(torch.equal(m, image) for m in batch.moving) for image in objective.training.images
    ]
    assert sorted(times) == [1, 2, 2]
    assert not any(torch.equal(m, f) for m, f in zip(batch.moving, batch.fixed, strict=True))


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
    augmentation = Augmentation(
        **augmentation_of(flip=True, quarter_turns=True, rotation=20, translation=3, zoom=0.2)
    )
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
    augmentation = Augmentation(**augmentation_of(flip=True, quarter_turns=True))
    images = torch.rand(2, 1, 8, 6, 8)
    labels = (images > 0.5).float()
    for seed in range(8):
        moved, moved_labels = augmentation(np.random.default_rng(seed), images, labels, pairs=1)
        assert moved.shape == images.shape
        torch.testing.assert_close(
            moved.flatten(1).sort().values, images.flatten(1).sort().values, atol=1e-5, rtol=0
        )
        assert torch.equal(moved_labels.sum((1, 2, 3, 4)), labels.sum((1, 2, 3, 4)))


def test_a_bend_moves_image_and_labels_of_both_alike_and_as_far_as_asked():
    bend = Augmentation(**augmentation_of(bend=0.8))
    ramp = torch.arange(48.0).view(1, 1, 48, 1, 1).expand(2, 1, 48, 40, 36).contiguous()
    shown, labels = bend(np.random.default_rng(3), ramp, (ramp > 20).float(), pairs=1)
    assert torch.equal(shown[0], shown[1])
    # A ramp of one a voxel tells how far each voxel was moved along it.
    inner = slice(8, 40)
    moved = (shown - ramp)[0, 0, inner]
    assert abs(float(moved[4::12, ::12, ::12].mean())) < 0.4
    assert 0.5 < float(moved[4::12, ::12, ::12].std()) < 1.1  # at the nodes
    assert float(moved.diff(dim=0).abs().max()) < 0.6  # smooth between them
    assert torch.equal(labels[:, :, inner] > 0.5, shown[:, :, inner] > 20.5)


def test_contrast_and_noise_keep_the_places_and_the_range():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.uniform(-100, 300, (2, 1, 24, 24, 24)).astype(np.float32))
    image[:, :, 0, 0, 0], image[:, :, 0, 0, 1] = -100, 300
    shade = Augmentation(**augmentation_of(contrast=0.5))
    assert not shade.moves
    shown, none = shade(np.random.default_rng(1), image, None, pairs=1)
    assert none is None
    power = np.exp(np.random.default_rng(1).uniform(-0.5, 0.5))
    expected = -100 + 400 * ((image[0].numpy() + 100) / 400) ** power
    np.testing.assert_allclose(shown[0].numpy(), expected, atol=1e-2)
    assert not torch.allclose(shown[0] - image[0], shown[1] - image[1])
    noisy = Augmentation(**augmentation_of(noise=0.1))
    added = noisy(np.random.default_rng(2), image, None, pairs=1)[0] - image
    level = np.random.default_rng(2).uniform(0, 0.1)
    assert float(added[0].std()) == pytest.approx(400 * level, rel=0.05)
    flat = torch.full((2, 1, 4, 4, 4), 7.0)
    assert torch.equal(shade(np.random.default_rng(0), flat, None, pairs=1)[0], flat)


def test_quarter_turns_only_in_square_planes():
    augmentation = Augmentation(**augmentation_of(quarter_turns=True))
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


def test_pairs_within_a_member_never_cross_to_another_one():
    """One of liver, two of colon, three of kidneys: the lone one has no partner."""
    names = ["liver.1", "colon.1", "colon.2", "kidney.1", "kidney.2", "kidney.3"]
    memory = CaseMemory([blob_case(name, k) for k, name in enumerate(names)], [1])
    given = {"batch_size": 1, "augmentation": PLAIN, "masked": True, "seed": 3, "symmetric": True}
    objective = RegistrationObjective(memory, None, [], loss=LOSS, within="member", **given)
    assert objective.steps_per_epoch == 5
    pairs = []
    for step in range(12 * objective.steps_per_epoch):
        batch = objective.batch(step)
        pairs.append(
            tuple(
                next(n for n, i in zip(names, memory.images, strict=True) if torch.equal(i, image))
                for image in (batch.moving[0], batch.fixed[0])
            )
        )
    inside = {(a, b) for a in names for b in names if a != b and a[0] == b[0]}
    assert set(pairs) == inside
    assert sorted(moving for moving, _ in pairs[:5]) == sorted(names[1:])
    alone = CaseMemory([blob_case(f"{k}.1", k) for k in range(3)], [1])
    with pytest.raises(WarplineError, match="No member of the dataset has two training cases"):
        RegistrationObjective(alone, None, [], loss=LOSS, within="member", **given)
    anywhere = RegistrationObjective(memory, None, [], loss=LOSS, **given)
    assert anywhere.steps_per_epoch == 6


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
        "training": training | {"augmentation": augmentation_of()},
        "seed": 0,
        "initial": None,
    }
    folders = {name: tmp_path / name for name in "abc"}
    material = Material(folders, ["a", "b"], [("c", "a")], {}, pairs=[("a", "b")])
    arguments = (material, torch.device("cpu"))
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
        "training": training | {"augmentation": augmentation_of()},
        "seed": 0,
        "initial": "affine",
    }
    folders = {name: tmp_path / name for name in "abcd"}
    material = Material(
        folders,
        ["a", "b"],
        [("c", "d")],
        {},
        pairs=[("a", "b")],
        initial={name: tmp_path / name for name in ("a__b", "c__d")},
    )
    arguments = (material, torch.device("cpu"))
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

    class Stretch(networks.RegistrationNetwork):
        def predict_directions(self, moving, fixed, backward):
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


HU = {
    "similarity": {"name": "mse", "weight": 25.0},
    "regularisation": {"name": "velocity_prior", "weight": 1.0, "precision": 10.0},
    "landmarks": {"weight": 0.5},
}
# Oblique, with another spacing along each axis.
OBLIQUE = Grid(
    (16, 16, 16), (1.0, 2.0, 3.0), (5.0, -7.0, 9.0), (0, -1, 0, 0.6, 0, -0.8, 0.8, 0, 0.6)
)


def marked(name: str, seed: int, index: dict[str, tuple[float, float, float]]) -> Case:
    """A ball on an oblique grid with landmarks at these indices (z, y, x)."""
    points = OBLIQUE.index_to_physical(np.array(list(index.values())).reshape(-1, 3))
    landmarks = pd.DataFrame(points, columns=["x", "y", "z"])
    landmarks.insert(0, "id", list(index))
    image = blob_case(name, seed).image
    return Case(name, Image(image.array, OBLIQUE), landmarks=landmarks)


def bifurcations(seed: int) -> dict[str, tuple[float, ...]]:
    places = np.random.default_rng(seed).uniform(2, 13, (4, 3))
    return {f"b{i}": tuple(place) for i, place in enumerate(places)}


def hu_objective(cases, **changes) -> RegistrationObjective:
    memory = CaseMemory(cases, [], landmarks=True)
    arguments = {"batch_size": 1, "symmetric": False, "masked": False, "augmentation": PLAIN}
    return RegistrationObjective(
        memory,
        changes.pop("validation", None),
        changes.pop("validation_pairs", []),
        **{"loss": HU, "seed": 0} | arguments | changes,
    )


def hu_network(seed: int = 0):
    torch.manual_seed(seed)
    network = networks.build("hu2020", {"encoder": [4, 6], "decoder": [6, 4, 4, 4, 4]})
    torch.nn.init.normal_(network.level.flow.weight[:3], std=0.1)
    return network


def test_landmarks_are_indices_of_the_grid_by_their_ids(capsys):
    """Those of one case alone, and those outside of the image, do not count; the log tells."""
    first = {
        "trachea": (1.5, 2.25, 3.0),
        "carina": (4, 5, 6),
        "low": (15.6, 8, 8),
        "own": (1, 1, 1),
    }
    second = {"carina": (5, 5, 5.5), "trachea": (-0.4, 0, 15.4), "low": (8, 8, 8), "b": (2, 2, 2)}
    cases = [marked("p", 0, first), marked("q", 1, second)]
    memory = CaseMemory(cases, [], stride=12, landmarks=True)
    assert memory.shape == (24, 24, 24)
    a, b = memory.shared_landmarks(0, 1)
    expected = [[1.5, 2.25, 3.0], [4, 5, 6]]
    torch.testing.assert_close(a, torch.tensor(expected), atol=1e-5, rtol=0)
    torch.testing.assert_close(b, torch.tensor([[-0.4, 0.0, 15.4], [5, 5, 5.5]]), atol=1e-5, rtol=0)
    assert capsys.readouterr().out == "p: landmarks outside the crop are left out: low\n"
    assert CaseMemory(cases, []).landmarks is None


def test_equation_7_of_hu_by_its_parts():
    """Each term computed anew, in both directions, for a batch of two pairs."""
    cases = [marked(f"c{i}", i, bifurcations(i)) for i in range(4)]
    objective = hu_objective(cases, batch_size=2, symmetric=True)
    batch, network = objective.batch(0), hu_network().eval()
    total, parts = objective.loss(network, batch)
    forward, backward = network.predict_directions(batch.moving, batch.fixed)
    mse = [
        (warp(source, p.displacement) - target).square().mean()
        for p, source, target in (
            (forward, batch.moving, batch.fixed),
            (backward, batch.fixed, batch.moving),
        )
    ]
    velocity = forward.velocity
    prior = losses.velocity_prior(velocity.mean, velocity.log_variance, 10.0) / 16**3
    distances = []
    for i in range(2):
        fixed, moving = batch.landmarks[i]
        for p, a, b in ((forward, fixed, moving), (backward, moving, fixed)):
            u = [
                ndimage.map_coordinates(c, a.numpy().T, order=1)
                for c in p.displacement[i].detach().numpy()
            ]
            distances.append(((a.numpy() + np.stack(u, 1) - b.numpy()) ** 2).sum(1).mean())
    assert float(parts["similarity"]) == pytest.approx(float(sum(mse)) / 2, rel=1e-5)
    assert float(parts["regularity"]) == pytest.approx(float(prior), rel=1e-5)
    assert float(parts["landmarks"]) == pytest.approx(np.mean(distances), rel=1e-4)
    expected = 25 * parts["similarity"] + parts["regularity"] + 0.5 * parts["landmarks"]
    torch.testing.assert_close(total, expected)


def test_the_landmarks_of_a_batch_are_those_of_its_images():
    cases = [marked(f"c{i}", i, bifurcations(i)) for i in range(5)]
    objective = hu_objective(cases, batch_size=2)
    images, landmarks = objective.training.images, objective.training.landmarks

    def of(image):
        case = landmarks[next(i for i in range(5) if torch.equal(images[i], image))]
        return torch.tensor(list(case.values()))

    for step in range(4):
        batch = objective.batch(step)
        for fixed, moving, (a, b) in zip(batch.fixed, batch.moving, batch.landmarks, strict=True):
            assert torch.equal(a, of(fixed))
            assert torch.equal(b, of(moving))


def test_without_its_landmark_term_the_loss_is_voxelmorph_s():
    cases = [marked(f"c{i}", i, bifurcations(i)) for i in range(3)]
    plain = {name: term for name, term in HU.items() if name != "landmarks"}
    values = []
    for loss in (plain, HU | {"landmarks": {"weight": 0.0}}, HU):
        objective = hu_objective(cases, loss=loss)
        total, parts = objective.loss(hu_network().eval(), objective.batch(0))
        values.append(float(total) - 0.5 * float(parts.get("landmarks", 0.0)))
        assert (objective.batch(0).landmarks is None) == ("landmarks" not in parts)
    assert values[0] == values[1] == pytest.approx(values[2], rel=1e-6)
    assert float(parts["landmarks"]) > 1


def test_a_pair_with_too_few_common_landmarks_is_named():
    good = {name: bifurcations(1)[name] for name in ("b0", "b1", "b2")}
    other = {"b0": (3, 3, 3), "b1": (4, 4, 4), "b9": (5, 5, 5), "b2": (40, 4, 4)}
    cases = [marked("a", 0, good), marked("b", 1, bifurcations(2)), marked("c", 2, other)]
    said = r"2 landmarks in common[\s\S]*cases a \(.*: 3\) and c \(.*: 3\)"
    with pytest.raises(WarplineError, match=said):
        hu_objective(cases)
    hu_objective(cases, pairs=[("a", "b")])  # the pair is never drawn
    with pytest.raises(WarplineError, match=r"cases c .* and a "):
        hu_objective(cases, atlas="c")
    none = [marked("a", 0, good), replace(cases[1], landmarks=None)]
    with pytest.raises(WarplineError, match=r"0 landmarks .*[\s\S]*and b \(.*: 0\)"):
        hu_objective(none)
    watched = {"validation": CaseMemory(cases, [], landmarks=True)}
    with pytest.raises(WarplineError, match="2 landmarks in common"):
        hu_objective(cases[:2], **watched, validation_pairs=[("c", "a")])
    with pytest.raises(WarplineError, match="crops of a recipe move images"):
        hu_objective(cases[:2], augmentation=Augmentation(**augmentation_of(flip=True)))


def test_a_prior_of_velocities_needs_a_network_that_predicts_them():
    cases = [marked(f"c{i}", i, bifurcations(i)) for i in range(2)]
    objective = hu_objective(cases)
    network = networks.build("voxelmorph", {"encoder": [4, 6], "decoder": [6, 4, 4, 4, 4]})
    with pytest.raises(WarplineError, match="no distribution of them"):
        objective.loss(network, objective.batch(0))


def test_a_training_with_draws_ends_alike_however_often_it_is_taken_up(tmp_path):
    cases = [marked(f"c{i}", i, bifurcations(i)) for i in range(4)]
    weights = []
    for folder, stops in (("straight", [4]), ("resumed", [1, 3, 4])):
        for epochs in stops:
            # Taken up, what the network starts from does not count.
            network = hu_network(seed=0 if epochs == stops[0] else 1)
            settings = course(epochs=epochs, learning_rate=1e-3, validate_every=0, seed=7)
            train(network, hu_objective(cases), settings, tmp_path / folder)
        weights.append(network.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    other = hu_network()
    settings = course(epochs=4, learning_rate=1e-3, validate_every=0, seed=8)
    train(other, hu_objective(cases), settings, tmp_path / "other")
    assert not torch.equal(other.level.flow.weight, weights[0]["level.flow.weight"])


@pytest.mark.parametrize(
    ("log_variance", "said"),
    [
        (
            8.0,
            r"a standard deviation of the velocity grew to 5\d voxels",
        ),  # the loss is still finite
        (95.0, r"a standard deviation of the velocity grew to"),
        (float("nan"), "the loss stopped being finite"),
    ],
)
def test_a_variance_that_explodes_stops_with_the_last_good_state_kept(tmp_path, log_variance, said):
    cases = [marked(f"c{i}", i, bifurcations(i)) for i in range(4)]
    network, objective = hu_network(), hu_objective(cases)
    draw = objective.batch

    def batch(step):
        if step == 3:
            with torch.no_grad():
                network.level.flow.bias[3:] = log_variance
        return draw(step)

    objective.batch = batch
    settings = course(epochs=3, learning_rate=1e-3, validate_every=0, checkpoint_seconds=1e-6)
    with pytest.raises(WarplineError, match=rf"diverged: {said}[\s\S]*step 3[\s\S]*last.pt"):
        train(network, objective, settings, tmp_path)
    state = StateFolder(tmp_path).load()
    assert state["step"] == 3
    assert float(state["network"]["level.flow.bias"][3:].max()) < -9


def test_a_recipe_with_landmarks_reads_them(tmp_path):
    names = "abc"
    for i, name in enumerate(names):
        write_case(tmp_path / name, marked(name, i, bifurcations(i)))
    recipe = {
        "loss": HU,
        "training": {
            "batch_size": 1,
            "symmetric": False,
            "masked": False,
            "pairing": "random",
            "augmentation": augmentation_of(),
        },
        "seed": 0,
        "initial": None,
    }
    folders = {name: tmp_path / name for name in names}
    material = Material(folders, ["a", "b"], [("c", "a")], {})
    arguments = (hu_network(), material, torch.device("cpu"))
    objective = from_recipe(recipe, *arguments)
    fixed, moving = objective.batch(0).landmarks[0]
    assert len(fixed) == len(moving) == 4
    values = objective.validate(hu_network().eval())
    without = {**recipe, "loss": {k: v for k, v in HU.items() if k != "landmarks"}}
    objective = from_recipe(without, *arguments)
    assert objective.training.landmarks is None
    assert values["loss"] > objective.validate(hu_network().eval())["loss"]


def _partly(case, *annotated):
    return replace(case, annotated=annotated)


def test_only_labels_that_both_cases_have_annotated_count_in_their_overlap():
    cases = [blob_case(f"case{i}", i) for i in range(2)]
    partly = [_partly(cases[0], 1), _partly(cases[1], 1, 2)]
    arguments = {
        "loss": LOSS, "batch_size": 1, "symmetric": True, "augmentation": PLAIN, "masked": True,
        "seed": 0,
    }  # fmt: skip
    network, found = small_network(), []
    for known, values in ((cases, (1,)), (partly, (1, 2))):
        memory = CaseMemory(known, values, network.stride)
        objective = RegistrationObjective(memory, memory, [("case0", "case1")], **arguments)
        batch = objective.batch(0)
        _, parts = objective.loss(network, batch)
        found.append((float(parts["dice"]), objective.validate(network)["dice"]))
    assert batch.annotated.tolist() == [[True, False]]
    # Counted, the second label, drawn in neither, would halve the loss.
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_crop_takes_both_images_and_labels_from_one_random_place():
    memory = CaseMemory([blob_case(f"case{i}", i) for i in range(3)], (1, 2), 1)
    # Each voxel says where it is.
    where = torch.arange(memory.images[0].numel()).reshape(memory.shape).float()
    memory.images[:] = where
    memory.labels[:] = (where % 3).to(torch.uint8)
    objective = RegistrationObjective(
        memory, None, [], loss=LOSS, batch_size=1, symmetric=False, augmentation=PLAIN,
        masked=False, seed=0, crop=(8, 6, 4),
    )  # fmt: skip
    places = set()
    for step in range(20):
        batch = objective.batch(step)
        assert batch.moving.shape == batch.fixed.shape == (1, 1, 8, 6, 4)
        torch.testing.assert_close(batch.moving, batch.fixed)
        first = int(batch.moving[0, 0, 0, 0, 0])
        corner = np.unravel_index(first, memory.shape)
        box = tuple(slice(c, c + n) for c, n in zip(corner, (8, 6, 4), strict=True))
        torch.testing.assert_close(batch.moving[0, 0], where[box])
        torch.testing.assert_close(batch.fixed_labels[0, 0], (where[box] % 3 == 1).float())
        places.add(first)
    assert len(places) > 15


def test_a_crop_that_cannot_be_cut_is_refused(tmp_path):
    for i in range(2):
        write_case(tmp_path / f"case{i}", blob_case(f"case{i}", i))
    folders = {f"case{i}": str(tmp_path / f"case{i}") for i in range(2)}
    recipe = {
        "loss": LOSS, "seed": 0,
        "training": {"batch_size": 1, "symmetric": True, "masked": False,
                     "augmentation": augmentation_of(), "pairing": "random",
                     "crop": [1024, 16, 16]},
    }  # fmt: skip
    material = Material(folders, sorted(folders), [], {1: "a"})
    with pytest.raises(WarplineError, match="cannot be cut from cases of"):
        from_recipe(recipe, small_network(), material, "cpu")


def test_validation_may_measure_the_answer_alone():
    torch.manual_seed(0)
    network = networks.build(
        "estienne2020", {"channels": [4, 4, 4], "convolutions": [1, 1], "deep_supervision": True}
    ).eval()
    full, answer = (
        small_objective(augmentation=PLAIN, measure=measure) for measure in ("loss", "answer")
    )
    found = answer.validate(network)
    memory, expected = answer.validation, []
    for fixed, moving in ((0, 1), (1, 0)):
        pair = memory.images[[moving]], memory.images[[fixed]]
        maps = memory.one_hot([moving, fixed])
        with torch.no_grad():
            said = network(*pair)
            mask = ((pair[0] > 0) & (pair[1] > 0)).float()
            warped = warp(pair[0], said.displacement)
            expected.append(
                float(
                    losses.local_ncc(warped, pair[1], mask, window=5)
                    + 0.1 * regularisers.identity_gradients(said)
                    + losses.soft_dice(warp(maps[:1], said.displacement), maps[1:])
                )
            )
    assert found["loss"] == pytest.approx(np.mean(expected), rel=1e-6)
    whole = full.validate(network)
    assert whole["loss"] != pytest.approx(found["loss"], rel=1e-4)
    assert whole["dice"] == found["dice"]


def test_of_one_direction_and_one_field_the_answer_is_the_loss():
    full, answer = (
        small_objective(augmentation=PLAIN, symmetric=False, measure=measure)
        for measure in ("loss", "answer")
    )
    network = networks.build(
        "estienne2020",
        {"channels": [4, 4, 4], "convolutions": [1, 1], "deep_supervision": False},
    ).eval()
    assert full.validate(network) == answer.validate(network)
