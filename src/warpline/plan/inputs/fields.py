"""Which displacement fields stay, by the key `keep_fields` of the configuration."""

from __future__ import annotations

import re

from warpline.plan.experiments import experiments_of
from warpline.plan.kinds import FIGURES
from warpline.plan.run import Run

NAME = r"[A-Za-z0-9_-]+"  # of a dataset


def drawn_folders(run: Run) -> list[str]:
    """``<dataset>/<method>/<split>`` of all whose fields a figure of the run reads."""
    found = set()
    for paper in run.catalog.papers:
        spec = run.catalog.paper(paper)
        for figure in spec["figures"].values():
            if "fields" in FIGURES[figure["kind"]].sources.values():
                for row in figure["experiments"]:
                    found |= {
                        f"{e.dataset}/{e.method}/{e.split}"
                        for e in experiments_of(run.catalog, row, spec["seeds"])
                    }
    return sorted(found)


def that_stay(run: Run) -> str:
    """The datasets whose fields stay, as a wildcard's constraint.

    It looks ahead over the method and split that follow a dataset's name in a path.
    """
    return f"(?={_staying(run)}){NAME}"


def that_go(run: Run) -> str:
    """The others, which are deleted when all that asked for them has been made."""
    return f"(?!{_staying(run)}){NAME}"


def _staying(run: Run) -> str:
    kept = run.catalog.config["keep_fields"]
    if kept == "all":
        return ""  # is found anywhere
    folders = drawn_folders(run) if kept == "shown" else []
    return "(?:" + "|".join(map(re.escape, folders)) + ")/" if folders else "(?!)"  # nowhere
