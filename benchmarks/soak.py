"""Load and faults, one after another: what is lost, what is wrong, how long each recovery takes.

    python benchmarks/soak.py --minutes 90
    python benchmarks/soak.py downloads --downloads 20
    python benchmarks/soak.py kills --kills 50 --minutes 25

Parts, all on this machine:

downloads
    Files from a server that fails in a third of its answers (refuses, hangs up, falls silent, flips
    a bit, sends a page instead), each wanted by two of the processes in one folder.
kills
    A study of two datasets, all of whose processes are killed at random moments, again and again.
disks
    A study of one dataset, at random moments of which its disk is full, its results can only be
    read, or no file may grow beyond 4 KiB (in the place of a quota, which binds root to nothing).
    The first two need mounts of one's own.
runs
    Two runs in one folder; two folders that fetch into one data folder from the server above, of
    which one is killed.
clock
    A study whose files are of tomorrow at a random moment, as after the clock was set back.

A study is right if its tables without the columns of seconds, its scans and its weights are the
same bytes as of a run that nothing disturbed, and no half-written file is left. A recovery is the
run after the last fault, to its end. The exit status is 1 if anything was lost or wrong. After so
many minutes no further fault is begun.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from soak_account import Account
from soak_downloads import downloads
from soak_study import DISKS, Study, clock, disks, kills, one_data, one_folder, own_mounts

PARTS = ("downloads", "kills", "disks", "runs", "clock")


def main() -> int:
    """Print what each part lost and how long its recoveries took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--downloads", type=int, default=200)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--moments", type=int, default=10, help="at which each disk fails")
    parser.add_argument("--runs", type=int, default=3, help="of each kind of two runs")
    parser.add_argument("--clock", type=int, default=3, help="times that it is set back")
    parser.add_argument("--methods", nargs="+", default=["identity", "tiny-network"])
    parser.add_argument("--minutes", type=float, default=90.0, help="after which none is begun")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    chosen, draw = told.parts or PARTS, random.Random(told.seed)
    end = time.monotonic() + 60 * told.minutes
    accounts: list[Account] = []

    def time_is_up() -> bool:
        return time.monotonic() > end

    def do(part: Callable[..., Account], *arguments: object) -> None:
        if not time_is_up():
            accounts.append(part(*arguments))
            accounts[-1].tell()

    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        if "downloads" in chosen:
            place = folder / "downloads"
            place.mkdir()
            do(downloads, told.downloads, told.processes, told.seed, place)
        if "kills" in chosen:
            do(kills, Study(folder / "two", 2, told.methods), told.kills, draw, time_is_up)
        if {"disks", "runs", "clock"} & set(chosen):
            refusal = own_mounts() if "disks" in chosen else None
            study = Study(folder / "one", 1, told.methods)
            for kind in DISKS if "disks" in chosen else ():
                if refusal:
                    print(f"{kind}: not run, no mounts of one's own are allowed here ({refusal})")
                else:
                    do(disks, study, kind, told.moments, draw, time_is_up)
            if "runs" in chosen:
                do(one_folder, study, told.runs, draw, time_is_up)
                do(one_data, study, told.runs, draw, time_is_up)
            if "clock" in chosen:
                do(clock, study, told.clock, draw, time_is_up)
    used = os.times()
    cpu = used.user + used.system + used.children_user + used.children_system
    print(f"CPU: {cpu / 60:.1f} min")
    return int(any(account.lost or account.wrong for account in accounts))


if __name__ == "__main__":
    sys.exit(main())
