"""The command line as a user meets it: one clear line and exit code 2 for what is wrong, and inputs never touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from anet import __version__, pipeline
from anet.cli import app
from anet.errors import ModelError, OutputError
from anet.files import UNSEALED, seal
from anet.image import png_bytes, read_mask
from anet.nets import ANet
from anet.nets.zoo import ZOO
from anet.runtime import results
from anet.training.checkpoint import Facts, save_model
from tests import layouts
from tests.test_export import SIZE, exported

ROOT = Path(__file__).parent.parent


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def anet(*words: str | Path) -> Ended:
    """Run a command in this process: `anet words...`; an exception that escapes is a failure of the test."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


def command(*words: str | Path, **options: Any) -> subprocess.CompletedProcess:
    """Run a command as a user does, in a process of its own."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120} | options
    return subprocess.run([sys.executable, "-m", "anet", *words], **settings)


def state(folder: Path) -> dict[str, tuple]:
    """Give everything below a folder but empty folders: kinds, bytes and times of all that is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not any(path.iterdir()):
            continue
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_mtime_ns, content)
    return found


def flipped(content: bytes, bit: int) -> bytes:
    broken = bytearray(content)
    broken[bit // 8] ^= 1 << bit % 8
    return bytes(broken)


def picture(seed: int = 0, h: int = 40, w: int = 56) -> bytes:
    return png_bytes(np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8))


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """A folder with a good data set and bundle, and with everything that can be wrong; no test changes it."""
    root = tmp_path_factory.mktemp("ready")
    layouts.folder(root / "set", 6, ("train", "val", "test"))
    shutil.copytree(exported(), root / "bundle")
    card = json.loads((root / "bundle/card.json").read_bytes()) | {"sha256": UNSEALED, "provenance": {}}
    (root / "bundle/card.json").write_bytes(seal(json.dumps(card).encode()))
    shutil.copytree(exported(), root / "flipped")
    weights = root / "flipped" / "model.bin"
    weights.write_bytes(flipped(weights.read_bytes(), 4242))
    for name in ("empty", "taken", "pictures", "half", "rubbish"):
        (root / name).mkdir()
    (root / "taken" / "results.jsonl").write_text("{}\n")
    (root / "file").write_text("precious")
    for number in range(3):
        (root / "pictures" / f"{number}.png").write_bytes(picture(number))
    (root / "half" / "good.png").write_bytes(picture())
    (root / "half" / "half.png").write_bytes(picture()[:-2000])
    (root / "rubbish" / "r.json").write_text('{"scores": []}')
    facts = Facts("anet", ("background", "defect"), SIZE, (0.5,) * 3, (0.25,) * 3)
    save_model(root / "good.safetensors", ANet(1).state_dict(), facts)
    sealed = (root / "good.safetensors").read_bytes()
    (root / "corrupt.safetensors").write_bytes(flipped(sealed, 8 * len(sealed) - 100))
    (root / "cut.safetensors").write_bytes(sealed[: len(sealed) // 2])
    (root / "text.safetensors").write_text("no model")
    (root / "foreign.safetensors").write_bytes(safetensors.torch.save({"weight": torch.zeros(3)}))
    save_model(root / "other.safetensors", {"weight": torch.zeros(3)}, facts)
    return root


# help


def verbs(one: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, one
    for name, below in getattr(one, "commands", {}).items():
        yield from verbs(below, (*words, name))


def test_every_verb_and_every_option_says_what_it_is_for():
    found = dict(verbs(get_command(app)))
    assert len(found) > 12
    for words, one in found.items():
        assert one.help, words
        assert not [option.name for option in one.params if not getattr(option, "help", None)], words
        done = anet(*words, "--help")
        assert done.code == 0 and " ".join(one.help.split()[:3]) in done.out and not done.err, words


def test_the_version_is_said():
    assert anet("--version") == (0, f"anet {__version__}\n", "")


@pytest.mark.parametrize("words", ["", "data"])
def test_without_a_verb_the_help_comes_and_it_is_an_error(words):
    done = anet(*words.split())
    assert done.code == 2 and "Usage" in done.out + done.err


# what is wrong

WRONG = {
    # data
    "train nothere": "nothere is not there",
    "train empty": "no data set in",
    "train file": "is a file",
    "data check nothere": "nothere is not there",
    "data check empty": "no data set in",
    "data show nothere": "nothere is not there",
    "data convert nothere out": "nothere is no folder",
    "data convert empty out": "holds no annotations",
    "data convert set set/images": "inputs are never changed",
    "run nothere": "nothere is not there",
    "eval bundle nothere": "nothere is not there",
    "results empty": "holds no result file",
    "results rubbish": "is no result file",
    # names
    "train set --network anett": "did you mean 'anet'",
    "train set --recipe strongest": "paper and strong exist",
    "train set --protocol random": "paper, grouped, given exist",
    "train set --task cracks": "has no task 'cracks'",
    "train set --device tpu": "auto, cpu and cuda exist",
    "train set --precision 8": "no precision '8'",
    "eval bundle set --task cracks": "has no task 'cracks'",
    "eval bundle set --protocol random": "paper, grouped, given exist",
    "complexity resnet": "no network 'resnet'",
    "data check set --protocol random": "paper, grouped, given exist",
    # numbers
    "train set --size 100": "128 would work",
    "train set --size 0": "32 would work",
    "train set --epochs 0": "at least 1",
    "train set --batch 0": "at least 1",
    "train set --devices 0": "devices is 0",
    "train set --seed -1": "seed is -1",
    "complexity anet --size 100": "multiples of 32",
    "complexity enet --size 100": "100x100 given, pad to 104x104",
    "networks --size 100": "pad to 128x128",
    "train set --network deeplabv3plus --batch 1": "cannot train with batch 1",
    "train set --aux": "anet has no auxiliary heads",
    "paper table 1": "no table 1: 2, 3, 4, 5, 6, 7",
    "paper table 4 --columns dice": "no columns 'dice'",
    "paper figure 2 --out f.svg": "no figure 2: 1, 5, 6, 7, 8, 9",
    "paper figure 9 --out f.pdf": ".svg or .png",
    "paper figure 5 --out f.svg --runs nothere": "--runs nothere is no folder",
    "paper all --out set": "not an empty folder",
    "paper table 4 --format xml": "no format 'xml'",
    "data synth out --size 8": "64 to 4096",
    "data synth out --pictures 0": "too few",
    "data show set --limit 0": "at least 1",
    "inspect bundle pictures --threshold 1.5": "threshold is 1.5",
    "inspect bundle pictures --threshold nan": "threshold is nan",
    "inspect bundle pictures --min-area -1": "min_area_px is -1",
    # models
    "inspect nothere pictures": "nothere is no model bundle",
    "inspect file pictures": "file is no model bundle",
    "inspect empty pictures": "empty is no model bundle",
    "inspect bundle/model.xml pictures": "give its folder",
    "inspect flipped pictures": "model.bin is damaged",
    "inspect good.safetensors pictures": "anet export",
    "eval flipped set": "model.bin is damaged",
    "eval nothere set": "nothere does not exist",
    "eval empty set": "empty is no run folder",
    "eval text.safetensors set": "text.safetensors carries no checksum",
    "eval cut.safetensors set": "cut.safetensors is damaged",
    "eval corrupt.safetensors set": "corrupt.safetensors is damaged",
    "eval foreign.safetensors set": "foreign.safetensors carries no checksum",
    "eval other.safetensors set": "other.safetensors (anet) is another network",
    "export corrupt.safetensors": "corrupt.safetensors is damaged",
    "export foreign.safetensors": "not written by anet",
    "export nothere": "nothere does not exist",
    "export good.safetensors": "run.json",
    "train --resume nothere": "nothere is no run folder",
    "train --resume set": "set is no run folder",
    # pictures
    "inspect bundle nothere.png": "nothere.png",
    "inspect bundle empty": "no picture found in empty",
    "inspect empty": "empty is neither a model nor a picture that is read (.png",
    "inspect file": "file is neither a model nor a picture that is read (.png",
    "inspect nothere": "nothere is neither a model nor a picture",
    # targets
    "inspect bundle pictures --out taken": "taken holds results already",
    "inspect bundle pictures --out pictures/out": "is inspected",
    "inspect bundle pictures --out bundle": "bundle is inside bundle, the model",
    "inspect bundle pictures --out bundle/out": "bundle/out is inside bundle, the model",
    "inspect bundle pictures --out file": "cannot write into file",
    "inspect bundle pictures --out file/below": "cannot write into file/below",
    "train set --runs file": "cannot write into file",
    "train set --runs file/below": "cannot write into file/below",
    "train set --name ../x": "not a plain folder name",
    "run set --out file": "cannot write into file",
    "data synth file": "exists already: give a folder that is new or empty",
    "data synth file/below": "cannot write file/below",
    "data synth taken": "exists already: give a folder that is new or empty",
    "data show set --out file/sheet.png": "cannot write file/sheet.png",
    "data show set --out empty": "cannot write empty",
    "eval bundle set --out file/r.json": "cannot write file/r.json",
    "eval bundle set --report empty": "cannot write empty",
    # targets that are inputs
    "calibrate pictures/0.png --squares 9x6 --square-mm 2 --out pictures/0.png": "pictures/0.png is an input",
    "data show set --out set/images/train/001.png": "is there already, inside",
    "data show set/masks --out set/images/train/001.png": "inputs are never changed",
    "eval bundle set --out set/masks/test/001.png": "inputs are never changed",
    "eval bundle set --report set/images/test/001.png": "inputs are never changed",
    "eval bundle set --out bundle/card.json": "inputs are never changed",
    "eval good.safetensors set --out good.safetensors": "good.safetensors is an input",
    "threshold bundle set --cost-miss 1 --cost-false 1 --out set/masks/val/001.png": "inputs are never changed",
    "threshold bundle set --cost-miss 1 --cost-false 1 --out bundle/model.xml": "inputs are never changed",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_one_line_and_exit_code_2_and_changes_nothing(ready, monkeypatch, line):
    monkeypatch.chdir(ready)
    before = state(ready)
    done = anet(*line.split())
    assert done.code == 2 and not done.out, done
    assert done.err.startswith("anet: ") and done.err.count("\n") == 1 and done.err.endswith("\n"), done.err
    assert WRONG[line] in done.err and "Traceback" not in done.err
    assert state(ready) == before


@pytest.mark.parametrize(
    "line",
    [
        "frobnicate", "data frobnicate", "train", "train set --nonsense", "train set --epochs many", "inspect",
        "inspect bundle", "complexity", "complexity anet --size 0", "complexity anet --size x",
        "complexity anet --size 99999", "networks --size 99999", "run --epochs 0",
        "bench --rounds 0", "bench-training --batch 0", "eval bundle set --threads -1", "data synth out --seed -1",
    ],
)  # fmt: skip
def test_what_is_no_command_shows_the_usage_and_exits_2(ready, monkeypatch, line):
    monkeypatch.chdir(ready)
    before = state(ready)
    done = anet(*line.split())
    assert done.code == 2 and not done.out and "Usage: " in done.err and "Traceback" not in done.err
    assert state(ready) == before


def test_a_name_with_control_characters_is_shown_as_one_harmless_line():
    done = anet("data", "check", "two\nlines\x1b[31m")
    assert done.code == 2 and done.err.count("\n") == 1 and "two\\nlines\\x1b[31m" in done.err


@pytest.mark.parametrize(
    "line", ["inspect LONG", "inspect bundle LONG", "inspect LONG half", "eval LONG set", "export LONG"]
)
def test_a_path_that_the_system_refuses_is_one_line(ready, monkeypatch, line):
    monkeypatch.chdir(ready)
    done = anet(*line.replace("LONG", "x" * 300).split())
    assert done.code == 2 and done.err.startswith("anet: ") and done.err.count("\n") == 1, done
    assert "File name too long" in done.err or "neither a model nor a picture" in done.err


def test_a_fault_of_ours_is_no_verdict(ready, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("anet.runtime.results.print_summary", broken)
    done = anet("inspect", ready / "bundle", ready / "pictures", "--out", ready / "fault")
    assert done.code == 2 and "ZeroDivisionError: ours" in done.err, "1 would reject"


def test_a_synthetic_set_that_another_run_made_meanwhile_is_taken(tmp_path, monkeypatch):
    def late(folder, *_):
        folder.mkdir(parents=True)
        (folder / "synthetic.json").write_text("{}")
        raise OutputError("exists already")

    monkeypatch.setattr(pipeline, "synthesize", late)
    assert (pipeline.synthetic_set(tmp_path, 0, Console(quiet=True)) / "synthetic.json").exists()
    monkeypatch.setattr(pipeline, "synthesize", lambda *_: (_ for _ in ()).throw(OutputError("the disk is full")))
    with pytest.raises(OutputError, match="disk is full"):
        pipeline.synthetic_set(tmp_path, 1, Console(quiet=True))


# inspection


def lines_of(out: Path) -> dict[str, dict]:
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text("ascii").splitlines()]
    return {Path(line["file"]).name: line for line in lines}


@pytest.mark.parametrize(("threshold", "code", "verdict"), [("0.9999999", 0, "accept"), ("0.0000001", 1, "reject")])
def test_the_exit_code_of_inspect_is_the_verdict(ready, tmp_path, threshold, code, verdict):
    before = state(ready)
    done = anet("inspect", ready / "bundle", ready / "pictures", "--threshold", threshold, "--out", tmp_path / "out")
    assert done.code == code and not done.err, done
    lines = lines_of(tmp_path / "out")
    assert [line["verdict"] for line in lines.values()] == [verdict] * 3
    assert f"3 {verdict}ed" in done.out and "0 errors" in done.out
    for name, line in lines.items():
        mask = read_mask(tmp_path / "out" / line["mask"])
        assert mask.shape == (40, 56) and bool(mask.any()) == bool(code) == bool(line["defects"]), name
    assert state(ready) == before


def test_half_a_picture_gets_no_verdict_and_the_others_do(ready, tmp_path):
    paths = [ready / "half", ready / "pictures", ready / "file"]
    done = anet("inspect", ready / "bundle", *paths, "--threshold", "0.9999999", "--out", tmp_path / "out")
    assert done.code == 2 and "4 accepted, 0 rejected, 2 errors" in done.out
    lines = lines_of(tmp_path / "out")
    for name in ("half.png", "file"):
        assert lines[name].keys() == {"file", "error"} and "\n" not in lines[name]["error"]
    assert all("verdict" in line for name, line in lines.items() if name not in ("half.png", "file"))
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
        "good.png",
    ]


def test_nothing_of_a_folder_is_passed_over_in_silence(ready, tmp_path):
    (tmp_path / "parts").mkdir()
    quiet = ("inspect", ready / "bundle", tmp_path / "parts", "--threshold", "0.9999999", "--out")
    for name in ("a.png", "b.ppm", "c.GIF", "d.gif", "e.jfif", "f", "g.jpe", "list.csv"):
        (tmp_path / "parts" / name).write_bytes(picture())
    done = anet(*quiet, tmp_path / "out")
    said = "6 files passed over by their ending (.ppm, .gif, .jfif, no ending, …)\n"
    assert done.code == 0 and done.out.endswith(f"  {said}") and not done.err
    assert done.out.startswith("1 pictures: 1 accepted")
    for name in ("a.png", "b.ppm", "c.GIF", "d.gif", "f", "g.jpe"):
        (tmp_path / "parts" / name).unlink()
    done = anet(*quiet, tmp_path / "none")
    assert done.code == 2 and done.err.endswith("parts; 1 file passed over by its ending (.jfif)\n")


def test_what_calibrate_warned_of_is_said_again_where_it_is_used(ready, tmp_path):
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"mm_per_px": [0.1, 0.1], "h": 40, "w": 56, "warnings": ["it is tilted", "it\nbends"]}))
    done = anet("inspect", ready / "bundle", ready / "pictures", "--mm-per-px", file, "--out", tmp_path / "out")
    assert done.code == 1 and done.err == f"anet: {file}: it is tilted\nanet: {file}: it\\nbends\n"


