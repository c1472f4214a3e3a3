"""PAPER.md tells the truth about where things are, and README about the results."""

import re
from pathlib import Path

import pytest

from anet.results import BEGIN, END, table

ROOT = Path(__file__).parent.parent
ITEMS = [line for line in (ROOT / "PAPER.md").read_text().splitlines() if line.startswith("| ") and "anet/" in line]


@pytest.mark.parametrize("line", ITEMS, ids=[line.split("|")[1].strip() for line in ITEMS])
def test_each_home_that_the_paper_index_names_exists(line):
    home = line.split("|")[2]
    source = ""
    for part in re.findall(r"`([^`]+)`", home):
        if part.endswith(".py"):
            source = (ROOT / part).read_text()
        else:
            assert re.search(rf"^(def|class) {part}\b|^{part}\b", source, re.MULTILINE), part
    assert source


def test_the_index_lists_every_equation():
    text = "\n".join(ITEMS)
    assert all(f"({number})" in text for number in range(1, 9))


def test_the_readme_shows_the_table_that_the_results_print():
    readme = (ROOT / "README.md").read_text()
    assert readme.split(BEGIN)[1].split(END)[0].strip() == table(ROOT / "results").strip()
