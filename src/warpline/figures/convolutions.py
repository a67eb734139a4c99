"""The convolutions that a network runs, in their order, and what reaches which: by running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from warpline.errors import WarplineError
from warpline.networks import Prediction, RegistrationNetwork
from warpline.networks.sokooti2017 import FULL, LOW, Patches

# Enough pairs for the statistics of a batch norm that sees a single voxel of each.
BATCH = 2
KINDS = (nn.Conv3d, nn.ConvTranspose3d)
MERGES = {"aten::cat": "cat", "aten::add": "add", "aten::add_": "add", "aten::sub": "sub"}


@dataclass(frozen=True)
class Input:
    """An image that a network is shown, by its name and its voxels along an axis."""

    name: str
    size: int


@dataclass(frozen=True)
class Layer:
    """One convolution.

    Attributes
    ----------
    inputs, outputs
        Channels.
    scale
        How many times coarser its output is than the largest image.
    size, read
        Voxels along an axis of its output, and of what it reads.
    kernel, stride
        Of all axes alike.
    transposed
        Whether it makes finer what it reads.
    alone
        Whether it sees each image of a pair on its own, with the same weights for both.
    sources
        What it reads, without anything that has weights between: the position of a convolution,
        or −1 − the position of an input, with how they meet: ``cat``, ``add`` or ``sub``.
    """

    inputs: int
    outputs: int
    scale: int
    size: int
    read: int
    kernel: int
    stride: int
    transposed: bool
    alone: bool
    sources: Mapping[int, frozenset[str]] = field(hash=False)


@dataclass(frozen=True)
class Drawn:
    """What is drawn of a network: its inputs, its layers, and what becomes of the last one's."""

    inputs: list[Input]
    layers: list[Layer]
    ends: list[str]


def trace(network: nn.Module) -> Drawn:
    """Run a network for single-channel images once, on images as small as it takes.

    The network is left in training mode, with statistics of noise in its batch norms.

    Raises
    ------
    WarplineError
        If one of its convolutions does not run, so that a picture would lack it.
    """
    inputs, images, call = _demonstration(network)
    flow = _Flow()
    for number, image in enumerate(images):
        flow.note(image, {-1 - number: frozenset()})
    layers: list[Layer] = []
    largest = max(given.size for given in inputs)

    def note(module: nn.Module, given: tuple[torch.Tensor], output: torch.Tensor) -> None:
        sources = flow.origins(given[0])
        flow.note(output, {len(layers): frozenset()}, anew=True)
        size, read = output.shape[-1], given[0].shape[-1]
        layers.append(
            Layer(
                given[0].shape[1], output.shape[1], max(1, largest // size), size, read,
                module.kernel_size[0], module.stride[0],
                isinstance(module, nn.ConvTranspose3d), len(output) > BATCH, sources,
            )
        )  # fmt: skip
        flow.alone = {n for n, layer in enumerate(layers) if layer.alone}

    chosen = [module for module in network.modules() if isinstance(module, KINDS)]
    hooks = [module.register_forward_hook(note) for module in chosen]
    try:
        with torch.no_grad(), flow:
            answer = call(*images)
    finally:
        for hook in hooks:
            hook.remove()
    if len(layers) != len(chosen):
        raise WarplineError(
            f"Of the network's {len(chosen)} convolutions {len(layers)} were seen to run.",
            do="Call each as a module, and once.",
        )
    return Drawn(inputs, layers, _ends(answer, flow.operations))


def _demonstration(network: nn.Module) -> tuple[list[Input], list[torch.Tensor], Any]:
    """What the network is shown, as names and as tensors of noise, and how."""
    network.train()
    noise = torch.Generator().manual_seed(0)

    def image(size: int) -> torch.Tensor:
        return torch.rand(BATCH, 1, size, size, size, generator=noise)

    if hasattr(network, "displacements"):  # defined on patches
        inputs = [Input(name, len(FULL)) for name in ("moving", "fixed")]
        if network.low is not None:
            inputs += [Input(f"{given.name}, every 2nd", len(LOW)) for given in inputs]

        def call(*images: torch.Tensor) -> torch.Tensor:
            # Without a second resolution its images are not looked at.
            return network.displacements(Patches(*images, *images[: 4 - len(images)]))

        return inputs, [image(given.size) for given in inputs], call
    size = 2 * network.stride
    names = ("moving", "fixed") if isinstance(network, RegistrationNetwork) else ("image",)
    return [Input(n, size) for n in names], [image(size) for _ in names], network


def _ends(answer: Prediction | torch.Tensor, operations: Sequence[str]) -> list[str]:
    """What becomes of the last convolution's output, in a few words a step."""
    if isinstance(answer, Prediction):
        if answer.velocity is not None:
            coarse = answer.velocity.mean.shape[-1] < answer.displacement.shape[-1]
            return ["a draw or\nthe mean", "exponential", *(["twice\nas fine"] * coarse), "warp"]
        if answer.gradients is not None:
            return ["2 · sigmoid", "cumulative\nsums", "warp"]
        return ["warp"]
    known = {"aten::_softmax": "softmax", "aten::sigmoid": "sigmoid"}
    found = [known[name] for name in operations if name in known]
    return found[-1:] if answer.ndim > 2 else ["displace-\nment"]


class _Flow(TorchDispatchMode):
    """Keeps of every tensor from which convolutions and inputs it was computed."""

    def __init__(self):
        super().__init__()
        self.operations: list[str] = []
        self.alone: set[int] = set()
        self._origins: dict[int, dict[int, frozenset[str]]] = {}
        self._kept: list[torch.Tensor] = []  # so that no memory, by which they are told, is reused

    def origins(self, tensor: torch.Tensor) -> dict[int, frozenset[str]]:
        return self._origins.get(tensor.untyped_storage().data_ptr(), {})

    def note(self, tensor: torch.Tensor, found: Mapping[int, frozenset[str]], anew=False) -> None:
        self._kept.append(tensor)
        old = {} if anew else self.origins(tensor)
        merged = {n: old.get(n, frozenset()) | found.get(n, frozenset()) for n in {**old, **found}}
        self._origins[tensor.untyped_storage().data_ptr()] = merged

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        read = [(t, self.origins(t)) for t in _tensors([args, kwargs or {}])]
        read = [(t, origins) for t, origins in read if origins]
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        mark = self._merge(MERGES.get(name), read)
        found: dict[int, frozenset[str]] = {}
        for _, origins in read:
            for number, marks in origins.items():
                found[number] = found.get(number, frozenset()) | marks | mark
        if found:
            self.operations.append(name)
            for tensor in _tensors(out):
                self.note(tensor, found)
        return out

    def _merge(self, mark: str | None, read: list) -> frozenset[str]:
        """How an operation brings what it reads together, if it does."""
        if mark is None or len(read) < 2:
            return frozenset()
        (first, one), (second, other) = read[:2]
        if mark == "sub":  # the features of two images by one encoder; no mean of their own
            apart = set(one) | set(other) <= self.alone and first.shape == second.shape
            return frozenset([mark] if apart and set(one) == set(other) else [])
        return frozenset([mark] if set(one) != set(other) else [])


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
