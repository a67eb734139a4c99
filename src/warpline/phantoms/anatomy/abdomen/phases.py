"""HU of blood and organs by phase of the contrast agent.

Means of adults at 100 to 120 kV: unenhanced; late arterial, about 40 s after the injection; portal
venous, about 70 s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpline.errors import WarplineError
from warpline.registry import suggestion

NON_CONTRAST = "non-contrast"
PHASES: dict[str, dict[str, float]] = {
    NON_CONTRAST: {
        "aorta": 42,
        "inferior_vena_cava": 41,
        "portal_vein": 42,
        "liver": 58,
        "spleen": 48,
        "cortex": 34,
        "medulla": 31,
        "pancreas": 41,
        "adrenal": 30,
        "wall": 38,
        "esophagus": 36,
        "muscle": 53,
        "heart": 41,
    },
    "arterial": {
        "aorta": 285,
        "inferior_vena_cava": 85,
        "portal_vein": 120,
        "liver": 72,
        "spleen": 128,
        "cortex": 195,
        "medulla": 95,
        "pancreas": 108,
        "adrenal": 72,
        "wall": 82,
        "esophagus": 52,
        "muscle": 58,
        "heart": 240,
    },
    "portal-venous": {
        "aorta": 155,
        "inferior_vena_cava": 138,
        "portal_vein": 168,
        "liver": 110,
        "spleen": 120,
        "cortex": 182,
        "medulla": 162,
        "pancreas": 92,
        "adrenal": 66,
        "wall": 74,
        "esophagus": 58,
        "muscle": 62,
        "heart": 145,
    },
}


@dataclass(frozen=True)
class Enhancement:
    """How one subject takes up the contrast agent, whatever the phase.

    Attributes
    ----------
    uptake
        Scale of what the agent adds.
    fatty_liver
        HU by which fat lowers the liver.
    """

    uptake: float = 1.0
    fatty_liver: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator, variation: float) -> Enhancement:
        """A subject around the mean."""
        uptake, fat = np.clip(rng.standard_normal(2), -2, 2) * variation
        return cls(float(np.exp(0.12 * uptake)), float(max(0.0, 9.0 * fat)))

    def table(self, phase: str) -> dict[str, float]:
        """HU by tissue.

        Raises
        ------
        WarplineError
            If the phase is unknown.
        """
        if phase not in PHASES:
            raise WarplineError(
                f"There is no contrast phase '{phase}'.",
                where="phase",
                do=suggestion(phase, list(PHASES)),
            )
        plain = PHASES[NON_CONTRAST]
        table = {
            name: plain[name] + self.uptake * (value - plain[name])
            for name, value in PHASES[phase].items()
        }
        table["liver"] -= self.fatty_liver
        return table
