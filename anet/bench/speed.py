"""`anet bench`: bundles, untrained networks and `plain`, timed in interleaved rounds of one process."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from anet.bench.made import made
from anet.bench.rounds import Spread, calls_within, interleaved, ms, ratios
from anet.bench.subjects import PLAIN, Opened, Subject, bundle_subjects, check_engine, plain_subject
from anet.bench.targets import targets
from anet.bench.whole import whole
from anet.errors import OptionError
from anet.frame import Frame
from anet.provenance import commit, machine, versions
from anet.runtime.card import read_card

FORMAT = 1
TURN_MS = 150.0  # of one subject in one round
LATENCY, THROUGHPUT = "latency", "throughput"
MODES = tuple((mode, threads) for mode in (LATENCY, THROUGHPUT) for threads in (1, 0))  # 0: all cores


@dataclass(frozen=True)
class Plan:
    """What to measure. `size` None: that of the bundles, else 224."""

    bundles: tuple[Path, ...] = ()
    networks: tuple[str, ...] = ()
    size: int | None = None
    plain: bool = True
    engines: tuple[str, ...] = ()  # none: all that a bundle holds something for and that can run here
    rounds: int = 10
    whole: bool = True  # also stages, folder, start and memory of the first bundle


def bench(plan: Plan, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure all of a plan and give plain values for JSON; `say` is told what is going on.

    Raises OptionError (sizes differ, no such network or engine), ModelError.
    """
    if plan.rounds < 1:
        raise OptionError(f"{plan.rounds} rounds: 1 or more would work")
    for engine in plan.engines:
        check_engine(engine)
    h, w = _size(plan)
    with ExitStack() as stack:
        bundles = [(bundle, "") for bundle in plan.bundles]
        for name in plan.networks or (() if plan.bundles else ("anet",)):
            say(f"exporting {name}, untrained")
            bundles.append((stack.enter_context(made(name, h, w)), name))
        subjects = [plain_subject("anet", h, w)] if plan.plain else []
        for bundle, name in bundles:
            subjects += bundle_subjects(bundle, plan.engines, h, w, name)
        _check_names(subjects)
        rows = [row for mode, threads in MODES for row in _mode(subjects, mode, threads, plan.rounds, say)]
        result = {
            "format": FORMAT, "size": [h, w], "rounds": plan.rounds, "turn_ms": TURN_MS,
            "machine": machine(), "versions": versions(), "commit": commit(), "rows": rows,
        }  # fmt: skip
        if plan.whole:
            say("the whole inspection: stages, folder, start, memory")
            engine = next(one.engine for one in subjects if one.name != PLAIN)  # not each of the plan's is in a bundle
            result["whole"] = whole(bundles[0][0], h, w, engine)
    return {**result, "targets": [one.to_dict() for one in targets(result)]}


def _size(plan: Plan) -> tuple[int, int]:
    """Give the height and width that all subjects share. Raises OptionError when bundles were made for others."""
    cards = {bundle: read_card(bundle) for bundle in plan.bundles}
    fixed = {(card.h, card.w) for card in cards.values() if not card.dynamic}
    wanted = {(plan.size, plan.size)} if plan.size else fixed or {(224, 224)}
    if len(wanted | fixed) != 1:
        found = ", ".join(f"{h} x {w}" for h, w in sorted(fixed))
        raise OptionError(f"times of different sizes are not compared: bundles of {found} given, one size would work")
    frame = Frame(*wanted.pop())
    return frame.h, frame.w


def _check_names(subjects: Sequence[Subject]) -> None:
    names = [one.name for one in subjects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(f"{', '.join(twice)} is given twice: bundles are told apart by their folders' names")


def _mode(
    subjects: Sequence[Subject], mode: str, threads: int, rounds: int, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Open all subjects for one mode, time them in turns, and give a row each; then they are closed again."""
    say(f"{mode}, {'all cores' if not threads else f'{threads} thread'}: {len(subjects)} side by side")
    turns = {}
    for subject in subjects:
        opened = subject.open(threads, mode == THROUGHPUT)
        turns[subject.name] = (_alone if mode == LATENCY else _together)(opened, subject)
    found = interleaved(turns, rounds)
    for subject in subjects:
        own = found[subject.name]
        against = ratios(found[PLAIN], own).to_dict() if PLAIN in found else None
        yield {
            "name": subject.name, "network": subject.network, "precision": subject.precision, "engine": subject.engine,
            "trained": subject.trained, "mode": mode, "threads": threads, "ms": Spread.of(own).to_dict(),
            "ratio": against,
        }  # fmt: skip


def _alone(opened: Opened, subject: Subject) -> Callable[[], float]:
    """Give a turn of one picture after the other: the median of ms."""
    frames = cycle(subject.frames)
    opened.probs(next(frames))
    calls = calls_within(ms(lambda: opened.probs(next(frames))), TURN_MS)
    return lambda: Spread.of([ms(lambda: opened.probs(next(frames))) for _ in range(calls)]).median


def _together(opened: Opened, subject: Subject) -> Callable[[], float]:
    """Give a turn of many pictures at work at once: ms a picture."""

    def run(count: int) -> float:
        started = time.perf_counter()
        for _ in opened.stream(islice(cycle(subject.frames), count)):
            pass
        return (time.perf_counter() - started) * 1000 / count

    run(4)
    calls = calls_within(run(4), TURN_MS, least=8, most=400)
    return lambda: run(calls)
