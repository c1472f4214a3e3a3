"""What is wrong with a file of rules, and what it would have decided on pictures inspected before."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from anet.errors import AnetError, OptionError
from anet.files import printable
from anet.image import read_mask
from anet.runtime.card import read_card
from anet.runtime.verdicts import light
from anet.runtime.verdicts.gaps import Scale
from anet.runtime.verdicts.rules import VERDICTS, Rules
from anet.runtime.verdicts.rules_file import Fault, class_faults, look_at_rules

SHOWN = 20  # pictures with another verdict that are printed


@dataclass(frozen=True)
class Replay:
    """One picture of an earlier inspection: its verdict then, and by these rules; `now` may be "error"."""

    file: str
    before: str
    now: str
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self) | {"reasons": list(self.reasons)}


@dataclass(frozen=True)
class Check:
    """All that `check_rules` found."""

    path: Path
    rules: int
    faults: tuple[Fault, ...]
    replays: tuple[Replay, ...]

    @property
    def ok(self) -> bool:
        """Whether the rules can be used, and could decide on every picture they were tried on."""
        return all(fault.level != "error" for fault in self.faults) and all(one.now != "error" for one in self.replays)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        listed = {"faults": [one.to_dict() for one in self.faults], "replays": [one.to_dict() for one in self.replays]}
        return {"path": str(self.path), "ok": self.ok, "rules": self.rules, **listed}


def check_rules(path: Path | str, bundle: Path | str | None = None, report: Path | str | None = None) -> Check:
    """Find every fault of a file of rules, and of its classes when `bundle` is given.

    With `report`, a `results.jsonl` of `anet inspect` with its masks beside it, sound rules are tried on them.
    Raises OptionError for a file that cannot be read at all, ModelError for a damaged bundle.
    """
    path = Path(path)
    rules, faults = look_at_rules(path)
    if rules and bundle is not None:
        faults += tuple(class_faults(rules, read_card(bundle).class_names))
    ok = rules is not None and all(fault.level != "error" for fault in faults)
    replays = tuple(replay(rules, Path(report))) if rules and ok and report is not None else ()
    return Check(path, len(rules.rules) if rules else 0, faults, replays)


def replay(rules: Rules, report: Path) -> Iterator[Replay]:
    """Decide anew on every picture in a `results.jsonl` that had a verdict. Raises OptionError for another file."""
    try:
        with open(report, encoding="ascii") as stream:
            for number, line in enumerate(stream, 1):
                again = _again(rules, line, report.parent, f"line {number} of {printable(report)}")
                if again:
                    yield again
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text of anet inspect"
        raise OptionError(f"cannot read {printable(report)}: {reason}") from error


def print_check(check: Check, console: Any) -> None:
    """Print faults and what would change, on a rich console."""
    for fault in check.faults:
        console.print(f"{fault.level:<6} {fault}", highlight=False, soft_wrap=True)
    state = f"{check.rules} rule{'s' if check.rules != 1 else ''}, no errors" if check.ok else "not usable as it is"
    console.print(f"{printable(check.path)}: {state}", highlight=False, soft_wrap=True)
    if not check.replays:
        return
    before, now = (Counter(getattr(one, name) for one in check.replays) for name in ("before", "now"))
    for title, counts in (("then", before), ("now", now)):
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (*VERDICTS, "error") if counts[verdict])
        console.print(f"{title:<4} {told}", highlight=False)
    changed = [one for one in check.replays if one.before != one.now]
    for one in changed[:SHOWN]:
        console.print(f"  {printable(one.file)}: {one.before} -> {one.now}", highlight=False, soft_wrap=True)
        for reason in one.reasons:
            console.print(f"    {reason}", highlight=False, soft_wrap=True)
    if len(changed) > SHOWN:
        console.print(f"  and {len(changed) - SHOWN} more pictures with another verdict", highlight=False)


def _again(rules: Rules, line: str, folder: Path, where: str) -> Replay | None:
    """Decide on one line of results; None for one that has no verdict."""
    try:
        facts = json.loads(line)
        if "error" in facts:
            return None
        defects = [_defect(one) for one in facts["defects"]]
        file, before, drawn, shape = facts["file"], facts["verdict"], facts["mask"], (facts["h"], facts["w"])
        mask_file, scale = folder / drawn, _scale(facts.get("mm_per_px"))
        of_light = [str(one["text"]) for one in facts.get("reasons", ()) if one["rule"] == light.RULE]
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise OptionError(f"{where} is no result of anet inspect") from error
    try:
        mask = read_mask(mask_file)
        mask = np.where(mask == 255, 1, mask).astype(np.uint8)  # as masks of one class are written
        if mask.shape != shape:
            raise OptionError(f"{where}: {printable(mask_file)} is not the mask of a picture of {shape}")
        now, reasons = rules.decide(defects, mask, scale)
    except AnetError as error:
        return Replay(str(file), str(before), "error", (str(error),))
    except ValueError as error:
        raise OptionError(f"{where}: {printable(mask_file)} does not hold the defects of that line") from error
    if of_light:  # by no rule, so that other rules do not change it
        now = max(now, "warn", key=VERDICTS.index)
    return Replay(str(file), str(before), now, (*(reason.text for reason in reasons), *of_light))


def _scale(value: Any) -> Scale:
    """Give a line's mm per pixel, of both axes or along y and x; None where it has none."""
    values = value if isinstance(value, list) else [value] * 2
    if value is None or len(values) != 2:
        return None
    down, across = map(float, values)
    return down, across


def _defect(facts: dict[str, Any]) -> Any:
    """Give what a line says of a defect, by the names of `anet.runtime.measuring.measure.Defect`."""
    box, centroid = (tuple(map(float, facts[name])) for name in ("box", "centroid"))
    box = tuple(map(int, box))
    if len(box) != 4 or len(centroid) != 2 or not isinstance(facts["class_name"], str):
        raise ValueError("another kind of line")
    return SimpleNamespace(**facts | {"box": box, "centroid": centroid, "runs": None})
