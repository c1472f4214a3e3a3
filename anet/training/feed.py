"""From samples to batches: framed pictures, kept in memory when they fit, in an order of seed and epoch alone."""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from anet.data.dataset import Sample
from anet.frame import IGNORE, Frame

Channels = tuple[float, ...]  # a number for each channel
ZOOM = 3.0  # windows are enlarged at most so much
LARGE = 0.05  # share of a picture; defects that take more are never cut: in a window they would be all there is
CACHE_BYTES = 4 * 2**30  # pictures are kept up to this; larger sets are decoded anew in every epoch


class FramedSet(TorchDataset):
    """Samples as `(size, size, 3) uint8` pictures and `(size, size) uint8` masks; with `zoom`, some of them enlarged.

    `zoom` is the probability that a square window around a small defect is shown instead of the whole picture,
    enlarged up to ZOOM times: a defect of a few pixels then takes a share from which a network can begin to learn.
    """

    def __init__(self, samples: Sequence[Sample], classes: int, frame: Frame, zoom: float = 0.0):
        self.samples, self.classes, self.frame, self.zoom = samples, classes, frame, zoom
        side = round(frame.longest * ZOOM) if zoom else frame.longest
        self.cache: dict[int, tuple] | None = {} if len(samples) * side**2 * 4 <= CACHE_BYTES else None

    def __len__(self) -> int:
        return len(self.samples)

    def kept(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give picture and mask of one sample as they are kept in memory. Raises ImageError or DataError.

        That is framed; where windows are cut from them, as large as the smallest window needs.
        """
        if self.cache is not None and index in self.cache:
            return self.cache[index]
        image, mask = self.samples[index].read(self.classes)
        if not self.zoom:
            pair = self.frame.image(image), self.frame.mask(mask)
        else:
            pair = shrunk(image, mask, round(self.frame.longest * ZOOM))
        if self.cache is not None:
            self.cache[index] = pair
        return pair

    def framed(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the whole picture and its mask, framed."""
        image, mask = self.kept(index)
        return (self.frame.image(image), self.frame.mask(mask)) if self.zoom else (image, mask)

    def __getitem__(self, key: tuple[int, Sequence[int], float]) -> tuple[Tensor, Tensor, int]:
        index, draw, share = key
        rng = np.random.default_rng(draw)
        if self.zoom and rng.random() < self.zoom * share and defect_share(self.kept(index)[1]) <= LARGE:
            image, mask = window(*self.kept(index), rng)
            image, mask = self.frame.image(image), self.frame.mask(mask)
        else:
            image, mask = self.framed(index)
        return torch.from_numpy(image), torch.from_numpy(mask), index


def defect_share(mask: np.ndarray) -> float:
    return float(((mask != 0) & (mask != IGNORE)).mean())


def shrunk(image: np.ndarray, mask: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Give picture and mask with no side above `longest` pixels."""
    h, w = mask.shape
    if max(h, w) <= longest:
        return image, mask
    size = max(1, round(w * longest / max(h, w))), max(1, round(h * longest / max(h, w)))
    return (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def window(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square window, 1/ZOOM to 1/1.25 of the longer side, around a random defect pixel (any where none is)."""
    h, w = mask.shape
    side = max(1, round(max(h, w) / rng.uniform(1.25, ZOOM)))
    places = np.flatnonzero((mask != 0) & (mask != IGNORE))
    y, x = divmod(int(places[rng.integers(len(places))] if len(places) else rng.integers(h * w)), w)
    top = int(np.clip(y - rng.integers(side), 0, max(0, h - side)))
    left = int(np.clip(x - rng.integers(side), 0, max(0, w - side)))
    return image[top : top + side, left : left + side], mask[top : top + side, left : left + side]


class Batches:
    """The batches of each epoch: every picture once, rare classes and sound pictures as the recipe says."""

    def __init__(self, data: FramedSet, batch: int, seed: int, rare: float, rank: int = 0, world: int = 1):
        self.data, self.batch, self.seed, self.rank, self.world = data, batch, seed, rank, world
        self.repeats = repeat_factors(data, rare) if rare else np.ones(len(data))
        self.per_epoch = max(1, math.ceil(round(self.repeats.sum()) / (batch * world)))

    def order(self, epoch: int) -> list[list[int]]:
        """Give the picture numbers of each batch of `epoch` for this rank; all of equal size, wrapping around."""
        rng = np.random.default_rng([self.seed, epoch])
        whole = np.floor(self.repeats).astype(int)
        extra = rng.random(len(whole)) < self.repeats - whole
        drawn = rng.permutation(np.repeat(np.arange(len(whole)), whole + extra))
        if not len(drawn):
            drawn = rng.permutation(len(whole))
        drawn = np.resize(drawn, self.per_epoch * self.batch * self.world)
        return drawn.reshape(self.per_epoch, self.world, self.batch)[:, self.rank].tolist()

    def epoch(
        self, epoch: int, first: int, workers: int, share: float = 1.0
    ) -> Iterator[tuple[Tensor, Tensor, list[str]]]:
        """Give pictures `(N, H, W, 3)`, masks `(N, H, W)` and names, from batch `first` of `epoch` on.

        `share` (0..1) scales the set's `zoom`.
        """
        keys = [
            [(index, (self.seed, epoch, self.rank, number, place), share) for place, index in enumerate(batch)]
            for number, batch in enumerate(self.order(epoch))
        ]
        loader = DataLoader(self.data, batch_sampler=keys[first:], num_workers=workers)
        for images, masks, indices in loader:
            yield images, masks, [self.data.samples[i].name for i in indices.tolist()]


def repeat_factors(data: FramedSet, rare: float) -> np.ndarray:
    """Give how often each picture is drawn in an epoch, on average.

    Repeat-factor sampling (Gupta et al., LVIS 2019): a class found in a share f of the pictures is repeated
    sqrt(rare / f) times when that exceeds one. Sound pictures together count no more than pictures with a defect.
    """
    present = np.zeros((len(data), data.classes), bool)
    for index in range(len(data)):
        ids = np.unique(data.framed(index)[1])
        present[index, ids[ids != IGNORE]] = True
    present[:, 0] = False
    sound = ~present.any(axis=1)
    share = present[~sound].mean(axis=0) if (~sound).any() else np.ones(data.classes)
    factor = np.sqrt(rare / np.maximum(share, 1e-9)).clip(min=1.0)
    repeats = np.where(present, factor, 1.0).max(axis=1)
    if sound.any() and (~sound).any():
        repeats[sound] = min(1.0, repeats[~sound].sum() / sound.sum())
    return repeats


def picture_statistics(data: FramedSet, limit: int = 2000) -> tuple[Channels, Channels, tuple[float, float]]:
    """Give mean and standard deviation per channel, 0..1, and the lowest and highest mean grey of a picture, 0..255.

    Of at most `limit` pictures spread over the set. The first two become part of the exported graph, rounded to four
    digits, so that every machine trains with the same numbers.
    """
    total, squares, count, greys = np.zeros(3), np.zeros(3), 0, []
    for index in np.unique(np.linspace(0, len(data) - 1, min(limit, len(data))).astype(int)):
        image, mask = data.samples[index].read(data.classes)
        h, w = data.frame.inner(*mask.shape)
        image, mask = data.frame.image(image), data.frame.mask(mask)
        greys.append(float(image[:h, :w].mean()))  # of the whole picture, what is not scored included, as at the line
        pixels = image[_inside(mask)].astype(np.float64) / 255.0
        total, squares, count = total + pixels.sum(0), squares + (pixels**2).sum(0), count + len(pixels)
    mean = total / max(1, count)
    std = np.sqrt(np.maximum(squares / max(1, count) - mean**2, 0.0)).clip(min=0.02)
    light = round(min(greys), 2), round(max(greys), 2)
    return tuple(round(float(v), 4) for v in mean), tuple(round(float(v), 4) for v in std), light


def _inside(mask: np.ndarray) -> np.ndarray:
    inside = mask != IGNORE
    return inside if inside.any() else np.ones_like(inside)
