"""What a finished run's measurements change by where its fields are kept halved.

Each method's first pairs are measured with the field as it is kept and with what comes back of it
halved; printed are the largest differences, and how many bytes the halved one takes. Methods of
which a field is not smooth enough, so that it is kept whole, say so.

    python benchmarks/halved_fields.py results [--scale demo] [--pairs 2]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from warpline.cases.case import read_case
from warpline.evaluation.pairs import evaluate_pair
from warpline.fields import halved
from warpline.fields.io import read_field, write_field
from warpline.plan.experiments import registrations
from warpline.plan.inputs import evaluate
from warpline.plan.pairs import pair_name
from warpline.plan.places import Places, project_folder
from warpline.plan.run import Run

PAPERS = ["bouabid2019", "estienne2020", "hansen2020", "hu2020", "sokooti2017"]
SHOWN = {
    "dice": ["dice"],
    "hd95 mm": ["hd95"],
    "tre mm": ["tre"],
    "cc": ["cc"],
    "sdlogj": ["sdlogj"],
    "folding": ["folding_fraction"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--scale", default="demo")
    parser.add_argument("--pairs", type=int, default=2)
    asked = parser.parse_args()
    run = Run({"papers": PAPERS, "scale": asked.scale}, Places.here(project_folder()))
    print(f"{'method':60s} pairs bytes  " + "  ".join(f"{name:>8s}" for name in SHOWN))
    for experiment in sorted({e for p in PAPERS for e in registrations(run.catalog, p)}):
        place = (experiment.dataset, experiment.method, experiment.split)
        pairs = evaluate.experiment_pairs(run, place[0], place[2])[: asked.pairs]
        print(
            f"{'/'.join(place):60s} {_compared(run, place, pairs, asked.results.parent)}",
            flush=True,
        )


def _compared(run: Run, place: tuple[str, str, str], pairs: list, root: Path) -> str:
    folders = evaluate.pair_folders(run, place[0], place[2])
    fields = evaluate.experiment_fields(run, *place)
    settings = evaluate.labels(run, place[0]), evaluate.labels_outside(run, place[0])
    differences, bytes_, whole = [], [], 0
    for pair in pairs:
        path = root / fields[pair_name(pair)] / f"{pair_name(pair)}.nii.gz"
        if not path.is_file():
            continue
        field = read_field(path)
        fixed, moving = (read_case(root / folders[case]) for case in pair)
        if not fixed.grid.close_to(field.grid):
            return "of another grid"
        kept = halved.halve(field)
        if kept is None:
            whole += 1
            continue
        back = halved.restore(kept, field.grid)
        both = [_metrics(evaluate_pair(fixed, moving, f, *settings)) for f in (field, back)]
        differences.append((both[0] - both[1]).abs())
        with tempfile.TemporaryDirectory() as folder:
            write_field(Path(folder) / "kept.nii.gz", kept)
            bytes_.append((Path(folder) / "kept.nii.gz").stat().st_size / path.stat().st_size)
    if not differences:
        return f"{whole:5d} kept whole" if whole else "no field"
    most = pd.concat(differences).groupby(level=0).max()
    cells = [f"{most.get(metric[0], np.nan):8.4f}" for metric in SHOWN.values()]
    rest = f"  ({whole} more kept whole)" if whole else ""
    return f"{len(differences):5d} {np.mean(bytes_):5.2f}  " + "  ".join(cells) + rest


def _metrics(rows: list[dict]) -> pd.Series:
    return pd.DataFrame(rows).groupby("metric")["value"].mean()


if __name__ == "__main__":
    main()
