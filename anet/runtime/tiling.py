"""Pictures of any size, in tiles: pure geometry. Rows come in, probabilities of rows go out, memory stays flat.

Tiles of equal size lie in rows from the top left, each overlapping its neighbours; the last one of a row, and the last
row, are shifted inwards. Where tiles overlap their answers are blended by fixed windows, and always summed in the same
order: the same picture gives the same bits, however its rows were handed in and however many threads answered.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from anet.errors import ImageError, OptionError
from anet.frame import PAD, Frame

OVERLAP = 0.25  # of a tile's side
Answers = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]  # frames -> probabilities, in order
_Tile = tuple[int, np.ndarray, int, np.ndarray]  # first row, all of the web's rows from there, first column, share


@dataclass(frozen=True)
class Tiles:
    """How to cut: `scale` network pixels for one of the picture, `overlap` 0..0.5 of a side.

    None is what was tuned for this machine, or else the scale of the training and OVERLAP.
    """

    scale: float | None = None
    overlap: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not (_is_number(self.scale) and 0.01 <= self.scale <= 100):
            raise OptionError(
                f"scale is {self.scale!r:.60}: 0.01 to 100 network pixels for one of the picture would work"
            )
        if self.overlap is not None and not (_is_number(self.overlap) and 0 <= self.overlap <= 0.5):
            raise OptionError(f"overlap is {self.overlap!r:.60}: 0 to 0.5 of a tile's side would work")

    def otherwise(self, other: "Tiles") -> "Tiles":
        """Give these with what they leave open as `other` has it."""
        return Tiles(
            other.scale if self.scale is None else self.scale,
            other.overlap if self.overlap is None else self.overlap,
        )

    def grid(self, frame: Frame, scale: float) -> "Grid":
        """Give the tiles that fill `frame`, at `scale` where this has none of its own."""
        chosen, over = self.scale or scale, OVERLAP if self.overlap is None else self.overlap
        h, w = max(1, round(frame.h / chosen)), max(1, round(frame.w / chosen))
        return Grid(frame, h, w, round(h * over), round(w * over), chosen)


def tiles_of(wanted: bool | None, scale: float | None, overlap: float | None) -> bool | Tiles | None:
    """Give what an inspector's `tiles` is when asked for by options; a scale or an overlap ask for tiles."""
    if scale is None and overlap is None:
        return wanted
    if wanted is False:
        raise OptionError("scale and overlap are those of tiles, which are not wanted: leave them out, or --no-tiles")
    return Tiles(scale, overlap)


@dataclass(frozen=True)
class Grid:
    """Tiles of `h` x `w` pixels of the picture, which share `over_h` rows and `over_w` columns with the next."""

    frame: Frame
    h: int
    w: int
    over_h: int
    over_w: int
    scale: float

    def count(self, h: int, w: int) -> int:
        """Give how many tiles cover an `h` x `w` picture."""
        return len(starts(h, self.h, self.h - self.over_h)) * len(starts(w, self.w, self.w - self.over_w))

    def framed(self, part: np.ndarray) -> np.ndarray:
        """Put a tile into the frame; one that a small picture does not fill is padded first, so its scale stays."""
        if part.shape[:2] != (self.h, self.w):
            padded = np.full((self.h, self.w, 3), PAD, np.uint8)
            padded[: part.shape[0], : part.shape[1]] = part
            part = padded
        return self.frame.image(np.ascontiguousarray(part))


@dataclass(frozen=True, eq=False)
class Band:
    """Rows of a picture from `top` on, with their final probabilities."""

    top: int
    image: np.ndarray  # (rows, w, 3) uint8
    probs: np.ndarray  # (rows, w, channels) float32

    @property
    def bottom(self) -> int:
        """The row behind the last one."""
        return self.top + len(self.image)


def starts(length: int, side: int, step: int) -> list[int]:
    """Give where tiles of `side` begin along `length`: every `step`, the last one shifted inwards to end with it."""
    regular = list(range(0, max(1, length - side + 1), step))
    return regular if regular[-1] + side >= length else [*regular, length - side]


def window(side: int, over: int) -> np.ndarray:
    """Give a tile's weights along one axis, `(side,) float64`: 1 inside, falling over `over` pixels at both ends."""
    if not over:
        return np.ones(side)
    inside = np.arange(side) + 0.5
    return np.minimum(np.minimum(inside, inside[::-1]) / over, 1)


def shares(length: int, side: int, over: int) -> list[tuple[int, np.ndarray]]:
    """Give each tile's first place along `length` and its share of the answer there; shares sum to 1 at every place."""
    begins, raw, total = starts(length, side, side - over), window(side, over), np.zeros(max(length, side))
    for begin in begins:
        total[begin : begin + side] += raw
    return [(begin, (raw / total[begin : begin + side])[: length - begin].astype(np.float32)) for begin in begins]


