"""Draw a paper's figure from its records and, for figures of images, one pair's fields."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from warpline.datasets import pair_name
from warpline.errors import WarplineError
from warpline.evaluate import read_records
from warpline.fields.io import read_field
from warpline.figures.boxplots import metric_boxplots
from warpline.figures.registration import registration_figure
from warpline.jobs import job
from warpline.preprocess import read_case


def main(
    records: str,
    spec: Mapping[str, Any],
    folders: Mapping[str, str],
    sources: Mapping[str, Mapping[str, str]],
    labels: Mapping[int, str],
    published: Mapping[str, float],
    target: str,
) -> None:
    frame = read_records(records)
    stem = Path(target).with_suffix("")
    first = spec["experiments"][0]
    own = frame[(frame["dataset"] == first["dataset"]) & (frame["split"] == first["split"])]
    titles = {e["method"]: e["title"] for e in spec["experiments"]}
    if spec["kind"] == "boxplot":
        metric_boxplots(
            own, spec["metric"], titles, stem, axis_title=spec.get("axis"), published=published
        )
        return
    last = spec["experiments"][-1]["method"]
    fixed_id, moving_id = choose_pair(own[own["method"] == last], spec["pair"])
    name = pair_name((fixed_id, moving_id))
    fields = {
        titles[method]: read_field(Path(folder[name]) / f"{name}.nii.gz")
        for method, folder in sources.items()
    }
    print(f"pair: fixed {fixed_id}, moving {moving_id}", flush=True)
    fixed, moving = read_case(folders[fixed_id]), read_case(folders[moving_id])
    registration_figure(vars(fixed), vars(moving), fields, labels, stem)


def choose_pair(records: pd.DataFrame, rule: str) -> tuple[str, str]:
    """(fixed, moving) of the first pair, or of the one with the median Dice (the lower of two)."""
    pairs = records.groupby(["fixed", "moving"], sort=False)
    if rule == "first":
        return next(iter(pairs.groups))
    chosen = records[records["metric"] == "dice"]
    if chosen.empty:
        raise WarplineError(
            "No pair has a Dice, so none has the median.",
            where="key 'pair' of the figure",
            do="Set it to 'first'.",
        )
    means = chosen.groupby(["fixed", "moving"], sort=False)["value"].mean().sort_values()
    return means.index[(len(means) - 1) // 2]


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.threads):  # noqa: F821
        main(
            snakemake.input.records,  # noqa: F821
            snakemake.params.figure,  # noqa: F821
            snakemake.params.folders,  # noqa: F821
            snakemake.params.sources,  # noqa: F821
            {int(value): name for value, name in snakemake.params.labels.items()},  # noqa: F821
            snakemake.params.published,  # noqa: F821
            snakemake.output.png,  # noqa: F821
        )
