"""Boundary F: how well the outline is hit, whatever the area; a thin scratch counts as much as a broad patch."""

import math

import cv2
import numpy as np

from anet.frame import IGNORE
from anet.scoring.metrics import Ratio

TOLERANCE = 0.0075  # of the picture's diagonal, and at least a pixel. Source: Csurka et al., BMVC 2013, section 3
AROUND = np.ones((3, 3), np.uint8)


def boundary_f(pred: np.ndarray, target: np.ndarray, classes: int) -> tuple[Ratio, ...]:
    """Give the boundary F of one picture, an entry a class, background first: 0..1.

    F is the harmonic mean of two shares: of the predicted outline that lies within TOLERANCE of the true one, and of
    the true one within TOLERANCE of the predicted one. None where neither has an outline, 0 where only one has.
    `pred`, `target` (H, W) uint8 ids; nothing next to IGNORE and no edge of the picture is an outline.
    Source: Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013.
    """
    labelled, reach = target != IGNORE, max(1.0, TOLERANCE * math.hypot(*target.shape))
    return tuple(
        _f(outline(pred == class_id, labelled), outline(target == class_id, labelled), reach)
        for class_id in range(classes)
    )


def outline(inside: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Give the pixels of `inside` (H, W) bool that touch one outside, be it at a corner; only labelled ones."""
    beside = cv2.dilate((labelled & ~inside).view(np.uint8), AROUND).view(bool)
    return inside & labelled & beside


def _f(pred: np.ndarray, truth: np.ndarray, reach: float) -> Ratio:
    if not pred.any() and not truth.any():
        return None
    if not pred.any() or not truth.any():
        return 0.0
    precision, recall = _near(pred, truth, reach), _near(truth, pred, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(mine: np.ndarray, other: np.ndarray, reach: float) -> float:
    """Give the share of `mine` that lies within `reach` pixels of `other`."""
    distance = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distance[mine] <= reach + 1e-4).mean())
