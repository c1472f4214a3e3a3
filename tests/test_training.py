"""`anet train`: recipes, the same seed, what stops it before and on the way, several processes, and that it learns."""

import dataclasses
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from lightning_fabric.accelerators import CPUAccelerator
from lightning_fabric.strategies import SingleDeviceStrategy
from rich.console import Console

from anet.cli import app
from anet.data import load, split
from anet.errors import AnetError, DataError, ModelError, OptionError, OutputError, TrainingError
from anet.image import write_png
from anet.scoring.evaluate import evaluate
from anet.training import fit, run
from anet.training.checkpoint import load_model, save_model
from anet.training.compiling import COMPILE_PIXELS, compiles
from anet.training.device import find_precision
from anet.training.predictor import Predictor
from anet.training.recipes import PAPER, RECIPES, STRONG, changes_of, changes_text, find_recipe, read_change, sized
from anet.training.train import Options, resume, train
from tests.tiny import make_set, outcome, processes, tiny

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("data"))


def quiet():
    return Console(file=io.StringIO(), width=200)


def go(options):
    """Train, and give the run folder and what was printed."""
    console = quiet()
    return train(options, console), console.file.getvalue()


# --- recipes


def test_the_papers_recipe_has_the_papers_numbers():
    """Section IV-A.2."""
    assert (PAPER.optimizer, PAPER.lr, PAPER.momentum, PAPER.weight_decay) == ("sgd", 3e-4, 0.9, 1e-4)
    assert (PAPER.epochs, PAPER.batch, PAPER.rot90, PAPER.flips) == (2000, 16, True, True)
    ours = ("warmup", "clip", "ema", "affine", "elastic", "photometric", "zoom", "paste", "balance", "rare")
    assert [getattr(PAPER, name) for name in ours] == [0.0] * len(ours)
    optimizer = fit.make_optimizer(torch.nn.BatchNorm2d(3), PAPER)
    assert isinstance(optimizer, torch.optim.SGD)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4]


def test_the_strong_recipe_does_not_decay_what_has_one_dimension():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.PReLU(4))
    kernels, rest = fit.make_optimizer(network, STRONG).param_groups
    assert [p.ndim for p in kernels["params"]] == [4] and kernels["weight_decay"] == STRONG.weight_decay > 0
    assert [p.ndim for p in rest["params"]] == [1] * 4 and rest["weight_decay"] == 0


