"""The TOML file of pass/fail rules: read it, or say all that is wrong with it at once."""

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from anet.errors import AnetError, OptionError
from anet.files import printable, read_plain, sha256
from anet.image import decode_mask
from anet.runtime.verdicts.rules import DISTANCES, LEAST, LIMITS, Rule, Rules
from anet.runtime.verdicts.zones import Points, Zone, polygon_faults

MOST_BYTES, MOST_MASK_BYTES = 2**20, 2**26
ACTIONS = ("warn", "reject")
RULE_KEYS = ("name", "action", "classes", "zone", *LIMITS, *LEAST)
SHAPES = ("polygon_px", "polygon_share", "mask")
Read = Callable[[str], bytes]  # gives the content of a file beside the rules


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong ("error") or odd ("note") in a file of rules; `where` names the rule or zone."""

    level: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def read_rules(path: Path | str) -> Rules:
    """Read a file of rules and the masks beside it. Raises OptionError with the first fault, and how many there are."""
    return sound(*look_at_rules(path), printable(path))


def look_at_rules(path: Path | str) -> tuple[Rules | None, tuple[Fault, ...]]:
    """Read a file of rules and give them, or None where there are errors, and every fault. Raises OptionError."""
    path = Path(path)
    content = read_plain(path, MOST_BYTES, OptionError)
    return parse_rules(content, lambda name: read_plain(path.parent / name, MOST_MASK_BYTES, OptionError))


def sound(rules: Rules | None, faults: Sequence[Fault], name: str) -> Rules:
    """Give rules under the `name` of their file. Raises OptionError where there are none, with the first fault."""
    errors = [fault for fault in faults if fault.level == "error"]
    if rules is None:
        more = f" (and {len(errors) - 1} more: `anet rules check` lists them)" if len(errors) > 1 else ""
        raise OptionError(f"{name}: {errors[0]}{more}")
    return replace(rules, source=name)


def parse_rules(content: bytes, read: Read) -> tuple[Rules | None, tuple[Fault, ...]]:
    """Parse the content of a file of rules; `read` gives the masks it names. Gives the same as `look_at_rules`."""
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        return None, (Fault("error", "", f"is no TOML in UTF-8: {printable(str(reason))[:200]}"),)
    reader = _Reader(read)
    rules = reader.rules(table)
    broken = any(fault.level == "error" for fault in reader.faults)
    return None if broken else Rules(tuple(rules), id=sha256(content)[:12]), tuple(reader.faults)


def class_faults(rules: Rules, class_names: Sequence[str]) -> Iterator[Fault]:
    """Say which classes of the rules a model (background first) does not have, and which of its own have no rule."""
    for rule in rules.rules:
        for name in rule.classes:
            if name not in class_names[1:]:
                yield Fault(
                    "error", _about(rule.name), f"no class {name!r} in this model{nearest(name, class_names[1:])}"
                )
    for name in class_names[1:]:
        if all(rule.classes and name not in rule.classes for rule in rules.rules):
            yield Fault("note", "", f"no rule is about class {name!r}: it is always accepted")


class _Reader:
    """Goes through the tables of a file and gathers faults on the way."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.faults: list[Fault] = []

    def error(self, where: str, text: str) -> None:
        self.faults.append(Fault("error", printable(where), printable(text)))

    def rules(self, table: dict[str, Any]) -> list[Rule]:
        self._keys("", table, ("zones", "rules"))
        zones = table.get("zones", {})
        rows = table.get("rules", [])
        if not isinstance(zones, dict):
            self.error("", "zones are tables: [zones.edge]")
            zones = {}
        if not isinstance(rows, list) or not rows:
            self.error("", "holds no rule, so everything would be accepted: a rule begins with [[rules]]")
            rows = []
        known = {name: self._zone(name, facts) for name, facts in zones.items()}
        found = [self._rule(number, row, known) for number, row in enumerate(rows, 1)]
        rules = [rule for rule in found if rule]
        used = [row.get("zone") for row in rows if isinstance(row, dict)]
        for name in (name for name in known if name not in used):
            self.faults.append(Fault("note", f"zone {printable(name)!r}", "no rule uses it"))
        for number, rule in enumerate(rules):
            if rule.name in [one.name for one in rules[:number]]:
                self.error(_about(rule.name), "another rule has this name: reasons could not be told apart")
        self.faults += [Fault("error", *words) for words in _contradictions(rules)]
        return rules

    def _keys(self, where: str, table: dict[str, Any], known: Sequence[str]) -> None:
        for key in table.keys() - set(known):
            self.error(where, f"unknown key {key!r}{nearest(key, known)}")

    def _zone(self, name: str, facts: Any) -> Zone | None:
        where = f"zone {name!r}"
        if not isinstance(facts, dict):
            return self.error(where, f"is no table: [zones.{name}] begins one")
        self._keys(where, facts, SHAPES)
        given = [key for key in SHAPES if key in facts]
        if len(given) != 1:
            return self.error(where, f"has {' and '.join(given) or 'no shape'}: one of {', '.join(SHAPES)} would work")
        if given == ["mask"]:
            return self._mask(name, where, facts["mask"])
        points, shares = _points(facts[given[0]]), given == ["polygon_share"]
        if points is None:
            return self.error(where, f"{given[0]} is a list of points [x, y] of finite numbers")
        for fault in polygon_faults(points, shares):
            self.error(where, fault)
        return Zone(name, points, shares)

    def _mask(self, name: str, where: str, file: Any) -> Zone | None:
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".png") or "\0" in file:
            return self.error(where, f"mask is the name of a PNG beside the rules: {file!r:.80} found")
        try:
            mask = decode_mask(self.read(file), file)
        except AnetError as error:
            return self.error(where, str(error))
        if not mask.any():
            self.error(
                where, f"its mask {file!r} is empty: nothing in it is above 0, so no rule in this zone would fire"
            )
        return Zone(name, mask=mask != 0, mask_file=file)

    def _rule(self, number: int, facts: Any, zones: dict[str, Zone | None]) -> Rule | None:
        if not isinstance(facts, dict):
            return self.error(f"rule {number}", "is no table: [[rules]] begins one")
        before, name = len(self.faults), facts.get("name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            self.error(f"rule {number}", f"needs a name of printable letters: {name!r:.80} found")
        where = _about(name) if isinstance(name, str) else f"rule {number}"
        self._keys(where, facts, RULE_KEYS)
        if facts.get("action") not in ACTIONS:
            self.error(where, f"action is {facts.get('action')!r:.80}: {' or '.join(map(repr, ACTIONS))} would work")
        classes = facts.get("classes", [])
        if (
            not isinstance(classes, list)
            or not all(isinstance(one, str) for one in classes)
            or facts.get("classes") == []
        ):
            self.error(where, f"classes is a list of names: {classes!r:.80} found; without it, all are meant")
        zone = facts.get("zone")
        if zone is not None and (not isinstance(zone, str) or zone not in zones):
            near = nearest(zone, zones) if isinstance(zone, str) else ""
            self.error(where, f"no zone {zone!r:.80}{near}")
        limits, least = ({key: facts[key] for key in keys if key in facts} for keys in (LIMITS, LEAST))
        for key, value in (limits | least).items():
            self._number(where, key, value)
        if not limits:
            self.error(
                where, "has no limit, so it never fires: max_count = 0 would forbid any, docs/rules.md lists the others"
            )
        if any(fault.level == "error" for fault in self.faults[before:]):
            return None
        return Rule(str(name), facts["action"], limits, tuple(classes), zones[zone] if zone else None, least)

    def _number(self, where: str, key: str, value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
        if not number or value < 0 or not math.isfinite(value):
            self.error(where, f"{key} is {value!r:.80}: a finite number, 0 or more, would work")
        elif key == "max_count" and not isinstance(value, int):
            self.error(where, f"{key} is {value!r:.80}: a whole number would work")
        elif key.endswith("score") and value > 1:
            self.error(where, f"{key} is {value!r:.80}: scores lie between 0 and 1")
        elif key in DISTANCES and value == 0:
            self.error(where, f"{key} is 0: nothing is nearer than that, so it never fires")


def _contradictions(rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """Find warnings that no picture can end with, since a rejecting rule on the same or more is as strict."""
    for warn, reject in product(rules, rules):
        if (warn.action, reject.action) != ("warn", "reject") or not _covers(reject, warn):
            continue
        for key in warn.limits.keys() & reject.limits.keys():
            mine, other = warn.limits[key], reject.limits[key]
            if mine <= other if key in DISTANCES else mine >= other:
                much = f"{key} {mine:g} warns of nothing that {other:g} of rule {reject.name!r} does not reject"
                yield _about(warn.name), f"{much}: a warning comes before, not after"


def _covers(reject: Rule, warn: Rule) -> bool:
    """Say whether all defects that one rule counts are also counted by the other."""
    return (
        (not reject.classes or (bool(warn.classes) and set(warn.classes) <= set(reject.classes)))
        and (reject.zone is None or reject.zone is warn.zone)
        and all(value <= warn.least.get(key, 0) for key, value in reject.least.items())
    )


def _points(value: Any) -> Points | None:
    """Give a list of [x, y] as numbers, None where it is none."""
    try:
        points = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < 1e9).all():
        return None
    plain = all(type(one) in (int, float) for point in value for one in point)  # numpy also takes "1" and true
    return tuple((float(x), float(y)) for x, y in points) if plain else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was meant, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    return f": did you mean {near[0]!r}?" if near else f": {', '.join(names)} exist" if names else ": there is none"


def _about(name: str) -> str:
    return f"rule {printable(name)!r}"
