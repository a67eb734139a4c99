"""A batch of pairs as a job of the workflow is asked to register it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warpline.plan.pairs import ATLAS, Pair
from warpline.registration.batch import register_batch
from warpline.registration.method import Method, registrar
from warpline.registration.tuned import tuned


def method_of(settings: Mapping[str, Any], files: Mapping[str, Any], threads: int) -> Method:
    """The method of a rule's parameters and its inputs by name.

    Parameters
    ----------
    settings
        With the ``method``, the recipe of its ``network``, ``folders`` and ``initial``, as
        `warpline.plan.inputs.register.registration_settings` has them.
    files
        Where the method has them: ``weights``, ``embedding``, ``parameters``, ``tuned``.
    """
    parameters: Sequence[str] = files.get("parameters") or []
    return Method.of(
        tuned(settings["method"], files.get("tuned")),
        recipe=settings["network"],
        weights=files.get("weights") or None,
        embedding=files.get("embedding") or None,
        parameter_files=[parameters] if isinstance(parameters, str) else parameters,
        atlas=settings["folders"].get(ATLAS),
        aligned=bool(settings["initial"]),
        threads=threads,
    )


def initial_of(
    settings: Mapping[str, Any], files: Mapping[str, Any], threads: int
) -> Method | None:
    """The method before a rule's own, if its parameters name one under ``initial``."""
    if settings["initial"] is None:
        return None
    first = {**settings, "method": settings["initial"], "network": None, "initial": None}
    return method_of(first, {"parameters": files.get("initial")}, threads)


@dataclass(frozen=True)
class Job:
    """A batch of pairs and how it is registered.

    Attributes
    ----------
    pairs
        (fixed, moving) ids.
    folders
        Of every case.
    initial
        Folder of the field before the method's own of each pair, by the pair's name; may be empty.
    device
        See `warpline.devices.claim.claim`.
    halved
        Whether fields are kept halved where they are smooth enough.
    """

    method: Method
    pairs: Sequence[Pair]
    folders: Mapping[str, str]
    initial: Mapping[str, str]
    device: str
    halved: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any], files: Mapping[str, Any], threads: int) -> Job:
        """The job of a rule's parameters and its inputs by name.

        Parameters
        ----------
        settings
            From `warpline.plan.inputs.register.registration_settings`.
        files
            See `method_of`.
        """
        method = method_of(settings, files, threads)
        pairs = [(fixed, moving) for fixed, moving in settings["pairs"]]
        return cls(
            method,
            pairs,
            settings["folders"],
            settings["initial"],
            settings["device"],
            settings["halved"],
        )

    def run(self, target: str, origin: object = None) -> None:
        """Register the pairs.

        Parameters
        ----------
        target, origin
            See `warpline.registration.batch.register_batch`.

        Raises
        ------
        WarplineError
            If a file cannot be read, the device is not there, or a registration fails.
        """
        with registrar(self.method, self.device, job=target) as chosen:
            place = self.folders, target, self.initial, origin
            register_batch(chosen, self.pairs, *place, halved=self.halved)
