"""Two processes with half a batch each learn what one learns with the whole, and survive kills."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from distributed_tools import terms
from safetensors.torch import load_file
from test_training_run import RECIPE, run
from training_tools import blob_case

from warpline.cases.case import write_case
from warpline.errors import WarplineError
from warpline.training.checkpoints import StateFolder
from warpline.training.distributed import ALONE, Group

TOOL = Path(__file__).with_name("distributed_tools.py")
CASES = [f"c{i}" for i in range(4)]


def recipe(devices: int) -> dict:
    training = RECIPE["training"] | {
        "epochs": 6,
        "batch_size": 2,
        "symmetric": True,
        "selection": "last",
        "checkpoint_seconds": 0,
        "validation": {"every": 3},
        "devices": devices,
        # Adam's steps have the sign of a gradient even where that is rounding: small ones.
        "optimiser": RECIPE["training"]["optimiser"] | {"learning_rate": 1e-4},
    }
    return RECIPE | {"training": training}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("cases")
    for i in range(5):
        write_case(root / f"c{i}", blob_case(f"c{i}", i))
    return {f"c{i}": str(root / f"c{i}") for i in range(5)}


def train_on(devices: int, folders, results: Path) -> dict[str, str]:
    about = {"cases": CASES, "validation": [("c4", "c0")]}
    return run(folders, results, recipe=recipe(devices), **about)


@pytest.fixture(scope="module")
def shared(folders, tmp_path_factory):
    return train_on(2, folders, tmp_path_factory.mktemp("shared"))


def test_terms_and_gradients_over_two_halves_are_those_of_the_whole(tmp_path):
    results = [tmp_path / "0.pt", tmp_path / "1.pt"]
    members = [
        subprocess.Popen([sys.executable, str(TOOL), str(k), str(tmp_path / "store"), str(result)])
        for k, result in enumerate(results)
    ]
    assert [member.wait(timeout=120) for member in members] == [0, 0]
    whole = terms(ALONE)
    for result in results:
        found = torch.load(result, weights_only=True)
        assert found.keys() == whole.keys()
        for name, value in whole.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_losses_and_weights_are_those_of_one_process_with_both_halves(folders, shared, tmp_path):
    alone = train_on(1, folders, tmp_path)
    ours, theirs = (pd.read_csv(outputs["history"]) for outputs in (shared, alone))
    place = ["step", "epoch", "split", "name"]
    pd.testing.assert_frame_equal(ours[place], theirs[place])
    assert len(ours) > 24
    np.testing.assert_allclose(ours["value"], theirs["value"], rtol=1e-5, atol=1e-6)
    ours, theirs = (load_file(outputs["weights"]) for outputs in (shared, alone))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=2e-3)


def member_of(state: Path, rank: int) -> int:
    """The process of this rank that trains there: one of this process' children."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = folder.joinpath("cmdline").read_bytes().decode().split("\0")
            parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == os.getpid() and words[2:4] == ["warpline.training.together", str(rank)]:
            return int(folder.name)
    raise AssertionError("no such process")


def interrupted(folders, results: Path, strike) -> int:
    """Train until the first checkpoints are written, and `strike` then; the exit status."""
    state = StateFolder(results / "state")
    before = state.load()["step"] if state.last.exists() else 0

    def wait() -> None:
        while not state.last.exists() or state.load()["step"] < before + 2:
            time.sleep(0.01)
        strike()

    thread = threading.Thread(target=wait)
    thread.start()
    with pytest.raises(SystemExit) as ended:
        train_on(2, folders, results)
    thread.join()
    return ended.value.code


@pytest.mark.long
def test_a_training_goes_on_after_one_of_its_processes_was_killed(
    folders, shared, tmp_path, capsys
):
    state = tmp_path / "state"
    assert interrupted(folders, tmp_path, lambda: os.kill(member_of(state, 1), signal.SIGKILL)) == 1
    log = capsys.readouterr().err
    assert "Of the 2 processes of a training, number" in log
    assert "goes on from its last checkpoint" in log
    assert 2 <= StateFolder(state).load()["step"] < 12
    again = train_on(2, folders, tmp_path)
    assert Path(again["weights"]).read_bytes() == Path(shared["weights"]).read_bytes()


@pytest.mark.long
def test_sigterm_is_handed_on_and_the_state_saved(folders, shared, tmp_path):
    stop = interrupted(folders, tmp_path, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert stop == 128 + signal.SIGTERM
    assert "SIGTERM: state of step" in (tmp_path / "train.log").read_text()
    again = train_on(2, folders, tmp_path)
    assert Path(again["weights"]).read_bytes() == Path(shared["weights"]).read_bytes()


@pytest.mark.long
def test_what_a_process_refuses_is_told_as_its_own_words(folders, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(folders, tmp_path, recipe=recipe(3), cases=CASES, validation=[])
    log = capsys.readouterr().err
    assert "A batch of 2 is too small for 3 processes" in log


def test_shares_of_a_batch_by_hand():
    batch = torch.arange(6)
    assert [Group(k, 3).share(batch).tolist() for k in range(3)] == [[0, 1], [2, 3], [4, 5]]
    # A rest goes to the later ones.
    assert [Group(k, 2).share([1, 2, 3]) for k in range(2)] == [[1], [2, 3]]
    with pytest.raises(WarplineError, match="too small for 4"):
        Group(0, 4).share([1, 2, 3])
