"""Open whatever a user calls a model: a run folder, a .safetensors file or an exported bundle, all scored alike."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anet.errors import OptionError
from anet.files import printable, sha256
from anet.frame import decide
from anet.results import start_name
from anet.runtime.card import CARD, Card
from anet.runtime.cutting import grid_for, probs_of
from anet.scoring.regions import without_small
from anet.seen import all_seen
from anet.shipped import find

if TYPE_CHECKING:
    from torch import nn

    from anet.training.checkpoint import Facts
    from anet.training.predictor import Predictor
    from anet.training.start import Start


@dataclass(frozen=True)
class OpenModel:
    """A model as a function of pictures: `probs(image)` gives `(H, W, channels) float32` of the picture's own size."""

    probs: Callable[[np.ndarray], np.ndarray]
    network: str
    class_names: tuple[str, ...]
    size: int  # longer side of the frame, in training
    threshold: float
    engine: str  # "torch", or what answers for a bundle
    precision: str  # of the file that answers: f32, int8 and so on
    sha256: str  # of the model file, or of the bundle's card
    provenance: dict[str, Any]
    min_area_px: int  # smaller regions are no defects to the runtime; scores count every pixel
    line: Callable[[np.ndarray], np.ndarray]  # as `probs`, of large pictures in tiles, as `anet inspect` looks at them
    ruled: bool = False  # a bundle with rules of its own, which scores do not look at
    line_by: Callable[[], dict[str, Any]] = dict  # engine, precision and tuned tiles of `line`, where they can differ

    @property
    def task(self) -> str | None:
        """Give the task that it was trained on, where it says so."""
        return self.provenance.get("data", {}).get("task")

    def at(self, threshold: float) -> Callable[[np.ndarray], np.ndarray]:
        """Give the function from a picture to its `(H, W) uint8` mask at `threshold`."""
        return lambda image: decide(self.probs(image), threshold)

    def as_set(self, image: np.ndarray) -> np.ndarray:
        """Give a picture's `(H, W) uint8` mask as `anet inspect` decides, regions below the smallest area left out."""
        return without_small(decide(self.line(image), self.threshold), self.min_area_px)


def known_provenance(provenance: Any) -> dict[str, Any]:
    """Give a card's provenance with the tables that scoring looks into, empty where a foreign card lacks them."""
    found = provenance if isinstance(provenance, dict) else {}
    tables = {key: found[key] if isinstance(found.get(key), dict) else {} for key in ("data", "split", "recipe")}
    return {**found, **tables}


def chosen_by_hand(provenance: dict[str, Any]) -> bool:
    """Say whether a model's threshold and smallest area are those of `anet threshold --write`."""
    found = provenance.get("threshold")
    return isinstance(found, dict) and found.get("by") == "anet threshold"


def open_model(path: Path, threads: int = 0, engine: str | None = None, precision: str | None = None) -> OpenModel:
    """Open a model; torch is imported only for training's files.

    `engine` and `precision` choose among those of a bundle, see `anet.runtime.engine.Engine`. Raises ModelError
    (missing, damaged, foreign) and OptionError.
    """
    path = find(path)
    if (path / CARD).exists():
        return _open_bundle(path, threads, engine, precision)
    if engine or precision:
        raise OptionError(f"{printable(path)} is no bundle: --engine and --precision choose among a bundle's files")
    from anet.training.checkpoint import find_model, load_model
    from anet.training.predictor import Predictor

    if threads:
        import torch

        torch.set_num_threads(threads)
    network, facts = load_model(path)
    predictor = Predictor(network, facts)
    return OpenModel(
        predictor.probs, facts.network, facts.class_names, facts.size, facts.threshold, "torch", "f32",
        sha256(find_model(path).read_bytes()), known_provenance(facts.provenance), facts.min_area_px,
        _line(predictor, facts),
    )  # fmt: skip


