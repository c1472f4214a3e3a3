"""Whether the runs of a plan could begin: data, models to start from, shapes of a step, before hours of work."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from anet.data import Split, known, load, split
from anet.data.few import fewer
from anet.errors import AnetError
from anet.files import printable
from anet.runtime.verdicts.rules_file import Fault
from anet.study.plan import Plan, Run, look_at_plan
from anet.training.recipes import RECIPES


@dataclass(frozen=True)
class PlanCheck:
    """All that `check_plan` found."""

    path: Path
    runs: int
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether every run of the plan could begin."""
        return all(fault.level != "error" for fault in self.faults)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        faults = [fault.to_dict() for fault in self.faults]
        return {"path": str(self.path), "ok": self.ok, "runs": self.runs, "faults": faults}


def check_plan(path: Path, data_root: Path) -> PlanCheck:
    """Find every fault of a plan, its data, models to start from and shapes of a step included.

    Raises OptionError for a file that cannot be read at all.
    """
    plan, faults = look_at_plan(Path(path))
    reasons = {(f"data {run.data!r}", reason) for run, reason in data_faults(plan, data_root).items()}
    reasons |= {(f"init {init!r}", reason) for init, reason in start_faults(plan)}
    reasons |= {(f"network {network!r}", reason) for network, reason in step_faults(plan)}
    faults += tuple(Fault("error", printable(where), printable(reason)) for where, reason in sorted(reasons))
    return PlanCheck(Path(path), len(plan.runs), faults)


def print_check(check: PlanCheck, console: Console) -> None:
    """Print the faults of a plan."""
    for fault in check.faults:
        console.print(f"{fault.level:<6} {fault}", highlight=False, soft_wrap=True)
    state = f"{check.runs} run{'s' if check.runs != 1 else ''}, no errors" if check.ok else "not usable as it is"
    console.print(f"{printable(check.path)}: {state}", highlight=False, soft_wrap=True)


def data_faults(plan: Plan, data_root: Path) -> dict[Run, str]:
    """Give what keeps runs from their pictures: missing folders, unknown tasks, splits that cannot be made, too few.

    No picture is decoded: a split by search for look-alikes is not tried.
    """
    found: dict[tuple, Split | str | None] = {}
    faults = {}
    for run in plan.runs:
        key = run.data, run.task, run.free, run.protocol, run.split_seed
        if key not in found:
            folder = plan.folders[run.data]
            found[key] = _parts(run, Path(data_root) / folder) if folder else None
        if reason := _data_fault(found[key], run):
            faults[run] = reason
    return faults


def _parts(run: Run, folder: Path) -> Split | str | None:
    """Give the parts of a run's data, or what keeps it from them; None for those that are not tried."""
    try:
        dataset = load(folder, run.task, run.free)
        if dataset.name != run.data:
            return f"{printable(folder)} holds the data set {dataset.name!r}: it must be called that in the plan"
        if run.protocol != "grouped" or known.groups(dataset.name, dataset.names) is not None:
            return split(dataset, run.protocol, run.split_seed)
    except AnetError as error:
        return str(error)
    return None


def _data_fault(parts: Split | str | None, run: Run) -> str | None:
    """Give what keeps a run from its pictures: what kept from the parts, or that these hold fewer than it asks for."""
    if not isinstance(parts, Split):
        return parts
    try:
        fewer(parts, run.pictures, run.seed)
    except AnetError as error:
        return str(error)
    return None


def start_faults(plan: Plan) -> Iterator[tuple[str, str]]:
    """Give each model that no run can start from, and why: it is not there, is broken, or is another network."""
    from anet.models import open_start
    from anet.training.start import check_start

    for init, network in dict.fromkeys((run.init, run.network) for run in plan.runs if run.init):
        try:
            check_start(open_start(init), network)
        except AnetError as error:
            yield init, str(error)


def step_faults(plan: Plan) -> Iterator[tuple[str, str]]:
    """Give each network that cannot do a step with the batch and size of some run, and why."""
    from anet.nets import aux_by_default
    from anet.training.train import check_step

    steps = ((run.network, run.batch or RECIPES[run.recipe].batch, run.size) for run in plan.runs)
    for network, batch, size in dict.fromkeys(steps):
        try:
            check_step(network, aux_by_default(network), batch, size)
        except AnetError as error:
            yield network, str(error)
