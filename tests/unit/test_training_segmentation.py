"""Training on partly labelled cases: the loss by hand, crops, resuming, and that it suffices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_tools import augmentation_of, sampling_of
from training_tools import course, stop_at

from warpline import networks
from warpline.cases.case import Case, write_case
from warpline.errors import WarplineError
from warpline.images.grid import Grid, Image
from warpline.plan import trainings
from warpline.plan.catalog import Catalog
from warpline.segmentation.windows import segment
from warpline.training import objectives
from warpline.training.augmentation import Augmentation
from warpline.training.loop import train
from warpline.training.losses import partial_dice, soft_dice
from warpline.training.material import Material
from warpline.training.segmentation import Sampling, SegmentationObjective

torch.set_num_threads(1)
SHAPE = (20, 24, 18)
NOTHING = Material({}, [], [], {})
FEW = Sampling(**sampling_of("segmentation", crop=8, crops=6, centred=0.5, in_memory=2))
LIVER, SPLEEN = 6, 1
BOTH = {"liver": LIVER, "spleen": SPLEEN}
STILL = Augmentation(**augmentation_of())


# The loss ---------------------------------------------------------------------------------------


def test_partial_dice_by_hand():
    """Two cases, two organs, two voxels; the second case has only the first organ annotated."""
    predicted = torch.tensor([[[1.0, 0.5], [0.0, 0.5]], [[0.5, 0.0], [1.0, 1.0]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])
    shaped = [t.reshape(2, 2, 2, 1, 1) for t in (predicted, target)]
    annotated = torch.tensor([[True, True], [True, False]])
    # (2 · 1 + 1) / (1.25 + 1 + 1), (2 · .5 + 1) / (.25 + 2 + 1); (2 · .5 + 1) / (.25 + 1 + 1).
    first, second = (3 / 3.25 + 2 / 3.25) / 2, 2 / 2.25
    assert float(partial_dice(*shaped, annotated)) == pytest.approx(1 - (first + second) / 2)
    only = torch.tensor([[False, True], [False, False]])
    assert float(partial_dice(*shaped, only)) == pytest.approx(1 - second)
    assert float(partial_dice(*shaped, torch.zeros(2, 2, dtype=bool))) == 0


def test_of_one_case_with_all_organs_it_is_the_soft_dice():
    predicted, target = torch.rand(2, 1, 3, 4, 5, 6)
    everything = torch.ones(1, 3, dtype=bool)
    found = partial_dice(predicted, target, everything)
    torch.testing.assert_close(found, soft_dice(predicted, target))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_what_is_not_annotated_has_no_effect_and_no_gradient(flags):
    annotated = torch.tensor(flags).reshape(2, 3)
    predicted, target = torch.rand(2, 2, 3, 2, 2, 2)
    predicted.requires_grad_()
    loss = partial_dice(predicted, target, annotated)
    (gradient,) = torch.autograd.grad(loss, predicted)
    assert torch.equal(gradient.abs().sum((2, 3, 4)) > 0, annotated)
    other = torch.where(annotated[..., None, None, None], target, 1 - target)
    assert torch.equal(partial_dice(predicted, other, annotated), loss)


# Crops ------------------------------------------------------------------------------------------


def case(name: str, seed: int = 0, annotated=(LIVER,), shape=SHAPE) -> Case:
    """An image of its voxels' indices, plus 1e5 times the seed; two organs in two corners."""
    index = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1e5 * seed
    labels = np.zeros(shape, np.uint8)
    labels[2:4, 3:5, 2:4] = SPLEEN
    labels[14:17, 18:20, 12:15] = LIVER
    grid = Grid(shape)
    return Case(name, Image(index, grid), Image(labels, grid), annotated=annotated)


def objective(cases: int = 3, **changes) -> SegmentationObjective:
    arguments = {"batch_size": 4, "sampling": FEW, "augmentation": STILL, "seed": 5} | changes
    training = [case(f"t{i}", i) for i in range(cases)]
    return SegmentationObjective(training, [], BOTH, **arguments)


def test_a_batch_is_a_function_of_seed_and_step():
    """Also when the steps before it were never taken."""
    straight, resumed = objective(), objective()
    steps = 2 * straight.steps_per_epoch
    for step in range(steps):
        batch = straight.batch(step)
    again = resumed.batch(steps - 1)
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.labels, again.labels)
    assert not torch.equal(resumed.batch(0).images, resumed.batch(1).images)
    assert not torch.equal(objective(seed=6).batch(0).images, resumed.batch(0).images)


