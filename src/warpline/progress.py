"""Progress of a long step: a bar on a terminal, a few plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

LINE_SECONDS = 10.0
LINE_FRACTION = 0.1
ANNOUNCE_SECONDS = 30.0

# Set by `jobs.job` while standard error goes to a log: writes a line to the terminal too.
announce: Callable[[str], None] | None = None


class Progress:
    """Report how far a step has come; use as a context manager.

    Parameters
    ----------
    total
        Amount of work in `unit`; ``None`` if unknown.
    label
        What is being done, e.g. a file's name.
    unit
        One piece of the work; ``"B"``, bytes, is shown with binary prefixes.
    stream
        A terminal gets a bar; any other stream gets a line every 10 % of the total, and at least
        one every 10 s.
    initial
        Work done before, e.g. bytes of a download that is taken up again.
    """

    def __init__(
        self,
        total: int | None,
        label: str,
        unit: str = "step",
        stream: TextIO | None = None,
        *,
        initial: int = 0,
    ):
        self.total, self.label, self.unit = total, label, unit
        self.done = self._initial = initial
        self.stream = sys.stderr if stream is None else stream
        self._bar = None
        if self.stream.isatty():
            self._bar = tqdm(
                total=total,
                initial=initial,
                desc=label,
                unit=unit,
                unit_scale=unit == "B",
                unit_divisor=1024 if unit == "B" else 1000,
                file=self.stream,
                dynamic_ncols=True,
            )
        self._started = self._lined_at = self._announced_at = time.monotonic()
        self._lined_done = initial
        self._postfix: dict[str, Any] = {}

    def update(self, n: int = 1, **postfix: Any) -> None:
        """`n` more units are done; `postfix` values (e.g. a loss) are shown beside."""
        self.done += n
        self._postfix |= postfix
        if self._bar is not None:
            if postfix:
                self._bar.set_postfix(self._postfix, refresh=False)
            self._bar.update(n)
            return
        step = self.total is not None and self.done - self._lined_done >= LINE_FRACTION * self.total
        now = time.monotonic()
        if step or now - self._lined_at >= LINE_SECONDS:
            self._line()
        if announce is not None and now - self._announced_at >= ANNOUNCE_SECONDS:
            self._announced_at = now
            announce(self._state())

    def close(self) -> None:
        """Finish the bar, or write the last line if it is not written yet."""
        if self._bar is not None:
            self._bar.close()
        elif self.done != self._lined_done:
            self._line()

    def _line(self) -> None:
        print(self._state(), file=self.stream, flush=True)
        self._lined_at, self._lined_done = time.monotonic(), self.done

    def _state(self) -> str:
        done = _amount(self.done, self.unit)
        parts = []
        if self.total:
            total = _amount(self.total, self.unit) if self.unit == "B" else self.total
            done = f"{done} of {total} ({self.done / self.total:.0%})"
            elapsed = time.monotonic() - self._started
            if self.done > self._initial and elapsed >= LINE_SECONDS:
                rate = (self.done - self._initial) / elapsed
                parts.append(f"{tqdm.format_interval((self.total - self.done) / rate)} left")
        parts += [f"{key} {_short(value)}" for key, value in self._postfix.items()]
        return ", ".join([f"{self.label}: {done}", *parts])

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _amount(value: float, unit: str) -> str:
    return tqdm.format_sizeof(value, "B", 1024) if unit == "B" else f"{unit} {value}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
