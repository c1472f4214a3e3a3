"""From a mask to a list of measured defects."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np

from anet.frame import IGNORE, Answer


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


@dataclass(frozen=True, eq=False)
class _Runs:
    """Horizontal runs of pixels of one class, row by row: arrays with one value a run.

    Regions are joined and measured from these alone, since labels of 100 megapixels would be 400 MB.
    """

    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray  # behind the last pixel
    class_id: np.ndarray
    highest: np.ndarray  # probability of the class
    total: np.ndarray  # of probabilities

    def __getitem__(self, chosen: np.ndarray) -> "_Runs":
        return _Runs(*(getattr(self, one.name)[chosen] for one in fields(self)))


def find_defects(
    mask: np.ndarray, answer: Answer, min_area_px: int = 0, class_names: tuple[str, ...] = ()
) -> tuple[Defect, ...]:
    """Measure the regions of a `(H, W) uint8` mask of class ids, largest first, then by position.

    `answer` is what the mask was decided from. Regions below `min_area_px` are left out, and so is IGNORE. Without
    `class_names` a class is called by its number.
    """
    parts = [runs for top, bottom in answer.bands() if (runs := _runs(mask, answer, top, bottom))]
    if not parts:
        return ()
    runs = _Runs(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(_Runs)))
    owner = _join(runs, mask.shape[1])
    order = np.argsort(owner, kind="stable")  # each region's runs become one slice, still row by row
    first = np.flatnonzero(np.diff(owner[order], prepend=-1))
    found = _measure(runs[order], first, min_area_px, mask.shape, class_names)
    return tuple(sorted(found, key=lambda one: (-one.area_px, one.box[1], one.box[0], one.class_id, one.centroid)))


def _runs(mask: np.ndarray, answer: Answer, top: int, bottom: int) -> _Runs | None:
    """Find the runs of a band of rows; None when it holds none."""
    band = mask[top:bottom]
    inside = (band != 0) & (band != IGNORE)
    if not inside.any():
        return None
    change = np.diff(band, axis=1) != 0
    begins, ends = inside.copy(), inside
    begins[:, 1:] &= change
    ends[:, :-1] &= change
    (row, start), stop = np.nonzero(begins), np.nonzero(ends)[1] + 1
    probs = answer.rows(top, bottom)
    channel = np.minimum(band, probs.shape[2] - 1)[..., None].astype(np.intp)  # the only one, or that of the class
    score = np.append(np.take_along_axis(probs, channel, axis=2), np.float32(0))  # so that the last run may end there
    cuts = (row[:, None] * band.shape[1] + np.stack([start, stop], axis=1)).ravel()
    highest, total = np.maximum.reduceat(score, cuts)[::2], np.add.reduceat(score, cuts, dtype=np.float64)[::2]
    return _Runs(row + top, start, stop, band[row, start], highest, total)


def _join(runs: _Runs, width: int) -> np.ndarray:
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


def _measure(
    runs: _Runs, first: np.ndarray, min_area_px: int, shape: tuple[int, int], class_names: tuple[str, ...]
) -> Iterator[Defect]:
    """Measure regions, of which each begins at a `first` run; all but rectangles at once, since specks are many."""
    length = runs.stop - runs.start
    area = np.add.reduceat(length, first)
    last = np.append(first[1:], len(length))
    boxes = np.stack([
        np.minimum.reduceat(runs.start, first), runs.row[first],
        np.maximum.reduceat(runs.stop, first), runs.row[last - 1] + 1,
    ], axis=1)  # fmt: skip
    y = np.add.reduceat(runs.row * length, first) / area
    x = np.add.reduceat((runs.start + runs.stop - 1) * length, first) / (2 * area)
    highest, mean = np.maximum.reduceat(runs.highest, first), np.add.reduceat(runs.total, first) / area
    for i in np.flatnonzero(area >= min_area_px).tolist():
        x0, y0, x1, y1 = box = tuple(boxes[i].tolist())
        class_id, mine = int(runs.class_id[first[i]]), slice(first[i], last[i])
        yield Defect(
            class_id, class_names[class_id] if class_id < len(class_names) else str(class_id),
            float(highest[i]), float(mean[i]), int(area[i]), box, (float(y[i]), float(x[i])),
            *_rectangle(runs.row[mine], runs.start[mine], runs.stop[mine], box, int(area[i])),
            x0 == 0 or y0 == 0 or x1 == shape[1] or y1 == shape[0],
        )  # fmt: skip


def _rectangle(
    row: np.ndarray, start: np.ndarray, stop: np.ndarray, box: tuple[int, ...], area: int
) -> tuple[float, float, float]:
    """Give length, width and angle of the smallest rectangle around a region: its corners are ends of runs."""
    across, down = float(box[2] - box[0]), float(box[3] - box[1])
    if across * down == area:  # most specks: no geometry needed
        return (across, down, 0.0) if across >= down else (down, across, 90.0)
    points = np.stack([np.concatenate([start, stop - 1]), np.concatenate([row, row])], axis=1)
    return smallest_rectangle(points.astype(np.float32))


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