def test_the_papers_learning_rate_is_constant():
    assert {PAPER.lr_at(step, 50) for step in range(50)} == {3e-4}


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 1000])
def test_one_cycle_warms_up_then_falls_to_almost_nothing(steps):
    rates = [STRONG.lr_at(step, steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < rate <= STRONG.lr for rate in rates)
    assert max(rates) == pytest.approx(STRONG.lr)
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert top <= STRONG.warmup * steps
    if steps == 1000:
        assert top == 99 and rates[0] == pytest.approx(STRONG.lr / 100)
        assert rates[550] == pytest.approx(STRONG.lr / 2, rel=0.01) and rates[-1] < 1e-5 * STRONG.lr


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(OptionError, match="'strong' is near"):
        find_recipe("strnog")
    with pytest.raises(OptionError, match="paper and strong exist"):
        find_recipe("xyz")


def test_given_numbers_replace_the_recipes_own_and_none_do_not():
    assert find_recipe("paper", epochs=3, batch=None) == dataclasses.replace(PAPER, epochs=3)
    assert find_recipe("strong") == STRONG
    for name in ("epochs", "batch"):
        with pytest.raises(OptionError, match=f"{name} is 0"):
            find_recipe("paper", **{name: 0})


def test_a_changed_recipe_knows_what_it_has_otherwise_and_an_unchanged_one_has_nothing():
    texts = ("balance=0.5", "flips=off", "optimizer=sgd", "lr=0.004", "clip=2")
    changed = find_recipe("strong", changes=dict(map(read_change, texts)))
    assert changed == dataclasses.replace(STRONG, balance=0.5, flips=False, optimizer="sgd", clip=2.0)
    found = changes_of(changed.to_dict())
    assert changes_text(found, " ") == ["balance 0.5", "clip 2", "flips off", "optimizer sgd"]
    assert find_recipe("strong", changes=found) == changed
    assert not changes_of(find_recipe("strong", 3, 4).to_dict()) and not changes_of({"name": "strong"})


@given(st.integers(1, 3000), st.none() | st.integers(1, 32), st.sampled_from([STRONG, PAPER]), st.integers(1, 3))
def test_few_pictures_get_as_many_steps_as_they_need_and_many_the_recipes_own(pictures, batch, recipe, devices):
    found = sized(dataclasses.replace(recipe, batch=batch or recipe.batch), pictures, batch, devices)
    assert found.epochs * math.ceil(pictures / (found.batch * devices)) >= 1000
    assert found.epochs >= recipe.epochs and batch in (None, found.batch)
    if recipe is PAPER or pictures > 16 * 10 * devices:
        assert found.epochs == recipe.epochs or batch


@pytest.mark.parametrize(
    ("given_", "found"),
    [({}, (1000, 8)), ({"batch": 4}, (500, 4)), ({"epochs": 7}, (7, 16)), ({"recipe": "paper"}, (2000, 16))],
)
def test_eight_pictures_are_trained_with_for_a_thousand_steps_where_nothing_is_said(
    data, tmp_path, monkeypatch, given_, found
):
    module = sys.modules["anet.training.train"]
    monkeypatch.setattr(module, "go", lambda fabric, plan, *rest, **how: plan.recipe)
    recipe = train(Options(data, size=32, runs=tmp_path, device="cpu", **given_), quiet())
    assert (recipe.epochs, recipe.batch) == found


@pytest.mark.parametrize(("recipe", "pictures"), [("strong", 2), ("paper", 8)])
def test_epochs_are_sized_by_what_they_show_which_is_few_of_many_sound_pictures(
    tmp_path, monkeypatch, recipe, pictures
):
    root = make_set(tmp_path / "set")
    for mask in sorted((root / "masks" / "train").iterdir())[1:]:  # all but one of eight are sound
        write_png(mask, np.zeros((64, 64), np.uint8))
    parts = split(load(root))
    assert fit.shown(parts, 2, 32, RECIPES[recipe].rare) == pictures
    monkeypatch.setattr(sys.modules["anet.training.train"], "go", lambda fabric, plan, *rest, **how: plan.recipe)
    options = Options(root, size=32, runs=tmp_path, device="cpu", recipe=recipe, batch=2)
    steps = (
        train(options, quiet()).epochs
        * fit.Batches(fit.FramedSet(parts.train, 2, fit.Frame(32)), 2, 0, RECIPES[recipe].rare).per_epoch
    )
    assert steps >= 1000 and (recipe == "paper" or steps == 1000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("balanced=0.5", "'balance' is near"), ("epochs=3", "it has an option of its own, --epochs"), ("xyz=1", "lr, "),
        ("balance", "KEY=VALUE would work"), ("=1", "KEY=VALUE would work"), ("balance=", "KEY=VALUE would work"),
        ("balance=1.1", "balance is 1.1: a number from 0 to 1"), ("balance=nan", "balance is nan"),
        ("balance=much", "balance is 'much'"), ("balance=on", "balance is True"), ("lr=0", "lr is 0.0: more than 0"),
        ("ema=1", "ema is 1.0: 0 or more and less than 1"), ("clip=inf", "clip is inf"), ("clip=-1", "clip is -1.0"),
        ("flips=1", "flips is 1.0: on or off would work"), ("optimizer=lion", "sgd or adamw would work"),
        ("optimizer=on", "sgd or adamw would work"), ("name=x", "no value 'name'"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_with_what_would_work(text, said):
    with pytest.raises(OptionError, match=re.escape(said)):
        find_recipe("strong", changes=dict([read_change(text)]))


# --- a whole training


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return go(tiny(data, tmp_path_factory.mktemp("runs")))


def test_a_run_folder_holds_what_it_should(data, trained):
    folder, text = trained
    assert {path.name for path in folder.iterdir() if "tfevents" not in path.name} == {
        "run.json", "last.safetensors", "best.safetensors", "resume.safetensors", "metrics.csv", ".lock",
    }  # fmt: skip
    assert "8 pictures train, 2 validate, 4 test" in text and "epoch 3/3" in text
    few = "4 pictures of test show a defect: 5 are the least; 2 pictures of val show a defect: 5 are the least"
    assert f"warning: {few}\n" in text
    _, facts = load_model(folder)
    assert facts.network == "anet" and facts.class_names == ("background", "kind1") and facts.size == 32
    about = facts.provenance
    assert about["data"]["digest"] == load(data).digest()
    assert about["recipe"] == dataclasses.replace(STRONG, epochs=3, batch=3, settle=0.0).to_dict()
    assert about["split"]["protocol"] == split(load(data)).protocol
    assert {"seed", "commit", "versions", "machine", "threshold", "epoch", "step"} <= about.keys()
    rows = run.read_history(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3] and [row["step"] for row in rows] == [3, 6, 9]
    assert all(math.isfinite(row["train_loss"]) and row["pictures_per_s"] > 0 for row in rows)
    best = max(rows, key=fit.goodness)
    assert about["epoch"] == best["epoch"]


def test_the_best_epoch_is_neither_blind_for_small_nor_for_large_defects():
    early = {"val_iou": 0.066, "val_iou_mean_pictures": 0.05}  # some of the largest defects, and nothing else
    late = {"val_iou": 0.02, "val_iou_mean_pictures": 0.23}
    none = {"val_iou": None, "val_iou_mean_pictures": None}
    assert fit.goodness(none) == 0.0 < fit.goodness(early) < fit.goodness(late)


@pytest.mark.parametrize(("settle", "kept"), [(0.0, 1), (0.5, 3), (0.8, 4), (1.0, 5)])
def test_the_best_epoch_is_one_after_the_rate_has_settled(data, tmp_path, monkeypatch, settle, kept):
    monkeypatch.setattr(fit, "goodness", lambda row: 1 / row["epoch"])  # the earlier, the luckier
    folder, text = go(tiny(data, tmp_path, epochs=5, changes={"settle": settle}))
    assert load_model(folder)[1].provenance["epoch"] == kept
    marked = [int(line.split("/")[0].split()[1]) for line in text.splitlines() if " * " in line]
    assert marked == sorted({1, kept})  # before, the best so far: a run that is stopped has one


def test_the_last_epoch_is_kept_where_validation_holds_no_defect(tmp_path):
    root = make_set(tmp_path / "set")
    for mask in (root / "masks" / "val").iterdir():
        write_png(mask, np.zeros((64, 64), np.uint8))
    folder, _ = go(tiny(root, tmp_path, recipe="paper", changes={}))
    assert {fit.goodness(row) for row in run.read_history(folder)} == {0.0}
    assert load_model(folder)[1].provenance["epoch"] == 3


def test_metrics_tell_what_the_saved_weights_score(data, trained):
    """The row of the last epoch can be had again from last.safetensors."""
    folder, _ = trained
    network, facts = load_model(folder / "last.safetensors")
    dataset = load(data)
    scored = evaluate(Predictor(network, facts), split(dataset).val, dataset.classes)
    assert run.read_history(folder)[-1]["val_iou"] == scored.scores.miou


def test_the_same_seed_gives_the_same_weights_in_any_order_of_the_folder(data, trained, tmp_path, monkeypatch):
    scandir, listdir = os.scandir, os.listdir

    class Backwards(list):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def close(self):
            return None

    monkeypatch.setattr(os, "scandir", lambda *path: Backwards(sorted(scandir(*path), key=lambda e: e.name)[::-1]))
    monkeypatch.setattr(os, "listdir", lambda *path: sorted(listdir(*path))[::-1])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert outcome(go(tiny(data, tmp_path))[0]) == outcome(trained[0])


def test_another_seed_gives_other_weights(data, trained, tmp_path):
    assert outcome(go(tiny(data, tmp_path, seed=4))[0])["last"] != outcome(trained[0])["last"]


def test_the_papers_recipe_trains_and_keeps_the_network_itself(data, tmp_path):
    folder, _ = go(tiny(data, tmp_path, recipe="paper"))
    assert {row["lr"] for row in run.read_history(folder)} == {3e-4}
    tensors, _ = run.load_tensors(folder / run.STATE)
    last = load_model(folder / "last.safetensors")[0].state_dict()
    assert not any(key.startswith("ema.") for key in tensors)
    assert all(torch.equal(tensors[f"model.{key}"], value) for key, value in last.items())


def test_several_classes_train(tmp_path):
    _, facts = load_model(go(tiny(make_set(tmp_path / "set", 3), tmp_path))[0])
    assert facts.class_names == ("background", "kind1", "kind2") and facts.channels == 3


# --- what stops it before the first step


@pytest.mark.parametrize("has", [True, False])
def test_precision_is_bf16_only_where_the_device_computes_in_it(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: not has)
    assert find_precision("auto", "cpu") == ("bf16" if has else "32")
    assert find_precision("auto", "cuda") == ("32" if has else "bf16")
    assert find_precision("32", "cpu") == "32" and find_precision("bf16", "cpu") == "bf16"


def never(monkeypatch):
    """From here on, a step of training is a failure."""
    monkeypatch.setattr(fit, "take_step", lambda *given: pytest.fail("training began"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "anett"}, "anet"),
        ({"recipe": "stron"}, "strong"),
        ({"size": 100}, "128"),
        ({"size": 100_000_000}, "8192 at most"),
        ({"device": "tpu"}, "cpu"),
        ({"precision": "fp8"}, "bf16"),
        ({"precision": "fp16"}, "GPU"),
        ({"epochs": 0}, "at least 1"),
        ({"batch": -1}, "at least 1"),
        ({"devices": 0}, "too small"),
        ({"workers": -1}, "too small"),
        ({"save_every": -1}, "too small"),
        ({"seed": -1}, "too small"),
        ({"seed": 2**63}, "less than 2\\^63"),
        ({"protocol": "papre"}, "grouped"),
        ({"name": "../x"}, "plain folder name"),
        ({"name": ".."}, "plain folder name"),
        ({"name": "."}, "plain folder name"),
        ({"name": ""}, "plain folder name"),
        ({"name": "/tmp/x"}, "plain folder name"),
        ({"name": "a/b"}, "plain folder name"),
    ],
)
def test_an_option_that_makes_no_sense_ends_before_anything_is_made(data, tmp_path, monkeypatch, change, words):
    never(monkeypatch)
    with pytest.raises(AnetError, match=words):
        go(tiny(data, tmp_path / "runs", **change))
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "x").exists()


