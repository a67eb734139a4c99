"""The loop survives kills, stops at NaN, keeps the best, and repeats itself bit for bit."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from training_tools import Slope, Slow, course, small_network, small_objective

from warpline import networks
from warpline.errors import WarplineError
from warpline.networks.weights import load_weights, save_weights, trained
from warpline.plan.recipe import NetworkEntry
from warpline.training import loop
from warpline.training.ahead import Ahead
from warpline.training.checkpoints import StateFolder, unfit
from warpline.training.loop import HISTORY_COLUMNS, train, use_best, write_history
from warpline.training.precision import precision_on

TOOL = Path(__file__).with_name("training_tools.py")
torch.set_num_threads(1)


def start(state: Path, weights: Path, pause: float = 0.0) -> subprocess.Popen:
    command = [sys.executable, str(TOOL), str(state), str(weights), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def written(path: Path) -> int:
    """When `path` was written; 0 while there is none, as between two checkpoints."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def test_sigkill_at_any_moment_changes_nothing(tmp_path):
    straight = tmp_path / "straight.safetensors"
    assert start(tmp_path / "a", straight).wait() == 0
    rng = random.Random(0)
    weights, state = tmp_path / "killed.safetensors", tmp_path / "b"
    kills = 0
    while not weights.exists():
        process = start(state, weights, pause=0.08)
        # The first checkpoint comes soon after the imports; then strike at a random moment.
        before = written(state / "last.pt")
        while process.poll() is None and written(state / "last.pt") in (0, before):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        if kills < 3 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills == 3
    assert weights.read_bytes() == straight.read_bytes()


def test_sigterm_saves_the_very_step(tmp_path):
    state = tmp_path / "state"
    # Slow enough that on a busy machine, too, it is not at its end before the signal comes.
    process = start(state, tmp_path / "w.safetensors", pause=0.5)
    while not (state / "last.pt").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    step = StateFolder(state).load()["step"]
    assert f"state of step {step} saved" in output
    assert 0 < step < 24
    assert not (tmp_path / "w.safetensors").exists()


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    state = StateFolder(tmp_path)
    state.save({"step": 1})
    state.save({"step": 2})
    state.last.write_bytes(state.last.read_bytes()[:40])
    assert state.load() == {"step": 1}
    assert "cannot be read" in capsys.readouterr().out


def test_a_checkpoint_that_holds_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'pwned'}",)

    torch.save({"step": Evil()}, tmp_path / "last.pt")
    assert StateFolder(tmp_path).load() is None
    assert not (tmp_path / "pwned").exists()


def test_learning_happens(tmp_path):
    network, objective = small_network(), small_objective()
    before = objective.validate(network)
    result = train(network, objective, course(epochs=25, learning_rate=1e-2), tmp_path)
    after = objective.validate(network)
    assert after["dice"] > before["dice"] + 0.05
    assert after["loss"] < before["loss"]
    assert result.steps == 25 * 3


def test_history_and_best(tmp_path):
    network, objective = small_network(), small_objective()
    settings = course(epochs=5, learning_rate=1e-2, validate_every=2)
    result = train(network, objective, settings, tmp_path / "state")
    validated = [row for row in result.history if row[3:5] == ("val", "loss")]
    assert [row[1] for row in validated] == [2, 4, 5]  # the last epoch always counts
    assert result.best_epoch == min(validated, key=lambda row: row[5])[1]
    losses = [row for row in result.history if row[3:5] == ("train", "loss")]
    assert [row[:2] for row in losses] == [(3 * e, e) for e in range(1, 6)]
    write_history(tmp_path / "history.csv", result.history)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == ",".join(HISTORY_COLUMNS)
    assert len(lines) == 1 + len(result.history)
    best = small_network(1)
    use_best(best, tmp_path / "state")
    best.eval()
    value = objective.validate(best)["loss"]
    assert value == pytest.approx(min(row[5] for row in validated), abs=1e-6)