def test_every_case_gives_its_crops_and_labels_fit_images():
    one = objective(cases=3)
    assert one.sampler.block_steps == [3, 2]  # two cases, then one: 12 and 6 crops, four at a time
    counts = []
    for step in range(one.steps_per_epoch):
        batch = one.batch(step)
        for image, labels in zip(batch.images[:, 0], batch.labels, strict=True):
            number, first = divmod(int(image[0, 0, 0]), 100_000)
            counts.append(number)
            z, y, x = np.unravel_index(first, SHAPE)
            box = (slice(z, z + 8), slice(y, y + 8), slice(x, x + 8))
            assert np.array_equal(image, one.training[number].image.array[box])
            assert np.array_equal(labels, one.training[number].labels.array[box])
        assert len(one._cases) <= 2
    assert sorted(counts) == [0] * 6 + [1] * 6 + [2] * 6


def middles(one: SegmentationObjective) -> np.ndarray:
    crops = one.batch(0).images[:, 0, 0, 0, 0].long().numpy() % 100_000
    return np.stack(np.unravel_index(crops, SHAPE), axis=1) + 4


def test_crops_lie_about_annotated_organs_or_anywhere():
    many = replace(FEW, crops=200, centred=1.0)
    about = middles(objective(1, batch_size=200, sampling=many))
    # The liver is annotated, the spleen is not; crops reach to the image's end at most.
    assert (about >= [14, 18, 12]).all()
    assert (about <= [16, 19, 14]).all()
    assert len(np.unique(about, axis=0)) == 3 * 2 * 3
    anywhere = middles(objective(1, batch_size=200, sampling=replace(many, centred=0.0)))
    assert anywhere.min(axis=0).tolist() == [4, 4, 4]
    assert anywhere.max(axis=0).tolist() == [16, 20, 14]
    half = middles(objective(1, batch_size=200, sampling=replace(many, centred=0.5)))
    inside = ((half >= [14, 18, 12]) & (half <= [16, 19, 14])).all(axis=1)
    by_chance = ((anywhere >= [14, 18, 12]) & (anywhere <= [16, 19, 14])).all(axis=1).mean()
    assert 0.4 < inside.mean() - by_chance / 2 < 0.6


def test_organs_are_equally_likely_however_large():
    both = [case("a", annotated=None)]
    sampling = replace(FEW, crop=2, crops=300, centred=1.0)
    one = SegmentationObjective(
        both, [], BOTH, batch_size=300, sampling=sampling, augmentation=STILL, seed=0
    )
    middle = one.batch(0).labels[:, 1, 1, 1]
    assert 0.4 < float((middle == SPLEEN).float().mean()) < 0.6
    assert set(middle.tolist()) == {LIVER, SPLEEN}


def test_small_images_go_on_with_their_ends():
    thin = case("t", shape=(5, 30, 30), annotated=None)
    one = SegmentationObjective(
        [thin], [], {"liver": LIVER}, batch_size=6, sampling=FEW, augmentation=STILL, seed=0
    )
    batch = one.batch(0)
    assert batch.images.shape == (6, 1, 8, 8, 8)
    assert torch.equal(batch.images[:, 0, 5:], batch.images[:, 0, 4:5].expand(-1, 3, -1, -1))
    assert torch.equal(batch.labels[:, 5:], batch.labels[:, 4:5].expand(-1, 3, -1, -1))


def test_which_organs_are_annotated():
    training = [case("a", annotated=(LIVER, 9)), case("b", annotated=None)]
    sampling = replace(FEW, crops=1)
    one = SegmentationObjective(
        training, [], BOTH, batch_size=2, sampling=sampling, augmentation=STILL, seed=0
    )
    assert sorted(one.batch(0).annotated.tolist()) == [[True, False], [True, True]]


