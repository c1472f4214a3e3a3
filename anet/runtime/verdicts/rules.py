"""Pass/fail rules: what makes a picture accepted, warned of or rejected, and why, in words.

A rule counts the defects of its classes, in its zone, that are large or sure enough (`from_...`), and fires for each of
its limits that they break. `rules_file` reads rules from TOML; docs/rules.md explains them to users.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from anet.errors import OptionError
from anet.runtime.measuring.measure import Defect, reported
from anet.runtime.verdicts.gaps import Scale, closest
from anet.runtime.verdicts.zones import Zone

VERDICTS = ("accept", "warn", "reject")  # the worst last
MEASURES = ("area_px", "area_mm2", "length_px", "length_mm", "width_px", "width_mm", "score")  # names in Defect
TOTALS, DISTANCES = ("max_total_area_px", "max_total_area_mm2"), ("min_distance_px", "min_distance_mm")
LIMITS = ("max_count", *(f"max_{name}" for name in MEASURES), *TOTALS, *DISTANCES)
LEAST = tuple(f"from_{name}" for name in MEASURES)
UNITS = {"_px": "px", "_mm": "mm", "_mm2": "mm²"}


@dataclass(frozen=True, eq=False)
class Rule:
    """One row of a rule file; `limits` and `least` hold its keys of LIMITS and LEAST. No `classes` are all classes."""

    name: str
    action: str  # "warn" or "reject"
    limits: dict[str, float]
    classes: tuple[str, ...] = ()
    zone: Zone | None = None  # the whole picture
    least: dict[str, float] = field(default_factory=dict)

    def counts(self, defect: Defect, mask: np.ndarray) -> bool:
        """Say whether a defect is one that this rule is about."""
        return (
            (not self.classes or defect.class_name in self.classes)
            and all(measured(defect, key[5:]) >= value for key, value in self.least.items())
            and (self.zone is None or self.zone.holds(defect, mask))
        )


@dataclass(frozen=True)
class Reason:
    """One limit of one rule that a picture broke. `defects` are numbers as in defects.csv, from 1, the worst first."""

    action: str
    rule: str
    limit: str  # the key, such as max_length_px
    allowed: float
    found: float
    defects: tuple[int, ...]
    text: str  # all of it for a person, in one line

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self) | {"defects": list(self.defects)}


@dataclass(frozen=True, eq=False)
class Rules:
    """All rules of a file, in its order; every one that fires gives its reasons, and the worst action is the verdict.

    `source` says in messages where they are from; `id` are the first 12 digits of their file's SHA-256, None without a
    file.
    """

    rules: tuple[Rule, ...]
    source: str = "rules"
    id: str | None = None

    def decide(
        self, defects: Sequence[Defect], mask: np.ndarray, mm_per_px: Scale = None
    ) -> tuple[str, tuple[Reason, ...]]:
        """Give the verdict on a picture, "accept", "warn" or "reject", and its reasons, the rejecting ones first.

        `mask` is the `(h, w) uint8` of class ids that `defects` were found in. Raises ImageError when a zone was drawn
        for another size, and OptionError when a limit in mm meets defects that were measured in px alone.
        """
        reasons = [reason for rule in self.rules for reason in _fired(rule, defects, mask, mm_per_px)]
        reasons.sort(key=lambda reason: -VERDICTS.index(reason.action))
        return (reasons[0].action if reasons else "accept"), tuple(reasons)

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuse rules on classes that a model (background first) does not have. Raises OptionError."""
        for rule in self.rules:
            for name in rule.classes:
                if name not in class_names[1:]:
                    known = f"this model knows {', '.join(class_names[1:])}"
                    raise OptionError(f"{self.source}: rule {rule.name!r}: no class {name!r}: {known}")

    def check_units(self, mm_per_px: Scale) -> None:
        """Refuse limits in mm where the size of a pixel is not known. Raises OptionError."""
        for rule in self.rules:
            metric = [key for key in (*rule.limits, *rule.least) if key.endswith(("_mm", "_mm2"))]
            if metric and mm_per_px is None:
                need = f"{metric[0]} needs mm_per_px, the size of a pixel"
                raise OptionError(f"{self.source}: rule {rule.name!r}: {need}; limits in px would work without it")

    def mask_files(self) -> tuple[str, ...]:
        """Give the names of all masks that zones of these rules are drawn in."""
        files = {rule.zone.mask_file for rule in self.rules if rule.zone is not None}
        return tuple(sorted(files - {""}))


