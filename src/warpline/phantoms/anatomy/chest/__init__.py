"""A phantom of the chest in CT: anatomy, breathing, scanner, all known exactly.

`subject` makes one scan, `breathing` the two phases of one subject with the true fields.
"""

from warpline.phantoms.anatomy.chest.model import HU2020, Chest
from warpline.phantoms.anatomy.chest.phantom import (
    Breath,
    Scan,
    breathing,
    model,
    subject,
    whole_chest_grid,
)

__all__ = [
    "HU2020",
    "Breath",
    "Chest",
    "Scan",
    "breathing",
    "model",
    "subject",
    "whole_chest_grid",
]
