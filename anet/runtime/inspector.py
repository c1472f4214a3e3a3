"""One picture in, one verdict out."""

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from anet.errors import ImageError, OptionError
from anet.image import decode_image, read_image
from anet.runtime.bundled_rules import bundled_rules
from anet.runtime.calibrate import scale_of
from anet.runtime.engine import Engine
from anet.runtime.measure import Defect, find_defects
from anet.runtime.rules import Reason, Rules, any_defect
from anet.runtime.rules_file import read_rules

STEPS: tuple[str, ...] = ("decode", "pre", "infer", "post")
Picture = np.ndarray | Path | str | bytes


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
    reasons: tuple[Reason, ...] = ()  # why not accept: one for each limit of a rule that was broken

    def to_dict(self) -> dict[str, Any]:
        """Give all but the mask as plain values."""
        timing = {step: round(value, 3) for step, value in self.timing_ms.items()}
        found = [defect.to_dict() for defect in self.defects]
        head = {"name": self.name, "model": self.model, "h": self.h, "w": self.w, "verdict": self.verdict}
        reasons = [reason.to_dict() for reason in self.reasons]
        return {**head, "reasons": reasons, "defects": found, "timing_ms": timing}


class Inspector:
    """Inspect pictures with a model bundle. Safe to call from several threads.

    `rules`, read or a TOML file, replace those of the bundle; where there are none, any defect rejects. `threshold`
    (0..1) and `min_area_px` replace those of the card. With `mm_per_px`, one number or (y, x), defects are measured in
    mm, too. Raises ModelError, OptionError.
    """

    def __init__(
        self,
        bundle: Path | str,
        rules: Rules | Path | str | None = None,
        threshold: float | None = None,
        min_area_px: int | None = None,
        threads: int = 0,
        mm_per_px: float | tuple[float, float] | None = None,
    ):
        if threshold is not None and not 0 < threshold < 1:
            raise OptionError(f"threshold is {threshold}: more than 0 and less than 1 would work")
        if min_area_px is not None and min_area_px < 0:
            raise OptionError(f"min_area_px is {min_area_px}: 0 or more would work")
        self.engine = Engine(bundle, threads)
        self.card = self.engine.card
        self.threshold = self.card.threshold if threshold is None else threshold
        self.min_area_px = self.card.min_area_px if min_area_px is None else min_area_px
        self.rules = self._rules(bundle, rules)
        self.rules.check_classes(self.card.class_names)
        self.mm_per_px = scale_of(mm_per_px)
        self.rules.check_units(self.mm_per_px)

    def _rules(self, bundle: Path | str, given: Rules | Path | str | None) -> Rules:
        if given is None:
            return bundled_rules(bundle, self.card) or any_defect(self.min_area_px)
        return given if isinstance(given, Rules) else read_rules(given)

    def __call__(self, picture: Picture, name: str | None = None) -> Report:
        """Inspect a file, the bytes of one, or an `(H, W, 3) uint8` RGB array; see `look`."""
        return self.look(picture, name)[1]

    def look(self, picture: Picture, name: str | None = None) -> tuple[np.ndarray, Report]:
        """Inspect a picture and give it, `(H, W, 3) uint8` RGB, with its report.

        Raises ImageError for what cannot be read and ModelError for NaN: neither gets a verdict.
        """
        times = [time.perf_counter()]
        image, called = _decoded(picture)
        times.append(time.perf_counter())
        h, w = image.shape[:2]
        frame = self.card.frame(h, w)
        framed = frame.image(image)
        times.append(time.perf_counter())
        probs = self.engine.probs(framed)
        times.append(time.perf_counter())
        answer = frame.answer(probs, h, w)
        mask = answer.mask(self.threshold)
        defects = find_defects(mask, answer, self.min_area_px, self.card.class_names, image, self.mm_per_px)
        verdict, reasons = self.rules.decide(defects, mask, self.mm_per_px)
        times.append(time.perf_counter())
        took = [(after - before) * 1000 for before, after in pairwise(times)]
        timing = dict(zip(STEPS, took, strict=True))
        return image, Report(name or called, h, w, verdict, defects, timing, mask, self.card.id, reasons)


def _decoded(picture: Picture) -> tuple[np.ndarray, str]:
    """Give the picture as `(H, W, 3) uint8` RGB, and what to call it. Raises ImageError."""
    if isinstance(picture, bytes):
        return decode_image(picture), "picture"
    if isinstance(picture, (Path, str)):
        return read_image(Path(picture)), str(picture)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        found = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise ImageError(f"a picture is a file, bytes, or an (H, W, 3) uint8 RGB array: {found} given")
    if not picture.size:
        raise ImageError(f"the picture has no pixels: its shape is {picture.shape}")
    return picture, "picture"
