"""Seconds that jobs take, counted from what they read by the rates of config/budget.yaml.

Of one core, or of the card that the configuration names. None where no rate is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.blocks import block_sizes, block_steps
from warpline.plan.inputs.iterations import iterations, of_alignment
from warpline.plan.inputs.register import network_recipe
from warpline.plan.rates import known
from warpline.plan.run import Run
from warpline.plan.trainings import recipe, training_cases, training_pairs
from warpline.plan.volumes import (
    prepared_shape,
    shape_after,
    training_shape,
    typical_case,
    typical_scan,
)
from warpline.registry import suggestion

MEMORY = ("start", "bytes")  # of a rate; everything else in it is time


def registering(run: Run, dataset: str, method: str, pairs: int) -> float | None:
    """Seconds of a core for the registration of so many pairs, by a network on its own grid."""
    rate, network = registration_rate(run, method), network_recipe(run, method)
    if rate is None:
        return None
    own = shape_after(network.get("prepare") or ()) if network else None
    return _of_pairs(run, dataset, rate, pairs, math.prod(own) if own else None)


def measuring(run: Run, dataset: str, pairs: int) -> float | None:
    """Seconds of a core for the evaluation of so many registered pairs."""
    return _of_pairs(run, dataset, jobs(run)["measure"], pairs)


def exploring(run: Run, dataset: str, pairs: int) -> float | None:
    """Seconds of a core for so many pairs of the explorer's pages."""
    return _of_pairs(run, dataset, jobs(run)["explorer"], pairs)


def _of_pairs(
    run: Run, dataset: str, rate: Mapping[str, float], pairs: int, count: float | None = None
) -> float | None:
    """`count`: the voxels of a pair, those of a prepared case by itself."""
    count = count or typical_case(run, dataset, known(run.catalog))
    return None if count is None else pairs * (rate.get("pair", 0) + rate["seconds"] * count / 1e6)


def preparing(run: Run, dataset: str, cases: int) -> float | None:
    """Seconds of a core for the preparation and alignment of so many scans.

    Generated ones are made first.
    """
    rates, typical = jobs(run), known(run.catalog)
    prepared, aligned = typical_case(run, dataset, typical), aligning(run, dataset, cases)
    if aligned is None:
        return None
    if run.catalog.dataset(dataset).spec["phantom"]:
        one = rates["generated"] + rates["prepare"]["seconds"] * (prepared or 0) / 1e6
        return cases * one + aligned
    scan = typical_scan(run, dataset, typical)
    if scan is None:
        return None
    return cases * rates["prepare"]["seconds"] * max(scan, prepared or 0) / 1e6 + aligned


def aligning(run: Run, dataset: str, cases: int) -> float | None:
    """Seconds of a core for the affine alignment of so many cases; 0 where none is asked for."""
    spec = run.catalog.dataset(dataset).spec["prealign"]
    if not spec:
        return 0.0
    rate = jobs(run)["register"][spec["tool"] if spec["tool"] == "elastix" else "affine"]
    of_pair, _ = of_alignment(run, dataset).seconds(rate)
    spent = _of_pairs(run, dataset, rate, cases)
    return None if spent is None else spent + cases * of_pair


def training(run: Run, dataset: str, method: str) -> float | None:
    """Seconds of a training: of a core, or of its card.

    The floating-point operations of its steps, by what a core or card does of them in a second
    (``rates``); and on a core the synthetic pairs that it learns from.
    """
    rate, work = training_rate(run), step_work(run, dataset, method)
    pairs = synthetic_pairs(run, dataset, method)
    if rate is None or work is None or pairs is None:
        return None
    spec = recipe(run.catalog, dataset, method)["training"]
    cases, _ = training_cases(run.catalog, dataset, method)
    steps = spec["epochs"] * steps_an_epoch(run, dataset, method, len(cases))
    return steps * work / rate / spec.get("devices", 1) + pairs


def segmenting(run: Run, dataset: str, method: str, cases: int) -> float | None:
    """Seconds of a core, or of a card, for what a segmenter finds in so many cases.

    Window by window, as `warpline.segmentation.windows` takes them; one is a third of a step on it,
    which also goes back.
    """
    rate, spec = training_rate(run), run.catalog.method(method)
    work = jobs(run)["steps"].get(spec["network"]["name"], {}).get("work", {})
    shape = prepared_shape(run, dataset, known(run.catalog)["grids"])
    if rate is None or shape is None or run.catalog.scale not in work:
        return None
    window = spec["training"]["sampling"]["crop"] or max(shape)
    labels = run.catalog.dataset(dataset).spec["noisy_labels"] or {"overlap": 0.5}
    step = max(1, int(window * (1 - labels["overlap"])))
    seen = math.prod(min(n, window) * (1 + math.ceil(max(0, n - window) / step)) for n in shape)
    return cases * seen / 1e6 * work[run.catalog.scale] / 3 / rate


def training_rate(run: Run) -> float | None:
    """Floating-point operations that trainings of this run do in a second, 1e9; None if not known.

    Raises
    ------
    WarplineError
        If the configuration names a card that nobody knows (`warpline.plan.rates`).
    """
    rates, card = known(run.catalog)["rates"], run.catalog.config["card"]
    if card is not None and card not in known(run.catalog)["cards"]:
        raise WarplineError(
            f"There is no card '{card}'.",
            where="config key 'card'",
            do=suggestion(card, known(run.catalog)["cards"])
            + " Others can be added in a budget.yaml of your own folder.",
        )
    if run.catalog.device == "cpu":
        return rates["core"]
    return rates.get(card) if card else None


