"""Recall of whole defects by size: pixel scores are ruled by the largest defects, an inspector by the smallest."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from anet.scoring.metrics import Ratio

SIZES_PX = (0, 16, 64, 256, 1024, 4096)  # where each row begins: a side of 4 pixels, then always twice as long


@dataclass(frozen=True)
class SizeRow:
    """The defects of `from_px` to below `below_px` pixels (None: and all above), and how many were seen."""

    from_px: int
    below_px: int | None
    defects: int
    touched: int  # at least a pixel was called a defect, of whichever class
    covered: int  # at least half of its pixels were
    recall: Ratio  # touched / defects
    recall_half: Ratio  # covered / defects

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def count_defects(pred: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """Count one picture's defects by size: `(len(SIZES_PX), 3) int64` of all, touched and half covered ones.

    A defect is an 8-connected region of one class in `target`; both are (H, W) uint8 ids.
    """
    counts = np.zeros((len(SIZES_PX), 3), np.int64)
    for class_id in range(1, classes):
        number, labels, stats, _ = cv2.connectedComponentsWithStats((target == class_id).view(np.uint8), connectivity=8)
        area = stats[1:, cv2.CC_STAT_AREA]
        hit = np.bincount(labels[pred != 0], minlength=number)[1:]
        rows = np.digitize(area, SIZES_PX) - 1
        seen = (np.ones_like(area, bool), hit > 0, 2 * hit >= area)
        for column, which in enumerate(seen):
            counts[:, column] += np.bincount(rows[which], minlength=len(SIZES_PX))
    return counts


def rows_by_size(counts: Iterable[np.ndarray]) -> tuple[SizeRow, ...]:
    """Add up what `count_defects` gave of each picture; a size without a defect keeps its row."""
    total = sum(counts, np.zeros((len(SIZES_PX), 3), np.int64))
    ends = (*SIZES_PX[1:], None)
    rows = []
    for from_px, below_px, (every, touched, covered) in zip(SIZES_PX, ends, total.tolist(), strict=True):
        recall, half = (seen / every if every else None for seen in (touched, covered))
        rows.append(SizeRow(from_px, below_px, every, touched, covered, recall, half))
    return tuple(rows)
