"""Pictures that show the same thing under different labels: the pairs of `similar`, laid over one another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from anet.data.dataset import Sample
from anet.data.overlap import AGREE, agreement, normalise, symmetric
from anet.data.similar import Pair
from anet.frame import IGNORE

SIDE = 512  # pictures are shrunk to this before they are laid over one another
SYMMETRIES = {"rotated": (1, 2, 3), "mirrored": (4, 5, 6, 7)}  # what a pair's kind ends with -> those to try


@dataclass(frozen=True, eq=False)
class Twins:
    """Two pictures of one thing, cut to what both show: picture `(H, W, 3)` of `a`, labels `(H, W) uint8` of both."""

    a: str
    b: str
    kind: str  # as `Pair.kind`
    image: np.ndarray
    label_a: np.ndarray
    label_b: np.ndarray  # turned and shifted to lie on `a`


def lay_over(pairs: Sequence[Pair], samples: Sequence[Sample], classes: int) -> Iterator[Twins]:
    """Give the pairs that can be laid over one another, pixel on pixel. Raises ImageError, DataError."""
    by_name = {sample.name: sample for sample in samples}
    for pair in pairs:
        (image, label_a), (other, label_b) = (by_name[name].read(classes) for name in (pair.a, pair.b))
        if pair.kind.startswith("shifted") or image.shape[:2] in (other.shape[:2], other.shape[1::-1]):
            found = align(image, other, pair.kind)
            if found:
                symmetry, dy, dx = found
                yield _twins(pair, image, label_a, symmetric(label_b, symmetry), dy, dx)


def align(a: np.ndarray, b: np.ndarray, kind: str) -> tuple[int, int, int] | None:
    """Give symmetry, dy and dx with which `b` lies on `a`, both `(H, W, 3) uint8`; None where the pixels disagree."""
    scale = min(1.0, SIDE / max(*a.shape[:2], *b.shape[:2]))
    one, two = (normalise(_grey(picture, scale)) for picture in (a, b))
    best, found = AGREE, None
    for symmetry in SYMMETRIES.get(kind.rpartition("+")[2], (0,)):
        turned = symmetric(two, symmetry)
        if not kind.startswith("shifted") and turned.shape != one.shape:
            continue
        dy, dx = _shift(one, turned) if kind.startswith("shifted") else (0, 0)
        if (score := agreement(one, turned, dy, dx)[0]) > best:
            best, found = score, (symmetry, round(dy / scale), round(dx / scale))
    return found


def _grey(picture: np.ndarray, scale: float) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if scale == 1:
        return grey
    size = tuple(max(1, round(length * scale)) for length in grey.shape[::-1])
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def _shift(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Give where `b` lies in `a` by the highest correlation of all shifts."""
    shape = [one + other for one, other in zip(a.shape, b.shape, strict=True)]
    product = np.fft.rfft2(a, shape) * np.conj(np.fft.rfft2(b, shape))
    y, x = np.unravel_index(int(np.fft.irfft2(product, shape).argmax()), shape)
    dy, dx = (int(p - length if p >= own else p) for p, length, own in zip((y, x), shape, a.shape, strict=True))
    return dy, dx


def _twins(pair: Pair, image: np.ndarray, label_a: np.ndarray, label_b: np.ndarray, dy: int, dx: int) -> Twins:
    y0, y1 = max(0, dy), min(label_a.shape[0], dy + label_b.shape[0])
    x0, x1 = max(0, dx), min(label_a.shape[1], dx + label_b.shape[1])
    mine, other = label_a[y0:y1, x0:x1], label_b[y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    unknown = (mine == IGNORE) | (other == IGNORE)
    mine, other = (np.where(unknown, np.uint8(IGNORE), one) for one in (mine, other))
    return Twins(pair.a, pair.b, pair.kind, image[y0:y1, x0:x1], mine, other)
