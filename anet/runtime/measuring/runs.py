"""Runs: what of a mask is kept to find and measure regions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from anet.frame import IGNORE, bands
from anet.runtime.measuring.contrast import greys


@dataclass(frozen=True, eq=False)
class Runs:
    """Horizontal runs of pixels of one class, row by row: arrays with one value a run.

    Regions are joined and measured from these alone, since labels of 100 megapixels would be 400 MB.
    """

    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray  # behind the last pixel
    class_id: np.ndarray
    highest: np.ndarray  # probability of the class
    total: np.ndarray  # of probabilities
    grey: np.ndarray  # (runs, 3): sums of grey inside and around, and how many pixels are around; see `contrast.greys`

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, chosen: np.ndarray | slice) -> "Runs":
        return Runs(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def with_greys(self, image: np.ndarray, mask: np.ndarray, origin: int = 0) -> "Runs":
        """Add what contrast needs, from rows of the picture `(n, w, 3) uint8` and its mask, from row `origin` on."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        return Runs(**held | {"grey": greys(image, mask, self.row - origin, self.start, self.stop)})


def runs_of(mask: np.ndarray, probs: np.ndarray, top: int) -> Runs:
    """Find the runs of some rows: `(n, w) uint8` class ids and the probabilities they were decided from.

    `top` is the number of the first row. Their greys are still 0.
    """
    parts = bands(len(mask), probs[0].size)
    return together([_of_band(mask[first:end], probs[first:end], top + first) for first, end in parts])


def _of_band(mask: np.ndarray, probs: np.ndarray, top: int) -> Runs:
    used = np.flatnonzero(mask.any(axis=1))  # most rows of most pictures are clean
    if len(used):
        rows = slice(used[0], used[-1] + 1)
        mask, probs, top = mask[rows], probs[rows], top + int(used[0])
    inside = (mask != 0) & (mask != IGNORE)
    change = np.diff(mask, axis=1) != 0
    begins, ends = inside.copy(), inside
    begins[:, 1:] &= change
    ends[:, :-1] &= change
    (row, start), stop = np.nonzero(begins), np.nonzero(ends)[1] + 1
    grey = np.zeros((len(row), 3))
    if not len(row):
        return Runs(row, start, stop, np.zeros(0, np.uint8), np.zeros(0, np.float32), np.zeros(0), grey)
    score = np.append(_scores(mask, probs), np.float32(0))  # so that the last run may end there
    cuts = (row[:, None] * mask.shape[1] + np.stack([start, stop], axis=1)).ravel()
    highest, total = np.maximum.reduceat(score, cuts)[::2], np.add.reduceat(score, cuts, dtype=np.float64)[::2]
    return Runs(row + top, start, stop, mask[row, start], highest, total, grey)


def _scores(mask: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Give the probability of each pixel's class."""
    if probs.shape[2] == 1:
        return probs
    channel = np.minimum(mask, probs.shape[2] - 1)[..., None].astype(np.intp)
    return np.take_along_axis(probs, channel, axis=2)


def together(parts: Sequence[Runs]) -> Runs:
    """Put runs of several bands, from top to bottom, into one."""
    return Runs(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Runs)))


def regions(runs: Runs, width: int) -> tuple[Runs, np.ndarray]:
    """Sort runs by their 8-connected regions, each row by row; give them, and at which run each region begins."""
    owner = _join(runs, width)
    order = np.argsort(owner, kind="stable")
    return runs[order], np.flatnonzero(np.diff(owner[order], prepend=-1))


def _join(runs: Runs, width: int) -> np.ndarray:
    """Give for each run the number of the first run of its 8-connected region."""
    stride = width + 2  # no run ends where one of the next row begins
    below = (runs.row + 1) * stride
    first = np.searchsorted(runs.row * stride + runs.stop, below + runs.start)
    count = np.searchsorted(runs.row * stride + runs.start, below + runs.stop, side="right") - first
    upper = np.repeat(np.arange(len(count)), count)
    lower = np.arange(len(upper)) + np.repeat(first - np.cumsum(count) + count, count)
    same = runs.class_id[upper] == runs.class_id[lower]
    upper, lower = upper[same], lower[same]
    parent = np.arange(len(count))
    while len(upper):
        a, b = parent[upper], parent[lower]
        apart = a != b
        upper, lower = upper[apart], lower[apart]
        np.minimum.at(parent, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while (parent[parent] != parent).any():
            parent = parent[parent]
    return parent
