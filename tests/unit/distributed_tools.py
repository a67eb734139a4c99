"""What one of two processes computes on its half of a batch; see test_training_distributed.py.

python distributed_tools.py RANK STORE RESULT
"""

from __future__ import annotations

import sys

import torch
from torch import nn

from warpline.training import losses
from warpline.training.distributed import Group, joined, mean_of, share_normalisation

CASES = 4


def terms(group: Group) -> dict[str, torch.Tensor]:
    """Losses of a small network with batch normalisation, and the gradients of its weights."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 3, 3), nn.BatchNorm3d(3), nn.Softmax(1)).train()
    if group.size > 1:
        share_normalisation(network)
    volumes = group.share(torch.rand(CASES, 1, 6, 7, 8))
    target = group.share((torch.rand(CASES, 3, 4, 5, 6) > 0.5).float())
    annotated = group.share(
        torch.tensor([[True, False, True], [True, True, False], [True, False, False], [True] * 3])
    )
    counts = group.share(torch.tensor([True, False, False, False]))
    found = {}
    for name, loss in {
        "dice": lambda maps: losses.soft_dice(maps, target),
        "plain dice": lambda maps: losses.soft_dice(maps, target, squared=False),
        "partial dice": lambda maps: losses.partial_dice(maps, target, annotated),
        # Of the second half no item counts.
        "counted": lambda maps: mean_of((maps - target).abs()[counts].mean(), int(counts.sum())),
    }.items():
        network.zero_grad()
        with group.together():
            value = loss(network(volumes))
        value.backward()
        group.average_gradients(network)
        found[name] = torch.tensor(group.means({"loss": value})["loss"])
        for key, parameter in network.named_parameters():
            found[f"{name}, gradient of {key}"] = parameter.grad.clone()
    return found | {key: value.clone() for key, value in network.named_buffers()}


def main(rank: int, store: str, result: str) -> None:
    torch.set_num_threads(1)
    with joined(rank, 2, store, torch.device("cpu")) as group:
        torch.save(terms(group), result)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