def test_whole_images_are_moved_with_their_labels():
    """Seen whole, and turned and zoomed as their labels are; anew in every epoch."""
    sampling = replace(FEW, crop=None, crops=1)
    cases = [case("a", annotated=None), case("b", annotated=None)]
    cases = [
        replace(c, image=c.image.with_array((c.labels.array == LIVER).astype(np.float32)))
        for c in cases
    ]

    def first(augmentation, step=0):
        one = SegmentationObjective(
            cases, [], BOTH, batch_size=2, sampling=sampling, augmentation=augmentation, seed=0
        )
        return one.batch(step)

    still = first(STILL)
    assert still.images.shape == (2, 1, *SHAPE)
    assert torch.equal(still.labels[0], torch.from_numpy(cases[0].labels.array))
    moving = Augmentation(**augmentation_of(rotation=20, zoom=0.1, translation=1.5))
    moved = first(moving)
    assert not torch.equal(moved.labels, still.labels)
    assert not torch.equal(moved.labels[0], moved.labels[1])
    assert not torch.equal(moved.labels, first(moving, step=1).labels)
    assert torch.equal(moved.labels, first(moving).labels)
    # Where the image of the liver is far from one half, its label says the same.
    image, liver = moved.images[:, 0], moved.labels == LIVER
    assert set(moved.labels.unique().tolist()) == {0, SPLEEN, LIVER}
    assert liver[image > 0.9].all()
    assert not liver[image < 0.1].any()


def test_a_case_without_known_organs_is_refused_by_name():
    for bad in (case("c9", annotated=(9,)), replace(case("c9", annotated=None), labels=None)):
        one = SegmentationObjective(
            [bad], [], {"liver": LIVER}, batch_size=1, sampling=FEW, augmentation=STILL, seed=0
        )
        with pytest.raises(WarplineError, match="None of the organs") as error:
            one.batch(0)
        assert error.value.where == "case c9"


# Validation -------------------------------------------------------------------------------------


class Everywhere(torch.nn.Module):
    """Says that a slab is liver and the rest is background."""

    organs = ("liver", "spleen")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        liver = ((image > 0.5) & (image < 1.5)).float()
        return torch.cat([1 - liver, liver, torch.zeros_like(liver)], dim=1)


def test_validation_is_the_dice_of_what_is_annotated_and_drawn():
    labels = np.zeros((12, 10, 10), np.uint8)
    labels[2:6] = LIVER
    labels[8:10] = SPLEEN
    image = np.zeros(labels.shape, np.float32)
    image[4:8] = 1
    grid = Grid(labels.shape)
    one = Case("a", Image(image, grid), Image(labels, grid), annotated=(LIVER,))
    exact = replace(one, labels=Image(np.where(image == 1, LIVER, 0).astype(np.uint8), grid))
    none = replace(one, labels=Image(np.zeros_like(labels), grid))
    both = replace(one, annotated=None)
    build = lambda *cases: SegmentationObjective(  # noqa: E731
        [one], cases, BOTH, batch_size=1, sampling=FEW, augmentation=STILL, seed=0
    )
    # Half of the liver is found, and as much elsewhere.
    assert build(one).validate(Everywhere()) == pytest.approx(
        {"loss": 0.5, "dice": 0.5, "dice liver": 0.5}
    )
    assert build(one, exact, none).validate(Everywhere())["dice liver"] == pytest.approx(0.75)
    assert build(both).validate(Everywhere()) == pytest.approx(
        {"loss": 0.75, "dice": 0.25, "dice liver": 0.5, "dice spleen": 0.0}
    )


# Training ---------------------------------------------------------------------------------------


def recipe(**changes) -> dict:
    return {
        "seed": 1,
        "network": {"name": "estienne2020_segmenter", "parameters": NARROW},
        "loss": {"error": {"name": "dice"}},
        "training": {
            "objective": "segmentation",
            "batch_size": 4,
            "sampling": sampling_of("segmentation", crop=16, crops=2, in_memory=4),
            "augmentation": augmentation_of(),
        },
    } | changes


NARROW = {"organs": ["liver", "spleen"], "channels": [8, 16], "convolutions": [1]}


def two_organs(name: str, seed: int, annotated: tuple[int, ...] | None) -> Case:
    """Two ellipsoids in soft tissue that differ in HU, among others like both in HU or shape."""
    rng = np.random.default_rng(seed)
    shape = (20, 22, 24)
    at = np.stack(np.indices(shape), axis=-1)

    def ellipsoid(middle, radii):
        return (((at - np.array(middle) - rng.uniform(-2, 2, 3)) / radii) ** 2).sum(-1) < 1

    image = np.full(shape, 20.0)
    labels = np.zeros(shape, np.uint8)
    for middle, radii, hu, number in (
        ((7, 9, 6), (5, 6, 4), 110, LIVER),
        ((12, 12, 18), (5, 4, 4), 160, SPLEEN),
        ((15, 4, 12), (2.5, 2.5, 2.5), 135, 0),
    ):
        inside = ellipsoid(middle, radii)
        image[inside] = hu + rng.uniform(-8, 8)
        labels[inside] = number
    image += rng.normal(0, 10, shape)
    if annotated is not None:
        labels[~np.isin(labels, annotated)] = 0
    grid = Grid(shape, (3.0, 3.0, 4.0))
    return Case(
        name, Image(image.astype(np.float32), grid), Image(labels, grid), annotated=annotated
    )


