"""What the journeys begin with: an empty folder, and a clock."""

from __future__ import annotations

import time

import pytest
from desk import Desk


@pytest.fixture
def desk(tmp_path) -> Desk:
    """An empty folder, of a name that a user may choose."""
    (tmp_path / "Zoë's study").mkdir()
    return Desk(tmp_path / "Zoë's study")


@pytest.fixture
def timed(record_property, capsys):
    """Tells how long a journey took, by the clock."""
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    record_property("seconds", round(seconds, 1))
    with capsys.disabled():
        print(f" {seconds:.0f} s", end="")
