"""`anet study run`: works through a plan, several trainings side by side, each in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from anet.errors import OptionError, OutputError
from anet.files import check_writable, printable
from anet.study.check import data_faults
from anet.study.child import BUSY, DONE, Job
from anet.study.ledger import Places, read_diary, state_of
from anet.study.plan import Plan, Run, read_plan

CHILD = (sys.executable, "-m", "anet.study.child")
LOOK_S = 0.1  # between two looks at the processes


@dataclass(frozen=True)
class Slot:
    """Where one training at a time has its place."""

    number: int
    device: str  # "cpu" or "cuda"
    gpu: int | None
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """How a plan is worked through."""

    data_root: Path
    runs: Path
    results: Path
    devices: str = "auto"
    jobs: int | None = None  # None: one a device
    precision: str = "auto"
    compiled: bool | None = None  # torch.compile; None: as `anet train` decides


@dataclass
class Study:
    """A plan at work: what waits, what runs, what came of it."""

    plan: Plan
    settings: Settings
    console: Console
    command: Sequence[str]
    waiting: deque[Run] = field(default_factory=deque)
    running: dict[Slot, tuple[Run, subprocess.Popen]] = field(default_factory=dict)
    busy: dict[Run, int] = field(
        default_factory=dict
    )  # runs that another process has, and how often it was found there
    ended: int = 0
    bad: int = 0

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def places(self, run: Run) -> Places:
        return Places.of(run.name, self.settings.runs, self.settings.results)

    def look(self) -> None:
        """Sort the runs of the plan: done ones are skipped, impossible ones named, the others wait."""
        faults = data_faults(self.plan, self.settings.data_root)
        done = 0
        for run in self.plan.runs:
            state = state_of(run, self.places(run))
            if state.kind == "done":
                done += 1
            elif state.kind == "outdated" or self.places(run).result.exists():
                self.fail(run, f"{state.text}; move {printable(self.places(run).result)} away to train it anew")
            elif run in faults:
                self.fail(run, faults[run])
            else:
                self.waiting.append(run)
        self.say(f"{len(self.plan.runs)} runs: {done} done, {len(self.waiting)} to do, {self.bad} that cannot be done")

    def fail(self, run: Run, reason: str) -> None:
        self.bad += 1
        self.say(f"failed {run.name}: {reason}")

    def begin(self, slot: Slot) -> None:
        run, settings = self.waiting.popleft(), self.settings
        if self.places(run).result.exists():
            return self.say(f"done   {run.name}: by another process")
        places, data = self.places(run), settings.data_root / self.plan.folders[run.data]
        job = Job(
            run, str(data.absolute()), str(settings.runs), str(settings.results),
            slot.device, settings.precision, slot.cores, settings.compiled,
        )  # fmt: skip
        try:
            places.log.parent.mkdir(parents=True, exist_ok=True)
            log = open(places.log, "ab")  # noqa: SIM115  closed by the `with` below
        except OSError as error:
            raise OutputError(f"cannot write {printable(places.log)}: {error.strerror}") from error
        with log:
            child = subprocess.Popen(
                [*self.command, job.to_json()], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, env=environment(slot),  # its own session: Ctrl-C is for us alone
            )  # fmt: skip
        self.running[slot] = run, child
        gpu = "" if slot.gpu is None else f":{slot.gpu}"
        cores = f"{len(slot.cores)} core{'s' * (len(slot.cores) > 1)}"
        self.say(f"begins {run.name} on {slot.device}{gpu}, {cores}; {len(self.waiting)} wait")

    def end(self, slot: Slot) -> None:
        run, child = self.running.pop(slot)
        if child.stdin:
            child.stdin.close()
        places = self.places(run)
        if child.returncode == DONE:
            self.ended += 1
            self.say(f"done   {run.name}: {state_of(run, places).text}")
        elif child.returncode == BUSY:
            self.busy[run] = self.busy.get(run, 0) + 1
        else:
            self.fail(run, reason_of(child.returncode, places))
        if child.returncode != BUSY:
            self.busy.pop(run, None)  # what failed is not tried for ever, and nobody else is at it

    def work(self, slots: Sequence[Slot]) -> None:
        """Go through what waits; runs that another process has are tried once more at the end."""
        while self.waiting or self.running:
            for slot in slots:
                if slot not in self.running and self.waiting:
                    self.begin(slot)
            time.sleep(LOOK_S)
            for slot in [slot for slot, (_, child) in self.running.items() if child.poll() is not None]:
                self.end(slot)
            if not self.waiting and not self.running:
                again = [run for run, times in self.busy.items() if times == 1]
                self.waiting.extend(run for run in again if not self.places(run).result.exists())

    def stop(self) -> None:
        """Let every running training save and stop; a second wish kills them, and they can be resumed all the same."""
        self.say(f"stopping: {len(self.running)} trainings save first (once more kills them)")
        try:
            for _, child in self.running.values():
                if child.stdin:
                    child.stdin.close()
            for _, child in self.running.values():
                child.wait()
        except KeyboardInterrupt:
            for _, child in self.running.values():
                child.kill()
                child.wait()
        self.say("stopped: the same command goes on")


def run_plan(path: Path, settings: Settings, console: Console, command: Sequence[str] = CHILD) -> int:
    """Work through a plan; give the exit code: 0, 1 when something failed or is with another process, 130 stopped.

    Done runs are skipped, those that were cut off go on, those that failed before are tried again. Raises OptionError
    for a faulty plan or setting, OutputError.
    """
    study = Study(read_plan(path), settings, console, command)
    slots = make_slots(settings.devices, settings.jobs)
    for folder in (settings.runs, settings.results):
        check_writable(folder)
    study.look()
    with _terminated():
        try:
            study.work(slots)
        except KeyboardInterrupt:
            study.stop()
            return 130
        except BaseException:
            study.stop()
            raise
    elsewhere = [run for run in study.busy if not study.places(run).result.exists()]
    for run in elsewhere:
        study.say(f"another process is at {run.name}")
    study.say(f"{study.ended} done now, {study.bad} failed, {len(elsewhere)} with another process")
    return 1 if study.bad or elsewhere else 0


def reason_of(code: int, places: Places) -> str:
    """Say why a process ended: by its diary, or by the signal that killed it, which no diary can tell."""
    attempts = read_diary(places.diary)
    if code > 0 and attempts and attempts[-1].get("reason"):
        return f"{attempts[-1]['reason']} (log: {printable(places.log)})"
    how = f"killed by signal {-code}" if code < 0 else "stopped" if code == 130 else f"exit code {code}"
    return f"{how}; it can go on (log: {printable(places.log)})"


def make_slots(devices: str, jobs: int | None) -> list[Slot]:
    """Give a place for each of `jobs` trainings, dealt to the devices in turn, with an equal share of the cores.

    `devices` is auto, cpu, or GPUs such as cuda or cuda:0,cuda:1. Raises OptionError.
    """
    names = find_devices(devices)
    jobs = len(names) if jobs is None else jobs
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if jobs < 1 or (jobs > len(cores) and names == ["cpu"]):
        raise OptionError(f"jobs is {jobs}: 1 to {len(cores)}, the usable cores, would work")
    shares = [tuple(cores[i * len(cores) // jobs : (i + 1) * len(cores) // jobs]) for i in range(jobs)]
    found = []
    for number, share in enumerate(shares):
        device, _, gpu = names[number % len(names)].partition(":")
        share = share or (cores[number % len(cores)],)  # more trainings than cores, on GPUs
        found.append(Slot(number, device, int(gpu) if gpu else None, share))
    return found


def find_devices(devices: str) -> list[str]:
    """Give `["cpu"]`, or the GPUs that are meant, as `cuda:N`. Raises OptionError."""
    import torch

    there = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    names = [name.strip() for name in devices.split(",")]
    if names == ["cpu"] or (names == ["auto"] and not there):
        return ["cpu"]
    found = there if names in (["auto"], ["cuda"]) else names
    if not found or len(set(found)) < len(found) or not set(found) <= set(there):
        offered = f", cuda or any of {', '.join(there)}" if there else "; no GPU is usable here"
        raise OptionError(f"no devices {printable(devices)!r}: auto, cpu{offered}")
    return found


def environment(slot: Slot) -> dict[str, str]:
    """Give the environment of a training: only its GPU is seen, and no more threads start than it has cores."""
    found = {**os.environ, "OMP_NUM_THREADS": str(max(1, len(slot.cores)))}
    if slot.gpu is not None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        found["CUDA_VISIBLE_DEVICES"] = seen.split(",")[slot.gpu] if seen else str(slot.gpu)
    return found


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM be as Ctrl-C."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
