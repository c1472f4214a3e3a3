"""How far defects are apart, from edge to edge."""

from collections.abc import Sequence

import cv2
import numpy as np

from anet.errors import OptionError
from anet.runtime.measure import Defect
from anet.runtime.zones import pixels_of

Scale = float | tuple[float, float] | None  # mm a pixel: of both axes, or along y and along x; None: not known
AT_ONCE = 2**20  # pairs of pixels


def closest(defects: Sequence[Defect], mask: np.ndarray, scale: Scale, below: float) -> tuple[float, int, int] | None:
    """Find the two defects with the smallest gap, if it is less than `below`: the gap, and both places in the list.

    The gap is what lies between their nearest pixels, taken as squares, times `scale`: touching ones have 0. `mask` is
    the `(h, w) uint8` of class ids in which they were found. Raises OptionError without a scale.
    """
    if scale is None:
        raise OptionError("a distance in mm needs mm_per_px, the size of a pixel")
    down, across = scale if isinstance(scale, tuple) else (scale, scale)
    boxes = np.array([one.box for one in defects], np.float64).reshape(-1, 4)
    edges: dict[int, np.ndarray] = {}
    best = None
    for one in range(len(boxes) - 1):
        gaps = _between_boxes(boxes[one], boxes[one + 1 :], down, across)  # never more than the gap itself
        for place in np.flatnonzero(gaps < below)[np.argsort(gaps[gaps < below], kind="stable")]:
            if gaps[place] >= below:
                break
            other = one + 1 + int(place)
            for number in (one, other):
                if number not in edges:
                    edges[number] = _edge(defects[number], mask)
            gap = _between_pixels(edges[one], edges[other], down, across)
            if gap < below:
                best, below = (gap, one, other), gap
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


def _between_pixels(edge: np.ndarray, other: np.ndarray, down: float, across: float) -> float:
    """Give the smallest gap between two sets of pixels `(N, 2)` and `(M, 2)`, some rows at once to spare memory."""
    least, step = np.inf, max(1, AT_ONCE // len(other))
    for first in range(0, len(edge), step):
        apart = (np.abs(edge[first : first + step, None] - other[None]) - 1).clip(0) * (down, across)
        least = min(least, float(np.hypot(apart[..., 0], apart[..., 1]).min()))
    return least
