"""`anet train`: from options to a finished run folder. The loop itself is in `fit`."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.console import Console

from anet.data import load, split
from anet.data.dataset import PARTS, Dataset, Split, usual_sides
from anet.data.few import fewer, lacking
from anet.data.fine import too_fine
from anet.errors import AnetError, DataError, ImageError, ModelError, OptionError
from anet.files import printable
from anet.frame import Frame
from anet.nets import aux_by_default, build
from anet.provenance import commit, machine, versions
from anet.seen import check_parts, seen_of
from anet.training import run
from anet.training.checkpoint import Facts
from anet.training.compiling import Miscompiled, compiles, without
from anet.training.device import find_device, find_precision, launch
from anet.training.events import TensorBoard
from anet.training.fit import Stopped, fit, shown, statistics
from anet.training.memory import keep_memory
from anet.training.progress import Display
from anet.training.recipes import find_recipe, sized
from anet.training.run import Plan
from anet.training.start import START, Start, check_start, keep_start, read_start

MOST_SIDE = 8192  # pixels of a network's input in training: far beyond what a GPU's memory holds


@dataclass(frozen=True)
class Options:
    """What `anet train` takes; None lets recipe, data or device decide."""

    data: Path
    task: str | None = None
    free: bool = False
    network: str = "anet"
    recipe: str = "strong"
    epochs: int | None = None
    batch: int | None = None
    size: int = 224
    seed: int = 0
    protocol: str | None = None
    split_seed: int = 0
    name: str | None = None
    runs: Path = Path("runs")
    device: str = "auto"
    devices: int = 1
    precision: str = "auto"
    workers: int = 0
    compiled: bool | None = None
    save_every: int = 0
    aux: bool | None = None
    pictures: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe: `find_recipe`


def train(options: Options, console: Console, start: Start | None = None) -> Path | None:
    """Train anew, from the weights of `start` where one is given; give the run folder, None in helper processes.

    Raises AnetError, and Stopped after Ctrl-C, saved.
    """
    accelerator = find_device(options.device)
    precision = find_precision(options.precision, accelerator)
    recipe = find_recipe(options.recipe, options.epochs, options.batch, options.changes)
    aux = aux_by_default(options.network) if options.aux is None else options.aux
    Frame(options.size)
    check_step(options.network, aux, recipe.batch, options.size)
    for name in ("devices", "seed", "workers", "save_every", "split_seed"):
        if getattr(options, name) < (1 if name == "devices" else 0):
            raise OptionError(f"{name} is {getattr(options, name)}: that is too small")
    if options.seed >= 2**63:
        raise OptionError(f"seed is {options.seed}: less than 2^63 works")
    if start:
        check_start(start, options.network)
    dataset = load(options.data, options.task, options.free)
    parts = fewer(split(dataset, options.protocol, options.split_seed), options.pictures, options.seed)
    if all(sample.sound for sample in parts.train):
        raise DataError(f"none of the {len(parts.train)} pictures to train on shows a defect: nothing could be learnt")
    if options.epochs is None:
        shows = shown(parts, dataset.classes, options.size, recipe.rare)
        recipe = sized(recipe, shows, options.batch, options.devices)
    fabric = launch(accelerator, options.devices, precision)
    compiled = options.compiled
    if compiled is None:
        compiled = compiles(recipe.epochs * len(parts.train) * options.size**2)
    plan = Plan(
        data=str(Path(options.data).absolute()), task=options.task, free=options.free, network=options.network,
        recipe=recipe, size=options.size, seed=options.seed, protocol=options.protocol, split_seed=options.split_seed,
        accelerator=accelerator, devices=options.devices, precision=precision, workers=options.workers,
        compiled=compiled, threads=torch.get_num_threads(), save_every=options.save_every, aux=aux,
        init=start.name if start else None, pictures=options.pictures,
    )  # fmt: skip
    default = f"{dataset.name}-{dataset.task}-{options.network}-{recipe.name}-s{options.seed}"

    def begin() -> Path:
        folder = run.new_folder(Path(options.runs), options.name, default.replace("/", "_")[:60])
        about = provenance(dataset, parts, plan)
        if start:
            keep_start(folder, start)
            about["init"] = start.facts(dataset.class_names)
        run.write_plan(folder, plan, {"provenance": about})
        return folder

    folder = first_process(fabric, begin)
    try:
        return go(fabric, plan, folder, dataset, parts, console, resume=False)
    except (DataError, ImageError):
        if fabric.is_global_zero and not (folder / run.STATE).exists():
            shutil.rmtree(folder, ignore_errors=True)  # else its name was taken, and the repaired set another one
        raise


def check_step(name: str, aux: bool, batch: int, size: int) -> None:
    """Try the shapes of one step, before anything is made.

    Raises OptionError: unknown network, sides, a batch of one where one is too few, more than any memory holds.
    """
    if size > MOST_SIDE:
        raise OptionError(f"size is {size}: {MOST_SIDE} at most works")
    with torch.device("meta"):
        network = build(name, 1, aux).train()
        try:
            network(torch.empty(batch, 3, size, size))
        except (ValueError, RuntimeError) as error:
            # BatchNorm of a map of 1x1 has nothing to average in a batch of one; bytes of a map beyond 64 bits
            reason, works = str(error).splitlines()[0], "more" if isinstance(error, ValueError) else "less"
            raise OptionError(
                f"{name} cannot train with batch {batch} at size {size} ({reason}): {works} works"
            ) from error


def resume(folder: Path, console: Console, data: Path | None = None) -> Path | None:
    """Go on with a run that was stopped or killed, as if it never had been. Raises as `train`.

    `data` is where the same pictures lie by now, if elsewhere.
    """
    folder = Path(folder)
    plan, content = run.read_plan(folder)
    plan = replace(plan, data=str(data.absolute())) if data else plan
    dataset = load(Path(plan.data), plan.task, plan.free)
    parts = run.parts_of(plan, dataset)
    if dataset.digest() != content["provenance"]["data"]["digest"]:
        raise ModelError(f"{printable(plan.data)} has changed since {printable(folder)} began: start a new run")
    check_parts(content["provenance"], parts, printable(folder))
    fabric = launch(plan.accelerator, plan.devices, plan.precision)
    torch.set_num_threads(plan.threads)  # other sums, other bits
    return go(fabric, plan, folder, dataset, parts, console, resume=True)


def go(
    fabric: Fabric, plan: Plan, folder: Path, dataset: Dataset, parts: Split, console: Console, resume: bool
) -> Path | None:
    """Run the loop with lock, display and a clean Ctrl-C."""
    chief = fabric.is_global_zero
    keep_memory()
    _, content = run.read_plan(folder)
    start = read_start(folder / START) if plan.init else None
    # weights go with the normalisation that they were trained on
    mean, std, light = statistics(parts, dataset.classes, plan.size)
    mean, std = (start.mean, start.std) if start else (mean, std)
    picture_px, large_px = usual_sides(parts.train)
    facts = Facts(
        network=plan.network, class_names=dataset.class_names, size=plan.size, mean=mean, std=std,
        provenance=content["provenance"], picture_px=picture_px, large_px=large_px, mean_grey=light,
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        first_process(fabric, lambda: stack.enter_context(run.locked(folder)))
        stopping = stack.enter_context(stop_signals())
        if chief:
            describe(console, plan, folder, dataset, parts, start)
        shows = [stack.enter_context(Display(console)), stack.enter_context(TensorBoard(folder))] if chief else []
        try:
            try:
                fit(fabric, plan, folder, facts, dataset, parts, shows, stopping, resume, start)
            except Miscompiled as failed:  # at another shape perhaps, after a save: that is gone on from
                plan = first_process(fabric, lambda: without(folder, plan))
                facts.provenance["compiled"] = False
                if chief:
                    console.print(f"{printable(str(failed))}: this training goes on without it", markup=False)
                fit(fabric, plan, folder, facts, dataset, parts, shows, stopping, True, start)
        except Stopped:
            if not chief:  # a helper that ends with an error would make Fabric kill the first process
                return None
            advice = f"stopped and saved; go on with: anet train --resume {printable(folder)}"
            console.print(advice, highlight=False, soft_wrap=True)
            raise
    return folder if chief else None


def first_process(fabric: Fabric, do: Callable[[], Any]) -> Any:
    """Let the first of all processes do something and give its answer to all; its AnetError ends them all.

    Otherwise the helpers of a training on several devices would wait for a process that is gone.
    """
    answer = None
    if fabric.is_global_zero:
        try:
            answer = do()
        except AnetError as error:
            answer = error
    if fabric.world_size > 1:
        answer = fabric.broadcast(answer)
    if isinstance(answer, AnetError):
        raise answer if fabric.is_global_zero else SystemExit(0)
    return answer


def provenance(dataset: Dataset, parts: Split, plan: Plan) -> dict[str, Any]:
    """Give where a model comes from: data and its digest, split, recipe, seed, commit, versions, machine."""
    counts: dict[str, Any] = {name: len(parts.part(name)) for name in ("train", "val", "test")}
    counts |= {"pictures": plan.pictures} if plan.pictures else {}
    counts |= {"seen": seen_of(parts)}
    return {
        "data": {"name": dataset.name, "task": dataset.task, "digest": dataset.digest(), "free": plan.free},
        "split": {"protocol": parts.protocol, "seed": parts.seed, "source": parts.source, **counts},
        "recipe": plan.recipe.to_dict(),
        **({} if plan.aux == aux_by_default(plan.network) else {"aux": plan.aux}),
        "seed": plan.seed,
        "precision": plan.precision,
        "compiled": plan.compiled,
        "device": torch.cuda.get_device_name() if plan.accelerator == "cuda" else "cpu",
        "devices": plan.devices,
        "threads": plan.threads,
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }


def describe(console: Console, plan: Plan, folder: Path, dataset: Dataset, parts: Split, start: Start | None) -> None:
    console.print(
        f"{plan.network} on {dataset.name} ({dataset.task}), recipe {plan.recipe.name}: {plan.recipe.epochs} epochs, "
        f"batch {plan.recipe.batch}, size {plan.size}, seed {plan.seed}, {plan.accelerator} x {plan.devices}, "
        f"{'float32' if plan.precision == '32' else plan.precision}"
        f"{', compiled (the first step takes minutes)' if plan.compiled else ''}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"{len(parts.train)} pictures train, {len(parts.val)} validate, {len(parts.test)} test. {parts.source}",
        highlight=False,
        soft_wrap=True,
    )
    defects = {part: sum(not sample.sound for sample in parts.part(part)) for part in PARTS}
    few = "; ".join(text for _, text in lacking(defects))
    for text in filter(None, (few, too_fine((*parts.train, *parts.val), dataset.classes, plan.size))):
        console.print(f"warning: {text}", highlight=False, soft_wrap=True)
    if start and plan.init:
        left = start.left(dataset.class_names)
        text = f", all but {len(left)} weights of the last layer, whose classes are others" if left else ""
        console.print(f"starts from {printable(plan.init)}{text}", highlight=False, soft_wrap=True)
    console.print(f"run folder: {printable(folder)}", highlight=False, soft_wrap=True)


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop after the running step; the second one ends at once."""
    wishes: list[int] = []

    def wish(number: int, frame: object) -> None:
        if wishes:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        wishes.append(number)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wishes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
