"""Every test starts the same, whatever ran before it; which tests run in the same process."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

import browser
from project import finished

__all__ = ["finished"]  # one run for all folders of tests

START = time.monotonic()
# Made once for many tests, in minutes: the fixtures of which all users run in one process.
COSTLY = ("five_papers", "finished")
PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
if PARALLEL:
    # The processes share the cores. Libraries read their number of threads as they are loaded.
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ):
        os.environ.setdefault(name, "1")

# The same examples in every run: a change is to blame for a test that fails, not its luck.
settings.register_profile("warpline", derandomize=True)
settings.load_profile("warpline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, help="begin no further test after so many minutes; it is skipped"
    )


def group(item: pytest.Item) -> str | None:
    """Name of the costly fixture, or of the file with one, that a test shares with others."""
    for name in COSTLY:
        if name in item.fixturenames:
            return name
    if marker := item.get_closest_marker("tool"):
        return marker.args[0]
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    if any(definitions[-1].scope == "module" for definitions in fixtures):
        return item.path.name
    return None


def place(item: pytest.Item) -> int:
    """Where a test stands in the queue: the longest go first, so that no process waits long."""
    if group(item) in COSTLY:
        return COSTLY.index(group(item))
    return len(COSTLY) + (item.path.parent.name != "workflow")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have what tests share made once, by one process."""
    if not PARALLEL:
        return
    for item in items:
        if name := group(item):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=place)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what would begin too late, and say so."""
    minutes = item.config.getoption("minutes")
    if minutes is not None and time.monotonic() - START > 60 * minutes:
        pytest.skip(f"the {minutes:g} minutes for these tests are over")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a test: gzip writes the time into them, and all processes must agree."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _same_start():
    import torch  # not before the number of threads is set

    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A browser's page, which must have told no error when a file's tests are done."""
    program = browser.found()
    if program is None:
        pytest.skip("no Chromium on this machine: the pages are not looked at")
    with browser.browser(program, tmp_path_factory.mktemp("chromium")) as found:
        found.size(1280, 720)
        yield found
        assert found.errors == []
