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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 1024**2 if sys.platform == "darwin" else 1024
    cost = {"began": began, "seconds": seconds, "peak_memory": peak}
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
