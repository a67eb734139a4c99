"""Synthetic pairs that come again in every epoch: their images are made once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from warpline.images.grid import Image
from warpline.registration.synthetic.on_device import PairOnDevice
from warpline.registration.synthetic.pairs import field_of_pair
from warpline.registration.synthetic.patches import made_pair
from warpline.training.room import Room, made_once

PARTS = ("fixed", "moving", "mask")


@dataclass
class KeptPairs:
    """Makes pairs for the CPU, and keeps their images and masks in memory or in mapped files.

    A field is not kept: it takes more room than both images, and a thirtieth of their time.

    Attributes
    ----------
    room
        Of the training's data.
    """

    room: Room
    _kept: dict[str, PairOnDevice] = field(default_factory=dict)

    def pair(
        self, name: str, image: Image, mask: Image | None, *, device: torch.device, **how
    ) -> PairOnDevice:
        """The pair of a case, by its name, as `warpline.registration.synthetic.patches.made_pair`
        makes it."""
        place = self.room.place([name], [], "pair", how)
        if place.name not in self._kept and not place.exists():
            made = made_pair(image, mask, device=device, **how)
            self._keep(made, place)
            return made
        images = self._kept.get(place.name) or _read(place)
        again = field_of_pair(image.grid, frequency=how["frequency"], seed=how["seed"])
        return replace(images, displacement=torch.from_numpy(again))

    def _keep(self, made: PairOnDevice, place: Path) -> None:
        parts = {part: getattr(made, part) for part in PARTS}
        parts = {part: values for part, values in parts.items() if values is not None}
        if self.room.take(sum(values.nbytes for values in parts.values())):
            self._kept[place.name] = replace(made, displacement=None)
            return
        with made_once(place) as making:
            for part, values in parts.items() if making else ():
                np.save(making / f"{part}.npy", values.numpy())


def _read(place: Path) -> PairOnDevice:
    parts = {
        part: torch.from_numpy(np.load(file, mmap_mode="c")) if file.exists() else None
        for part in PARTS
        for file in [place / f"{part}.npy"]
    }
    return PairOnDevice(displacement=None, **parts)