def _line(predictor: "Predictor", facts: "Facts") -> Callable[[np.ndarray], np.ndarray]:
    """Give the function from a picture to the probabilities by which a bundle of this training would judge it."""
    kept = ("network", "class_names", "channels", "mean", "std", "picture_px", "large_px")
    sides = dict.fromkeys(("h", "w", "train_px"), facts.size)
    card = Card(**{name: getattr(facts, name) for name in kept}, **sides, threshold=0.5, min_area_px=0)

    def line(image: np.ndarray) -> np.ndarray:
        if (grid := grid_for(card, *image.shape[:2])) is None:
            return predictor.probs(image)
        return probs_of(image, grid, lambda frames: map(predictor.answer, frames))

    return line


def open_start(path: Path | str) -> "Start":
    """Open a model to start a training from: a run, a model file, or a bundle that kept its weights.

    Those that ship did. Raises ModelError.
    """
    path = find(path)
    name = start_name(str(path))
    if (path / CARD).exists():
        from anet.export.weights import weights_of
        from anet.training.start import Start

        tensors, card = weights_of(path)
        digest = sha256((path / CARD).read_bytes())
        seen = tuple(all_seen(card.provenance))
        return Start(name, digest, card.network, card.class_names, card.mean, card.std, tensors, seen)
    from anet.training.checkpoint import find_model, load_model
    from anet.training.start import start_of

    return start_of(*load_model(path), name, sha256(find_model(path).read_bytes()))


def open_trained(path: Path | str) -> "tuple[nn.Module, Facts, Path]":
    """Open a model as torch knows it, and give its network, its facts and the folder in which it lies.

    A run, a model file, or a bundle that kept its weights. Raises ModelError.
    """
    from anet.training.checkpoint import Facts, find_model, load_model

    path = find(path)
    if not (path / CARD).exists():
        return *load_model(path), find_model(path).parent
    from anet.export.weights import weights_of
    from anet.nets import build

    tensors, card = weights_of(path)
    network = build(card.network, card.channels)
    network.load_state_dict(tensors, strict=False)  # all but counters are there: `weights_of` saw to it
    facts = Facts(
        card.network, card.class_names, card.train_px or max(card.h, card.w), card.mean, card.std, card.threshold,
        card.min_area_px, card.provenance, card.picture_px, card.large_px, card.mean_grey,
    )  # fmt: skip
    return network.eval(), facts, path


def _open_bundle(path: Path, threads: int, name: str | None, precision: str | None) -> OpenModel:
    from anet.runtime.engine import Engine
    from anet.runtime.inspector import Inspector
    from anet.runtime.settings import Settings
    from anet.runtime.verdicts.bundled_rules import RULES
    from anet.runtime.verdicts.rules import any_defect

    # settings empty: the same scores on every machine, whatever was tuned there
    engine = Engine(path, threads, precision, name, settings=Settings())
    card = engine.card

    @functools.cache
    def inspector() -> Inspector:  # opened when asked for: few scores are of the line, which is as this machine's is
        return Inspector(path, any_defect(0), threads=threads, engine=name, precision=precision)

    def line_by() -> dict[str, Any]:
        one = inspector()
        tuned = {key: value for key in ("scale", "overlap") if (value := getattr(one.settings, key)) is not None}
        return {"engine": one.engine.name, "precision": one.engine.precision, **({"tiles": tuned} if tuned else {})}

    def probs(image: np.ndarray) -> np.ndarray:
        frame = card.frame(*image.shape[:2])
        return frame.back(engine.probs(frame.image(image)), *image.shape[:2])

    return OpenModel(
        probs, card.network, card.class_names, card.train_px or max(card.h, card.w), card.threshold, engine.name,
        engine.precision, sha256((path / CARD).read_bytes()), known_provenance(card.provenance),
        card.min_area_px, lambda image: inspector().probs(image), RULES in card.files, line_by,
    )  # fmt: skip
