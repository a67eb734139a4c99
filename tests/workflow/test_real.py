"""Real images through the real road: archive, checksum, canonical cases, preparation, records."""

import os
from pathlib import Path

import pandas as pd
import pytest


def test_unregistered_dice_of_the_real_validation_pairs(project):
    mirror = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "mirror")
    if not (mirror / "Task04_Hippocampus.tar").is_file():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/Task04_Hippocampus.tar")
    records = "results/cpu/records/hippocampus/identity/val/whole.parquet"
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


@pytest.mark.long
def test_three_real_chest_scans_are_explored(project):
    mirror = Path(os.environ.get("WARPLINE_REAL_DATA", ""), "mirror")
    if not (mirror / "seg-lungs-LUNA16.zip").is_file():
        pytest.skip("WARPLINE_REAL_DATA does not name a folder with mirror/seg-lungs-LUNA16.zip")
    figure = "results/luna16-three/bouabid2019/figures/figure8.png"
    project.snakemake(
        "--configfile",
        "config/examples/luna16-three.yaml",
        "--config",
        f"mirror={mirror.absolute().as_uri()}",
        "--",
        figure,
    )
    assert (project.folder / figure).stat().st_size > 20_000
    table = project.folder / "results/luna16-three/data/luna16/exploration.parquet"
    before = pd.read_parquet(table).query("stage == 'before'")
    values = before.pivot_table(index="name", columns="case", values="value")
    assert sorted(values.loc["slices"]) == [133, 140, 261]
    assert (values.loc["backgrounds"] == 2).all()
    assert values.loc["lung_volume"].between(3000, 8000).all()
    clipped = pd.read_parquet(table).query("stage == 'clipped' and name == 'backgrounds'")
    assert (clipped["value"] == 1).all()
