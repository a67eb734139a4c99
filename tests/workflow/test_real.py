"""Real images through the real road: archive, checksum, canonical cases, preparation, records."""

import os
from pathlib import Path

import pandas as pd
import pytest


def test_unregistered_dice_of_the_real_validation_pairs(project):
    mirror = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "mirror")
    if not (mirror / "Task04_Hippocampus.tar").is_file():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/Task04_Hippocampus.tar")
    records = "results/cpu/records/hippocampus/identity/val.parquet"
    project.snakemake(
        "--configfile",
        "config/examples/hippocampus-cpu.yaml",
        "--config",
        f"mirror={mirror.absolute().as_uri()}",
        "--",
        records,
    )
    frame = pd.read_parquet(project.folder / records)
    dice = frame[frame["metric"] == "dice"].groupby(["fixed", "moving"])["value"].mean()
    assert len(dice) == 30
    # .555 by a plain numpy computation on the centre-padded label maps
    assert dice.mean() == pytest.approx(0.5552, abs=1e-3)
    assert dice.quantile(0.3) == pytest.approx(0.4832, abs=1e-3)
