"""`anet study show`: what is done, running, missing and failed, and how long the rest would take."""

import functools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from anet.data import load
from anet.data.splitting import VAL_SHARE
from anet.errors import AnetError
from anet.files import printable
from anet.provenance import machine
from anet.results import read_all
from anet.study.ledger import KINDS, Places, State, state_of
from anet.study.plan import Plan, Run, read_plan
from anet.training.recipes import RECIPES

TRAIN_SHARE = 5 / 6 * 0.85  # of all pictures, where no finished run says how many: as the protocols part them
HOW = (
    "Hours are of training steps, one run after another, on this device: epochs left x training pictures / measured "
    "pictures/s; of the same network and size where a run was measured, else scaled by multiply-accumulates and "
    "activations."
)
# Multiply-accumulates that take a training step as long as one activation. For the zoo's 18 networks (128 px, bf16, one
# core of an EPYC) it gives 0.6 to 1.6 of the time, multiply-accumulates alone 0.1 to 1.4: those of A-Net are few.
ACTIVATION = 380


@dataclass(frozen=True)
class Measured:
    """How fast a finished run was, on one device."""

    network: str
    size: int
    pictures_per_s: float
    device: str


@dataclass(frozen=True)
class Line:
    """One run of a plan, as it stands; `hours` are what it still needs, None where nothing is known."""

    name: str
    state: State
    hours: float | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def show_plan(path: Path, data_root: Path, runs: Path, results: Path) -> list[Line]:
    """Say how each run of a plan stands, and what is left of it in hours. Raises OptionError, DataError."""
    plan = read_plan(path)
    ledger = read_all(results)
    estimate = Estimate(plan, data_root, ledger, device_here())
    states = [(run, state_of(run, Places.of(run.name, runs, results))) for run in plan.runs]
    return [Line(run.name, state, estimate.hours(run, state)) for run, state in states]


def print_lines(lines: Sequence[Line], path: Path, console: Console) -> None:
    """Print all runs of a plan, sums, and how the hours came about."""
    for line in lines:
        hours = "" if line.state.kind in ("done", "outdated") else f"{_hours(line.hours)} h"
        text = f"  {line.state.text}" if line.state.text else ""
        console.print(f"{line.state.kind:<8} {hours:>8}  {line.name}{text}", highlight=False, soft_wrap=True)
    kinds = Counter(line.state.kind for line in lines)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    left = [line for line in lines if line.state.kind not in ("done", "outdated")]
    known = [line.hours for line in left if line.hours is not None]
    sums = f"; about {_hours(sum(known))} hours are left" if known else ""
    unknown = (
        f", {len(left) - len(known)} runs of unknown length beside them" if known and len(known) < len(left) else ""
    )
    console.print(f"{printable(path)}: {len(lines)} runs, {told}{sums}{unknown}", highlight=False, soft_wrap=True)
    if left:
        how = HOW if known else "No run was finished on this device, so no speed is known."
        console.print(how, highlight=False, soft_wrap=True)


class Estimate:
    """What a run still needs, from what others took on one device."""

    def __init__(self, plan: Plan, data_root: Path, ledger: Sequence[dict[str, Any]], device: str) -> None:
        self.plan, self.data_root, self.ledger = plan, Path(data_root), ledger
        self.measured = [one for content in ledger if (one := measured(content)) and one.device == device]
        self.counted: dict[tuple, float | None] = {}

    def hours(self, run: Run, state: State) -> float | None:
        """Give the hours of the epochs that are left; 0 for a done run, None where speed or pictures are unknown."""
        if state.kind in ("done", "outdated"):
            return 0.0
        speed, pictures = state.speed or self.speed(run), state.pictures or self.pictures(run)
        if speed is None or pictures is None:
            return None
        epochs = (run.epochs or RECIPES[run.recipe].epochs) - state.epochs
        return epochs * pictures / speed / 3600

    def speed(self, run: Run) -> float | None:
        """Give pictures/s: the median of the same network and size, else of all, scaled by `work`."""
        same = [one.pictures_per_s for one in self.measured if (one.network, one.size) == (run.network, run.size)]
        if same:
            return statistics.median(same)
        mine = work(run.network, run.size)
        if mine is None:
            return None
        rates = [one.pictures_per_s * its for one in self.measured if (its := work(one.network, one.size))]
        return statistics.median(rates) / mine if rates else None

    def pictures(self, run: Run) -> float | None:
        """Give how many pictures an epoch shows, as in a finished run; else how many train, by plan, run or set.

        Recipes differ in how often they show sound pictures and rare classes.
        """
        if run.pictures:
            return run.pictures * float(1 - VAL_SHARE)
        key = (run.data, run.task, run.free, run.protocol, run.split_seed, run.recipe)
        if key not in self.counted:
            self.counted[key] = self._in_ledger(key) or self._in_folder(run)
        return self.counted[key]

    def _in_ledger(self, key: tuple) -> float | None:
        best, found = 0, None
        for content in self.ledger:
            data, split = content["data"], content["split"]
            if split.get("pictures"):
                continue  # that many of all
            recipe = content["model"]["recipe"]["name"]
            its = (data["name"], data["task"], data["free"], split["protocol"], split["seed"])
            alike = 1 + 2 * (its[3:] == key[3:5]) + (recipe == key[5]) if its[:3] == key[:3] else 0
            if alike > best:
                shown = content.get("training", {}).get("epoch_pictures") if recipe == key[5] else None
                best, found = alike, float(shown or split["train"])
        return found

    def _in_folder(self, run: Run) -> float | None:
        try:
            return len(load(self.data_root / self.plan.folders[run.data], run.task, run.free).samples) * TRAIN_SHARE
        except AnetError:
            return None


def measured(content: dict[str, Any]) -> Measured | None:
    """Give the speed that a result tells of; None where it tells none of one device."""
    speed, model = content.get("training", {}).get("pictures_per_s"), content["model"]
    if not speed or (model.get("devices") or 1) > 1:
        return None
    return Measured(model["network"], model["size"], speed, device_name(model["device"], model["machine"]["cpu"]))


def device_name(device: str, cpu: str) -> str:
    """Name a device so that speeds under one name may be compared: a GPU by itself, a CPU by its model."""
    return cpu if device == "cpu" else device


def device_here() -> str:
    """Name the device that a run would take by itself."""
    import torch

    return device_name(torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu", str(machine()["cpu"]))


@functools.cache
def work(network: str, size: int) -> int | None:
    """Give what one picture takes, in multiply-accumulates; None where the network refuses such a size."""
    import torch

    from anet.nets import build
    from anet.nets.complexity import count

    try:
        with torch.device("meta"):
            net = build(network, 1)
        cost = count(net, size, size)
    except (AnetError, ValueError, RuntimeError):
        return None
    return cost.macs + ACTIVATION * cost.activations or None


def _hours(hours: float | None) -> str:
    return "–" if hours is None else f"{hours:.1f}" if hours >= 0.1 else f"{hours:.2f}"
