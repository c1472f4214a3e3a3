"""Studies: plans, the ledger, many trainings at once, and what happens when some of it breaks."""

import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from anet import cli
from anet.errors import DataError, ModelError, OptionError, TrainingError
from anet.results import APART, place, read, read_all, row
from anet.study import child
from anet.study.check import check_plan
from anet.study.child import BUSY, DONE, FAILED, Job
from anet.study.ledger import Places, State, attempt, is_locked, lock, read_diary, state_of, wall_s
from anet.study.plan import Run, look_at_plan, read_plan
from anet.study.score import _training, name_of, score_run
from anet.study.show import Estimate, device_here, measured, print_lines, show_plan, work
from anet.study.work import Settings, environment, make_slots, run_plan
from anet.tables import summary, table
from anet.training.recipes import STRONG
from anet.training.run import read_plan as read_run
from anet.training.train import train
from tests.tiny import Moments, make_set, processes, tiny

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "results/sd900/inclusion/grouped/anet-strong-e80-s0.json"
FAKE = (sys.executable, str(Path(__file__).with_name("fake_training.py")))
RUN = Run("squares", "defect", False, "given", 0, "anet", "strong", None, None, 224, 0)


def plan_file(folder, seeds, **more):
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    path = folder / "plan.toml"
    path.write_text(
        f'[data]\nsquares = "squares"\n[[runs]]\ndata = "squares"\ntasks = ["defect"]\nprotocols = ["given"]\n'
        f'networks = ["anet"]\nseeds = {seeds}\n{lines}'
    )
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_set(folder / "squares")
    return folder


