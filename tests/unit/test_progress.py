"""Progress on a terminal and in a log."""

from __future__ import annotations

import io

from warpline import progress
from warpline.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_tenth():
    stream = io.StringIO()
    with Progress(1000, "training", "iteration", stream) as bar:
        for number in range(1000):
            bar.update(1, loss=1 / (number + 1))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "training: iteration 100 of 1000 (10%), loss 0.01"


def test_a_log_of_a_slow_step_gets_a_line_every_ten_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Progress(None, "download", "B", stream) as bar:
        for _ in range(30):
            now[0] += 1
            bar.update(1 << 20)
    assert stream.getvalue().splitlines() == [f"download: {n}.0MB" for n in (10, 20, 30)]


def test_what_is_left_is_said_as_on_a_terminal(monkeypatch):
    """A quarter of 4 GB in 900 s: three quarters are left for 2700 s."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    bar = Progress(4 << 30, "download", "B", stream)
    now[0] = 900
    bar.update(1 << 30)
    assert stream.getvalue() == "download: 1.00GB of 4.00GB (25%), 45:00 left\n"


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with Progress(10, "training", stream=stream) as bar:
        bar.update(10, loss=0.5)
    assert "training: 100%" in stream.getvalue()
    assert "loss=0.5" in stream.getvalue()
