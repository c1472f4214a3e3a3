"""The verbs that join rooms: train, export, and the whole life of a model in a row."""

import functools
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from anet.data import Dataset, Sample, Split, load, split
from anet.data.dataset import usual_sides
from anet.data.few import parts_as
from anet.data.synthetic import VERSION, synthesize
from anet.errors import AnetError, DataError, ModelError, OptionError, OutputError
from anet.files import check_replaceable, check_writable, printable, write_json
from anet.frame import Frame
from anet.models import chosen_by_hand, known_provenance
from anet.operating import with_point_of
from anet.runtime.card import AS_TRAINED, Card, read_card
from anet.runtime.told import unscored
from anet.scoring.report import Table
from anet.seen import carried
from anet.shipped import check_changeable

if TYPE_CHECKING:
    from anet.training.checkpoint import Facts
    from anet.training.run import Plan

PROOF = 200  # validation pictures on which an export is compared with torch, at most
SEEN = 300  # pictures of training that show, too, what rounding loses, at most: few would leave its bound wide
CALIBRATION = 64  # training pictures from which int8 takes its ranges: most of the time of an export
RUN_PICTURES = 3600  # pictures that `anet run` trains with by default: a few minutes on 2 cores
SIZE = 224  # of the network's input, as the paper's for NEU-Seg
SYNTHETIC_SIZE, SYNTHETIC_PICTURES = 192, 160


