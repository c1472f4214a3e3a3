"""Deselects what needs minutes (`slow`) or real pictures (`data`), and says so in the summary."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: more threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("anet", deadline=None)  # a busy machine is no failure: benchmarks live in `anet bench`
settings.load_profile("anet")

# Compiled networks are kept here, not below the user's home; tests share it, which also saves compiling twice.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="anet-test-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config, items):
    closed = _closed(config)
    kept = []
    for item in items:
        marker = next((m for m in closed if closed[m] and item.get_closest_marker(m)), None)
        if not marker:
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_terminal_summary(terminalreporter, config):
    closed = _closed(config)
    if closed["data"]:
        terminalreporter.write_line("tests on real pictures are deselected: set ANET_DATA")
    if closed["slow"]:
        terminalreporter.write_line("slow tests are deselected: give --slow")


def _closed(config):
    return {"slow": not config.getoption("--slow"), "data": not os.environ.get("ANET_DATA")}


@pytest.fixture(autouse=True)
def signal_stack():
    """Model API and nncf make an `ov.Core` of their own: without this, a child's end later killed the test worker."""
    from anet.runtime.engines.compiled import kept_signal_stack

    with kept_signal_stack():
        yield


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets; only for tests marked `data`."""
    return Path(os.environ["ANET_DATA"])
