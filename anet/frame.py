"""The one definition of how a picture of any size becomes the network's square input, and back.

Training, scoring and the runtime all go through `Frame`; a number changed here changes everywhere at once.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from anet.errors import OptionError

IGNORE = 255  # mask value of a pixel that is neither trained on nor scored
STRIDE = 32  # A-Net halves its input five times (paper Fig. 3)
PAD = 128  # grey of the padding; the same in training and at the line


@dataclass(frozen=True)
class Frame:
    """A square of `size` pixels into which a picture is scaled by its longer side, keeping its shape, from the top left.

    The rest is filled with mid-grey in the picture and IGNORE in the mask. Nothing depends on the content of a picture.
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < STRIDE or self.size % STRIDE:
            good = max(STRIDE, -(-self.size // STRIDE) * STRIDE)
            raise OptionError(f"size {self.size} is not a multiple of {STRIDE}: {good} would work")

    def inner(self, h: int, w: int) -> tuple[int, int]:
        """Give height and width that an `h` x `w` picture takes inside the frame."""
        scale = self.size / max(h, w)
        return max(1, round(h * scale)), max(1, round(w * scale))

    def image(self, image: np.ndarray) -> np.ndarray:
        """Put an `(H, W, 3) uint8` picture into the frame: `(size, size, 3) uint8`."""
        h, w = self.inner(*image.shape[:2])
        shrinks = max(image.shape[:2]) > self.size
        scaled = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        framed = np.full((self.size, self.size, 3), PAD, np.uint8)
        framed[:h, :w] = scaled
        return framed

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Put an `(H, W) uint8` mask into the frame, nearest neighbour: `(size, size) uint8`, IGNORE around it."""
        h, w = self.inner(*mask.shape)
        framed = np.full((self.size, self.size), IGNORE, np.uint8)
        framed[:h, :w] = cv2.resize(mask, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
        return framed

    def back(self, probs: np.ndarray, h: int, w: int) -> np.ndarray:
        """Take `(size, size, channels) float32` probabilities back to an `h` x `w` picture: `(h, w, channels)`."""
        inner_h, inner_w = self.inner(h, w)
        cropped = np.ascontiguousarray(probs[:inner_h, :inner_w])
        if (inner_h, inner_w) == (h, w):
            return cropped
        scaled = cv2.resize(cropped, (w, h), interpolation=cv2.INTER_LINEAR)
        return scaled.reshape(h, w, probs.shape[2])


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
