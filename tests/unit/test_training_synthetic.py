"""Synthetic training: which patches come when, that they are right, and what memory holds."""

import math
import pickle
import signal
import weakref
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from schema_tools import sampling_of
from training_tools import course, stop_at

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.cases.folders import CaseFolders
from warpline.errors import WarplineError
from warpline.fields.sampling import warp
from warpline.images.grid import Grid, Image
from warpline.networks.sokooti2017 import Patches
from warpline.plan.catalog import Catalog
from warpline.plan.places import project_folder
from warpline.registration.synthetic.on_device import PairOnDevice
from warpline.registration.synthetic.pairs import SyntheticPair
from warpline.registration.synthetic.patches import (
    Batch,
    Sampling,
    class_of,
    draw_balanced,
    made_pair,
)
from warpline.training import kept_pairs, objectives, pair_workers
from warpline.training.loop import train
from warpline.training.material import Material
from warpline.training.pair_workers import Order, PairWorkers, Studio
from warpline.training.room import Room
from warpline.training.synthetic import SyntheticObjective

torch.set_num_threads(1)
SHAPE = (14, 16, 12)
NARROW = {
    "alone": [2, 2, 2],
    "together_full": [2, 2],
    "together_low": [2, 2, 2, 2, 2, 2],
    "joined": [3, 3, 3, 4],
    "connected": 4,
    "air": 0.0,
    "span": 1.0,
}
FEW = Sampling(
    **sampling_of("synthetic", fields=3, patches=12, validation_patches=6, noise=0.0, in_memory=2)
)


def lung_case(name: str, seed: int, spacing=(1.0, 1.0, 1.0)) -> Case:
    grid = Grid(SHAPE, spacing)
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:-2, 3:-3, 2:-2] = 1
    image = Image(rng.standard_normal(SHAPE).astype(np.float32), grid)
    return Case(name, image, mask=Image(mask, grid))


