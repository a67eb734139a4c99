"""Seconds and peak memory of the chest phantom.

    python benchmarks/chest_phantom.py [--sizes 64 256] [--threads 2] [--breathing]

Each size is made in a fresh process: once, with the trees grown anew, and, where it is small, three
times more. The peak is the whole process's, libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def measure(size: int, threads: int, breathing: bool) -> dict[str, float]:
    """Seconds of the first and of a later scan of `size`³, and the process's peak in MiB."""
    from warpline.phantoms.anatomy import chest

    make = chest.breathing if breathing else chest.subject
    seconds = []
    for seed in range(4 if size <= 96 else 1):
        start = time.perf_counter()
        make(seed, shape=(size, size, size), threads=threads)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"first": seconds[0], "later": statistics.median(seconds[1:] or seconds), "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--breathing", action="store_true", help="two phases and both fields")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.threads, options.breathing)))
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for size in options.sizes:
        command = [sys.executable, __file__, "--one", str(size), "--threads", str(options.threads)]
        command += ["--breathing"] if options.breathing else []
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        result = json.loads(run.stdout)
        print(
            f"{size}³, {options.threads} threads: first {result['first']:.2f} s, "
            f"later {result['later']:.2f} s, peak {result['peak']:.0f} MiB"
        )


if __name__ == "__main__":
    main()
