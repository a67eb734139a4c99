"""Mean Dice of each method over runs that differ in their seed alone.

    python benchmarks/seeds.py estienne2020 results/abdomen-generated results/abdomen-generated-1 …

The first columns are the runs', then the mean and the standard deviation over runs. The last is by
how much each method is ahead of the one above it, per pair and averaged over runs, with a 95 %
interval that draws cases.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.evaluation.records import read_records
from warpline.tables.intervals import Sample, case_interval


def dice_of_pairs(results: Path, paper: str, dataset: str, split: str) -> pd.DataFrame:
    """Dice, mean over labels, of every pair (rows) by every method (columns)."""
    records = read_records(results / paper / "records.parquet")
    kept = records.query("metric == 'dice' and dataset == @dataset and split == @split")
    return kept.pivot_table("value", ["fixed", "moving"], "method", sort=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paper")
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--dataset", default="abdomen")
    parser.add_argument("--split", default="val")
    parser.add_argument("--methods", nargs="+", help="in this order")
    given = parser.parse_args()
    runs = [dice_of_pairs(r, given.paper, given.dataset, given.split) for r in given.results]
    methods = given.methods or list(runs[0].columns)
    before = None
    for method in methods:
        means = [run[method].mean() for run in runs]
        pairs = np.mean([run[method] for run in runs], axis=0)
        line = f"{method:36s}" + "".join(f" {mean:.3f}" for mean in means)
        line += f"   {np.mean(means):.3f} ± {np.std(means, ddof=1) if len(means) > 1 else 0:.3f}"
        if before is not None:
            fixed, moving = zip(*runs[0].index, strict=True)
            low, high = case_interval(Sample.of(pairs - before, fixed, moving))
            line += f"   {np.mean(pairs - before):+.3f} [{low:+.3f}, {high:+.3f}]"
        print(line)
        before = pairs
    print(f"n = {len(runs[0])} pairs, {len(runs)} runs")


if __name__ == "__main__":
    main()
