"""What every job of the workflow does around its work: a log, one line of error, few threads."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warpline import progress
from warpline.errors import WarplineError

# Set where a screen shows the last lines of logs, and the logs of jobs that fail
# (snakemake_logger_plugin_warpline): what a job wrote to the terminal would tear it.
SCREEN = "WARPLINE_SCREEN"


@contextmanager
def job(log: str | os.PathLike, threads: int = 1) -> Iterator[None]:
    """Run a job's block with its output in a log file.

    Everything printed, by Python or by native libraries, goes to `log`. A `WarplineError` also
    goes to the terminal, as its message alone; so does any other error's last line, unless a screen
    shows the log. Libraries
    that read their number of threads from the environment are told `threads`, so a job must enter
    this block before it imports them.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    kept = os.dup(1)
    with path.open("a", encoding="utf-8") as stream:
        _flush()
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        if SCREEN not in os.environ:
            progress.announce = lambda line: _say(terminal, f"{line}\n")
        try:
            yield
        except WarplineError as error:
            _say(terminal, f"\n{error}\n  log: {path}\n")
            _flush()  # what was printed before stands before it in the log
            print(error, file=sys.stderr)
            raise SystemExit(1) from None
        except Exception as error:
            _say(terminal, f"\n{type(error).__name__}: {error}\n  log: {path}\n")
            _flush()
            traceback.print_exc()
            raise SystemExit(1) from None
        finally:
            progress.announce = None
            _flush()
            os.dup2(kept, 1)
            os.dup2(terminal, 2)
            os.close(kept)
            os.close(terminal)


def _flush() -> None:
    """Empty the buffers of Python and of the C library: ITK and ANTs print through the latter."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


def _say(terminal: int, text: str) -> None:
    if SCREEN not in os.environ:
        os.write(terminal, text.encode("utf-8", errors="replace"))
