"""A batch of pairs as a job of the workflow is asked to register it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warpline.plan.pairs import ATLAS
from warpline.registration.batch import register_batch
from warpline.registration.method import Method, registrar


def register_as_asked(
    settings: Mapping[str, Any],
    files: Mapping[str, Any],
    target: str,
    threads: int,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Register a batch of pairs by a method.

    Parameters
    ----------
    settings
        ``method``, ``network`` (its recipe, or None), ``pairs``, ``folders`` of the cases,
        ``initial`` (folders of the fields before the method's own) and ``device``.
    files
        Where the method has them: ``weights``, ``embedding``, ``parameters``.
    target, origin
        See `warpline.registration.batch.register_batch`.

    Raises
    ------
    WarplineError
        If a file cannot be read, the device is not there, or a registration fails.
    """
    parameters: Sequence[str] = files.get("parameters") or []
    method = Method.of(
        settings["method"],
        network=settings["network"],
        weights=files.get("weights") or None,
        embedding=files.get("embedding") or None,
        parameter_files=[parameters] if isinstance(parameters, str) else parameters,
        atlas=settings["folders"].get(ATLAS),
        aligned=bool(settings["initial"]),
        threads=threads,
    )
    pairs = [(fixed, moving) for fixed, moving in settings["pairs"]]
    with registrar(method, settings["device"], job=target) as chosen:
        register_batch(chosen, pairs, settings["folders"], target, settings["initial"], origin)
