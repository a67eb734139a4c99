"""Folders that several runs and users write to: one lock an archive, no links, whose they are."""

from __future__ import annotations

import errno
import logging
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from warpline.errors import WarplineError

log = logging.getLogger(__name__)

LOCK_MODE = 0o666  # so that another user of the folder can wait for it
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)


@contextmanager
def alone(target: Path, quiet: float) -> Iterator[None]:
    """Hold the lock of a file that is to be written; other runs wait.

    The operating system frees the lock when the process ends, however it ends.

    Parameters
    ----------
    quiet
        Seconds to wait without a word.

    Raises
    ------
    WarplineError
        If the folder cannot hold a lock.
    """
    path = target.with_name(f"{target.name}.lock")
    # Without fallback: a lock that is no more than a file would outlive a killed process.
    lock = filelock.FileLock(path, mode=LOCK_MODE, fallback_to_soft=False)
    try:
        try:
            lock.acquire(timeout=quiet)
        except filelock.Timeout:
            log.warning("%s: another run fetches it; waiting until %s is free", target, path)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise WarplineError(
                f"The archive cannot be locked against other runs ({error.strerror}).",
                where=path,
                do=f"Delete the file, or give another folder as `data`; {owner(path.parent)}.",
            ) from error
        log.warning("%s: this file system has no locks; let no other run fetch it", target)
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # who waits for it sees that it is gone, and makes another
        lock.release()


def owner(folder: Path) -> str:
    """Whose a folder is, as the end of a sentence."""
    user = folder.stat().st_uid
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # a user without a name, as in containers
        name = f"the user {user}"
    return f"the folder {folder} belongs to {name}"


def others(folder: Path) -> str | None:
    """Who besides this user could put a file into a folder; None if nobody but the system's own."""
    status = folder.stat()
    if status.st_uid not in (0, os.getuid()):
        return owner(folder)
    who = {stat.S_IWGRP: "its group", stat.S_IWOTH: "every user"}
    writers = [name for bit, name in who.items() if status.st_mode & bit]
    return f"{owner(folder)}, and {' and '.join(writers)} may write to it" if writers else None


def refuse_link(path: Path) -> None:
    """Refuse to write through a link that lies where a file is to be written.

    Raises
    ------
    WarplineError
        If there is a link, or a file that has another name too.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise WarplineError(
            "A link lies where a file is to be written; it is not followed.",
            where=path,
            do=f"Delete it, and see who put it there: {owner(path.parent)}.",
        )
