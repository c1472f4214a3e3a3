"""The one definition of how a picture of any size becomes the network's input, a square by default, and back.

Training, scoring and the runtime all go through `Frame`; a number changed here changes everywhere at once.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from anet.errors import OptionError

IGNORE = 255  # mask value of a pixel that is neither trained on nor scored
STRIDE = 32  # A-Net halves its input five times (paper Fig. 3)
PAD = 128  # grey of the padding; the same in training and at the line
BAND = 2**20  # values worked on at once, whatever the size of the picture
ROUNDING = 1e-6  # between two probabilities lies none that is larger than both by more than this


@dataclass(frozen=True)
class Frame:
    """`h` x `w` pixels, into which a picture is scaled as large as it fits, keeping its shape, at the top left.

    `Frame(h)` is a square. The rest is filled with mid-grey in the picture and IGNORE in the mask. Nothing depends on
    the content of a picture. Raises OptionError for sides that are no multiples of STRIDE.
    """

    h: int
    w: int = 0  # 0: as `h`

    def __post_init__(self) -> None:
        object.__setattr__(self, "w", self.w or self.h)
        for side in (self.h, self.w):
            if side < STRIDE or side % STRIDE:
                raise OptionError(f"size {side} is not a multiple of {STRIDE}: {up_to_stride(side)} would work")

    @property
    def longest(self) -> int:
        """The longer side in pixels."""
        return max(self.h, self.w)

    def inner(self, h: int, w: int) -> tuple[int, int]:
        """Give height and width that an `h` x `w` picture takes inside the frame."""
        scale = min(self.h / h, self.w / w)
        return max(1, round(h * scale)), max(1, round(w * scale))

    def image(self, image: np.ndarray) -> np.ndarray:
        """Put an `(H, W, 3) uint8` picture into the frame: `(h, w, 3) uint8`."""
        h, w = self.inner(*image.shape[:2])
        if image.shape[:2] == (self.h, self.w):
            return image.copy()
        shrinks = image.shape[0] > self.h or image.shape[1] > self.w
        scaled = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if (h, w) == (self.h, self.w):
            return scaled
        framed = np.full((self.h, self.w, 3), PAD, np.uint8)
        framed[:h, :w] = scaled
        return framed

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Put an `(H, W) uint8` mask into the frame, nearest neighbour: `(h, w) uint8`, IGNORE around it."""
        h, w = self.inner(*mask.shape)
        framed = np.full((self.h, self.w), IGNORE, np.uint8)
        framed[:h, :w] = cv2.resize(mask, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
        return framed

    def back(self, probs: np.ndarray, h: int, w: int) -> np.ndarray:
        """Take the frame's `float32` probabilities back to an `h` x `w` picture: `(h, w, channels)`."""
        return self.answer(probs, h, w).probs()

    def answer(self, probs: np.ndarray, h: int, w: int) -> "Answer":
        """Take the frame's `(h, w, channels) float32` probabilities back to an `h` x `w` picture, row by row."""
        inner_h, inner_w = self.inner(h, w)
        return Answer(probs[:inner_h, :inner_w], h, w)


@dataclass(frozen=True, eq=False)
class Answer:
    """The probabilities of a picture's pixels, made for the rows that are asked for, bilinear.

    At once they would be 400 MB a channel for 100 megapixels. A row has the same bits in whatever band it is made: it
    is plain numpy, since `cv2.resize` gives one row alone other bits than among others (6e-6 apart, measured).
    """

    inner: np.ndarray  # (rows, columns, channels) float32 of the frame that the picture takes
    h: int
    w: int

    @functools.cached_property
    def wide(self) -> np.ndarray:
        """Stretch to the picture's width, for all rows: `(rows in the frame, w, channels) float32`."""
        columns = self.inner.swapaxes(0, 1)
        return np.ascontiguousarray(_between(columns, self.w, 0, self.w).swapaxes(0, 1))

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Give the probabilities of some rows: `(bottom - top, w, channels) float32`."""
        return _between(self.wide, self.h, top, bottom)

    def bands(self) -> Iterator[tuple[int, int]]:
        """Give first row and end of bands that are small enough to be worked on at once."""
        return bands(self.h, self.w * self.inner.shape[2])

    def probs(self) -> np.ndarray:
        """Give all probabilities: `(h, w, channels) float32`."""
        probs = np.empty((self.h, self.w, self.inner.shape[2]), np.float32)
        for top, bottom in self.bands():
            probs[top:bottom] = self.rows(top, bottom)
        return probs

    def mask(self, threshold: float) -> np.ndarray:
        """Decide all pixels: `(h, w) uint8`, the same as `decide(self.probs(), threshold)`."""
        if self._clean(threshold):
            return np.zeros((self.h, self.w), np.uint8)
        mask = np.empty((self.h, self.w), np.uint8)
        for top, bottom in self.bands():
            mask[top:bottom] = decide(self.rows(top, bottom), threshold)
        return mask

    def _clean(self, threshold: float) -> bool:
        """Say whether no pixel can be a defect, as on most pictures of a line; False for NaN."""
        first = self.inner[..., 0]
        likeliest = first.max() if self.inner.shape[2] == 1 else 1.0 - first.min()
        return bool(likeliest < threshold - ROUNDING)


def up_to_stride(side: float) -> int:
    """Give the smallest side of a frame that is not below `side` pixels."""
    return max(STRIDE, math.ceil(side / STRIDE) * STRIDE)


def bands(h: int, row: int) -> Iterator[tuple[int, int]]:
    """Cut `h` rows of `row` values each into bands of about BAND values: first row and end of each."""
    step = max(1, BAND // row)
    return ((top, min(top + step, h)) for top in range(0, h, step))


def _between(values: np.ndarray, count: int, top: int, bottom: int) -> np.ndarray:
    """Stretch `values` along their first axis to `count`, and give `top` to `bottom` of that.

    Centres of pixels are mapped on centres, beyond the outermost ones is their value, as with cv2.INTER_LINEAR.
    """
    if len(values) == count:
        return values[top:bottom]
    place = ((np.arange(top, bottom) + 0.5) * (len(values) / count) - 0.5).clip(0, len(values) - 1)
    first = place.astype(np.intp)
    share = (place - first).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    start, result = values[first], values[np.minimum(first + 1, len(values) - 1)]
    result -= start
    result *= share
    result += start
    return result


def channels_of(classes: int) -> int:
    """Give a network's number of outputs for `classes` ids, background included; `decide` reads them.

    One (sigmoid) for one class of defect, else one for each id (softmax).
    """
    return 1 if classes == 2 else classes


def decide(probs: np.ndarray, threshold: float) -> np.ndarray:
    """Turn `(H, W, channels)` probabilities into an `(H, W) uint8` mask of class ids.

    One channel is the defect's probability: id 1 where it exceeds `threshold`. Several channels are background and
    classes: the likeliest class where background's probability is below `1 - threshold`, else 0. NaN never passes as
    good: the caller gets ValueError.
    """
    if not np.isfinite(probs).all():
        raise ValueError("the network answered NaN or infinity")
    if probs.shape[2] == 1:
        return (probs[..., 0] > threshold).astype(np.uint8)
    best = probs[..., 1:].argmax(axis=2).astype(np.uint8) + 1
    return np.where(1.0 - probs[..., 0] > threshold, best, 0).astype(np.uint8)