def test_a_target_that_cannot_be_written_ends_before_the_first_step(data, tmp_path, monkeypatch):
    never(monkeypatch)
    (tmp_path / "file").write_text("mine")
    for runs in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("n" * 300)):
        with pytest.raises(OutputError, match="cannot"):
            go(tiny(data, runs))
    with pytest.raises(OutputError, match="cannot make"):
        go(tiny(data, tmp_path / "runs", name="n" * 300))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_ends_before_the_first_step(data, tmp_path, monkeypatch):
    never(monkeypatch)
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write into"):
        go(tiny(data, tmp_path / "runs"))


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_broken_picture_leaves_no_run_and_the_repaired_set_trains_under_the_same_name(data, tmp_path, part):
    copy = shutil.copytree(data, tmp_path / "set")
    picture = sorted((copy / "images" / part).iterdir())[0]
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AnetError, match=picture.name):
        go(tiny(copy, tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []
    picture.write_bytes(whole)
    assert go(tiny(copy, tmp_path / "runs"))[0] == tmp_path / "runs" / "run"


def test_a_set_without_a_defect_to_learn_is_refused(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "set")
    for mask in (copy / "masks" / "train").iterdir():
        write_png(mask, np.zeros((64, 64), np.uint8))
    with pytest.raises(DataError, match="none of the 8 pictures to train on shows a defect"):
        go(tiny(copy, tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_run_that_exists_is_never_overwritten(data, trained, monkeypatch):
    never(monkeypatch)
    before = outcome(trained[0])
    with pytest.raises(OutputError, match=r"anet train --resume .*run` goes on with it, another --name starts anew"):
        go(tiny(data, trained[0].parent))
    assert outcome(trained[0]) == before


def test_without_a_name_runs_get_numbers_and_missing_folders_are_made(tmp_path):
    runs = tmp_path / "deep" / "runs"
    assert [run.new_folder(runs, None, "set-s0").name for _ in range(3)] == ["set-s0", "set-s0-2", "set-s0-3"]


def test_a_folder_that_only_has_the_name_is_not_said_to_be_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputError) as caught:
        run.new_folder(tmp_path, "run", "x")
    assert "--resume" not in str(caught.value)


def hold(folder, held, over):
    with run.locked(folder):
        held.set()
        over.wait(60)


def test_a_second_training_in_the_same_folder_is_refused(data, trained, tmp_path):
    folder, held, over = trained[0], processes.Event(), processes.Event()
    holder = processes.Process(target=hold, args=(folder, held, over))
    holder.start()
    assert held.wait(60)
    with pytest.raises(OutputError, match="in use by another training"):
        resume(folder, quiet())
    over.set()
    holder.join()
    with run.locked(folder):
        pass


def test_resuming_cleans_up_after_kills_but_only_its_own_leftovers(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "run")
    for name in (".tmp-abc", ".tmp-def", "notes.tmp-", "best.safetensors.bak"):
        (folder / name).write_text("x")
    with run.locked(folder):
        assert not list(folder.glob(".tmp-*"))
        assert (folder / "notes.tmp-").exists() and (folder / "best.safetensors.bak").exists()


def test_resuming_refuses_data_that_has_changed(data, tmp_path, monkeypatch):
    copy = shutil.copytree(data, tmp_path / "set")
    folder, _ = go(tiny(copy, tmp_path, epochs=1))
    never(monkeypatch)
    picture = next((copy / "images" / "train").iterdir())
    other = next((copy / "images" / "test").iterdir())
    picture.write_bytes(other.read_bytes())
    with pytest.raises(ModelError, match="has changed since"):
        resume(folder, quiet())
    shutil.rmtree(copy)
    with pytest.raises(AnetError, match="not there"):
        resume(folder, quiet())


def test_resuming_refuses_what_is_damaged(trained, tmp_path, monkeypatch):
    never(monkeypatch)
    for name in ("run.json", "resume.safetensors"):
        folder = shutil.copytree(trained[0], tmp_path / name)
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 4
        (folder / name).write_bytes(content)
        with pytest.raises(ModelError, match=f"{name} is damaged"):
            resume(folder, quiet())


def test_resuming_refuses_the_state_of_another_network(trained, data, tmp_path, monkeypatch):
    other = go(tiny(make_set(tmp_path / "set", 3), tmp_path, epochs=1))[0]
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    never(monkeypatch)
    shutil.copy(other / run.STATE, folder / run.STATE)
    with pytest.raises(ModelError, match="another network"):
        resume(folder, quiet())


def test_a_state_that_is_gone_starts_from_the_beginning_and_ends_the_same(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "run")
    (folder / run.STATE).unlink()
    assert outcome(resume(folder, quiet())) == outcome(trained[0])


def test_a_saved_state_is_put_back_where_the_training_is_to_run(trained, monkeypatch):
    """On a GPU, an optimiser's state of the CPU would end the first step; "meta" stands for the GPU."""
    places = []

    def look(folder, *takers):
        network, ema, optimizer = takers
        slots = [value for group in optimizer.param_groups for value in group["params"]]
        places.extend(value.device.type for value in (*network.parameters(), *ema.parameters(), *slots))
        raise fit.Stopped

    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda *given: None)
    fabric = Fabric(strategy=SingleDeviceStrategy(torch.device("meta")))
    monkeypatch.setattr(sys.modules["anet.training.train"], "launch", lambda *given: fabric)
    monkeypatch.setattr(run, "load_state", look)
    with pytest.raises(fit.Stopped):
        resume(trained[0], quiet())
    assert places and set(places) == {"meta"}


def test_resuming_what_has_ended_keeps_a_threshold_that_was_chosen_since(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "run")
    model = folder / "best.safetensors"
    network, facts = load_model(model)
    about = {**facts.provenance, "threshold": {"by": "anet threshold"}}
    changed = dataclasses.replace(facts, threshold=0.123, min_area_px=7, provenance=about)
    save_model(model, network.state_dict(), changed)
    resume(folder, quiet())
    assert load_model(model)[1] == changed
    del about["threshold"]  # as a kill leaves it between the last epoch and the choice
    save_model(model, network.state_dict(), dataclasses.replace(changed, threshold=0.5, provenance=about))
    resume(folder, quiet())
    assert load_model(model)[1].threshold == facts.threshold


# --- what stops it on the way


def poison(monkeypatch, when, value=float("nan")):
    """Let the loss of one step be `value`."""
    loss, calls = fit.training_loss, []

    def poisoned(*given):
        calls.append(1)
        return loss(*given) * (value if len(calls) == when else 1.0)

    monkeypatch.setattr(fit, "training_loss", poisoned)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_epoch_batch_and_files(data, tmp_path, monkeypatch, value):
    poison(monkeypatch, 5, value)
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) in epoch 2, batch 2 \(.*train/") as caught:
        go(tiny(data, tmp_path))
    names = {sample.name for sample in split(load(data)).train}
    told = str(caught.value).split("(")[1].split(")")[0].split(", ")
    assert len(told) == 3 and set(told) <= names
    assert str(tmp_path / "run") in str(caught.value)
    monkeypatch.undo()
    assert load_model(tmp_path / "run" / "last.safetensors")[1].provenance["epoch"] == 1
    assert load_model(tmp_path / "run")[1].provenance["epoch"] == 1


def test_after_a_passing_fault_the_run_can_go_on_to_the_same_end(data, trained, tmp_path, monkeypatch):
    poison(monkeypatch, 8)
    with pytest.raises(TrainingError):
        go(tiny(data, tmp_path, save_every=1))
    monkeypatch.undo()
    assert outcome(resume(tmp_path / "run", quiet())) == outcome(trained[0])


@pytest.mark.parametrize("save_every", [0, 1])
@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_a_learning_rate_far_too_large_is_one_error_and_what_is_kept_is_finite(
    data, tmp_path, monkeypatch, lr, save_every
):
    monkeypatch.setitem(RECIPES, "strong", dataclasses.replace(STRONG, lr=lr, clip=0.0, optimizer="sgd", ema=0.0))
    with pytest.raises(TrainingError, match=r"epoch \d, batch \d \("):
        go(tiny(data, tmp_path, save_every=save_every))
    for path in (tmp_path / "run").glob("*.safetensors"):
        tensors, _ = run.load_tensors(path)
        assert all(torch.isfinite(value).all() for key, value in tensors.items() if "optimizer" not in key), path


def test_weights_led_astray_by_a_finite_loss_are_never_saved(data, tmp_path, monkeypatch):
    step = fit.take_step

    def astray(fabric, model, *given):
        value = step(fabric, model, *given)
        next(model.parameters()).data[0] = float("nan")
        return value

    monkeypatch.setattr(fit, "take_step", astray)
    with pytest.raises(TrainingError, match="weights are NaN or infinite after the step in epoch 1, batch 1"):
        go(tiny(data, tmp_path, save_every=1))
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_a_disk_that_fills_up_is_one_error_and_the_last_save_is_whole(data, trained, tmp_path, monkeypatch):
    from anet import files

    rename, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) == 8:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        go(tiny(data, tmp_path))
    monkeypatch.undo()
    assert not list((tmp_path / "run").glob(".tmp-*"))
    assert outcome(resume(tmp_path / "run", quiet())) == outcome(trained[0])


def test_signal_handlers_are_given_back(data, tmp_path):
    mine = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    go(tiny(data, tmp_path, epochs=1))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == mine


def test_inputs_are_never_touched(data, tmp_path):
    def seen():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(data.rglob("*"))}

    before = seen()
    go(tiny(data, tmp_path, epochs=1))
    assert seen() == before


