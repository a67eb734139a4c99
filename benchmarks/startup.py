"""What a user waits for before any work begins: a dry run, and the start of each kind of job.

python benchmarks/startup.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def seconds(command: list[str]) -> float:
    """CPU seconds of a command and of what it starts, which other work beside it changes least."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    snakemake = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet"]
    for scale in ("demo", "cpu", "paper"):
        took = min(seconds([*snakemake, "--config", f"scale={scale}"]) for _ in range(3))
        print(f"dry run, scale {scale:6s} {took:5.2f} s")
    print(
        f"python itself         {min(seconds([sys.executable, '-c', '']) for _ in range(3)):5.2f} s"
    )
    for script in sorted((ROOT / "scripts").glob("*.py")):
        command = [sys.executable, str(script)]
        took = min(seconds(command) for _ in range(3))
        print(f"{script.name:21s} {took:5.2f} s")


if __name__ == "__main__":
    main()
