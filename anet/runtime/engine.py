"""The network on a plain CPU: one frame in, probabilities out, by OpenVINO or by another engine.

An engine of ENGINES is a class with `depth`, how many frames are worth being worked on at once; `begin(frame)`, which
starts one; and `end(begun)`, which waits for its probabilities. Each begun frame is ended. `run(frame)` does both, and
`waits` says whether who asks then waits for threads of the engine, or works itself. Safe in several threads.
"""

import importlib.util
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anet.errors import ModelError, OptionError
from anet.files import printable
from anet.frame import Frame
from anet.runtime.card import MODELS, Card, read_card, read_listed
from anet.runtime.engines.native import Native, unavailable
from anet.runtime.engines.onnx import OnnxRuntime
from anet.runtime.engines.openvino import OpenVino
from anet.runtime.settings import MOST, Settings, settings_and_note


class Engine:
    """A model bundle, checked and made ready for this machine's CPU. Safe to call from several threads.

    `threads` 0 lets the engine choose. `precision` (f32, f16, bf16, int8) says which of the bundle's files answers and
    `engine`, one of ENGINES, what runs it; None is the fastest that its card recommends and that can run here; where
    the compiled kernel's bf16 or int8 cannot, another answers. `streams` is how many frames are worked on at once by
    `stream`; 0 lets the engine choose. Where nothing is given, `settings` count, which None reads as `anet tune` wrote
    them for this machine; where another engine is given than theirs, it chooses for itself. Raises ModelError,
    OptionError.
    """

    def __init__(
        self,
        bundle: Path | str,
        threads: int = 0,
        precision: str | None = None,
        engine: str | None = None,
        streams: int = 0,
        settings: Settings | None = None,
    ):
        for name, value in (("threads", threads), ("streams", streams)):
            if not 0 <= value <= MOST:
                raise OptionError(f"{name} is {value}: 0 (automatic) to {MOST} would work")
        if engine is not None and engine not in ENGINES:
            raise OptionError(f"no engine {printable(engine)!r:.80}: {', '.join(ENGINES)} would work")
        self.card = read_card(bundle)
        self.settings, elsewhere = settings_and_note(bundle) if settings is None else (settings, "")
        holders = [name for name in (MODELS if engine is None else [engine]) if precision in _held(self.card, name)]
        if holders == ["native"] and why_not(self.card, "native", precision):
            precision = None  # made for processors that can: others take what comes next
        self.name, note = _which(self.card, engine, precision, self.settings.engine)
        # a line for people, or empty
        self.note = "; ".join(filter(None, (note, elsewhere)))
        tuned = self.settings if self.settings.engine in (None, self.name) else Settings()
        self.precision = _choose(self.card, self.name, precision, tuned.precision)
        files = [read_listed(bundle, self.card, name) for name in MODELS[self.name][self.precision]]
        threads, streams = threads or tuned.threads, streams or tuned.streams
        self._engine = ENGINES[self.name](self.card, files, threads, streams, printable(bundle))
        self._process = os.getpid()

    def probs(self, frame: np.ndarray) -> np.ndarray:
        """Give the probabilities of an `(h, w, 3) uint8` RGB frame: `(h, w, channels) float32` in 0..1.

        Raises ModelError when the network answers NaN or infinity, since such a picture must never pass as good, and in
        a process that was forked off, where the engine's threads are missing.
        """
        return self._checked(self._engine.run(self._framed(frame)), frame)

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Give the probabilities of many frames, in order and the same bits as `probs`, several worked on at once.

        `frames` is asked for no more frames than are worked on. Raises as `probs`.
        """
        begun: deque[tuple[Any, np.ndarray]] = deque()
        try:
            for frame in frames:
                begun.append((self._engine.begin(self._framed(frame)), frame))
                if len(begun) >= self._engine.depth:
                    yield self._ended(*begun.popleft())
            while begun:
                yield self._ended(*begun.popleft())
        finally:
            for one, _ in begun:  # given up half-way: what was begun must not answer into a later question
                self._engine.end(one)

    @property
    def waits(self) -> bool:
        """Whether a thread that asks only waits, so that more of them than cores keep the cores at work."""
        return self._engine.waits

    def _framed(self, frame: np.ndarray) -> np.ndarray:
        if os.getpid() != self._process and (self._engine.waits or self._engine.depth > 1):  # it would wait for ever
            raise ModelError(
                f"model {self.card.id} was opened before this process was forked off, its threads stayed behind: "
                "start processes by 'spawn', or open models only in them"
            )
        right = frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8
        if not right or not (self.card.dynamic or frame.shape[:2] == (self.card.h, self.card.w)):
            wanted = "(h, w, 3)" if self.card.dynamic else (self.card.h, self.card.w, 3)
            raise ValueError(f"a frame is {wanted} uint8: {frame.shape} {frame.dtype} given")
        if self.card.dynamic:
            Frame(*frame.shape[:2])  # raises OptionError for sides that the network cannot take
        return np.ascontiguousarray(frame)[None]

    def _ended(self, begun: Any, frame: np.ndarray) -> np.ndarray:
        return self._checked(self._engine.end(begun), frame)

    def _checked(self, answers: np.ndarray, frame: np.ndarray) -> np.ndarray:
        probs, promised = answers[0], (*frame.shape[:2], self.card.channels)
        if probs.shape != promised:
            raise ModelError(f"model {self.card.id} answers {probs.shape}, its card promises {promised}")
        if not np.isfinite(probs).all():
            raise ModelError(f"model {self.card.id} answers NaN or infinity: no verdict is possible")
        return probs


ENGINES = {"openvino": OpenVino, "onnxruntime": OnnxRuntime, "native": Native}


def why_not(card: Card, engine: str, precision: str | None = None) -> str:
    """Say in one line why an engine cannot answer for a bundle here; nothing when it can."""
    if not (there := _held(card, engine)) or precision not in (None, *there):
        return f"the bundle holds nothing for engine {printable(engine):.80}: openvino is used"
    if engine == "onnxruntime" and importlib.util.find_spec("onnxruntime") is None:
        return "engine onnxruntime is not installed (pip install 'anet-inspect[onnx]'): openvino is used"
    return unavailable(card, precision or there[0]) if engine == "native" else ""


def _held(card: Card, engine: str) -> list[str]:
    """Give the precisions that a bundle holds files of for an engine."""
    return [one for one, files in MODELS.get(engine, {}).items() if set(files) <= card.files.keys()]


def _fastest(card: Card) -> Iterator[tuple[str, str]]:
    """Give engine and precision of what passed the export's gate and can run here, the fastest at export first."""
    for engine, _, precision in (name.partition(" ") for name in card.fastest):
        if not why_not(card, engine, precision):
            yield engine, precision


