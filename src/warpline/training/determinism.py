"""Trainings that take only operations which give the same bits each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from warpline.errors import WarplineError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without one, CUDA's products of matrices are not repeatable


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Let torch take only operations that are repeatable on their device; as before afterwards.

    Raises
    ------
    WarplineError
        If an operation has no such form there; names it.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
        raise WarplineError(
            f"An operation of the training is not repeatable here: {str(error).split(',')[0]}.",
            where="key 'training.deterministic' of the method",
            do="Set it to false, or train on a CPU.",
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=warns)
        torch.backends.cudnn.benchmark = before[1]
