"""Counts of pixels and pictures first, ratios last: equation (8) and what stands beside it.

A ratio of 0/0 is None (JSON null): never NaN, and never 1, which would reward a class that is not there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anet.errors import DataError
from anet.frame import IGNORE

Ratio = float | None
OUTCOMES = ("hit", "escape", "off_target", "sound", "false_defect", "unlabelled")


@dataclass(frozen=True)
class Scores:
    """What a model scored on a set. Ratios are 0..1 or None; tuples have one entry a class, background first.

    `iou` is eq. (8) from counts summed over the set: the figure to report, a defect weighs as many pixels as it has.
    `iou_mean_pictures` averages the IoU of each picture whose truth or prediction shows the class, whatever its size; a
    picture with neither is left out, so sound pictures answered by silence do not lift it.
    A defect picture is an `escape` when nothing in it was called a defect, and `off_target` when something was, but not
    one pixel of a defect: at the line it would be rejected by luck. Source: paper, eq. (8).
    """

    pictures: int
    defect_pictures: int  # truth shows a defect
    escapes: int  # of these: passed as good
    off_target: int  # of these: flagged only where there is no defect
    sound_pictures: int  # truth shows none
    false_defects: int  # of these: flagged all the same
    pixels: int  # scored, so without IGNORE
    confusion: tuple[tuple[int, ...], ...]  # [truth][prediction], pixels
    truth_px: tuple[int, ...]
    pred_px: tuple[int, ...]
    iou: tuple[Ratio, ...]
    iou_mean_pictures: tuple[Ratio, ...]
    dice: tuple[Ratio, ...]
    precision: tuple[Ratio, ...]
    recall: tuple[Ratio, ...]
    miou: Ratio  # mean of `iou` over the defect classes that have one
    miou_with_background: Ratio

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON; what is undefined is None."""
        return asdict(self)


def confusion(pred: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by truth (row) and prediction (column): `(classes, classes) int64`.

    `pred`, `target` (H, W) uint8 ids 0..classes-1; where `target` is IGNORE (255) nothing is counted, whatever `pred`
    says. Raises ValueError when shapes differ, DataError when an id is no class.
    """
    if pred.shape != target.shape:
        raise ValueError(f"prediction is {pred.shape}, truth is {target.shape}")
    labelled = target != IGNORE
    target, pred = target[labelled], pred[labelled]
    for what, ids in (("truth", target), ("prediction", pred)):
        if ids.size and not 0 <= ids.min() <= ids.max() < classes:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise DataError(f"{what} holds class {int(wrong)}: only 0 to {classes - 1} exist here")
    pairs = target.astype(np.intp) * classes + pred
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def score(counts: Sequence[np.ndarray], classes: int) -> Scores:
    """Make the scores of a set from the confusion `(classes, classes)` of each of its pictures."""
    stack = np.array(counts, np.int64).reshape(-1, classes, classes)
    total = stack.sum(axis=0)
    hit, truth, pred = total.diagonal(), total.sum(axis=1), total.sum(axis=0)
    iou = ratios(hit, truth + pred - hit)
    each = [class_iou(one) for one in stack]
    found = [outcome(one) for one in stack]
    return Scores(
        pictures=len(stack),
        defect_pictures=sum(map(found.count, ("hit", "escape", "off_target"))),
        escapes=found.count("escape"),
        off_target=found.count("off_target"),
        sound_pictures=sum(map(found.count, ("sound", "false_defect"))),
        false_defects=found.count("false_defect"),
        pixels=int(total.sum()),
        confusion=tuple(map(tuple, total.tolist())),
        truth_px=tuple(truth.tolist()),
        pred_px=tuple(pred.tolist()),
        iou=iou,
        iou_mean_pictures=tuple(mean(one[k] for one in each) for k in range(classes)),
        dice=ratios(2 * hit, truth + pred),
        precision=ratios(hit, pred),
        recall=ratios(hit, truth),
        miou=mean(iou[1:]),
        miou_with_background=mean(iou),
    )


def class_iou(counts: np.ndarray) -> tuple[Ratio, ...]:
    """Give TP / (TP + FN + FP) of each class from a confusion; None where truth and prediction lack it. Eq. (8)."""
    hit = counts.diagonal()
    return ratios(hit, counts.sum(axis=0) + counts.sum(axis=1) - hit)


def outcome(counts: np.ndarray) -> str:
    """Say what one picture's confusion means at the line: one of OUTCOMES ("unlabelled": not a pixel was scored)."""
    if not counts.any():
        return "unlabelled"
    flagged = counts[:, 1:].any()
    if not counts[1:].any():
        return "false_defect" if flagged else "sound"
    if not flagged:
        return "escape"
    return "hit" if counts[1:, 1:].any() else "off_target"


def ratios(above: np.ndarray, below: np.ndarray) -> tuple[Ratio, ...]:
    """Divide counts one by one; 0/0 is None."""
    return tuple(a / b if b else None for a, b in zip(above.tolist(), below.tolist(), strict=True))


def mean(values: Any) -> Ratio:
    """Average what is not None; None when nothing is left."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
