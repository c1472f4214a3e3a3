"""`anet threshold`: choose a model's threshold and smallest area by what they cost, on validation pictures only."""

import contextlib
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from anet.errors import DataError, ModelError
from anet.evaluation import Trial, prepare
from anet.export.page import page
from anet.files import appearing, check_replaceable, check_same, printable, sha256, write_json
from anet.models import chosen_by_hand
from anet.runtime.card import CARD, PAGE, Card, read_card, read_listed
from anet.runtime.model_api import with_threshold
from anet.scoring.bounds import Rate
from anet.scoring.regions import survey
from anet.scoring.risk import Aim, Choice, Point, choose, point_at
from anet.scoring.threshold import BINS

if TYPE_CHECKING:
    from anet.training.checkpoint import Facts

OPERATING_FORMAT = 1
CHOSEN = "its threshold was chosen"


@dataclass(frozen=True)
class Operating:
    """What was chosen for an aim on the validation part, with all that is needed to judge and to repeat it."""

    facts: dict[str, Any]  # data, split, model, machine: as `anet eval` states them
    choice: Choice
    present: Point | None  # the model's own; None where its threshold is no whole multiple of 1/1024
    pieces: int  # groups among the validation pictures; fewer than pictures: these show less than their number
    small: tuple[int, int] = (0, 0)  # labelled regions below the chosen smallest area, and all
    written: Path | None = None  # the file that holds it now

    def to_dict(self) -> dict[str, Any]:
        """Give all as a dict for JSON."""
        present = asdict(self.present) if self.present else None
        found = {**self.choice.to_dict(), "present": present, "pieces": self.pieces, "small": list(self.small)}
        return {"format": OPERATING_FORMAT, **self.facts, **found}


def choose_operating(
    model: Path, data: Path, aim: Aim, task: str | None = None, free: bool = False, protocol: str | None = None,
    split_seed: int | None = None, out: Path | None = None, write: bool = False, threads: int = 0,
) -> Operating:  # fmt: skip
    """Choose threshold and smallest area for `aim` on the validation part of `data`; the test part is not looked at.

    Large pictures are cut into tiles, as at the line. JSON goes to `out`. With `write`, what was chosen goes into the
    bundle or model file. The split is that of `evaluate_model`. Raises ModelError, DataError, ImageError, OutputError;
    DataError also when the model was trained on some of what would be counted.
    """
    if write and (model / CARD).exists():
        check_replaceable(model.resolve())
    trial = prepare(model, data, task, free, protocol, split_seed, threads)
    check_unseen(trial, model)
    opened, val = trial.opened, trial.parts.val
    exact = (opened.threshold * BINS).is_integer()
    seen = survey(opened.line, val, trial.dataset.classes, (opened.threshold,) if exact else ())
    present = point_at(seen, opened.threshold, opened.min_area_px, aim) if exact else None
    pieces = len({sample.group or sample.name for sample in val})
    choice = choose(seen, aim, (opened.threshold, opened.min_area_px))
    least = choice.chosen.min_area_px if choice.chosen else 0
    small = int((seen.defects < least).sum()), len(seen.defects)
    facts = trial.facts("val")
    facts["model"] |= opened.line_by()
    result = Operating(facts, choice, present, pieces, small)
    if out:
        write_json(out, result.to_dict())
    if write and result.choice.chosen:
        written = write_point(model, result.choice.chosen, how(result), opened.sha256)
        result = replace(result, written=written)
    return result


def check_unseen(trial: Trial, model: Path) -> None:
    """Refuse to count on validation pictures that the model was trained on. Raises DataError."""
    own, counts = trial.opened.provenance["split"], trial.trained_on
    if trial.saw("val"):
        some = "some of those" if counts is None else f"{counts['val']} of the {len(trial.parts.val)}"
        raise DataError(
            f"{printable(model)} was trained on another split of these pictures and saw {some} that would be "
            f"counted: --protocol {own.get('protocol')} --split-seed {own.get('seed')} is its own, of the data set as "
            "it was then"
        )


