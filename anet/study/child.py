"""One run in a process of its own: train it or go on with it, score it, write its result. `anet.study.work` starts it.

The process that started it holds its standard input open: when that closes, by intent or because the other one is gone,
the training saves and stops.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from anet.errors import AnetError, ModelError
from anet.files import printable
from anet.study.ledger import Places, attempt, lock, wall_s
from anet.study.plan import Run
from anet.training.recipes import RECIPES

DONE, FAILED, BUSY, STOPPED = 0, 2, 75, 130  # exit codes; 75: another process has this run (EX_TEMPFAIL)


@dataclass(frozen=True)
class Job:
    """What one process has to do, and with what."""

    run: Run
    data: str
    runs: str
    results: str
    device: str  # "cpu" or "cuda"
    precision: str
    cores: tuple[int, ...]  # to which it is pinned; none: wherever the system puts it
    compiled: bool | None = None  # torch.compile; None: as `anet train` decides

    def to_json(self) -> str:
        """Give it as one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read what `to_json` gave."""
        facts = json.loads(text)
        run = facts["run"]
        run = Run(**{**run, "changes": tuple(map(tuple, run["changes"]))})
        return cls(**{**facts, "run": run, "cores": tuple(facts["cores"])})


def main(text: str) -> int:
    """Do a job to its end; give the exit code."""
    job = Job.from_json(text)
    threading.Thread(target=_stop_with_starter, daemon=True).start()
    if job.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cores)
    try:
        return do(job, Console())
    except AnetError as error:  # the diary cannot be written
        print(f"anet: {printable(str(error))}")
        return FAILED


def do(job: Job, console: Console) -> int:
    """Train and score one run under its lock, with its diary; give the exit code. Raises OutputError."""
    places = Places.of(job.run.name, Path(job.runs), Path(job.results))
    with lock(places.lock) as mine:
        if not mine:
            return BUSY
        if places.result.exists():  # by another process, between a look and the lock
            return DONE
        with attempt(places) as note:
            code, note["outcome"], note["reason"] = _tried(job, places, console)
    return code


def _tried(job: Job, places: Places, console: Console) -> tuple[int, str, str]:
    try:
        train_or_go_on(job, places.folder, console)
        from anet.study.score import score_run

        score_run(places.folder, Path(job.results), Path(job.data), wall_s(places), job.run.name)
        return DONE, "done", ""
    except KeyboardInterrupt:  # `Stopped` of anet.training.fit is one
        return STOPPED, "stopped", ""
    except AnetError as error:
        console.print(f"anet: {printable(str(error))}", highlight=False, soft_wrap=True)
        return FAILED, "failed", printable(" ".join(str(error).split()))
    except Exception as error:  # such as a GPU without memory: the other runs go on, this one's log has the whole story
        traceback.print_exc(file=sys.stdout)
        return FAILED, "failed", f"{type(error).__name__}: {printable(' '.join(str(error).split()))[:300]}"


def train_or_go_on(job: Job, folder: Path, console: Console) -> None:
    """Train a run in `folder`, or go on where it stands. Raises as `anet.training.train`, ModelError: another run."""
    from anet.models import open_start
    from anet.study.score import name_of
    from anet.training import train as training
    from anet.training.run import read_plan

    run = job.run
    if (folder / "run.json").exists():
        plan, facts = read_plan(folder)
        if (found := name_of(plan, facts["provenance"])) != run.name:
            raise ModelError(f"{printable(folder)} holds the run {found}: move it away")
        if run.init and open_start(run.init).sha256 != facts["provenance"]["init"]["sha256"]:
            raise ModelError(f"{printable(folder)} started from another model than {printable(run.init)}: move it away")
        training.resume(folder, console, Path(job.data))
        return
    remove_stub(folder)
    own = RECIPES[run.recipe]  # as it is: `anet train` would give few pictures more epochs
    training.train(
        training.Options(
            Path(job.data), run.task, run.free, run.network, run.recipe, run.epochs or own.epochs,
            run.batch or own.batch, run.size, run.seed, run.protocol, run.split_seed, folder.name, folder.parent,
            job.device, precision=job.precision, compiled=job.compiled, pictures=run.pictures,
            changes=dict(run.changes),
        ),
        console,
        open_start(run.init) if run.init else None,
    )  # fmt: skip


def remove_stub(folder: Path) -> None:
    """Remove a run folder that a kill left before its plan was in it; with anything else in it, it stays."""
    from anet.training.start import START

    with contextlib.suppress(OSError):
        for left in (*folder.glob(".tmp-*"), *folder.glob(START)):
            left.unlink()
        folder.rmdir()


def _stop_with_starter() -> None:
    while os.read(0, 4096):  # not through sys.stdin: Python cannot end while a thread waits inside of that
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
