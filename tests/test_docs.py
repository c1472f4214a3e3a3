"""The pages say what is true: their code runs, their links and anchors lead somewhere, the tests they name exist."""

import contextlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from anet.cli import app
from anet.data.synthetic import synthesize
from anet.image import read_image, read_mask, write_png
from anet.runtime.inspector import Inspector
from anet.runtime.results import COLUMNS, inspect_paths
from tests.test_calibrate import board
from tests.test_examples import load
from tests.test_export import exported

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
TEXT = ("text", "")  # languages of blocks that are no code
MOST_NOT_RUN = 8
SHORT = {  # what is added to verbs that would take minutes
    "train": ["--epochs", "1", "--size", "32", "--batch", "4", "--no-compile", "--device", "cpu"],
    "export": ["--formats", "openvino"],
}
MEANT = {"DATA": "mine", "RUN": "runs/mine", "BUNDLE": "runs/mine/bundle", "PICTURES": "pictures"}  # placeholders
EXIT_CODES = {"inspect": (0, 1, 3)}  # a verdict is no failure


class Block(NamedTuple):
    """A block of code of a page. `reason` says why it is not run; empty where it is."""

    line: int
    language: str
    code: str
    reason: str


def blocks(page: Path) -> list[Block]:
    """Give the fenced blocks of a page, in order."""
    pattern = r"^(?:<!-- not run: ([^\n]+) -->\n)?```([\w+-]*)[^\n]*\n(.*?)^```$"
    text = page.read_text()
    return [
        Block(text.count("\n", 0, found.start(2)) + 1, found[2], found[3], found[1] or "")
        for found in re.finditer(pattern, text, re.M | re.S)
    ]


def code(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language not in TEXT and "--8<--" not in block.code]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


FIRST = ROOT / "docs" / "own-surface.md"  # its commands make the run and the bundle that other pages use
WITH_CODE = [page for page in PAGES if page != FIRST and any(not block.reason for block in code(page))]


# running


def run_page(page: Path) -> None:
    """Run all of a page's code in the current folder, as a reader would from top to bottom."""
    web = np.random.default_rng(0).integers(0, 256, (300, 64, 3), np.uint8)
    known = {"bundle": MEANT["BUNDLE"], "picture": "part.png", "web": web}  # names that pages use for the reader's own
    for block in code(page):
        where = f"{name(page)}:{block.line}"
        if block.reason:
            continue
        if block.language == "sh":
            for line in block.code.splitlines():
                run_line(line, where)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.code, where, "exec"), known)
        elif block.language == "toml":
            Path("rules.toml").write_text(block.code)
        else:
            pytest.fail(f"{where}: no way to run {block.language!r}; say why above it: <!-- not run: reason -->")


def run_line(line: str, where: str) -> None:
    """Run one line of a shell block, `anet ...`, in this process: a new one needs seconds for torch alone."""
    words = [MEANT.get(word, word) for word in shlex.split(line, comments=True)]
    if not words:
        return
    assert words[0] == "anet", f"{where}: {line}: only anet is run here; say why above it: <!-- not run: reason -->"
    done = CliRunner().invoke(app, words[1:] + SHORT.get(words[1], []))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in EXIT_CODES.get(words[1], (0,)), f"{where}: {line}\n{done.output}"


