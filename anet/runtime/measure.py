"""From a mask to a list of measured defects."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from anet.frame import IGNORE, Answer
from anet.runtime.contrast import contrasts
from anet.runtime.shape import RECTANGLE, Corners, Ruler, outline

SCORES, PIXELS = ("score", "mean_score"), ("length_px", "width_px", "angle_deg", "contrast")
MM = ("area_mm2", "length_mm", "width_mm")


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
    length_px: float  # length >= width, by `method`
    width_px: float
    angle_deg: float  # of the rectangle's length, from x towards y (clockwise as seen), 0 <= angle < 180
    touches_border: bool
    method: str = RECTANGLE  # the smallest one of any direction; or AXIS: along it; or LIMITED: too much for an axis
    corners: Corners = ()  # of the smallest rectangle: x, y from the picture's corner, as in `box`
    contrast: float | None = None  # mean grey inside less that of a ring around, -255..255; None: no ring, or unknown
    area_mm2: float | None = None  # None without mm_per_px, as all in mm
    length_mm: float | None = None
    width_mm: float | None = None
    runs: np.ndarray | None = field(default=None, repr=False, compare=False)  # (N, 3): row, start, stop

    def contour(self) -> list[tuple[float, float]]:
        """Give the outer polygon, x, y from the picture's corner as in `box`, exact."""
        return [] if self.runs is None else outline(*self.runs.T)

    def to_dict(self, contour: bool = False) -> dict[str, Any]:
        """Give plain values for JSON and CSV; scores to 4 digits, pixels, degrees and grey to 2, mm to 6 that count.

        With `contour` the polygon, too: it can be long.
        """
        facts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "runs"}
        for names, digits in ((SCORES, 4), (PIXELS, 2)):
            facts |= {name: round(facts[name], digits) for name in names if facts[name] is not None}
        facts |= {name: float(f"{facts[name]:.6g}") for name in MM if facts[name] is not None}
        facts |= {"box": list(self.box), "centroid": [round(value, 2) for value in self.centroid]}
        facts["corners"] = [[round(x, 2), round(y, 2)] for x, y in self.corners]
        return facts | ({"contour": [list(point) for point in self.contour()]} if contour else {})


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
    mask: np.ndarray,
    answer: Answer,
    min_area_px: int = 0,
    class_names: tuple[str, ...] = (),
    image: np.ndarray | None = None,
    scale: tuple[float, float] | None = None,
) -> tuple[Defect, ...]:
    """Measure the regions of a `(H, W) uint8` mask of class ids, largest first, then by position.

    `answer` is what the mask was decided from. Regions below `min_area_px` are left out, and so is IGNORE. Without
    `class_names` a class is called by its number, without the `image` (`(H, W, 3) uint8` RGB) there is no contrast, and
    without `scale` (mm per pixel, y and x) nothing in mm.
    """
    parts = [runs for top, bottom in answer.bands() if (runs := _runs(mask, answer, top, bottom))]
    if not parts:
        return ()
    runs = _Runs(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(_Runs)))
    owner = _join(runs, mask.shape[1])
    order = np.argsort(owner, kind="stable")  # each region's runs become one slice, still row by row
    first = np.flatnonzero(np.diff(owner[order], prepend=-1))
    found = _measure(runs[order], first, min_area_px, mask, class_names, image, scale)
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
    runs: _Runs,
    first: np.ndarray,
    min_area_px: int,
    mask: np.ndarray,
    class_names: tuple[str, ...],
    image: np.ndarray | None,
    scale: tuple[float, float] | None,
) -> Iterator[Defect]:
    """Measure regions, of which each begins at a `first` run; all but shapes at once, since specks are many."""
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
    large = area >= min_area_px
    contrast = _contrast(runs, last - first, large, mask, image)
    triples = np.stack([runs.row, runs.start, runs.stop], axis=1, dtype=np.int32, casting="unsafe")
    ruler, (h, w) = Ruler(scale), mask.shape
    for i in np.lexsort([boxes[:, 0], boxes[:, 1], -area])[: np.count_nonzero(large)].tolist():
        x0, y0, x1, y1 = box = tuple(boxes[i].tolist())
        class_id, mine, pixels = int(runs.class_id[first[i]]), slice(first[i], last[i]), int(area[i])
        shape = ruler.shape(runs.row[mine], runs.start[mine], runs.stop[mine], box, pixels)
        yield Defect(
            class_id, class_names[class_id] if class_id < len(class_names) else str(class_id),
            float(highest[i]), float(mean[i]), pixels, box, (float(y[i]), float(x[i])),
            shape.length_px, shape.width_px, shape.angle_deg, x0 == 0 or y0 == 0 or x1 == w or y1 == h,
            shape.method, shape.corners, None if np.isnan(contrast[i]) else float(contrast[i]),
            pixels * scale[0] * scale[1] if scale else None, shape.length_mm, shape.width_mm, triples[mine],
        )  # fmt: skip


def _contrast(
    runs: _Runs, count: np.ndarray, large: np.ndarray, mask: np.ndarray, image: np.ndarray | None
) -> np.ndarray:
    """Give the contrast of each region of `count` runs that is `large`, NaN where there is none."""
    contrast = np.full(len(count), np.nan)
    if image is not None and large.any():
        number = np.repeat(np.where(large, np.cumsum(large) - 1, -1), count)
        order = np.argsort(runs.row, kind="stable")
        order = order[number[order] >= 0]
        contrast[large] = contrasts(image, mask, runs.row[order], runs.start[order], runs.stop[order], number[order])
    return contrast
