"""What the drivers share: they run in a rival's own Python, which has nothing of this project."""

import json
import resource
import sys
import time
from pathlib import Path


def main(start, register):
    """Answer the request of a folder, and tell there what it cost.

    `start()` imports the program and returns what is needed of it; `register(program, request,
    folder)` writes its result into the folder. The seconds are those of the latter.
    """
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    program = start()
    began, clock = time.time(), time.perf_counter()
    register(program, request, folder)
    seconds = time.perf_counter() - clock
    cost = {"began": began, "seconds": seconds, "peak_memory": peak_memory()}
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")


def peak_memory():
    """The largest resident memory of this process or of one that it started, in MiB.

    On Linux, what the system says to have been used counts the process that started this one too,
    as `warpline.provenance.record.peak_memory` knows.
    """
    unit = 1024**2 if sys.platform == "darwin" else 1024
    own, started = (
        resource.getrusage(who).ru_maxrss / unit
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    status = Path("/proc/self/status")
    if status.is_file():
        own = int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return max(own, started)
