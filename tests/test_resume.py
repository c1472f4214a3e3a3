"""kill -9, Ctrl-C and everything else that parts a training in two: what goes on ends in the same bits."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.tiny import EPOCHS, SEED, STEPS, finish, make_set, outcome, start, tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """What a training that nothing disturbs ends in, and the seconds it takes."""
    runs = tmp_path_factory.mktemp("straight")
    started = time.perf_counter()
    code, text = finish(tiny(data, runs), runs / "run")
    assert code == 0, text
    result = outcome(runs / "run")
    assert [row["epoch"] for row in result["metrics"]] == ["1", "2", "3"]
    return result, time.perf_counter() - started


def go_on(options, folder, **how):
    """Start anew, or resume what was killed; without run.json nothing had begun, and the user starts anew, too."""
    if (folder / "run.json").exists():
        return start(None, folder, **how)
    shutil.rmtree(folder, ignore_errors=True)
    return start(options, folder, **how)


def killed_often(options, kills, how_next):
    """Kill trainings `kills` times in all, a new one whenever one ends; give the folders, the last one finished."""
    folders = []
    while kills:
        options = options.__class__(**{**vars(options), "name": f"run{len(folders)}"})
        folders.append(options.runs / options.name)
        code = -signal.SIGKILL
        while kills and code == -signal.SIGKILL:
            how, wait = how_next()
            child = go_on(options, folders[-1], **how)
            if wait:
                child.join(wait)
                child.kill()
            child.join(120)
            code = child.exitcode
            kills -= code == -signal.SIGKILL
        if code == -signal.SIGKILL:
            child = go_on(options, folders[-1])
            child.join(120)
            code = child.exitcode
        assert code == 0, folders[-1].with_suffix(".txt").read_text()
    return folders


@pytest.mark.parametrize(("workers", "save_every", "kills"), [(0, 0, 6), (0, 1, 6), (2, 2, 2)])
def test_killed_inside_saves_and_steps_it_ends_in_the_same_bits(data, straight, tmp_path, workers, save_every, kills):
    rng = random.Random(workers * 10 + save_every)
    options = tiny(data, tmp_path, workers=workers, save_every=save_every)
    for folder in killed_often(options, kills, lambda: ({"kill_at": rng.randint(5, 40)}, 0)):
        assert outcome(folder) == straight[0]
        assert not list(folder.glob(".tmp-*"))


@pytest.mark.parametrize(("workers", "save_every", "kills"), [(0, 1, 3), (2, 0, 1)])
def test_killed_from_outside_at_any_time_it_ends_in_the_same_bits(data, straight, tmp_path, workers, save_every, kills):
    options = tiny(data, tmp_path, workers=workers, save_every=save_every)
    for folder in killed_often(options, kills, lambda: ({}, random.uniform(0.05, straight[1]))):
        assert outcome(folder) == straight[0]


# The state is saved and its row of metrics.csv is not; the weights are and the state is not; best is and last is not.
@pytest.mark.parametrize("file", ["metrics.csv 3", "resume.safetensors 3", "last.safetensors 1"])
def test_killed_between_two_files_of_an_epoch_nothing_is_missing(data, straight, tmp_path, file):
    code, _ = finish(tiny(data, tmp_path), tmp_path / "run", kill_at=file)
    assert code == -signal.SIGKILL
    assert list((tmp_path / "run").glob(".tmp-*")), "this was no kill inside a save"
    assert finish(None, tmp_path / "run")[0] == 0
    assert outcome(tmp_path / "run") == straight[0]
    assert not list((tmp_path / "run").glob(".tmp-*"))


def test_resuming_what_is_finished_changes_nothing(data, straight, tmp_path):
    folder = tmp_path / "run"
    assert finish(tiny(data, tmp_path), folder)[0] == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".safetensors", ".csv")}
    assert finish(None, folder)[0] == 0
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before}


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 0), (signal.SIGTERM, 2)])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(data, straight, tmp_path, number, workers):
    """In the middle of an epoch, at its last step (whose validation must not be lost), at the first step of all."""
    folder = tmp_path / "run"
    for step in (0, 4, 8 if workers else 5):
        resuming = folder.exists()
        code, text = finish(None if resuming else tiny(data, tmp_path, workers=workers), folder, signals={step: number})
        if step < STEPS - 1:
            assert code == 130
            assert f"anet train --resume {folder}" in text
        else:
            assert code == 0, "stopped during the very last step, everything is done"
    if step < STEPS - 1:
        assert finish(None, folder)[0] == 0
    assert outcome(folder) == straight[0]


def test_killed_inside_the_save_that_a_signal_asked_for_it_goes_on_to_the_same_bits(data, straight, tmp_path):
    options = tiny(data, tmp_path)
    code, _ = finish(options, tmp_path / "run", signals={4: signal.SIGTERM}, kill_at="resume.safetensors 2")
    assert code == -signal.SIGKILL
    assert finish(None, tmp_path / "run")[0] == 0
    assert outcome(tmp_path / "run") == straight[0]


def anet(*words, **how):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "anet", *map(str, words)],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,
    )


def command(data, runs):
    sizes = ["--size", 32, "--epochs", EPOCHS, "--batch", 3, "--seed", SEED]
    where = ["--name", "run", "--runs", runs, "--device", "cpu", "--no-compile"]
    return ["train", data, *sizes, *where, "--change", "settle=0"]


def test_the_real_command_killed_and_resumed_ends_in_the_same_bits(data, straight, tmp_path):
    process = anet(*command(data, tmp_path))
    metrics = tmp_path / "run" / "metrics.csv"
    while process.poll() is None and not metrics.exists():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    process = anet("train", "--resume", tmp_path / "run")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert err == ""
    assert "best.safetensors" in out
    assert outcome(tmp_path / "run") == straight[0]
