"""What is told of one picture: verdict, reasons, defects, and how it was looked at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anet.runtime.measuring.measure import Defect
from anet.runtime.verdicts.rules import Reason


@dataclass(frozen=True)
class View:
    """How a picture was looked at: `tiles` of `tile_px` (h, w), one being all of it, at `scale`."""

    tiles: int
    tile_px: tuple[int, int]
    scale: float  # network pixels for one of the picture
    mean_grey: float | None = None  # of all pixels, 0..255; None of a picture in tiles

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        grey = {} if self.mean_grey is None else {"mean_grey": round(self.mean_grey, 2)}
        return {"tiles": self.tiles, "tile_px": list(self.tile_px), "scale": round(self.scale, 4), **grey}


@dataclass(frozen=True, eq=False)
class Report:
    """What was found on one picture. `mask` holds every class id the network gave, small regions included."""

    name: str
    h: int
    w: int
    verdict: str  # "accept", "warn" or "reject"
    defects: tuple[Defect, ...]
    timing_ms: dict[str, float]  # decode, pre, infer, post
    mask: np.ndarray  # (h, w) uint8
    model: str  # the card's id
    engine: str = ""  # which of `anet.runtime.engine.ENGINES` answered, and from which of the bundle's files
    precision: str = ""
    reasons: tuple[Reason, ...] = ()  # why not accept: one for each limit of a rule that was broken
    view: View | None = None
    mm_per_px: tuple[float, float] | None = None  # y, x
    threshold: float | None = None  # that decided the mask
    min_area_px: int | None = None  # that left smaller regions out
    rules: str | None = None  # the id of those that judged; None where they came from no file
    make_probs: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    def probs(self) -> np.ndarray:
        """Give the probabilities that the mask was decided from: `(h, w, channels) float32`, made when asked for.

        4 bytes a pixel and channel. A picture that was cut into tiles is looked at once more: raises ValueError where
        it was given as an array that holds other pixels by then.
        """
        if self.make_probs is None:
            raise ValueError("this report came without what makes probabilities")
        return self.make_probs()

    def to_dict(self) -> dict[str, Any]:
        """Give all but the mask as plain values."""
        timing = {step: round(value, 3) for step, value in self.timing_ms.items()}
        found = [defect.to_dict() for defect in self.defects]
        names = ("name", "model", "engine", "precision", "threshold", "min_area_px", "rules", "h", "w", "verdict")
        head: dict[str, Any] = {name: getattr(self, name) for name in names}
        head["reasons"] = [reason.to_dict() for reason in self.reasons]
        head |= {"view": self.view.to_dict()} if self.view else {}
        head |= {"mm_per_px": list(self.mm_per_px)} if self.mm_per_px else {}
        return {**head, "defects": found, "timing_ms": timing}
