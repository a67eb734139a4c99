"""The cards of a machine, handed out among processes by file locks; knows nothing of torch."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import filelock

from warpline.errors import WarplineError

# Not the TMPDIR, which differs between users, runs and jobs: who shares a card shares this folder.
FOLDER = Path("/tmp/warpline-gpus")
FOLDER_MODE, FILE_MODE = 0o1777, 0o666
LONGEST_NOTE = 300  # characters shown of what a lock's file says


def card_names(count: int, visible: str | None) -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` calls each of the cards that a process sees, in their order.

    Parameters
    ----------
    count
        How many the process sees: fewer than are listed if the list has an invalid entry, such as
        the ``-1`` that ends it.
    visible
        The variable's value (numbers, ``GPU-…`` or ``MIG-…``); None if it is not set.
    """
    listed = [] if visible is None else [name.strip() for name in visible.split(",")]
    return [*listed[:count], *map(str, range(len(listed), count))]


def scope(environment: Mapping[str, str]) -> str:
    """Among whom cards are handed out: all processes of the machine, or those of one SLURM job.

    SLURM has given a job its cards. Another job never has to wait for this one's lock, whatever
    numbers both know their cards by and even if they are meant to share one; several trainings
    inside one allocation still have to share theirs out.
    """
    job = environment.get("SLURM_JOB_ID", "")
    return f"slurm-{job}-" if job else ""


@contextmanager
def hold(
    cards: Sequence[str], job: str, folder: str | os.PathLike | None = None, poll: float = 5.0
) -> Iterator[int]:
    """Hold one of the cards for the block; its place in `cards`. Waits until one is free.

    A card is its lock's file in `folder`. The operating system frees the lock when the process
    ends, however it ends, so a killed job leaves nothing to clean up. A job that waits prints who
    holds the cards.

    Parameters
    ----------
    cards
        Names that are the same in every process that sees the card.
    job
        What the lock is held for, told to those who wait.
    folder
        Where the locks lie; the machine's `FOLDER`, common to all its users, if not given.
    poll
        Seconds between two tries.

    Raises
    ------
    WarplineError
        If the folder cannot hold locks that all users may take.
    """
    place = _lock_folder(Path(folder or FOLDER))
    files = [place / f"gpu-{quote(card, safe='')}.lock" for card in cards]
    started, told = time.monotonic(), None
    # Locked itself, the folder is left alone by the system's cleaning of old temporary files.
    guard = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(guard, fcntl.LOCK_SH)
        while (found := _first_free(files)) is None:
            holders = [
                f"  {card}: {_holder(file)}" for card, file in zip(cards, files, strict=True)
            ]
            if holders != told:
                print("every GPU is held; waiting for one:", *holders, sep="\n", flush=True)
                told = holders
            time.sleep(poll)
        index, lock = found
        try:
            if told:
                waited = time.monotonic() - started
                print(f"GPU {cards[index]} is free after {waited:.0f} s", flush=True)
            _sign(files[index], job)
            yield index
        finally:
            lock.release()
    finally:
        os.close(guard)


def _lock_folder(folder: Path) -> Path:
    """The folder of the locks, which every user may write to but none can take another's place."""
    try:
        folder.mkdir(parents=True, exist_ok=False)
        os.chmod(folder, FOLDER_MODE)  # whatever the umask
    except FileExistsError:
        pass
    except OSError as error:
        raise _unusable(folder, error.strerror) from error
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise _unusable(folder, "it is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "it is another user's alone")
    return folder


def _unusable(place: Path, reason: str | None) -> WarplineError:
    return WarplineError(
        f"The locks that share out the GPUs cannot be kept ({reason}).",
        where=place,
        do="Let its owner delete it, or have it made anew with the permissions 1777.",
    )


def _first_free(files: Sequence[Path]) -> tuple[int, filelock.BaseFileLock] | None:
    """Place and lock of the first card that nobody holds; None if all are held."""
    for index, file in enumerate(files):
        # Without fallback: a lock that is no more than a file would outlive a killed process.
        lock = filelock.FileLock(file, mode=FILE_MODE, fallback_to_soft=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            continue
        except OSError as error:
            raise _unusable(file, error.strerror) from error
        return index, lock
    return None


def _sign(file: Path, job: str) -> None:
    """Say in the lock's file, which may be another user's, who holds it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        user = str(os.getuid())
    note = {"pid": os.getpid(), "user": user, "job": job, "since": time.strftime("%F %T")}
    with file.open("r+", encoding="utf-8") as stream:
        stream.truncate()
        json.dump(note, stream)


def _holder(file: Path) -> str:
    """Who says to hold a lock. Any user may have written it, so it is shown as plain text."""
    try:
        note = json.loads(file.read_bytes()[: 1 << 12])
        text = f"process {note['pid']} of {note['user']} since {note['since']}: {note['job']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not signed"
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_NOTE])
