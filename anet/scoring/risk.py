"""Threshold and smallest area by what they cost: escapes and false rejects, counted per picture on validation.

What passes at the line is a whole part, not a pixel. Both rates follow from one number a picture and threshold: the
area of its largest region. A picture is rejected when that reaches the smallest area, so each is looked at once.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anet.errors import OptionError
from anet.scoring.bounds import Rate, measured, most_allowed, needed, upper
from anet.scoring.regions import THRESHOLDS, Survey
from anet.scoring.threshold import longest_run

AREAS = (0, *sorted([2**k for k in range(1, 21)] + [3 * 2**k for k in range(20)]))  # pixels: 0, 2, 3, 4, 6, 8, 12, ...
ROWS = 7  # of the trade-off, besides the chosen and the present point


@dataclass(frozen=True)
class Aim:
    """What is asked for: limits of rates, or costs, or both; then the costs decide among what the limits leave.

    Limits are rates above 0 and below 1, to be shown at `confidence`. Costs are of one missed defective and one
    rejected sound picture, in any one unit. `defect_share` is the share of defective pictures at the line, above 0 and
    below 1; without it, that of the validation part. `strict`: a defective picture is also missed when no region
    touches the truth, though one beside it would reject the part. Raises OptionError.
    """

    max_escape: float | None = None
    max_false: float | None = None
    cost_miss: float | None = None
    cost_false: float | None = None
    defect_share: float | None = None
    confidence: float = 0.95
    strict: bool = False

    def __post_init__(self) -> None:
        rates = {name: getattr(self, name) for name in ("max_escape", "max_false", "defect_share", "confidence")}
        for name, value in rates.items():
            if value is not None and not 1e-9 <= value <= 1 - 1e-9:
                raise OptionError(f"{name} is {value}: more than 0 and less than 1 would work")
        costs = (self.cost_miss, self.cost_false)
        if any(cost is not None and not 0 < cost <= 1e12 for cost in costs):
            raise OptionError(f"costs are {costs[0]} and {costs[1]}: two numbers above 0, at most 1e12, would work")
        if costs.count(None) == 1 or (self.defect_share is not None and None in costs):
            raise OptionError("the cost of a miss and that of a false reject go together, and defect_share with both")
        if self.max_escape is self.max_false is self.cost_miss is None:
            raise OptionError("nothing is asked for: max_escape, max_false, or cost_miss with cost_false would work")

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Point:
    """A threshold for `anet.frame.decide` and a smallest area, with what they do to the pictures of a part."""

    threshold: float
    min_area_px: int
    escapes: Rate  # defective pictures in which no region survives: they pass as good
    misses: Rate  # defective pictures in which no surviving region touches the truth: escapes, and those saved by luck
    false_rejects: Rate  # sound pictures in which a region survives
    cost: float | None  # expected for one picture, in the aim's unit

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Choice:
    """What was chosen for an aim, or why nothing could be; `rows` is the trade-off, fewest misses first."""

    aim: Aim
    chosen: Point | None
    refusal: str | None
    rows: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def point_at(seen: Survey, threshold: float, min_area_px: int, aim: Aim) -> Point:
    """Count what a threshold, one of `seen.thresholds`, and a smallest area do to the pictures."""
    column, least = seen.thresholds.index(threshold), max(1, min_area_px)  # a region has at least a pixel
    escapes, misses, passed = (int((one[:, column] < least).sum()) for one in (seen.found, seen.touching, seen.sound))
    defective, sound = len(seen.found), len(seen.sound)
    rates = [
        measured(count, of, aim.confidence)
        for count, of in ((escapes, defective), (misses, defective), (sound - passed, sound))
    ]
    cost = _cost(aim, defective, sound)
    total = cost[0] * (misses if aim.strict else escapes) + cost[1] * (sound - passed) if cost else None
    return Point(threshold, min_area_px, *rates, cost=total)


def choose(seen: Survey, aim: Aim, present: tuple[float, int] = (0.5, 0)) -> Choice:
    """Choose the point that an aim asks for, or say why the pictures cannot support it.

    Of the points that show the limits, the one with the lowest cost; without costs, with the fewest false rejects under
    a limit of escapes alone, else with the fewest misses. Of equally good ones, those that reject the fewest parts only
    for a region beside the defect; of these the smallest area that has a run of thresholds at least half as long as the
    longest, for a defect below it passes, and there the middle. Where there is no sound picture nothing speaks against
    marking everything: then it is the nearest to `present`, threshold and smallest area.

    The bounds are those of a point fixed beforehand: having chosen it on the same pictures makes them a little kind,
    and only other pictures can tell by how much.
    """
    beside = _passed(seen.touching)
    missed = beside if aim.strict else _passed(seen.found)
    rejected = len(seen.sound) - _passed(seen.sound)
    defective = _Side("defective", ("miss", "misses"), "an escape rate", True, aim.max_escape, missed, len(seen.found))
    must = aim.max_false is not None or aim.cost_miss is not None
    bad = ("false reject", "false rejects")
    sound = _Side("sound", bad, "a rate of false rejects", must, aim.max_false, rejected, len(seen.sound))
    good = defective.shown(aim.confidence) & sound.shown(aim.confidence)
    refusal, point = defective.refusal(aim.confidence) or sound.refusal(aim.confidence), None
    if refusal is None and not good.any():
        refusal = "each limit can be shown, but not both by one threshold and smallest area: allow more of either"
    if refusal is None:
        if len(seen.sound):
            goal = np.where(good, _goal(aim, seen, missed, rejected), np.inf)
            place = _middle(goal == goal.min(), beside)
        else:
            place = _nearest(good, present)
        point = point_at(seen, *place, aim)
    rows = _front(missed, rejected, beside) if len(seen.sound) else [(threshold, 0) for threshold in THRESHOLDS]
    return Choice(aim, point, refusal, tuple(point_at(seen, *row, aim) for row in _spread(rows)))


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the two rates: what its pictures show of a limit, at every point."""

    kind: str
    bad: tuple[str, str]
    rate: str
    must: bool  # it must be measured
    limit: float | None
    counts: np.ndarray  # (thresholds, areas)
    of: int

    def shown(self, confidence: float) -> np.ndarray:
        if self.limit is None:
            return np.ones(self.counts.shape, bool)
        return self.counts <= most_allowed(self.limit, self.of, confidence)

    def refusal(self, confidence: float) -> str | None:
        """Say why the pictures cannot show the limit at any point; None where they can."""
        if not self.of and self.must:
            free = ", or --free where the set keeps them apart (MT_Free, DAGM)"
            hint = f"label some by an empty mask{free}" if self.kind == "sound" else "add some"
            return f"the validation part has no {self.kind} picture, so {self.rate} cannot be measured: {hint}"
        if self.limit is None or self.shown(confidence).any():
            return None
        least = int(self.counts.min())
        count = f"with {least} {self.bad[least > 1]} at best" if least else f"without a {self.bad[0]}"
        at_most = upper(least, self.of, 1 - confidence)
        enough = f"{needed(self.limit, confidence, least)}{' with no more than that' if least else ''}"
        return (
            f"{self.of} {self.kind} pictures {count} show {self.rate} of at most {100 * at_most:.3g} % at "
            f"{100 * confidence:g} % confidence: {enough} would be needed to show {100 * self.limit:g} %"
        )


