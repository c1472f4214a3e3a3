"""Defects: each takes a sound surface and gives the harmed one, with its coverage.

A defect changes grey values only where its coverage is above 0 and draws them from the surface's own spread, so that a
faint one is hard on any surface. Coverage is 0..1 per pixel; the mask is where it is above one half.
"""

import math
from collections.abc import Callable

import numpy as np

from anet.data.synthetic.surfaces import Ground, any_direction, axes, between, direction, grain, turned, whole

Harmed = tuple[np.ndarray, np.ndarray]  # level and coverage, both (H, W) float64
Rng = np.random.Generator


def scratch(rng: Rng, surface: Ground) -> Harmed:
    """One to three thin curved lines, tapered, at times broken, dark or bright, with a bright lip on one side."""
    level, covered = surface.level, np.zeros_like(surface.level)
    size = level.shape[0]
    course = any_direction(rng) if rng.random() < 0.6 else direction(rng, surface.along, tilt=0.35)
    for _ in range(_few(rng, 0.25)):
        way = direction(rng, course, tilt=0.12)
        line = _curve(rng, size, way, between(rng, 0.3, 0.8) * size)
        width = between(rng, 1.6, 4.0)
        taper = _taper(len(line))
        kept = _gaps(rng, len(line) - 1) if rng.random() < 0.3 else np.ones(len(line) - 1, bool)
        core = _stroke(size, line, np.maximum(width * taper, 1.0), kept)
        depth = _depth(rng, surface.spread, 2.2, 5.0)
        depth = -depth if rng.random() < 0.6 else depth
        level = level + depth * core * (0.85 + 0.15 * np.clip(grain(rng, size, 1, 1), -1, 1))
        if rng.random() < 0.5:  # the lip that a hard point throws up
            aside = np.array([-way[1], way[0]]) * (width / 2 + 0.5)
            lip = _stroke(size, line + aside, np.full(len(line), 1.0), kept) * (1 - core)
            level = level + 0.6 * abs(depth) * lip
            core = np.maximum(core, lip)
        covered = np.maximum(covered, core)
    return level, covered


def inclusion(rng: Rng, surface: Ground) -> Harmed:
    """One to four dark ragged blobs, drawn out along the rolling direction, at times one behind the other."""
    covered, dark = np.zeros_like(surface.level), np.zeros_like(surface.level)
    size = surface.level.shape[0]
    spot = _spot(rng, size, 0.22)
    for _ in range(_few(rng, 0.5)):
        u, v = _around(size, spot, surface.along)
        length, width = between(rng, 0.07, 0.22) * size, max(2.4, between(rng, 0.014, 0.045) * size)
        ragged = turned(grain(rng, size, 2, 6), surface.along)
        inside = 1 - (u / length) * (u / length) - (v / width) * (v / width) + 0.35 * ragged
        body = np.clip(inside * width * 0.5 + 0.5, 0, 1) * (np.abs(u) < 1.35 * length) * (np.abs(v) < 1.5 * width + 1)
        depth = _depth(rng, surface.spread, 2.0, 4.5)
        dark = np.maximum(dark, depth * body * (0.85 + 0.2 * np.clip(grain(rng, size, 1, 2), -1.5, 1.5)))
        covered = np.maximum(covered, body)
        step = between(rng, 1.1, 2.2) * length
        side = between(rng, -3, 3) * width
        x, y = surface.along
        spot = _inside(spot, step * x - side * y, step * y + side * x, size)
    return surface.level - dark, covered


