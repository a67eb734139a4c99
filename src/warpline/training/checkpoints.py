"""Training state that survives a kill at any moment, and weights that load without unpickling."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from warpline.files import atomic_path
from warpline.networks.weights import save_weights

State = Mapping[str, Any]  # as torch gives and takes it: no two optimisers' have the same entries
# What a state holds, beside the states of network, optimiser and scaler.
KINDS: dict[str, type | tuple[type, ...]] = {
    "network": dict,
    "optimiser": dict,
    "scaler": dict,
    "step": int,
    "seconds": (int, float),
    "sums": dict,
    "best": (int, float),
    "best_epoch": (int, type(None)),
    "history": list,
    "source": dict,
}
# Step, epoch, seconds, split, name and value.
ROW = (int, int, (int, float), str, str, (int, float))
MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam; Muon has the first


class StateFolder:
    """The state of one training: ``last.pt``, the one before it, and ``best.safetensors``.

    The folder lies outside the workflow's declared outputs, which a failed job loses.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.last, self.previous = self.folder / "last.pt", self.folder / "previous.pt"
        self.best = self.folder / "best.safetensors"

    def save(self, state: State) -> None:
        """Keep `state` as the last; the last becomes the previous."""
        with atomic_path(self.last) as temporary:
            torch.save(dict(state), temporary)
            if self.last.exists():
                os.replace(self.last, self.previous)

    def load(self, check: Callable[[Any], str | None] = lambda state: None) -> Any:
        """The newest state that can be read and used, or None; the log names those left aside.

        Parameters
        ----------
        check
            Gets a state, which is of tensors and plain values only; why it cannot be used, if so.
        """
        for path in (self.last, self.previous):
            if path.exists():
                try:
                    state = torch.load(path, map_location="cpu", weights_only=True)
                except Exception as error:  # any damage to a file: fall back to the older one
                    print(f"{path} cannot be read ({type(error).__name__}), left aside", flush=True)
                    continue
                reason = check(state)
                if reason is None:
                    return state
                print(f"{path} is left aside: {reason}", flush=True)
        return None

    def save_best(self, network: nn.Module) -> None:
        """Keep the network's weights as the best so far."""
        save_weights(self.best, network)

    def remove(self) -> None:
        """Remove the state, which is not needed any more; no error if it cannot be."""
        shutil.rmtree(self.folder, ignore_errors=True)


def unfit(
    state: Any,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    source: Mapping[str, Any],
) -> str | None:
    """Why a state is not one of this training, or None if it is; nothing is changed.

    Parameters
    ----------
    source
        What the training learns from, see `warpline.training.source.source_of`.
    """
    if not isinstance(state, dict) or set(state) != set(KINDS):
        return "it is no state of a training"
    for name, kind in KINDS.items():
        if not isinstance(state[name], kind):
            return f"its '{name}' is no such thing"
    if state["step"] < 0 or math.isnan(state["best"]) or not _are_rows(state["history"]):
        return "its step, history or best loss cannot be"
    if not _are_numbers(state["sums"], state["sums"]):
        return "its sums are no numbers"
    own = network.state_dict()
    if not _alike(own, state["network"]):
        return "its weights do not fit the network"
    if not _fits_optimiser(state["optimiser"], optimiser):
        return "its optimiser does not fit the network"
    if state["step"] > 0 and not state["optimiser"]["state"]:
        return "its optimiser has taken no step"
    if not _are_numbers(scaler.state_dict(), state["scaler"]):
        return "its scaler is another one"
    if not _is_plain(state["source"]):
        return "its source is no such thing"
    return _other_source(state["source"], source)


def _are_rows(history: list) -> bool:
    """Whether a history is of rows as `warpline.training.course` has them."""
    return all(
        isinstance(row, list)
        and len(row) == len(ROW)
        and all(isinstance(value, kind) for value, kind in zip(row, ROW, strict=True))
        for row in history
    )


def _are_numbers(own: State, other: State) -> bool:
    """Whether there are numbers alone, of the same names."""
    return own.keys() == other.keys() and all(isinstance(v, int | float) for v in other.values())


def _alike(own: State, other: State) -> bool:
    """Whether tensors have the same names, shapes and types, and are finite."""
    return own.keys() == other.keys() and all(
        _is_like(other[name], value) and bool(torch.isfinite(other[name]).all())
        for name, value in own.items()
    )


def _is_like(found: object, tensor: torch.Tensor) -> bool:
    """Whether something is a tensor of the same shape and type."""
    return isinstance(found, torch.Tensor) and (
        (found.shape, found.dtype) == (tensor.shape, tensor.dtype)
    )


def _fits_optimiser(state: State, optimiser: torch.optim.Optimizer) -> bool:
    """Whether an optimiser's state is of the same groups of parameters, of the same shapes."""
    groups, own = state.get("param_groups"), optimiser.state_dict()["param_groups"]
    kept = state.get("state")
    if not isinstance(groups, list) or not isinstance(kept, dict) or len(groups) != len(own):
        return False
    for group, mine in zip(groups, own, strict=True):
        if not isinstance(group, dict) or group.keys() != mine.keys():
            return False
        # The learning rate is set at each step.
        if not _is_plain(group) or group | {"lr": 0} != mine | {"lr": 0}:
            return False
    parameters = [
        (parameter, MOMENTS[:1] if group.get("turned") else MOMENTS)
        for group in optimiser.param_groups
        for parameter in group["params"]
    ]
    return set(kept) <= set(range(len(parameters))) and all(
        isinstance(values, dict)
        and values.keys() == {"step", *parameters[i][1]}
        and _is_like(values["step"], torch.zeros(()))
        and all(_is_like(values[name], parameters[i][0]) for name in parameters[i][1])
        for i, values in kept.items()
    )


def _is_plain(value: object) -> bool:
    """Whether there is nothing but numbers, texts and collections of them, which compare."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int | float | str)


def _other_source(kept: Mapping[str, Any], source: Mapping[str, Any]) -> str | None:
    """Why a state was learned from something else, or None if it was not."""
    names = [name for name in {**kept, **source} if kept.get(name) != source.get(name)]
    if not names:
        return None
    first = names[0]
    before, now = kept.get(first), source.get(first)
    if isinstance(before, dict) and isinstance(now, dict):
        differ = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        names[0] = f"{first} of {', '.join(differ[:3])}{more}"
    return f"it was learned from other data; what differs: {', '.join(names)}"
