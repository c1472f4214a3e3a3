"""Which pictures are cut into tiles, and into which: one rule for the line and for what is chosen for it."""

import zlib
from collections.abc import Callable

import numpy as np

from anet.errors import OptionError
from anet.frame import Frame
from anet.runtime.card import Card
from anet.runtime.tiling import Answers, Grid, Tiles, blended

LARGER = 1.5  # times the large training pictures, learnt whole: from there on tiles are chosen where nothing is said
MOST_PX = 2048  # of the network's frame, where a dynamic size would let it grow with the picture
TUNED = Tiles()  # nothing was tuned


def grid_of(card: Card, wanted: bool | Tiles | None = None, tuned: Tiles = TUNED) -> Grid:
    """Give the tiles that are cut where any are. Raises OptionError where no scale is known."""
    tiles = wanted.otherwise(tuned) if isinstance(wanted, Tiles) else tuned
    if not (tiles.scale or card.scale):
        raise OptionError("the model does not say how large its training pictures were: tiles need a scale, 1 or so")
    frame = Frame(card.train_px) if card.dynamic else card.frame(0, 0)
    return tiles.grid(frame, card.scale)


def grid_for(card: Card, h: int, w: int, wanted: bool | Tiles | None = None, tuned: Tiles = TUNED) -> Grid | None:
    """Give the tiles for a picture of `h` x `w`, None where it is looked at as a whole.

    `wanted` as `tiles` of `anet.runtime.inspector.Inspector`, `tuned` what it leaves open. Raises OptionError.
    """
    most = MOST_PX / (tuned.scale or card.scale) if card.dynamic else LARGER * (card.large_px or card.picture_px)
    if wanted is False or (wanted is None and not 0 < most < max(h, w)):
        return None
    grid = grid_of(card, wanted, tuned)
    return None if h <= grid.h and w <= grid.w else grid


def probs_of(image: np.ndarray, grid: Grid, answers: Answers) -> np.ndarray:
    """Give the probabilities `(H, W, channels) float32` of a picture `(H, W, 3) uint8` that is cut."""
    return np.concatenate([band.probs for band in blended([image], grid, answers)])


def probs_later(image: np.ndarray, grid: Grid, answers: Answers, lent: bool) -> Callable[[], np.ndarray]:
    """Give what makes `probs_of` when called; it raises ValueError where a `lent` picture has other pixels by then."""
    was = _checksum(image) if lent else 0

    def make() -> np.ndarray:
        if lent and _checksum(image) != was:
            raise ValueError("the picture's array holds other pixels by now: ask for probs() first, or inspect a copy")
        return probs_of(image, grid, answers)

    return make


def _checksum(image: np.ndarray) -> int:
    """Give a sum of a picture's bytes, in some ms a megapixel; few rows at a time, since those of a view are copied."""
    total = 0
    for top in range(0, len(image), 64):
        total = zlib.crc32(np.ascontiguousarray(image[top : top + 64]).data, total)
    return total
