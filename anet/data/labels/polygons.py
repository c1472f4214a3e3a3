"""Outlines to pixels, by one rule: a pixel belongs to an outline when its centre lies inside.

Coordinates are x, y in pixels from the picture's top-left corner, so pixel (0, 0) covers 0..1 and the rectangle
(x0, y0)-(x1, y1) of whole numbers covers exactly the pixels x0..x1-1, y0..y1-1. Inside is even-odd; parts of one object
are united. COCO, labelme and YOLO all measure so. Where objects overlap, the smaller one is drawn last and wins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from anet.frame import IGNORE

FAR_PX = 1e6  # a coordinate beyond this means nothing: no picture has such a side
ROWS = 2_000_000  # crossings of outline and pixel rows held at a time
Crop = tuple[int, int, np.ndarray]  # y0, x0 and the (h, w) bool pixels from there


@dataclass(frozen=True)
class Shape:
    """One labelled object: what it is, where the annotation states it, and how to draw it."""

    label: str  # class name, "background" or "ignore"
    entry: str  # its place in the annotation file, for messages
    box: tuple[float, float, float, float]
    area_px: float  # of the outline, before clipping; decides who is drawn first
    raster: Callable[[int, int], Crop]
    thin: Callable[[int, int], Crop] | None = None  # drawn instead where `raster` finds no pixel


def polygon(label: str, entry: str, parts: list[np.ndarray]) -> Shape:
    """Make a shape of outlines `(N, 2) float64` x, y; one too thin for any pixel centre is drawn as a line of 1 px.

    Otherwise hair cracks would vanish and their pictures count as sound.
    """

    def thin(h: int, w: int) -> Crop:
        return union([quad for points in parts for quad in _quads(np.concatenate([points, points[:1]]), 1)], h, w)

    area_px = sum(_area(points) for points in parts)
    return Shape(label, entry, _box(np.concatenate(parts)), area_px, lambda h, w: union(parts, h, w), thin)


def line(label: str, entry: str, points: np.ndarray, width_px: int) -> Shape:
    """Make a shape of an open line `(N, 2) float64` x, y of `width_px`."""
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    return Shape(label, entry, _box(points), length * width_px, lambda h, w: union(_quads(points, width_px), h, w))


def runs(label: str, entry: str, h: int, w: int, counts: np.ndarray) -> Shape:
    """Make a shape of run lengths as COCO states them: column by column, outside first; their sum must be h * w."""

    def raster(_h: int, _w: int) -> Crop:
        pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(w, h).T
        return 0, 0, pixels

    return Shape(label, entry, (0, 0, w, h), float(counts[1::2].sum()), raster)


def fill(points: np.ndarray, h: int, w: int) -> Crop:
    """Fill one outline `(N, 2)` x, y by the rule of centres, even-odd, clipped to `h` x `w`."""
    x0, y0, x1, y1 = _inside(points, h, w)
    flips = np.zeros((y1 - y0, x1 - x0 + 1), np.uint8)  # the pixels of a row at which inside and outside change
    edges = np.concatenate([points, np.roll(points, -1, axis=0)], axis=1)  # xa, ya, xb, yb
    edges[edges[:, 1] > edges[:, 3]] = edges[edges[:, 1] > edges[:, 3]][:, [2, 3, 0, 1]]  # there and back must cancel
    first, last = (np.clip(np.ceil(edges[:, i] - 0.5), y0, y1).astype(int) for i in (1, 3))
    count = last - first  # rows whose centre the edge crosses
    ends = np.cumsum(count)
    for some in np.split(np.arange(len(edges)), np.searchsorted(ends, np.arange(ROWS, ends[-1], ROWS))):
        n = count[some]
        rows = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first[some], n)
        xa, ya, xb, yb = np.repeat(edges[some], n, axis=0).T
        crossing = xa + (rows + 0.5 - ya) * ((xb - xa) / (yb - ya))
        columns = np.clip(np.ceil(crossing - 0.5), x0, x1).astype(int)
        np.add.at(flips, (rows - y0, columns - x0), 1)  # wraps at 256, which keeps odd and even
    return y0, x0, (np.bitwise_xor.accumulate(flips & 1, axis=1) == 1)[:, :-1]


def union(outlines: list[np.ndarray], h: int, w: int) -> Crop:
    """Fill outlines `(N, 2)` x, y one by one into one crop, clipped to `h` x `w`."""
    x0, y0, x1, y1 = _inside(np.concatenate(outlines), h, w)
    pixels = np.zeros((y1 - y0, x1 - x0), bool)
    for points in outlines:
        y, x, crop = fill(points, h, w)
        pixels[y - y0 : y - y0 + crop.shape[0], x - x0 : x - x0 + crop.shape[1]] |= crop
    return y0, x0, pixels


@dataclass(frozen=True)
class Drawn:
    """A mask `(H, W) uint8` of class ids, and what was odd about its shapes."""

    mask: np.ndarray
    lost: tuple[Shape, ...]  # cover no pixel of the picture
    covered: tuple[Shape, ...]  # of a class of defect, and all their pixels went to other classes or to the background
    thin: tuple[Shape, ...]  # covered no pixel centre and were drawn as lines
    clipped: tuple[Shape, ...]  # reach beyond the picture


def draw(shapes: tuple[Shape, ...], ids: dict[str, int], h: int, w: int) -> Drawn:
    """Draw shapes into a mask of `h` x `w`; `ids` gives the value of each label.

    What is to be ignored comes first, then the largest to the smallest, equal ones in their order in the file.
    """
    mask, lost, thin, drawn = np.zeros((h, w), np.uint8), [], [], []
    values = {**ids, "background": 0, "ignore": IGNORE}
    for shape in sorted(shapes, key=lambda s: (s.label != "ignore", -s.area_px)):
        raster = shape.raster
        y0, x0, pixels = raster(h, w)
        if not pixels.any() and shape.thin:
            raster = shape.thin
            y0, x0, pixels = raster(h, w)
            thin += [shape] if pixels.any() else []
        if pixels.any():
            drawn.append((shape, raster))
        else:
            lost.append(shape)
        mask[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]][pixels] = values[shape.label]
    several = len({shape.label for shape in shapes}) > 1  # else none can lose its pixels, and nothing is drawn twice
    hidden = (s for s, raster in drawn if several and s.label in ids and not _left(mask, raster(h, w), ids[s.label]))
    return Drawn(mask, tuple(lost), tuple(hidden), tuple(thin), tuple(s for s in shapes if _beyond(s.box, h, w)))


def _left(mask: np.ndarray, crop: Crop, value: int) -> bool:
    """Say whether a mask has `value` anywhere in a crop's pixels."""
    y0, x0, pixels = crop
    return bool((mask[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]][pixels] == value).any())


