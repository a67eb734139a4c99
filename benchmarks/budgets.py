"""What each paper takes at scale `paper`, and on each card: the first tables of docs/scale.md.

    python benchmarks/budgets.py [--cards v100-16 rtx4090 h100] [--papers bouabid2019 …]

As `warpline budget` counts it. Of a card are told the most that one of the paper's trainings takes
of it, the most that one keeps with the host, and the trainings of which not even a step fits.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping

from training_work import PAPERS

from warpline.cli.budget import GB, GIB, Need, disk_of, needs_of, room_on
from warpline.plan.places import Places, project_folder
from warpline.plan.rates import known
from warpline.plan.run import Run


def total(disk: Mapping[str, Mapping[str, float | None]], key: str) -> str:
    """GB of all datasets, and of how many nobody knows it."""
    values = [part[key] for part in disk.values()]
    missing = sum(value is None for value in values)
    return f"{sum(v or 0 for v in values):,.0f}" + (f" and {missing} not known" if missing else "")


def on_card(needs: Iterable[Need], room: float) -> str:
    """GiB on a card that has room for so many bytes, GB beside it, and what does not fit."""
    placed = [need.on_card(room) for need in needs]
    held = max((need.device for need in placed if need.step <= room), default=0)
    host = max((need.host or 0 for need in placed), default=0)
    misfits = [need for need in placed if need.step > room]
    said = f"{held / GIB:.1f}, {host / GB:.1f}"
    if misfits:
        most = max(need.step for need in misfits) / GIB
        said += f"; {len(misfits)} of {len(placed)} do not fit ({most:.1f} GiB a step)"
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cards", nargs="+", default=["v100-16", "rtx4090", "h100"])
    parser.add_argument("--papers", nargs="+", default=PAPERS)
    arguments = parser.parse_args()
    heads = ["paper", "download, GB", "cases, GB", "fields, GB", "trainings", "1e15 operations"]
    heads += [f"{card}: GiB on it, GB with the host" for card in arguments.cards]
    print("| " + " | ".join(heads) + " |\n|---" + "|---:" * (len(heads) - 1) + "|")
    for paper in arguments.papers:
        run = Run({"papers": [paper], "scale": "paper"}, Places.here(project_folder()))
        rates = known(run.catalog)
        needs, disk = needs_of(run, paper, rates), disk_of(run, paper, rates)
        row = [f"`{paper}`", *(total(disk, key) for key in ("download", "prepared", "fields"))]
        row += [str(len(needs)), f"{math.fsum(n.operations for n in needs) / 1e15:,.0f}"]
        row += [on_card(needs, room_on(card, rates["cards"])) for card in arguments.cards]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
