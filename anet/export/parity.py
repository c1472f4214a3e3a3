"""The gate: every file of a bundle answers on the validation pictures, beside torch, and is scored by one path."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anet.errors import ModelError, OptionError
from anet.frame import decide
from anet.nets.deployable import Deployable
from anet.provenance import machine
from anet.runtime.card import Card
from anet.runtime.engine import Engine
from anet.scoring.evaluate import Labelled
from anet.scoring.metrics import Scores, confusion, score

TOLERANCE = 1e-4  # largest difference of a probability between torch and a float32 engine
EQUAL_SHARE = 0.9999  # least share of pixels with the same class
ROUNDS, SECONDS = 41, 5.0  # of the interleaved timing: at most
Probs = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shown:
    """A picture without a defect and without a file, for comparing engines where nothing is to be scored."""

    name: str
    image: np.ndarray

    def read(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        return self.image, np.zeros(self.image.shape[:2], np.uint8)


def parity(deployable: Deployable, engines: Mapping[str, Engine], samples: Sequence[Labelled], card: Card) -> dict:
    """Compare engines with torch on `samples`, one picture in memory at a time.

    Gives `pictures` and for "torch" and each engine `iou` (0..1, of the defect, or mean of the classes; None without
    a defect); for engines also `max_difference` of a probability and `equal_share` of the frames' pixels. Raises
    ModelError when the network answers NaN or infinity.
    """
    classes = len(card.class_names)
    counts: dict[str, list[np.ndarray]] = {name: [] for name in ("torch", *engines)}
    worst, equal, total = dict.fromkeys(engines, 0.0), dict.fromkeys(engines, 0), 0
    for sample in samples:
        image, target = sample.read(classes)
        frame = card.frame(*image.shape[:2])
        framed = frame.image(image)
        wanted = torch_probs(deployable, framed)
        total += framed.shape[0] * framed.shape[1]
        for name, probs in (("torch", wanted), *((name, one.probs(framed)) for name, one in engines.items())):
            mask = frame.answer(probs, *target.shape).mask(card.threshold)
            counts[name].append(confusion(mask, target, classes))
            if name != "torch":
                worst[name] = max(worst[name], float(np.abs(probs - wanted).max()))
                same = decide(probs, card.threshold) == decide(wanted, card.threshold)
                equal[name] += int(same.sum())
    figures: dict[str, Any] = {"pictures": len(samples), "torch": {"iou": iou(score(counts["torch"], classes))}}
    for name in engines:
        figures[name] = {
            "iou": iou(score(counts[name], classes)),
            "max_difference": worst[name],
            "equal_share": equal[name] / total,
        }
    return figures


def points(probs: Probs, samples: Sequence[Labelled], card: Card) -> float:
    """Score a function from frames to probabilities: IoU in points, 0..100. Raises OptionError without a defect."""
    counts, classes = [], len(card.class_names)
    for sample in samples:
        image, target = sample.read(classes)
        frame = card.frame(*image.shape[:2])
        mask = frame.answer(probs(frame.image(image)), *target.shape).mask(card.threshold)
        counts.append(confusion(mask, target, classes))
    found = iou(score(counts, classes))
    if found is None:
        raise OptionError("the validation pictures show no defect, so no loss can be measured: int8 by ptq would work")
    return 100 * found


def torch_probs(deployable: Deployable, frame: np.ndarray) -> np.ndarray:
    """Give torch's probabilities of a frame. Raises ModelError for NaN or infinity."""
    with torch.inference_mode():
        probs = deployable(torch.from_numpy(np.ascontiguousarray(frame))[None])[0].numpy()
    if not np.isfinite(probs).all():
        raise ModelError("the network answers NaN or infinity on a validation picture: it cannot be exported")
    return probs


def check_equal(figures: Mapping[str, Any], name: str) -> None:
    """Refuse an engine that does not answer as torch does. Raises ModelError."""
    worst, share = figures[name]["max_difference"], figures[name]["equal_share"]
    if worst > TOLERANCE or share < EQUAL_SHARE:
        raise ModelError(
            f"{name} differs from torch by {worst:.1e} with {share:.4%} of pixels equal:"
            f" at most {TOLERANCE:.0e} and at least {EQUAL_SHARE:.2%} are allowed, nothing was exported"
        )


def speed(engines: Mapping[str, Engine], frame: np.ndarray) -> dict[str, Any]:
    """Time engines in interleaved rounds, a frame at a time: median and 95th percentile in ms, and on which machine."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for one in engines.values():
        one.probs(frame)
    end = time.perf_counter() + SECONDS
    for _ in range(ROUNDS):
        for name, one in engines.items():
            started = time.perf_counter()
            one.probs(frame)
            times[name].append((time.perf_counter() - started) * 1000)
        if time.perf_counter() > end:
            break
    found = {
        name: {"median_ms": round(float(np.median(took)), 3), "p95_ms": round(float(np.percentile(took, 95)), 3)}
        for name, took in times.items()
    }
    return {"machine": machine(), "frame": list(frame.shape[:2]), **found}


def why_not_kept(
    name: str, beside: str, figures: Mapping[str, Any], timed: Mapping[str, Any], max_drop: float
) -> str | None:
    """Say why `name` ("openvino int8") is not worth keeping beside the float32 of its engine; None when it is.

    `max_drop`: allowed loss of IoU in points (0..100).
    """
    before, after = figures["torch"]["iou"], figures[name]["iou"]
    if before is None or after is None:
        return "the validation pictures show no defect, so what it loses cannot be measured"
    if 100 * (before - after) > max_drop:
        return f"IoU falls from {100 * before:.2f} to {100 * after:.2f} on validation: {max_drop:g} points are allowed"
    slow, fast = timed[beside]["median_ms"], timed[name]["median_ms"]
    return None if fast < slow else f"it is not faster here: {fast:.2f} ms a frame, f32 takes {slow:.2f} ms"


def iou(scores: Scores) -> float | None:
    """Give the one IoU that stands for a model: of the defect, or the mean of several classes of them."""
    return scores.miou
