"""What the journeys begin with: an empty folder, and a clock."""

from __future__ import annotations

import resource
import time

import pytest
from desk import Desk


@pytest.fixture
def desk(tmp_path) -> Desk:
    """An empty folder, of a name that a user may choose."""
    (tmp_path / "Zoë's study").mkdir()
    return Desk(tmp_path / "Zoë's study")


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.fixture
def timed(record_property, capsys):
    """Tells how long a journey took, by the clock and of CPU, with all that it started."""
    began, used = time.monotonic(), cpu_seconds()
    yield
    seconds, used = time.monotonic() - began, cpu_seconds() - used
    record_property("seconds", round(seconds, 1))
    record_property("cpu_seconds", round(used, 1))
    with capsys.disabled():
        print(f" {seconds:.0f} s, {used:.0f} s of CPU", end="")
