"""From a mask to a list of measured defects."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from anet.frame import IGNORE


@dataclass(frozen=True)
class Defect:
    """One 8-connected region of one class, measured in pixels of the picture it was found in."""

    class_id: int
    class_name: str
    score: float  # highest probability inside, 0..1
    mean_score: float
    area_px: int
    box: tuple[int, int, int, int]  # x0, y0, x1, y1, half-open
    centroid: tuple[float, float]  # y, x of pixel centres
    length_px: float  # sides of the smallest rectangle of any direction around it, length >= width
    width_px: float
    angle_deg: float  # of the length, from the x axis towards the y axis (clockwise as seen), 0 <= angle < 180
    touches_border: bool

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON and CSV; scores to 4 digits, pixels and degrees to 2."""
        rounded: dict[str, Any] = {"score": round(self.score, 4), "mean_score": round(self.mean_score, 4)}
        rounded |= {name: round(getattr(self, name), 2) for name in ("length_px", "width_px", "angle_deg")}
        rounded |= {"box": list(self.box), "centroid": [round(value, 2) for value in self.centroid]}
        return asdict(self) | rounded


def find_defects(
    mask: np.ndarray, probs: np.ndarray, min_area_px: int = 0, class_names: tuple[str, ...] = ()
) -> tuple[Defect, ...]:
    """Measure the regions of a `(H, W) uint8` mask of class ids, largest first, then by position.

    `probs` is `(H, W, channels) float32` as `anet.frame.decide` took it. Regions below `min_area_px` are left out, and
    so is IGNORE. Without `class_names` a class is called by its number.
    """
    found: list[Defect] = []
    for class_id in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist():
        if class_id not in (0, IGNORE):
            name = class_names[class_id] if class_id < len(class_names) else str(class_id)
            score = probs[..., 0 if probs.shape[2] == 1 else class_id]
            found.extend(_of_class(mask == class_id, score, min_area_px, class_id, name))
    return tuple(sorted(found, key=lambda one: (-one.area_px, one.box[1], one.box[0], one.class_id, one.centroid)))


def _of_class(where: np.ndarray, score: np.ndarray, min_area_px: int, class_id: int, name: str) -> Iterator[Defect]:
    """Measure the regions of one class; all but rectangles for all regions at once, since specks come in 100,000s."""
    x, y, w, h = cv2.boundingRect(where.view(np.uint8))
    inside, score = where[y : y + h, x : x + w], score[y : y + h, x : x + w]
    count, labels, stats, centres = cv2.connectedComponentsWithStats(
        inside.view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    owner, values = np.asarray(labels[inside], np.int32), score[inside]
    highest = np.zeros(count, np.float32)
    np.maximum.at(highest, owner, values)
    means = np.bincount(owner, values, count) / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    kept = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= min_area_px)
    kept = kept[kept > 0]
    rectangles = _rectangles(labels, stats, kept)
    height, width = where.shape
    for i, (length, breadth, angle) in zip(kept.tolist(), rectangles, strict=True):
        left, top, across, down, area = stats[i].tolist()
        x0, y0 = left + x, top + y
        x1, y1 = x0 + across, y0 + down
        yield Defect(
            class_id, name, float(highest[i]), float(means[i]), area, (x0, y0, x1, y1),
            (float(centres[i, 1]) + y, float(centres[i, 0]) + x), length, breadth, angle,
            x0 == 0 or y0 == 0 or x1 == width or y1 == height,
        )  # fmt: skip


def _rectangles(labels: np.ndarray, stats: np.ndarray, kept: np.ndarray) -> Iterator[tuple[float, float, float]]:
    """Give length, width and angle of the smallest rectangle around each kept region.

    Only ends of horizontal runs can be corners of its hull; sorted by region, each region's are one slice, so a
    thousand thin diagonals cost no more than their pixels.
    """
    padded = np.pad(labels, ((0, 0), (1, 1)))
    ends = (labels > 0) & ((labels != padded[:, :-2]) | (labels != padded[:, 2:]))
    rows, columns = np.nonzero(ends)
    owner = labels[ends]
    order = np.argsort(owner, kind="stable")
    points = np.stack([columns, rows], axis=1).astype(np.float32)[order]
    starts = np.searchsorted(owner[order], np.stack([kept, kept + 1]))
    solid = stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT] == stats[:, cv2.CC_STAT_AREA]
    for i, first, last in zip(kept.tolist(), *starts.tolist(), strict=True):
        if solid[i]:  # most specks: no geometry needed
            across, down = int(stats[i, cv2.CC_STAT_WIDTH]), int(stats[i, cv2.CC_STAT_HEIGHT])
            yield (float(across), float(down), 0.0) if across >= down else (float(down), float(across), 90.0)
        else:
            yield smallest_rectangle(points[first:last])


def smallest_rectangle(points: np.ndarray) -> tuple[float, float, float]:
    """Give length, width (pixels) and angle (degrees) of the smallest rectangle around `(N, 2)` pixel centres x, y.

    The outline runs half a pixel outside the outermost centres along x or y, as between a pixel inside and its
    neighbour outside: the sides grow by max(|cos|, |sin|), 1 for an upright rectangle, 0.71 for one at 45 degrees.
    """
    corners = cv2.boxPoints(cv2.minAreaRect(points)).astype(np.float64)
    sides = np.diff(corners[:3], axis=0)
    lengths = np.hypot(*sides.T)
    along = sides[lengths.argmax()]
    angle = float(np.degrees(np.arctan2(along[1], along[0])) % 180)
    angle = 0.0 if angle > 179.9995 else angle  # rounding at the seam
    grow = float(max(abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle)))))
    return float(lengths.max()) + grow, float(lengths.min()) + grow, angle