def test_auxiliary_heads_train_resume_to_the_bit_and_stay_out_of_model_files(data, tmp_path, monkeypatch):
    """STDC has heads for the mask and for its boundaries, and trains with them by default."""
    whole, _ = go(tiny(data, tmp_path / "whole", network="stdc", epochs=2))
    plan, _ = run.read_plan(whole)
    assert plan.aux and find_aux(whole / "resume.safetensors") and not find_aux(whole / "best.safetensors")
    network, _ = load_model(whole)
    assert not network.aux
    step, calls = fit.take_step, []

    def cut_off(*given):
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(fit, "take_step", cut_off)
    with pytest.raises(KeyboardInterrupt):
        go(tiny(data, tmp_path / "half", network="stdc", epochs=2, save_every=1))
    monkeypatch.undo()
    assert outcome(resume(tmp_path / "half" / "run", quiet())) == outcome(whole)
    assert "aux" not in load_model(whole)[1].provenance
    plain, _ = go(tiny(data, tmp_path / "plain", network="stdc", epochs=1, aux=False))
    assert load_model(plain)[1].provenance["aux"] is False
    assert not find_aux(plain / "resume.safetensors")


def find_aux(path):
    return [key for key in run.load_tensors(path)[0] if "aux_maps" in key]


def test_a_step_that_a_network_cannot_do_is_refused_before_anything_is_made(data, tmp_path):
    with pytest.raises(OptionError, match="anet cannot train with batch 1 at size 32"):  # its deepest maps are 1x1
        go(tiny(data, tmp_path / "runs", batch=1))
    assert not (tmp_path / "runs").exists()


