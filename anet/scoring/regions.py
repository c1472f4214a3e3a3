"""The largest region of each picture at many thresholds: all that is needed to say which pictures would be rejected."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from anet.frame import IGNORE, decide
from anet.scoring.evaluate import Labelled
from anet.scoring.threshold import BINS, level

STEP = BINS // 128
THRESHOLDS = tuple(k / BINS for k in range(STEP, BINS, STEP))  # 1/128 .. 127/128


@dataclass(frozen=True, eq=False)
class Survey:
    """The area in pixels of the largest region of each picture (row) at each threshold (column): int64.

    Regions are those of the runtime: 8-connected, of one class. One that lies wholly where the truth is IGNORE is
    neither right nor wrong, and counts nowhere; a picture without any labelled pixel is left out.
    """

    thresholds: tuple[float, ...]  # THRESHOLDS, and behind them what else was asked for
    found: np.ndarray  # in pictures with a defect
    touching: np.ndarray  # in the same pictures, only regions that share a pixel with a defect, of whichever class
    sound: np.ndarray  # in pictures without
    defects: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # area of each labelled one, by class


def survey(
    probs: Callable[[np.ndarray], np.ndarray], samples: Iterable[Labelled], classes: int, also: tuple[float, ...] = ()
) -> Survey:
    """Look at each picture once, at THRESHOLDS and `also` (whole multiples of 1/1024).

    `probs` as in `choose_threshold`. Raises ValueError for NaN, a wrong size or another threshold.
    """
    thresholds = THRESHOLDS + tuple(value for value in also if value not in THRESHOLDS)
    found, touching, sound, areas = [], [], [], []
    for sample in samples:
        image, target = sample.read(classes)
        labelled = target != IGNORE
        defect = labelled & (target != 0)
        anywhere, on_defect = largest_regions(probs(image), (labelled, defect), thresholds).T
        if defect.any():
            found.append(anywhere)
            touching.append(on_defect)
            areas += _areas(np.where(defect, target, np.uint8(0)))
        elif labelled.any():
            sound.append(anywhere)
    tables = (np.array(one, np.int64).reshape(-1, len(thresholds)) for one in (found, touching, sound))
    return Survey(thresholds, *tables, defects=np.array(areas, np.int64))


def largest_regions(probs: np.ndarray, places: Sequence[np.ndarray], thresholds: Sequence[float]) -> np.ndarray:
    """Give the largest area of a region that shares a pixel with each of `places`: `(thresholds, places) int64`.

    `probs` is `(H, W, channels) float32`, a place `(H, W) bool`, a threshold a whole multiple of 1/1024.
    """
    exceeded = level(probs, places[0].shape).astype(np.int16)
    ids, known = decide(probs, 0.0), {0: (0,) * len(places)}  # masks lie in one another: as many pixels, the same mask
    areas = []
    for threshold in thresholds:
        if not (threshold * BINS).is_integer():
            raise ValueError(f"threshold {threshold} is no whole multiple of 1/{BINS}")
        mask = np.where(exceeded > int(threshold * BINS), ids, np.uint8(0))
        count = int(np.count_nonzero(mask))
        if count not in known:
            known[count] = _largest(mask, places)
        areas.append(known[count])
    return np.array(areas, np.int64).reshape(len(thresholds), len(places))


def without_small(mask: np.ndarray, least: int) -> np.ndarray:
    """Give a mask of class ids `(H, W) uint8` without its regions of fewer than `least` pixels."""
    kept = np.zeros_like(mask)
    for class_id, labels, areas in _regions(mask):
        large = areas >= least
        large[0] = False
        kept[large[labels]] = class_id
    return kept


def _areas(mask: np.ndarray) -> list[int]:
    """Give the area of each region of a mask of class ids."""
    return [area for _, _, areas in _regions(mask) for area in areas[1:].tolist()]


def _regions(mask: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Give each class of a mask with its regions: numbers `(H, W)`, and the area of each; 0 is no region."""
    for class_id in np.unique(mask[mask != 0]).tolist():
        _, labels, stats, _ = cv2.connectedComponentsWithStats((mask == class_id).view(np.uint8), connectivity=8)
        yield class_id, labels, stats[:, cv2.CC_STAT_AREA]


def _largest(mask: np.ndarray, places: Sequence[np.ndarray]) -> tuple[int, ...]:
    best = [0] * len(places)
    for _, labels, areas in _regions(mask):
        for i, place in enumerate(places):
            touched = np.zeros(len(areas), bool)
            touched[labels[place]] = True
            best[i] = max(best[i], int(areas[1:][touched[1:]].max(initial=0)))
    return tuple(best)
