"""Weights that were not trained here: opened without running code, translated, checked."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from warpline import networks
from warpline.errors import WarplineError
from warpline.files import checksum, write_json
from warpline.networks.weights import save_weights
from warpline.plan.recipe import Recipe
from warpline.provenance import record as provenance

# What `torch.nn.DataParallel` puts before every name.
PARALLEL = "module."


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by their names, without ``module.``, and the epoch, if a checkpoint tells it."""

    tensors: Mapping[str, torch.Tensor]
    epoch: int | None = None


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """The weights in a safetensors file or in a checkpoint of torch's.

    A checkpoint is a mapping of names to tensors, or has one under ``state_dict``; what else it
    holds, such as an optimiser's state, is not looked at. No code is run: a file with anything but
    tensors, plain values and numpy's numbers is refused.

    Raises
    ------
    WarplineError
        If the file cannot be read so, or has no tensors.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        try:
            return Checkpoint(load_file(path))
        except (SafetensorError, OSError) as error:
            raise WarplineError(f"The weights cannot be read ({error}).", where=path) from error
    try:
        with torch.serialization.safe_globals(_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever is wrong with a file of somebody else's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WarplineError(
            f"The checkpoint cannot be opened without running code of its own, or is damaged: "
            f"{reason}",
            where=path,
            do="Give a file with tensors and plain values alone, or a safetensors file.",
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not any(map(torch.is_tensor, tensors.values())):
        raise WarplineError(
            "The file holds no tensors by their names, nor any under 'state_dict'.", where=path
        )
    named = {
        str(name).removeprefix(PARALLEL): value
        for name, value in tensors.items()
        if torch.is_tensor(value)
    }
    epoch = content.get("epoch") if tensors is not content else None
    return Checkpoint(named, int(epoch) if isinstance(epoch, int | np.integer) else None)


def _numbers() -> list:
    """What a pickled number of numpy's is made of: a mean loss often is one. None runs code."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")}
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def fill(network: nn.Module, name: str, given: Checkpoint, of: str | None, where: object) -> None:
    """Put given weights into a network.

    Parameters
    ----------
    name
        Of the network's module, which has the function ``<of>_names(network)``.
    of
        Whose names the tensors have: ``authors``, or None for this project's own.
    where
        The file, for errors.

    Raises
    ------
    WarplineError
        If tensors are missing, left over or of other shapes; the first of them is named as it is in
        the file.
    """
    own = network.state_dict()
    names = {key: key for key in own}
    if of is not None:
        translate = getattr(
            importlib.import_module(f"warpline.networks.{name}"), f"{of}_names", None
        )
        if translate is None:
            raise WarplineError(
                f"The network '{name}' has no names of '{of}' to translate.",
                where="key 'weights.of' of the method",
                do="Leave it out, and name the tensors as this project does.",
            )
        names = translate(network)
    shapes = {theirs: tuple(own[key].shape) for key, theirs in names.items()}
    found = {key: tuple(value.shape) for key, value in given.tensors.items()}
    wrong = [
        f"{key} is {_shape(found.get(key))} instead of {_shape(shapes.get(key))}"
        for key in sorted(shapes.keys() | found.keys())
        if shapes.get(key) != found.get(key)
    ]
    if wrong:
        raise WarplineError(
            f"The weights do not fit the network: {len(wrong)} tensors differ. {wrong[0]}.",
            where=where,
            do="Correct the network's parameters, 'weights.of' or 'weights.file' of the method.",
        )
    network.load_state_dict({key: given.tensors[theirs] for key, theirs in names.items()})


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " × ".join(map(str, shape)) or "a number"


def keep_given(
    recipe: Recipe,
    path: str | os.PathLike,
    source: Mapping[str, Any],
    weights: str | os.PathLike,
    sidecar: str | os.PathLike,
) -> None:
    """Keep the weights of a method that has ``weights`` as a training would.

    Parameters
    ----------
    recipe
        The method, with ``network`` and ``weights``.
    path, source
        The file, and what is known of where it came from.
    weights, sidecar
        Written: safetensors, and what is known of them.

    Raises
    ------
    WarplineError
        If the file cannot be opened or does not fit the network.
    """
    started, name, of = time.monotonic(), recipe["network"]["name"], recipe["weights"]["of"]
    given = read_checkpoint(path)
    network = networks.build(name, recipe["network"]["parameters"])
    fill(network, name, given, of, path)
    save_weights(weights, network)
    write_json(
        sidecar,
        provenance.record(
            device="cpu",
            seconds=time.monotonic() - started,
            given=source,
            of=of,
            epochs=given.epoch,
            parameters=networks.parameter_count(network),
            recipe=recipe,
            weights_sha256=checksum(weights),
        ),
    )