# --- the command


def command(*words, **env):
    return subprocess.run(
        [sys.executable, "-m", "anet", "train", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **env}, text=True, capture_output=True, timeout=300,
    )  # fmt: skip


def test_the_command_takes_every_option_of_a_training():
    """`Options` is filled by position in the command line: both must keep the same order."""
    import inspect

    from anet.cli.model import train as verb

    taken = [name for name in inspect.signature(verb).parameters if name not in ("resume", "init")]  # no part of it
    assert taken == [field.name for field in dataclasses.fields(Options)]
    assert app.info.no_args_is_help


@pytest.mark.slow
def test_two_processes_give_the_same_files_as_one_and_both_end(data, tmp_path):
    words = ("--size", 32, "--epochs", 2, "--batch", 2, "--device", "cpu", "--no-compile", "--runs", tmp_path)
    done = command(data, *words, "--devices", 2, "--name", "run")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    rows = run.read_history(tmp_path / "run")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"best.safetensors", "last.safetensors", "resume.safetensors", "report.html", "run.json"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["plan"]["devices"] == 2
    assert load_model(tmp_path / "run")[1].provenance["devices"] == 2
    again = command(data, *words, "--devices", 2, "--name", "run")
    assert again.returncode == 2
    assert [line for line in again.stderr.splitlines() if line.startswith("anet:")] == [again.stderr.splitlines()[-1]]
    assert "goes on with it" in again.stderr


