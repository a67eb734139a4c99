"""The next batch, made while the network learns from this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warpline.training.loop import Objective


class Ahead:
    """The batches of an objective in the order of their steps; use as a context manager, which ends
    what the objective has begun by its `close`, if it has one.

    A batch is a function of the seed and the step alone, so that it is the same whoever makes it,
    and when.

    Parameters
    ----------
    wanted
        Whether a thread makes the next batch meanwhile. It pays where the network computes on
        another device than the one that reads, moves and cuts images.
    """

    def __init__(self, objective: Objective, wanted: bool):
        self.objective = objective
        self._thread = ThreadPoolExecutor(1, "next batch") if wanted else None
        self._next: tuple[int, Future] | None = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        getattr(self.objective, "close", lambda: None)()

    def batch(self, step: int, last: bool = False) -> Any:
        """The batch of a step; errors are the objective's. After the `last` none is made."""
        if self._thread is None:
            return self.objective.batch(step)
        if self._next is None or self._next[0] != step:
            self._next = step, self._thread.submit(self.objective.batch, step)
        batch = self._next[1].result()
        self._next = None
        if not last:
            self._next = step + 1, self._thread.submit(self.objective.batch, step + 1)
        return batch
