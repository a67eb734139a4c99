"""Whether an image fits: into the memory, and into the file that claims to hold it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from pathlib import Path

from warpline.errors import WarplineError

MOST_PACKED = 1040  # bytes that one of a compressed file can stand for
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_fits(size: int, files: Iterable[Path]) -> None:
    """Refuse an image of more bytes than its files can hold, or this machine's memory.

    Raises
    ------
    EOFError
        If its files cannot hold it, however well they are packed.
    WarplineError
        If the memory cannot.
    """
    files = [path for path in files if path.exists()]
    there = sum(path.stat().st_size for path in files)
    if size > MOST_PACKED * there:
        raise EOFError(f"its header claims {size} bytes; a file of {there} bytes cannot hold them")
    check_memory(size, files[0])


def check_memory(size: int, path: Path) -> None:
    """Refuse an image of more bytes than this machine's memory; `path` is where it lies.

    Raises
    ------
    WarplineError
        If the memory cannot hold it.
    """
    if size > memory():
        raise WarplineError(
            f"The image has {size / 2**30:.1f} GiB; this machine has {memory() / 2**30:.1f} GiB of "
            "memory for it.",
            where=path,
            do="Resample it, or cut it to what is needed, with a program that reads it in parts.",
        )


def memory() -> int:
    """Bytes of memory that this process may use: the machine's, its container's or its limit's."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in LIMITS:
        try:
            found.append(int(Path(name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(found if limit == resource.RLIM_INFINITY else [*found, limit])
