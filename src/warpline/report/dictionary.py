"""What the columns and metrics of exported records mean."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

COLUMNS = {
    "dataset": "name of the dataset's file in config/datasets",
    "method": "name of the method's file in config/methods, and after + a strength",
    "split": "the dataset's split whose pairs these are",
    "fixed": "case whose points are mapped; empty where nothing was run",
    "moving": "case that is mapped to",
    "metric": "what was measured, see below",
    "label": "name of the label or id of the landmark; of a failure or skipped cell the reason",
    "value": "the measurement",
    "unit": "of the value; empty where it has none",
}
METRICS = {
    "agreement": "share of voxels with equal labels",
    "cc": "correlation of the fixed and the warped image",
    "cc_squared": "its square",
    "clipped": "share of keypoints at the border of the search",
    "confidence": "0 to 1, what the method warpline says of its own result",
    "cpu_seconds": "CPU time of the registration, of all its processes, initial stage included",
    "depth": "how far a fixed landmark lies from the surface of the mask",
    "dice": "overlap of a label, 2 |A ∩ B| / (|A| + |B|)",
    "displacement_x": "field at a fixed landmark along x",
    "displacement_y": "field at a fixed landmark along y",
    "displacement_z": "field at a fixed landmark along z",
    "difference": "of the normalised images after registration, by the method warpline",
    "difference_before": "of the normalised images before, by the method warpline",
    "contrast": "lead of the method warpline's best shift over others",
    "likeness_after": "part of the method warpline's confidence",
    "strain": "part of the method warpline's confidence: how much the field stretches",
    "likeness": "part of the method warpline's confidence",
    "order_of_shades": "whether brighter is brighter in both images, by the method warpline",
    "likeness_of_shades": "how alike the images' shades are, by the method warpline",
    "overlap": "of the voxels that could lie on each other, the share that do",
    "repairs": "steps of the method warpline that were taken back for folds",
    "error_by_depth": "share of wrong labels of the voxels at a distance from the nearest boundary",
    "failed": "1 for a pair that crashed, took too long or failed; it is measured as unregistered",
    "failure": "1 for a pair that failed or is worse than unregistered",
    "folding_fraction": "share of voxels with a Jacobian determinant of at most 0",
    "hausdorff": "largest distance between a label's surfaces",
    "hausdorff_voxels": "the same in voxels",
    "hd95": "95th percentile of that distance",
    "hd95_voxels": "the same in voxels",
    "inverse_consistency": "mean distance of a point from itself, there and back",
    "mse": "mean squared difference of the fixed and the warped image",
    "non_diffeomorphic_volume": "volume of the grid's tetrahedra that end inside out, of the whole",
    "peak_memory": "largest resident memory while registering",
    "sdlogj": "standard deviation of the logarithm of the Jacobian determinant",
    "sdlogj_learn2reg": "the same as Learn2Reg computes it",
    "seconds": "time of the registration by the clock, without start-up, initial stage included",
    "segmented_masks": "of how many of the two cases the lungs were segmented for want of a mask",
    "skipped": "1 for a cell that was not run",
    "start_up": "time before the first registration: imports, set-up, a network's first run",
    "stdj_estienne2020": "standard deviation of the Jacobian determinant (Estienne et al. 2020)",
    "target_x": "from a fixed landmark to the moving one along x",
    "target_y": "from a fixed landmark to the moving one along y",
    "target_z": "from a fixed landmark to the moving one along z",
    "tre": "distance of a mapped landmark from its true place",
    "tre_snapped": "the same after rounding to voxels",
    "tre_x": "its part along x",
    "tre_y": "its part along y",
    "tre_z": "its part along z",
    "vanished": "1 for a label that warping lost",
}


def data_dictionary(records: pd.DataFrame) -> pd.DataFrame:
    """What is in tidy records: ``kind`` (column or metric), ``name``, ``unit``, ``meaning``."""
    rows = [["column", name, "", meaning] for name, meaning in COLUMNS.items()]
    units = records[["metric", "unit"]].drop_duplicates()
    for entry in units.sort_values("metric").itertuples():
        meaning = METRICS.get(entry.metric, "said by the method of its own result")
        rows.append(["metric", entry.metric, entry.unit, meaning])
    return pd.DataFrame(rows, columns=["kind", "name", "unit", "meaning"])


def citations(text: str, keys: Iterable[str], datasets: Iterable[tuple[str, str, str]]) -> str:
    """BibTeX of what was used.

    Parameters
    ----------
    text
        A file of BibTeX entries, each on one line.
    keys
        Of the entries to take.
    datasets
        (name, citation, licence) of what is cited in words.
    """
    entries = {}
    for line in text.splitlines():
        if line.startswith("@"):
            entries[line.partition("{")[2].partition(",")[0]] = line
    lines = [entries[key] for key in sorted(set(keys))]
    for name, citation, licence in datasets:
        words = " ".join(citation.split())
        lines.append(f"@misc{{dataset-{name}, title={{{words}}}, note={{Licence: {licence}}}}}")
    return "\n".join(lines) + "\n"
