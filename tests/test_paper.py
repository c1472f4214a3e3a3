"""PAPER.md tells the truth about where things are, and README about the results."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from anet.cli import app
from anet.nets.ablation import ABLATIONS
from anet.nets.zoo import ZOO
from anet.results import read_all

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


STATES = ("reproduced", "differs", "not run yet", "data not public", "nothing to measure")


def test_the_index_lists_every_equation_table_and_figure():
    items = " ".join(line.split("|")[1] for line in ITEMS)
    assert all(f"({number})" in items for number in range(1, 9))
    tables, figures = (" ".join(re.findall(rf"{word} ([^:]+):", items)) for word in ("Tables?", r"Figs?\."))
    assert {"I", "II", "III", "IV", "V", "VI", "VII"} <= set(re.findall(r"[IV]+", tables))
    assert set("123456789") <= set(re.findall(r"\d", figures))


@pytest.mark.parametrize("line", ITEMS, ids=[line.split("|")[1].strip() for line in ITEMS])
def test_each_item_has_a_command_that_exists_and_a_state(line):
    _, _, _, command, state, _ = line.split("|")
    assert state.strip().startswith(STATES)
    told = re.findall(r"`(anet|make) ([^`]+)`", command + state)
    assert re.match(r" `(anet|make) ", command)
    for program, words in told:
        (check_verb if program == "anet" else check_target)(words.split())


@pytest.mark.parametrize(
    ("item", "networks"),
    [("Table III: IoU", ABLATIONS.keys() - {"anet"}), ("Tables IV, VII: IoU of the baselines", set(ZOO))],
)
def test_what_is_called_not_run_yet_has_no_result(item, networks):
    (line,) = (line for line in ITEMS if line.startswith(f"| {item}"))
    run = {one["model"]["network"] for one in read_all(ROOT / "results")} & networks
    assert bool(run) != ("not run yet" in line), f"PAPER.md, {item}: results/ has {sorted(run) or 'none'}"


def check_verb(words: list[str]) -> None:
    """Fail unless a verb and the options behind it exist, and the file of a plan is there."""
    command = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands"), words
    options = {name for option in command.params for name in option.opts}
    assert all(word in options for word in words if word.startswith("--")), words
    assert all((ROOT / word).exists() for word in words if word.endswith(".toml"))


def check_target(words: list[str]) -> None:
    """Fail unless the Makefile has a target."""
    assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words


def test_a_command_that_does_not_exist_is_seen():
    for words in (["paper", "tables"], ["paper", "table", "4", "--rows", "cost"], ["study", "run", "plans/none.toml"]):
        with pytest.raises(AssertionError):
            check_verb(words)
    with pytest.raises(AssertionError):
        check_target(["nothing"])
