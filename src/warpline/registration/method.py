"""A method's settings, and the registrar that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from warpline.devices.claim import claim
from warpline.plan.kinds import REGISTRARS
from warpline.registration.registrar import Registrar
from warpline.registry import lookup


@dataclass(frozen=True)
class Method:
    """What a registrar is made of; what a kind of method does not use stays as it is here.

    Attributes
    ----------
    kind
        One of `warpline.plan.kinds.REGISTRARS`.
    seed
        Of all that is random.
    parameters, parameter_files
        Of a baseline; files are elastix' own.
    samples
        How many fields are drawn for a map of their spread, by a network of velocities.
    search
        Settings of a registration by displacement embeddings.
    warpline
        Settings of the project's own method.
    network, weights
        The recipe of the network that the method runs, and its weights' file.
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
    parameters: Mapping[str, Any]
    parameter_files: Sequence[str] = ()
    samples: int | None = None
    search: Mapping[str, Any] | None = None
    warpline: Mapping[str, Any] | None = None
    network: Mapping[str, Any] | None = None
    weights: str | None = None
    embedding: str | None = None
    atlas: str | None = None
    aligned: bool = False
    threads: int = 1

    @classmethod
    def of(cls, spec: Mapping[str, Any], **more: Any) -> Method:
        """The method of a file, as the schema leaves it; `more` are the attributes it lacks."""
        return cls(
            kind=spec["kind"],
            seed=spec["seed"],
            parameters=spec["parameters"],
            samples=spec.get("samples"),
            search=spec.get("embedding"),
            warpline=spec.get("warpline"),
            **more,
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
