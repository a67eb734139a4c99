"""``warpline status``: what of a study is there, what runs, what is missing, what failed last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from warpline.cli import options
from warpline.cli.run import check_targets
from warpline.cli.run_log import RunLog, newest_log, running_in
from warpline.plan.config import read_yaml
from warpline.plan.experiments import measured, trainings_of
from warpline.plan.inputs.evaluate import records_of_experiment
from warpline.plan.inputs.papers import figures_of, tables_of
from warpline.plan.places import Places, project_folder
from warpline.plan.run import Run

NAMED = 3  # of what is missing


@click.command()
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@options.directory_option
@options.json_option
@options.in_words
def status(studies: tuple[str, ...], directory: Path, machine: bool) -> None:
    """What of the studies is there, what runs now, what is missing, and the last error.

    Whether what is there is up to date is told by "warpline run --dry-run".
    """
    places = Places.here(project_folder(), directory)
    check_targets(places, studies)
    run = Run(read_yaml(places.config_file), places)
    papers = studies or run.catalog.papers
    told = {name: dict(_stages(run, name, directory)) for name in papers}
    path = newest_log(directory)
    log = RunLog.read(path) if path else None
    alive = running_in(directory)
    now = [job.told(directory) for job in log.unfinished] if log and alive else []
    error = log.failed[-1].told(directory) if log and log.failed else None
    if machine:
        value = {"studies": told, "runs": alive, "running": now, "error": error}
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    rows = [("study", "what", "done", "missing")]
    for name, stages in told.items():
        rows += [(name, what, _done(one), _missing(one)) for what, one in stages.items()]
    click.echo(options.as_table(rows))
    if alive:
        click.echo(f"\nA run is at work on {len(now)} jobs:")
        for job in now:
            click.echo(f"  {job['job']}" + (f": {job['last']}" if job["last"] else ""))
    elif any(one["missing"] for stages in told.values() for one in stages.values()):
        click.echo("\nNo run is at work; 'warpline run' goes on.")
    if error:
        click.echo(f"\nThe last run's error, {error['job']}:")
        click.echo("\n".join(f"  {line}" for line in error["message"]))
        click.echo(f"  log: {error['log']}")


def _stages(run: Run, paper: str, directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a study needs, from its cases to its figures: how much there is, and what is missing."""
    catalog = run.catalog
    experiments = measured(catalog, paper)
    datasets = dict.fromkeys(experiment.dataset for experiment in experiments)
    cases = {
        f"{name}/{batch}": run.layout.batch(name, "prepared", batch)
        for name in datasets
        if "members" not in catalog.dataset(name).spec
        for batch in catalog.dataset(name).batches()
    }
    trained = {
        f"{dataset}/{method}": run.layout.weights(dataset, method)
        for dataset, method in trainings_of(catalog, paper)
    }
    records = {
        f"{e.dataset}/{e.method}/{e.split}": records_of_experiment(run, e) for e in experiments
    }
    yield "cases prepared", _there(cases, directory)
    if trained:
        yield "networks trained", _there(trained, directory)
    yield "methods measured", _there(records, directory)
    for what, files in (("tables", tables_of(run, paper)), ("figures", figures_of(run, paper))):
        yield what, _there({Path(file).name: file for file in files}, directory)


def _there(files: dict[str, str], directory: Path) -> dict[str, Any]:
    missing = [name for name, file in files.items() if not (directory / file).exists()]
    return {"of": len(files), "done": len(files) - len(missing), "missing": missing}


def _done(stage: dict[str, Any]) -> str:
    return f"{stage['done']} of {stage['of']}"


def _missing(stage: dict[str, Any]) -> str:
    return ", ".join(_few(stage["missing"]))


def _few(names: Iterable[str]) -> list[str]:
    names = list(names)
    more = len(names) - NAMED
    return [*names[:NAMED], *([f"and {more} more"] if more > 0 else [])]
