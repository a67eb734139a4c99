"""``warpline budget``: what a paper takes at a scale, before anything is downloaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from glob import iglob
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warpline.cli import options
from warpline.plan.config import SCALES, read_yaml
from warpline.plan.downloads import download, sizes_told
from warpline.plan.experiments import networks_of, registration_batches, registrations
from warpline.plan.inputs.cases import ready_stage
from warpline.plan.inputs.described import described_batches
from warpline.plan.inputs.disk import VECTOR, VOXEL
from warpline.plan.inputs.needs import CONVOLVING, READING, training_bytes
from warpline.plan.inputs.seconds import steps_an_epoch
from warpline.plan.outlook import datasets_asked
from warpline.plan.places import Places, project_folder
from warpline.plan.rates import known as what_is_known
from warpline.plan.run import Run
from warpline.plan.trainings import given, recipe, training_cases
from warpline.plan.volumes import training_shape, typical_case
from warpline.plan.wanted import Wanted

if TYPE_CHECKING:
    from warpline.training.budget import StepCost

GIB, GB = 2**30, 1e9
IMAGE, ALIKE = "image.nii.gz", 2  # of a case; how far its voxels may be from those counted
MOST_LOOKED_AT = 100  # cases and fields of a run, for their mean size
HEADS = (
    "training",
    "parameters",
    "grid",
    "steps",
    "device GiB",
    "host GB",
    "core hours",
    "card hours",
)


@dataclass
class Need:
    """What one training takes; None where it is not known before the scans are there.

    Attributes
    ----------
    device
        Bytes alive on the device: a step, and the data where they are kept there.
    step
        Bytes alive in a step alone.
    data
        Bytes of the cases in memory, of the training and its validation.
    host
        Bytes in the CPU's memory: of the data, and of all where the CPU trains.
    operations
        Floating-point operations of the whole training.
    chooses
        Whether the training keeps its data with the CPU where the device has no room for them.
    """

    name: str
    parameters: int
    shape: Sequence[int]
    steps: int
    device: int
    step: int
    data: int | None
    host: int | None
    operations: int
    chooses: bool = False

    def on_card(self, room: float) -> Need:
        """The same on a device of so many bytes."""
        if not self.chooses or self.device <= room:
            return self
        return replace(self, device=self.step, host=self.data)


@click.command()
@click.argument("paper")
@click.option("--scale", type=click.Choice(SCALES), default="paper", show_default=True)
@click.option("--gpu", help="A card of config/budget.yaml: will everything fit on it?")
@click.option("--cores", type=click.IntRange(1), default=1, show_default=True, help="Of the host.")
@click.option("--memory", type=float, help="GB of the host: will everything fit into it?")
@click.option(
    "--measure",
    is_flag=True,
    help="First measure what a core of this machine does, and take what finished jobs took.",
)
@options.json_option
@options.in_words
def budget(
    paper: str,
    scale: str,
    gpu: str | None,
    cores: int,
    memory: float | None,
    measure: bool,
    machine: bool,
) -> None:
    """What PAPER takes at a scale: downloads, disk, memory and hours, before anything starts.

    Memory of a device is counted: two steps of the recipe's own network and loss, run on tensors
    without contents. Hours follow from the operations of a step and what a core or card was
    measured to do; where nobody has measured one, they are left out. What is measured is kept in
    rates.yaml with the results of this folder, which runs read, too. With --gpu, finished trainings
    on a GPU say what that card does.
    """
    places = Places.here(project_folder())
    results = read_yaml(places.config_file).get("results", "results")
    run = Run({"papers": [paper], "scale": scale, "results": results}, places)
    known = what_is_known(run.catalog)
    if gpu and gpu not in known["cards"]:
        raise click.BadParameter(f"'{gpu}' is none of {', '.join(known['cards'])}.")
    if measure:
        run = _measured(run, paper, gpu)
        known = what_is_known(run.catalog)
    rates = known["rates"]
    needs = needs_of(run, paper, known)
    if gpu:
        needs = [need.on_card(room_on(gpu, known["cards"])) for need in needs]
    disk = disk_of(run, paper, known)
    if machine:
        click.echo(json.dumps({"trainings": [asdict(n) for n in needs], "disk": disk}, indent=2))
        return
    rows = [HEADS, *(_row(need, rates, gpu, cores) for need in needs)]
    click.echo(f"{paper} at scale {scale}\n\n{options.as_table(rows)}\n")
    for line in [*_disk_in_words(disk), *_misfits(needs, gpu, known["cards"], memory)]:
        click.echo(line)


def _measured(run: Run, paper: str, gpu: str | None) -> Run:
    """The run by what this machine was measured to do, which is kept and told."""
    from warpline.cli.rates import core_rate, keep, of_finished_jobs

    rates = of_finished_jobs(run, paper, gpu)
    told = [f"{name} {rate} GFLOP/s" for name, rate in rates.get("rates", {}).items()]
    told += list(rates.get("jobs", {}).get("register", {}))
    click.echo(f"by finished jobs: {', '.join(told) or 'nothing'}", err=True)
    if "core" not in rates.get("rates", {}):
        core = round(core_rate(), 1)
        rates["rates"] = {"core": core, **rates.get("rates", {})}
        click.echo(f"one core: {core} GFLOP/s in a training step", err=True)
    path = keep(run.catalog, rates)
    click.echo(f"kept in {path}; runs in this folder read it\n", err=True)
    return Run(run.catalog.config, run.places)


def needs_of(run: Run, paper: str, known: Mapping[str, Any]) -> list[Need]:
    """What each training of a paper takes, as far as its grid is known."""
    return [
        need
        for place in networks_of(run.catalog, paper)
        if not given(run.catalog, place[1])
        and (need := need_of(run, *place, known["grids"])) is not None
    ]


def need_of(run: Run, dataset: str, method: str, grids: Mapping[str, Sequence[int]]) -> Need | None:
    """What a training takes; None where its grid is known only when the scans are there."""
    from warpline.training.budget import step_cost

    spec = recipe(run.catalog, dataset, method)
    training = spec["training"]
    cases, _ = training_cases(run.catalog, dataset, method)
    shape = training_shape(run, dataset, spec, grids)
    values = len(run.catalog.dataset(dataset).spec["labels"])
    sampling = training.get("sampling") or {}
    in_memory = training["objective"] == "registration"
    side = sampling.get("crop")
    batch_shape = training.get("crop") or ((side,) * 3 if side else shape)
    if training["objective"] == "synthetic":
        batch_shape = (1, 1, 1)  # patches: their sizes are the network's
    if batch_shape is None:
        return None
    cost: StepCost = step_cost(spec, batch_shape, values)
    data = training_bytes(run, dataset, method, spec, shape)
    on_device = in_memory and training["memory"] != "host" and run.catalog.device == "cuda"
    host = 0 if on_device else data
    if run.catalog.device == "cpu":
        host = host_bytes(data or 0, cost.bytes)
    steps = training["epochs"] * steps_an_epoch(run, dataset, method, len(cases))
    return Need(
        name=f"{dataset}/{method}",
        parameters=cost.parameters,
        shape=list(batch_shape),
        steps=steps,
        device=cost.bytes + (data if on_device and data else 0),
        step=cost.bytes,
        data=data,
        host=host,
        operations=cost.operations * steps,
        chooses=in_memory and training["memory"] == "auto",
    )


def host_bytes(data: int, step: int) -> int:
    """Memory of a training on the CPU beyond its libraries: its data, and a step with what
    convolutions take for themselves."""
    return int(READING * data + CONVOLVING * step)


def disk_of(run: Run, paper: str, known: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """GB of each dataset: its download, unpacked, prepared cases and fields, as far as is known.

    Fields and cases are counted as they are before they are packed; where this run has made some in
    this folder, by the mean of those.
    """
    found = {}
    for dataset in datasets_asked(run, Wanted([paper])):
        data = run.catalog.dataset(dataset)
        sizes = sizes_told(data, known["downloads"].get(dataset, {}))
        phantom = data.spec["phantom"]
        voxels = typical_case(run, dataset, known)
        labels = bool(data.spec["labels"])
        only_described = described_batches(run.catalog, dataset)
        cases = sum(len(ids) for b, ids in data.batches().items() if b not in only_described)
        pairs = sum(
            len(batch)
            for experiment in registrations(run.catalog, paper)
            if experiment.dataset == dataset
            for batch in registration_batches(run.catalog, experiment).values()
        )
        made = _cases_made(run, dataset, voxels)
        found[dataset] = {
            "download": 0 if phantom else sizes["download"],
            "unpacked": 0 if phantom else sizes["unpacked"],
            "prepared": cases * _mean_size(made) / GB
            or (voxels and cases * voxels * (VOXEL + labels) / GB),
            "fields": pairs * _mean_size(_fields_made(run, dataset) if made else []) / GB
            or (pairs * voxels * VECTOR / GB if voxels else (None if pairs else 0)),
            "missing": len(download(run, dataset).missing),
        }
    return found


def _cases_made(run: Run, dataset: str, voxels: float | None) -> list[list[Path]]:
    """The files of each case that is there, prepared.

    Nothing where they are of another run in the same folder: generated instead of real ones or the
    other way round, or on another grid than that of the `voxels` that are counted.
    """
    generated = Path(run.layout.mirror(dataset)).exists()
    if generated != bool(run.catalog.dataset(dataset).spec["phantom"]):
        return []
    folder = Path(run.layout.batch(dataset, ready_stage(run, dataset), "*"))
    cases = [case for case in _some(folder / "*") if (case / IMAGE).exists()]
    if voxels and cases:
        from warpline.images.files import read_grid

        sizes = [math.prod(read_grid(case / IMAGE).shape) for case in cases]
        if not voxels / ALIKE < sum(sizes) / len(sizes) < voxels * ALIKE:
            return []
    return [sorted(case.iterdir()) for case in cases]


def _fields_made(run: Run, dataset: str) -> list[list[Path]]:
    """The fields that are there, of any method."""
    return [
        [path] for path in _some(Path(run.layout.fields(dataset, "*", "*", "*")) / "*__*.nii.gz")
    ]


def _some(pattern: Path) -> list[Path]:
    return [Path(path) for path in islice(iglob(str(pattern)), MOST_LOOKED_AT)]


def _mean_size(files: Sequence[Sequence[Path]]) -> float:
    """Bytes of one of several groups of files; 0 without any."""
    return sum(path.stat().st_size for group in files for path in group) / max(len(files), 1)


def _row(need: Need, rates: Mapping[str, float | None], gpu: str | None, cores: int) -> tuple:
    def hours(rate: float | None, many: int = 1) -> str:
        return "not measured" if not rate else f"{need.operations / rate / many / 3.6e12:.1f}"

    return (
        need.name,
        f"{need.parameters / 1e6:.2f} M",
        "×".join(map(str, need.shape)) if need.shape != [1, 1, 1] else "patches",
        f"{need.steps:,}",
        f"{need.device / GIB:.1f}",
        "–" if need.host is None else f"{need.host / GB:.1f}",
        hours(rates["core"], cores),
        hours(rates.get(gpu)) if gpu else "–",
    )


def _disk_in_words(disk: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    heads = ("dataset", "download GB", "unpacked GB", "prepared GB", "fields GB")
    rows = [
        (name, *("not known" if (v := part[key]) is None else f"{v:.1f}" for key in (
            "download", "unpacked", "prepared", "fields"
        )))
        for name, part in disk.items()
    ]  # fmt: skip
    return [
        options.as_table([heads, *rows]),
        "(prepared cases and fields before they are packed, or as this folder's results have them;",
        " what stays at the end: keep_downloads, keep_fields)",
        "",
    ]


def room_on(gpu: str | None, cards: Mapping[str, float]) -> float:
    """Bytes of a card that data and a step may take."""
    from warpline.training.card import USABLE

    return cards[gpu] * GIB * USABLE if gpu else math.inf


def _misfits(
    needs: Sequence[Need], gpu: str | None, cards: Mapping[str, float], memory: float | None
) -> list[str]:
    """What will not fit, and the key that helps."""
    found = []
    room = room_on(gpu, cards)
    for need in needs:
        if need.step > room:
            found.append(
                f"{need.name}: a step keeps {need.step / GIB:.1f} GiB alive, more than {gpu} has: "
                "training.precision: float16, training.crop, or network.parameters.recomputed"
            )
        elif need.device > room:
            found.append(
                f"{need.name}: the data take {need.data / GIB:.1f} GiB beside the step's "
                f"{need.step / GIB:.1f} on {gpu}: training.memory: host"
            )
        host = need.data if need.device > room else need.host
        if memory and host and host > memory * GB:
            found.append(
                f"{need.name}: it takes {host / GB:.1f} GB of the host's {memory:g} GB: data "
                "that do not fit are mapped from files in results/cache, if memory_mb says so"
            )
    return [*found] or (["Everything fits."] if gpu or memory else [])
