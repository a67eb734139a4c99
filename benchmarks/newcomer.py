"""What a newcomer waits for: from an empty folder to the demo, and what a small change costs.

    python benchmarks/newcomer.py [--only setup demo study caption metric] [--cores 2]
        [--venv ENVIRONMENT] [--folder FOLDER]

The repository's last commit is cloned into an empty folder. Each part tells its jobs, its seconds
by the clock and of CPU, and the CPU's name is told first.

setup
    `make setup`; or a link to another project's `.venv` with `--venv`, which is not measured.
demo
    `make demo`, after the set-up.
study
    Of one pair of 37 × 53 × 33 voxels by one method (`--method`): its table and the report's page.
caption
    The tables of all papers after a word of a caption of each of them has changed.
metric
    The tables of all papers after a metric was added to what is measured of every pair.

The last two need the demo's results and are run with its configuration: with another, its tables
are others, and everything beneath them is made anew. Ask for `demo` too, or give the `--folder` of
an earlier run, which is kept and worked in as it is found; it is not cloned again.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("setup", "demo", "study", "caption", "metric")
SHAPE, SPACING = (37, 53, 33), (1.0, 1.0, 1.5)  # x, y, z
DATASET = """\
title: Two scans
format: folder
folder: {folder}
case_sheet: {folder}/cases.tsv
labels: {{1: ball}}
pairs: {{test: {{from: consecutive}}}}
prepare:
  - rescale: {{}}
"""
STUDY = """\
scale: cpu
papers: []
studies:
  two:
    datasets: [two]
    methods: [{method}]
"""
CAPTION = re.compile(r"^( +caption: *(?:&\w+ *)?(?:>-?)?\s+)(?=[A-Z])", re.MULTILINE)
# A metric more, in the library's place of what is measured of intensities.
BEFORE = '        row("cc", correlation),\n'
METRIC = '        row("sum", float(np.sum(warped.array, dtype=np.float64))),\n'


def cpu_name() -> str:
    """As /proc/cpuinfo has it, with the number of cores that this process may use."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return f"{found[1] if found else 'unknown CPU'}, {len(os.sched_getaffinity(0))} cores"


def measure(name: str, project: Path, *command: str) -> None:
    """Run a command in the project; tell its jobs and seconds, or what it said if it failed."""
    environment = {**os.environ, "PYTHONPATH": os.fspath(project / "src")}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stdout[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = re.search(r"^total +(\d+)", done.stdout, re.MULTILINE)
    told = f", {jobs[1]} jobs" if jobs else ""
    print(f"{name:8s} {wall:7.1f} s by the clock, {cpu:7.1f} s of CPU{told}", flush=True)


def write_scan(path: Path, centre: tuple[float, float, float], kind: str) -> None:
    """A soft ball, or its label, as a MetaImage."""
    values = array("f" if kind == "image" else "B")
    for z in range(SHAPE[2]):
        for y in range(SHAPE[1]):
            for x in range(SHAPE[0]):
                away = zip((x, y, z), centre, SPACING, strict=True)
                far = sum(((a - b) * s) ** 2 for a, b, s in away) ** 0.5
                values.append(max(0.0, 20.0 - far) if kind == "image" else int(far < 10))
    header = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": " ".join(map(str, SPACING)),
        "DimSize": " ".join(map(str, SHAPE)),
        "ElementType": "MET_FLOAT" if kind == "image" else "MET_UCHAR",
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    path.write_bytes(text.encode() + values.tobytes())


def study(project: Path, method: str, snakemake: list[str]) -> None:
    """Two scans of one's own, from their files to the page."""
    folder = project / "two"
    folder.mkdir(exist_ok=True)
    rows = ["case\tpatient\tsplit\timage\tlabels"]
    for name, centre in (("a", (17.0, 26.0, 16.0)), ("b", (20.0, 23.0, 17.0))):
        write_scan(folder / f"{name}.mha", centre, "image")
        write_scan(folder / f"{name}_labels.mha", centre, "labels")
        rows.append(f"{name}\t{name}\ttest\t{name}.mha\t{name}_labels.mha")
    (folder / "cases.tsv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    dataset = project / "config" / "datasets" / "two.yaml"
    dataset.write_text(DATASET.format(folder=folder), encoding="utf-8")
    (project / "two.yaml").write_text(STUDY.format(method=method), encoding="utf-8")
    measure("study", project, *snakemake, "--configfile", "two.yaml", "--config", "results=two/out")


def change(path: Path, pattern: re.Pattern[str] | str, new: str) -> None:
    """Change the first place of a file; leaving without a change would measure nothing."""
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, new, text, count=1)
    if changed == text:
        sys.exit(f"There is nothing to change in {path}.")
    path.write_text(changed, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--cores", default="2")
    parser.add_argument("--method", default="affine")
    parser.add_argument("--venv", type=Path, help="of a project that is set up")
    parser.add_argument("--folder", type=Path, help="of an earlier run, or to keep this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = (options.folder or Path(temporary) / "warpline").resolve()
        if not project.exists():
            clone = ["git", "clone", "--quiet", os.fspath(ROOT), os.fspath(project)]
            subprocess.run(clone, check=True)
        print(cpu_name(), flush=True)
        if options.venv and not (project / ".venv").exists():
            (project / ".venv").symlink_to(options.venv.resolve())
        snakemake = [".venv/bin/python", "-m", "snakemake", "--cores", options.cores]
        if "setup" in options.only:
            measure("setup", project, "make", "setup")
        if "demo" in options.only:
            measure("demo", project, "make", "demo", f"CORES={options.cores}")
        if "study" in options.only:
            study(project, options.method, snakemake)
        tables = [*snakemake, "--configfile", "config/demo.yaml", "--", "tables"]
        if "caption" in options.only:
            for paper in sorted((project / "config" / "papers").glob("*.yaml")):
                change(paper, CAPTION, r"\1Anew. ")
            measure("caption", project, *tables)
        if "metric" in options.only:
            pairs = project / "src" / "warpline" / "evaluation" / "pairs.py"
            change(pairs, re.escape(BEFORE), BEFORE + METRIC)
            measure("metric", project, *tables)


if __name__ == "__main__":
    main()
