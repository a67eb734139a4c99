"""Cards are handed out to one process at a time, whatever becomes of the processes.

The cards are names alone: nothing here needs a GPU, and the processes do not import torch.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from warpline.devices import locks
from warpline.devices.claim import claim, claim_several
from warpline.devices.locks import card_names, hold, scope
from warpline.errors import WarplineError

# Takes a card, tells when it had it, and lets it go after a while or when it is told to.
JOB = """
import sys, time
from warpline.devices.locks import hold
assert "torch" not in sys.modules
folder, job, seconds, *cards = sys.argv[1:]
with hold(cards, job, folder, poll=0.02) as (index,):
    print("got", cards[index], time.monotonic(), flush=True)
    time.sleep(float(seconds))
    print("left", cards[index], time.monotonic(), flush=True)
"""
# Becomes the other user once everything is imported: the Python here may be root's alone.
AS_OTHER_USER = JOB.replace("assert", "import os; os.setgid(12345); os.setuid(12345)\nassert")


@contextmanager
def started(
    folder: Path, job: str, seconds: float, *cards: str, code: str = JOB
) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), job, str(seconds), *cards],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def card_of(process: subprocess.Popen) -> str:
    """The card that a job says to have got; what it printed before is left out."""
    for line in process.stdout:
        if line.startswith("got "):
            return line.split()[1]
    raise AssertionError("the job ended without a card")


def times(lines: str) -> tuple[str, float, float]:
    """Card, start and end of a job by what it printed."""
    (_, card, start), (_, _, end) = (
        line.split() for line in lines.splitlines() if line.startswith(("got", "left"))
    )
    return card, float(start), float(end)


def test_six_processes_share_two_cards(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", JOB, str(tmp_path), f"job{n}", "0.15", "0", "1"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(6)
    ]
    held = [times(process.communicate(timeout=30)[0]) for process in processes]
    assert {card for card, _, _ in held} == {"0", "1"}
    for card in ("0", "1"):
        spans = sorted((start, end) for name, start, end in held if name == card)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_killed_holder_frees_its_card_for_the_one_that_waits(tmp_path):
    with started(tmp_path, "models/a", 60, "0") as first:
        assert card_of(first) == "0"
        with started(tmp_path, "models/b", 0, "0") as second:
            said = [second.stdout.readline() for _ in range(2)]
            assert said[0] == "every GPU is held; waiting for one:\n"
            assert f"0: process {first.pid} of " in said[1]
            assert said[1].endswith(": models/a\n")
            assert second.poll() is None
            first.send_signal(signal.SIGKILL)
            first.wait()
            assert "GPU 0 is free after" in second.stdout.readline()
            assert card_of(second) == "0"
            assert second.wait(timeout=10) == 0


def test_two_users_share_a_card(tmp_path):
    """The folder and its locks are anyone's, whoever made them and with whatever umask."""
    if os.getuid() != 0:
        pytest.skip("only root can act as two users")
    folder = Path(tempfile.gettempdir()) / f"warpline-test-{os.getpid()}"  # open to other users
    old = os.umask(0o077)
    try:
        with started(folder, "root's", 60, "0") as first:
            assert card_of(first) == "0"
            assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
            with started(folder, "other's", 0, "0", code=AS_OTHER_USER) as second:
                assert second.stdout.readline().startswith("every GPU")
                assert second.stdout.readline().endswith("root's\n")
                first.kill()
                assert card_of(second) == "0"
                assert second.wait(timeout=10) == 0
        assert json.loads((folder / "gpu-0.lock").read_text())["job"] == "other's"
    finally:
        os.umask(old)
        for file in [*folder.glob("*"), folder]:
            file.rmdir() if file.is_dir() else file.unlink()


def test_the_lock_of_a_job_that_fails_is_free(tmp_path):
    with pytest.raises(RuntimeError), hold(["0"], "a", tmp_path):
        raise RuntimeError
    with hold(["0"], "b", tmp_path, poll=60) as (index,):
        assert index == 0


