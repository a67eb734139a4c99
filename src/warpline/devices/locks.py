"""The cards of a machine, handed out among processes by file locks; knows nothing of torch."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from warpline.errors import WarplineError, plain

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
    cards: Sequence[str],
    job: str,
    folder: str | os.PathLike | None = None,
    poll: float = 5.0,
    count: int = 1,
) -> Iterator[list[int]]:
    """Hold `count` of the cards for the block; their places in `cards`.

    Waits until so many are free, and holds none meanwhile, so that no two jobs wait for each other.

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
    count
        How many cards.

    Raises
    ------
    WarplineError
        If the folder cannot hold locks that all users may take.
    """
    place = _lock_folder(Path(folder or FOLDER))
    files = [place / f"gpu-{quote(card, safe='')}.lock" for card in cards]
    started, told = time.monotonic(), None
    with _guarded(place):
        while len(found := _free(files, count)) < count:
            _release(found)
            holders = [
                f"  {card}: {_holder(file)}" for card, file in zip(cards, files, strict=True)
            ]
            if holders != told:
                wanted = "every GPU is held; waiting for one:"
                if count > 1:
                    wanted = f"fewer than {count} GPUs are free; waiting for them:"
                print(wanted, *holders, sep="\n", flush=True)
                told = holders
            time.sleep(poll)
        try:
            if told:
                waited = time.monotonic() - started
                names = " and ".join(cards[place] for place in found)
                are = "is" if count == 1 else "are"
                print(f"GPU {names} {are} free after {waited:.0f} s", flush=True)
            for lock in found.values():
                _sign(lock, job)
            yield list(found)
        finally:
            _release(found)


def _release(found: Mapping[int, int]) -> None:
    for lock in found.values():
        os.close(lock)  # frees it


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """Lock the folder itself: the system's cleaning of old temporary files leaves it alone then.

    Another's lock on it is told of and not waited for: the cards' own locks do without.
    """
    guard = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(guard, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder} is locked by {_locker(os.fstat(guard))}; going on without", flush=True)
        yield
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
        raise _unusable(folder, f"it is {_name(folder.stat().st_uid)}'s, who alone may write to it")
    status = folder.stat()
    if status.st_uid not in (0, os.getuid()):
        print(f"{folder} belongs to {_name(status.st_uid)}, who could free its locks", flush=True)
    elif status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise _unusable(folder, "every user may delete another's locks")
    return folder


def _unusable(place: Path, reason: str | None) -> WarplineError:
    return WarplineError(
        f"The locks that share out the GPUs cannot be kept ({reason}).",
        where=place,
        do="Let its owner delete it, or have it made anew with the permissions 1777.",
    )


def _free(files: Sequence[Path], count: int) -> dict[int, int]:
    """Places and locked descriptors of the first cards that nobody holds, `count` at the most."""
    found: dict[int, int] = {}
    for index, file in enumerate(files):
        if len(found) == count:
            break
        try:
            lock = _locked(file)
        except OSError as error:
            _release(found)
            raise _unusable(file, error.strerror) from error
        if lock is not None:
            found[index] = lock
    return found


def _locked(file: Path) -> int | None:
    """The locked descriptor of a lock's file, which is made where there is none; None if held.

    Raises
    ------
    OSError
        If it cannot be opened, or is a link or something else than a file.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            # Without O_CREAT: the system refuses that for another user's file in such a folder.
            lock = os.open(file, flags)
        except FileNotFoundError:
            try:
                lock = os.open(file, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
            except FileExistsError:
                continue
            os.fchmod(lock, FILE_MODE)  # whatever the umask
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(lock)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise OSError(errno.ELOOP, "it is a link, or no file")
            if os.path.samestat(status, os.lstat(file)):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        except OSError:
            os.close(lock)
            raise
        os.close(lock)  # it was replaced meanwhile


def _sign(lock: int, job: str) -> None:
    """Say in the locked file, which may be another user's, who holds it."""
    note = {
        "pid": os.getpid(),
        "user": _name(os.getuid()),
        "job": job,
        "since": time.strftime("%F %T"),
    }
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(note).encode(), 0)


def _name(user: int) -> str:
    """A user's name, or the number of one without, as in containers."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _locker(status: os.stat_result) -> str:
    """Who holds a lock on a file, by the system's own list."""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        process = next(line.split()[4] for line in lines if line.split()[5:6] == [place])
        return f"process {process} of {_name(os.stat(f'/proc/{process}').st_uid)}"
    except (OSError, StopIteration, IndexError):
        return "a process that is not seen from here"


def _holder(file: Path) -> str:
    """Who says to hold a lock. Any user may have written it, so it is shown as plain text."""
    try:
        lock = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status, content = os.fstat(lock), os.read(lock, 1 << 12)
        finally:
            os.close(lock)
    except OSError:
        return "a process that has not signed"
    try:
        note = json.loads(content)
        text = f"process {note['pid']} of {note['user']} since {note['since']}: {note['job']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{_locker(status)}, which has not signed"
    return plain(text[:LONGEST_NOTE])
