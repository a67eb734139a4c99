"""Running a registration tool written in C++: its output, its errors, its images."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from warpline.errors import WarplineError
from warpline.images.grid import Image

TAIL = 15


@contextmanager
def tool_run(tool: str, fixed: str, moving: str) -> Iterator[Path]:
    """Run a block that calls `tool`, in a temporary folder of its own, with its output caught.

    Yields
    ------
    Path
        The folder; it goes when the block ends, however it ends. What the tool prints is held
        there in a file, since native code writes past Python's streams.

    Raises
    ------
    WarplineError
        In place of any exception of the tool, with the pair and the last lines of output.
    """
    with tempfile.TemporaryDirectory(prefix="warpline-") as name:
        folder = Path(name)
        try:
            with _redirected(folder / "output.txt"):
                yield folder
        except WarplineError:
            raise
        except Exception as error:
            logs = [folder / "output.txt", *folder.glob("elastix.log")]
            lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
            tail = [line for line in lines if line.strip()][-TAIL:]
            raise WarplineError(
                f"{tool} failed: {str(error).strip() or type(error).__name__}",
                where=f"fixed {fixed}, moving {moving}",
                do="Read the tool's last lines:\n    " + "\n    ".join(tail) if tail else None,
            ) from error


@contextmanager
def _redirected(path: Path) -> Iterator[None]:
    """Send file descriptors 1 and 2 to a file for a while."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    try:
        with path.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, source in enumerate(kept, start=1):
            os.dup2(source, target)
            os.close(source)


def check_finite(tool: str, case_id: str, image: Image) -> None:
    """Refuse an image on which the tool would fail late, or worse, not at all."""
    if not np.isfinite(image.array).all():
        raise WarplineError(
            f"The image holds values that are not finite: {tool} cannot use it.", where=case_id
        )