def _which(card: Card, wanted: str | None, precision: str | None, tuned: str | None) -> tuple[str, str]:
    """Give the engine to run, and a line where it is not the one that was meant.

    Where nothing is asked for or tuned, the fastest; a precision alone is OpenVINO's where that has it. A tuned engine
    that does not hold the precision asked for is none.
    """
    if wanted not in (None, "native"):  # what was asked for and cannot be is an error, said where it is opened
        return wanted, ""
    if tuned and (there := _held(card, tuned)) and precision not in (None, *there):
        tuned = None
    if not (name := wanted or tuned):
        name = next((engine for engine, one in _fastest(card) if precision in (None, one)), "openvino")
        return (name if precision not in _held(card, "openvino") else "openvino"), ""
    note = "" if name == "openvino" else unavailable(card) if wanted else why_not(card, name)
    return ("openvino" if note else name), note


def _choose(card: Card, engine: str, wanted: str | None, tuned: str | None) -> str:
    """Give the precision to run: the wanted one, else the tuned, else the fastest. Raises OptionError, ModelError."""
    there = _held(card, engine)
    if not there:
        other = [one for one in MODELS if _held(card, one)]
        hint = f"--engine {other[0]} would work" if other else "export it again"
        raise ModelError(f"the bundle lists no file for {engine}: {hint}")
    runs = [one for one in there if not why_not(card, engine, one)]
    if wanted is not None:
        if wanted not in there:
            why = next((card.left_out[one] for one in (f"{engine}-{wanted}", wanted) if one in card.left_out), "")
            why = f" (left out: {why})" if why else ""
            raise OptionError(
                f"no precision {printable(wanted)!r:.80} for {engine} in it{why}: {', '.join(there)} would work"
            )
        return wanted
    fast = [precision for name, precision in _fastest(card) if name == engine]
    return next((one for one in (tuned, *fast, card.precision) if one in runs), there[0])