def test_a_line_of_progress_has_epoch_loss_and_validation(tmp_path, capsys):
    train(small_network(), small_objective(), course(epochs=2, validate_every=2), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    number = r"[0-9.e-]+"
    assert re.fullmatch(rf"training: step 4 of 6 \(67%\), epoch 1 of 2, loss {number}", lines[3])
    last = rf"training: step 6 of 6 \(100%\), epoch 2 of 2, loss {number}, validation {number}"
    assert re.fullmatch(last, lines[5])


def test_patience_stops_after_epochs_without_progress(tmp_path):
    class Stuck(Slow):
        def validate(self, network):
            return {"loss": 1.0}

    settings = course(epochs=50, patience=3)
    result = train(small_network(), Stuck(small_objective(), 0), settings, tmp_path)
    assert result.best_epoch == 1
    assert result.steps == 4 * 3


class Exploding(Slow):
    """The loss becomes NaN from a step on."""

    def __init__(self, objective, at):
        super().__init__(objective, 0.0)
        self.at, self.step = at, 0

    def batch(self, step):
        self.step = step
        return self.objective.batch(step)

    def loss(self, network, batch):
        loss, parts = self.objective.loss(network, batch)
        return (loss * float("nan"), parts) if self.step >= self.at else (loss, parts)


def test_nan_stops_with_the_last_good_state_kept(tmp_path):
    settings = course(epochs=5, checkpoint_seconds=1e-6)
    with pytest.raises(WarplineError, match="diverged: the loss stopped being finite at step 4"):
        train(small_network(), Exploding(small_objective(), 4), settings, tmp_path)
    state = StateFolder(tmp_path).load()
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["network"].values())


def test_weights_that_became_infinite_are_never_saved(tmp_path):
    class Broken(Slow):
        def loss(self, network, batch):
            loss, parts = self.objective.loss(network, batch)
            with torch.no_grad():
                network.last.bias[0] = float("inf")
            return loss, parts

    settings = course(epochs=1, checkpoint_seconds=1e-6)
    with pytest.raises(WarplineError, match="weights stopped being finite"):
        train(small_network(), Broken(small_objective(), 0), settings, tmp_path)
    assert StateFolder(tmp_path).load() is None


