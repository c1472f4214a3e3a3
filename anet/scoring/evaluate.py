"""One scoring path for everything that maps a picture to a mask: torch, ONNX, OpenVINO, int8, the server."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from anet.scoring.boundary import TOLERANCE, boundary_f
from anet.scoring.defects import SizeRow, count_defects, rows_by_size
from anet.scoring.metrics import Ratio, Scores, class_iou, confusion, mean, outcome, score


class Labelled(Protocol):
    """A picture with its truth, read when asked for: `anet.data.dataset.Sample`, or anything like it."""

    @property
    def name(self) -> str: ...

    def read(self, classes: int) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class PictureScore:
    """What the model made of one picture. Pixel counts are of defects of any class against background."""

    name: str
    outcome: str  # one of metrics.OUTCOMES
    iou: Ratio  # mean over the defect classes in truth or prediction; None where there is none
    class_iou: tuple[Ratio, ...]  # one a class, background first
    truth_px: int
    pred_px: int
    hit_px: int  # defect in both, whichever class

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON or a CSV row."""
        return asdict(self)


@dataclass(frozen=True)
class Closeness:
    """What takes a look at each defect and its outline: slower than counting pixels, so only where it is asked for."""

    boundary_f: tuple[Ratio, ...]  # one a class, background first: mean over the pictures that show its outline
    tolerance: float  # share of the picture's diagonal within which an outline is hit
    by_size: tuple[SizeRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """Scores of a set, and of each of its pictures in the order they came."""

    scores: Scores
    pictures: tuple[PictureScore, ...]
    closely: Closeness | None = None

    def worst_first(self) -> tuple[PictureScore, ...]:
        """Sort pictures by IoU, lowest first; those without any defect in truth and prediction come last."""
        return tuple(sorted(self.pictures, key=lambda one: (one.iou is None, one.iou or 0.0, one.name)))

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        found = {"scores": self.scores.to_dict(), "pictures": [one.to_dict() for one in self.pictures]}
        return found if self.closely is None else {**found, "closely": self.closely.to_dict()}


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray], samples: Iterable[Labelled], classes: int, closely: bool = False
) -> Evaluation:
    """Score `predict` on `samples`, one picture in memory at a time; `closely` adds outlines and recall by size.

    `predict` maps `(H, W, 3) uint8` to an `(H, W) uint8` mask of ids 0..classes-1 at the picture's own size. `classes`
    counts background. Raises what reading raises (ImageError, DataError), DataError for an id that is no class, and
    ValueError when the mask's size is not the picture's.
    """
    counts, pictures, outlines, defects = [], [], [], []
    for sample in samples:
        image, target = sample.read(classes)
        pred = predict(image)
        one = confusion(pred, target, classes)
        counts.append(one)
        pictures.append(picture_score(sample.name, one))
        if closely:
            outlines.append(boundary_f(pred, target, classes))
            defects.append(count_defects(pred, target, classes))
    seen = None
    if closely:
        seen = Closeness(
            tuple(mean(one[k] for one in outlines) for k in range(classes)), TOLERANCE, rows_by_size(defects)
        )
    return Evaluation(score(counts, classes), tuple(pictures), seen)


def picture_score(name: str, counts: np.ndarray) -> PictureScore:
    """Make one picture's row from its confusion."""
    ious = class_iou(counts)
    return PictureScore(
        name=name,
        outcome=outcome(counts),
        iou=mean(ious[1:]),
        class_iou=ious,
        truth_px=int(counts[1:].sum()),
        pred_px=int(counts[:, 1:].sum()),
        hit_px=int(counts[1:, 1:].sum()),
    )