def points_of(pairs: Any, numbers: Callable[[Any], bool]) -> np.ndarray | None:
    """Turn JSON's [[x, y], ...] into `(N, 2) float64`; None when it is not that, not finite or beyond all pictures."""
    if not isinstance(pairs, list) or not pairs:
        return None
    if not all(isinstance(p, list) and len(p) == 2 and numbers(p[0]) and numbers(p[1]) for p in pairs):
        return None
    points = np.array(pairs, np.float64)
    return points if np.abs(points).max() <= FAR_PX else None


def _box(points: np.ndarray) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _beyond(box: tuple[float, float, float, float], h: int, w: int) -> bool:
    return min(box[0], box[1], w - box[2], h - box[3]) < -0.01  # less is rounding of the annotation tool


def _area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _inside(points: np.ndarray, h: int, w: int) -> tuple[int, int, int, int]:
    """Give the pixels x0, y0, x1, y1 that hold `points`, clipped to `h` x `w`; empty beyond it."""
    x0, y0 = np.clip(np.floor(points.min(axis=0)), 0, (w, h)).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(points.max(axis=0)), (x0, y0), (w, h)).astype(int).tolist()
    return x0, y0, x1, y1


def _quads(points: np.ndarray, width_px: int) -> list[np.ndarray]:
    """Turn a line into one rectangle a piece, half the width longer at both ends so that corners close."""
    quads = []
    for a, b in pairwise(points):
        length = float(np.hypot(*(b - a)))
        along = (b - a) / length if length else np.array([1.0, 0.0])
        along, across = along * width_px / 2, np.array([-along[1], along[0]]) * width_px / 2
        quads.append(np.array([a - along - across, b + along - across, b + along + across, a - along + across]))
    return quads