def test_cosine_schedule_ends_at_two_percent(tmp_path):
    rates = []

    class Watching(Slow):
        def loss(self, network, batch):
            return self.objective.loss(network, batch)

    original = torch.optim.Adam.step

    def step(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return original(self, *args, **kwargs)

    torch.optim.Adam.step = step
    try:
        settings = course(epochs=10, learning_rate=1.0e-3, schedule="cosine", validate_every=0)
        train(small_network(), Watching(small_objective(), 0), settings, tmp_path)
    finally:
        torch.optim.Adam.step = original
    assert rates[0] == pytest.approx(1e-3)
    assert rates[15] == pytest.approx(0.51e-3)  # half-way: the mean of both ends
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.025e-3


def test_bfloat16_trains_too(tmp_path):
    network, objective = small_network(), small_objective()
    before = objective.validate(network)["dice"]
    settings = course(epochs=20, learning_rate=1e-2, precision="bfloat16", validate_every=0)
    train(network, objective, settings, tmp_path)
    assert objective.validate(network)["dice"] > before + 0.03


def test_weights_round_trip_and_pretraining(tmp_path):
    network, other = small_network(0), small_network(1)
    save_weights(tmp_path / "w.safetensors", network)
    assert load_weights(tmp_path / "w.safetensors", other) == []
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    deeper = small_network()
    deeper.add_module("extra", torch.nn.Linear(2, 2))
    with pytest.raises(WarplineError, match="do not fit"):
        load_weights(tmp_path / "w.safetensors", deeper)
    left = load_weights(tmp_path / "w.safetensors", deeper, strict=False)
    assert left == ["extra.bias", "extra.weight"]
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(WarplineError, match="cannot be read"):
        load_weights(tmp_path / "w.safetensors", other)


def test_a_recipe_and_its_weights_make_the_network_again(tmp_path):
    parameters = {"channels": [4, 4], "convolutions": [1]}
    network = networks.build("estienne2020", parameters)
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.normal_(std=0.1)
    save_weights(tmp_path / "w.safetensors", network)
    recipe = {"network": {"name": "estienne2020", "parameters": parameters}}
    again = trained(NetworkEntry.of(recipe), tmp_path / "w.safetensors", torch.device("cpu"))
    assert not again.training
    state = again.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


class Scripted:
    """An objective whose training loss follows a script, one step an epoch."""

    steps_per_epoch = 1

    def __init__(self, script):
        self.script = list(script)

    def batch(self, step):
        return self.script[step]

    def loss(self, network, batch):
        return next(network.parameters()).sum() * 0 + batch, {}

    def validate(self, network):
        return {"loss": 0.0}


def test_the_training_loss_may_end_a_training(tmp_path):
    script = [5.0, 4.0, 4.5, 3.0, 3.5, 3.1, 3.2, 1.0, 1.0]
    settings = course(epochs=9, monitor="train", patience=3, validate_every=1)
    result = train(small_network(), Scripted(script), settings, tmp_path)
    assert (result.best_epoch, result.steps) == (4, 7)
    assert StateFolder(tmp_path).best.exists()


def test_the_learning_rate_decays_with_every_step(tmp_path):
    rates = []

    settings = course(epochs=4, learning_rate=0.1, decay=0.5, validate_every=0)
    network = small_network()
    original = torch.optim.Adam.step

    def spy(optimiser, *arguments, **more):
        rates.append(optimiser.param_groups[0]["lr"])
        return original(optimiser, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", spy)
        train(network, Scripted([1.0] * 4), settings, tmp_path)
    assert rates == pytest.approx([0.1, 0.1 / 1.5, 0.1 / 2, 0.1 / 2.5])


def test_the_learning_rate_falls_by_a_factor_after_every_epoch(tmp_path):
    rates = []

    class Long(Scripted):
        steps_per_epoch = 3

    settings = course(
        epochs=3, learning_rate=0.1, schedule="exponential", factor=1.25, validate_every=0
    )
    network = small_network()
    original = torch.optim.Adam.step

    def spy(optimiser, *arguments, **more):
        rates.append(optimiser.param_groups[0]["lr"])
        return original(optimiser, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", spy)
        train(network, Long([1.0] * 9), settings, tmp_path)
    assert rates == pytest.approx([0.1] * 3 + [0.1 / 1.25] * 3 + [0.1 / 1.25**2] * 3)


def wrong_states(good: dict) -> dict[str, object]:
    """States that can be loaded, and are none of the small network's training."""
    other = networks.build("estienne2020", {"channels": [4, 4, 8], "convolutions": [1, 1]})
    rate = good["optimiser"]["param_groups"]
    turned = {
        i: values | {"exp_avg": values["exp_avg"].unsqueeze(0)}
        for i, values in good["optimiser"]["state"].items()
    }
    renamed = {f"x.{name}": value for name, value in good["network"].items()}
    return {
        "empty": {},
        "number": 5,
        "lacking": {key: value for key, value in good.items() if key != "best"},
        "more": good | {"extra": 1},
        "kind": good | {"step": "4"},
        "negative": good | {"step": -1},
        "history": good | {"history": [[1, 2]]},
        "names": good | {"network": renamed},
        "shapes": good | {"network": other.state_dict()},
        "values": good | {"network": dict.fromkeys(good["network"], 0)},
        "groups": good | {"optimiser": {"state": {}, "param_groups": rate * 2}},
        "parameters": good
        | {"optimiser": {"state": {}, "param_groups": [rate[0] | {"params": [0]}]}},
        "moments": good | {"optimiser": {"state": turned, "param_groups": rate}},
        "optimiser": good | {"optimiser": {}},
    }


NAMES = (
    *("empty", "number", "lacking", "more", "kind", "negative", "history", "names", "shapes"),
    *("values", "groups", "parameters", "moments", "optimiser"),
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The weights of a training of two epochs, and its states after the first and the second."""
    folder = tmp_path_factory.mktemp("straight")
    states = []
    for epochs in (1, 2):
        network = small_network()
        chosen = course(epochs=epochs, learning_rate=1e-2, seed=3)
        train(network, small_objective(), chosen, folder)
        states.append(StateFolder(folder).load())
    return network.state_dict(), states


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_state_falls_back_to_the_one_before(straight, tmp_path, name, capsys):
    weights, (first, _) = straight
    state = StateFolder(tmp_path)
    state.save(first)
    state.save({"placeholder": 0})  # the first becomes the previous
    torch.save(wrong_states(first)[name], state.last)
    network = small_network()
    chosen = course(epochs=2, learning_rate=1e-2, seed=3)
    result = train(network, small_objective(), chosen, tmp_path)
    assert f"{state.last} is left aside" in capsys.readouterr().out
    assert all(torch.equal(network.state_dict()[key], value) for key, value in weights.items())
    # Its first epoch is that of the state, which was not taken again.
    assert [tuple(row) for row in first["history"]] == result.history[: len(first["history"])]


def places(value: object, way: tuple = ()) -> list[tuple]:
    """The ways to all that a state holds, in lists to their first entry."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value[:1]) if isinstance(value, list | tuple) else inner
    return [way, *(place for key, one in inner for place in places(one, (*way, key)))]


def replaced(value: object, way: tuple, other: object) -> object:
    """A copy with something else at one place."""
    if not way:
        return other
    key, *rest = way
    if isinstance(value, dict):
        return {**value, key: replaced(value[key], tuple(rest), other)}
    changed = [replaced(v, tuple(rest), other) if k == key else v for k, v in enumerate(value)]
    return type(value)(changed)


def test_whatever_a_state_holds_at_any_place_a_training_comes_to_its_end(tmp_path, capsys):
    """Of some forty places each holds something else in turn: it is harmless or left aside."""
    network, chosen = torch.nn.Linear(1, 1, bias=False), course(epochs=2, learning_rate=0.1)
    source = {"cases": ["a"], "files": {"a": "1"}}
    torch.nn.init.constant_(network.weight, 0.0)
    train(network, Slope(), course(epochs=1, learning_rate=0.1), tmp_path, source=source)
    state = StateFolder(tmp_path)
    good = state.load()
    train(network, Slope(), chosen, tmp_path, source=source)
    others = (None, "x", -7, [], {"x": {}}, {}, torch.full((2,), float("nan")))
    left = 0
    for place in places(good):
        for other in others:
            torch.save(good, state.previous)
            torch.save(replaced(good, place, other), state.last)
            trained_on = torch.nn.Linear(1, 1, bias=False)
            result = train(trained_on, Slope(), chosen, tmp_path, source=source)
            told = f"{place}: {other}"
            assert result.steps == 4, told
            assert {row[1] for row in result.history} >= {2}, told
            if place[:1] in (("network",), ("optimiser",), ("source",)):
                assert torch.equal(trained_on.weight, network.weight), told
            left += "is left aside" in capsys.readouterr().out
    assert left > 200


@pytest.fixture(scope="module")
def slope(tmp_path_factory):
    """A network of one number, its optimiser, a scaler that is none, and a state of all."""
    folder, network = tmp_path_factory.mktemp("slope"), torch.nn.Linear(1, 1, bias=False)
    source = {"cases": ["a"], "files": dict.fromkeys("abcd", "1")}
    train(network, Slope(), course(epochs=1, learning_rate=0.1), folder, source=source)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.5)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return network, optimiser, scaler, StateFolder(folder).load(), source


GROUP, MOMENT = ("optimiser", "param_groups", 0), ("optimiser", "state", 0)
UNFIT = {
    ("step",): {-1: "step, history or best", "1": "'step' is no such thing"},
    ("best",): {float("nan"): "step, history or best", None: "'best' is no such thing"},
    ("best_epoch",): {"1": "'best_epoch' is no such thing"},
    ("history", 0): {
        None: "step, history or best",
        (1, 1, 0.5, "train", "loss", 0.5): "step, hist",
    },
    ("history", 0, 3): {1: "step, history or best"},
    ("history", 0, 5): {"0.5": "step, history or best"},
    ("sums",): {("x",): "'sums' is no such thing"},
    ("network", "weight"): {0.5: "weights do not fit"},
    (*GROUP, "betas"): {(0.9, 0.99): "optimiser does not fit", None: "optimiser does not fit"},
    (*GROUP, "weight_decay"): {0.1: "optimiser does not fit"},
    (*GROUP, "params"): {(): "optimiser does not fit"},
    (*MOMENT, "step"): {2.0: "optimiser does not fit"},
    (*MOMENT, "exp_avg"): {0.0: "optimiser does not fit"},
    (*MOMENT, "exp_avg_sq"): {0.0: "optimiser does not fit"},
    MOMENT: {None: "optimiser does not fit"},
    ("source", "cases"): {None: "what differs: cases"},
    ("source", "files", "a"): {"2": "what differs: files of a"},
}


@pytest.mark.parametrize(
    ("place", "other", "reason"),
    [(place, other, why) for place, cases in UNFIT.items() for other, why in cases.items()],
)
def test_why_a_state_is_unfit(slope, place, other, reason):
    network, optimiser, scaler, good, source = slope
    assert unfit(good, network, optimiser, scaler, source) is None
    assert reason in unfit(replaced(good, place, other), network, optimiser, scaler, source)


def test_why_tensors_and_collections_of_a_state_are_unfit(slope):
    network, optimiser, scaler, good, source = slope

    def why(state: dict, scaler: object = scaler) -> str | None:
        return unfit(state, network, optimiser, scaler, source)

    lacking = {key: value for key, value in good.items() if key != "best"}
    for bad in (5, None, {}, lacking, good | {"extra": 1}):
        assert why(bad) == "it is no state of a training"
    weight = ("network", "weight")
    for bad in (torch.full((1, 1), float("inf")), torch.zeros(1), torch.zeros(1, 1).double()):
        assert "weights do not fit" in why(replaced(good, weight, bad))
    for bad in (torch.zeros(1), torch.zeros(()).double()):
        assert "optimiser does not fit" in why(replaced(good, (*MOMENT, "step"), bad))
    assert "optimiser does not fit" in why(replaced(good, (*GROUP, "eps"), torch.zeros(2)))
    states = good["optimiser"]["state"]
    for bad in ({1: states[0]}, {0: states[0], 1: states[0]}, {0: {}}, {0: states[0] | {"x": 1}}):
        assert "optimiser does not fit" in why(replaced(good, ("optimiser", "state"), bad))
    groups = good["optimiser"]["param_groups"]
    for place, bad in (("state", None), ("param_groups", None), ("param_groups", groups * 2)):
        assert "optimiser does not fit" in why(replaced(good, ("optimiser", place), bad))
    for bad in (None, {"x": 1}, {**groups[0], "x": 1}):
        assert "optimiser does not fit" in why(replaced(good, GROUP, bad))
    for bad in (None, ["a"]):
        assert why(good | {"source": {**source, "files": bad}}).endswith("what differs: files")
    emptied = replaced(good, ("optimiser", "state"), {})
    assert "optimiser has taken no step" in why(emptied)
    assert why(replaced(emptied, ("step",), 0)) is None
    assert "sums are no numbers" in why(replaced(good, ("sums",), {"loss": "1"}))
    assert why(replaced(good, ("sums",), {"loss": 1.0, "part": 2})) is None
    for bad in (torch.zeros(2), [torch.zeros(2)], {1: "a"}):
        assert "source is no such thing" in why(replaced(good, ("source", "cases"), bad))
    assert why(replaced(good, (*GROUP, "lr"), 9.0)) is None  # it is set at each step
    differ = good | {"source": {**source, "files": dict.fromkeys("abc", "2") | {"d": "1"}}}
    assert why(differ).endswith("what differs: files of a, b, c")
    differ = good | {"source": {**source, "files": dict.fromkeys("abcd", "2")}}
    assert why(differ).endswith("what differs: files of a, b, c and 1 more")

    class Scaler:
        def state_dict(self) -> dict:
            return {"scale": 65536.0}

    assert "scaler is another one" in why(good, Scaler())
    assert "scaler is another one" in why(good | {"scaler": {"scale": "1"}}, Scaler())
    assert why(good | {"scaler": {"scale": 2.0}}, Scaler()) is None


def test_two_wrong_states_begin_anew_as_if_there_were_none(straight, tmp_path):
    weights, (first, _) = straight
    state = StateFolder(tmp_path)
    state.save(wrong_states(first)["shapes"])
    state.save(wrong_states(first)["moments"])
    save_weights(state.best, small_network(9))
    network = small_network()
    chosen = course(epochs=2, learning_rate=1e-2, seed=3, validate_every=0)
    train(network, small_objective(), chosen, tmp_path)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in weights.items())
    assert not state.best.exists()  # it was that of another training


def test_a_state_that_was_learned_from_other_data_is_not_taken_up(tmp_path, capsys):
    source = {"cases": ["a", "b"], "files": {"a": "1", "b": "2", "c": "3", "d": "4"}}
    chosen = course(epochs=1)
    train(small_network(), small_objective(), chosen, tmp_path, source=source)
    longer = course(epochs=2)

    def first_step(**changes) -> int:
        steps = []

        class Watched(Slow):
            def batch(self, step):
                steps.append(step)
                return self.objective.batch(step)

        # A copy, so that each begins with the state of the first training.
        other = {**source, **changes}
        folder = tmp_path.with_name(f"{tmp_path.name}-{len(list(tmp_path.parent.iterdir()))}")
        shutil.copytree(tmp_path, folder)
        train(small_network(), Watched(small_objective(), 0), longer, folder, source=other)
        return steps[0]

    assert first_step() == 3
    assert "left aside" not in capsys.readouterr().out
    assert first_step(cases=["b", "a"]) == 0
    assert "learned from other data; what differs: cases" in capsys.readouterr().out
    assert first_step(files=dict.fromkeys("abcd", "9")) == 0
    assert "what differs: files of a, b, c and 1 more" in capsys.readouterr().out
    assert first_step(labels={"1": "head"}) == 0
    assert "what differs: labels" in capsys.readouterr().out


def test_a_validation_that_is_no_number_is_an_error_that_keeps_the_state(tmp_path):
    class Unmeasured(Slow):
        def validate(self, network):
            return {"loss": float("nan")}

    one = Unmeasured(small_objective(), 0)
    with pytest.raises(WarplineError, match="not a number after epoch 2, and was none before"):
        train(small_network(), one, course(epochs=9, validate_every=2), tmp_path)
    assert StateFolder(tmp_path).load()["step"] == 2 * 3
    # Where the training's own loss chooses, validation is only looked at.
    watched = course(epochs=2, monitor="train")
    result = train(small_network(), one, watched, tmp_path / "other")
    losses = {row[1]: row[5] for row in result.history if row[3:5] == ("train", "loss")}
    assert result.best_epoch == min(losses, key=losses.get)


def test_one_validation_without_a_number_is_passed_over(tmp_path):
    class Once(Slow):
        values = iter([2.0, float("nan"), 1.0, 3.0])

        def validate(self, network):
            return {"loss": next(self.values)}

    one = Once(small_objective(), 0)
    result = train(small_network(), one, course(epochs=4), tmp_path)
    assert result.best_epoch == 3


@pytest.mark.parametrize(
    ("able", "expected"), [({"avx512_bf16": True}, "bfloat16"), ({"avx2": True}, "single")]
)
def test_auto_precision_asks_the_machine(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    cpu = torch.device("cpu")
    assert precision_on(cpu, "auto") == expected
    assert precision_on(cpu, "float16") == expected
    assert precision_on(torch.device("cuda"), "float16") == "float16"


class Traced:
    """An objective that tells which thread made the batch of which step."""

    def __init__(self, objective, fails_at=None):
        self.objective, self.fails_at, self.made = objective, fails_at, []

    def __getattr__(self, name: str):
        return getattr(self.objective, name)

    def batch(self, step: int):
        self.made.append((step, threading.current_thread().name))
        if step == self.fails_at:
            raise WarplineError("no such case")
        return self.objective.batch(step)


def test_batches_made_ahead_are_the_same_and_none_is_made_twice(tmp_path, monkeypatch):
    plain, ahead = small_network(), small_network()
    train(plain, small_objective(), course(epochs=2), tmp_path / "a")
    monkeypatch.setattr(loop, "Ahead", lambda objective, wanted: Ahead(objective, True))
    objective = Traced(small_objective())
    train(ahead, objective, course(epochs=2), tmp_path / "b")
    assert [step for step, _ in objective.made] == list(range(6))
    assert all(name.startswith("next batch") for _, name in objective.made)
    for one, other in zip(plain.parameters(), ahead.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(WarplineError, match="no such case"):
        train(small_network(), Traced(small_objective(), 2), course(epochs=2), tmp_path / "c")
    assert not any(thread.name.startswith("next batch") for thread in threading.enumerate())


class Dropping(torch.nn.Module):
    """One number, and half of what passes is dropped while it learns."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, 1))
        self.learns, self.drop = [], torch.nn.Dropout(0.5)

    def forward(self, batch):
        self.learns.append(self.training)
        return self.drop(torch.ones(1, 8)) @ self.weight.expand(8, 1) * (1 + batch)


class Asked(Slope):
    """Asks the network in validation, too."""

    def validate(self, network):
        return {"loss": float(network(torch.zeros(1, 1)).square().mean())}


def test_a_network_learns_as_one_that_learns_and_is_validated_and_given_back_as_it_will_be_used(
    tmp_path,
):
    network = Dropping().eval()
    train(network, Asked(), course(epochs=2), tmp_path)
    assert network.learns == [True, True, False, True, True, False]
    assert not network.training


def test_what_a_step_drops_is_its_own_also_after_a_stop(tmp_path):
    straight = Dropping()
    train(straight, Asked(), course(epochs=3, learning_rate=0.1), tmp_path / "a")
    torch.manual_seed(99)  # of no account
    train(Dropping(), Asked(), course(epochs=1, learning_rate=0.1), tmp_path / "b")
    torch.rand(7)
    resumed = Dropping()
    train(resumed, Asked(), course(epochs=3, learning_rate=0.1), tmp_path / "b")
    assert torch.equal(straight.weight, resumed.weight)
    other = Dropping()
    train(other, Asked(), course(epochs=3, learning_rate=0.1, seed=1), tmp_path / "c")
    assert not torch.equal(straight.weight, other.weight)


@pytest.mark.parametrize("where", ["loss", "validate"])
def test_an_objective_that_diverges_is_told_with_its_step_and_what_is_kept(tmp_path, where):
    class Leaving(Slope):
        pass

    def left(*_):
        raise loop.Diverged("the field left the grid")

    setattr(Leaving, where, left)
    with pytest.raises(
        WarplineError, match="The training diverged: the field left the grid"
    ) as told:
        train(torch.nn.Linear(1, 1), Leaving(), course(epochs=1), tmp_path)
    assert f"at step {0 if where == 'loss' else 2}." in str(told.value)
    assert "last good state kept" in str(told.value.where)


def test_seconds_go_on_where_a_training_is_taken_up(tmp_path):
    before = time.monotonic()
    first = train(torch.nn.Linear(1, 1), Slope(), course(epochs=1), tmp_path)
    saved = StateFolder(tmp_path).load()
    StateFolder(tmp_path).save({**saved, "seconds": 1000.0})
    second = train(torch.nn.Linear(1, 1), Slope(), course(epochs=2), tmp_path)
    passed = time.monotonic() - before
    assert 0 < first.seconds < passed
    assert 1000 < second.seconds < 1000 + passed
    told = [row[2] for row in second.history]
    assert told == sorted(told)
    assert told[0] < passed
    assert 1000 < told[-1] < 1000 + passed
