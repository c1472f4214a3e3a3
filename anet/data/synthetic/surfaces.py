"""Sound surfaces: textures of the DAGM kind, and metal as it comes from grinding, rolling and pressing.

Seeded to the byte on any machine: random numbers are PCG64's own bits, filters are sums of whole numbers, and the rest
is + - * / and square root, which IEEE 754 rounds alike everywhere. No FFT, BLAS, sin or exp: those differ between CPUs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ONE = 1 << 16  # the filters' fixed point


@dataclass(frozen=True)
class Ground:
    """A surface before defects and camera: `level` (H, W) float64 in grey values, unclipped.

    `spread` is the texture's standard deviation in grey values, `along` the unit vector (x, y) of rolling or grinding.
    """

    level: np.ndarray
    spread: float
    along: tuple[float, float]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw one number from [low, high)."""
    return low + (high - low) * float(rng.random())


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw one whole number from low..high, both included."""
    return low + int(rng.random() * (high - low + 1))


def direction(
    rng: np.random.Generator, along: tuple[float, float] = (1.0, 0.0), tilt: float = 0.05
) -> tuple[float, float]:
    """Draw a unit vector (x, y) that leaves `along` by a slope of at most `tilt`."""
    slope = between(rng, -tilt, tilt)
    x, y = along[0] - slope * along[1], along[1] + slope * along[0]
    length = math.sqrt(x * x + y * y)
    return x / length, y / length


def any_direction(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a unit vector (x, y) of any direction."""
    return direction(rng, ((1.0, 0.0), (0.0, 1.0))[whole(rng, 0, 1)], tilt=1.0)


def noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Give (size, size) int64 noise of almost normal distribution around 0: the sum of four uniform ones."""
    return (rng.random((4, size, size)) * ONE).astype(np.int64).sum(axis=0) - 2 * ONE


def smooth(field: np.ndarray, across_y: int, across_x: int, passes: int = 3) -> np.ndarray:
    """Blur a periodic int64 field by `passes` box filters of the given radii: almost a Gaussian, and exact."""
    for _ in range(passes):
        for axis, radius in ((0, across_y), (1, across_x)):
            if radius:
                radius = min(radius, field.shape[axis] // 2 - 1)
                field = _box(field, radius, axis)
    return field


def unit(field: np.ndarray) -> np.ndarray:
    """Bring an int64 field to mean 0 and deviation 1, as float64."""
    total, squares, count = int(field.sum()), int((field * field).sum()), field.size
    deviation = math.sqrt(max(count * squares - total * total, 1)) / count
    return (field - total / count) / deviation


def grain(rng: np.random.Generator, size: int, across_y: int, across_x: int) -> np.ndarray:
    """Give unit noise (size, size) float64 whose grains measure about `across_y` x `across_x` pixels."""
    return unit(smooth(noise(rng, size), across_y, across_x))


def axes(size: int, along: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Give for each pixel its coordinates (u along, v across) in pixels from the picture's middle."""
    line = np.arange(size) - (size - 1) / 2
    x, y = line[None, :], line[:, None]
    return x * along[0] + y * along[1], y * along[0] - x * along[1]


def turned(field: np.ndarray, along: tuple[float, float]) -> np.ndarray:
    """Sample a periodic field so that its rows run along `along`; bilinear."""
    size = field.shape[0]
    u, v = axes(size, along)
    column, row = np.floor(u), np.floor(v)
    du, dv = u - column, v - row
    x0, y0 = column.astype(np.int64) % size, row.astype(np.int64) % size
    x1, y1 = (x0 + 1) % size, (y0 + 1) % size
    above = field[y0, x0] * (1 - du) + field[y0, x1] * du
    below = field[y1, x0] * (1 - du) + field[y1, x1] * du
    return above * (1 - dv) + below * dv


def _box(field: np.ndarray, radius: int, axis: int) -> np.ndarray:
    width = 2 * radius + 1
    pad = [(0, 0), (0, 0)]
    pad[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(field, pad, mode="wrap"), axis=axis)
    upper = np.take(sums, range(width, sums.shape[axis]), axis=axis)
    lower = np.take(sums, range(sums.shape[axis] - width), axis=axis)
    return (upper - lower) // width


def _wave(t: np.ndarray) -> np.ndarray:
    """Give a wave of period 1 from parabolas, -1..1: a sine that every CPU computes alike."""
    half = 2 * (t - np.floor(t))
    arch = half - np.floor(half)
    return np.where(half < 1, 4 * arch * (1 - arch), -4 * arch * (1 - arch))


def grainy(rng: np.random.Generator, size: int) -> Ground:
    """Filtered noise of two grain sizes: cast or blasted surfaces."""
    coarse = whole(rng, 2, 5)
    texture = 0.8 * grain(rng, size, coarse, coarse) + 0.6 * grain(rng, size, 1, 1)
    spread = between(rng, 9, 17)
    return Ground(between(rng, 95, 160) + spread * texture, spread, any_direction(rng))


def woven(rng: np.random.Generator, size: int) -> Ground:
    """A plain or twill weave with uneven threads."""
    along = direction(rng, tilt=0.3)
    u, v = axes(size, along)
    wander = 0.7 * grain(rng, size, 6, 6), 0.7 * grain(rng, size, 6, 6)
    pitch = between(rng, 6.0, 10.0)
    weft, warp = (u + wander[0]) / pitch, (v + wander[1]) / (pitch * between(rng, 0.8, 1.2))
    column, row = np.floor(weft), np.floor(warp)
    across, down = weft - column, warp - row
    over = (column + row) % 2 < 1 if rng.random() < 0.5 else (column - row) % 4 < 2
    thread = np.where(over, 4 * across * (1 - across) + 0.15, 4 * down * (1 - down) - 0.15)
    spread = between(rng, 13, 22)
    texture = 2.2 * (thread - 0.66) + 0.25 * grain(rng, size, 1, 1) + 0.2 * grain(rng, size, 12, 12)
    return Ground(between(rng, 90, 150) + spread * texture, spread, along)