def how(result: Operating) -> dict[str, Any]:
    """Give what a model's provenance says of its threshold: the aim, what was counted, and on which pictures."""
    facts, chosen = result.facts, result.choice.chosen
    return {
        "chosen": "validation", "by": "anet threshold", "aim": result.choice.aim.to_dict(),
        "point": chosen.to_dict() if chosen else None, "data": facts["data"], "split": facts["split"],
        "commit": facts["scored_by"]["commit"],
    }  # fmt: skip


def write_point(model: Path, point: Point, provenance: dict[str, Any], digest: str) -> Path:
    """Put threshold and smallest area into a bundle's card or a model file, sealed anew, all or nothing; give the file.

    `provenance` replaces what the model said of its threshold. `digest` is the SHA-256 that `open_model` gave: what
    changed since then is another model. Raises ModelError, OutputError.
    """
    model = Path(model)
    if (model / CARD).exists():
        card = read_card(model)
        check_same(model / CARD, digest, CHOSEN)
        _write_bundle(model, card, replace(card, provenance=_with(card.provenance, provenance), **_values(point)))
        return model / CARD
    from anet.training.checkpoint import find_model, load_model, save_model
    from anet.training.run import PLAN, locked

    file = find_model(model)
    with locked(file.parent) if (file.parent / PLAN).exists() else contextlib.nullcontext():
        network, facts = load_model(file)
        check_same(file, digest, CHOSEN)
        changed = replace(facts, provenance=_with(facts.provenance, provenance), **_values(point))
        save_model(file, network.state_dict(), changed)
    return file


def with_point_of(bundle: Path, facts: "Facts", h: int, w: int) -> "Facts":
    """Give a model's facts with the threshold and smallest area that `anet threshold` wrote into a bundle of it.

    As they are where the bundle is another training's, or its input not `h` x `w`, for which the point was chosen, or
    the model itself has a point that was chosen so.
    """
    try:
        card = read_card(bundle)
    except ModelError:
        return facts  # none is there, or it is damaged: nothing to keep
    before, now = card.provenance, facts.provenance
    new = chosen_by_hand(before) and not chosen_by_hand(now) and (card.h, card.w) == (h, w)
    if not new or any(before.get(key) != now[key] for key in now if key not in ("threshold", "int8")):
        return facts
    kept = {**now, "threshold": before["threshold"]}
    return replace(facts, threshold=card.threshold, min_area_px=card.min_area_px, provenance=kept)


def _write_bundle(bundle: Path, card: Card, changed: Card) -> None:
    """Write a bundle anew, at once: the threshold stands in its page, too, and for Model API in its models."""
    content = {name: read_listed(bundle, card, name) for name in card.files}
    # what the export's figures were measured at: they do not change with the point
    was = {"threshold": card.threshold, "min_area_px": card.min_area_px}
    changed = replace(changed, parity={**was, **card.parity})
    for name in content:
        if name.endswith((".xml", ".onnx")):
            content[name] = with_threshold(content[name], changed.threshold)
        if name == PAGE:
            content[name] = page(changed).encode()
    changed = replace(changed, files={name: sha256(one) for name, one in content.items()})
    with appearing(bundle.resolve()) as made:
        shutil.copytree(bundle, made, symlinks=True, dirs_exist_ok=True)  # with what is not ours
        for name, one in {**content, CARD: changed.sealed()}.items():
            (made / name).write_bytes(one)


def _with(provenance: dict[str, Any], threshold: dict[str, Any]) -> dict[str, Any]:
    return {**provenance, "threshold": threshold}


def _values(point: Point) -> dict[str, Any]:
    return {"threshold": point.threshold, "min_area_px": point.min_area_px}