@pytest.mark.slow
def test_the_strong_recipe_learns_squares_from_eight_pictures(data, tmp_path):
    folder, _ = go(tiny(data, tmp_path, epochs=40, size=64, batch=4))
    dataset = load(data)
    network, facts = load_model(folder)
    scored = evaluate(Predictor(network, facts), split(dataset).test, dataset.classes)
    assert scored.scores.miou > 0.8


def test_a_long_training_is_compiled_where_a_compiler_and_python_s_headers_are(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "g++")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert not compiles(10 * COMPILE_PIXELS)  # Debian's python3 without python3-dev
    (tmp_path / "Python.h").touch()
    assert compiles(10 * COMPILE_PIXELS) and not compiles(COMPILE_PIXELS)
    monkeypatch.delenv("CXX")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not compiles(10 * COMPILE_PIXELS)


def test_a_training_whose_compiled_step_answers_nan_goes_on_without_compiling(tmp_path, monkeypatch):
    class Wrong(torch.autograd.Function):
        """Give what comes, and NaN as the gradient of it: as compiled code did on one processor."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * torch.nan

    class Compiled(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return Wrong.apply(self.network(x))

    plain = train(tiny(make_set(tmp_path / "data"), tmp_path / "plain"), Console(file=io.StringIO()))
    monkeypatch.setattr(torch, "compile", Compiled)
    said = io.StringIO()
    folder = train(tiny(tmp_path / "data", tmp_path / "runs", compiled=True), Console(file=said, width=200))
    assert "what torch.compile made answers NaN: this training goes on without it" in said.getvalue()
    plan, content = run.read_plan(folder)
    network, facts = load_model(folder)
    assert (plan.compiled, content["provenance"]["compiled"], facts.provenance["compiled"]) == (False, False, False)
    assert all(map(torch.equal, network.state_dict().values(), load_model(plain)[0].state_dict().values()))


@pytest.mark.filterwarnings("ignore")  # those of the modules that torch.compile imports
def test_a_training_goes_on_without_compiling_where_the_compiler_does_not_work(tmp_path, monkeypatch):
    import torch._inductor.config as settings

    compiled = torch.compile(lambda x: x.sin() + 1)  # in the network's place: its graph takes a minute to fail
    monkeypatch.setattr(settings.cpp, "cxx", (None, "/bin/false"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))  # else what was compiled before is taken
    plain = train(tiny(make_set(tmp_path / "data"), tmp_path / "plain"), Console(file=io.StringIO()))
    monkeypatch.setattr(torch, "compile", lambda network: torch.nn.Sequential(network, Called(compiled)))
    said = io.StringIO()
    folder = train(tiny(tmp_path / "data", tmp_path / "runs", compiled=True), Console(file=said, width=400))
    assert re.search("torch.compile failed .*/bin/false.*: this training goes on without it", said.getvalue())
    assert not run.read_plan(folder)[0].compiled
    there, here = (load_model(one)[0].state_dict().values() for one in (plain, folder))
    assert all(map(torch.equal, there, here))


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_step_that_fails_after_a_save_goes_on_from_that_save(tmp_path, monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    calls, begun, load_state = [], [], run.load_state

    def noted(*given):
        state, scaler = load_state(*given)
        begun.append(state.step)
        return state, scaler

    def fails(x):  # as code for another shape would, compiled later
        calls.append(len(x))
        if len(calls) == 7:
            raise TorchDynamoException("no code for this shape")
        return x

    plain = train(tiny(make_set(tmp_path / "data"), tmp_path / "plain"), Console(file=io.StringIO()))
    monkeypatch.setattr(torch, "compile", lambda network: torch.nn.Sequential(network, Called(fails)))
    monkeypatch.setattr(run, "load_state", noted)
    said = io.StringIO()
    folder = train(
        tiny(tmp_path / "data", tmp_path / "runs", compiled=True, save_every=1), Console(file=said, width=400)
    )
    assert "torch.compile failed (no code for this shape): this training goes on without it" in said.getvalue()
    assert begun == [6] and len(calls) == 7
    there, here = (load_model(one)[0].state_dict().values() for one in (plain, folder))
    assert all(map(torch.equal, there, here))


class Called(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
