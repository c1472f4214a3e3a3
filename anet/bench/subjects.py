"""What `anet bench` sets side by side: bundles in each precision they hold, untrained networks, and `plain`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from anet.errors import OptionError
from anet.files import printable
from anet.provenance import machine
from anet.runtime.card import MODELS, Card, read_card

FIGURE_9 = ("bisenet", "bisenetv2", "stdc", "erfnet", "esnet", "topformer", "enet", "anet")
PLAIN = "plain"
UNTRAINED = "untrained"


class Opened(Protocol):
    """What is timed: an `anet.runtime.engine.Engine` or a `Plain`."""

    def probs(self, frame: np.ndarray) -> np.ndarray:
        """Answer one frame."""
        ...

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Answer many in order."""
        ...


@dataclass(frozen=True, eq=False)
class Subject:
    """One bar of the picture. `open(threads, many)`: threads 0 is the engine's choice, `many` is for throughput."""

    name: str
    network: str
    precision: str
    engine: str
    trained: bool
    frames: Sequence[np.ndarray]
    open: Callable[[int, bool], Opened]


def surfaces(h: int, w: int, count: int = 8) -> list[np.ndarray]:
    """Give seeded `(h, w, 3) uint8` frames, each in memory of its own."""
    rng = np.random.default_rng(0)
    return [rng.integers(60, 200, (h, w, 3), dtype=np.uint8) for _ in range(count)]


def plain_subject(network: str, h: int, w: int, channels: int = 1) -> Subject:
    """Give the reference: `network` converted by hand."""
    from anet.bench.plain import Plain, converted

    model = converted(network, h, w, channels)
    frames = [np.ascontiguousarray(one.transpose(2, 0, 1), dtype=np.float32) / 255 for one in surfaces(h, w)]
    return Subject(PLAIN, network, "f32", "openvino", False, frames, lambda threads, many: Plain(model, threads, many))


def bundle_subjects(bundle: Path, engines: Sequence[str], h: int, w: int, name: str = "") -> list[Subject]:
    """Give a subject for each engine and each precision that a bundle holds, the recommended one first.

    Of several engines those that it holds nothing for are left out: `native` knows A-Net only. No `engines`: all that
    can run here, first what `anet inspect` would take.
    """
    from anet.runtime.engine import Engine, why_not
    from anet.runtime.settings import Settings

    card = read_card(bundle)
    found = []
    if not engines:
        fast = [one.partition(" ")[0] for one in card.fastest]
        engines = sorted((one for one in MODELS if not why_not(card, one)), key=[*fast, *MODELS].index)
    for engine in [one for one in engines if _held(card, one)] or engines:
        for precision in precisions(card, engine):
            if engine == "native" and why_not(card, engine, precision):
                continue  # another precision would answer under its name
            called = " ".join(
                [name or printable(Path(bundle).name), precision] + ([engine] if engine != "openvino" else [])
            )

            def open_it(threads: int, many: bool, precision: str = precision, engine: str = engine) -> Opened:
                streams = streams_of(threads) if many else 0
                return Engine(bundle, threads, precision, engine, streams, Settings())  # whatever was tuned here

            trained = not card.provenance.get(UNTRAINED, False)
            found.append(Subject(called, card.network, precision, engine, trained, surfaces(h, w), open_it))
    return found


def precisions(card: Card, engine: str) -> list[str]:
    """Give the precisions that a bundle holds for an engine, the recommended one first. Raises OptionError."""
    found = _held(card, engine)
    if not found:
        raise OptionError(f"the bundle holds nothing for {engine}: `anet export --formats` adds it")
    named = [f"{engine} {one}" for one in found]
    order = [*(name for name in card.fastest if name in named), f"{engine} {card.precision}", *named]
    return sorted(found, key=lambda one: order.index(f"{engine} {one}"))


def _held(card: Card, engine: str) -> list[str]:
    check_engine(engine)
    return [one for one, files in MODELS[engine].items() if set(files) <= card.files.keys()]


def check_engine(engine: str) -> None:
    """Raises OptionError when there is no such engine."""
    if engine not in MODELS:
        raise OptionError(f"no engine {printable(engine)!r:.80}: {', '.join(MODELS)} would work")


def streams_of(threads: int) -> int:
    """Give a stream for each thread, which is what OpenVINO's THROUGHPUT hint comes to on small machines."""
    return threads or int(machine()["cores"])


def names_of(text: str, everything: bool) -> tuple[str, ...]:
    """Read `--networks`: names parted by commas, or `fig9`. Raises OptionError: no such network."""
    if everything:
        from anet.nets.zoo import ZOO

        return (*ZOO, "anet")
    from anet.nets import NETWORKS

    names = FIGURE_9 if text == "fig9" else tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    for name in names:
        if name not in NETWORKS:
            raise OptionError(f"no network {name!r}: fig9 (the paper's eight) or {', '.join(NETWORKS)} would work")
    return names
