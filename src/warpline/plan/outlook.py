"""What a run is about to do, told before it begins: scale, images, downloads, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warpline.plan.downloads import Download, download
from warpline.plan.duration import duration
from warpline.plan.run import Run
from warpline.plan.trainings import labelled_by
from warpline.plan.wanted import Wanted, experiments_wanted, networks_wanted, wanted

SCALES_IN_WORDS = {
    "demo": "small networks, minutes",
    "cpu": "smaller networks than published",
    "paper": "the published setting",
}


def datasets_asked(run: Run, asked: Wanted) -> list[str]:
    """The datasets whose files are needed; with those that others are made of or aligned to."""
    waiting = [
        *(experiment.dataset for experiment in experiments_wanted(run, asked)),
        *(dataset for dataset, _ in networks_wanted(run, asked)),
        *(cell.dataset for cell in asked.cells),
        *(name for paper in asked.papers for name in _explored(run.catalog.paper(paper))),
    ]
    found: list[str] = []
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found.append(name)
        spec = run.catalog.dataset(name).spec
        waiting += spec.get("members", ())
        waiting += [d for d, _ in filter(None, [labelled_by(run.catalog, name)])]
        waiting += filter(None, [(spec["prealign"] or {}).get("dataset")])
    return sorted(name for name in found if "members" not in run.catalog.dataset(name).spec)


def _explored(paper: Mapping[str, Any]) -> list[str]:
    figures = paper["figures"].values()
    return [f["dataset"] for f in figures if f["kind"] == "exploration" and f.get("dataset")]


def outlook(run: Run, targets: Iterable[str], origin: str, cores: int | None = None) -> str:
    """What this run is: its first line, and one for each thing that is missing.

    Parameters
    ----------
    targets
        That were asked for.
    origin
        Who named the scale.
    cores
        Of this machine that it may take; None where it does not run here.
    """
    asked = wanted(run, targets := list(targets))
    scale = run.catalog.scale
    begun = (
        f"{'Rehearsal of scale' if run.catalog.config['rehearse'] else 'Scale'} {scale} "
        f"({SCALES_IN_WORDS[scale]}; from {origin})"
    )
    if targets and not (asked.papers or asked.models or asked.cells):
        device = run.catalog.device
        return f"{begun}, device {device}: single targets. What they take is not counted."
    datasets = datasets_asked(run, asked)
    generated = [n for n in datasets if run.catalog.dataset(n).spec["phantom"]]
    real = [name for name in datasets if name not in generated]
    images = "generated images" if generated else "real images"
    if generated and real:
        images = f"generated images ({', '.join(generated)}) and real ones ({', '.join(real)})"
    needs = [download(run, name) for name in real]
    parts = [need.in_words() for need in needs if need.files]
    first = f"{begun}, {images}, device {run.catalog.device}: {asked.in_words()}. " + (
        f"To download: {_total(needs)}{', '.join(parts)}." if parts else "Nothing to download."
    )
    missing = [need.dataset for need in needs if need.missing]
    first += f" Missing: {', '.join(missing)}, see below." * bool(missing)
    spent = duration(run, asked, datasets, forked=cores is not None)
    first += f" {spent.in_words(cores)}"
    lines = [first]
    for need in needs:
        for name, ask in need.missing.items():
            where = f"ask for it at {ask}" if ask else "data of your own, see docs/own-data.md"
            lines.append(f"Missing: {need.dataset}, {name}: {where}.")
    return "\n".join(lines)


def _total(needs: Iterable[Download]) -> str:
    """What several datasets' downloads come to, as far as that is known."""
    waiting = [need for need in needs if need.files]
    known = [need.gigabytes for need in waiting if need.gigabytes is not None]
    if len(waiting) < 2 or not known:
        return ""
    more = " and what is not known" * (len(known) < len(waiting))
    return f"{sum(known):.3g} GB{more}: "
