"""The gate: every file of a bundle answers on the validation pictures, beside torch, and is scored by one path."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anet.errors import ModelError, OptionError
from anet.frame import Frame, decide
from anet.nets.deployable import Deployable
from anet.provenance import machine
from anet.runtime.card import Card
from anet.runtime.engine import Engine
from anet.scoring.evaluate import Labelled
from anet.scoring.metrics import Scores, confusion, score

TOLERANCE = 1e-4  # largest difference of a probability between torch and a float32 engine
EQUAL_SHARE = 0.9999  # least share of pixels with the same class
HALF_SHARE = 0.999  # the same with weights in half precision
ROUNDS, SECONDS = 41, 5.0  # of the interleaved timing: at most
CERTAINTY, DRAWS = 0.95, 1000  # of the bound on what rounding loses
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
    found = iou_of(probs, samples, card, card.frame)
    if found is None:
        raise OptionError("the validation pictures show no defect, so no loss can be measured: int8 by ptq would work")
    return 100 * found


def iou_of(
    probs: Probs, samples: Sequence[Labelled], card: Card, frame_of: Callable[[int, int], Frame]
) -> float | None:
    """Score a function from frames to probabilities, in frames for pictures of (h, w): IoU, 0..1; None: no defect."""
    counts, classes = [], len(card.class_names)
    for sample in samples:
        image, target = sample.read(classes)
        frame = frame_of(*image.shape[:2])
        mask = frame.answer(probs(frame.image(image)), *target.shape).mask(card.threshold)
        counts.append(confusion(mask, target, classes))
    return iou(score(counts, classes))


def loss_bound(exact: Engine, rounded: Engine, samples: Sequence[Labelled], card: Card) -> float | None:
    """Give the points of IoU (0..100) that `rounded` loses at most against `exact`, with CERTAINTY; None: no defect.

    By drawing pictures anew, with replacement (paired bootstrap): few pictures, or a loss that sits in a few of them,
    show little and give a wide bound.
    """
    classes, counts = len(card.class_names), []
    for sample in samples:
        image, target = sample.read(classes)
        frame = card.frame(*image.shape[:2])
        framed = frame.image(image)
        masks = [frame.answer(one.probs(framed), *target.shape).mask(card.threshold) for one in (exact, rounded)]
        counts.append([confusion(mask, target, classes) for mask in masks])
    return lost_at_most(np.array(counts))


def lost_at_most(counts: np.ndarray) -> float | None:
    """Give the bound of `loss_bound` from `(pictures, 2, classes, classes)` confusions of exact and rounded answers."""
    pictures = len(counts)
    drawn = np.random.default_rng(0).multinomial(pictures, np.full(pictures, 1 / pictures), DRAWS)  # (DRAWS, pictures)
    total = np.tensordot(drawn, counts, 1)  # (DRAWS, 2, classes, classes)
    hit = total.diagonal(axis1=2, axis2=3)[..., 1:]
    either = (total.sum(2) + total.sum(3))[..., 1:] - hit
    shown = (either > 0).all(1)  # (DRAWS, classes - 1): a class that nobody shows says nothing
    lost = np.where(shown, -np.diff(hit / np.maximum(either, 1), axis=1)[:, 0], 0).sum(1) / np.maximum(shown.sum(1), 1)
    return float(100 * np.quantile(lost[shown.any(1)], CERTAINTY)) if shown.any() else None


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


def why_no_half(figures: Mapping[str, Any], name: str, max_drop: float) -> str | None:
    """Say why weights in half precision cannot stand for the float32 ones; None when they can.

    Ordinary weights change one pixel in 50,000; those beyond half precision's range or steps change many. `max_drop`
    as in `why_not_kept`.
    """
    before, after, share = figures["torch"]["iou"], figures[name]["iou"], figures[name]["equal_share"]
    if before is not None and 100 * (before - after) > max_drop:
        return f"IoU falls from {100 * before:.2f} to {100 * after:.2f} on validation: {max_drop:g} points are allowed"
    if share < HALF_SHARE:
        return f"{share:.2%} of pixels are equal to torch's: at least {HALF_SHARE:.1%} are asked for"
    return None


def why_not_kept(
    name: str, beside: str, figures: Mapping[str, Any], timed: Mapping[str, Any], max_drop: float
) -> str | None:
    """Say why `name` ("openvino int8") is not worth keeping beside the float32 of its engine; None when it is.

    `max_drop`: allowed loss of IoU in points (0..100), found on the validation pictures, and bound on all that are
    labelled: the surfaces that rounding spoils may be missing among the few that validate (docs/speed.md, "int8").
    """
    before, after, most = figures["torch"]["iou"], figures[name]["iou"], figures[name]["loss_bound"]
    if before is None or after is None or most is None:
        return "the validation pictures show no defect, so what it loses cannot be measured"
    if 100 * (before - after) > max_drop:
        return f"IoU falls from {100 * before:.2f} to {100 * after:.2f} on validation: {max_drop:g} points are allowed"
    if most > max_drop:
        return (
            f"it may lose {most:.2f} points of IoU ({CERTAINTY:.0%} bound on {figures['bound_on']} labelled pictures): "
            f"{max_drop:g} are allowed"
        )
    slow, fast = timed[beside]["median_ms"], timed[name]["median_ms"]
    return None if fast < slow else f"it is not faster here: {fast:.2f} ms a frame, f32 takes {slow:.2f} ms"


def iou(scores: Scores) -> float | None:
    """Give the one IoU that stands for a model: of the defect, or the mean of several classes of them."""
    return scores.miou
