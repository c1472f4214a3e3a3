"""Whether one network is better than another, or only luckier with the pictures: the paired bootstrap of eq. (8)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 40_000  # of 4000 the bounds differ by 0.3 points from one seed of the draws to the next
FEWEST = 6  # groups: of fewer, too many draws are alike for any interval to say something
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Two IoUs in percent, and the interval that holds the first less the second with CONFIDENCE."""

    one: float
    other: float
    low: float
    high: float
    groups: int  # that were drawn from

    @property
    def points(self) -> float:
        """The first less the second."""
        return self.one - self.other

    @property
    def told(self) -> int:
        """1 or -1 where the interval says which is higher, 0 where it holds 0 or is of fewer than FEWEST groups."""
        return 0 if self.groups < FEWEST else (self.low > 0) - (self.high < 0)


def paired(one: np.ndarray, other: np.ndarray, groups: Sequence[str]) -> Difference | None:
    """Give the difference `one` - `other`; None where nothing is marked or labelled at all.

    Both are `(seeds, pictures, 2)` counts of pixels, of the same pictures in one order: defect in both mask and truth,
    and in either. The IoU of a network is the mean over its seeds. What is drawn anew, with replacement, are whole
    `groups` of pictures, one name a picture: crops of one strip fail together, and single ones would promise too much.
    Seeds are not drawn: one or two of them say nothing about others.
    """
    if not (one[..., 1].sum(1).all() and other[..., 1].sum(1).all()):
        return None
    names, where = np.unique(list(groups), return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    weights = np.concatenate([np.ones((1, len(names)), int), drawn])[:, where]  # (1 + DRAWS, pictures): first, as it is
    with np.errstate(invalid="ignore"):  # a draw of sound pictures alone
        first, second = (100 * _iou(counts, weights) for counts in (one, other))
    low, high = np.nanquantile((first - second)[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(float(first[0]), float(second[0]), float(low), float(high), len(names))


def _iou(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give `(draws,)` means over seeds of `(seeds, pictures, 2)` counts, weighed by `(draws, pictures)`."""
    total = np.einsum("dp,spk->dsk", weights, counts)
    return (total[..., 0] / total[..., 1]).mean(1)
