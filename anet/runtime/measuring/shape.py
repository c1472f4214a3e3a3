"""How long and wide a region is, and its outline. Points are x, y from the picture's corner, as in a box."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from anet.runtime.measuring.axis import axis

RECTANGLE, AXIS, LIMITED = "rectangle", "axis", "rectangle-limit"  # LIMITED: an axis would have cost too much
THIN = 4.0  # from this ratio of length to mean width a region is measured along its axis
FULL = 0.8  # a region that fills so much of its rectangle is no longer than it, to 1 %
TOUCHES = 0.62  # of a pixel's step across a side: centres so near to the outermost are along the side, too
SPECK = 12  # pixels; what is smaller has no axis worth the name
BUDGET = 500_000  # pixels of a picture's regions that axes are looked for in: a few seconds and 100 MB at the most
EACH = 500  # pixels' worth of time that goes by for each, whatever the region

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shape:
    """Size of a region; `length` and `width` belong to `method`, angle and corners always to the smallest rectangle."""

    method: str
    length_px: float
    width_px: float
    length_mm: float | None
    width_mm: float | None
    angle_deg: float
    corners: Corners


class Ruler:
    """Measures the regions of one picture, the largest first: who comes when BUDGET is spent gets a rectangle.

    `scale` is mm per pixel, y and x.
    """

    def __init__(self, scale: tuple[float, float] | None):
        self.scale = scale
        self.left = BUDGET

    def shape(
        self, row: np.ndarray, start: np.ndarray, stop: np.ndarray, box: tuple[int, int, int, int], area: int
    ) -> Shape:
        """Measure one 8-connected region of runs.

        Along the axis: length is that of all branches together, from edge to edge, and width is area by length. Pixels
        are counted from the region's own box: OpenCV computes in float32, and a web has no end.
        """
        x0, y0, x1, y1 = box
        shape = self._shape(row - y0, start - x0, stop - x0, (0, 0, x1 - x0, y1 - y0), area)
        return replace(shape, corners=tuple((x + x0, y + y0) for x, y in shape.corners))

    def _shape(
        self, row: np.ndarray, start: np.ndarray, stop: np.ndarray, box: tuple[int, int, int, int], area: int
    ) -> Shape:
        if (box[2] - box[0]) * (box[3] - box[1]) == area:  # most specks: no geometry needed
            return _upright(box, self.scale)
        points = np.stack([np.concatenate([start, stop - 1]), np.concatenate([row, row])], axis=1)
        sides, angle, corners = smallest_rectangle(points)
        method = RECTANGLE
        room = round(FULL * sides[0] * sides[1], 3)  # the rectangle's last bits must not decide
        if SPECK < area < room and _may_be_thin(row, start, stop, area):
            method = LIMITED
            if area + EACH <= self.left:
                self.left -= area + EACH
                compact = _is_compact(row, start, stop, area)
                px, mm = (0.0, 0.0) if compact else _along(row, start, stop, self.scale)
                if self._is_thin(px, mm, area):
                    metric = (mm, area * self.scale[0] * self.scale[1] / mm) if self.scale else (None, None)
                    return Shape(AXIS, px, area / px, *metric, angle, corners)
                method = RECTANGLE
        metric = _in_mm(points, sides, self.scale) if self.scale else (None, None)
        return Shape(method, *sides, *metric, angle, corners)

    def _is_thin(self, px: float, mm: float, area: int) -> bool:
        """Say whether an axis is long enough for its area in px and, since oblong pixels can make it stout, in mm.

        With equal axes both say the same but for rounding, which must not decide.
        """
        return px * px >= THIN * area and (
            not self.scale or mm * mm >= (THIN - 1e-6) * area * self.scale[0] * self.scale[1]
        )


def _upright(box: tuple[int, int, int, int], scale: tuple[float, float] | None) -> Shape:
    """Measure a region that fills its box."""
    x0, y0, x1, y1 = map(float, box)
    width, length = sorted((x1 - x0, y1 - y0))
    long, wide = sorted(((x1 - x0) * scale[1], (y1 - y0) * scale[0]), reverse=True) if scale else (None, None)
    angle = 0.0 if x1 - x0 >= y1 - y0 else 90.0
    return Shape(RECTANGLE, length, width, long, wide, angle, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def _may_be_thin(row: np.ndarray, start: np.ndarray, stop: np.ndarray, area: int) -> bool:
    """Say whether a region has enough edge for its area, counted in pixels' sides: a disc has 5.1, a square 4."""
    stride = int(stop.max()) + 1
    begin, before = row * stride + start, np.cumsum(stop - start) - (stop - start)

    def pixels_before(key: np.ndarray) -> np.ndarray:
        run = np.searchsorted(begin, key, side="right") - 1  # never -1: asked for rows below the first
        return before[run] + np.minimum(key - begin[run], (stop - start)[run])

    below = (row + 1) * stride
    shared = (pixels_before(below + stop) - pixels_before(below + start)).sum()
    edge = 2 * len(row) + 2 * (area - shared)
    return bool(edge * edge >= 6 * 4 * area)


