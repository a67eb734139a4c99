"""A method's settings, and the registrar that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from warpline.devices.claim import claim
from warpline.plan.kinds import REGISTRARS
from warpline.plan.recipe import NetworkEntry, Parameters, Recipe
from warpline.registration.registrar import Registrar
from warpline.registry import lookup


@dataclass(frozen=True)
class Method:
    """What a registrar is made of; what a kind of method does not use is None, or empty.

    Attributes
    ----------
    kind
        One of `warpline.plan.kinds.REGISTRARS`.
    seed
        Of all that is random.
    parameters, parameter_files
        Of a baseline, whose tool says which there are; files are elastix' own.
    samples
        How many fields are drawn for a map of their spread, by a network of velocities.
    search
        Of a registration by displacement embeddings, which alone knows their fields
        (`warpline.registration.embedding.settings.Settings`).
    warpline
        Of the project's own method (`warpline.registration.variational.settings.Settings`).
    network, weights
        What the method runs, and its weights' file.
    window
        Side in voxels of the windows of a network that segments; None: it sees whole images.
    embedding
        The file of the learned embedding.
    atlas
        The folder of the dataset's atlas.
    aligned
        Whether an initial registration has moved the moving case.
    threads
        Of torch, and of a baseline that can use several.
    """

    kind: str
    seed: int
    parameters: Parameters
    parameter_files: Sequence[str]
    samples: int | None
    search: Mapping[str, Any] | None
    warpline: Mapping[str, Any] | None
    network: NetworkEntry | None
    weights: str | None
    window: int | None
    embedding: str | None
    atlas: str | None
    aligned: bool
    threads: int

    @classmethod
    def of(
        cls,
        spec: Mapping[str, Any],
        *,
        recipe: Recipe | None = None,
        parameter_files: Sequence[str] = (),
        weights: str | None = None,
        embedding: str | None = None,
        atlas: str | None = None,
        aligned: bool = False,
        threads: int = 1,
    ) -> Method:
        """The method of a file and the recipe of its network, as the schema leaves them.

        The other parameters are attributes that no such file has.
        """
        return cls(
            kind=spec["kind"],
            seed=spec["seed"],
            parameters=spec["parameters"],
            parameter_files=parameter_files,
            samples=spec.get("samples"),
            search=spec.get("embedding"),
            warpline=spec.get("warpline"),
            network=None if recipe is None else NetworkEntry.of(recipe),
            weights=weights,
            window=((recipe or {}).get("training", {}).get("sampling") or {}).get("crop"),
            embedding=embedding,
            atlas=atlas,
            aligned=aligned,
            threads=threads,
        )


@contextmanager
def registrar(method: Method, device: str, job: str) -> Iterator[Registrar]:
    """Hold a device for the block, and there make the registrar of a method.

    Parameters
    ----------
    device, job
        See `warpline.devices.claim.claim`.

    Raises
    ------
    WarplineError
        If there is no such kind of method, device or network, or a file does not fit the method.
    """
    kind = lookup(method.kind, REGISTRARS, "kind of method")
    if device == "cpu" and not kind.uses_torch:
        yield kind.of(method, "cpu")
        return
    import torch

    torch.set_num_threads(method.threads)
    with claim(device, job=job) as chosen:
        yield kind.of(method, chosen)
