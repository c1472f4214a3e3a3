"""Endless webs: rows come in, verdicts on stretches of the web come out, memory stays flat."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anet.errors import ImageError, OptionError
from anet.frame import decide
from anet.runtime.measuring.contrast import REACH
from anet.runtime.measuring.measure import Defect, by_size, measure
from anet.runtime.measuring.runs import Runs, regions, runs_of, together
from anet.runtime.tiling import Band, blended
from anet.runtime.verdicts.rules import Reason

if TYPE_CHECKING:
    from anet.runtime.inspector import Inspector

MOST_RUNS = 200_000  # of defects that are not yet at an end: then they are cut, so that memory stays flat


@dataclass(frozen=True)
class Stretch:
    """Rows of a web and the defects that end there, with places in rows of the whole web; rules are asked for each.

    Of defects that end further on, the pieces within these rows are in `going_on`, and rules are asked for them, too:
    no stretch is good that a scratch runs through. Numbers of defects in `reasons` count from 1 within the stretch,
    first `defects`, then `going_on`.
    """

    top: int
    bottom: int
    verdict: str
    defects: tuple[Defect, ...]  # largest first
    going_on: tuple[Defect, ...]  # likewise
    reasons: tuple[Reason, ...]
    model: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        head = {"model": self.model, "top": self.top, "bottom": self.bottom, "verdict": self.verdict}
        return {
            **head,
            "reasons": [reason.to_dict() for reason in self.reasons],
            "defects": [defect.to_dict() for defect in self.defects],
            "going_on": [defect.to_dict() for defect in self.going_on],
        }


def inspect_web(inspector: "Inspector", strips: Iterable[np.ndarray], every: int | None) -> Iterator[Stretch]:
    """See `Inspector.inspect_stream`, whose work this is."""
    grid = inspector.grid()
    every = grid.h if every is None else every
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise OptionError(f"every is {every!r:.60}: a whole number of rows, 1 or more, would work")
    zoned = [rule.name for rule in inspector.rules.rules if rule.zone is not None]
    if zoned:
        raise OptionError(f"rule {zoned[0]!r} has a zone, which is drawn on a picture: a web needs rules without zones")
    source = _Source(_own(strips, inspector.calibrated_px))
    return source.failing_last(_stretches(inspector, blended(source, grid, inspector.engine.stream, live=True), every))


class _Source:
    """A web that ends where its source fails: what was taken gets its verdict first, then the failure is told."""

    def __init__(self, strips: Iterable[np.ndarray]):
        self.strips, self.failure = strips, None

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            yield from self.strips
        except Exception as error:
            self.failure = error

    def failing_last(self, stretches: Iterator[Stretch]) -> Iterator[Stretch]:
        yield from stretches
        if self.failure:
            raise self.failure


def _own(strips: Iterable[np.ndarray], calibrated_px: tuple[int, int] | None) -> Iterator[np.ndarray]:
    """Copy each strip: rows are looked at long after the next ones came, perhaps into the same buffer.

    Raises ImageError for one of another width than that of the calibration.
    """
    for strip in strips:
        if isinstance(strip, np.ndarray) and strip.ndim == 3 and calibrated_px and strip.shape[1] != calibrated_px[1]:
            wide = f"a strip is {strip.shape[1]} pixels wide, calibrated was with {calibrated_px[1]}"
            raise ImageError(f"{wide}: mm would be wrong; calibrate anew")
        yield strip.copy() if isinstance(strip, np.ndarray) else strip  # what is no strip is refused further on


def _stretches(inspector: "Inspector", bands: Iterator[Band], every: int) -> Iterator[Stretch]:
    """Gather defects by the stretch of `every` rows in which they end."""
    waiting: list[Defect] = []
    lying: list[Runs] = []  # of all defects, from row `top` on
    top = end = width = 0

    def stretch(bottom: int, width: int) -> Stretch:
        mine = tuple(sorted((one for one in waiting if one.box[3] <= bottom), key=by_size))
        others = _pieces(inspector, lying, (top, bottom), width, mine)
        nothing = np.broadcast_to(np.uint8(0), (bottom, width))  # defects know their pixels
        verdict, reasons = inspector.rules.decide((*mine, *others), nothing, inspector.mm_per_px)
        return Stretch(top, bottom, verdict, mine, others, reasons, inspector.card.id)

    for end, width, runs, found in _closed(inspector, bands):
        waiting += found
        lying.append(runs)
        while top + every < end:  # one that reaches the last row may go on
            yield stretch(top + every, width)
            top += every
            waiting = [one for one in waiting if one.box[3] > top]
            lying = [rest for one in lying if len(rest := one[int(np.searchsorted(one.row, top)) :])]
    if end > top:
        yield stretch(end, width)


def _pieces(
    inspector: "Inspector", lying: list[Runs], rows: tuple[int, int], width: int, ended: tuple[Defect, ...]
) -> tuple[Defect, ...]:
    """Measure what lies within `rows` of defects that end further on: of `lying`, all but those that have `ended`."""
    if not lying:
        return ()
    runs = together([one[: int(np.searchsorted(one.row, rows[1]))] for one in lying])
    places = np.concatenate([np.empty((0, 3), np.int64), *(one.runs for one in ended if one.runs is not None)])
    done = np.isin(runs.row * width + runs.start, places[:, 0] * width + places[:, 1])
    found, card = regions(runs[~done], width), inspector.card
    return measure(*found, width, rows, inspector.min_area_px, card.class_names, inspector.mm_per_px)


def _closed(inspector: "Inspector", bands: Iterator[Band]) -> Iterator[tuple[int, int, Runs, tuple[Defect, ...]]]:
    """Give how many rows are done, the web's width, runs in the rows since, and defects that have ended in them."""
    tracker = _Tracker(inspector)
    for band in bands:
        yield from tracker.take(band)
    yield from tracker.finish()


