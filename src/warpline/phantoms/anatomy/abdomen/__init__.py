"""A phantom of the abdomen in CT: thirteen organs, contrast phases, tumours, all known exactly.

`subject` makes one scan, `correspondence` the true field between two subjects.
"""

from warpline.phantoms.anatomy.abdomen.organs import NUMBER, ORGANS
from warpline.phantoms.anatomy.abdomen.phantom import (
    Abdomen,
    Scan,
    correspondence,
    model,
    subject,
    whole_abdomen_grid,
)

__all__ = [
    "NUMBER",
    "ORGANS",
    "Abdomen",
    "Scan",
    "correspondence",
    "model",
    "subject",
    "whole_abdomen_grid",
]
