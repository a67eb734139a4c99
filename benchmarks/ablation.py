"""`warpline` with each stage and feature taken out, on real hippocampi and generated abdomens.

    python benchmarks/ablation.py hippocampus --real /folder/with/mirror [--pairs 12] --out h.csv
    python benchmarks/ablation.py abdomen [--pairs 15] [--seed 2020] --out a.csv
    python benchmarks/ablation.py table h.csv a.csv

Pairs are those of `benchmarks/ours.py`. A row a pair and variant is written as it comes; a run that
was stopped goes on. The table has means, and the difference to the whole method with the interval
that draws cases (`warpline.tables.intervals`). Nothing was chosen by it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from ours import abdomen, hippocampus
from rows import append

from warpline.evaluation.metrics import sdlogj
from warpline.registration.variational import pipeline
from warpline.registration.variational.call import settings_of
from warpline.registration.variational.settings import QUALITIES, Settings
from warpline.tables.ranking import Scores, told_apart

WHOLE = "the whole method"
SETTINGS: dict[str, Callable[[Settings], Settings]] = {
    WHOLE: lambda s: s,
    "no start (the scanners' frames)": lambda s: replace(s, start="none"),
    "a start of shifts alone": lambda s: replace(s, start="translation"),
    "a rigid start": lambda s: replace(s, start="rigid"),
    "no search": lambda s: replace(s, quality="no search"),
    "no refinement (start and search alone)": lambda s: replace(s, quality="no refinement"),
    "no refinement on the finest grid": lambda s: replace(s, quality="coarse"),
    "one grid, not coarse to fine": lambda s: replace(s, quality="one grid"),
    "coarse to fine, also of small frames": lambda s: replace(s, quality="all grids"),
    "no shades normalised in a window": lambda s: replace(s, local=0.0),
    "no shades normalised over the image": lambda s: replace(s, whole=0.0),
    "self-similarities instead of shades": lambda s: replace(s, appearance="unlike"),
    "a tenth of the smoothness": lambda s: replace(s, smoothness=s.smoothness / 10),
}
USUAL = QUALITIES["balanced"]
QUALITIES |= {
    "no search": replace(USUAL, search=0, alone=0),
    "no refinement": replace(USUAL, steps=(0,)),
    "coarse": replace(USUAL, steps=(0, *USUAL.steps[1:]), alone=0),
    "one grid": replace(USUAL, steps=(sum(USUAL.steps), 0)),
    "all grids": replace(USUAL, alone=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("hippocampus", "abdomen", "table"))
    parser.add_argument("rows", nargs="*", type=Path, help="of table")
    parser.add_argument("--real", help="folder with mirror/")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.task == "table":
        for path in arguments.rows:
            print(path.stem, table(pd.read_csv(path)).to_string(index=False), sep="\n")
        return
    arguments.split = "val"
    torch.set_num_threads(1)
    made = {"hippocampus": hippocampus, "abdomen": abdomen}[arguments.task]
    done = set()
    if arguments.out.exists():
        kept = pd.read_csv(arguments.out)
        done = set(zip(kept["pair"], kept["variant"], strict=True))
    for pair, fixed, moving, value in made(arguments):
        for name, change in SETTINGS.items():
            if (pair, name) in done:
                continue
            cpu = time.process_time()
            settings = change(settings_of())
            found = pipeline.register(fixed, moving, settings, inverse=False).field
            row = {"pair": pair, "variant": name, "cpu": time.process_time() - cpu}
            row |= {"value": value(found), "sdlogj": sdlogj(found.jacobian_determinant())}
            print(*row.values(), flush=True)
            append(arguments.out, row)


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of each variant, and its difference to the whole method with its interval."""
    rows = rows.assign(
        fixed=rows["pair"].str.split("__").str[0], moving=rows["pair"].str.split("__").str[1]
    )
    values = rows.pivot(index=["fixed", "moving"], columns="variant", values="value").dropna()
    apart = told_apart(Scores(values))
    lines = []
    for name in (n for n in SETTINGS if n in values):
        own = rows[rows["variant"] == name]
        line = {"variant": name, "n": len(values), "value": values[name].mean()}
        line |= {"sdlogj": own["sdlogj"].mean(), "cpu": own["cpu"].mean()}
        for row in apart.itertuples():
            sign = {(name, WHOLE): 1, (WHOLE, name): -1}.get((row.first, row.second))
            if sign:
                ends = sorted((sign * row.low, sign * row.high))
                line |= {"difference": sign * row.difference, "low": ends[0], "high": ends[1]}
        lines.append(line)
    return pd.DataFrame(lines).round(4)


if __name__ == "__main__":
    main()