def test_what_a_lock_says_is_shown_as_plain_text(tmp_path, capsys):
    """Another user may write into it what a terminal would obey."""
    with started(tmp_path, "\x1b[2J" + "x" * 1000, 0.3, "0") as first:
        card_of(first)
        with hold(["0"], "b", tmp_path, poll=0.02):
            pass
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "process" in line]
    assert "\x1b" not in line
    assert "?[2J" in line
    assert len(line) < 320


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_that_is_none_is_refused(tmp_path, kind):
    """Who puts a link in the folder's place must not have files made where it leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = tmp_path / "locks"
    place.symlink_to(elsewhere) if kind == "link" else place.touch()
    with pytest.raises(WarplineError, match="it is no folder"), hold(["0"], "a", place):
        pass
    assert list(elsewhere.iterdir()) == []


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "target").touch()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "gpu-0.lock").symlink_to(tmp_path / "target")
    with pytest.raises(WarplineError, match="cannot be kept"), hold(["0"], "a", tmp_path / "locks"):
        pass


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "folder"])
def test_what_is_no_lock_is_neither_followed_nor_written(tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    place = tmp_path / "locks"
    place.mkdir()
    file = place / "gpu-0.lock"
    make = {"link": file.symlink_to, "hard link": file.hardlink_to}
    if kind in make:
        make[kind](victim)
    else:
        os.mkfifo(file) if kind == "fifo" else file.mkdir()
    with pytest.raises(WarplineError, match="cannot be kept"), hold(["0"], "a", place):
        pass
    assert victim.read_text() == "precious"


def test_a_link_that_is_swapped_in_is_not_written_through(tmp_path, monkeypatch):
    """The lock is taken, and then another puts a link in the place of its file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    place = tmp_path / "locks"
    place.mkdir()
    right = locks._sign

    def swapped(lock, job):
        (place / "gpu-0.lock").unlink()
        (place / "gpu-0.lock").symlink_to(victim)
        right(lock, job)

    monkeypatch.setattr(locks, "_sign", swapped)
    with hold(["0"], "a", place):
        assert victim.read_text() == "precious"


def test_a_lock_whose_file_was_replaced_is_taken_anew(tmp_path, monkeypatch):
    """Else two would hold the card: one the old file, one the new."""
    right, replaced = fcntl.flock, []

    def flock(descriptor, operation):
        right(descriptor, operation)
        if operation & fcntl.LOCK_EX and not replaced:
            (tmp_path / "gpu-0.lock").unlink()
            replaced.append(True)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with hold(["0"], "a", tmp_path):
        monkeypatch.undo()
        with started(tmp_path, "b", 0, "0") as other:
            assert other.stdout.readline() == "every GPU is held; waiting for one:\n"


def test_another_s_lock_on_the_folder_hangs_nobody(tmp_path, capsys):
    code = "import fcntl, os, sys, time; f = os.open(sys.argv[1], 0); fcntl.flock(f, 2); print(1)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdout.flush(); time.sleep(60)", str(tmp_path)],
        stdout=subprocess.PIPE,
    ) as other:
        try:
            other.stdout.readline()
            begun = time.monotonic()
            with hold(["0"], "a", tmp_path):
                assert time.monotonic() - begun < 5
        finally:
            other.kill()
    said = capsys.readouterr().out
    assert f"{tmp_path} is locked by " in said
    assert f"process {other.pid} of " in said or "not seen from here" in said


def test_a_folder_whose_locks_anyone_may_delete_is_refused(tmp_path):
    place = tmp_path / "locks"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(WarplineError, match="may delete another's"), hold(["0"], "a", place):
        pass
    place.chmod(0o1777)
    with hold(["0"], "a", place):
        pass


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("owner", [0, 23456])
def test_a_folder_that_is_another_user_s_alone_is_refused_and_names_him(owner):
    code = AS_OTHER_USER.replace("import sys, time", "import sys, time\nsys.stderr = sys.stdout")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        os.chown(folder, owner, owner)
        os.chmod(folder, 0o755)
        with started(Path(folder), "a", 0, "0", code=code) as other:
            said = other.stdout.read()
            assert other.wait(timeout=30) == 1
        assert not os.listdir(folder)
    name = pwd.getpwuid(0).pw_name if owner == 0 else owner
    assert f"cannot be kept (it is {name}'s, who alone may write to it).\n  where: {folder}" in said
    assert "to do: Let its owner delete it" in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_another_user_s_folder_is_said_to_be_theirs(tmp_path, capsys):
    os.chown(tmp_path, 12345, 12345)
    with hold(["0"], "a", tmp_path):
        pass
    assert f"{tmp_path} belongs to 12345, who could free its locks" in capsys.readouterr().out


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (2, None, ["0", "1"]),
        (2, "4,7", ["4", "7"]),
        (2, " 4 , 7 ", ["4", "7"]),
        (1, "3,-1,5", ["3"]),
        (2, "GPU-8932f937,GPU-d9a23b1c", ["GPU-8932f937", "GPU-d9a23b1c"]),
        (1, "MIG-GPU-8932f937/1/0", ["MIG-GPU-8932f937/1/0"]),
        (0, "", []),
        (0, "-1", []),
    ],
)
def test_names_of_the_visible_cards(count, visible, names):
    assert card_names(count, visible) == names


