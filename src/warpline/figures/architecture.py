"""A network as built: every convolution, its channels and resolution (Bouabid 2019, figure 9)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import nn

from warpline import networks
from warpline.figures.style import colour, new_figure, save, style

GAP = 0.55


@dataclass(frozen=True)
class Layer:
    """One convolution: its channels, and how many times coarser its output is than the image."""

    inputs: int
    outputs: int
    scale: int


def draw(spec: Mapping[str, Any], sources: Mapping[str, Any], stem: str | os.PathLike) -> None:
    """The figure of a paper file; `sources`: ``network`` (of the recipe), ``shape`` (z, y, x)."""
    recipe = sources["network"]
    network = networks.build(recipe["name"], recipe["parameters"])
    architecture_figure(network, tuple(sources["shape"]), stem)


def layers_of(network: networks.RegistrationNetwork) -> list[Layer]:
    """The convolutions of a network for single-channel images, in the order in which they run."""
    found: list[Layer] = []
    size = 2 * network.stride

    def note(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        found.append(Layer(inputs[0].shape[1], output.shape[1], size // output.shape[-1]))

    kinds = (nn.Conv3d, nn.ConvTranspose3d)
    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        image = torch.zeros(1, 1, size, size, size)
        network(image, image)
    for hook in hooks:
        hook.remove()
    return found


def architecture_figure(
    network: networks.RegistrationNetwork, shape: tuple[int, int, int], stem: str | os.PathLike
) -> list[Path]:
    """Draw the convolutions from the pair to the warped image.

    Parameters
    ----------
    network
        A network for single-channel images.
    shape
        Grid of this run, (z, y, x); resolutions are written for it.
    stem
        The files' path without suffix.

    Returns
    -------
    list of Path
        The PNG and the SVG.
    """
    layers = layers_of(network)
    tail = ["2 · sigmoid", "cumulative\nsums", "warp"]
    with style():
        figure = new_figure(1.0 + 0.62 * (len(layers) + 1) + 0.95 * len(tail), 3.6)
        axes = figure.add_subplot()
        places = {}
        x = _block(axes, 0.0, 1.0, "moving\n+ fixed", "2", "#BBBBBB")
        for number, layer in enumerate(layers):
            places[number] = x + GAP
            shade = colour(0 if layer.scale >= layers[max(0, number - 1)].scale else 1)
            x = _block(axes, x + GAP, 1 / layer.scale, "", str(layer.outputs), shade)
        _skips(axes, layers, places)
        for name in tail:
            x = _block(axes, x + 0.75, 0.62, name, "", "#DDDDDD", width=0.55)
        for level in sorted({layer.scale for layer in layers}):
            size = " × ".join(str(-(-n // level)) for n in shape)
            axes.text(
                -0.25, 0.5 / level, size, ha="right", va="center", fontsize=7, color="#555555"
            )
        count = networks.parameter_count(network)
        axes.set_title(f"{len(layers)} convolutions, {count:,} parameters", loc="left")
        axes.set_xlim(-1.6, x + 0.3)
        axes.set_ylim(-0.72, 0.72)
        axes.set_axis_off()
        return save(figure, stem)


def _block(
    axes: Axes, x: float, height: float, name: str, below: str, shade: str, width: float = 0.3
) -> float:
    """A bar about the middle line; returns where it ends."""
    axes.add_patch(
        Rectangle(
            (x, -height / 2), width, height, facecolor=shade, edgecolor="black", linewidth=0.6
        )
    )
    axes.text(x + width / 2, 0, name, ha="center", va="center", fontsize=6.5, rotation=90)
    axes.text(x + width / 2, -height / 2 - 0.03, below, ha="center", va="top", fontsize=7)
    return x + width


def _skips(axes: Axes, layers: list[Layer], places: Mapping[int, float]) -> None:
    """An arc to every convolution that takes more channels than the one before it gives."""
    for number, layer in enumerate(layers[1:], start=1):
        surplus = layer.inputs - layers[number - 1].outputs
        if surplus <= 0 or layer.scale > layers[number - 1].scale:
            continue
        earlier = [i for i in range(number) if layers[i].scale == layer.scale]
        start = places[earlier[0]] + 0.15 if earlier and earlier[0] < number - 1 else 0.15
        height = 0.5 / layer.scale
        axes.add_patch(
            FancyArrowPatch(
                (start, height), (places[number] + 0.15, height), arrowstyle="-|>",
                connectionstyle=f"arc3,rad={-0.12}", mutation_scale=8, linewidth=0.8,
                color="#666666",
            )
        )  # fmt: skip
