"""Deselects what needs minutes (`slow`) or real pictures (`data`), and says so in the summary."""

import os
from pathlib import Path

import pytest

deselected = {"slow": 0, "data": 0}


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config, items):
    closed = {"slow": not config.getoption("--slow"), "data": not os.environ.get("ANET_DATA")}
    kept = []
    for item in items:
        marker = next((m for m in closed if closed[m] and item.get_closest_marker(m)), None)
        if marker:
            deselected[marker] += 1
        else:
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_terminal_summary(terminalreporter):
    if deselected["data"]:
        terminalreporter.write_line(f"{deselected['data']} tests on real pictures deselected: set ANET_DATA")
    if deselected["slow"]:
        terminalreporter.write_line(f"{deselected['slow']} slow tests deselected: give --slow")


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets; only for tests marked `data`."""
    return Path(os.environ["ANET_DATA"])
