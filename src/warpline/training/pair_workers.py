"""Processes that draw synthetic pairs ahead of a training on a CPU.

    python -m warpline.training.pair_workers DESCRIPTOR

is one of them. Over its end of a pipe it gets its `Studio`, then an `Order` for each pair, and
answers each. It ends when nobody holds the other end, so with its starter.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any

import torch

from warpline.cases.case import Case
from warpline.cases.folders import CaseFolders
from warpline.errors import WarplineError
from warpline.registration.synthetic.patches import Drawn, MakePair, Sampling, draw_patches
from warpline.training.kept_pairs import KeptPairs
from warpline.training.room import KeptCases, Room
from warpline.training.together import environment_of


@dataclass(frozen=True)
class Order:
    """A synthetic pair of a training image, and the seeds that all of it follows from."""

    image: int
    field: int
    field_seed: tuple[int, ...]
    draw_seed: tuple[int, ...]

    def drawn(
        self,
        case: Case,
        sampling: Sampling,
        make_pair: MakePair | None,
        device: torch.device | str = "cpu",
    ) -> Drawn:
        """The pair and its patches, of the training image's case."""
        return draw_patches(
            case,
            self.field,
            sampling.patches,
            sampling,
            field_seed=self.field_seed,
            draw_seed=self.draw_seed,
            device=device,
            make_pair=make_pair,
        )


@dataclass(frozen=True)
class Studio:
    """What pairs are drawn from.

    Attributes
    ----------
    cases
        The training cases; read one by one.
    sampling
        How examples are drawn.
    room
        Where cases, and pairs that come again in every epoch, lie in files; None to read and make
        them anew.
    """

    cases: CaseFolders
    sampling: Sampling
    room: Room | None

    def drawing(self) -> Callable[[Order], Drawn]:
        """A function that draws an order's pair. It keeps nothing in memory, only in files."""
        room = None if self.room is None else replace(self.room, free=0)
        cases = KeptCases(self.cases, room)
        pairs = None if room is None or self.sampling.fresh else KeptPairs(room)

        def drawn(order: Order) -> Drawn:
            case = cases[order.image]
            return order.drawn(case, self.sampling, pairs and partial(pairs.pair, case.id))

        return drawn


class PairWorkers:
    """Draws orders in processes, of one thread each; they start with the first order.

    An order gives the same pair whoever draws it. Orders beyond those that are asked for wait or
    are drawn meanwhile: `drawn` says which.

    Parameters
    ----------
    count
        Of processes.
    """

    def __init__(self, studio: Studio, count: int):
        self.studio, self.count = studio, count
        self._threads = ThreadPoolExecutor(count, "synthetic pairs")
        self._ordered: dict[Order, Future] = {}
        self._idle: queue.SimpleQueue[tuple[subprocess.Popen, Connection]] = queue.SimpleQueue()
        self._processes: list[tuple[subprocess.Popen, Connection]] = []

    def drawn(self, orders: Sequence[Order], ahead: Iterable[Order] = ()) -> list[Drawn]:
        """The pairs of some orders; those of `ahead` are begun.

        Raises
        ------
        WarplineError
            What a process raised, or that it ended.
        RuntimeError
            Any other error of a process, with its traceback.
        """
        while len(self._processes) < self.count:
            self._start()
        wanted = [*orders, *ahead]
        for order, future in self._ordered.items():
            if order not in wanted:
                future.cancel()
        self._ordered = {
            order: self._ordered.get(order) or self._threads.submit(self._draw, order)
            for order in wanted
        }
        return [self._ordered.pop(order).result() for order in orders]

    def close(self) -> None:
        """End the processes at once; what they have begun is lost."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process, _ in self._processes:
            process.kill()
        self._threads.shutdown()
        for process, pipe in self._processes:
            process.wait()
            pipe.close()
        self._processes = []

    def _start(self) -> None:
        pipe, other = Pipe()
        with other:
            process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(other.fileno())],
                pass_fds=[other.fileno()],
                env=environment_of(1),
            )
        self._processes.append((process, pipe))
        with suppress(OSError):  # it has ended: the first order tells
            pipe.send(self.studio)
        self._idle.put((process, pipe))

    def _draw(self, order: Order) -> Drawn:
        process, pipe = self._idle.get()
        try:
            pipe.send(order)
            answer = pipe.recv()
        except (OSError, EOFError) as error:
            raise WarplineError(
                f"A process that makes synthetic pairs ended with status {process.wait()}.",
                where="training on a CPU, config key 'workers'",
                do="See the log for what it said. Of a lack of memory it says nothing: lower "
                "'workers' then, or raise 'memory_mb'.",
            ) from error
        finally:
            self._idle.put((process, pipe))
        if "parts" in answer:
            return Drawn(**{name: torch.from_numpy(part) for name, part in answer["parts"].items()})
        if answer["error"] is not None:
            raise answer["error"]
        raise RuntimeError(f"A synthetic pair could not be made:\n{answer['traceback']}")


def _answer(draw: Callable[[Order], Drawn], order: Order) -> dict[str, Any]:
    """An order's pair as arrays, or why there is none."""
    try:
        drawn = draw(order)
    except WarplineError as error:
        return {"error": error}
    except Exception:
        return {"error": None, "traceback": traceback.format_exc()}
    return {"parts": {name: part.numpy() for name, part in vars(drawn).items()}}


def main() -> None:
    """Draw pairs until the input ends."""
    # Both go to a whole group of processes: the starter saves its state, and then ends this one.
    for ignored in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    torch.set_num_threads(1)
    pipe = Connection(int(sys.argv[1]))
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    draw = pipe.recv().drawing()
    threading.Thread(target=_receive, args=(pipe, orders), daemon=True).start()
    while True:
        pipe.send(_answer(draw, orders.get()))


def _receive(pipe: Connection, orders: queue.SimpleQueue[Order]) -> None:
    """Hand on what is ordered; end the process when nobody is left to order."""
    while True:
        try:
            orders.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    main()
