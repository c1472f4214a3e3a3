"""Trainings of seconds, in processes of their own, that can be killed at an exact moment."""

import csv
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from anet.image import write_png
from anet.training.train import Options

# A fresh interpreter needs seconds to import torch; children of the fork server have it already.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["torch", "anet.pipeline", "anet.training.train"])

EPOCHS, STEPS, SEED = 3, 9, 3  # with this seed the second epoch was the best one: best and last differ


def make_set(folder: Path, classes: int = 2) -> Path:
    """Make 8 pictures to train with, 2 to validate, 4 to test: bright squares, of ids 1.. in turn, on dark noise."""
    rng = np.random.default_rng(0)
    for number in range(14):
        part = "train" if number < 8 else "val" if number < 10 else "test"
        image, mask = rng.integers(20, 60, (64, 64)).astype(np.uint8), np.zeros((64, 64), np.uint8)
        y, x = rng.integers(0, 16, 2)
        mask[y : y + 44, x : x + 44] = 1 + number % (classes - 1)
        image[mask > 0] += 150
        for place, array in (("images", image), ("masks", mask)):
            (folder / place / part).mkdir(parents=True, exist_ok=True)
            write_png(folder / place / part / f"{number}.png", array)
    names = ["background", *(f"kind{number}" for number in range(1, classes))]
    (folder / "classes.txt").write_text("\n".join(names))
    return folder


def tiny(data: Path, runs: Path, **changes) -> Options:
    """Give options of a training of 9 steps, in the run folder `runs/run`, any epoch of which may be the best."""
    options = Options(data, size=32, epochs=EPOCHS, batch=3, seed=SEED, name="run", runs=runs, device="cpu")
    return replace(options, **{"compiled": False, "changes": {"settle": 0.0}, **changes})


def start(options: Options | None, folder: Path, signals: dict[int, int] | None = None, kill_at: int | str = 0):
    """Start `train_run` in a child: anew, or to resume `folder` when `options` is None.

    `signals` maps steps (0-based) to signals which the child sends itself at their beginning. `kill_at` is the moment
    at which it kills itself, see `Moments`. What it prints goes to `folder` with suffix .txt.
    """
    child = processes.Process(target=_child, args=(options, folder, signals or {}, kill_at))
    child.start()
    return child


def finish(options: Options | None, folder: Path, **how) -> tuple[int, str]:
    """Start a child as `start` does, wait for its end, give its exit code (negative: a signal) and what it printed."""
    child = start(options, folder, **how)
    child.join(120)
    assert child.exitcode is not None, "the training hangs"
    return child.exitcode, folder.with_suffix(".txt").read_text()


def _child(options: Options | None, folder: Path, signals: dict[int, int], kill_at: int | str) -> None:
    import torch

    from anet import pipeline
    from anet.errors import AnetError
    from anet.training import fit

    torch.set_num_threads(1)
    moments, seed_step = Moments(kill_at), fit.seed_step

    def step_begins(seed: int, step: int, rank: int) -> None:
        moments.passed()
        if step in signals:
            os.kill(os.getpid(), signals[step])
        seed_step(seed, step, rank)

    fit.seed_step = step_begins
    pipeline.report_run = lambda folder, part: "no report"  # half a second that the real command's test spends
    with open(folder.with_suffix(".txt"), "w") as stream:
        try:
            code = pipeline.train_run(options, None if options else folder, Console(file=stream, width=200))
        except AnetError as error:
            stream.write(f"anet: {error}")
            code = 2
    sys.exit(code)


class Moments:
    """Count the moments at which power may go: each step, and five inside every file that is saved.

    They are: half of the bytes are written; all are, before fsync; before the rename; after it; before the folder's
    fsync. At moment number `kill_at` the process kills itself, which no handler can see: kill -9 to the instruction.
    Or `kill_at` is "FILE NUMBER": before that file gets its name for the given time.
    """

    def __init__(self, kill_at: int | str):
        name, _, times = str(kill_at).partition(" ")
        self.left, self.name, self.times = (0, name, int(times)) if times else (int(kill_at), "", 0)
        write_bytes, fsync, rename = Path.write_bytes, os.fsync, os.replace

        def half_then_whole(path: Path, content: bytes) -> int:
            write_bytes(path, content[: len(content) // 2])
            self.passed()
            return write_bytes(path, content)

        def slow_fsync(handle: int) -> None:
            self.passed()
            fsync(handle)

        def rename_between(source: Path, target: Path) -> None:
            self.times -= Path(target).name == self.name
            self.passed(self.name != "" and self.times == 0)
            rename(source, target)
            self.passed()

        Path.write_bytes, os.fsync, os.replace = half_then_whole, slow_fsync, rename_between

    def passed(self, now: bool = False) -> None:
        self.left -= 1
        if self.left == 0 or now:
            os.kill(os.getpid(), signal.SIGKILL)


def outcome(folder: Path) -> dict:
    """Give all that must be the same whatever happened on the way: weights to the bit, threshold, metrics but speed."""
    from anet.training.checkpoint import load_tensors

    found = {}
    for name in ("last", "best"):
        tensors, facts = load_tensors(folder / f"{name}.safetensors")
        found[name] = {key: (value.dtype, value.numpy().tobytes()) for key, value in tensors.items()}
        found[f"{name} facts"] = facts["threshold"], facts["provenance"]["epoch"], facts["mean"], facts["std"]
    with open(folder / "metrics.csv", newline="") as stream:
        found["metrics"] = [{k: v for k, v in row.items() if k != "pictures_per_s"} for row in csv.DictReader(stream)]
    return found