def patch(rng: Rng, surface: Ground) -> Harmed:
    """An irregular region, darker or lighter, whose texture is another one."""
    size = surface.level.shape[0]
    u, v = _around(size, _spot(rng, size, 0.25), direction(rng, surface.along, tilt=0.3))
    long, short = between(rng, 0.12, 0.26) * size, between(rng, 0.08, 0.16) * size
    far = (u / long) * (u / long) + (v / short) * (v / short)
    coast = 0.45 * grain(rng, size, size // 16, size // 16) + 0.12 * grain(rng, size, 2, 2)
    body = np.clip((1 - far + coast) * short * 0.25 + 0.5, 0, 1) * (far < 3)
    shift = _depth(rng, surface.spread, 1.4, 3.2)
    shift = -shift if rng.random() < 0.7 else shift
    middle = float(np.median(surface.level))  # a mean would depend on the order of summing
    kept = between(rng, 0.35, 0.8)
    other = middle + kept * (surface.level - middle) + shift + 0.35 * surface.spread * grain(rng, size, 1, 1)
    return surface.level + body * (other - surface.level), body


def crack(rng: Rng, surface: Ground) -> Harmed:
    """A dark jagged line of one to three pixels that wanders and branches."""
    size = surface.level.shape[0]
    covered, shade = np.zeros_like(surface.level), np.zeros_like(surface.level)
    spot, way = _spot(rng, size, 0.25), any_direction(rng)
    reach = between(rng, 0.25, 0.6) * size
    spot = spot[0] - way[0] * reach / 2, spot[1] - way[1] * reach / 2
    width, branches = between(rng, 1.4, 3.0), whole(rng, 0, 3)
    trunk = _walk(rng, spot, way, reach)
    for number in range(branches + 1):
        if number:
            root = trunk[whole(rng, len(trunk) // 5, len(trunk) - 2)]
            side = 1.0 if rng.random() < 0.5 else -1.0
            turn = between(rng, 0.5, 1.1) * side
            line = _walk(rng, tuple(root), direction(rng, _bend(way, turn), tilt=0.1), reach * between(rng, 0.15, 0.4))
        else:
            line = trunk
        thick = max(1.0, width * (0.65 if number else 1.0))
        wide = np.maximum(thick * _taper(len(line)) * (0.75 + 0.5 * rng.random(len(line))), 1.0)
        stroke = _stroke(size, line, wide, np.ones(len(line) - 1, bool))
        shade = np.maximum(shade, stroke * between(rng, 0.8, 1.0))
        covered = np.maximum(covered, stroke)
    depth = _depth(rng, surface.spread, 3.2, 6.0)
    return surface.level - depth * shade * (0.85 + 0.15 * np.clip(grain(rng, size, 1, 1), -1, 1)), covered


def pore(rng: Rng, surface: Ground) -> Harmed:
    """One to seven small dark holes with a rim that the light catches on one side."""
    level, covered = surface.level, np.zeros_like(surface.level)
    size = level.shape[0]
    light, spot = any_direction(rng), _spot(rng, size, 0.15)
    for _ in range(_few(rng, 0.6, most=7)):
        u, v = _around(size, spot, direction(rng, surface.along, tilt=0.5))
        radius = max(1.8, between(rng, 0.010, 0.036) * size)
        v = v * between(rng, 1.0, 1.5)
        distance = np.sqrt(u * u + v * v) + 0.35 * grain(rng, size, 1, 1) * (radius > 3)
        hole, edged = np.clip(radius + 0.5 - distance, 0, 1), np.clip(radius + 1.6 - distance, 0, 1)
        lit = (u * light[0] + v * light[1]) / np.maximum(distance, 0.5)
        depth = _depth(rng, surface.spread, 2.5, 5.0)
        floor = 0.75 + 0.25 * np.clip(distance / radius, 0, 1) * lit
        rim = (edged - hole) * np.clip(lit, -0.4, 1)
        level = level - depth * hole * floor + 0.7 * depth * rim
        covered = np.maximum(covered, edged)
        spot = _inside(spot, between(rng, -0.3, 0.3) * size, between(rng, -0.3, 0.3) * size, size)
    return level, covered


DEFECTS: dict[str, Callable[[Rng, Ground], Harmed]] = {
    "scratch": scratch,
    "inclusion": inclusion,
    "patch": patch,
    "crack": crack,
    "pore": pore,
}


def _few(rng: Rng, more: float, most: int = 4) -> int:
    count = 1
    while count < most and rng.random() < more:
        count += 1
    return count


def _depth(rng: Rng, spread: float, low: float, high: float) -> float:
    """Draw how many grey values a defect differs by, from faint to plain."""
    return 12 + 1.35 * spread * (low + (high - low) * float(rng.random()))


def _spot(rng: Rng, size: int, margin: float) -> tuple[float, float]:
    return between(rng, margin, 1 - margin) * size, between(rng, margin, 1 - margin) * size


def _inside(spot: tuple[float, float], dx: float, dy: float, size: int) -> tuple[float, float]:
    """Step from `spot`; what would leave the picture is turned back."""
    x = spot[0] + dx if 0.08 * size < spot[0] + dx < 0.92 * size else spot[0] - dx
    y = spot[1] + dy if 0.08 * size < spot[1] + dy < 0.92 * size else spot[1] - dy
    return min(max(x, 0.08 * size), 0.92 * size), min(max(y, 0.08 * size), 0.92 * size)


def _around(size: int, spot: tuple[float, float], along: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Give for each pixel its coordinates (u along, v across) from `spot`."""
    u, v = axes(size, along)
    x, y = spot[0] - (size - 1) / 2, spot[1] - (size - 1) / 2
    return u - (x * along[0] + y * along[1]), v - (y * along[0] - x * along[1])


def _bend(way: tuple[float, float], slope: float) -> tuple[float, float]:
    x, y = way[0] - slope * way[1], way[1] + slope * way[0]
    length = math.sqrt(x * x + y * y)
    return x / length, y / length


def _curve(rng: Rng, size: int, way: tuple[float, float], length: float) -> np.ndarray:
    """Give a bent line (points, 2) of x, y: a quadratic Bezier curve through the middle part of the picture."""
    middle = np.array(_spot(rng, size, 0.25))
    step, aside = np.array(way) * length / 2, np.array([-way[1], way[0]]) * length * between(rng, -0.25, 0.25)
    t = np.linspace(0, 1, 25)[:, None]
    return (1 - t) * (1 - t) * (middle - step) + 2 * t * (1 - t) * (middle + aside) + t * t * (middle + step)


def _taper(count: int) -> np.ndarray:
    t = np.abs(np.linspace(-1, 1, count))
    return 1 - t * t * t * t


def _gaps(rng: Rng, count: int) -> np.ndarray:
    """Say which pieces of a line are there; at least the first half of it is."""
    kept = np.ones(count, bool)
    start = whole(rng, count // 2, count - 3)
    kept[start : start + whole(rng, 2, 4)] = False
    return kept


def _walk(rng: Rng, start: tuple[float, ...], way: tuple[float, float], length: float) -> np.ndarray:
    """Give a jagged line (points, 2) of x, y that keeps to `way` on the whole."""
    points, step = [np.array(start[:2], float)], 4.0
    for _ in range(max(3, round(length / step))):
        points.append(points[-1] + step * np.array(_bend(way, between(rng, -1.1, 1.1))))
    return np.array(points)


def _stroke(size: int, line: np.ndarray, widths: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Give the coverage (size, size) of a line (points, 2) whose width in pixels changes from point to point."""
    gap = np.full((size, size), 1e9)  # distance to the line's edge, below 0 inside
    for i in np.flatnonzero(kept):
        (xa, ya), (xb, yb) = line[i], line[i + 1]
        reach = max(widths[i], widths[i + 1]) / 2 + 2
        x0, x1 = max(0, math.floor(min(xa, xb) - reach)), min(size, math.ceil(max(xa, xb) + reach) + 1)
        y0, y1 = max(0, math.floor(min(ya, yb) - reach)), min(size, math.ceil(max(ya, yb) + reach) + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        x, y = np.arange(x0, x1)[None, :] - xa, np.arange(y0, y1)[:, None] - ya
        dx, dy = xb - xa, yb - ya
        t = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        off_x, off_y = x - t * dx, y - t * dy
        edge = np.sqrt(off_x * off_x + off_y * off_y) - (widths[i] + t * (widths[i + 1] - widths[i])) / 2
        gap[y0:y1, x0:x1] = np.minimum(gap[y0:y1, x0:x1], edge)
    return np.clip(0.5 - gap, 0, 1)
