"""Zones of a picture: a polygon in pixels, a polygon in shares of the sides, or a mask."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from anet.errors import ImageError
from anet.runtime.measuring.measure import Defect

MOST_POINTS = 1000
AT_ONCE = 2**20  # pixels that are looked at in one go
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Zone:
    """A part of every picture. A pixel is inside when its centre is: the picture spans 0 to w and 0 to h.

    Just one of `polygon` (x, y; pixels, or shares 0..1 of width and height when `shares`) and `mask` is given.
    """

    name: str
    polygon: Points = ()
    shares: bool = False
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))  # (h, w) bool
    mask_file: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the zone as its table in the TOML file."""
        key = "polygon_share" if self.shares else "polygon_px"
        return {"mask": self.mask_file} if self.mask_file else {key: [list(point) for point in self.polygon]}

    def check_fits(self, h: int, w: int) -> None:
        """Refuse a picture that the zone was not drawn for: it might never be looked at. Raises ImageError."""
        if self.mask_file and self.mask.shape != (h, w):
            has = f"the mask of zone {self.name!r} has {self.mask.shape[1]}x{self.mask.shape[0]} pixels"
            raise ImageError(f"{has}, the picture {w}x{h}: draw one for this size")
        if not self.mask_file and not self.shares:
            right, down = (max(values) for values in zip(*self.polygon, strict=True))
            if right > w or down > h:
                reach = f"zone {self.name!r} reaches to x {right:g}, y {down:g}"
                raise ImageError(f"{reach}, the picture has {w}x{h} pixels: polygon_share fits any size")

    def inside(self, box: tuple[int, int, int, int], h: int, w: int) -> np.ndarray:
        """Say which pixels of a box (x0, y0, x1, y1) of an `h` x `w` picture are inside: `(y1 - y0, x1 - x0) bool`."""
        x0, y0, x1, y1 = box
        if self.mask_file:
            return self.mask[y0:y1, x0:x1]
        return _even_odd(
            self._points * ((w, h) if self.shares else (1, 1)), np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5
        )

    @cached_property
    def _points(self) -> np.ndarray:
        return np.array(self.polygon, np.float64)

    def holds(self, defect: Defect, mask: np.ndarray) -> bool:
        """Say whether one pixel at least of a defect found in `mask`, `(h, w) uint8` class ids, is inside."""
        x0, y0, x1, y1 = defect.box
        step, runs = max(1, AT_ONCE // max(1, x1 - x0)), None
        for top in range(y0, y1, step):
            bottom = min(top + step, y1)
            inside = self.inside((x0, top, x1, bottom), *mask.shape)
            if not inside.any():
                continue
            if inside.all():
                return True  # each row of the box has a pixel of the defect
            runs = runs_in(defect, mask) if runs is None else runs
            row, start, stop = (runs[slice(*np.searchsorted(runs[:, 0], (top, bottom)))] - (top, x0, x0)).T
            before = np.pad(np.cumsum(inside, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
            if (before[row, start] < before[row, stop]).any():
                return True
        return False


def runs_in(defect: Defect, mask: np.ndarray) -> np.ndarray:
    """Give the runs of a defect, `(N, 3)` of row, start and stop, row by row: its own, or those that its mask holds.

    In the mask: of all regions of its class there, it alone reaches all four sides; two that did would have to cross.
    Raises ValueError where none does.
    """
    if defect.runs is not None:
        return defect.runs
    x0, y0, x1, y1 = defect.box
    same = (mask[y0:y1, x0:x1] == defect.class_id).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(same, connectivity=8)
    spans = (stats[1:, cv2.CC_STAT_WIDTH] == x1 - x0) & (stats[1:, cv2.CC_STAT_HEIGHT] == y1 - y0)
    if not spans.any():
        raise ValueError("the mask is not the one in which the defect was found")
    change = np.diff(np.pad(labels == 1 + int(spans.argmax()), ((0, 0), (1, 1))).view(np.int8), axis=1)
    (row, start), stop = np.nonzero(change > 0), np.nonzero(change < 0)[1]
    return np.stack([row + y0, start + x0, stop + x0], axis=1)


def polygon_faults(points: Points, shares: bool) -> Iterator[str]:
    """Say in words what is wrong with a polygon of finite points."""
    if not 3 <= len(points) <= MOST_POINTS:
        yield f"has {len(points)} points: 3 to {MOST_POINTS} would work"
        return
    for number, (x, y) in enumerate(points, 1):
        if min(x, y) < 0 or (shares and max(x, y) > 1):
            bounds = "shares lie between 0 and 1" if shares else "pixels are counted from 0, at the top left"
            yield f"lies outside the picture: point {number} is ({x:g}, {y:g}), {bounds}"
    twice = next((number for number, point in enumerate(points) if point in points[:number]), None)
    if twice is not None:
        yield f"visits a point twice: point {twice + 1}; it closes by itself"
        return
    crossing = _crossing(np.array(points, np.float64))
    if crossing:
        yield f"crosses itself: the line from point {crossing[0] + 1} meets the one from point {crossing[1] + 1}"


def _even_odd(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Say which (x, y) of a grid lie in the polygon `(N, 2)`: `(len(y), len(x)) bool`."""
    inside, ends = np.zeros((len(y), len(x)), bool), np.roll(points, -1, axis=0)
    near = (np.minimum(points, ends)[:, 1] < y[-1]) & (np.maximum(points, ends)[:, 1] >= y[0])
    for (xa, ya), (xb, yb) in zip(points[near], ends[near], strict=True):
        rows = np.flatnonzero((y > min(ya, yb)) & (y <= max(ya, yb)))
        if len(rows):
            meets = xa + (y[rows] - ya) * ((xb - xa) / (yb - ya))
            inside[rows[0] : rows[-1] + 1] ^= x >= meets[:, None]
    return inside


def _crossing(points: np.ndarray) -> tuple[int, int] | None:
    """Give the first two lines of a polygon `(N, 2)` that share more than the corner between neighbours."""
    count, ends = len(points), np.roll(points, -1, axis=0)
    for first in range(count):
        for second in np.flatnonzero(_meet(points[first], ends[first], points[first + 1 :], ends[first + 1 :])):
            other = first + 1 + int(second)
            corner = {other - first, first + count - other} & {1}
            if not corner or _folds(points, first, other):
                return first, other
    return None


def _meet(a: np.ndarray, b: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Say which lines `starts` to `ends` share a point with the line `a` to `b`."""
    apart = (np.maximum(starts, ends) < np.minimum(a, b)) | (np.minimum(starts, ends) > np.maximum(a, b))
    across = _side(a, b, starts) * _side(a, b, ends) <= 0
    along = _side(starts, ends, a) * _side(starts, ends, b) <= 0
    return ~apart.any(axis=1) & across & along


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Say on which side of the line through `a` and `b` a point lies: the sign, 0 on it."""
    along, to = b - a, point - a
    return np.sign(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0])


def _folds(points: np.ndarray, first: int, second: int) -> bool:
    """Say whether two neighbouring lines lie on each other, a spike without area."""
    one, other = (np.roll(points, -1, axis=0) - points)[[first, second]]
    return bool(one[0] * other[1] == one[1] * other[0] and one @ other < 0)
