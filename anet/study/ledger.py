"""What is there of each run: its folder, its lock, its diary, its result; nothing is in anybody's memory alone.

Below the folder of runs and below that of results a run lies by its name: `NAME/` (of `anet.training.run`),
`NAME.lock` (held by the process that works on it), `NAME.diary` (attempts), `NAME.log`; and `NAME.json`, the result.
"""

import contextlib
import csv
import fcntl
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anet.errors import AnetError, OutputError
from anet.files import printable, write_json
from anet.results import percent, read
from anet.study.plan import Run
from anet.training.recipes import RECIPES

METRICS = "metrics.csv"  # of `anet.training.run`, which would import torch
PATIENCE_S = 1.0  # somebody may hold a lock for an instant only to see whether it is held


@dataclass(frozen=True)
class Places:
    """The files of one run."""

    folder: Path
    lock: Path
    diary: Path
    log: Path
    result: Path

    @classmethod
    def of(cls, name: str, runs: Path, results: Path) -> "Places":
        """Give where the run called `name` lies below the folder of runs and that of results."""
        base = Path(runs) / name
        held, diary, log = (base.with_name(base.name + suffix) for suffix in (".lock", ".diary", ".log"))
        return cls(base, held, diary, log, Path(results) / f"{name}.json")


@dataclass(frozen=True)
class State:
    """How far a run has come."""

    kind: str  # one of KINDS
    text: str = ""  # a few words for people
    epochs: int = 0  # that are behind it
    speed: float | None = None  # so far, in pictures/s
    pictures: float | None = None  # that an epoch shows, as far as its steps tell


KINDS = ("done", "running", "cut off", "failed", "missing", "outdated")


def state_of(run: Run, places: Places) -> State:
    """Say how far a run has come, from its files alone."""
    if places.result.exists():
        return _finished(run, places)
    rows = read_metrics(places.folder)
    facts = len(rows), speed_of(rows), pictures_of(rows, run.batch or RECIPES[run.recipe].batch)
    total = run.epochs or RECIPES[run.recipe].epochs
    text = f"epoch {len(rows)} of {total}"
    if is_locked(places.lock):
        return State("running", text, *facts)
    attempts = read_diary(places.diary)
    if attempts and attempts[-1].get("outcome") == "failed":
        return State("failed", str(attempts[-1].get("reason", "")), *facts)
    if places.folder.exists():
        return State("cut off", text, *facts)
    return State("missing")


def _finished(run: Run, places: Places) -> State:
    """Say what a result file is worth to a run: one of an earlier recipe of the same name is not its result.

    Of a value that the file does not name, the recipe knew nothing yet; see `changes_of`.
    """
    try:
        content = read(places.result)
    except AnetError as error:
        return State("failed", str(error))
    own, now = content["model"]["recipe"], RECIPES[run.recipe].to_dict()
    own, now = {**own, "devices": content["model"].get("devices") or 1}, {**now, "devices": 1}  # a plan's run has one
    now |= {key: value for key in ("epochs", "batch") if (value := getattr(run, key)) is not None} | dict(run.changes)
    other = {key: value for key, value in now.items() if own.get(key, value) != value}
    if changed := [f"{key} {own[key]} there, {value} now" for key, value in other.items()]:
        return State("outdated", f"recipe {run.recipe} has changed: {', '.join(changed[:3])}")
    iou = percent(content, "iou")
    return State("done", "no defect on test" if iou is None else f"test IoU {iou:.1f}", now["epochs"])


@contextlib.contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Hold a run's lock; gives False when another process has it. It goes with the process, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "a")  # noqa: SIM115  closed by the `with` below
    except OSError as error:
        raise OutputError(f"cannot write {printable(path)}: {error.strerror}") from error
    with stream:
        end = time.monotonic() + PATIENCE_S
        while not (held := _try(stream, fcntl.LOCK_EX)) and time.monotonic() < end:
            time.sleep(0.05)
        yield held


def is_locked(path: Path) -> bool:
    """Say whether a process works on a run."""
    try:
        with open(path) as stream:
            return not _try(stream, fcntl.LOCK_SH)
    except OSError:
        return False


def _try(stream: Any, kind: int) -> bool:
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)  # not lockf: a process that looks would lose its own
        return True
    except OSError:
        return False


@contextlib.contextmanager
def attempt(places: Places) -> Iterator[dict[str, Any]]:
    """Write the diary of one attempt: begun, and how it ended, in what is given here; a kill leaves it open.

    One that was left open lasted until its last epoch was saved, as far as anybody knows.
    """
    attempts = read_diary(places.diary)
    for one in attempts:
        if not isinstance(one.get("ended"), (int, float)):
            one["ended"] = max(one["began"], _saved(places.folder))
    attempts.append({"began": time.time(), "ended": None, "outcome": None, "reason": ""})
    write_json(places.diary, attempts)
    try:
        yield attempts[-1]
    finally:
        attempts[-1]["ended"] = time.time()
        write_json(places.diary, attempts)


def read_diary(path: Path) -> list[dict[str, Any]]:
    """Give the attempts at a run, oldest first; a diary that cannot be read is an empty one."""
    try:
        found = json.loads(path.read_bytes())
        return [one for one in found if isinstance(one, dict) and isinstance(one.get("began"), (int, float))]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def wall_s(places: Places) -> float | None:
    """Give the seconds of all attempts together, the running one until now; None without a diary."""
    attempts = read_diary(places.diary)
    return round(sum((one["ended"] or time.time()) - one["began"] for one in attempts), 1) if attempts else None


def _saved(folder: Path) -> float:
    try:
        return (folder / METRICS).stat().st_mtime
    except OSError:
        return 0.0


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """Give the rows of a run's `metrics.csv`, one an epoch; none where there is no such file."""
    try:
        with open(folder / METRICS, newline="") as stream:
            return list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error):
        return []


def pictures_of(rows: list[dict[str, str]], batch: int) -> float | None:
    """Give how many pictures an epoch showed in steps of `batch`, which is not all that train; None: not known."""
    with contextlib.suppress(IndexError, KeyError, ValueError, TypeError):
        return int(rows[-1]["step"]) / len(rows) * batch
    return None


def speed_of(rows: list[dict[str, str]]) -> float | None:
    """Give the median pictures/s of epochs; None where nothing is known."""
    known = []
    for row in rows:
        with contextlib.suppress(ValueError, TypeError):
            known.append(float(row.get("pictures_per_s") or 0))
    known = [one for one in known if one > 0]
    return statistics.median(known) if known else None
