"""What the targets of a run ask for: papers and studies, models of the house, the arena."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from warpline.plan import arena
from warpline.plan.arena import Cell
from warpline.plan.experiments import Experiment, measured, networks_behind
from warpline.plan.inputs.models import files, scored
from warpline.plan.run import Run
from warpline.plan.trainings import given

Place = tuple[str, str]  # dataset, method
ALL = "all"  # the target of a run that names none


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes
    ----------
    papers
        Papers and studies.
    models
        Names of models that are made.
    cells
        Of the arena.
    pages
        Whether the report and the explorer's pages are.
    """

    papers: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    pages: bool = False

    def in_words(self) -> str:
        """As a list: each paper, and how many models and cells."""
        some, cells = len(self.models), len(self.cells)
        others = [f"{some} model{'s' * (some != 1)} of the house"] * bool(some)
        others += [f"the arena ({cells} cell{'s' * (cells != 1)})"] * bool(cells)
        return ", ".join([*self.papers, *others]) or "nothing"


def wanted(run: Run, targets: Iterable[str]) -> Wanted:
    """What targets ask for; by a target that is none of these, all papers of the run."""
    papers, models, cells, rest = set(), {}, [], not (targets := list(targets))
    made = {file: name for name in run.catalog.config["models"] for file in files(run, name)}
    for target in targets:
        if target in run.catalog.papers:
            papers.add(target)
        elif target == "models":
            models |= dict.fromkeys(run.catalog.config["models"])
        elif target in made:
            models[made[target]] = None
        elif target == "arena" or target.startswith(run.layout.arena("")):
            cells = arena.cells(run.catalog)
        else:
            rest = True
    found = [paper for paper in run.catalog.papers if rest or paper in papers]
    shown = (ALL, run.layout.report, run.layout.explorer)
    return Wanted(found, list(models), cells, not targets or any(t in shown for t in targets))


def experiments_wanted(run: Run, asked: Wanted) -> list[Experiment]:
    """What is measured for papers and models, each once; not the arena's cells."""
    found = [e for paper in asked.papers for e in measured(run.catalog, paper)]
    found += [e for e in (scored(run, model) for model in asked.models) if e is not None]
    return list(dict.fromkeys(found))


def networks_wanted(run: Run, asked: Wanted) -> list[Place]:
    """(dataset, method) of every network behind all that whose training is known, each once."""
    catalog = run.catalog
    places = [(e.dataset, e.method) for e in experiments_wanted(run, asked)]
    entries = [catalog.config["models"][model] for model in asked.models]
    places += [(entry["dataset"], entry["method"]) for entry in entries]
    places += [(arena.trained_on(catalog, cell), cell.method) for cell in asked.cells]
    return networks_behind(catalog, places)


def trainings_wanted(run: Run, asked: Wanted) -> list[Place]:
    """Those of them that are trained in this run."""
    return [place for place in networks_wanted(run, asked) if not given(run.catalog, place[1])]