def blocks(strips: Iterable[np.ndarray], side: int, step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cut rows, which come in strips of any height, as `starts` does: first row, and `(side, w, 3) uint8`."""
    parts: list[np.ndarray] = []
    first = top = count = 0  # rows from `first` to `count` are in `parts`; the next block begins at `top`
    for strip in strips:
        _check_strip(strip, parts)
        parts.append(strip)
        count += len(strip)
        if count < top + side:
            continue
        held = parts[0] if len(parts) == 1 else np.concatenate(parts)
        while count >= top + side:
            yield top, held[top - first : top - first + side]
            top += step
        keep = top - step  # the last block may be shifted to just below the one before it
        parts, first = [held[keep - first :]], keep
    covered = top - step + side if top else 0
    if count > covered:
        last, held = max(0, count - side), np.concatenate(parts)
        yield last, held[last - first :]


def blended(strips: Iterable[np.ndarray], grid: Grid, answers: Answers, live: bool = False) -> Iterator[Band]:
    """Look at all tiles of a picture or web and give its probabilities from top to bottom, in bands.

    A strip is `(rows, w, 3) uint8` RGB. Bands depend on the picture alone, not on how it was cut into strips. At any
    time, one row of tiles is held. `live` strips may be long in coming: each row of tiles is answered before more are
    asked for; others keep the network at work from row to row. Raises ImageError for strips that do not fit each other.
    """

    def rows_of_tiles() -> Iterator[list[_Tile]]:
        columns: list[tuple[int, np.ndarray]] = []
        for top, rows in blocks(strips, grid.h, grid.h - grid.over_h):
            columns = columns or shares(rows.shape[1], grid.w, grid.over_w)
            yield [(top, rows, left, share) for left, share in columns]

    def answered(tiles: Iterable[_Tile]) -> Iterator[tuple[_Tile, np.ndarray]]:
        todo: deque[_Tile] = deque()

        def frames() -> Iterator[np.ndarray]:
            for tile in tiles:
                todo.append(tile)
                _, rows, left, _ = tile
                yield grid.framed(rows[:, left : left + grid.w])

        for probs in answers(frames()):
            yield todo.popleft(), probs

    together = rows_of_tiles() if live else [chain.from_iterable(rows_of_tiles())]
    sums, above = None, None
    for (top, rows, left, share), probs in chain.from_iterable(map(answered, together)):
        if sums is None:
            sums = _Sums(grid, rows.shape[1], probs.shape[2])
        elif left == 0 and above is not None:
            done = top - above[0]
            yield Band(above[0], above[1][:done], sums.finish(done))
        sums.add(grid.frame.back(probs, grid.h, grid.w)[: len(rows), : len(share)], left, share)
        above = top, rows
    if sums is not None and above is not None:
        yield Band(above[0], above[1], sums.finish(len(above[1])))


class _Sums:
    """The weighted answers of the rows that are still open: one row of tiles."""

    def __init__(self, grid: Grid, w: int, channels: int):
        self.down = window(grid.h, grid.over_h).astype(np.float32)
        self.sums = np.zeros((grid.h, w, channels), np.float32)
        self.weight = np.zeros(grid.h, np.float32)

    def add(self, probs: np.ndarray, left: int, share: np.ndarray) -> None:
        """Add a tile's `(rows, columns, channels)` answers at column `left`; the first of a row has column 0."""
        rows = len(probs)
        if left == 0:
            self.weight[:rows] += self.down[:rows]
        weights = self.down[:rows, None, None] * share[None, :, None]
        self.sums[:rows, left : left + len(share)] += probs * weights

    def finish(self, rows: int) -> np.ndarray:
        """Give the probabilities of the first rows and let the others move up."""
        done = self.sums[:rows] / self.weight[:rows, None, None]
        for values in (self.sums, self.weight):
            values[: len(values) - rows] = values[rows:].copy()
            values[len(values) - rows :] = 0
        return done


def _check_strip(strip: Any, before: list[np.ndarray]) -> None:
    fits = isinstance(strip, np.ndarray) and strip.dtype == np.uint8 and strip.ndim == 3 and strip.shape[2] == 3
    if not fits or not strip.size:
        found = f"{strip.shape} {strip.dtype}" if isinstance(strip, np.ndarray) else type(strip).__name__
        raise ImageError(f"a strip is (rows, w, 3) uint8 RGB, with one row or more: {found} given")
    if before and strip.shape[1] != before[0].shape[1]:
        raise ImageError(f"a strip is {strip.shape[1]} pixels wide, the one before {before[0].shape[1]}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
