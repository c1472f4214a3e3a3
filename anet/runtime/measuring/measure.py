"""From a mask to a list of measured defects."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from anet.frame import Answer
from anet.runtime.measuring.contrast import contrast
from anet.runtime.measuring.runs import Runs, regions, runs_of, together
from anet.runtime.measuring.shape import RECTANGLE, Corners, Ruler, outline

MM = ("area_mm2", "length_mm", "width_mm")
DIGITS = {"score": 4, "mean_score": 4, "length_px": 2, "width_px": 2, "angle_deg": 2, "contrast": 2}  # reported


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
        """Give plain values for JSON and CSV, measures as `reported`.

        With `contour` the polygon, too: it can be long.
        """
        facts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "runs"}
        facts |= {name: reported(name, facts[name]) for name in (*DIGITS, *MM) if facts[name] is not None}
        facts |= {"box": list(self.box), "centroid": [round(value, 2) for value in self.centroid]}
        facts["corners"] = [[round(x, 2), round(y, 2)] for x, y in self.corners]
        return facts | ({"contour": [list(point) for point in self.contour()]} if contour else {})


def reported(name: str, value: float) -> float:
    """Round a measure as it is reported and judged: mm to 6 digits that count, others to their DIGITS after the point.

    What is computed in binary misses a limit that is just met by its last bits: 34 pixels of 0.1 mm are more than 3.4.
    """
    if name.endswith(("_mm", "_mm2")):
        return float(f"{value:.6g}")
    return round(value, DIGITS[name]) if name in DIGITS else value


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
    if not mask.any():
        return ()
    parts = [runs_of(mask[top:bottom], answer.rows(top, bottom), top) for top, bottom in answer.bands()]
    runs = together(parts)
    if image is not None:
        runs = runs.with_greys(image, mask)
    return measure(*regions(runs, mask.shape[1]), mask.shape[1], (0, len(mask)), min_area_px, class_names, scale)


def measure(
    runs: Runs,
    first: np.ndarray,
    width: int,
    rows: tuple[int, int],
    min_area_px: int = 0,
    class_names: tuple[str, ...] = (),
    scale: tuple[float, float] | None = None,
) -> tuple[Defect, ...]:
    """Measure regions, of which each begins at a `first` run (see `regions`), as `find_defects` does.

    The picture is `width` wide and reaches from the first to behind the last of `rows`. All but shapes is measured at
    once, since specks are many.
    """
    if not len(first):
        return ()
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
    contrasts = contrast(np.add.reduceat(runs.grey, first), area)
    triples = np.stack([runs.row, runs.start, runs.stop], axis=1).astype(_small(boxes))
    ruler, found = Ruler(scale), []
    for i in np.lexsort([boxes[:, 0], boxes[:, 1], -area])[: np.count_nonzero(area >= min_area_px)].tolist():
        x0, y0, x1, y1 = box = tuple(boxes[i].tolist())
        class_id, mine, pixels = int(runs.class_id[first[i]]), slice(first[i], last[i]), int(area[i])
        shape = ruler.shape(runs.row[mine], runs.start[mine], runs.stop[mine], box, pixels)
        found.append(Defect(
            class_id, class_names[class_id] if class_id < len(class_names) else str(class_id),
            float(highest[i]), float(mean[i]), pixels, box, (float(y[i]), float(x[i])),
            shape.length_px, shape.width_px, shape.angle_deg,
            x0 == 0 or x1 == width or y0 == rows[0] or y1 == rows[1],
            shape.method, shape.corners, None if np.isnan(contrasts[i]) else float(contrasts[i]),
            pixels * scale[0] * scale[1] if scale else None, shape.length_mm, shape.width_mm, triples[mine],
        ))  # fmt: skip
    return tuple(sorted(found, key=by_size))


def by_size(one: Defect) -> tuple:
    """Give the key of the order of defects: largest first, then by position."""
    return -one.area_px, one.box[1], one.box[0], one.class_id, one.centroid


def _small(boxes: np.ndarray) -> type:
    """Give the type that holds places of runs in the least memory: an endless web has more than 2**31 rows."""
    return np.int32 if boxes.max() < 2**31 else np.int64