def step_work(run: Run, dataset: str, method: str) -> float | None:
    """Floating-point operations of a training's step, 1e9: those of the published recipes of its
    network at this scale, the most of them."""
    spec = recipe(run.catalog, dataset, method)
    each = jobs(run)["steps"].get(spec["network"]["name"], {}).get("work", {})
    own = spec["training"]
    shape: Any = (own.get("sampling") or {}).get("crop")
    shape = (shape,) * 3 if shape else own.get("crop")
    shape = shape or training_shape(run, dataset, spec, known(run.catalog)["grids"])
    examples = own["batch_size"]
    if own["objective"] != "synthetic":
        if shape is None:
            return None
        examples *= math.prod(shape) / 1e6
    return each[run.catalog.scale] * examples if run.catalog.scale in each else None


def synthetic_pairs(run: Run, dataset: str, method: str) -> float | None:
    """Seconds of a core for the synthetic pairs of a training; 0 where it learns from none."""
    spec = recipe(run.catalog, dataset, method)
    own = spec["training"]
    if own["objective"] != "synthetic" or run.catalog.device != "cpu":
        return 0.0
    shape = training_shape(run, dataset, spec, known(run.catalog)["grids"])
    count = math.prod(shape) if shape else None
    if count is None and not spec.get("prepare"):
        count = typical_case(run, dataset, known(run.catalog))
    if count is None:
        return None
    pairs = pairs_made(run, dataset, method)
    return pairs * jobs(run)["pairs"]["seconds"] * count / 1e6


def pairs_made(run: Run, dataset: str, method: str) -> int:
    """Synthetic pairs that a training makes: of the blocks that it gets to, and for validation."""
    own = recipe(run.catalog, dataset, method)["training"]
    sampling, size = own["sampling"], own["batch_size"]
    cases, validation = training_cases(run.catalog, dataset, method)
    blocks = block_sizes(len(cases) * sampling["fields"], sampling["in_memory"])
    steps, made = own["steps_per_epoch"] or math.inf, 0
    for pairs, more in zip(
        blocks, block_steps(blocks, _patches(sampling), size, True), strict=True
    ):
        made += pairs * (steps > 0)
        steps -= more
    watched = len({case for pair in validation for case in pair})
    return made * (own["epochs"] if sampling["fresh"] else 1) + watched * sampling["fields"]


def _patches(sampling: Mapping[str, Any]) -> int:
    """Examples of a synthetic pair, each of its versions."""
    return sampling["patches"] * (4 if sampling["flips"] else 1)


def on_synthetic_pairs(run: Run, dataset: str, method: str, cases: int) -> float | None:
    """Seconds of a core for the evaluation of a recipe's network on synthetic pairs of cases."""
    fields = run.catalog.method(method)["training"]["sampling"]["fields"]
    return _of_pairs(run, dataset, jobs(run)["pairs"], cases * fields)


def steps_an_epoch(run: Run, dataset: str, method: str, cases: int) -> int:
    """Steps of an epoch on so many cases, as the objective of the recipe takes them."""
    own = recipe(run.catalog, dataset, method)["training"]
    objective, size = own["objective"], own["batch_size"]
    if objective == "registration":
        pairs = training_pairs(run.catalog, dataset, method)
        moving = len(pairs) if pairs is not None else cases - (own["pairing"] == "atlas")
        steps = max(1, moving // size)
    else:
        sampling, synthetic = own["sampling"], objective == "synthetic"
        members, examples = cases, sampling.get("crops")
        if synthetic:
            members = cases * sampling["fields"]
            examples = _patches(sampling)
        blocks = block_sizes(members, sampling["in_memory"])
        steps = sum(block_steps(blocks, examples, size, whole=synthetic))
    return min(steps, own["steps_per_epoch"] or steps)


# What is known -------------------------------------------------------------------------------


def jobs(run: Run) -> Mapping[str, Any]:
    """Rates of jobs (config/budget.yaml)."""
    return known(run.catalog)["jobs"]


def registration_rate(run: Run, method: str) -> Mapping[str, float] | None:
    """What a method's registration takes: that of its network, or of its kind and iterations."""
    rate = jobs(run)["register"].get(registration_name(run, method))
    if rate is None:
        return None
    of_pair, of_voxels = iterations(run, method).seconds(rate)
    return {
        **{key: rate[key] for key in MEMORY if key in rate},
        "pair": rate.get("pair", 0) + of_pair,
        "seconds": rate["seconds"] + of_voxels,
    }


def registration_name(run: Run, method: str) -> str:
    """Where the rate of a method stands: its network's name, or its kind."""
    network = network_recipe(run, method)
    return network["network"]["name"] if network else run.catalog.method(method)["kind"]


def voxels(run: Run, dataset: str) -> int | None:
    """Voxels of every prepared case; None where they differ, or nobody knows."""
    shape = prepared_shape(run, dataset, known(run.catalog)["grids"])
    return math.prod(shape) if shape else None


def largest_scan(run: Run, dataset: str) -> int | None:
    """Voxels of the largest scan of a dataset, or of what is made of it."""
    scan = known(run.catalog)["scans"].get(dataset, {}).get("largest")
    if scan is None or run.catalog.dataset(dataset).spec["phantom"]:
        return None
    return max(math.prod(scan), voxels(run, dataset) or 0)
