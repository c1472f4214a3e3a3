"""`anet tune`: settings that meet a budget of time on this machine with the best answers, written into the bundle."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from anet.bench.rounds import Spread, calls_within, interleaved, ms
from anet.bench.subjects import streams_of, surfaces
from anet.data import Sample, load
from anet.data.few import parts_as
from anet.errors import DataError, OptionError
from anet.files import printable
from anet.provenance import machine
from anet.runtime.card import MODELS, Card, read_card
from anet.runtime.engine import Engine, why_not
from anet.runtime.inspector import Inspector
from anet.runtime.settings import Settings, write_settings
from anet.runtime.verdicts.rules import any_defect
from anet.scoring.evaluate import evaluate

ROUNDS = 8
TURN_MS = 100.0
SAME = 1e-4  # difference of IoU below which the faster one is taken
SCALES = (0.5, 0.75, 1.25)  # times the scale of the training, which is tried in any case
OVERLAPS = (None, 0.125)  # of tiles; None: as where nothing is said
Say = Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """One way to run the bundle: ms from a picture in memory to its verdict, and IoU on validation where known."""

    settings: Settings
    ms: Spread
    iou: float | None

    @property
    def name(self) -> str:
        one = self.settings
        look = "" if one.scale is None else f", scale {one.scale:.3g}"
        look += "" if one.overlap is None else f", overlap {one.overlap:g}"
        return f"{one.engine} {one.precision}, {one.threads} threads, {one.streams} streams{look}"


@dataclass(frozen=True)
class Tuned:
    """What was tried, fastest first, what of it was chosen (None: nothing meets the budget), and what was not tried."""

    budget_ms: float
    tried: tuple[Tried, ...]
    chosen: Tried | None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Shown:
    """What ways are tried on: a picture for their time, IoU of answers or pictures to score, ways to look."""

    picture: np.ndarray
    samples: tuple[Sample, ...]
    looks: tuple[tuple[float | None, float | None], ...]  # scale and overlap; the first is as in training
    left_out: str


def tune(
    bundle: Path, budget_ms: float, threads: int = 0, data: Path | None = None, task: str | None = None,
    say: Say = lambda _: None,
) -> Tuned:  # fmt: skip
    """Try ways to run a bundle in interleaved rounds; write the one that meets the budget with the best IoU.

    A way meets the budget when 95 % of its times do. Tried are the engines that can run here, all precisions, threads
    (at most `threads`, 0: all cores), streams, and, on validation pictures of `data`, scale and overlap of tiles, if
    any is cut, or of a dynamic input. Without `data`, IoU is that of the export, which the card holds. The bundle is
    written to once, at the end. Raises OptionError, ModelError, DataError, OutputError.
    """
    if not 0 < budget_ms < 1e6:
        raise OptionError(f"budget is {budget_ms:g} ms: more than 0 and less than a million would work")
    cores = int(machine()["cores"])
    if not 0 <= threads <= cores:
        raise OptionError(f"{threads} threads: this machine has {cores} cores, 0 (all) to {cores} would work")
    card = read_card(bundle)
    ways, left_out = _ways(card, threads or cores)
    shown = _shown(bundle, card, data, task)
    ious = _ious(bundle, card, ways, shown, say)
    if None in ious.values() and len(ious) > 1:  # others may answer worse, and nobody would know
        now = Engine(bundle, settings=Settings())
        ways = [way for way in ways if _answers(way) == _answers(Settings(now.name, now.precision))]
        left_out.append(f"precisions but {now.precision}: no IoU of theirs is known (--data DATA finds it)")
    left_out += [shown.left_out] if shown.left_out else []
    for one in left_out:
        say(f"not tried: {one}")
    tried = _timed(bundle, card, ways, shown.picture, ious, say)
    if more := _other_looks(tried, shown.looks):
        tried += _timed(bundle, card, more, shown.picture, ious, say)
    chosen = _best(tried, budget_ms)
    if chosen is not None:
        measured = {"budget_ms": budget_ms, "ms": chosen.ms.to_dict(), "iou": chosen.iou, "model": card.id}
        write_settings(bundle, replace(chosen.settings, measured=measured))
    return Tuned(budget_ms, tuple(sorted(tried, key=lambda one: one.ms.median)), chosen, tuple(left_out))


def _ways(card: Card, most: int) -> tuple[list[Settings], list[str]]:
    """Give engine, precision, threads and streams in all combinations that make sense, and engines that cannot run."""
    ways, left_out = [], []
    for engine, precisions in MODELS.items():
        held = [one for one, files in precisions.items() if set(files) <= card.files.keys()]
        why = why_not(card, engine) if held else ""
        if why:
            left_out.append(why.removesuffix(": openvino is used"))
        for precision in () if why else [one for one in held if not why_not(card, engine, one)]:
            for count in sorted({1, max(1, most // 2), most}):
                ways += [Settings(engine, precision, count, streams) for streams in sorted({1, streams_of(count)})]
    return ways, left_out


def _shown(bundle: Path, card: Card, data: Path | None, task: str | None) -> _Shown:
    """Give what to try ways on. Raises DataError."""
    if data is None:
        picture = surfaces(card.h or card.train_px, card.w or card.train_px, 1)[0]
        return _Shown(
            picture, (), ((None, None),), "scale and overlap of tiles and inputs: they need pictures (--data)"
        )
    samples = _validation(bundle, card, data, task)
    inspector = _inspector(bundle, card, Settings())
    images = [sample.read(len(card.class_names))[0].shape[:2] for sample in samples]
    cut = [inspector.grid_for(h, w) is not None for h, w in images]
    scales = [None, *(round(factor * card.scale, 4) for factor in SCALES)]
    scales = [one for one in scales if one is None or 0.01 <= one <= 100]
    looks: list[tuple[float | None, float | None]] = [(None, None)]
    if any(cut):
        looks = [(scale, over) for scale in scales for over in OVERLAPS]
    elif card.dynamic:
        looks = [(scale, None) for scale in scales]
    # timed on a picture of the middle size, of those that are cut if any is: the budget is for such a one
    order = sorted((h * w, number) for number, (h, w) in enumerate(images) if cut[number] or not any(cut))
    picture = samples[order[len(order) // 2][1]].read(len(card.class_names))[0]
    why = "" if len(looks) > 1 else "scale and overlap of tiles: no validation picture is so large that it is cut"
    return _Shown(picture, samples, tuple(looks), why)


def _validation(bundle: Path, card: Card, data: Path, task: str | None) -> tuple[Sample, ...]:
    """Give the pictures of `data` that validated the model, or would have. Raises DataError."""
    facts, own = card.provenance.get("data"), card.provenance.get("split")
    facts, own = (one if isinstance(one, dict) else {} for one in (facts, own))
    dataset = load(data, task, bool(facts.get("free")), facts.get("task"))
    dataset.check_fit(card.class_names, bundle)
    known = dataset.digest() == facts.get("digest") and "protocol" in own
    parts = parts_as(dataset, own if known else {}, card.provenance.get("seed", 0))
    if not parts.val:
        raise DataError(f"{printable(data)} has no validation pictures under protocol {parts.protocol}")
    return tuple(parts.val)


def _answers(way: Settings) -> str:
    """Name what answers alike: one precision does, as the export proved, but each engine has an int8 of its own."""
    return f"{way.engine} {way.precision}" if way.precision == "int8" else str(way.precision)


def _ious(
    bundle: Path, card: Card, ways: Sequence[Settings], shown: _Shown, say: Say
) -> dict[tuple[str, float | None, float | None], float | None]:
    """Give the IoU by answers (`_answers`), scale and overlap."""
    first = {_answers(way): way for way in reversed(ways)}
    if not shown.samples:
        return {(one, None, None): _exported(card, f"{way.engine} {way.precision}") for one, way in first.items()}
    found = {}
    for answers, way in first.items():
        for scale, overlap in shown.looks:
            name = f"{answers}{'' if scale is None else f', scale {scale:g}'}"
            say(f"{name}{'' if overlap is None else f', overlap {overlap:g}'}: IoU on {len(shown.samples)} pictures")
            inspector = _inspector(bundle, card, replace(way, threads=0, streams=0, scale=scale, overlap=overlap))
            scores = evaluate(lambda image, one=inspector: one(image).mask, shown.samples, len(card.class_names)).scores
            found[answers, scale, overlap] = scores.miou
    return found


def _exported(card: Card, name: str) -> float | None:
    """Give the IoU that the export found, unless the threshold was chosen anew since."""
    found: Any = card.parity.get(name)
    chosen: Any = card.provenance.get("threshold")
    anew = isinstance(chosen, dict) and "by" in chosen  # as `anet threshold` writes
    iou = found.get("iou") if isinstance(found, dict) and not anew else None
    return float(iou) if isinstance(iou, (int, float)) else None


def _other_looks(tried: Sequence[Tried], looks: Sequence[tuple[float | None, float | None]]) -> list[Settings]:
    """Give the other looks for the fastest way to each answer: what is fastest hardly depends on the look."""
    fastest: dict[str, Settings] = {}
    for one in sorted(tried, key=lambda one: one.ms.high):
        fastest.setdefault(_answers(one.settings), one.settings)
    return [replace(way, scale=scale, overlap=over) for way in fastest.values() for scale, over in looks[1:]]


def _timed(
    bundle: Path, card: Card, ways: Sequence[Settings], picture: np.ndarray, ious: dict, say: Say
) -> list[Tried]:
    """Time every way on a picture in interleaved rounds."""
    h, w = picture.shape[:2]
    say(f"{len(ways)} ways to run it on a picture of {w}x{h} pixels, {ROUNDS} interleaved rounds")
    times: dict[Settings, list[float]] = {way: [] for way in ways}
    turns, calls = {}, {}
    for way in ways:
        inspector = _inspector(bundle, card, way)
        inspector(picture)
        calls[way] = calls_within(ms(lambda one=inspector: one(picture)), TURN_MS)

        def turn(way: Settings = way, inspector: Inspector = inspector) -> float:
            times[way] += [ms(lambda: inspector(picture)) for _ in range(calls[way])]
            return times[way][-1]

        turns[way] = turn
    interleaved(turns, ROUNDS)
    return [
        Tried(way, Spread.of(times[way][calls[way] :]), ious[_answers(way), way.scale, way.overlap])  # less the warm-up
        for way in ways
    ]


def _inspector(bundle: Path, card: Card, settings: Settings) -> Inspector:
    """Open a bundle as settings say; without its rules, which may ask for mm that nobody gave."""
    return Inspector(bundle, any_defect(card.min_area_px), settings=settings)


def _best(tried: Sequence[Tried], budget_ms: float) -> Tried | None:
    """Give the best IoU within the budget, and of several that answer alike the fastest."""
    good = [one for one in tried if one.ms.high <= budget_ms]
    best = max((one.iou or 0.0 for one in good), default=0.0)
    return min((one for one in good if (one.iou or 0.0) >= best - SAME), key=lambda one: one.ms.median, default=None)


def print_tuned(tuned: Tuned, console: Console) -> None:
    """Print what was tried and what was chosen."""
    looked = any(one.settings.scale or one.settings.overlap for one in tuned.tried)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("engine", "precision", "threads", "streams", *(("scale", "overlap") if looked else ())):
        table.add_column(name, no_wrap=True)
    for name in ("ms a picture", "5–95 %", "IoU on validation", ""):
        table.add_column(name, no_wrap=True)
    for one in tuned.tried:
        way = one.settings
        look = (
            "trained" if way.scale is None else f"{way.scale:.3g}",
            "–" if way.overlap is None else f"{way.overlap:g}",
        )
        table.add_row(
            way.engine, way.precision, str(way.threads), str(way.streams), *(look if looked else ()),
            f"{one.ms.median:.2f}", f"{one.ms.low:.2f}–{one.ms.high:.2f}",
            "–" if one.iou is None else f"{100 * one.iou:.2f}",
            "chosen" if one == tuned.chosen else "" if one.ms.high <= tuned.budget_ms else "too slow",
        )  # fmt: skip
    Console(width=max(console.width, 110), file=console.file).print(table)


def none_meets(tuned: Tuned) -> str:
    """Say that nothing meets the budget, and the best that was found."""
    best = min(tuned.tried, key=lambda one: one.ms.high)
    return (
        f"nothing meets {tuned.budget_ms:g} ms: the best found is {best.name}, 95 % within {best.ms.high:.2f} ms; "
        f"--budget-ms {math.ceil(best.ms.high * 11) / 10:g} would work, or a smaller `anet export --size`"
    )
