"""How long a source is insisted upon."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tenacity

from warpline.acquire.archive import SourceFailed
from warpline.errors import plain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """Retries, waits and time-outs of a download.

    Attributes
    ----------
    attempts
        Failures in a row, without a byte more, after which a source is given up.
    backoff
        Seconds before the second attempt; doubles each time, with jitter.
    longest_backoff
        Seconds beyond which it no longer doubles.
    longest_wait
        Seconds: a server that asks for more is given up for the next source.
    connect, read
        Seconds to wait for a connection and for data.
    quiet
        Seconds to wait without a word for another run that fetches the same file.
    sleep
        Waits for seconds.
    """

    attempts: int = 5
    backoff: float = 1.0
    longest_backoff: float = 60.0
    longest_wait: float = 120.0
    connect: float = 20.0
    read: float = 60.0
    quiet: float = 10.0
    sleep: Callable[[float], None] = time.sleep


class TryAgain(Exception):
    """This source may give the file a little later, after `wait` seconds if it said so."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(plain(reason))
        self.wait = wait


def insist(
    ask: Callable[[], Any],
    name: str,
    patience: Patience,
    so_far: Callable[[], int] = lambda: 0,
) -> Any:
    """What `ask` returns once it does not raise `TryAgain`.

    Parameters
    ----------
    so_far
        Bytes that are there; attempts that bring more do not count as failures.

    Raises
    ------
    SourceFailed
        If it still raises `TryAgain` when the patience is at its end.
    """
    failures, furthest = 0, so_far()

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception()
        asked = error.wait if isinstance(error, TryAgain) else None
        if asked is not None:
            return asked
        seconds = min(patience.backoff * 2 ** (failures - 1), patience.longest_backoff)
        return seconds * random.uniform(0.5, 1.5)

    def announce(state: tenacity.RetryCallState) -> None:
        reason, seconds = state.outcome.exception(), state.next_action.sleep
        log.warning("%s: %s; trying again in %.1f s", name, reason, seconds)

    def once() -> Any:
        nonlocal failures, furthest
        try:
            return ask()
        except TryAgain:
            failures = 1 if so_far() > furthest else failures + 1
            furthest = max(furthest, so_far())
            raise

    retrying = tenacity.Retrying(
        stop=lambda _: failures >= patience.attempts,
        wait=wait,
        sleep=patience.sleep,
        retry=tenacity.retry_if_exception_type(TryAgain),
        before_sleep=announce,
        reraise=True,
    )
    try:
        return retrying(once)
    except TryAgain as error:
        raise SourceFailed(f"{error} ({patience.attempts} attempts)") from error