def known_pair(image, mask, *, frequency, seed, deform_moving, device) -> PairOnDevice:
    """The stretch u = (z/2 − 3, 0, x/4) in mm; the fixed image holds a patch's index in its values.

    What the pair was made with goes into the moving image, so that a test can see it.
    """
    index = np.arange(math.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    z, _, x = np.indices(SHAPE, dtype=np.float32)
    u = (
        np.stack([z / 2 - 3, 0 * z, x / 4])
        / np.asarray(image.grid.spacing[::-1])[:, None, None, None]
    )
    number = seed[-1] + 10 * seed[-2] + 100 * deform_moving
    moving = np.full(SHAPE, number, np.float32)
    images = image.with_array(index), image.with_array(moving)
    return PairOnDevice.of(SyntheticPair(*images, u.astype(np.float32), mask), device)


def objective(cases: int = 2, **changes) -> SyntheticObjective:
    arguments = {
        "error": {"name": "mae"},
        "batch_size": 8,
        "sampling": FEW,
        "seed": 3,
        "make_pair": known_pair,
    } | changes
    training = [lung_case(f"t{i}", i) for i in range(cases)]
    return SyntheticObjective(training, [lung_case("v", 9)], **arguments)


def same(a: Batch, b: Batch) -> bool:
    parts = zip(vars(a.patches).values(), vars(b.patches).values(), strict=True)
    return torch.equal(a.displacements, b.displacements) and all(torch.equal(*p) for p in parts)


def test_a_batch_is_a_function_of_seed_and_step():
    """Also when the steps before it were never taken, and with noise."""
    noisy = replace(FEW, noise=5.0)
    straight, resumed = objective(sampling=noisy), objective(sampling=noisy)
    steps = 2 * straight.steps_per_epoch
    for step in range(steps):
        batch = straight.batch(step)
    assert same(batch, resumed.batch(steps - 1))
    assert same(straight.batch(0), resumed.batch(0))
    assert not same(resumed.batch(0), resumed.batch(1))
    assert not same(objective(seed=4, sampling=noisy).batch(0), resumed.batch(0))


def test_every_patch_of_every_field_comes_once_an_epoch_in_its_four_versions():
    one = objective(batch_size=16)
    # 6 pairs, two at a time: 2 · 12 · 4 = 96 examples, 6 steps
    assert one.sampler.block_steps == [6, 6, 6]
    pairs, examples, blocks = [], set(), []
    for step in range(one.steps_per_epoch):
        batch = one.batch(step)
        numbers = batch.patches.moving[:, 0, 14, 14, 14].int().tolist()
        pairs += numbers
        blocks.append(frozenset(numbers))
        # The index at the centre and at its neighbour along each axis tell one from another.
        fixed = batch.patches.fixed[:, 0]
        places = (14, 14, 14), (15, 14, 14), (14, 15, 14), (14, 14, 15)
        keys = torch.stack([fixed[:, *place] for place in places], dim=1).int().tolist()
        examples |= {(number, *key) for number, key in zip(numbers, keys, strict=True)}
    # image 10, field 1; the fourth to sixth field, here none, would be of deformed images
    assert {n: pairs.count(n) for n in set(pairs)} == dict.fromkeys([0, 1, 2, 10, 11, 12], 48)
    assert len(examples) == 6 * 48
    assert len(set().union(*blocks[:6])) == len(set().union(*blocks[6:12])) == 2


def test_six_fields_are_three_of_the_image_and_three_of_its_deformed_versions():
    made = []

    def spy(image, mask, **how):
        made.append((how["frequency"], how["deform_moving"], how["seed"][-2:]))
        return known_pair(image, mask, **how)

    one = objective(cases=1, sampling=replace(FEW, fields=6, in_memory=6), make_pair=spy)
    one.batch(0)
    expected = [
        (frequency, deformed, (0, 3 * deformed + k))
        for deformed in (False, True)
        for k, frequency in enumerate(("low", "medium", "high"))
    ]
    assert sorted(made, key=lambda m: m[2]) == expected
    again = len(made)
    one.batch(one.steps_per_epoch)
    assert {m[2] for m in made[again:]} == {m[2] for m in made}  # the same fields in every epoch


def test_flipped_patches_still_show_their_displacement():
    """A fixed patch is the moving one sampled at i + u, whichever way both are flipped."""
    shift = np.array([1, -2, 3])
    moving = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    fixed = np.roll(moving, -shift, axis=(0, 1, 2))
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:9, 7:10, 5:7] = 1  # from here all that is compared lies inside

    def shifted(image, given, **_):
        u = np.empty((3, *SHAPE), np.float32)
        u[:] = shift[:, None, None, None]
        images = map(image.with_array, (fixed, moving))
        return PairOnDevice.of(SyntheticPair(*images, u, image.with_array(mask)), "cpu")

    one = objective(make_pair=shifted)
    signs = []
    for step in range(one.steps_per_epoch):
        batch = one.batch(step)
        for k, u in enumerate(batch.displacements.int().tolist()):
            signs.append(tuple(np.sign(u)))
            here = (slice(13, 16),) * 3
            there = tuple(slice(13 + d, 16 + d) for d in u)
            a, b = batch.patches.fixed[k, 0][here], batch.patches.moving[k, 0][there]
            torch.testing.assert_close(a, b, rtol=0, atol=0)
            for side in ("fixed", "moving"):  # the low resolution is flipped along
                full = getattr(batch.patches, side)[k, 0, 10:19:2, 14, 14]
                low = getattr(batch.patches, f"{side}_low")[k, 0, 11:16, 13, 13]
                assert torch.equal(low, full)
    versions = {(1, -1, 1), (-1, -1, 1), (1, 1, 1), (1, -1, -1)}
    assert {v: signs.count(v) for v in set(signs)} == dict.fromkeys(versions, len(signs) // 4)


def test_every_centre_of_a_block_has_its_own_displacement_also_when_flipped():
    """The fixed image holds its voxels' indices, so that a centre tells where it lies."""
    block = 3
    one = objective(sampling=replace(FEW, block=block, classes=(1.5, 2.5)), batch_size=16)
    seen, longest = 0, 0.0
    for step in range(one.steps_per_epoch):
        batch = one.batch(step)
        size = 14 + block - 1
        assert batch.patches.fixed.shape[-1] == 2 * size + 1
        middle = slice(14, 14 + 2 * block, 2)  # the centres, two voxels apart
        index = batch.patches.fixed[:, 0, middle, middle, middle].reshape(-1).long()
        z, rest = index // (SHAPE[1] * SHAPE[2]), index % (SHAPE[1] * SHAPE[2])
        y, x = rest // SHAPE[2], rest % SHAPE[2]
        lengths = torch.hypot(z / 2 - 3, x / 4)
        largest = torch.maximum((z / 2 - 3).abs(), x / 4)
        inside = (z >= 2) & (z < 12) & (y >= 3) & (y < 13) & (x >= 2) & (x < 10)
        counts = batch.counts
        assert (inside & (largest <= 2.5))[counts].all()
        longest = max(longest, float(lengths[counts].max()))
        torch.testing.assert_close(
            batch.displacements[counts].abs(),
            torch.stack([z / 2 - 3, 0 * z, x / 4], dim=1)[counts].abs(),
        )
        torch.testing.assert_close(batch.displacements[counts].norm(dim=1), lengths[counts])
        drawn = counts.reshape(-1, block**3)[:, block**3 // 2]
        assert drawn.all()
        seen += int(counts.sum()) - len(drawn)
    assert seen > 0
    assert longest > 2.5  # along both axes nearly as far
    assert all(len(b.displacements) == len(b.patches) for b in one_centred(one))


def one_centred(objective: SyntheticObjective) -> list[Batch]:
    """The batches that validate it."""
    objective.validate(Constant(0.0, 0.0, 0.0))
    return objective._validation


def test_classes_are_balanced_within_the_mask():
    case = lung_case("t", 0, spacing=(1.0, 1.0, 2.0))
    u = known_pair(
        case.image, case.mask, frequency="low", seed=(0, 0), deform_moving=False, device="cpu"
    ).displacement
    millimetres = torch.tensor([[0.0, 0, 1], [0, 1, 0], [2, 0, 0]])
    mask = torch.from_numpy(case.mask.array)
    rng = np.random.default_rng(0)
    index = draw_balanced(u, mask, millimetres, (1.5, 2.5, 3.2), 302, rng).numpy()
    assert len(index) == 302
    assert case.mask.array.ravel()[index].all()
    z, _, x = np.unravel_index(index, SHAPE)
    largest = np.maximum(abs(z / 2 - 3), x / 4)  # mm
    counts = np.histogram(largest, [0, 1.5, 2.5, 3.2])[0]
    assert counts.sum() == 302
    assert sorted(counts) == [100, 101, 101]
    # The same of the objective's batches, in an epoch.
    one = objective(sampling=replace(FEW, classes=(1.5, 2.5, 3.2)))
    batches = [one.batch(step) for step in range(one.steps_per_epoch)]
    largest = torch.cat([b.displacements for b in batches]).abs().amax(dim=1)
    counts = np.histogram(largest, [0, 1.5, 2.5, 3.2])[0]
    assert list(counts) == [len(largest) // 3] * 3


def drawn(u, mask, rng):
    """40 indices of a field on a grid of 1 mm."""
    field, mask = torch.from_numpy(u), torch.from_numpy(mask)
    return draw_balanced(field, mask, torch.eye(3), (1.5, 4, 8), 40, rng).numpy()


def test_a_displacement_along_the_diagonal_is_learned_up_to_its_full_length():
    """θ bounds each component: 8 mm along all three are 13.9 mm, and are trained on."""
    u = np.zeros((3, 4, 4, 4), np.float32)
    u[:, 0] = np.array([8, -8, 8], np.float32)[:, None, None]
    u[:, 1] = np.array([8.1, 0, 0], np.float32)[:, None, None]
    rng = np.random.default_rng(0)
    index = drawn(u, np.ones((4, 4, 4)), rng)
    slices = np.bincount(index // 16, minlength=4)
    assert slices[0] == 20
    assert slices[1] == 0  # no field of the amplitude goes so far
    assert class_of(torch.tensor([0, 1.5, 3.9, 4, 8, 8.01]), (1.5, 4, 8)).tolist() == [
        0,
        1,
        1,
        2,
        2,
        3,
    ]


def test_an_empty_class_leaves_its_part_to_the_others_and_a_small_one_repeats():
    u = np.zeros((3, 4, 4, 4), np.float32)
    u[2, 0, 0, :2] = 5
    mask, rng = np.ones((4, 4, 4)), np.random.default_rng(0)
    index = drawn(u, mask, rng)
    assert np.isin(index, [0, 1]).sum() == 20
    assert len(set(index[~np.isin(index, [0, 1])])) == 20
    assert len(set(drawn(u + 9, mask, rng))) == 40


def test_only_the_held_pairs_are_in_memory():
    made, most = [], 0

    def watched(image, mask, **how):
        nonlocal most
        pair = known_pair(image, mask, **how)
        made.extend(weakref.ref(image) for image in (pair.fixed, pair.moving))
        most = max(most, sum(reference() is not None for reference in made))
        return pair

    one = objective(cases=4, make_pair=watched)
    for step in range(0, 2 * one.steps_per_epoch, 4):
        one.batch(step)
    assert most == 2 * FEW.in_memory
    held = one._block[1]
    kept = [tensor for drawn in held for tensor in vars(drawn).values()]
    voxels = math.prod(SHAPE)
    # Two float32 images a pair; no field, and no patch before it is asked for.
    bound = FEW.in_memory * (8 * voxels + FEW.patches * (3 * 8 + 3 * 4 + 1) + 36)
    assert sum(t.element_size() * t.nelement() for t in kept) == bound


def test_noise_is_fresh_in_every_patch_and_of_the_wanted_size():
    clean = objective(batch_size=24)
    noisy = objective(batch_size=24, sampling=replace(FEW, noise=5.0))
    a, b = clean.batch(1), noisy.batch(1)
    parts = zip(vars(a.patches).values(), vars(b.patches).values(), strict=True)
    noises = [(y - x).flatten(1) for x, y in parts]
    for noise in noises:
        assert float(noise.std()) == pytest.approx(5.0, rel=0.01)
        assert abs(float(torch.corrcoef(noise[:2])[0, 1])) < 0.03
    assert abs(float(torch.corrcoef(torch.stack([n[0, :19000] for n in noises]))[0, 1])) < 0.03


class Constant(torch.nn.Module):
    """Says the same of every patch, (z, y, x) voxels."""

    def __init__(self, *displacement: float):
        super().__init__()
        self.displacement = torch.tensor(displacement)

    def displacements(self, patches: Patches) -> torch.Tensor:
        return self.displacement.expand(len(patches), 3)


def test_errors_by_hand():
    found = torch.tensor([0.5, -0.25, 3.0])
    truth = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.75, 1.0]])
    patches = Patches(*torch.zeros(4, 2, 1, 1, 1, 1))
    batch = Batch(patches, truth, torch.eye(3).expand(2, 3, 3), torch.tensor([True, True]))
    network = Constant(*found.tolist())
    mae, _ = objective().loss(network, batch)
    assert float(mae) == pytest.approx((0.5 + 0.25 + 3 + 0 + 1 + 2) / 2)
    first, _ = objective().loss(network, replace(batch, counts=torch.tensor([True, False])))
    assert float(first) == pytest.approx(0.5 + 0.25 + 3)
    huber, _ = objective(error={"name": "huber", "delta": 2.0}).loss(network, batch)
    quadratic = (0.5**2 + 0.25**2 + 1**2 + 2**2) / 2
    assert float(huber) == pytest.approx((quadratic + 2 * (3 - 1)) / 2)


def test_validation_in_millimetres_along_each_axis():
    """Voxels of 0.5 × 2 × 3 mm (x, y, z); the network is wrong by a known number of voxels."""
    case = lung_case("v", 0, spacing=(0.5, 2.0, 3.0))

    def constant(image, mask, **_):
        u = np.zeros((3, *SHAPE), np.float32)
        u[0], u[1] = 1.0, 0.5
        return PairOnDevice.of(SyntheticPair(image, image, u, mask), "cpu")

    one = SyntheticObjective(
        [case],
        [case],
        error={"name": "mae"},
        batch_size=4,
        sampling=FEW,
        seed=0,
        make_pair=constant,
    )
    values = one.validate(Constant(0.75, 1.5, -2.0))
    expected = {"mae_z": 0.25 * 3, "mae_y": 1.0 * 2, "mae_x": 2.0 * 0.5}
    expected |= {"mae": sum(expected.values()), "loss": 0.25 + 1 + 2}
    assert values == pytest.approx(expected)
    drawn = one._validation
    assert sum(len(batch.patches) for batch in drawn) == FEW.fields * FEW.validation_patches
    one.validate(Constant(0, 0, 0))
    assert one._validation is drawn


def test_pairs_of_the_library_are_registered_by_their_displacements():
    """With the real pairs: warping the moving image by the truth gives the fixed one."""
    rng = np.random.default_rng(0)
    grid = Grid((40, 40, 40))
    coarse = torch.from_numpy(rng.standard_normal((1, 1, 8, 8, 8)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(40, 40, 40), mode="trilinear")
    mask = np.zeros(grid.shape, np.uint8)
    mask[10:-10, 10:-10, 10:-10] = 1
    image = Image(100 * smooth[0, 0].numpy(), grid)
    case = Case("t", image, mask=Image(mask, grid))
    one = SyntheticObjective(
        [case],
        [],
        error={"name": "mae"},
        batch_size=4,
        sampling=replace(FEW, flips=False, fields=1, in_memory=1, classes=(14,), patches=40),
        seed=1,
    )
    assert one.sampler.block_steps == [10]
    off, still = [], []
    for step in range(10):
        batch = one.batch(step)
        for k, u in enumerate(batch.displacements):
            field = u.reshape(1, 3, 1, 1, 1).expand(1, 3, 29, 29, 29)
            warped = warp(batch.patches.moving[k : k + 1], field)[0, 0, 14, 14, 14]
            centre = batch.patches.fixed[k, 0, 14, 14, 14]
            off.append(float(warped - centre))
            still.append(float(batch.patches.moving[k, 0, 14, 14, 14] - centre))
    # What is left is the noise of σ 5 in the fixed image, and linear against cubic sampling.
    assert np.std(off) < 10 < np.std(still) / 2


@pytest.mark.parametrize("free", [0, 10**9])
def test_pairs_that_come_again_are_made_once(free, tmp_path, monkeypatch):
    """In memory or in mapped files; the batches are those of pairs made anew, to the bit."""
    files = {f"t{number}": f"digest {number}" for number in range(2)}
    how = {"sampling": replace(FEW, fresh=False), "make_pair": None}
    anew = objective(**how)
    kept = objective(**how, room=Room(free, tmp_path, files, "code"))
    made = []
    monkeypatch.setattr(
        kept_pairs, "made_pair", lambda *args, **more: made.append(more) or made_pair(*args, **more)
    )
    for step in range(2 * anew.steps_per_epoch):
        assert same(anew.batch(step), kept.batch(step))
    assert len(made) == 2 * FEW.fields
    assert len(list(tmp_path.glob("*/fixed.npy"))) == (0 if free else 6)
    # Another seed is another pair, and fresh pairs are not kept.
    other = objective(**how, room=Room(free, tmp_path, files, "code"), seed=4)
    other.batch(0)
    assert len(made) == 2 * FEW.fields + FEW.in_memory
    room = Room(free, tmp_path, files, "code")
    assert objective(sampling=replace(FEW, fresh=True), room=room)._pairs is None


# Processes that make pairs ahead ---------------------------------------------------------------

TINY = replace(FEW, fields=2, patches=4, flips=False, noise=1.0, fresh=True)


def folders_of(folder, cases: int = 2) -> CaseFolders:
    paths = {f"t{number}": str(folder / f"t{number}") for number in range(cases)}
    for number, (name, path) in enumerate(paths.items()):
        write_case(path, lung_case(name, number))
    return CaseFolders(paths, list(paths))


def with_workers(folder, count: int, **changes) -> SyntheticObjective:
    """An objective on cases in a folder; by processes, or by none."""
    cases = folders_of(folder / "cases")
    sampling, room = changes.get("sampling", TINY), changes.get("room")
    workers = PairWorkers(Studio(cases, sampling, room), count) if count else None
    arguments = {"error": {"name": "mae"}, "batch_size": 4, "sampling": sampling, "seed": 3}
    return SyntheticObjective(
        cases, [lung_case("v", 9)], **arguments | changes, workers=workers, epochs=2
    )


def trained(folder, objective: SyntheticObjective) -> dict[str, torch.Tensor]:
    network = narrow_network()
    settings = course(epochs=2, learning_rate=1e-3, schedule="exponential", seed=3)
    train(network, objective, settings, folder)
    return network.state_dict()


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_weights_are_the_same_with_pairs_made_ahead(tmp_path):
    """To the bit, by two processes, and taken up again in the middle of a block by none."""
    alone, before = trained(tmp_path / "alone", with_workers(tmp_path, 0)), children()
    ahead = with_workers(tmp_path, 2)
    stop_at(ahead, 3, KeyboardInterrupt)
    settings = course(
        epochs=2, learning_rate=1e-3, schedule="exponential", seed=3, checkpoint_seconds=0
    )
    with pytest.raises(KeyboardInterrupt):
        train(narrow_network(), ahead, settings, tmp_path / "ahead")
    assert children() == before
    again = trained(tmp_path / "ahead", with_workers(tmp_path, 0))
    for name, value in alone.items():
        assert torch.equal(value, again[name]), name


def test_the_next_block_is_made_while_this_one_is_learned_and_none_after_the_last(tmp_path):
    one = with_workers(tmp_path, 1)
    asked = []

    class Noting:
        def drawn(self, orders, ahead=()):
            asked.append(([o.draw_seed[-2:] for o in orders], [o.draw_seed[-2:] for o in ahead]))
            return [one._drawn(order) for order in orders]

    one._workers = Noting()
    for step in range(2 * one.steps_per_epoch):
        one.batch(step)
    assert len(asked) == 4  # two blocks of two pairs in each of two epochs
    assert [orders for orders, _ in asked[1:]] == [ahead for _, ahead in asked[:-1]]
    assert asked[-1][1] == []


def test_a_process_serves_the_one_that_started_it_to_the_end(tmp_path):
    """With pairs that come again, and cases, in mapped files. SIGTERM reaches a job's whole group:
    the training saves its state first."""
    files = {f"t{number}": f"digest {number}" for number in range(2)}
    room = Room(10**9, tmp_path / "cache", files, "code")
    again = replace(TINY, fresh=False)
    alone = with_workers(tmp_path, 0, sampling=again)
    one = with_workers(tmp_path, 1, sampling=again, room=room)
    assert same(alone.batch(0), one.batch(0))
    ((process, pipe),) = one._workers._processes
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    for step in range(1, one.steps_per_epoch + 1):
        assert same(alone.batch(step), one.batch(step))
    kept = {place.name for place in (tmp_path / "cache").glob("*/*.npy")}
    assert {"image.npy", "fixed.npy", "moving.npy"} <= kept
    assert process.poll() is None
    pipe.close()  # as the system does for a starter that has died
    assert process.wait(60) == 0
    one.close()
    assert process.pid not in children()


def test_an_error_of_a_process_is_told_with_its_traceback_and_its_end_with_advice(tmp_path):
    broken = with_workers(tmp_path, 1, sampling=replace(TINY, classes=["far"]))
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*draw_patches.*class_of"):
        broken.batch(0)
    ((process, _),) = broken._workers._processes
    process.kill()  # as the system does where there is no memory left
    with pytest.raises(WarplineError, match="ended with status -9") as error:
        broken.batch(broken.steps_per_epoch)
    assert "'workers'" in error.value.do
    broken.close()


def test_an_error_of_warpline_s_stays_one(tmp_path):
    cases = folders_of(tmp_path)
    (tmp_path / "t0" / "mask.nii.gz").write_bytes(b"no image")
    order = Order(0, 0, (3, 0, 0, 0, 0), (3, 1, 0, 0))
    answer = pair_workers._answer(Studio(cases, TINY, None).drawing(), order)
    told = pickle.loads(pickle.dumps(answer))["error"]
    assert isinstance(told, WarplineError)
    assert "mask.nii.gz" in str(told)


def test_a_recipe_s_workers_are_those_of_its_material(tmp_path):
    catalog = Catalog({"scale": "cpu"}, project_folder())
    recipe = catalog.method("sokooti2017-regnet")
    cases = folders_of(tmp_path)
    material = Material(dict(map(reversed, cases.folders)), ["t0", "t1"], [], {}, workers=3)
    network = networks.build(recipe["network"]["name"], recipe["network"]["parameters"])
    found = objectives.build(recipe, network, material, torch.device("cpu"))
    assert found._workers.count == 3
    assert found._epochs == recipe["training"]["epochs"]
    found.close()
    plain = objectives.build(recipe, network, replace(material, workers=0), torch.device("cpu"))
    assert plain._workers is None


def narrow_network(seed: int = 0) -> networks.RegistrationNetwork:
    torch.manual_seed(seed)
    return networks.build("sokooti2017", NARROW)


def test_a_training_taken_up_in_the_middle_ends_with_the_same_weights(tmp_path):
    """Also in the middle of a block of pairs."""
    few = replace(FEW, fields=1, patches=6, flips=False, noise=1.0)

    def weights(folder, stop):
        network, one = narrow_network(), objective(sampling=few, batch_size=4)
        settings = course(epochs=2, learning_rate=1e-3, schedule="exponential", seed=3)
        if stop:
            stop_at(one, 4, KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                train(network, one, replace(settings, checkpoint_seconds=0), folder)
            network, one = narrow_network(1), objective(sampling=few, batch_size=4)
        result = train(network, one, settings, folder)
        assert result.steps == 6
        names = {row[4] for row in result.history if row[3] == "val"}
        assert names == {"loss", "mae", "mae_x", "mae_y", "mae_z"}
        return torch.cat([value.flatten().float() for value in network.state_dict().values()])

    straight, resumed = weights(tmp_path / "a", False), weights(tmp_path / "b", True)
    assert torch.equal(straight, resumed)


def recipe(**training) -> dict:
    sampling = {"fields": 2, "patches": 8, "frequencies": ["high"], "in_memory": 2}
    sampling = sampling_of("synthetic", **sampling)
    return {
        "network": {"name": "sokooti2017", "parameters": NARROW},
        "loss": {"error": {"name": "huber", "delta": 0.5}},
        "training": {"objective": "synthetic", "batch_size": 4, "sampling": sampling} | training,
        "seed": 5,
    }


def test_a_recipe_names_the_objective(tmp_path):
    folders = {}
    for name in ("a", "b", "v"):
        folders[name] = str(tmp_path / name)
        write_case(folders[name], lung_case(name, 0))
    material = Material(folders, ["a", "b"], [("v", "b"), ("b", "v")], {})
    arguments = (narrow_network(), material, "cpu")
    one = objectives.build(recipe(), *arguments)
    assert isinstance(one, SyntheticObjective)
    assert one.sampling == Sampling(
        **sampling_of("synthetic", fields=2, patches=8, frequencies=["high"], in_memory=2)
    )
    assert [case.id for case in one.validation] == ["b", "v"]
    assert one.steps_per_epoch == 2 * 2 * 8 * 4 // 4
    assert one.batch(3).patches.moving.shape == (4, 1, 29, 29, 29)
    with pytest.raises(WarplineError, match="error that it is to lower"):
        objectives.build(recipe() | {"loss": {"similarity": {"name": "mse"}}}, *arguments)
    other = networks.build("estienne2020", {"channels": [2, 2], "convolutions": [1]})
    with pytest.raises(WarplineError, match="not made for patches"):
        objectives.build(recipe(), other, *arguments[1:])
    with pytest.raises(WarplineError, match="at least two patches"):
        objectives.build(recipe(batch_size=1), *arguments)
    write_case(tmp_path / "bare", replace(lung_case("bare", 0), mask=None))
    folders["bare"] = str(tmp_path / "bare")
    bare = Material(folders, ["a", "bare"], [], {})
    with pytest.raises(WarplineError, match=r"no lung mask[\s\S]*case bare"):
        objectives.build(recipe(), arguments[0], bare, "cpu")


def test_bad_input():
    empty = lung_case("empty", 0)
    empty.mask.array[:] = 0
    arguments = {"error": {"name": "mae"}, "batch_size": 4, "sampling": FEW, "seed": 0}
    with pytest.raises(WarplineError, match=r"without any voxel[\s\S]*case empty"):
        SyntheticObjective([lung_case("a", 0)], [empty], **arguments)
    with pytest.raises(WarplineError, match="no case"):
        SyntheticObjective([], [], **arguments)
    with pytest.raises(WarplineError, match="needs more patches than 2 synthetic pairs give"):
        objective(batch_size=97)
