"""`anet tune`: settings that meet a budget of time on this machine with the best answers, written into the bundle."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from anet.bench.rounds import Spread, calls_within, interleaved, ms
from anet.bench.subjects import precisions, streams_of, surfaces
from anet.data import Sample, load, split
from anet.data.dataset import Split
from anet.errors import DataError, OptionError
from anet.files import printable
from anet.frame import decide
from anet.provenance import machine
from anet.runtime.card import Card, read_card
from anet.runtime.engine import Engine
from anet.runtime.inspector import Inspector
from anet.runtime.settings import Settings, settings_for, write_settings
from anet.scoring.evaluate import evaluate

ROUNDS = 8
TURN_MS = 100.0
SAME = 1e-4  # difference of IoU below which the faster one is taken


@dataclass(frozen=True)
class Tried:
    """One way to run the bundle: ms from a picture in memory to its verdict, and IoU on validation where known."""

    precision: str
    threads: int
    streams: int
    ms: Spread
    iou: float | None

    @property
    def name(self) -> str:
        return f"{self.precision}, {self.threads} threads, {self.streams} streams"


@dataclass(frozen=True)
class Tuned:
    """What was tried, fastest first, what of it was chosen (None: nothing meets the budget), and why in words."""

    budget_ms: float
    tried: tuple[Tried, ...]
    chosen: Tried | None
    left_out: str = ""


def tune(
    bundle: Path, budget_ms: float, threads: int = 0, data: Path | None = None, task: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Tuned:  # fmt: skip
    """Try precisions, threads and streams in interleaved rounds; write those that meet the budget with the best IoU.

    A way meets the budget when 95 % of its times do. `threads` is the most that may be used, 0: all cores. Pictures are
    those that validated the model, found by its card or in `data`; without them only the precision that is used anyway
    is tried, since another may answer differently. Raises OptionError, ModelError, DataError, OutputError.
    """
    if not 0 < budget_ms < 1e6:
        raise OptionError(f"budget is {budget_ms:g} ms: more than 0 and less than a million would work")
    cores = int(machine()["cores"])
    if not 0 <= threads <= cores:
        raise OptionError(f"{threads} threads: this machine has {cores} cores, 0 (all) to {cores} would work")
    card, now = read_card(bundle), settings_for(bundle)
    samples, why = _validation(card, data, task)
    held = precisions(card, "openvino")
    if samples is None:
        held = [now.precision if now.precision in held else held[0]]
        say(f"{why}: only {held[0]} is tried, other precisions may answer differently")
    ious = {one: None if samples is None else _iou(bundle, card, one, samples, say) for one in held}
    tried = _timed(bundle, card, held, threads or cores, ious, say)
    good = [one for one in tried if one.ms.high <= budget_ms]
    best = max((one.iou or 0.0 for one in good), default=0.0)
    chosen = min((one for one in good if (one.iou or 0.0) >= best - SAME), key=lambda one: one.ms.median, default=None)
    if chosen is not None:
        measured = {"budget_ms": budget_ms, "ms": chosen.ms.to_dict(), "iou": chosen.iou, "model": card.id}
        write_settings(bundle, Settings(chosen.precision, chosen.threads, chosen.streams, measured))
    return Tuned(budget_ms, tuple(tried), chosen, why)


def _validation(card: Card, data: Path | None, task: str | None) -> tuple[tuple[Sample, ...] | None, str]:
    """Give the pictures that validated the model, or None and why there are none. Raises DataError for `data`."""
    facts, own = card.provenance.get("data"), card.provenance.get("split")
    facts, own = (one if isinstance(one, dict) else {} for one in (facts, own))
    place = data or facts.get("path")
    if not isinstance(place, (str, Path)):
        return None, "the card does not say where its pictures are (--data DATA does)"
    try:
        dataset = load(Path(place), task or facts.get("task"), bool(facts.get("free")))
        if len(dataset.class_names) != len(card.class_names):
            raise DataError(f"{printable(place)} has {len(dataset.class_names)} classes, the model has others")
        known = dataset.digest() == facts.get("digest") and "protocol" in own
        parts: Split = split(dataset, own["protocol"], own.get("seed", 0)) if known else split(dataset)
        return tuple(parts.val), ""
    except DataError as error:
        if data is not None:
            raise
        return None, str(error)


def _iou(
    bundle: Path, card: Card, precision: str, samples: tuple[Sample, ...], say: Callable[[str], None]
) -> float | None:
    """Give the mean IoU of the defect classes at the card's threshold."""
    say(f"{precision}: IoU on {len(samples)} validation pictures")
    engine = Engine(bundle, precision=precision)

    def predict(image: Any) -> Any:
        frame = card.frame(*image.shape[:2])
        return decide(frame.back(engine.probs(frame.image(image)), *image.shape[:2]), card.threshold)

    known = [one for one in evaluate(predict, samples, len(card.class_names)).scores.iou[1:] if one is not None]
    return sum(known) / len(known) if known else None


def _timed(
    bundle: Path, card: Card, held: list[str], most: int, ious: dict[str, float | None], say: Callable[[str], None]
) -> list[Tried]:
    """Time every precision with one thread, half of the cores and all, for one stream and for one a thread."""
    counts = sorted({1, max(1, most // 2), most})
    ways = [(one, count, streams) for one in held for count in counts for streams in sorted({1, streams_of(count)})]
    say(f"{len(ways)} ways to run it, {ROUNDS} interleaved rounds")
    turns = {}
    picture = surfaces(card.h or 224, card.w or 224, 1)[0]
    for way in ways:
        precision, count, streams = way
        inspector = Inspector(bundle, threads=count, precision=precision, streams=streams)
        inspector(picture)
        calls = calls_within(ms(lambda inspector=inspector: inspector(picture)), TURN_MS)
        turns[way] = lambda inspector=inspector, calls=calls: (
            Spread.of([ms(lambda: inspector(picture)) for _ in range(calls)]).median
        )
    found = interleaved(turns, ROUNDS)
    tried = [Tried(*way, Spread.of(found[way]), ious[way[0]]) for way in ways]
    return sorted(tried, key=lambda one: one.ms.median)


def print_tuned(tuned: Tuned, console: Console) -> None:
    """Print what was tried and what was chosen."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("precision", "threads", "streams", "ms a picture", "5–95 %", "IoU on validation", ""):
        table.add_column(name, no_wrap=True)
    for one in tuned.tried:
        table.add_row(
            one.precision, str(one.threads), str(one.streams), f"{one.ms.median:.2f}",
            f"{one.ms.low:.2f}–{one.ms.high:.2f}", "–" if one.iou is None else f"{100 * one.iou:.2f}",
            "chosen" if one == tuned.chosen else "" if one.ms.high <= tuned.budget_ms else "too slow",
        )  # fmt: skip
    Console(width=max(console.width, 90), file=console.file).print(table)


def none_meets(tuned: Tuned) -> str:
    """Say that nothing meets the budget, and the best that was found."""
    best = min(tuned.tried, key=lambda one: one.ms.high)
    return (
        f"nothing meets {tuned.budget_ms:g} ms: the best found is {best.name}, 95 % within {best.ms.high:.2f} ms; "
        f"--budget-ms {math.ceil(best.ms.high * 11) / 10:g} would work, or a smaller `anet export --size`"
    )
