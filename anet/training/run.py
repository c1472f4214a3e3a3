"""The run folder: its plan, its lock, its state for going on, and the files a person reads."""

import contextlib
import csv
import dataclasses
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from anet.data import Dataset, Split, split
from anet.data.few import fewer
from anet.errors import ModelError, OptionError, OutputError
from anet.files import UNSEALED, atomic_write, check_seal, check_writable, csv_text, printable, seal
from anet.training.checkpoint import load_tensors, load_weights, save_tensors
from anet.training.recipes import Recipe

PLAN, STATE, METRICS, LOCK = "run.json", "resume.safetensors", "metrics.csv", ".lock"
COLUMNS = ("epoch", "step", "lr", "train_loss", "val_iou", "val_iou_mean_pictures", "pictures_per_s")


@dataclass(frozen=True)
class Plan:
    """All that decides a training; `run.json` holds it, and resuming takes nothing from anywhere else."""

    data: str  # absolute path of the data set's folder
    task: str | None
    free: bool  # with the sound pictures that some sets keep apart
    network: str
    recipe: Recipe
    size: int
    seed: int
    protocol: str | None
    split_seed: int
    accelerator: str  # "cpu", "cuda"
    devices: int
    precision: str  # "32", "bf16", "fp16"
    workers: int  # processes that decode pictures beside the training
    compiled: bool  # torch.compile
    threads: int
    save_every: int  # steps between saves inside an epoch; 0: only at the end of each
    aux: bool = False  # with the heads that only training uses
    init: str | None = None  # name of the model it starts from, which lies in the run folder (`anet.training.start`)
    pictures: int | None = None  # labelled ones, of train and val together; None: all

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass
class State:
    """Where a training stands, besides weights and optimiser. Randomness needs no state: each step seeds its own."""

    step: int = 0
    loss_sum: float = 0.0  # over the running epoch
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def parts_of(plan: Plan, dataset: Dataset) -> Split:
    """Give the parts of a plan's data. Raises DataError."""
    return fewer(split(dataset, plan.protocol, plan.split_seed), plan.pictures, plan.seed)


def new_folder(runs: Path, name: str | None, default: str) -> Path:
    """Make the folder of a new run: `name`, which must be free, or `default` with the next free number.

    Raises OptionError for a name that is no plain folder name, OutputError.
    """
    if name is not None and (name in ("", ".", "..") or "/" in name):
        raise OptionError(f"--name {printable(name)!r} is not a plain folder name: a word without / works")
    check_writable(runs)
    for number in range(1, 10_000):
        folder = runs / (name or (default if number == 1 else f"{default}-{number}"))
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            if name:
                on = f"`anet train --resume {printable(folder)}` goes on with it, " * (folder / PLAN).exists()
                raise OutputError(f"{printable(folder)} exists: {on}another --name starts anew") from None
        except OSError as error:
            raise OutputError(f"cannot make {printable(folder)}: {error.strerror}") from error
    raise OutputError(f"{printable(runs)} is full of runs named {default}: give a --name")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for one process; the lock goes with the process, however it ends. Raises OutputError.

    What killed saves left half-written is removed. The lock is POSIX's (lockf): flock's would be inherited by the
    processes that decode pictures and outlive a killed training in them by seconds.
    """
    try:
        stream = open(folder / LOCK, "w")  # noqa: SIM115  closed by the `with` below
    except OSError as error:
        raise OutputError(f"cannot write into {printable(folder)}: {error.strerror}") from error
    with stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"{printable(folder)} is in use by another training") from None
        for left in folder.glob(".tmp-*"):
            with contextlib.suppress(OSError):
                left.unlink()
        yield


def write_plan(folder: Path, plan: Plan, facts: dict[str, Any]) -> None:
    """Write `run.json`: the plan, and the facts that go with every result, sealed against damage."""
    content = {"sha256": UNSEALED, "plan": plan.to_dict(), **facts}
    atomic_write(folder / PLAN, seal(json.dumps(content, indent=2, allow_nan=False).encode() + b"\n"))


def read_plan(folder: Path) -> tuple[Plan, dict[str, Any]]:
    """Read `run.json` of a run: the plan, and the facts beside it. Raises ModelError."""
    try:
        data = (folder / PLAN).read_bytes()
        check_seal(data, printable(folder / PLAN))
        content = json.loads(data)
        plan = content.pop("plan")
        return Plan(**{**plan, "recipe": Recipe(**plan["recipe"])}), content
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{printable(folder)} is no run folder: {PLAN} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{printable(folder / PLAN)} cannot be read: {error}") from error


def save_state(
    folder: Path, state: State, network: nn.Module, ema: nn.Module, optimizer: Optimizer, scaler: dict
) -> None:
    """Write everything that going on needs as one file, all or nothing; kill -9 leaves the last one or this one."""
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in network.state_dict().items()}
    if ema is not network:
        tensors |= {f"ema.{k}": v for k, v in ema.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in values.items() if isinstance(v, Tensor)}
    save_tensors(folder / STATE, tensors, {**dataclasses.asdict(state), "scaler": scaler})
    write_metrics(folder, state)


def load_state(folder: Path, network: nn.Module, ema: nn.Module, optimizer: Optimizer) -> tuple[State, dict]:
    """Put a saved state back; gives it, and the gradient scaler's. Raises ModelError."""
    tensors, facts = load_tensors(folder / STATE)

    def part(prefix: str) -> dict[str, Tensor]:
        return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}

    name = printable(folder / STATE)
    load_weights(network, part("model."), name)
    if ema is not network:
        load_weights(ema, part("ema."), name)
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in part("optimizer.").items():
        index, slot = key.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    known = {one.name for one in dataclasses.fields(State)}
    return State(**{key: value for key, value in facts.items() if key in known}), facts["scaler"]


def write_metrics(folder: Path, state: State) -> None:
    """Write `metrics.csv`, one row an epoch, from the state: after a resume it never shows an epoch twice."""
    rows = [[row.get(column) for column in COLUMNS] for row in state.history]
    atomic_write(folder / METRICS, csv_text([COLUMNS, *rows]))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Give the rows of `metrics.csv` as numbers; an empty cell is None, a missing file no rows."""
    try:
        with open(folder / METRICS, newline="") as stream:
            return [
                {key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(stream)
            ]
    except FileNotFoundError:
        return []
