"""Learning the embedding of displacement maps from pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from warpline.cases.case import read_case
from warpline.plan.pairs import Pair
from warpline.registration.embedding import pca
from warpline.registration.embedding.pair_search import search_pair
from warpline.registration.embedding.settings import SearchSettings


def learn_embedding(
    network: nn.Module,
    folders: Mapping[str, str],
    pairs: Sequence[Pair],
    settings: SearchSettings,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> tuple[pca.Pca, int]:
    """The embedding of the displacement maps of training pairs, and of how many maps.

    Parameters
    ----------
    network
        In evaluation mode, on `device`; see `search_pair`.
    folders
        Of every case.
    pairs
        (fixed, moving) ids.
    seed
        Of the random shifts of the searches.

    Raises
    ------
    WarplineError
        If a case has no lungs, or the maps are fewer than the components asked for.
    """
    generator = torch.Generator().manual_seed(seed)
    maps = []
    for fixed_id, moving_id in pairs:
        fixed, moving = read_case(folders[fixed_id]), read_case(folders[moving_id])
        maps.append(search_pair(fixed, moving, network, settings, device, generator).maps)
        print(f"{fixed_id} <- {moving_id}: {len(maps[-1])} keypoints", flush=True)
    return pca.fit(maps, settings.components), sum(map(len, maps))
