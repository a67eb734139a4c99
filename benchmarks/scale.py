"""What a thousand scans cost before and beside the work: the graph of jobs, and their scheduling.

    python benchmarks/scale.py [--scans 100 300 888 3000] [--singly] [--root ANOTHER-CHECKOUT]
    python benchmarks/scale.py --run [--cases 888 --single 60 --batch 74]

The first makes dry runs of config/examples/luna16-cohort.yaml, `--singly` with a job for every scan
and for every pair of a baseline. The second takes tiny scans in LUNA16's archives to the records of
an evaluation: `--single` of them with a job a case, as many in batches, and `--cases` in batches.
What a case costs beside its work is cores × wall / cases less that work: the seconds by which the
jobs take longer with each further case, from the two runs in batches.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from math import log
from pathlib import Path
from statistics import linear_regression
from types import SimpleNamespace
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
EXAMPLE = "config/examples/luna16-cohort.yaml"
PARTS = ("Snakefile", "config", "envs", "profiles", "scripts", "src", "workflow")
ARCHIVES = [*(f"subset{k}.zip" for k in range(10)), "seg-lungs-LUNA16.zip"]
ROOT_UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001"
CORES = 2
BASELINES = ("affine", "elastix-bspline", "syn", "hu2020-syn")
TOTAL = re.compile(r"^total +(\d+)", re.MULTILINE)


def write_sheet(path: Path, scans: int) -> None:
    """A case sheet with LUNA16's proportions of the splits, and ids as long as its own."""
    train, test = max(2, scans * 98 // 888), max(2, scans * 33 // 888)
    splits = ["train"] * train + ["test"] * test + ["rest"] * (scans - train - test)
    # Drawn, not counted: Snakemake takes a run of equal digits in a name for an endless recursion.
    draw = random.Random(2019)
    numbers = [draw.randrange(10**29, 10**30) for _ in splits]
    rows = [f"{ROOT_UID}.{k}\t{split}" for k, split in zip(numbers, splits, strict=True)]
    path.write_text("\n".join(["case\tsplit", *rows, ""]), encoding="utf-8")


def write_config(path: Path, luna16: dict, **more: object) -> None:
    override = {"datasets": {"luna16": luna16}, **more.pop("override", {})}
    path.write_text(yaml.safe_dump({"override": override, **more}), encoding="utf-8")


def snakemake(folder: Path, *arguments: str) -> tuple[str, float, float, int]:
    """Run Snakemake: its output, seconds of wall and of CPU, peak memory in MB."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(CORES), *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode:
        sys.exit(text[-3000:])
    return text, wall, used.ru_utime + used.ru_stime, round(used.ru_maxrss / 1024)


def dry_runs(scans: list[int], singly: bool, root: Path, folder: Path) -> None:
    each_its_own = {"methods": {name: {"pairs_per_job": 1} for name in BASELINES}}
    print("| scans | jobs | wall s | CPU s | MB | CPU ms a job |\n|--:|--:|--:|--:|--:|--:|")
    jobs, seconds = [], []
    for number in scans:
        write_sheet(folder / "cases.tsv", number)
        luna16 = {"case_sheet": os.fspath(folder / "cases.tsv")}
        luna16 |= {"cases_per_job": 1} if singly else {}
        write_config(folder / "cases.yaml", luna16, override=each_its_own if singly else {})
        files = (EXAMPLE, os.fspath(folder / "cases.yaml"))
        options = ("--dry-run", "--quiet", "rules", "--configfile")
        text, wall, cpu, memory = snakemake(root, *options, *files)
        jobs.append(int(TOTAL.search(text)[1]))
        seconds.append(cpu)
        each = 1000 * cpu / jobs[-1]
        print(f"| {number} | {jobs[-1]} | {wall:.1f} | {cpu:.1f} | {memory} | {each:.1f} |")
    if len(jobs) > 1:
        slope, start = linear_regression(jobs, seconds)
        power, _ = linear_regression([*map(log, jobs)], [*map(log, seconds)])
        print(f"CPU: {start:.1f} s + {1000 * slope:.2f} ms a job; grows as jobs to the {power:.2f}")


def box_chest(seed: object, *, grid: Any, **_: object) -> SimpleNamespace:
    """Two lungs as boxes in a block of tissue: a scan that costs nothing to make."""
    # Not at the top: a process counts the memory of the one that started it as its own.
    import numpy as np

    from warpline.images.grid import Image

    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij", sparse=True)
    place = [grid.origin[k] + index * grid.spacing[k] for k, index in enumerate((x, y, z))]
    within = (np.abs(place[2]) < 100) & (np.abs(place[1]) < 80)
    right, left = (within & (np.abs(place[0] - middle) < 50) for middle in (-70, 70))
    lungs = np.select([right, left], [1, 2], 0).astype(np.uint8)
    image = np.where(lungs > 0, -850, 40).astype(np.int16)
    return SimpleNamespace(image=Image(image, grid), lungs=Image(lungs, grid))


def run(cases: int, batch: int, folder: Path) -> tuple[int, float, float]:
    """From archives to records, in a copy of the project, with so many cases a job.

    Returns
    -------
    Number of jobs, seconds that the run took, and seconds that its jobs took together.
    """
    from warpline.phantoms.providers.luna16 import write_luna16
    from warpline.phantoms.providers.request import Phantom

    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, folder / part)
    write_sheet(folder / "cases.tsv", cases)
    with (folder / "cases.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    mirror = folder / "mirror"
    mirror.mkdir()
    tiny = {"size": 16, "spacing_xy": [22, 25], "spacing_z": [20, 25]}
    phantom = Phantom(seed=2019, parameters=tiny, scans={})
    write_luna16(phantom, rows, mirror, make=box_chest)
    luna16 = {
        "case_sheet": "cases.tsv",
        "cases_per_job": batch,
        "archives": {name: {"sources": [f"file:{mirror / name}"]} for name in ARCHIVES},
        "explore": False,
        "pairs": {"cohort": {"from": "cycle", "split": ["train", "test", "rest"]}},
        "prepare": [{"orient": {}}, {"resize": {"shape": [16, 16, 16]}}, {"unit_frame": {}}],
    }
    study = {"title": "Cohort", "datasets": ["luna16"], "methods": ["identity"], "split": "cohort"}
    write_config(
        folder / "run.yaml",
        luna16,
        override={"methods": {"identity": {"pairs_per_job": batch}}},
        scale="paper",
        device="cpu",
        papers=[],
        studies={"cohort": study},
    )
    records = "results/cohort/records.parquet"
    text, wall, _, _ = snakemake(folder, "--configfile", "run.yaml", "--", records)
    jobs = int(TOTAL.search(text)[1])
    spent = []
    for path in (folder / "results" / "benchmarks").rglob("*.tsv"):
        with path.open(encoding="utf-8") as stream:
            spent += [float(row["s"]) for row in csv.DictReader(stream, delimiter="\t")]
    return jobs, wall, sum(spent)


def runs(single: int, cases: int, batch: int) -> None:
    print("| cases | a job | jobs | wall s | Σ jobs s |\n|--:|--:|--:|--:|--:|", flush=True)
    walls, spent = [], []
    arms = [(single, 1), (single, batch), (cases, batch)]
    for number, size in arms:
        with tempfile.TemporaryDirectory() as folder:
            jobs, wall, seconds = run(number, size, Path(folder))
        print(f"| {number} | {size} | {jobs} | {wall:.0f} | {seconds:.0f} |", flush=True)
        walls.append(wall)
        spent.append(seconds)
    work = (spent[2] - spent[1]) / (cases - single)
    print(f"work: {work:.2f} s a case; beside it, on {CORES} cores:")
    for (number, size), wall, seconds in zip(arms, walls, spent, strict=True):
        beside = CORES * wall / number - work
        outside = (CORES * wall - seconds) / number
        print(f"{number} cases, {size} a job: {beside:.2f} s a case", end="")
        print(f"; {outside:.2f} s outside the jobs' own processes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, nargs="+", default=[100, 300, 888, 3000])
    parser.add_argument("--singly", action="store_true", help="a job for every scan and pair")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout that is measured")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--cases", type=int, default=888)
    parser.add_argument("--single", type=int, default=60)
    parser.add_argument("--batch", type=int, default=74)
    options = parser.parse_args()
    if options.run:
        runs(options.single, options.cases, options.batch)
        return
    with tempfile.TemporaryDirectory() as folder:
        dry_runs(options.scans, options.singly, options.root, Path(folder))


if __name__ == "__main__":
    main()
