"""How far defects are apart, from edge to edge."""

from collections.abc import Sequence

import cv2
import numpy as np

from anet.errors import OptionError
from anet.runtime.measuring.measure import Defect
from anet.runtime.verdicts.zones import pixels_of

Scale = float | tuple[float, float] | None  # mm a pixel: of both axes, or along y and along x; None: not known
SOME, AT_ONCE = 256, 2**20  # pixels, and pairs of pixels, that are looked at in one go


def closest(defects: Sequence[Defect], mask: np.ndarray, scale: Scale, below: float) -> tuple[float, int, int] | None:
    """Find the two defects with the smallest gap, if it is less than `below`: the gap, and both places in the list.

    The gap is what lies between their nearest pixels, taken as squares, times `scale`: touching ones have 0. `mask` is
    the `(h, w) uint8` of class ids in which they were found. Raises OptionError without a scale.
    """
    if scale is None:
        raise OptionError("a distance in mm needs mm_per_px, the size of a pixel")
    down, across = scale if isinstance(scale, tuple) else (scale, scale)
    boxes = np.array([one.box for one in defects], np.float64).reshape(-1, 4)
    order = np.argsort(boxes[:, 0], kind="stable")
    boxes = boxes[order]
    edges: dict[int, np.ndarray] = {}
    best = None
    for one, box in enumerate(boxes):
        end = np.searchsorted(boxes[:, 0], box[2] + below / across)  # from there on all are too far to the right
        gaps = _between_boxes(box, boxes[one + 1 : end], down, across)  # never more than the gap itself
        for place in sorted(np.flatnonzero(gaps < below).tolist(), key=gaps.__getitem__):
            if gaps[place] >= below:
                break
            pair = sorted((int(order[one]), int(order[one + 1 + place])))
            for number in pair:
                if number not in edges:
                    edges[number] = _edge(defects[number], mask)
            gap = _between_pixels(edges[pair[0]], edges[pair[1]], down, across, below)
            if gap < below:
                best, below = (gap, pair[0], pair[1]), gap
    return best


def _between_boxes(box: np.ndarray, others: np.ndarray, down: float, across: float) -> np.ndarray:
    x = np.maximum(others[:, 0] - box[2], box[0] - others[:, 2]).clip(0) * across
    y = np.maximum(others[:, 1] - box[3], box[1] - others[:, 3]).clip(0) * down
    return np.hypot(x, y)


def _edge(defect: Defect, mask: np.ndarray) -> np.ndarray:
    """Give the pixels of a defect that have a neighbour outside: `(N, 2)` of y, x."""
    pixels = pixels_of(defect, mask).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(pixels, cross, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    corner = np.array([defect.box[1], defect.box[0]], np.float64)
    return np.argwhere(pixels > inner) + corner


def _between_pixels(edge: np.ndarray, other: np.ndarray, down: float, across: float, below: float) -> float:
    """Give the smallest gap between two sets of pixels `(N, 2)` and `(M, 2)`, sorted by row; at most `below`."""
    reach, step = below / down + 1, max(1, min(SOME, AT_ONCE // len(other)))
    for first in range(0, len(edge), step):
        part = edge[first : first + step]
        low, high = np.searchsorted(other[:, 0], (part[0, 0] - reach, part[-1, 0] + reach))  # the others are too far
        if low < high:
            apart = (np.abs(part[:, None] - other[None, low:high]) - 1).clip(0) * (down, across)
            below = min(below, float(np.hypot(apart[..., 0], apart[..., 1]).min()))
    return below