def train_run(options, resume: Path | None, console: Console, init: str | None = None) -> int:
    """Train anew (from the model `init`) or go on, then report on validation; give the exit code: 0, 130 for Ctrl-C."""
    from anet.models import open_start
    from anet.training.fit import Stopped
    from anet.training.train import resume as go_on
    from anet.training.train import train

    try:
        folder = go_on(resume, console) if resume else train(options, console, open_start(init) if init else None)
    except Stopped:
        return 130
    if folder is not None:  # None in the helper processes of a training on several devices
        report = report_run(folder, "val")
        console.print(
            f"best weights: {printable(folder / 'best.safetensors')}   report: {printable(report)}",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def report_run(
    folder: Path, part: str, model: Path | None = None, more: tuple[Table, ...] = (), out: Path | None = None
) -> Path:
    """Score a run's best model (or its bundle `model`) on a part of its data; write and give its `report.html`."""
    from anet.evaluation import evaluate_model
    from anet.training.run import read_history, read_plan

    plan, _ = read_plan(folder)
    report = folder / "report.html"
    evaluate_model(
        model or folder, Path(plan.data), plan.task, plan.free, plan.protocol, plan.split_seed, part, out, report,
        history=read_history(folder), more=more,
    )  # fmt: skip
    return report


def export_run(
    path: Path,
    out: Path | None = None,
    formats: Sequence[str] = ("openvino",),
    size: str | None = None,
    data: Path | None = None,
    max_drop: float | None = None,
    int8: str = "ptq",
    show: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> tuple[Path, Card]:
    """Export a run's best model, compared with torch on validation pictures; give the bundle and its card.

    `size` is "H", "HxW" or "dynamic", None as trained. The pictures are the run's own, or those of `data` in its usual
    protocol; a model file outside of its run, or a bundle that kept its weights, needs `data`. `out` is `bundle` beside
    the model by default. `int8` is "ptq", "accuracy" or "qat", which trains for some minutes and tells `show` step,
    steps and loss. Raises ModelError when the answers differ, when the run's data is gone, OptionError, OutputError.
    """
    from anet.export.deployable import MAX_DROP, RANGED, export_bundle
    from anet.models import open_trained

    network, facts, folder = open_trained(path)
    target = out or folder / "bundle"
    check_changeable(target)
    check_replaceable(target)
    facts = replace(facts, provenance=unscored(carried(known_provenance(facts.provenance))))
    plan, dataset, parts = _proven_on(folder, facts, data)
    if plan is None and int8 == "qat":
        raise OptionError(f"--int8 qat trains as the run did, and {printable(path)} lies in none: ptq would work")
    dataset.check_fit(facts.class_names, Path(path))
    shown = [
        sample.read(facts.classes)[0] for sample in spread(parts.train, CALIBRATION if RANGED & set(formats) else 32)
    ]
    h, w = read_size(size) if size else (facts.size, facts.size)
    drop = MAX_DROP if max_drop is None else max_drop
    proof, seen, refined = spread(parts.val, PROOF), spread(parts.train, SEEN), None
    if "int8" in formats and int8 == "qat" and importlib.util.find_spec("nncf"):  # without it int8 is left out
        from anet.training.refine import refine

        assert plan  # refused above where there is none
        refined = refine(network, plan, facts, parts, show=show)
    # after the minutes of refining: from here on `export_bundle` sees a change
    facts = with_point_of(target, facts, h, w)
    card_facts = {**facts.to_dict(), "h": h, "w": w, "train_px": facts.size}
    del card_facts["size"]
    # What the model was trained with, not what proves it now, decides which pictures are cut; runs of before did not
    # note how large their large ones were.
    own = plan is not None and data is None
    if not facts.picture_px or (own and not facts.large_px):
        card_facts["picture_px"], card_facts["large_px"] = usual_sides(parts.train)
    if "int8" in formats:
        card_facts["provenance"] = {**facts.provenance, "int8": int8}
    bundle = export_bundle(network, card_facts, target, proof, formats, shown, drop, int8, refined, seen)
    return bundle, read_card(bundle)


def _proven_on(folder: Path, facts: "Facts", data: Path | None) -> "tuple[Plan | None, Dataset, Split]":
    """Give a run's plan (None: there is no run here), and the pictures on which its export is proven, in parts."""
    from anet.training.run import PLAN, parts_of, read_plan

    try:
        if (folder / PLAN).exists():
            plan, _ = read_plan(folder)
            dataset = load(data or Path(plan.data), plan.task, plan.free)
            own = data is None or facts.provenance["data"]["digest"] == dataset.digest()  # the same pictures elsewhere
            return plan, dataset, parts_of(plan, dataset) if own else split(dataset, None, plan.split_seed)
        if data is None:
            raise ModelError(
                f"{printable(folder)} is no run folder, {PLAN} is missing: --data says which pictures it is proven on"
            )
        trained = known_provenance(facts.provenance)
        dataset = load(data, None, bool(trained["data"].get("free")), trained["data"].get("task"))
        own = trained["split"] if trained["data"].get("digest") == dataset.digest() else {}
        return None, dataset, parts_as(dataset, own, trained.get("seed", 0))
    except DataError as error:
        raise ModelError(f"the export is proven on the pictures that validated the run, but {error}") from error


def print_steps(console: Console, step: int, steps: int, loss: float) -> None:
    """Print one line in ten steps of refining, and the last one."""
    if step % 10 == 0 or step == steps:
        console.print(f"refining for int8: step {step} of {steps}, loss {loss:.5f}", highlight=False)


def read_size(text: str) -> tuple[int, int]:
    """Read "H", "HxW" or "dynamic", which is (0, 0). Raises OptionError."""
    if text == "dynamic":
        return 0, 0
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and int(side[:6]) < 2**16 for side in sides):
        raise OptionError(f"size {printable(text)!r:.80} is none: 224, 224x320 (height first) or dynamic would work")
    frame = Frame(int(sides[0]), int(sides[-1]))
    return frame.h, frame.w


def print_exported(bundle: Path, card: Card, console: Console) -> None:
    """Print where a bundle is, how each of its models compares with torch, and what was left out."""
    say = functools.partial(console.print, highlight=False, soft_wrap=True)
    best = card.fastest[0] if card.fastest else card.precision
    say(f"{printable(bundle)}: {best} recommended; {card.parity['pictures']} validation pictures beside torch")
    if falls := _falls(card):
        say(f"  warning: {falls}")
    for name, one in card.parity.items():
        if name in card.speed or name == "torch":
            iou = "" if one["iou"] is None else f"IoU {100 * one['iou']:.2f}"
            same = (
                ""
                if name == "torch"
                else f"{100 * one['equal_share']:.3f} % of pixels equal, within {one['max_difference']:.1e}"
            )
            took = "" if name == "torch" else f"{card.speed[name]['median_ms']:.2f} ms"
            say(f"  {name:17} {'   '.join(one for one in (iou, same, took) if one)}")
    for name, why in card.left_out.items():
        say(f"  left out: {name}: {why}")
    if chosen_by_hand(card.provenance):
        say(f"  decides as `anet threshold` chose: above {card.threshold:g}, regions from {card.min_area_px} px")


def _falls(card: Card) -> str:
    """Say in one line that another size than the training's costs IoU on validation; nothing where it does not."""
    before, after = (card.parity.get(name, {}).get("iou") for name in (AS_TRAINED, "torch"))
    if before is None or after is None or after >= before:
        return ""
    side, now = card.train_px, "any size" if card.dynamic else f"{card.h}x{card.w}"
    return f"IoU falls from {100 * before:.2f} at {side}x{side}, as trained, to {100 * after:.2f} at {now}"


def run_all(
    data: Path | None, task: str | None, epochs: int | None, size: int | None, runs: Path, seed: int, console: Console
) -> Path:
    """Data, training, scores, export, inspection without torch, report; give the report's path."""
    from anet.training.train import Options, train

    check_writable(runs)
    if data is None:
        data, size = synthetic_set(runs, seed, console), size or SYNTHETIC_SIZE
    parts = split(load(data, task))
    epochs = epochs or min(100, max(20, math.ceil(RUN_PICTURES / max(1, len(parts.train)))))
    batch = min(16, max(4, len(parts.train) // 8))  # at least eight steps an epoch, also with a few dozen pictures
    console.rule("1  training")
    options = Options(data, task, epochs=epochs, batch=batch, size=size or SIZE, seed=seed, runs=runs)
    folder = train(options, console)
    assert folder  # none is for the helpers of several devices, and this is one
    console.rule("2  export to OpenVINO")
    bundle, card = export_run(folder)
    print_exported(bundle, card, console)
    console.rule("3  inspection without torch")
    timing = inspect_apart(bundle, parts.test, folder / "inspected", console)
    console.rule("4  scores on held-out pictures")
    report = report_run(folder, "test", bundle, (timing,), folder / "test.json")
    from anet.results import print_result_file

    print_result_file(folder / "test.json", console)
    console.print("report:", highlight=False)
    return report


def synthetic_set(runs: Path, seed: int, console: Console) -> Path:
    """Make the embedded default set below `runs`, or find the one made before with the same seed and version."""
    folder = runs / f"synthetic-v{VERSION}-s{seed}"
    if not (folder / "synthetic.json").exists():
        console.print(
            f"making {SYNTHETIC_PICTURES} synthetic surfaces in {printable(folder)}", highlight=False, soft_wrap=True
        )
        try:
            synthesize(folder, SYNTHETIC_PICTURES, SYNTHETIC_SIZE, seed)
        except OutputError:
            if not (folder / "synthetic.json").exists():  # else another one made it meanwhile, whole
                raise
    return folder


def inspect_apart(bundle: Path, samples: Sequence[Sample], out: Path, console: Console) -> Table:
    """Inspect pictures in a process of its own where torch cannot be imported; give its timing as a table."""
    pictures = out.with_name("held-out.json")  # a list in a file: names hold anything, and command lines have an end
    write_json(pictures, [str(sample.image) for sample in samples])
    code = (
        "import json, sys; sys.modules['torch'] = None\n"
        "from anet.__main__ import main\n"
        f"pictures = json.load(open({str(pictures)!r}))\n"
        f"sys.argv = ['anet', 'inspect', {str(bundle)!r}, *pictures, '--out', {str(out)!r}]\n"
        "main()"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode not in (0, 1, 3):
        raise AnetError(f"the inspection without torch failed: {done.stderr.strip() or done.stdout.strip()}")
    console.print(done.stdout.strip(), highlight=False, soft_wrap=True)
    try:
        lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    except OSError as error:
        raise OutputError(f"cannot read {printable(out / 'results.jsonl')}: {error.strerror}") from error
    stages = lines[0]["timing_ms"]
    rows = tuple((stage, statistics.median_high(line["timing_ms"][stage] for line in lines)) for stage in stages)
    rows += (
        ("rejected", sum(line["verdict"] == "reject" for line in lines)),
        ("accepted", sum(line["verdict"] == "accept" for line in lines)),
    )
    seconds = time.perf_counter() - started
    note = (
        f"{len(lines)} held-out pictures in a process where torch cannot be imported; {seconds:.1f} s with its start."
    )
    return Table("Inspection without torch: median ms a picture, and verdicts", ("stage", "value"), rows, note)


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Give at most `most` samples, evenly over the list."""
    step = max(1, math.ceil(len(samples) / most))
    return list(samples[::step])
