"""Defects that are too fine for the size that a network looks at: what scaling down leaves of them is too little."""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from anet.data.dataset import Sample
from anet.frame import up_to_stride
from anet.image import image_size

LEAST_PX = 3.0  # of the network: a narrower defect is lost in its own blurred border
SHARE = 0.1  # of the labelled regions, above which it is worth a word
MOST_SIDE = 1024  # a larger frame is slow: cropping is better advice


def widths(samples: Iterable[Sample], classes: int) -> np.ndarray:
    """Give each labelled region's width as a share of its picture's longer side, `(regions,) float32`.

    A region is 8-connected and of one class; its width is that of the widest disc inside it. Raises ImageError, and
    DataError for a mask that cannot be read.
    """
    found = [np.empty(0, np.float32)]
    for sample in samples:
        if sample.sound:
            continue
        mask = sample.read_mask(image_size(sample.image), classes)
        for class_id in range(1, classes):
            inside = np.pad((mask == class_id).view(np.uint8), 1)  # beyond the border is no defect
            number, labels = cv2.connectedComponents(inside, connectivity=8)
            reach = np.zeros(number, np.float32)
            np.maximum.at(reach, labels.ravel(), cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5).ravel())
            found.append((2 * reach[1:] - 1) / max(mask.shape))
    return np.concatenate(found)


def too_fine(samples: Iterable[Sample], classes: int, size: int) -> str:
    """Say in one line that many defects are too fine where the longer side becomes `size` pixels; else nothing.

    Raises as `widths`.
    """
    found = widths(samples, classes)
    fine = int((found * size < LEAST_PX).sum())
    if fine <= SHARE * len(found):
        return ""
    enough = up_to_stride(math.ceil(LEAST_PX / float(np.quantile(found, SHARE, method="lower"))))
    remedy = f"--size {enough}" if size < enough <= MOST_SIDE else "cropped pictures"
    text = f"{fine} of {len(found)} labelled regions are narrower than {LEAST_PX:g} pixels at size {size}"
    return f"{text}: {remedy} would help"