def _is_compact(row: np.ndarray, start: np.ndarray, stop: np.ndarray, area: int) -> bool:
    """Say whether a region is round but for pinholes, which have much edge and would make its axis a net."""
    edge = _outer_edge(row, start, stop)
    x, y = edge.T.astype(np.int64)
    filled = abs(int(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    around = int(abs(np.diff(edge, axis=0, append=edge[:1])).sum())
    return 2 * area > filled and around * around < 6 * 4 * filled


def _along(
    row: np.ndarray, start: np.ndarray, stop: np.ndarray, scale: tuple[float, float] | None
) -> tuple[float, float]:
    """Give the length of a region's axis in pixels and in mm (in pixels without `scale`); 0 when it has none."""
    steps = np.concatenate([np.zeros((1, 2)), *(np.diff(path, axis=0) for path in axis(row, start, stop))])
    return float(np.hypot(*steps.T).sum()), float(np.hypot(*(steps * (scale or 1.0)).T).sum())


def _in_mm(points: np.ndarray, sides: tuple[float, float], scale: tuple[float, float]) -> tuple[float, float]:
    if scale[0] == scale[1]:
        return sides[0] * scale[0], sides[1] * scale[0]
    return smallest_rectangle(points, scale)[0]


def smallest_rectangle(
    points: np.ndarray, scale: tuple[float, float] = (1.0, 1.0)
) -> tuple[tuple[float, float], float, Corners]:
    """Give sides (longer first), angle (degrees) and corners of the smallest rectangle around `(N, 2)` centres x, y.

    A pixel is `scale` (y, x) large.
    """
    size = np.array(scale[::-1])
    found = cv2.boxPoints(cv2.minAreaRect((points * size).astype(np.float32))).astype(np.float64)
    edges = np.diff(found[:3], axis=0)
    lengths = np.hypot(*edges.T)
    along = edges[lengths.argmax()]
    angle = float(np.degrees(np.arctan2(along[1], along[0])) % 180)
    angle = 0.0 if angle > 179.9995 else angle  # rounding at the seam
    way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    side = np.array([-way[1], way[0]])
    length, width = lengths.max() + _rim(points, side, size), lengths.min() + _rim(points, way, size)
    middle = found.mean(axis=0) + size / 2
    half = length / 2 * way, width / 2 * side
    corners = [middle + a * half[0] + b * half[1] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    sides = float(max(length, width)), float(min(length, width))
    return sides, angle, tuple((float(x), float(y)) for x, y in corners)


def _rim(points: np.ndarray, way: np.ndarray, size: np.ndarray) -> float:
    """Give how far the two edges along `way` lie outside of the outermost centres, together, on average.

    An edge passes n columns of pixels (rows, where it is steep) and the outermost centre of each at another depth, at
    most a step: n upright ones all alike, so that the edge can be anywhere in that step, 1 pixel for both; many turned
    ones at any depth, so that one is next to the edge. The gaps between these depths say how far on average.
    """
    across = np.array([-way[1], way[0]]) * size
    depth, along = points @ across, points @ (way * size)
    small, step = abs(across).argmin(), abs(across).max()
    near = [np.ptp(along[one < TOUCHES * step]) for one in (depth - depth.min(), depth.max() - depth)]
    columns = round(sum(near) / 2 * abs(way[small]) / size[small]) + 1
    depths = np.sort(np.arange(columns) * (abs(across[small]) / step) % 1)
    gaps = np.diff(depths, append=depths[0] + 1)
    return float(step * (gaps @ gaps))


def outline(row: np.ndarray, start: np.ndarray, stop: np.ndarray) -> list[tuple[float, float]]:
    """Give the outer polygon of an 8-connected region of runs: x, y of the corners of its pixels' edges, exact.

    Not simplified: where two pixels touch at a corner, cv2.approxPolyDP was seen to cut one of them off.
    """
    points = _outer_edge(row, start, stop)
    step = points - np.roll(points, 1, axis=0)
    points = points[step.any(axis=1)]
    step = points - np.roll(points, 1, axis=0)
    after = np.roll(step, -1, axis=0)
    turns = step[:, 0] * after[:, 1] != step[:, 1] * after[:, 0]
    return [(float(x), float(y)) for x, y in points[turns]]


def _outer_edge(row: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Give all corners of the outer edge in order: `(N, 2)` x, y."""
    far = 2 * len(row)
    x = np.concatenate([start, stop, start, stop])  # each run's two sides, their upper ends, then their lower ones
    y = np.concatenate([row, row, row + 1, row + 1])
    order = np.lexsort([x, y])
    # Along a line between two rows the ends pair off: between them runs the edge. Where two pixels touch at a corner,
    # the edge of the one must go on along the side of the other, which keeps both pixels one region: an edge below
    # pixels of the upper row ends with an end of the lower row, and the other way round.
    tied = (np.diff(x[order])[1::2] == 0) & (np.diff(y[order])[1::2] == 0)
    of_upper_row = order >= far
    below_upper = np.cumsum(of_upper_row) % 2 == 1
    wrong = 2 * np.flatnonzero(tied & (of_upper_row[1:-1:2] == below_upper[:-2:2])) + 1
    order[wrong], order[wrong + 1] = order[wrong + 1], order[wrong]
    partner = np.empty(2 * far, np.intp)
    partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    links, first = partner.tolist(), len(row)  # the upper end of the first run's right side is an outer one
    walked, place = [], first
    while not walked or place != first:
        opposite = place + far if place < far else place - far
        walked += [place, opposite]
        place = links[opposite]
    return np.stack([x[walked], y[walked]], axis=1)