def _passed(largest: np.ndarray) -> np.ndarray:
    """Count the pictures without a surviving region: `(thresholds, areas) int64`."""
    largest = largest[:, : len(THRESHOLDS)]
    return np.stack([(largest < max(1, area)).sum(axis=0) for area in AREAS], axis=1)


def _goal(aim: Aim, seen: Survey, missed: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Give what is to be as low as possible at each point."""
    cost = _cost(aim, len(seen.found), len(seen.sound))
    if cost:
        return cost[0] * missed + cost[1] * rejected
    if aim.max_escape is not None and aim.max_false is None:
        return rejected * (len(seen.found) + 1.0) + missed  # of as many false rejects, the fewest misses
    return missed * (len(seen.sound) + 1.0) + rejected


def _cost(aim: Aim, defective: int, sound: int) -> tuple[float, float] | None:
    """Give what each miss and each false reject among the pictures adds to the expected cost of one at the line."""
    if aim.cost_miss is None or aim.cost_false is None or not defective or not sound:
        return None
    share = defective / (defective + sound) if aim.defect_share is None else aim.defect_share
    return share * aim.cost_miss / defective, (1 - share) * aim.cost_false / sound


def _middle(good: np.ndarray, beside: np.ndarray) -> tuple[float, int]:
    """Give the point of `choose` among equally good ones; `beside` counts the parts in which no region touches."""
    best = good & (beside == beside[good].min())
    runs = [longest_run(column) for column in best.T.tolist()]
    lengths = [end - start for start, end in runs]
    column = next(i for i, length in enumerate(lengths) if 2 * length >= max(lengths))
    start, end = runs[column]
    return THRESHOLDS[(start + end - 1) // 2], AREAS[column]


def _nearest(good: np.ndarray, present: tuple[float, int]) -> tuple[float, int]:
    """Give the good point at the area nearest to the present one that has any, and there the nearest threshold."""
    column = min(np.flatnonzero(good.any(axis=0)), key=lambda i: abs(AREAS[i] - present[1]))
    row = min(np.flatnonzero(good[:, column]), key=lambda i: abs(THRESHOLDS[i] - present[0]))
    return THRESHOLDS[row], AREAS[column]


def _front(missed: np.ndarray, rejected: np.ndarray, beside: np.ndarray) -> list[tuple[float, int]]:
    """Give the points than which none is better in both, fewest misses first."""
    rows, fewest = [], math.inf
    for count in np.unique(missed):
        least = rejected[missed == count].min()
        if least < fewest:
            fewest = least
            rows.append(_middle((missed == count) & (rejected == least), beside))
    return rows


def _spread(rows: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Give at most ROWS of the rows, the first and the last among them."""
    if len(rows) <= ROWS:
        return rows
    return [rows[round(i * (len(rows) - 1) / (ROWS - 1))] for i in range(ROWS)]
