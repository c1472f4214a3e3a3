"""Where a model and a label disagree, in regions and in words: what a person should look at first.

Four kinds. A labelled region of which the model sees less than a tenth; a found one of which less than a tenth is
labelled; a region of another class; the rest of what differs, further from the outline than outlines can be told.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from anet.frame import IGNORE, decide
from anet.scoring.boundary import TOLERANCE, outline

KINDS = ("not found", "not labelled", "another class", "outline")
TOUCHED = 0.1  # share of a region from which on the other side is said to have seen it
LEAST_PX = 2.0  # from an outline on, pixels are in conflict; TOLERANCE where that is more
SMALL = 0.001  # of the picture: a region of this size counts half, a speck nearly nothing


@dataclass(frozen=True)
class Conflict:
    """One disagreement. `weight` is 0..1: how sure the model is against the label, times a share growing with area."""

    kind: str  # one of KINDS
    labelled: int  # class id, 0 sound
    found: int
    area_px: int
    box: tuple[int, int, int, int]  # x0, y0, x1, y1, half-open
    certainty: float  # mean over its pixels: the probability that the model denies to the label
    weight: float

    def words(self, class_names: tuple[str, ...]) -> str:
        """Say it in one line."""
        size = f"{self.area_px} px at x {self.box[0]}, y {self.box[1]}"
        sure = f"sure to {100 * self.certainty:.0f} %"
        if self.kind == "not found":
            return f"{class_names[self.labelled]} of {size} is labelled, and the model sees none ({sure})"
        if self.kind == "not labelled":
            return f"{class_names[self.found]} of {size} is found, and none is labelled ({sure})"
        if self.kind == "another class":
            return f"{size}: labelled {class_names[self.labelled]}, the model says {class_names[self.found]} ({sure})"
        return f"the outlines differ by {size} ({sure})"

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def conflicts(probs: np.ndarray, target: np.ndarray, threshold: float) -> list[Conflict]:
    """Find where a model disagrees with a label, the heaviest first.

    `probs` `(H, W, channels) float32` and `threshold` as in `decide`, `target` `(H, W) uint8` ids; where it is IGNORE
    nothing is in conflict. Raises ValueError for NaN.
    """
    scored = target != IGNORE
    found, label = np.where(scored, decide(probs, threshold), 0).astype(np.uint8), np.where(scored, target, 0)
    denied = _denied(probs, label)
    told = np.zeros_like(scored)  # belongs to a region that is in conflict as a whole
    lone: list[Conflict] = []
    for class_id, region in _regions(label):
        seen = region & (found != 0)
        if seen.sum() < TOUCHED * region.sum():
            lone.append(_conflict("not found", class_id, 0, region, denied))
            told |= region
        elif 2 * (others := seen & (found != class_id)).sum() > seen.sum():
            said = int(np.bincount(found[others]).argmax())
            lone.append(_conflict("another class", class_id, said, others, denied))
            told |= region
    for class_id, region in _regions(found):
        if (region & (label != 0)).sum() < TOUCHED * region.sum():
            lone.append(_conflict("not labelled", 0, class_id, region, denied))
            told |= region
    rest = scored & (found != label) & ~told & far(label, scored)
    if rest.any():
        lone.append(_conflict("outline", int(label[rest].max()), int(found[rest].max()), rest, denied))
    return sorted(lone, key=lambda one: (-one.weight, one.box))


def far(label: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Give the pixels `(H, W) bool` further from every outline of `label` than outlines can be told apart."""
    lines = outline(label != 0, scored)
    if not lines.any():
        return np.ones_like(scored)
    reach = max(LEAST_PX, TOLERANCE * math.hypot(*label.shape))
    return cv2.distanceTransform((~lines).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > reach + 1e-4


def by_area(area_px: int, shape: tuple[int, ...]) -> float:
    """Give the share 0..1 with which a region counts: half for SMALL of the picture, nearly all for a large one."""
    return area_px / (area_px + SMALL * shape[0] * shape[1])


def box_of(region: np.ndarray) -> tuple[int, int, int, int]:
    """Give the box x0, y0, x1, y1 (half-open) around a region `(H, W) bool` of a pixel or more."""
    x, y, w, h = cv2.boundingRect(region.view(np.uint8))
    return x, y, x + w, y + h


def _denied(probs: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Give the probability `(H, W)` that is not the label's."""
    if probs.shape[2] == 1:
        return np.where(label != 0, 1 - probs[..., 0], probs[..., 0])
    return 1 - np.take_along_axis(probs, label[..., None].astype(np.int64), axis=2)[..., 0]


def _regions(mask: np.ndarray):
    """Give class id and pixels `(H, W) bool` of each 8-connected region of one class."""
    for class_id in np.unique(mask[mask != 0]).tolist():
        number, labels = cv2.connectedComponents((mask == class_id).view(np.uint8), connectivity=8)
        for index in range(1, number):
            yield class_id, labels == index


def _conflict(kind: str, labelled: int, found: int, region: np.ndarray, denied: np.ndarray) -> Conflict:
    area, certainty = int(region.sum()), float(denied[region].mean())
    weight = certainty * by_area(area, region.shape)
    return Conflict(kind, labelled, found, area, box_of(region), round(certainty, 4), round(weight, 4))