def any_defect(min_area_px: int) -> Rules:
    """Give the rules that hold where none are given: any defect rejects."""
    what = f"any defect of {min_area_px} px or more" if min_area_px > 1 else "any defect"
    return Rules((Rule(f"{what}; no rules given", "reject", {"max_count": 0}),))


def measured(defect: Defect, name: str) -> float:
    """Give a measure of a defect as reported, by its name in MEASURES. Raises OptionError without any in mm."""
    value = getattr(defect, name, None)
    if value is None:
        raise OptionError(f"a rule is about {name}, and the defects were measured in px alone: give mm_per_px")
    return reported(name, float(value))


def _fired(rule: Rule, defects: Sequence[Defect], mask: np.ndarray, mm_per_px: Scale) -> list[Reason]:
    """Give a reason for each limit of a rule that is broken."""
    if rule.zone is not None:
        rule.zone.check_fits(*mask.shape)  # also where nothing was found: a zone that does not fit is no zone
    counted = {number: one for number, one in enumerate(defects, 1) if rule.counts(one, mask)}
    reasons = []
    for key, allowed in rule.limits.items():
        found, culprits = _found(key, allowed, counted, mask, mm_per_px)
        if culprits and (found < allowed if key in DISTANCES else found > allowed):
            text = _text(rule, key, found, [counted[number] for number in culprits])
            reasons.append(Reason(rule.action, rule.name, key, allowed, found, tuple(culprits), text))
    return reasons


def _found(
    key: str, allowed: float, counted: dict[int, Defect], mask: np.ndarray, mm_per_px: Scale
) -> tuple[float, list[int]]:
    """Give what a limit is compared with, and the numbers of the defects behind it; none where there is nothing."""
    numbers = list(counted)
    if key == "max_count":
        return len(numbers), numbers
    if key in TOTALS:
        return reported(key, sum(measured(one, key[10:]) for one in counted.values())), numbers
    if key in DISTANCES:
        pair = closest(list(counted.values()), mask, mm_per_px if key.endswith("_mm") else 1.0, allowed)
        return (reported(key, pair[0]), [numbers[pair[1]], numbers[pair[2]]]) if pair else (allowed, [])
    values = {number: measured(one, key[4:]) for number, one in counted.items()}
    over = sorted((number for number in numbers if values[number] > allowed), key=lambda number: -values[number])
    return (values[over[0]], over) if over else (0.0, [])


def _text(rule: Rule, key: str, found: float, culprits: list[Defect]) -> str:
    """Say which rule fired, what was found, what is allowed, and where."""
    unit = next((word for end, word in UNITS.items() if key.endswith(end)), "")
    what = key.removesuffix("_px").removesuffix("_mm2").removesuffix("_mm")[4:].replace("_", " ")
    is_found = f"{found:g} defect{'s' if found != 1 else ''}" if what == "count" else f"{what} {_number(found)} {unit}"
    zone = f" in zone {rule.zone.name!r}" if rule.zone else ""
    most = f"at {'least' if key in DISTANCES else 'most'} {_number(rule.limits[key])} {unit}".rstrip()
    shown = culprits[: 2 if key in DISTANCES else 1]
    places = " and ".join(f"{one.class_name} at x {one.centroid[1]:.0f}, y {one.centroid[0]:.0f}" for one in shown)
    more = f" and {len(culprits) - len(shown)} more" if len(culprits) > len(shown) else ""
    return f"{rule.action} by {rule.name!r}: {is_found.rstrip()}{zone}, {most} allowed: {places}{more}"


def _number(value: float) -> str:
    """Give a number as short as it can be told: two digits behind the point, more for small ones."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 10 or value == int(value) else f"{value:.4g}"
