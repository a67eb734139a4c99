"""Pieces of one computation side by side on a CPU, each with its share of the threads.

A layer of torch is done by all threads together, which wait for each other at its end and in what
one thread does alone. Pieces that do not need each other have no reason to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def workers(pieces: int, device: torch.device) -> int:
    """How many of so many pieces go side by side: one for each thread, at most."""
    alone = device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    return 1 if alone else max(1, min(pieces, torch.get_num_threads()))


def abreast(
    function: Callable[[Piece], Answer], pieces: Iterable[Piece], device: torch.device
) -> list[Answer]:
    """The function of each piece, in order; without gradients, autocast or a GPU side by side."""
    pieces = list(pieces)
    count = workers(len(pieces), device)
    if count == 1:
        return [function(piece) for piece in pieces]
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()

    def one(piece: Piece) -> Answer:
        # Both modes belong to a thread.
        with torch.inference_mode(inference), torch.no_grad():
            return function(piece)

    try:
        with ThreadPoolExecutor(
            count, initializer=torch.set_num_threads, initargs=(threads // count,)
        ) as pool:
            return list(pool.map(one, pieces))
    finally:
        torch.set_num_threads(threads)  # what a thread sets, threads to come begin with