@pytest.fixture
def study(tmp_path, root, monkeypatch):
    """Give a function that works through a plan with fake trainings: its exit code and what it said."""
    monkeypatch.setenv("RESULT", str(RESULT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def work(seeds, command=FAKE, **how):
        said = StringIO()
        settings_ = Settings(root, tmp_path / "runs", tmp_path / "results", "cpu", **how)
        code = run_plan(plan_file(tmp_path, seeds), settings_, Console(file=said, width=300), command)
        return code, said.getvalue()

    return work


def toml(value):
    """Give a value of TOML in one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value)


def places(tmp_path, seed):
    return Places.of(replace(RUN, seed=seed).name, tmp_path / "runs", tmp_path / "results")


# --- names and results ---

words = st.sampled_from(["mt", "sd900"])
numbers = st.none() | st.integers(1, 300)


sizes, few = st.sampled_from([32, 224]), st.integers(1, 3)


@given(*[st.tuples(words, st.integers(0, 2), st.booleans(), numbers, numbers, sizes, few)] * 2)
@settings(max_examples=100, deadline=None)
def test_two_runs_have_one_name_only_when_they_are_the_same(one, other):
    def name(data, split_seed, free, epochs, batch, size, devices):
        return place(data, "all", "paper", "anet", "strong", 0, split_seed, free, epochs, batch, size, devices=devices)

    assert (name(*one) == name(*other)) == (one == other)


def test_a_shorter_run_says_so_in_its_name():
    assert replace(RUN, epochs=75).name == "squares/defect/given/anet-strong-e75-s0"
    changed = replace(RUN, batch=8, size=256, split_seed=1, free=True, seed=3)
    assert changed.name == "squares/defect+free/given-split1/anet-strong-b8-size256-s3"
    changed = replace(RUN, epochs=75, changes=(("balance", 0.5), ("flips", False)))
    assert changed.name == "squares/defect/given/anet-strong-e75-balance0.5-flipsoff-s0"


def test_each_result_here_lies_where_its_content_says():
    found = [path for path in (ROOT / "results").rglob("*.json") if not set(APART) & set(path.parts)]
    assert found
    for path in found:
        assert path == ROOT / "results" / f"{read(path)['name']}.json"


def test_the_older_form_reads_as_before_and_the_newer_gives_the_same_row():
    new = json.loads(RESULT.read_text())
    old = {key: value for key, value in new.items() if key not in ("name", "training", "validation", "closely")}
    assert row({**old, "format": 1}) == row(new)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 3}', '{"format": 2}', "null", "[" * 9000])
def test_what_is_no_result_is_named(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=r"x\.json is no result file"):
        table(tmp_path)


@pytest.mark.parametrize(
    ("table_of", "key", "value"),
    [
        ("data", "digest", None), ("data", "free", "no"), ("model", "network", None), ("model", "seed", [0]),
        ("model", "class_names", None), ("model", "machine", {}), ("split", "train", None),
        ("training", "pictures_per_s", "fast"), (None, "closely", None), (None, "training", None),
        ("scores", "iou", [0.9, math.nan]), ("scores", "dice", [0.9, 7.5]), ("scores", "recall", [-0.1, None]),
        ("model", "size", "224"), ("model", "trained_in", 32),
    ],
)  # fmt: skip
def test_a_result_with_a_field_gone_wrong_is_named(tmp_path, table_of, key, value):
    content = json.loads(RESULT.read_text())
    (content[table_of] if table_of else content)[key] = value
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"x\.json is no result file"):
        read(tmp_path / "x.json")


@pytest.mark.parametrize("key", ["epochs", "batch"])
def test_a_result_with_a_recipe_gone_wrong_is_named(tmp_path, key):
    content = json.loads(RESULT.read_text())
    content["model"]["recipe"][key] = str(content["model"]["recipe"][key])
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"x\.json is no result file"):
        read(tmp_path / "x.json")


@pytest.mark.parametrize("folder", ['"/etc"', '"../x"', "{x = 1}", '""'])
def test_of_a_data_folder_that_is_none_nothing_is_read(tmp_path, folder):
    (tmp_path / "p.toml").write_text(
        f'[data]\nsd900 = {folder}\n[[runs]]\ndata = "sd900"\ntasks = ["inclusion"]\nprotocols = ["grouped"]\n'
        'networks = ["anet"]\nseeds = [0]\n'
    )
    (fault,) = check_plan(tmp_path / "p.toml", tmp_path).faults
    assert "a folder below --data-root would work" in str(fault)


def test_seeds_from_different_weights_of_one_name_are_of_different_rows(tmp_path):
    content = json.loads(RESULT.read_text())
    for seed, digest in ((0, "a"), (1, "b"), (0, "b")):
        content["model"] |= {"seed": seed, "init": {"name": "synthetic", "sha256": digest}}
        (tmp_path / f"{seed}{digest}.json").write_text(json.dumps(content))
    left = []
    seeds = [line.split(" | ")[8] for line in summary(tmp_path, left.append).splitlines()[2:]]
    assert sorted(seeds) == ["1", "2"] and not left


def test_the_summary_gives_mean_and_spread_of_seeds_and_keeps_other_runs_apart(tmp_path):
    content = json.loads(RESULT.read_text())
    for seed, iou, epochs in ((0, 0.6, 80), (1, 0.7, 80), (2, 0.8, 80), (0, 0.5, 40)):
        content["model"]["seed"], content["model"]["recipe"]["epochs"], content["scores"]["iou"] = (
            seed,
            epochs,
            [1, iou],
        )
        (tmp_path / f"{epochs}-{seed}.json").write_text(json.dumps(content))
    short, full = (line.split(" | ") for line in summary(tmp_path).splitlines()[2:])
    assert (short[5], short[8:10]) == ("40", ["1", "50.0"])
    assert (full[5], full[8:10]) == ("80", ["3", "70.0 ± 10.0"])
    content["data"]["digest"] = "ab" * 32  # other labels are no further seed
    (tmp_path / "40-1.json").write_text(json.dumps(content))
    rows = (line.split(" | ") for line in summary(tmp_path).splitlines()[2:])
    assert [(row[0], row[5], row[8]) for row in rows] == [
        ("| sd900 (8e0fef87)", "40", "1"), ("| sd900 (abababab)", "40", "1"), ("| sd900 (8e0fef87)", "80", "3"),
    ]  # fmt: skip


# --- plans ---


def test_a_plan_is_every_combination_once_with_what_differs_from_the_recipe(tmp_path):
    path = plan_file(tmp_path, [0, 1, 0], networks_=1)
    assert any("unknown key 'networks_'" in str(fault) for fault in look_at_plan(path)[1])
    plan, faults = look_at_plan(plan_file(tmp_path, [0, 1, 0], epochs=100, batch=4, recipes=["strong", "paper"]))
    assert [fault.level for fault in faults] == ["note"] and len(plan.runs) == 4
    assert plan.runs[0] == replace(RUN, batch=4) and plan.runs[1] == replace(RUN, recipe="paper", epochs=100, batch=4)


def test_a_plan_can_change_a_recipe_and_what_is_its_own_value_is_no_change(tmp_path):
    path = plan_file(tmp_path, [0])
    path.write_text(f"{path.read_text()}change = {{ lr = {STRONG.lr}, balance = 1, flips = false }}\n")
    (run,) = read_plan(path).runs
    assert run == replace(RUN, changes=(("balance", 1), ("flips", False)))
    assert Job.from_json(Job(run, "d", "r", "s", "cpu", "32", (0,)).to_json()).run == run


@pytest.mark.parametrize("path", sorted((ROOT / "plans").glob("*.toml")), ids=lambda path: path.name)
def test_the_plans_that_ship_are_sound(path):
    plan, faults = look_at_plan(path)
    assert plan.runs and not faults


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"networks": ["anett"]}, "no network 'anett': did you mean 'anet'?"),
        ({"recipes": ["storng"]}, "no recipe 'storng': did you mean 'strong'?"),
        ({"protocols": ["gruoped"]}, "no protocol 'gruoped': did you mean 'grouped'?"),
        ({"seeds": [-1]}, "seeds is [-1]"), ({"seeds": [True]}, "seeds is [True]"), ({"seeds": []}, "seeds is []"),
        ({"seeds": [2**40]}, "seeds is"), ({"tasks": "defect"}, "tasks is 'defect'"), ({"tasks": ["../x"]}, "tasks is"),
        ({"size": 100}, "128 would work"), ({"epochs": 0}, "epochs is 0"), ({"batch": 1.5}, "batch is 1.5"),
        ({"free": 1}, "free is 1"), ({"data": "square"}, "no data 'square': did you mean 'squares'?"),
        ({"data": ["x"]}, "data is ['x']: a name from [data]"), ({"data": 3}, "data is 3"),
        ({"sizes": 3}, "unknown key 'sizes': did you mean 'size'?"),
        ({"change": 3}, "change is 3: a table"), ({"change": {"balanse": 1}}, "'balance' is near"),
        ({"change": {"balance": 2}}, "balance is 2: a number from 0 to 1"), ({"change": {"flips": 1}}, "flips is 1: "),
        ({"seeds": list(range(400)), "split_seeds": list(range(400))}, "means 160000 runs"),
    ],
)  # fmt: skip
def test_every_fault_of_a_row_is_named_with_what_would_work(tmp_path, more, said):
    facts = {"data": "squares", "tasks": ["defect"], "protocols": ["given"], "networks": ["anet"], **more}
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in facts.items())
    path = tmp_path / "plan.toml"
    path.write_text(f'[data]\nsquares = "squares"\n[[runs]]\n{lines}')
    plan, faults = look_at_plan(path)
    assert not plan.runs and [fault.level for fault in faults if fault.level == "error"] == ["error"]
    assert any(said in str(fault) for fault in faults)
    with pytest.raises(OptionError, match=r"plan\.toml: runs 1"):
        read_plan(path)


@pytest.mark.parametrize(
    "text", ["", "data = 3", "[data]\nx = 4", '[data]\nx = "/abs"', '[data]\n"a/b" = "c"', "\0", "[["]
)
def test_a_file_that_is_no_plan_is_refused_without_a_traceback(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    assert not check_plan(path, tmp_path).ok


def test_two_runs_that_would_share_a_name_are_a_fault(tmp_path):
    path = plan_file(tmp_path, [0, 1], init="x/start")
    row = path.read_text().split("[[runs]]")[1]
    path.write_text(f"{path.read_text()}[[runs]]{row.replace('x/start', 'y/start')}")
    plan, faults = look_at_plan(path)
    name = "squares/defect/given/anet-strong-from-start-s0"
    assert [run.init for run in plan.runs] == ["x/start"] * 2
    assert [str(one) for one in faults] == [
        f"runs 2: {name} is the name of two runs: init 'x/start' and 'y/start'",
    ]
    with pytest.raises(OptionError, match="is the name of two runs"):
        read_plan(path)


def test_all_faults_of_rows_and_data_come_in_one_go(tmp_path, root):
    path = plan_file(tmp_path, [0])
    assert check_plan(path, root).ok
    assert "is not there" in str(check_plan(path, tmp_path).faults[0])
    text = path.read_text()
    path.write_text(text.replace('"given"', '"grouped"'))
    assert check_plan(path, root).ok
    path.write_text(text.replace("squares", "mine").replace('"mine"\n[[', '"squares"\n[['))
    assert "holds the data set 'squares'" in str(check_plan(path, root).faults[0])
    path.write_text(text.replace('["defect"]', '["defcet"]') + '[[runs]]\ndata = "x"\n')
    said = [str(fault) for fault in check_plan(path, root).faults]
    assert any("no data 'x'" in one for one in said) and any("defcet" in one for one in said)


def test_a_plan_of_which_no_run_can_begin_is_refused_before(tmp_path, root):
    path = plan_file(tmp_path, [0, 1])
    text = path.read_text().replace('["anet"]', '["anet", "enet"]')
    for line, said in (
        ('init = "runs/nowhere"', "init 'runs/nowhere': runs/nowhere does not exist"),
        ('init = "anet-surface"', "init 'anet-surface': anet-surface is anet, enet is"),
        ("pictures = 5000", "data 'squares': 5000 labelled pictures: 3 to 10"),
    ):
        path.write_text(text + line)
        (fault,) = check_plan(path, root).faults
        assert str(fault).startswith(said)
    assert check_plan(plan_file(tmp_path, [0], init="anet-surface", pictures=10), root).ok


def test_a_step_that_no_network_of_a_plan_can_do_is_a_fault_once(tmp_path, root):
    path = plan_file(tmp_path, [0, 1], batch=1)
    path.write_text(path.read_text().replace('["anet"]', '["anet", "stdc"]'))
    (fault,) = check_plan(path, root).faults
    assert str(fault).startswith("network 'stdc': stdc cannot train with batch 1 at size 224 (")
    (fault,) = check_plan(plan_file(tmp_path, [0], size=100_000_000), root).faults
    assert str(fault) == "network 'anet': size is 100000000: 8192 at most works"
    path = plan_file(tmp_path, [0], batch=2**31 - 1, size=8192)
    path.write_text(path.read_text().replace('["anet"]', '["unet"]'))
    assert str(check_plan(path, root).faults[0]).endswith("): less works")


# --- the ledger ---


def test_a_lock_is_seen_by_others_and_goes_with_its_holder(tmp_path):
    path = tmp_path / "deep" / "x.lock"
    assert not is_locked(path)
    with lock(path) as mine:
        assert mine and is_locked(path)
        with lock(path) as second:
            assert not second
    assert not is_locked(path)


def test_a_state_is_read_from_files_alone(tmp_path):
    here = places(tmp_path, 0)
    assert state_of(RUN, here) == State("missing")
    here.folder.mkdir(parents=True)
    (here.folder / "metrics.csv").write_text("epoch,pictures_per_s\n1,10\n2,\n3,30\n4,20\n")
    assert state_of(RUN, here) == State("cut off", "epoch 4 of 100", 4, 20.0)
    with lock(here.lock):
        assert state_of(RUN, here).kind == "running"
    with attempt(here) as note:
        note.update(outcome="failed", reason="loss is nan")
    assert state_of(RUN, here).text == "loss is nan"
    here.result.parent.mkdir(parents=True)
    content = json.loads(RESULT.read_text())
    here.result.write_text(json.dumps(content))  # of 80 epochs
    assert state_of(RUN, here) == State("outdated", "recipe strong has changed: epochs 80 there, 100 now")
    assert state_of(replace(RUN, epochs=80), here) == State("done", "test IoU 68.4", 80)
    here.result.write_text(json.dumps({**content, "model": {**content["model"], "devices": 2}}))
    assert state_of(replace(RUN, epochs=80), here).text.endswith("devices 2 there, 1 now")
    here.result.write_text("{")
    assert state_of(RUN, here).kind == "failed"


def test_the_wall_time_is_of_all_attempts_and_a_killed_one_ends_with_its_last_save(tmp_path):
    here = places(tmp_path, 0)
    here.folder.mkdir(parents=True)
    (here.folder / "metrics.csv").touch()
    os.utime(here.folder / "metrics.csv", (1060, 1060))
    first, killed = {"began": 100.0, "ended": 130.0}, {"began": 1000.0, "ended": None}
    here.diary.write_text(json.dumps([first, killed]))
    with attempt(here):
        assert 90 <= wall_s(here) < 100
    assert [one["ended"] for one in read_diary(here.diary)][:2] == [130.0, 1060.0]
    here.diary.write_text("[{")
    assert wall_s(here) is None


# --- one run ---


def job(tmp_path, root, **changes):
    facts = {"runs": str(tmp_path / "runs"), "results": str(tmp_path / "results"), "data": str(root / "squares")}
    return Job(replace(RUN, **changes), device="cpu", precision="32", cores=(), **facts)


def test_a_job_survives_its_way_over_a_command_line(tmp_path, root):
    one = replace(job(tmp_path, root, epochs=3), cores=(0, 1))
    assert Job.from_json(one.to_json()) == one


def test_a_plan_that_names_no_epochs_means_the_recipes_own_also_of_few_pictures(tmp_path, root, monkeypatch):
    asked = []
    monkeypatch.setattr("anet.training.train.train", lambda options, *rest: asked.append(options))
    child.train_or_go_on(job(tmp_path, root, pictures=4), tmp_path / "x", Console(file=StringIO()))
    assert [(one.epochs, one.batch, one.compiled) for one in asked] == [(STRONG.epochs, STRONG.batch, None)]


@pytest.mark.parametrize(("words", "compiled"), [([], None), (["--no-compile"], False), (["--compile"], True)])
def test_torch_compile_is_each_trainings_own_choice_or_said_for_all(tmp_path, root, monkeypatch, words, compiled):
    asked = []
    monkeypatch.setattr("anet.study.work.run_plan", lambda plan, settings, console: asked.append(settings) or 0)
    assert CliRunner().invoke(cli.app, ["study", "run", str(plan_file(tmp_path, [0])), *words]).exit_code == 0
    assert [one.compiled for one in asked] == [compiled]
    monkeypatch.setattr("anet.training.train.train", lambda options, *rest: asked.append(options))
    child.train_or_go_on(replace(job(tmp_path, root), compiled=compiled), tmp_path / "x", Console(file=StringIO()))
    assert asked[1].compiled == compiled


@pytest.mark.parametrize(
    ("error", "reason"),
    [(TrainingError("loss is\nnan"), "loss is nan"), (RuntimeError("out of memory"), "RuntimeError: out of memory")],
)
def test_a_failure_is_in_the_diary_for_all_to_see(tmp_path, root, monkeypatch, error, reason):
    def fail(*args):
        raise error

    monkeypatch.setattr(child, "train_or_go_on", fail)
    one = job(tmp_path, root)
    assert child.do(one, Console(file=StringIO())) == FAILED
    assert state_of(one.run, places(tmp_path, 0)).text == reason and not is_locked(places(tmp_path, 0).lock)


def test_a_run_that_another_process_has_or_has_done_is_left_alone(tmp_path, root, monkeypatch):
    monkeypatch.setattr(child, "train_or_go_on", lambda *args: pytest.fail("trained twice"))
    one, here = job(tmp_path, root), places(tmp_path, 0)
    with lock(here.lock):
        assert child.do(one, Console(file=StringIO())) == BUSY
    here.result.parent.mkdir(parents=True)
    here.result.touch()
    assert child.do(one, Console(file=StringIO())) == DONE and not here.diary.exists()


def test_a_run_from_another_model_of_the_same_name_neither_goes_on_nor_is_written_over(tmp_path, root):
    quiet = Console(file=StringIO())
    starts = [
        train(tiny(root / "squares", tmp_path / at, epochs=1, name="start", seed=at != "x"), quiet) for at in "xy"
    ]
    one = job(tmp_path, root, epochs=1, batch=4, size=32, init=str(starts[0]))
    here = Places.of(one.run.name, Path(one.runs), Path(one.results))
    assert child.do(one, quiet) == DONE
    assert score_run(here.folder, Path(one.results)) == here.result
    other = replace(one, run=replace(one.run, init=str(starts[1])))
    assert other.run.name == one.run.name
    written = here.result.read_bytes()
    with pytest.raises(ModelError, match=f"started from another model than {starts[1]}: move it away"):
        child.train_or_go_on(other, here.folder, quiet)
    here.folder.rename(tmp_path / "first")
    child.train_or_go_on(other, here.folder, quiet)
    with pytest.raises(ModelError, match="is of a run that started from another model: move it away"):
        score_run(here.folder, Path(one.results))
    assert here.result.read_bytes() == written
    here.result.write_text("{")
    assert score_run(here.folder, Path(one.results)) == here.result


def test_a_run_on_several_devices_is_another_run_and_its_score_no_other_weights_replaces(tmp_path, root):
    quiet = Console(file=StringIO())
    where = {"epochs": 1, "batch": 4, "name": "x"}
    folder = train(tiny(root / "squares", tmp_path / "f32", **where, precision="32"), quiet)
    path = score_run(folder, tmp_path / "results")
    other = train(tiny(root / "squares", tmp_path / "bf16", **where, precision="bf16"), quiet)
    written = path.read_bytes()
    with pytest.raises(ModelError, match=r"is the score of other weights, SHA-256 \w{12} there, \w{12} here: move it"):
        score_run(other, tmp_path / "results")
    assert path.read_bytes() == written and score_run(folder, tmp_path / "results") == path
    plan, facts = read_run(other)
    assert name_of(replace(plan, devices=2), facts["provenance"]).endswith("/anet-strong-e1-b4-d2-settle0-size32-s3")


def _killed(text, moment):
    import torch

    torch.set_num_threads(1)
    Moments(moment)
    child.do(Job.from_json(text), Console(file=StringIO()))


def test_a_killed_run_goes_on_is_scored_on_both_parts_and_never_passes_for_another(tmp_path, root):
    one = job(tmp_path, root, epochs=2, batch=4, size=32, changes=(("balance", 0.5),))
    here = Places.of(one.run.name, Path(one.runs), Path(one.results))
    process = processes.Process(target=_killed, args=(one.to_json(), "resume.safetensors 2"))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL and state_of(one.run, here).kind == "cut off"
    with pytest.raises(ModelError, match="has 1 of 2 epochs"):
        score_run(here.folder, tmp_path / "results")
    said = StringIO()
    assert child.do(one, Console(file=said, width=200)) == DONE, said.getvalue()
    assert "epoch 1/2" not in said.getvalue() and "epoch 2/2" in said.getvalue()
    content = read(here.result)
    assert content["name"] == one.run.name and content["training"]["epochs"] == 2 and content["training"]["wall_s"] > 0
    assert content["scores"]["pictures"] == 4 and content["validation"]["scores"]["pictures"] == 2
    assert content["threshold"]["chosen"] in ("validation", "default") and len(content["model"]["sha256"]) == 64
    assert content["closely"]["by_size"] and content["model"]["recipe"]["batch"] == 4
    assert content["model"]["recipe"]["balance"] == 0.5 and "| strong, balance 0.5 |" in table(tmp_path / "results")
    assert [one["outcome"] for one in read_diary(here.diary)] == [None, "done"]
    assert state_of(one.run, here).kind == "done" and len(read_all(tmp_path / "results")) == 1
    with pytest.raises(ModelError, match=r"holds the run squares/.*-e2-b4-balance0.5-size32-s0, not x: move it away"):
        score_run(here.folder, tmp_path / "results", name="x")
    here.result.unlink()
    other = replace(one, run=replace(one.run, epochs=5))
    here.folder.rename(here.folder.with_name(other.run.name.split("/")[-1]))
    assert child.do(other, Console(file=StringIO())) == FAILED


# --- many runs ---


def test_a_study_does_what_is_missing_and_skips_what_is_there(study, tmp_path):
    code, said = study([0, 1, 2], jobs=min(2, len(os.sched_getaffinity(0))))
    assert (
        code == 0
        and "3 runs: 0 done, 3 to do" in said
        and "done   squares/defect/given/anet-strong-s2: test IoU" in said
    )
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")}
    code, said = study([0, 1, 2, 3])
    assert code == 0 and "4 runs: 3 done, 1 to do" in said and len(before) == 3
    assert before.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")}.items()


def test_a_run_that_fails_after_another_process_had_it_is_not_tried_again_and_again(study, tmp_path):
    code, said = study([11])
    assert code == 1 and said.count("loss is nan") == 1 and "another process is at" not in said
    assert len((places(tmp_path, 11).folder / "began").read_text().splitlines()) == 2


def test_what_was_cut_off_goes_on_with_the_same_pictures_elsewhere(tmp_path, root):
    quiet = Console(file=StringIO())
    shutil.copytree(root, tmp_path / "one")
    first = replace(job(tmp_path, root, epochs=1, batch=4, size=32), data=str(tmp_path / "one" / "squares"))
    folder = Places.of(first.run.name, Path(first.runs), Path(first.results)).folder
    child.train_or_go_on(first, folder, quiet)
    (tmp_path / "one").rename(tmp_path / "two")
    moved = replace(first, data=str(tmp_path / "two" / "squares"))
    child.train_or_go_on(moved, folder, quiet)
    pictures = Path(moved.data, "images", "train")
    shutil.copy(pictures / "1.png", pictures / "0.png")
    with pytest.raises(ModelError, match=r"two/squares has changed since"):
        child.train_or_go_on(moved, folder, quiet)


def test_what_fails_or_is_killed_is_reported_and_the_rest_goes_on(study, tmp_path):
    code, said = study([7, 8, 0, 10])
    assert code == 1 and places(tmp_path, 0).result.exists()
    assert "anet-strong-s7: loss is nan (log: " in said and "anet-strong-s8: killed by signal 9; it can go on" in said
    assert "another process is at squares/defect/given/anet-strong-s10" in said
    assert "1 done now, 2 failed, 1 with another process" in said


def test_a_result_of_another_recipe_is_neither_used_nor_overwritten(study, tmp_path):
    result = places(tmp_path, 0).result
    result.parent.mkdir(parents=True)
    content = json.loads(RESULT.read_text())
    content["model"]["recipe"] |= {"epochs": 100, "ema": 0.5}
    result.write_text(json.dumps(content))
    before = result.read_bytes()
    code, said = study([0])
    assert code == 1 and "ema 0.5 there, 0.99 now" in said and result.read_bytes() == before


def test_data_that_is_gone_fails_its_runs_and_bad_jobs_or_devices_are_refused(tmp_path, root, study):
    path = plan_file(tmp_path, [0])
    said = StringIO()
    where = Settings(tmp_path, tmp_path / "runs", tmp_path / "results", "cpu")
    assert run_plan(path, where, Console(file=said), FAKE) == 1 and "not there" in said.getvalue()
    for bad in ({"jobs": 0}, {"jobs": 10_000}):
        with pytest.raises(OptionError, match="jobs is"):
            study([0], **bad)
    for bad in ("gpu", "cpu,cpu", "cuda:99", "", "cpu:0"):
        with pytest.raises(OptionError, match="no devices"):
            run_plan(path, replace(where, devices=bad), Console(file=StringIO()), FAKE)


def test_ctrl_c_lets_every_training_save_and_the_next_study_goes_on(study, tmp_path, root):
    where = Settings(root, tmp_path / "runs", tmp_path / "results", "cpu")
    one = multiprocessing.get_context("fork").Process(target=_say, args=(plan_file(tmp_path, [9, 0]), where, tmp_path))
    one.start()
    wait_for(lambda: (places(tmp_path, 9).folder / "began").exists())
    os.kill(one.pid, signal.SIGTERM)
    one.join(60)
    assert one.exitcode == 130 and "stopping: 1 trainings save first" in (tmp_path / "said.txt").read_text()
    assert (places(tmp_path, 9).folder / "stopped").exists() and not places(tmp_path, 0).result.exists()
    assert study([0])[0] == 0


def _say(path, where, folder):
    with open(folder / "said.txt", "w") as said:
        code = run_plan(path, where, Console(file=said, width=300), FAKE)
    os._exit(code)


def _study(path, where):
    run_plan(path, where, Console(file=StringIO()), FAKE)


def test_two_studies_at_once_share_the_work_and_one_that_is_killed_leaves_no_training_behind(study, tmp_path, root):
    path, where = plan_file(tmp_path, [0, 1, 2, 3]), Settings(root, tmp_path / "runs", tmp_path / "results", "cpu")
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=_study, args=(path, where)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    begun = [(places(tmp_path, seed).folder / "began").read_text().splitlines() for seed in range(4)]
    assert [len(lines) for lines in begun] == [1, 1, 1, 1]
    killed = fork.Process(target=_study, args=(plan_file(tmp_path, [9]), where))
    killed.start()
    here = places(tmp_path, 9)
    wait_for(lambda: (here.folder / "began").exists())
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    wait_for(lambda: (here.folder / "stopped").exists() and not is_locked(here.lock))


def wait_for(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_each_training_has_its_own_share_of_the_cores(study, tmp_path):
    cores = sorted(os.sched_getaffinity(0))
    slots = make_slots("cpu", len(cores))
    assert [core for slot in slots for core in slot.cores] == cores
    assert environment(slots[0])["OMP_NUM_THREADS"] == "1"
    assert environment(replace(slots[0], gpu=0))["CUDA_VISIBLE_DEVICES"] == os.environ.get("CUDA_VISIBLE_DEVICES", "0")


# --- show ---


def result(network, size, speed, train=240, data="squares", protocol="given"):
    content = json.loads(RESULT.read_text())
    content["model"] |= {"network": network, "size": size}
    content["model"]["machine"]["cpu"], content["model"]["device"] = device_here(), "cpu"
    content["data"] |= {"name": data, "task": "defect"}
    content["split"] |= {"train": train, "protocol": protocol}
    content["training"] = {"pictures_per_s": speed}
    return content


def test_hours_are_epochs_left_times_pictures_by_measured_speed(tmp_path, root):
    plan = read_plan(plan_file(tmp_path, [0]))
    ledger = [
        result("anet", 224, 10.0),
        result("anet", 224, 30.0),
        result("anet", 224, 20.0),
        result("enet", 224, 999.0),
    ]
    estimate = Estimate(plan, root, ledger, device_here())
    assert estimate.hours(RUN, State("missing")) == pytest.approx(100 * 240 / 20 / 3600)
    assert estimate.hours(RUN, State("cut off", epochs=60, speed=8.0)) == pytest.approx(40 * 240 / 8 / 3600)
    assert estimate.hours(replace(RUN, epochs=5), State("missing")) == pytest.approx(5 * 240 / 20 / 3600)
    assert estimate.hours(RUN, State("done")) == 0.0


def test_hours_are_of_the_pictures_that_an_epoch_shows(tmp_path, root):
    thinned = result("anet", 224, 10.0)
    thinned["training"]["epoch_pictures"] = 48
    estimate = Estimate(read_plan(plan_file(tmp_path, [0])), root, [thinned], device_here())
    assert estimate.hours(RUN, State("missing")) == pytest.approx(100 * 48 / 10 / 3600)
    all_of_them = estimate.hours(replace(RUN, recipe="paper", epochs=100), State("missing"))
    assert all_of_them == pytest.approx(100 * 240 / 10 / 3600)
    here = places(tmp_path, 0)
    here.folder.mkdir(parents=True)
    (here.folder / "metrics.csv").write_text("epoch,step,pictures_per_s\n1,2,8\n2,4,8\n")
    assert estimate.hours(RUN, state_of(RUN, here)) == pytest.approx(98 * 2 * 16 / 8 / 3600)


def test_the_speed_of_several_devices_is_not_that_of_one():
    assert measured(result("anet", 224, 10.0)).pictures_per_s == 10
    many = result("anet", 224, 10.0)
    many["model"]["devices"] = 2
    assert measured(many) is None


def test_the_seconds_of_epochs_are_of_the_pictures_that_they_showed():
    plan, about = SimpleNamespace(recipe=STRONG, devices=2), {"split": {"train": 80}}
    rows = [{"step": "3", "pictures_per_s": "8"}, {"step": "6", "pictures_per_s": "4"}]
    took = _training(plan, rows, about, None)
    assert took["epoch_pictures"] == 3 * 16 * 2 and took["epochs_s"] == 96 / 8 + 96 / 4
    assert _training(plan, [{**row, "step": ""} for row in rows], about, None)["epochs_s"] == 80 / 8 + 80 / 4


def test_an_unmeasured_network_or_size_is_scaled_by_its_work(tmp_path, root):
    estimate = Estimate(read_plan(plan_file(tmp_path, [0])), root, [result("anet", 224, 10.0)], device_here())
    assert work("anet", 448) == 4 * work("anet", 224)
    assert estimate.speed(replace(RUN, size=448)) == pytest.approx(2.5)
    assert estimate.speed(replace(RUN, network="enet")) == pytest.approx(10 * work("anet", 224) / work("enet", 224))
    assert estimate.speed(replace(RUN, network="enet")) > 10, "less memory traffic, though a few more multiplications"


def test_a_run_with_few_pictures_does_not_say_how_many_there_are(tmp_path, root):
    few = result("anet", 224, 10.0, train=17)
    few["split"]["pictures"] = 20
    estimate = Estimate(read_plan(plan_file(tmp_path, [0])), root, [few, result("anet", 224, 10.0)], device_here())
    assert estimate.hours(RUN, State("missing")) == pytest.approx(100 * 240 / 10 / 3600)


def test_nothing_known_is_no_number(tmp_path, root):
    plan = read_plan(plan_file(tmp_path, [0]))
    assert Estimate(plan, root, [], device_here()).hours(RUN, State("missing")) is None
    other = [result("anet", 224, 10.0)]
    assert Estimate(plan, root, other, "another device").hours(RUN, State("missing")) is None
    gone = [result("anet", 224, 10.0, data="mt")]
    assert Estimate(plan, tmp_path, gone, device_here()).hours(RUN, State("missing")) is None
    here = Estimate(plan, root, gone, device_here()).hours(RUN, State("missing"))
    assert here == pytest.approx(100 * 14 * 5 / 6 * 0.85 / 10 / 3600)


def test_show_prints_every_run_sums_and_how_the_hours_came_about(tmp_path, root, study):
    assert study([0, 7])[0] == 1
    path = plan_file(tmp_path, [0, 7, 5])
    lines = show_plan(path, root, tmp_path / "runs", tmp_path / "results")
    assert [line.state.kind for line in lines] == ["done", "failed", "missing"]
    said = StringIO()
    print_lines(lines, path, Console(file=said, width=200))
    assert "3 runs, 1 done, 1 failed, 1 missing" in said.getvalue() and "loss is nan" in said.getvalue()
