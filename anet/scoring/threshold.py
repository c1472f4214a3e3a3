"""From which probability on a pixel is called a defect: chosen on validation pictures, and only there."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anet.frame import IGNORE
from anet.scoring.evaluate import Labelled
from anet.scoring.metrics import Ratio, ratios

BINS = 1024  # a power of two: every candidate k / 1024 is exact in float32, so the curve is what `decide` would give
DEFAULT = 0.5


@dataclass(frozen=True)
class Threshold:
    """A threshold for `anet.frame.decide`, and where it comes from."""

    value: float
    chosen: str  # "validation", or "default" where validation could not tell
    iou: Ratio  # at `value`: IoU of defect against background over all validation pixels
    curve: tuple[Ratio, ...]  # the same IoU at k / 1024 for k = 0..1023
    pictures: int
    defect_px: int
    background_px: int

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def choose_threshold(probs: Callable[[np.ndarray], np.ndarray], samples: Iterable[Labelled], classes: int) -> Threshold:
    """Choose the threshold with the highest IoU of defect against background over `samples`.

    That is the mean of two: the IoU from counts summed over all pictures, and the mean IoU of pictures with a defect.
    Where defects differ a hundredfold in size and the largest are missed, the sum alone is highest where everything is
    called a defect (on magnetic tile it chose 0.004); the mean alone would not care what sound pictures are called.
    `probs` maps `(H, W, 3) uint8` to `(H, W, channels) float32` in 0..1 at the picture's own size. The defect's
    probability is channel 0 of one, 1 - background of several. One pass, two histograms; IGNORE counts nowhere. Where
    several thresholds are equally good the middle of their longest run is taken. Validation without a defect
    pixel, or with none that any threshold finds, cannot tell: the value is then 0.5 and `chosen` is "default" (to take
    the lowest score there instead would reject every part). Raises ValueError for NaN, infinity or a wrong size.
    """
    hit, false, truth, background = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64), 0, 0
    each, pictures, defective = np.zeros(BINS), 0, 0
    for sample in samples:
        image, target = sample.read(classes)
        bins = level(probs(image), target.shape)
        inside, outside = bins[(target != 0) & (target != IGNORE)], bins[target == 0]
        its_hit, its_false = above(inside), above(outside)
        hit, false, truth, background = hit + its_hit, false + its_false, truth + inside.size, background + outside.size
        pictures += 1
        if inside.size:
            each, defective = each + its_hit / (inside.size + its_false), defective + 1
    curve = ratios(hit, truth + false)
    value, chosen = DEFAULT, "default"
    if truth and hit.any():
        good = hit / (truth + false) + each / defective
        value, chosen = middle_of_longest((good == good.max()).tolist()) / BINS, "validation"
    return Threshold(value, chosen, curve[int(value * BINS)], curve, pictures, truth, background)


def above(levels: np.ndarray) -> np.ndarray:
    """Give how many pixels exceed each of the BINS candidates."""
    # a pixel of level b exceeds k / BINS exactly for k < b
    return np.bincount(levels, minlength=BINS + 1)[:0:-1].cumsum()[::-1]


def level(probs: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Give how many of the candidates 0, 1/1024 … 1023/1024 each pixel's defect probability exceeds: 0..1024."""
    if probs.shape[:2] != shape:
        raise ValueError(f"probabilities are {probs.shape[:2]}, truth is {shape}")
    if not np.isfinite(probs).all():
        raise ValueError("the network answered NaN or infinity")
    score = probs[..., 0] if probs.shape[2] == 1 else 1.0 - probs[..., 0]  # as `anet.frame.decide`
    return np.ceil(score * BINS).clip(0, BINS).astype(np.intp)


def middle_of_longest(good: list[bool]) -> int:
    """Give the middle index of the longest run of True (the first of equally long ones); at least one must be True."""
    start, end = longest_run(good)
    return (start + end - 1) // 2


def longest_run(good: list[bool]) -> tuple[int, int]:
    """Give first index and end of the longest run of True, the first of equally long ones; (0, 0) without any."""
    edges = np.flatnonzero(np.diff(np.array([False, *good, False], np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = (ends - starts).argmax()
    return int(starts[longest]), int(ends[longest])
