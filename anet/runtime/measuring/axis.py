"""The middle line of a thin region, as smooth paths: what a crack or scratch is as long as.

A region is thinned (Guo and Hall 1989) on a list of its pixels, not on a picture of its box: a scratch across 100
megapixels costs its own pixels; in a small box all pixels are thinned at once (`thin.py`). The skeleton is pruned of
branches that only reach a corner or a rough edge, smoothed to less than a pixel, and its free ends are carried on,
straight, to the region's edge.
"""

import functools
from collections import Counter

import cv2
import numpy as np

from anet.runtime.measuring.thin import BITS, thinned

AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # y, x; clockwise from the top
SIGMA = 2.5  # of the smoothing along the path, in its pixels: less keeps the stairs, more cuts corners


def axis(row: np.ndarray, start: np.ndarray, stop: np.ndarray) -> list[np.ndarray]:
    """Give the middle line of an 8-connected region of runs: paths of `(N, 2) float64` y, x of pixel centres.

    A branch is a path of its own, so is a ring (its last point is its first); none: it is too round to have an axis.
    """
    origin = np.array([row.min(), start.min()])
    pixels = _Pixels(row - origin[0], start - origin[1], stop - origin[1])
    depth = pixels.depth()
    alive = pixels.thin() if pixels.place is None else thinned(pixels.key, pixels.stride)
    points = pixels.points()
    paths = _pruned(_links(pixels.around, alive), depth)
    ends = Counter(end for path in paths for end in (path[0], path[-1]))
    smooth = []
    for path in paths:
        closed = path[0] == path[-1]
        free = [not closed and ends[end] == 1 for end in (path[0], path[-1])]
        first, last = (_cut(path[::way], depth) if cut else 0 for way, cut in zip((1, -1), free, strict=True))
        if first + last > len(path) - 3:
            first = last = 0
        line = _smooth(points[path[first : len(path) - last]].astype(np.float64), closed)
        reach = [2 * depth[end] + 4.0 for end in (path[first], path[len(path) - last - 1])]
        head = [_carried(pixels, line, reach[0] + first)] if free[0] else []
        tail = [_carried(pixels, line[::-1], reach[1] + last)] if free[1] else []
        smooth.append(np.concatenate([*head, line, *tail]) + origin)
    return smooth