def make_own_surface(folder: Path) -> Path:
    """Make what a reader has: labelled pictures of three classes, new pictures, one part and a checkerboard."""
    synthesize(folder / "mine", 24, 64, 0)
    for number, mask in enumerate(sorted((folder / "mine" / "masks").rglob("*.png"))):
        write_png(mask, read_mask(mask) // 255 * np.uint8(1 + number % 2))
    (folder / "mine" / "classes.txt").write_text("background\nscratch\npore\n")
    paper = cv2.resize(cv2.copyMakeBorder(board(), 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(255,) * 3), (250, 200))
    write_png(folder / "board.png", paper)
    (folder / "pictures").mkdir()
    for path in sorted((folder / "mine" / "images" / "test").rglob("*.png"))[:3]:
        write_png(folder / "pictures" / path.name, cv2.resize(read_image(path), (250, 200)))  # of the same camera
    shutil.copy(folder / "pictures" / path.name, folder / "part.png")
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    """The folder of a reader who has followed FIRST to its end."""
    folder = make_own_surface(tmp_path_factory.mktemp("reader"))
    with contextlib.chdir(folder):
        run_page(FIRST)
    return folder


def test_a_reader_gets_from_labelled_pictures_to_verdicts(reader):
    assert (reader / "runs" / "mine" / "bundle" / "card.json").exists()


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_code_of_a_page_runs(page, reader, tmp_path, monkeypatch):
    shutil.copytree(reader, tmp_path / "reader")
    monkeypatch.chdir(tmp_path / "reader")
    run_page(page)


def test_few_blocks_are_not_run_and_each_says_why():
    reasons = [block.reason for page in PAGES for block in code(page) if block.reason]
    assert all(len(reason.split()) > 2 for reason in reasons) and len(reasons) <= MOST_NOT_RUN


def test_a_mark_stands_right_above_its_block_and_every_block_ends():
    for page in PAGES:
        text = page.read_text()
        assert text.count("<!-- not run:") == sum(bool(block.reason) for block in blocks(page)), name(page)
        assert len(re.findall(r"^```", text, re.M)) == 2 * len(blocks(page)), name(page)


def test_code_that_fails_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    monkeypatch.setattr("tests.test_docs.ROOT", tmp_path)
    for wrong in ("```sh\nanet inspect nothing part.png\n```\n", "```python\n1 / 0\n```\n", "```sh\nrm -r x\n```\n"):
        page.write_text(wrong)
        with pytest.raises((AssertionError, ZeroDivisionError)):
            run_page(page)


# links


def prose(page: Path) -> str:
    """Give a page without its blocks, and with the files that it takes in."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return re.sub(r'^--8<-- "(.+)"$', lambda found: prose(ROOT / found[1]), text, flags=re.M)


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub and the site spell them where both agree."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    plain = re.sub(r"`[^`\n]*`", "", prose(page))
    yield from (target for target in re.findall(r"\]\(([^)\s]+)\)", plain) if "://" not in target)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{name(page)}: no {target}"
        assert not anchor or anchor in anchors(file), f"{name(page)}: no heading for {target}"


def test_readme_leads_to_the_site():
    assert "docs/index.md" in set(links(ROOT / "README.md"))


# names


def verbs() -> set[str]:
    """Give all verbs, those of groups as two words."""
    commands = get_command(app).commands
    return {*commands, *(f"{group} {verb}" for group in commands for verb in getattr(commands[group], "commands", {}))}


def test_every_verb_that_a_page_names_exists():
    known = verbs()
    for page in PAGES:
        for said in re.findall(r"`anet ([^`\n]+)`", page.read_text()):
            words = [word for word in said.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
            if words and said.startswith(words[0]):
                assert words[0] in known, f"{name(page)}: anet {said}"


def test_every_test_that_holds_a_promise_exists():
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"\| `([\w/.-]+?)(?:::(\w+))?` \|", page)
    assert len(named) == sum(line.startswith("| ") and "| promise" not in line for line in page.splitlines()) > 20
    for file, test in named:
        assert (ROOT / file).exists(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"


def keys(value: Any) -> set[str]:
    """Give the names of all fields of a JSON value, at any depth."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    return value.keys() | keys(list(value.values())) if isinstance(value, dict) else set()


def test_every_field_of_results_is_explained_and_no_other(tmp_path):
    write_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"")
    inspect_paths(Inspector(exported(4), threads=1, mm_per_px=0.1), [tmp_path], tmp_path.with_name("out"))
    lines = [json.loads(line) for line in (tmp_path.with_name("out") / "results.jsonl").read_text().splitlines()]
    assert lines[0]["defects"] and lines[0]["reasons"] and "error" in lines[1]
    section = (ROOT / "docs" / "deploy.md").read_text().split("## What a line holds\n")[1].split("\n## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| `")]
    told = {word for row in rows for word in re.findall(r"`(\w+)`", row[0])}
    inside = {
        word for row in rows if row[0].strip() in ("`view`", "`timing_ms`") for word in re.findall(r"`(\w+)`", row[1])
    }
    assert told | inside == keys(lines) | set(COLUMNS)


def test_the_table_of_few_labels_is_that_of_the_results():
    module = load(ROOT / "docs" / "print_few_labels.py")
    page = module.PAGE.read_text()
    assert len(module.BLOCK.findall(page)) == 1
    assert page == module.filled(page), "run: python docs/print_few_labels.py"
    found = module.read_all(module.RESULTS)
    assert len(module.table(found).splitlines()[2:]) == sum(bool(one["split"].get("pictures")) for one in found)


def test_few_labels_are_held_against_all_of_them_from_the_same_weights_only():
    module = load(ROOT / "docs" / "print_few_labels.py")

    def run(iou: float, start: str | None, pictures: int | None = None) -> dict:
        one = json.loads(json.dumps(next(one for one in module.read_all(module.RESULTS) if one["model"].get("init"))))
        one["split"]["pictures"], one["scores"]["iou"][1] = pictures, iou
        one["scores"]["miou"] = iou
        one["model"]["init"] = {"name": "synthetic", "sha256": start} if start else None
        return one

    few, same, other, scratch = run(0.6, "a", 20), run(0.7, "a"), run(0.9, "b"), run(0.5, None)
    assert module.whole(few, [few, same, other, scratch]) == pytest.approx(70)
    assert module.whole(few, [few, other, scratch]) is None
    assert "–" in module.table([few, other, scratch])


def test_the_curves_of_few_labels_have_a_panel_a_task_and_a_point_for_each_number_of_pictures():
    module = load(ROOT / "docs" / "print_few_labels.py")
    found = module.few(module.read_all(module.RESULTS))
    points = {
        (one["data"]["task"], (one["model"].get("init") or {}).get("name"), one["split"]["pictures"]) for one in found
    }  # of several seeds, one
    with module.style():
        panels = module.draw(module.read_all(module.RESULTS)).axes
    assert [axes.get_title() for axes in panels] == sorted({f"sd900, {one['data']['task']}" for one in found})
    lines = [line for axes in panels for line in axes.lines if line.get_linestyle() != ":"]  # dotted: all pictures
    assert sum(len(line.get_xdata()) for line in lines) == len(points)