def test_any_name_makes_a_lock_in_the_folder(tmp_path):
    names = ["MIG-GPU-1/1/0", "../x", "GPU-1"]
    with (
        hold(names, "a", tmp_path),
        hold(names, "b", tmp_path),
        hold(names, "c", tmp_path) as (last,),
    ):
        assert last == 2
        assert len(list(tmp_path.iterdir())) == 3
        assert all(path.name.startswith("gpu-") for path in tmp_path.iterdir())


# The device of a job ----------------------------------------------------------------------------


@pytest.fixture
def one_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def test_slurm_s_jobs_do_not_wait_for_each_other_s_card_0(tmp_path, one_card):
    """With isolated devices every job calls its card 0; two jobs have two cards all the same."""
    one_card.setenv("CUDA_VISIBLE_DEVICES", "0")
    one_card.setenv("SLURM_JOB_ID", "17")
    with claim("cuda", tmp_path) as first:
        one_card.setenv("SLURM_JOB_ID", "18")
        with claim("cuda", tmp_path, poll=60) as second:
            assert first.index == second.index == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_trainings_inside_one_slurm_job_share_its_cards_out(tmp_path, one_card):
    one_card.setattr(torch.cuda, "device_count", lambda: 2)
    one_card.setenv("SLURM_JOB_ID", "17")
    with claim("cuda", tmp_path) as first, claim("cuda", tmp_path) as second:
        assert {first.index, second.index} == {0, 1}
    assert scope({}) == scope({"SLURM_JOB_ID": ""}) == ""


class Properties:
    """Of a card that one process calls 3, another by a part of its id, a third not at all."""

    name, uuid = "a card", "8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.mark.parametrize("visible", [None, "3", "GPU-8932f937"])
def test_one_card_has_one_lock_by_whatever_name(tmp_path, one_card, visible):
    one_card.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    if visible:
        one_card.setenv("CUDA_VISIBLE_DEVICES", visible)
    with claim("cuda", tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [f"gpu-GPU-{Properties.uuid}.lock"]


@pytest.mark.parametrize("visible", ["", "-1"])
def test_hidden_cards_are_named_as_the_reason(tmp_path, one_card, visible):
    one_card.setattr(torch.cuda, "device_count", lambda: 0)
    one_card.setenv("CUDA_VISIBLE_DEVICES", visible)
    with (
        pytest.raises(WarplineError, match=f"CUDA_VISIBLE_DEVICES is '{visible}'"),
        claim("cuda", tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_learns_the_job(tmp_path, one_card, capsys):
    with claim("cuda", tmp_path, job="models/a"):
        (lock,) = tmp_path.iterdir()
        assert json.loads(lock.read_text())["job"] == "models/a"


def test_the_time_is_the_holder_s(tmp_path):
    with hold(["0"], "a", tmp_path):
        note = json.loads((tmp_path / "gpu-0.lock").read_text())
    assert note["pid"] == os.getpid()
    assert abs(time.mktime(time.strptime(note["since"], "%Y-%m-%d %H:%M:%S")) - time.time()) < 5


class Waits(Exception):
    """Instead of the time between two tries."""


def test_several_cards_are_held_at_once_or_none(tmp_path, capsys, monkeypatch):
    def wait(seconds: float) -> None:
        raise Waits

    monkeypatch.setattr(locks.time, "sleep", wait)
    names = ["0", "1", "2"]
    with hold(names, "a", tmp_path, count=2) as places:
        assert places == [0, 1]
        with pytest.raises(Waits), hold(names, "b", tmp_path, count=2):
            pass
        assert "fewer than 2 GPUs are free" in capsys.readouterr().out
        # Who waits holds none of them meanwhile.
        with hold(names, "c", tmp_path) as (place,):
            assert place == 2
    with hold(names, "d", tmp_path, count=3) as places:
        assert places == [0, 1, 2]


def test_more_cards_than_there_are_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    error = pytest.raises(WarplineError, match="2 GPUs are asked for, but torch sees 1")
    with error as found, claim_several("cuda", 2):
        pass
    assert "--resources gpu=2" in str(found.value)
    with claim_several("cpu", 2) as devices:
        assert devices == [torch.device("cpu")] * 2