class _Tracker:
    """Follows regions from band to band. Rows are measured once what surrounds them has been seen."""

    def __init__(self, inspector: "Inspector"):
        self.inspector = inspector
        self.border = self.measured = self.origin = self.bottom = 0  # rows; `origin` is the first that is kept
        self.image = self.mask = np.zeros((0, 0), np.uint8)
        self.new: Runs | None = None  # of rows not yet measured
        self.open: Runs | None = None  # of regions that reach the last row measured

    def take(self, band: Band) -> Iterator[tuple[int, int, Runs, tuple[Defect, ...]]]:
        mask = decide(band.probs, self.inspector.threshold)
        runs = runs_of(mask, band.probs, band.top)
        if self.new is None:
            self.image, self.mask, self.new, self.open = band.image, mask, runs, runs[:0]
        else:
            self.image = np.concatenate([self.image, band.image])
            self.mask, self.new = np.concatenate([self.mask, mask]), together([self.new, runs])
        self.bottom = band.bottom
        if self.bottom - REACH > self.measured:
            yield self._measure(self.bottom - REACH, False)

    def finish(self) -> Iterator[tuple[int, int, Runs, tuple[Defect, ...]]]:
        if self.new is not None:
            yield self._measure(self.bottom, True)

    def _measure(self, end: int, last: bool) -> tuple[int, int, Runs, tuple[Defect, ...]]:
        """Measure the regions that end above row `end`; the `last` time, all."""
        assert self.new is not None and self.open is not None
        width, count = self.mask.shape[1], int(np.searchsorted(self.new.row, end))
        ready = self.new[:count].with_greys(self.image, self.mask, self.origin)
        self.new = self.new[count:]
        runs, first = regions(together([self.open, ready]), width)
        sizes = np.diff(first, append=len(runs))
        goes_on = runs.row[first + sizes - 1] == end - 1
        cut = last or sizes[goes_on].sum() > MOST_RUNS
        goes_on &= not cut
        inspector, held = self.inspector, np.repeat(goes_on, sizes)
        sizes = sizes[~goes_on]
        found = measure(
            runs[~held], np.cumsum(sizes) - sizes, width, (self.border, end if cut else -1),
            inspector.min_area_px, inspector.card.class_names, inspector.mm_per_px,
        )  # fmt: skip
        rest = runs[held]
        self.open = rest[np.lexsort([rest.start, rest.row])]
        self.border, self.measured = end if cut else self.border, end
        keep = max(0, end - REACH) - self.origin
        self.image, self.mask, self.origin = self.image[keep:], self.mask[keep:], self.origin + keep
        return end, width, ready, found