def print_operating(result: Operating, console: Console) -> None:
    """Print the trade-off, what was chosen, and what a reader must know beside it."""
    choice, facts = result.choice, result.facts
    marks = {_place(point): (point, "") for point in choice.rows}
    for point, mark in ((result.present, "now"), (choice.chosen, "chosen")):
        if point:
            old = marks.get(_place(point), (point, ""))[1]
            marks[_place(point)] = (point, f"{mark}, {old}" if old else mark)
    escapes, rejects = choice.rows[0].escapes.of, choice.rows[0].false_rejects.of
    costs = ["cost"] if choice.aim.cost_miss is not None else []
    heads = ("threshold", "min px", f"escapes of {escapes}", "+ beside", f"false of {rejects}", *costs, "")
    table = Table(
        *(Column(head, no_wrap=True) for head in heads), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )
    order = sorted(marks.values(), key=lambda row: (row[0].escapes.count, row[0].misses.count, row[0].threshold))
    for point, mark in order:
        cost = ["–" if point.cost is None else f"{point.cost:.3g}"] if costs else []
        rates = _rate(point.escapes), str(point.misses.count), _rate(point.false_rejects)
        table.add_row(f"{point.threshold:.4f}", str(point.min_area_px), *rates, *cost, mark)
    split = facts["split"]
    console.print(f"{facts['data']['name']} {facts['data']['task']}, val: {split['source']}", soft_wrap=True)
    console.print(table)
    for line in _lines(result):
        console.print(line, highlight=False, soft_wrap=True)


def _place(point: Point) -> tuple[float, int]:
    return point.threshold, point.min_area_px


def _rate(rate: Rate) -> str:
    if rate.rate is None:
        return "not measured"
    low, high = (f"{100 * one:.1f}" if one < 0.1 else f"{100 * one:.0f}" for one in (rate.low, rate.high))
    return f"{rate.count} ({low}–{high} %)"  # short, for 80 columns; JSON has all digits


def _lines(result: Operating) -> list[str]:
    """Give the sentences below the table."""
    choice, first = result.choice, result.choice.rows[0]
    counted = first.escapes.of + first.false_rejects.of
    lines = _chosen(choice.chosen, choice.aim) if choice.chosen else []
    if result.written:
        lines.append(f"written into {printable(result.written)}")
    if result.small[0] and choice.chosen:
        lines.append(
            f"{result.small[0]} of {result.small[1]} labelled regions are smaller than {choice.chosen.min_area_px} px: "
            "alone on a part, such a defect passes."
        )
    if not first.false_rejects.of:
        kept = ", so the point stays near the present one" if choice.chosen else ""
        lines.append(f"No sound picture in validation: false rejects cannot be measured{kept}.")
    if result.pieces < counted:
        lines.append(f"The {counted} pictures show {result.pieces} pieces: they prove less than as many pieces would.")
    if choice.aim.cost_miss is not None and choice.aim.defect_share is None:
        share = f"{first.escapes.of} of {counted} pictures defective"
        lines.append(f"Cost is for {share}, as in validation: --defect-share gives the line's share.")
    lines.append(
        "Escape: a defective picture without a region of min px; beside: such a region, but none on the defect; rules "
        "of a bundle are not looked at. In brackets two-sided Clopper-Pearson bounds at "
        f"{100 * choice.aim.confidence:g} %; limits are held against the one-sided bound. Chosen and counted on the "
        "same validation pictures, which makes both a little kind; test pictures were not looked at."
    )
    return lines


def _chosen(one: Point, aim: Aim) -> list[str]:
    def counts(rate: Rate) -> str:
        at_most = f"at most {100 * rate.at_most:.3g} % at {100 * aim.confidence:g} % confidence"
        return f"{rate.count} of {rate.of}, {at_most}"

    lines = [f"chosen: threshold {one.threshold:g}, min area {one.min_area_px} px"]
    if aim.strict:
        lines.append(f"  escapes, beside included: {counts(one.misses)}")
    else:
        lines.append(f"  escapes: {counts(one.escapes)}")
    if one.false_rejects.of:
        lines.append(f"  false rejects: {counts(one.false_rejects)}")
    beside = one.misses.count - one.escapes.count
    if beside and not aim.strict:
        lines.append(f"  rejected only for a region beside the defect: {beside}; --strict counts them as escapes")
    return lines