def test_two_half_labelled_datasets_suffice(tmp_path):
    """One has only livers drawn, the other only spleens: the network segments both."""
    folders = {}
    for k in range(4):
        for organ in (LIVER, SPLEEN):
            one = two_organs(f"c{organ}-{k}", 10 * organ + k, (organ,))
            write_case(tmp_path / one.id, one)
            folders[one.id] = str(tmp_path / one.id)
    torch.manual_seed(0)
    network = networks.build("estienne2020_segmenter", NARROW)
    material = Material(folders, list(folders), [], {})
    one = objectives.build(recipe(), network, material, torch.device("cpu"))
    settings_ = course(epochs=24, learning_rate=1e-2, schedule="cosine", validate_every=0)
    result = train(network, one, settings_, tmp_path / "state")
    assert result.steps == 24 * one.steps_per_epoch == 96
    unseen = two_organs("u", 99, None)
    found = segment(network, unseen.image, window=16)
    for number in (LIVER, SPLEEN):
        a, b = found.array == number, unseen.labels.array == number
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.8


class Stops(Exception):
    pass


def test_a_stopped_training_ends_as_one_that_never_stopped(tmp_path):
    cases = [two_organs(f"c{k}", k, (LIVER,) if k % 2 else (SPLEEN,)) for k in range(3)]

    def started():
        torch.manual_seed(0)
        network = networks.build("estienne2020_segmenter", NARROW | {"channels": [4, 4]})
        sampling = Sampling(**sampling_of("segmentation", crop=8, crops=2, in_memory=2))
        return network, SegmentationObjective(
            cases, cases[:1], BOTH, batch_size=2, sampling=sampling, augmentation=STILL, seed=3
        )

    options = course(epochs=3, learning_rate=1e-2, checkpoint_seconds=0, seed=3)
    straight, one = started()
    train(straight, one, options, tmp_path / "a")
    network, other = started()
    stop_at(other, 5, Stops)
    with pytest.raises(Stops):
        train(network, other, options, tmp_path / "b")
    resumed, last = started()
    result = train(resumed, last, options, tmp_path / "b")
    assert result.steps == 9
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("scale", ["demo", "cpu", "paper"])
def test_the_papers_recipe(scale):
    """As the catalog gives it, with the validation cases that it names."""
    catalog = Catalog({"scale": scale}, Path(__file__).parents[2])
    method = "estienne2020-task3-segmenter"
    own = trainings.recipe(catalog, "abdomen", method)
    ids, pairs = trainings.training_cases(catalog, "abdomen", method)
    network = networks.build(own["network"]["name"], own["network"]["parameters"])
    folders = dict.fromkeys([*ids, *(case for case, _ in pairs)], "nowhere")
    one = objectives.build(own, network, Material(folders, ids, pairs, {}), torch.device("cpu"))
    assert one.organs == tuple(range(1, 12))
    assert len(one.training) == len(ids) > 0
    assert len(one.validation) == len(pairs) > 0
    assert one.sampling.crop % network.stride == 0
    if scale == "paper":
        assert (one.sampling.crop, one.batch_size) == (144, 6)
        assert own["training"]["optimiser"]["learning_rate"] == 1e-4


def test_bad_recipes():
    cpu = torch.device("cpu")
    network = networks.build("estienne2020_segmenter", NARROW)
    with pytest.raises(WarplineError, match="trained on the Dice"):
        objectives.build(recipe(loss={"error": {"name": "mse"}}), network, NOTHING, cpu)
    with pytest.raises(WarplineError, match="segments no organs"):
        objectives.build(recipe(), torch.nn.Identity(), NOTHING, cpu)
    with pytest.raises(WarplineError, match="no case to train on"):
        objectives.build(recipe(), network, NOTHING, cpu)
