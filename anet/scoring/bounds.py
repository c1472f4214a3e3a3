"""What counts of pictures can show: exact bounds of a rate (Clopper and Pearson, Biometrika 26, 1934).

Pictures are taken as independent of each other: several of one part, or of one strip, show less than their number.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anet.scoring.metrics import Ratio

HALVINGS = 200  # of 0..1: far below float64's spacing, also near 0


@dataclass(frozen=True)
class Rate:
    """`count` of `of` pictures, and between which bounds the rate lies behind it; nothing counted says 0 to 1."""

    count: int
    of: int
    rate: Ratio
    low: float  # with `high`: the two-sided interval
    high: float
    at_most: float  # the one-sided upper bound, which a claim "at most so many" is about
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def measured(count: int, of: int, confidence: float) -> Rate:
    """Give the rate of `count` in `of` with its bounds; `confidence` is above 0 and below 1."""
    low, high = clopper_pearson(count, of, confidence)
    at_most = upper(count, of, 1 - confidence)
    return Rate(count, of, count / of if of else None, low, high, at_most, confidence)


def clopper_pearson(count: int, of: int, confidence: float) -> tuple[float, float]:
    """Give the exact two-sided interval of a rate: each side is wrong in at most (1 - confidence) / 2 of all cases."""
    alpha = (1 - confidence) / 2
    return 1 - upper(of - count, of, alpha), upper(count, of, alpha)


def upper(count: int, of: int, alpha: float) -> float:
    """Give the rate above which `count` of `of` or fewer would be seen in less than `alpha` of all cases: 0..1.

    Halves 0..1, since the tail falls from 1 to 0 as the rate grows. Raises ValueError for a count outside 0..of.
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no count")
    if count == of:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if tails(middle, of, count)[-1] > math.log(alpha) else (low, middle)
    return high


def tails(rate: float, of: int, most: int) -> np.ndarray:
    """Give log P(X <= k) for k = 0..`most`, X binomial of `of` draws at `rate`, above 0 and below 1: float64.

    In logs, by the recurrence from one probability to the next: no factorial overflows, no small term is lost to 0.
    """
    k = np.arange(1, most + 1)
    steps = np.log((of - k + 1) / k) + math.log(rate) - math.log1p(-rate)
    return np.logaddexp.accumulate(np.concatenate([[of * math.log1p(-rate)], steps]).cumsum())


def most_allowed(limit: float, of: int, confidence: float) -> int:
    """Give the largest count in `of` pictures that still shows a rate of at most `limit`; -1 where none at all does."""
    if not of:
        return -1
    return int((tails(limit, of, of - 1) <= math.log(1 - confidence)).sum()) - 1


def needed(limit: float, confidence: float, count: int = 0) -> int:
    """Give how many pictures, `count` of them bad, are the fewest that show a rate of at most `limit`."""

    def shows(of: int) -> bool:
        return bool(tails(limit, of, count)[-1] <= math.log(1 - confidence))

    low, high = count, count + 1
    while not shows(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