class _Pixels:
    """A region's pixels in a list, row by row, each knowing the places of its eight neighbours in it."""

    def __init__(self, row: np.ndarray, start: np.ndarray, stop: np.ndarray):
        length = stop - start
        first = np.repeat(np.cumsum(length) - length, length)
        x = np.arange(length.sum()) - first + np.repeat(start, length)
        self.stride = int(stop.max()) + 3
        self.key = (np.repeat(row, length) + 1) * self.stride + x + 1  # sorted; no neighbour wraps to another row
        size = int(self.key[-1]) + self.stride + 2
        self.place = np.full(size, -1, np.int32) if size <= BITS else None  # of each pixel of a small box in the list
        if self.place is not None:
            self.place[self.key] = np.arange(len(self.key), dtype=np.int32)
        self.around = np.stack([self.find(self.key + dy * self.stride + dx) for dy, dx in AROUND])
        self.scratch = np.empty(len(self.key), np.int32)

    def find(self, key: np.ndarray) -> np.ndarray:
        """Give the places of pixels in the list, -1 for those outside the region."""
        if self.place is not None:
            return self.place.take(key, mode="clip")  # the first and the last pixel are outside
        place = np.searchsorted(self.key, key)
        place[place == len(self.key)] = 0
        return np.where(self.key[place] == key, place, -1).astype(np.int32)

    def once(self, places: np.ndarray) -> np.ndarray:
        """Give each of some places once; np.unique would take most of all the time."""
        number = np.arange(len(places), dtype=np.int32)
        self.scratch[places] = number
        return places[self.scratch[places] == number]

    def points(self) -> np.ndarray:
        """Give `(N, 2)` y, x."""
        return np.stack([self.key // self.stride - 1, self.key % self.stride - 1], axis=1)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Give how far `(N, 2) float` points lie inside, 0..1, bilinear between pixel centres."""
        low = np.floor(points).astype(np.int64)
        y, x = (points - low).T
        at = (low[:, 0] + 1) * self.stride + low[:, 1] + 1
        corners = [(0, (1 - y) * (1 - x)), (1, (1 - y) * x), (self.stride, y * (1 - x)), (self.stride + 1, y * x)]
        return np.sum([(self.find(at + step) >= 0) * share for step, share in corners], axis=0)

    def depth(self) -> np.ndarray:
        """Give each pixel's distance to the outside, 1 at the edge; octagons for circles, 8 % off at most."""
        depth = np.any(self.around[::2] < 0, axis=0).astype(np.int32)
        front, step = np.flatnonzero(depth), 1
        while len(front):
            step += 1
            near = self.around[:: 1 + step % 2, front].ravel()
            near = near[near >= 0]
            front = self.once(near[depth[near] == 0])
            depth[front] = step
        return depth

    def thin(self) -> np.ndarray:
        """Thin to lines one pixel wide, joined as before; give which pixels are left."""
        alive = np.append(np.ones(len(self.key), bool), False)  # [-1]: the outside
        active = np.flatnonzero((self.around < 0).any(axis=0))
        changed = last = active
        half = 0
        while len(changed) or len(last):
            code = np.zeros(len(active), np.intp)
            for bit, neighbours in enumerate(self.around):
                code |= alive[neighbours[active]].astype(np.intp) << bit
            gone = active[_removable()[half][code]]
            alive[gone] = False
            touched = self.around[:, gone].ravel()
            last, changed = changed, self.once(touched[alive[touched]])
            active = self.once(np.concatenate([last, changed]))
            active = active[alive[active]]
            half = 1 - half
        return alive[:-1]


@functools.cache
def _removable() -> np.ndarray:
    """Give Guo and Hall's rule for both half steps: `(2, 256) bool`, by the bits of the neighbours in AROUND."""
    n, ne, e, se, s, sw, w, nw = (np.arange(256) >> np.arange(8)[:, None] & 1).astype(bool)
    parts = [~n & (ne | e), ~e & (se | s), ~s & (sw | w), ~w & (nw | n)]
    one = [nw | n, ne | e, se | s, sw | w]
    two = [n | ne, e | se, s | sw, w | nw]
    fewest = np.minimum(np.sum(one, axis=0), np.sum(two, axis=0))
    common = (np.sum(parts, axis=0) == 1) & (fewest >= 2) & (fewest <= 3)
    return np.stack([common & ~((s | sw | ~nw) & w), common & ~((n | ne | ~se) & e)])


def _links(around: np.ndarray, alive: np.ndarray) -> dict[int, list[int]]:
    """Give each skeleton pixel's neighbours; a diagonal one only when no pixel beside both joins them already."""
    kept = np.flatnonzero(alive)
    near = around[:, kept]
    near = np.where(np.append(alive, False)[near], near, -1)
    straight = near[::2] >= 0
    near[1::2][straight | np.roll(straight, -1, axis=0)] = -1
    return {
        pixel: [one for one in ones if one >= 0] for pixel, ones in zip(kept.tolist(), near.T.tolist(), strict=True)
    }


def _pruned(links: dict[int, list[int]], depth: np.ndarray) -> list[list[int]]:
    """Give the paths between ends and forks, without branches that are no longer than the region is wide there."""
    while True:
        paths = _paths(links)
        short = []
        for path in paths:
            for end, fork in ((path[0], path[-1]), (path[-1], path[0])):
                if len(links[end]) == 1 and len(links[fork]) > 2 and len(path) - 1 <= 1.5 * depth[fork] + 1:
                    short.append((end, fork, path))
        if not short:
            return [path for path in paths if len(path) > 1]
        for _, fork, path in short:
            for pixel in path:
                if pixel != fork:
                    for other in links.pop(pixel, ()):
                        if other in links:
                            links[other].remove(pixel)


def _paths(links: dict[int, list[int]]) -> list[list[int]]:
    """Cut a skeleton into paths between its ends and forks, and rings, which end where they began."""
    paths, done = [], set()
    nodes = [pixel for pixel, ones in links.items() if len(ones) != 2]

    def follow(first: int, second: int) -> None:
        path = [first, second]
        done.add((first, second))
        while len(links[path[-1]]) == 2 and path[-1] != first:
            a, b = links[path[-1]]
            path.append(b if a == path[-2] else a)
        done.add((path[-1], path[-2]))
        paths.append(path)
        seen.update(path)

    seen: set[int] = set()
    for node in nodes:
        seen.add(node)
        for other in links[node]:
            if (node, other) not in done:
                follow(node, other)
    for pixel, ones in links.items():
        if pixel not in seen:
            follow(pixel, ones[0])
    return paths


def _cut(path: list[int], depth: np.ndarray) -> int:
    """Give how many pixels at a free end may lean to a corner of the region: about as many as it is wide there."""
    for place, pixel in enumerate(path):
        if place >= 1.5 * (depth[pixel] - 1):
            return place
    return 0


def _smooth(points: np.ndarray, closed: bool) -> np.ndarray:
    """Take the stairs out of a path of pixels; its ends stay where they are.

    Smoothed twice, the second time what the first took away: a bend keeps its radius.
    """
    side = min(len(points) - 1, round(3 * SIGMA))
    kernel = cv2.getGaussianKernel(2 * side + 1, SIGMA).ravel()

    def once(values: np.ndarray) -> np.ndarray:
        if closed:
            before, after = values[-1 - side : -1], values[1 : side + 1]
        else:
            before, after = 2 * values[0] - values[side:0:-1], 2 * values[-1] - values[-2 : -side - 2 : -1]
        padded = np.concatenate([before, values, after])
        return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)

    rough = once(points)
    return rough + once(points - rough)


def _carried(pixels: _Pixels, line: np.ndarray, reach: float) -> np.ndarray:
    """Give the point where a path, carried on straight before its first point, leaves the region: `(1, 2)`."""
    way = line[0] - line[min(len(line) - 1, 6)]
    norm = np.hypot(*way)
    if not norm:
        return line[:0]
    steps = np.arange(0, reach, 0.125)
    points = line[0] + steps[:, None] * (way / norm)
    outside = np.flatnonzero(pixels.inside(points) < 0.5)
    return points[outside[:1]] if len(outside) else points[-1:]
