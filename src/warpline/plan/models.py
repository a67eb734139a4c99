"""Models that come with the house: weights that are in the project, each with its card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.places import Places
from warpline.registry import suggestion

FOLDER = "models"
# What of a model's recipe stands in place of the method's own; the splits are the dataset's.
OF_THE_MODEL = ("network", "loss", "training")


class Models:
    """The models in a project's folder ``models``, and before them those of one's own.

    Parameters
    ----------
    places
        The project's folder, or with it a folder of one's own.
    """

    def __init__(self, places: str | os.PathLike | Places):
        own = places if isinstance(places, Places) else Places(Path(places))
        self.folders = own.models()
        self._cards: dict[str, dict[str, Any]] = {}

    def known(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted({path.stem for folder in self.folders for path in folder.glob("*.json")})

    def file(self, name: str, suffix: str) -> Path:
        """A model's ``safetensors`` (weights), ``json`` (card) or ``csv`` (history)."""
        having = (folder for folder in self.folders if (folder / f"{name}.json").is_file())
        return next(having, self.folders[0]) / f"{name}.{suffix}"

    def new_file(self, name: str, suffix: str) -> Path:
        """The same of a model that is made: in one's own folder, where there is one."""
        return self.folders[0] / f"{name}.{suffix}"

    def card(self, name: str, where: object = None) -> dict[str, Any]:
        """What is known of a model.

        Parameters
        ----------
        where
            What names the model, for errors.

        Raises
        ------
        WarplineError
            If there is none of this name, or its card cannot be read.
        """
        if name not in self._cards:
            known = self.known()
            if name not in known:
                raise WarplineError(
                    f"There is no model '{name}' in the folder {FOLDER}.",
                    where=where or self.folders[-1],
                    do=suggestion(name, known),
                )
            path = self.file(name, "json")
            try:
                self._cards[name] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise WarplineError(
                    f"The model's card cannot be read ({error}).",
                    where=path,
                    do="Restore the file from the project's repository.",
                ) from error
        return self._cards[name]


def as_trained(spec: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """A method with a model's weights: network, loss and training are those of the model."""
    own = {key: card["recipe"][key] for key in OF_THE_MODEL}
    if "training" in spec:
        own["training"] = {**own["training"], "splits": spec["training"]["splits"]}
    return {**spec, **own, "pretrain": None}
