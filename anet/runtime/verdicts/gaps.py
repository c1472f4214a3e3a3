"""How far defects are apart, from edge to edge."""

from collections.abc import Sequence

import numpy as np

from anet.errors import OptionError
from anet.runtime.measuring.measure import Defect
from anet.runtime.verdicts.zones import runs_in

Scale = float | tuple[float, float] | None  # mm a pixel: of both axes, or along y and along x; None: not known
SOME, AT_ONCE = 256, 2**20  # runs, and pairs of runs, that are looked at in one go


def closest(defects: Sequence[Defect], mask: np.ndarray, scale: Scale, below: float) -> tuple[float, int, int] | None:
    """Find the two defects with the smallest gap, if it is less than `below`: the gap, and both places in the list.

    The gap is what lies between their nearest pixels, taken as squares, times `scale`: touching ones have 0. `mask` is
    the `(h, w) uint8` of class ids in which they were found; what has runs needs only these, and memory for them alone.
    Raises OptionError without a scale.
    """
    if scale is None:
        raise OptionError("a distance in mm needs mm_per_px, the size of a pixel")
    down, across = scale if isinstance(scale, tuple) else (scale, scale)
    boxes = np.array([one.box for one in defects], np.float64).reshape(-1, 4)
    order = np.argsort(boxes[:, 0], kind="stable")
    boxes = boxes[order]
    runs: dict[int, np.ndarray] = {}
    best = None
    for one, box in enumerate(boxes):
        end = np.searchsorted(boxes[:, 0], box[2] + below / across)  # from there on all are too far to the right
        gaps = _between_boxes(box, boxes[one + 1 : end], down, across)  # never more than the gap itself
        for place in sorted(np.flatnonzero(gaps < below).tolist(), key=gaps.__getitem__):
            if gaps[place] >= below:
                break
            pair = sorted((int(order[one]), int(order[one + 1 + place])))
            for number in pair:
                if number not in runs:
                    runs[number] = np.ascontiguousarray(runs_in(defects[number], mask).T, np.float64)
            gap = _between_runs(runs[pair[0]], runs[pair[1]], down, across, below)
            if gap < below:
                best, below = (gap, pair[0], pair[1]), gap
    return best


def _between_boxes(box: np.ndarray, others: np.ndarray, down: float, across: float) -> np.ndarray:
    x = np.maximum(others[:, 0] - box[2], box[0] - others[:, 2]).clip(0) * across
    y = np.maximum(others[:, 1] - box[3], box[1] - others[:, 3]).clip(0) * down
    return np.hypot(x, y)


def _between_runs(runs: np.ndarray, others: np.ndarray, down: float, across: float, below: float) -> float:
    """Give the smallest gap between two sets of runs, `(3, N)` of row, start and stop, row by row; at most `below`."""
    reach, step = below / down + 1, max(1, min(SOME, AT_ONCE // others.shape[1]))  # rows further off are too far
    begin, end = np.searchsorted(runs[0], (others[0, 0] - reach, others[0, -1] + reach)).tolist()
    for first in range(begin, end, step):
        row, start, stop = runs[:, first : first + step, None]
        low, high = np.searchsorted(others[0], (row[0, 0] - reach, row[-1, 0] + reach))
        if low < high:
            other_row, other_start, other_stop = others[:, low:high]
            y = (np.abs(row - other_row) - 1).clip(0) * down
            x = np.maximum(other_start - stop, start - other_stop).clip(0) * across
            below = min(below, float(np.hypot(y, x).min()))
    return below
