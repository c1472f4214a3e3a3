"""How much lighter or darker a region is than what lies around it."""

import cv2
import numpy as np

from anet.frame import IGNORE, bands

RING = 5  # pixels around a region that it is compared with
REACH = 2 * RING + 2  # rows around a run that decide what is around it: a clean pixel's nearest may lie beyond it


def greys(image: np.ndarray, mask: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Give each run's sum of grey inside, that of the clean pixels around, and how many those are: `(N, 3) float64`.

    `image` is `(H, W, 3) uint8` RGB, `mask` its `(H, W) uint8`; runs are sorted by row. Around are clean pixels at most
    RING from the mask's regions; each counts for the run whose pixel is nearest. All are whole numbers, so that sums
    over a region's runs are exact in any order; a run's do not depend on rows further than REACH.
    """
    found = np.zeros((len(row), 3))
    if not len(row):
        return found
    for top, bottom in bands(len(mask), mask.shape[1]):
        mine = slice(*np.searchsorted(row, [top, bottom]))
        if mine.start < mine.stop:
            found[mine] = _of_band(image, mask, top, bottom, row[mine], start[mine], stop[mine])
    return found


def contrast(sums: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Give mean grey inside less that around, -255..255, of `(N, 3)` greys and numbers of pixels; NaN: none around."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[:, 0] / pixels - sums[:, 1] / sums[:, 2]


def _of_band(
    image: np.ndarray, mask: np.ndarray, top: int, bottom: int, row: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> np.ndarray:
    above, below = max(0, top - REACH), min(len(mask), bottom + REACH)
    left, right = max(0, int(start.min()) - REACH), min(mask.shape[1], int(stop.max()) + REACH)
    near_mask = mask[above:below, left:right]
    labelled = (near_mask != 0) & (near_mask != IGNORE)
    owner = np.zeros(labelled.shape, np.int32)  # 1 + number of the run; 0: of another band, or clean
    _fill(owner, row - above, start - left, stop - left, np.arange(1, len(row) + 1))
    away, nearest = cv2.distanceTransformWithLabels(
        (~labelled).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(nearest.max()) + 1, np.int32)
    of_label[nearest[labelled]] = owner[labelled]
    light = cv2.cvtColor(np.ascontiguousarray(image[above:below, left:right]), cv2.COLOR_RGB2GRAY)
    around = (away <= RING) & (near_mask == 0)
    ring, count = of_label[nearest[around]], len(row) + 1
    inside, inner = owner[owner > 0], light[owner > 0]
    return np.stack([
        np.bincount(inside, inner, count), np.bincount(ring, light[around], count), np.bincount(ring, minlength=count)
    ], axis=1)[1:]  # fmt: skip


def _fill(part: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray, value: np.ndarray) -> None:
    """Write each run's value into its pixels."""
    length = stop - start
    first = row * part.shape[1] + start - (np.cumsum(length) - length)
    part.ravel()[np.arange(length.sum()) + np.repeat(first, length)] = np.repeat(value, length)