def test_without_a_folder_for_results_each_run_gets_a_new_one(ready, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ("inspect", ready / "bundle", ready / "pictures", "--threshold", "0.9999999")
    for name in ("inspected", "inspected-2"):
        done = anet(*line)
        assert done.code == 0 and done.out.endswith(f"  results: {name}\n") and len(lines_of(tmp_path / name)) == 3
    (tmp_path / "inspected-3").mkdir()
    (tmp_path / "inspected-3" / "results.jsonl.part").write_text("")  # of a run that was cut off
    before = state(tmp_path)
    assert anet(*line).out.endswith("  results: inspected-4\n")
    assert before.items() <= state(tmp_path).items()
    assert anet(*line, "--out", "inspected").err.startswith("anet: inspected holds results already")


def test_a_link_that_leads_nowhere_is_a_part_without_a_verdict(ready, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part2.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "parts" / "part1.png").write_bytes(picture())
    done = anet("inspect", ready / "bundle", tmp_path / "parts", "--threshold", "0.9999999", "--out", tmp_path / "out")
    assert done.code == 2 and "1 accepted, 0 rejected, 1 errors" in done.out and "part2.png" in done.out
    assert lines_of(tmp_path / "out")["part2.png"].keys() == {"file", "error"}


# verbs that end well


def test_complexity_prints_the_papers_numbers():
    done = anet("complexity", "anet", "--as-paper")
    assert done.code == 0 and all(number in done.out for number in ("389,768", "0.3262", "0.4406"))
    with_layers = anet("complexity", "anet", "--layers", "--as-paper", "--size", "512")
    assert "2.3021" in with_layers.out and len(with_layers.out.splitlines()) > 50


def test_complexity_tells_how_a_printed_figure_comes_about():
    done = anet("complexity", "enet", "--as-paper")
    assert done.code == 0 and all(text in done.out for text in ("never executed", "0.3717", "0.35", "exact"))
    assert "to print" not in anet("complexity", "anet-light", "--as-paper").out  # no row of Tables IV to VII


def test_networks_lists_anet_and_the_seventeen():
    done = anet("networks")
    assert done.code == 0
    assert all(f" {name} " in done.out for name in (*ZOO, "anet")) and "118.004 M" in done.out


def test_a_cost_table_is_printed_as_markdown():
    done = anet("paper", "table", "5", "--columns", "cost", "--format", "md")
    assert done.code == 0 and "| pga-net | 51.41 |" in done.out and "1649.33" in done.out


def test_a_sound_set_passes_the_check_and_a_broken_one_does_not(tmp_path):
    layouts.folder(tmp_path / "set", 6, ("train", "val", "test"))
    before = state(tmp_path)
    done = anet("data", "check", tmp_path / "set")
    assert done.code == 0 and "0 errors" in done.out
    assert state(tmp_path) == before
    (tmp_path / "set" / "masks" / "train" / "002.png").unlink()
    (tmp_path / "set" / "images" / "val" / "003.png").write_bytes(picture()[:1000])
    before = state(tmp_path)
    done = anet("data", "check", tmp_path / "set")
    assert done.code == 1 and "images/train/002.png" in done.out and "images/val/003.png" in done.out
    found = anet("data", "check", tmp_path / "set", "--json")
    assert found.code == 1 and json.loads(found.out) and not found.err
    assert state(tmp_path) == before


def test_a_synthetic_set_is_made_once_and_shown(tmp_path):
    made = anet("data", "synth", tmp_path / "set", "--pictures", "3", "--size", "64")
    assert made == (0, f"3 pictures in {tmp_path / 'set'}\n", "")
    before = state(tmp_path / "set")
    again = anet("data", "synth", tmp_path / "set", "--pictures", "3", "--size", "64")
    assert again.code == 2 and "exists already: give a folder that is new or empty" in again.err
    sheet = tmp_path / "[bold]" / "[/nonsense].png"  # what a library for coloured text would take for markup
    assert anet("data", "show", tmp_path / "set", "--out", sheet) == (0, f"{sheet}: 3 pictures\n", "")
    assert (
        "2 of 3 pictures (--limit 3 shows all)"
        in anet("data", "show", tmp_path / "set", "--out", sheet, "--limit", 2).out
    )
    assert sheet.read_bytes().startswith(b"\x89PNG") and state(tmp_path / "set") == before


def test_a_bundle_is_scored_without_touching_model_or_data(ready, tmp_path):
    data = tmp_path / "[bold]"  # what a library for coloured text would take for markup
    shutil.copytree(ready / "set", data)
    before, data_before = state(ready), state(data)
    result, report = tmp_path / "r.json", tmp_path / "r.html"
    done = anet("eval", ready / "bundle", data, "--out", result, "--report", report, "--split", "val",
                "--engine", "openvino", "--precision", "f32")  # fmt: skip
    assert done.code == 0 and not done.err and "IoU" in done.out and "[bold]" in done.out
    content = json.loads(result.read_text())
    assert content["scores"]["pictures"] == 6 and content["data"]["part"] == "val"
    assert (
        content["model"]["engine"] == "openvino"
        and content["model"]["precision"] == "f32"
        and report.read_text().startswith("<!")
    )
    assert state(ready) == before and state(data) == data_before
    for wrong in (("--precision", "int3"), ("--engine", "onnxruntim")):
        assert anet("eval", ready / "bundle", data, *wrong).code == 2


# how a process ends


def test_ctrl_c_says_what_is_complete_and_is_130(ready, tmp_path, monkeypatch):
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("stopped: 7 pictures are complete")

    monkeypatch.setattr(results, "inspect_paths", stopped)
    done = anet("inspect", ready / "bundle", ready / "pictures", "--out", tmp_path / "out")
    assert done == (130, "", "anet: stopped: 7 pictures are complete\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_service_manager_or_a_closed_terminal_stops_as_ctrl_c_does(ready, tmp_path, monkeypatch, number, code):
    def stopped(*given: Any) -> None:
        def after(so_far: results.Summary) -> None:
            os.kill(os.getpid(), number)
            time.sleep(10)

        whole(*given[:4], progress=after)

    whole, before = results.inspect_paths, signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    monkeypatch.setattr(results, "inspect_paths", stopped)
    try:
        done = anet("inspect", ready / "bundle", ready / "pictures", "--out", tmp_path / "out")
        part = tmp_path / "out" / "results.jsonl.part"
        assert done == (code, "", f"anet: stopped: 1 pictures are complete in {part}\n")
        assert part.read_text().count("\n") == 1 and signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_bundle_that_lost_its_card_is_no_folder_of_pictures(ready, tmp_path):
    broken = Path(shutil.copytree(ready / "bundle", tmp_path / "broken"))
    (broken / "card.json").unlink()
    shutil.copy(next((ready / "pictures").rglob("*.png")), broken / "zone.png")
    done = anet("inspect", broken, ready / "pictures", "--out", tmp_path / "out")
    assert done.code == 2 and "broken is no model bundle" in done.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [RuntimeError("conversion failed"), ModelError("OpenVINO cannot run")])
def test_ctrl_c_that_foreign_code_makes_another_error_of_is_still_130(ready, tmp_path, monkeypatch, error):
    def stopped(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            raise error from None

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started deaf to it
    monkeypatch.setattr(results, "inspect_paths", stopped)
    try:
        done = anet("inspect", ready / "bundle", ready / "pictures", "--out", tmp_path / "out")
        assert done == (130, "", "anet: stopped\n")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_command_ends_a_user_error_with_one_line_and_code_2(ready):
    done = command("inspect", "flipped", "pictures", cwd=ready)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("anet: flipped/model.bin is damaged") and done.stderr.count("\n") == 1


def test_the_command_gives_half_a_picture_no_verdict(ready, tmp_path):
    done = command("inspect", ready / "bundle", ready / "half/half.png", "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "") and "1 errors" in done.stdout and "  error: " in done.stdout


@pytest.mark.parametrize("line", ["data check set", "data check set --json"])
def test_a_pipe_that_nobody_reads_ends_quietly(ready, line):
    """`anet ... | head -1`: neither a traceback nor a code that means accepted, rejected or failed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = command(*line.split(), cwd=ready, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_without_torch_a_verb_that_needs_it_says_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "sys.argv = ['anet', 'complexity', 'anet']\n"
        "from anet.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "anet: this verb needs torch: pip install 'anet-inspect[train]'\n"
