"""How much lighter or darker a region is than what lies around it."""

import cv2
import numpy as np

from anet.frame import bands

RING = 5  # pixels around a region that it is compared with


def contrasts(
    image: np.ndarray, mask: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray, region: np.ndarray
) -> np.ndarray:
    """Give each region's mean grey less that of the clean pixels at most RING from it, in -255..255; NaN: none there.

    `image` is `(H, W, 3) uint8` RGB, `mask` its `(H, W) uint8`; runs are sorted by row, `region` numbers theirs from 0.
    A clean pixel between two regions counts for the nearer one.
    """
    count = int(region.max(initial=-1)) + 1
    grey, pixels = np.zeros((2, count)), np.zeros((2, count))  # inside, around
    for top, bottom in bands(len(mask), mask.shape[1]):
        above, below = max(0, top - RING - 1), min(len(mask), bottom + RING + 1)
        mine = slice(*np.searchsorted(row, [above, below]))
        if mine.start == mine.stop:
            continue
        left = max(0, int(start[mine].min()) - RING - 1)
        right = min(mask.shape[1], int(stop[mine].max()) + RING + 1)
        part = np.zeros((below - above, right - left), np.int32)
        _fill(part, row[mine] - above, start[mine] - left, stop[mine] - left, region[mine] + 1)
        near, nearest = cv2.distanceTransformWithLabels(
            (part == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        of_label = np.zeros(int(nearest.max()) + 1, np.int32)
        of_label[nearest[part > 0]] = part[part > 0]
        inner = slice(top - above, bottom - above)
        light = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
        around = (near[inner] <= RING) & (mask[top:bottom, left:right] == 0)
        for which, chosen in enumerate((part[inner] > 0, around)):
            owner = of_label[nearest[inner][chosen]] - 1
            grey[which] += np.bincount(owner, light[chosen], count)
            pixels[which] += np.bincount(owner, minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside, around = grey / pixels
    return inside - around


def _fill(part: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray, value: np.ndarray) -> None:
    """Write each run's value into its pixels."""
    length = stop - start
    first = row * part.shape[1] + start - (np.cumsum(length) - length)
    part.ravel()[np.arange(length.sum()) + np.repeat(first, length)] = np.repeat(value, length)
