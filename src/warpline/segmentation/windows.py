"""Label maps from a segmentation network: windows over a whole scan, blended.

Windows because instance norm and receptive fields are those of the crops that the network was
trained on, and because a whole scan may not fit into a device's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import torch
from torch import nn

from warpline.cases.organs import NUMBER
from warpline.errors import WarplineError
from warpline.images.grid import Image
from warpline.registry import suggestion

SPREAD = 0.125  # of a window's side: standard deviation of its weights
LEAST_WEIGHT = 1e-3  # corners, too, are said by someone


def organ_numbers(network: nn.Module) -> list[int]:
    """Label values of a segmenter's organs, in the order of its channels after the background.

    The network's own, if it has any (``numbers``); else the common numbers of its organs' names.

    Raises
    ------
    WarplineError
        If it has none of its own and one of its names is no common organ.
    """
    if hasattr(network, "numbers"):
        return list(network.numbers)
    for name in network.organs:
        if name not in NUMBER:
            raise WarplineError(
                f"The network is to segment '{name}', which is no common organ.",
                where="network.parameters.organs of the recipe",
                do=suggestion(name, NUMBER),
            )
    return [NUMBER[name] for name in network.organs]


@torch.inference_mode()
def segment(
    network: nn.Module,
    image: Image,
    *,
    window: int | None,
    overlap: float = 0.5,
    batch: int = 1,
    device: torch.device | str = "cpu",
) -> Image:
    """The label map that a network gives a scan: at every voxel the most probable.

    Parameters
    ----------
    network
        (B, 1, z, y, x) → probabilities (B, 1 + organs, z, y, x), with the names ``organs``; see
        `warpline.networks.estienne2020_segmenter`.
    window
        Side of the windows in voxels, as that of the crops in training; None: the whole image.
    overlap, batch
        See `sliding_window`.

    Returns
    -------
    Image
        uint8, in the numbers of `organ_numbers`.
    """
    numbers = torch.tensor([0, *organ_numbers(network)], dtype=torch.uint8)
    labels = np.empty(image.grid.shape, np.uint8)
    for start, values in _slabs(network, image, window, overlap, batch, device):
        labels[start : start + values.shape[1]] = numbers[values.argmax(0)].numpy()
    return image.with_array(labels)


@torch.inference_mode()
def probabilities(
    network: nn.Module,
    image: Image,
    *,
    window: int | None,
    overlap: float = 0.5,
    batch: int = 1,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """What a network says of a scan: (organs, z, y, x) float32, without the background.

    Parameters are those of `segment`.
    """
    found = np.empty((len(network.organs), *image.grid.shape), np.float32)
    for start, values in _slabs(network, image, window, overlap, batch, device):
        found[:, start : start + values.shape[1]] = values[1:].numpy()
    return found


def _slabs(
    network: nn.Module,
    image: Image,
    window: int | None,
    overlap: float,
    batch: int,
    device: torch.device | str,
) -> Iterator[tuple[int, torch.Tensor]]:
    """What `sliding_window` gives of a scan."""
    volume = torch.from_numpy(image.array.astype(np.float32))[None]
    size = volume.shape[1:] if window is None else [window] * 3

    def predict(windows: torch.Tensor) -> torch.Tensor:
        return network(windows.to(device)).cpu()

    return sliding_window(predict, volume, size, overlap=overlap, batch=batch)


def sliding_window(
    predict: Callable[[torch.Tensor], torch.Tensor],
    volume: torch.Tensor,
    window: Sequence[int],
    *,
    overlap: float = 0.5,
    batch: int = 1,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Predict window by window and average where windows overlap, weighted by a Gaussian each.

    The answer comes in slabs along z, each as soon as no later window reaches it: what is kept in
    memory at a time is one window high, not the whole answer.

    Parameters
    ----------
    predict
        (B, C, z, y, x) → (B, K, z, y, x) on the same device.
    volume
        (C, z, y, x).
    window
        (z, y, x) voxels; cut to the volume's size where that is smaller.
    overlap
        Of neighbouring windows, in [0, 1); the last one along an axis is moved inside.
    batch
        Windows predicted at a time.

    Yields
    ------
    start, values
        First slice of a slab, and its mean predictions (K, slices, y, x), float32.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"'overlap' is at least 0 and less than 1, not {overlap}")
    shape = volume.shape[1:]
    size = [min(w, n) for w, n in zip(window, shape, strict=True)]
    weights = _weights(size)
    along_z, along_y, along_x = (_starts(n, w, overlap) for n, w in zip(shape, size, strict=True))
    corners = list(product(along_y, along_x))
    # The same in every slab, but for the windows above and below it.
    total, sums = None, torch.zeros(size[0], *shape[1:])
    for z, following in pairwise([*along_z, shape[0]]):
        for k in range(0, len(corners), batch):
            places = [
                (slice(y, y + size[1]), slice(x, x + size[2])) for y, x in corners[k : k + batch]
            ]
            slab = volume[:, z : z + size[0]]
            found = predict(torch.stack([slab[:, :, y, x] for y, x in places])).float()
            if total is None:
                total = torch.zeros(found.shape[1], *sums.shape)
            for (y, x), values in zip(places, found, strict=True):
                total[:, :, y, x] += weights * values
                sums[:, y, x] += weights
        done = following - z
        yield z, total[:, :done] / sums[:done]
        # What later windows reach moves up.
        total = torch.cat([total[:, done:], torch.zeros_like(total[:, :done])], dim=1)
        sums = torch.cat([sums[done:], torch.zeros_like(sums[:done])])


def _starts(size: int, window: int, overlap: float) -> list[int]:
    """First voxels of the windows along an axis, from one end to the other."""
    step = max(1, int(window * (1 - overlap)))
    return [*range(0, size - window, step), size - window]


def _weights(size: Sequence[int]) -> torch.Tensor:
    """Gaussian about a window's middle, at most 1, (z, y, x)."""
    weights = torch.ones(1)
    for n in size:
        line = torch.arange(n) - (n - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (line / (SPREAD * n)) ** 2)
    return weights[0].clamp_min(LEAST_WEIGHT)
