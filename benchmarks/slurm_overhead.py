"""Seconds that a job of no work takes: on this machine, as SLURM jobs one by one, and grouped.

tests/cluster/cluster.sh start; . /tmp/warpline-slurm/env
PYTHONPATH=.venv/slurm .venv/bin/python benchmarks/slurm_overhead.py --jobs 16 --group 8
tests/cluster/cluster.sh stop
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "cluster"


def measure(jobs: int, *arguments: str) -> float:
    """Seconds until all jobs are done, Snakemake's start included."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        started = time.monotonic()
        subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--snakefile", str(TESTS / "Snakefile")),
                *("--quiet", "all", "--config", f"count={jobs}", *arguments, "--", "many"),
            ],
            cwd=folder,
            check=True,
        )
        return time.monotonic() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--group", type=int, default=8, help="jobs in one SLURM job")
    options = parser.parse_args()
    slurm = [
        *("--workflow-profile", str(ROOT / "profiles" / "slurm")),
        *("--slurm-partition-config", str(TESTS / "partitions.yaml")),
        *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"),
        # Snakemake waits that long before it ends, where no workflow stops its timers.
        *("--max-jobs-per-timespan", "100/1s"),
    ]
    ways = {
        "on this machine": ["--cores", "2"],
        "SLURM, one by one": slurm,
        f"SLURM, {options.group} in one": [
            *slurm, "--groups", "small=small", "--group-components", f"small={options.group}"
        ],
    }  # fmt: skip
    print(f"{options.jobs} jobs; load before: {os.getloadavg()[0]:.1f}")
    for name, arguments in ways.items():
        seconds = measure(options.jobs, *arguments)
        print(
            f"{name:20} {seconds:6.1f} s in all {seconds / options.jobs:6.2f} s a job", flush=True
        )