def streaked(rng: np.random.Generator, size: int) -> Ground:
    """Streaks of noise in one direction: brushed or drawn surfaces."""
    along = any_direction(rng)
    length = whole(rng, 8, 20)
    streaks = turned(grain(rng, size, 1, length), along)
    wide = turned(grain(rng, size, 4, length), along)
    spread = between(rng, 10, 18)
    return Ground(between(rng, 90, 165) + spread * (0.8 * streaks + 0.5 * wide), spread, along)


def cellular(rng: np.random.Generator, size: int) -> Ground:
    """Worley cells with dark seams: leather, crystallised zinc, ceramic."""
    steps = max(3, round(size / between(rng, 11, 17)))
    cell = size / steps
    line = np.arange(size) + 0.5
    x, y = np.broadcast_to(line[None, :], (size, size)), np.broadcast_to(line[:, None], (size, size))
    jitter, shade = rng.random((2, steps, steps)), rng.random((steps, steps)) - 0.5
    column, row = np.floor(x / cell).astype(np.int64), np.floor(y / cell).astype(np.int64)
    nearest = np.full((size, size), 1e9)
    second, tone = nearest.copy(), np.zeros((size, size))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            j, i = (row + dy) % steps, (column + dx) % steps
            off_x = (column + dx + jitter[0][j, i]) * cell - x
            off_y = (row + dy + jitter[1][j, i]) * cell - y
            distance = np.sqrt(off_x * off_x + off_y * off_y)
            second = np.minimum(second, np.maximum(nearest, distance))
            tone = np.where(distance < nearest, shade[j, i], tone)
            nearest = np.minimum(nearest, distance)
    seam = np.clip((second - nearest) / (0.35 * cell), 0, 1)
    spread = between(rng, 9, 16)
    texture = 2.6 * (seam * (2 - seam) - 0.8) + 1.1 * tone + 0.35 * grain(rng, size, 1, 1)
    return Ground(between(rng, 100, 160) + spread * texture, spread, any_direction(rng))


def cloudy(rng: np.random.Generator, size: int) -> Ground:
    """A Gaussian random field of many scales, rougher or smoother: stone, plaster, oxide."""
    weight, texture, total = 1.0, np.zeros((size, size)), 0.0
    decay = between(rng, 0.65, 0.9)
    for radius in (14, 7, 3, 1, 0):
        texture = texture + weight * grain(rng, size, radius, radius)
        total += weight * weight
        weight *= decay
    spread = between(rng, 9, 15)
    return Ground(between(rng, 90, 165) + spread * texture / math.sqrt(total), spread, any_direction(rng))


def ground(rng: np.random.Generator, size: int) -> Ground:
    """Ground metal: fine long lines, a few of them deeper, and a broad sheen."""
    along = direction(rng, ((1.0, 0.0), (0.0, 1.0))[whole(rng, 0, 1)], tilt=0.25)
    fine = turned(grain(rng, size, 0, 30), along)
    deep = turned(grain(rng, size, 1, 45), along)
    sheen = turned(grain(rng, size, 16, 60), along)
    texture = 0.75 * fine + 0.3 * np.minimum(deep * np.abs(deep), 2) + 0.45 * sheen + 0.25 * grain(rng, size, 0, 0)
    spread = between(rng, 7, 14)
    return Ground(between(rng, 120, 180) + spread * texture, spread, along)


def rolled(rng: np.random.Generator, size: int) -> Ground:
    """Hot-rolled strip: dull mottled scale, drawn out along the rolling direction, with faint bands."""
    along = direction(rng, (0.0, 1.0), tilt=0.06)
    mottle = turned(grain(rng, size, 2, 5), along)
    bands = turned(grain(rng, size, 9, 80), along)
    scale = turned(grain(rng, size, 1, 2), along)
    texture = 0.6 * mottle + 0.45 * bands - 0.4 * np.maximum(scale - 1.4, 0) + 0.45 * grain(rng, size, 0, 0)
    spread = between(rng, 6, 12)
    return Ground(between(rng, 85, 165) + spread * texture, spread, along)


def tile(rng: np.random.Generator, size: int) -> Ground:
    """A pressed and ground magnetic tile: dark, fine-grained, curved, so that light falls off across it."""
    along = direction(rng, ((1.0, 0.0), (0.0, 1.0))[whole(rng, 0, 1)], tilt=0.04)
    _, v = axes(size, along)
    bow = (v / size - between(rng, -0.25, 0.25)) * 2
    lines = turned(grain(rng, size, 0, 25), along)
    bright = np.maximum(turned(grain(rng, size, 0, 50), along) - 1, 0)  # a few lines that mirror the lamp
    blotch = grain(rng, size, 10, 14)
    texture = 0.6 * lines + 0.7 * bright + 0.5 * blotch + 0.4 * grain(rng, size, 1, 1) + 0.35 * grain(rng, size, 0, 0)
    spread = between(rng, 5, 10)
    return Ground(between(rng, 80, 130) - between(rng, 20, 50) * bow * bow + spread * texture, spread, along)


SURFACES: dict[str, Callable[[np.random.Generator, int], Ground]] = {
    "grainy": grainy,
    "woven": woven,
    "streaked": streaked,
    "cellular": cellular,
    "cloudy": cloudy,
    "ground": ground,
    "rolled": rolled,
    "tile": tile,
}
