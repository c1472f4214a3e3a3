"""`anet eval`: score any model on any part of a data set; its threshold comes from validation, never from the part."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from anet.data import Dataset, Sample, Split, load, split
from anet.data.few import fewer
from anet.errors import DataError
from anet.files import printable, write_json
from anet.models import OpenModel, chosen_by_hand, open_model
from anet.provenance import commit, machine, versions
from anet.scoring.evaluate import Evaluation, evaluate
from anet.scoring.report import BEST, WORST, Table, Tile, write_report
from anet.scoring.threshold import choose_threshold
from anet.seen import all_seen, known_seen, told, trained_on

RESULT_FORMAT = 1
AS_SET = "as the model has it"


@dataclass(frozen=True)
class Result:
    """A scored part of a data set, with all that is needed to judge and to repeat it."""

    facts: dict[str, Any]  # data, split, model, threshold, machine: as the JSON file holds them
    scored: Evaluation
    class_names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"format": RESULT_FORMAT, **self.facts, **self.scored.to_dict()}


@dataclass(frozen=True)
class Trial:
    """A model and the pictures on which it is tried, in parts."""

    opened: OpenModel
    dataset: Dataset
    free: bool
    digest: str
    parts: Split
    pictures: int | None  # labelled ones of train and val; None: all
    other_split: bool  # the model was trained on some of what is held out here
    trained_on: dict[str, int] | None  # part -> its pictures that the model was trained on; None: it does not say

    def saw(self, part: str) -> bool:
        """Say whether the model was trained on some of a part: as it says, else where its split was another one."""
        return self.other_split if self.trained_on is None else self.trained_on[part] > 0

    def facts(self, part: str) -> dict[str, Any]:
        """Give what goes with every figure from a part: data, split, model, machine."""
        dataset, parts, opened = self.dataset, self.parts, self.opened
        return {
            "data": {
                "name": dataset.name, "task": dataset.task, "digest": self.digest, "free": self.free, "part": part,
            },
            "split": {
                "protocol": parts.protocol, "seed": parts.seed, "source": parts.source,
                **({"pictures": self.pictures} if self.pictures else {}),
                **{name: len(parts.part(name)) for name in ("train", "val", "test")},
            },
            "trained_on_another_split_of_this_data": self.other_split,
            **({} if self.trained_on is None else {"pictures_trained_on": self.trained_on}),
            "model": {
                **told(opened.provenance), "trained_in": opened.provenance.get("precision"),  # it answers in its own
                "network": opened.network, "engine": opened.engine, "precision": opened.precision,
                "size": opened.size, "sha256": opened.sha256, "class_names": list(opened.class_names),
            },
            "scored_by": {"commit": commit(), "versions": versions(), "machine": machine()},
        }  # fmt: skip


def prepare(
    model: Path, data: Path, task: str | None, free: bool, protocol: str | None, split_seed: int | None,
    threads: int, engine: str | None = None, precision: str | None = None,
) -> Trial:  # fmt: skip
    """Open a model and the pictures to try it on, see `evaluate_model`. Raises ModelError, DataError, ImageError."""
    opened = open_model(model, threads, engine, precision)
    dataset = load(data, task, free, opened.task)
    dataset.check_fit(opened.class_names, model)
    digest, trained = dataset.digest(), opened.provenance
    own = trained.get("split", {})
    same_data = trained.get("data", {}).get("digest") == digest
    if protocol is None and same_data:
        protocol, split_seed = own["protocol"], own["seed"] if split_seed is None else split_seed
    parts = split(dataset, protocol, split_seed or 0)
    own_split = (parts.protocol, parts.seed) == (own.get("protocol"), own.get("seed"))
    pictures = own.get("pictures") if same_data and own_split else None
    parts = fewer(parts, pictures, trained.get("seed", 0))  # the threshold sees no more labels than the training did
    counts = trained_on(all_seen(trained), parts) if known_seen(trained) else None
    other_split = bool(counts["val"] or counts["test"]) if counts else same_data and not own_split
    return Trial(opened, dataset, free, digest, parts, pictures, other_split, counts)


def evaluate_model(
    model: Path, data: Path, task: str | None = None, free: bool = False, protocol: str | None = None,
    split_seed: int | None = None, part: str = "test", out: Path | None = None, report: Path | None = None,
    threads: int = 0, history: list[dict] | None = None, more: tuple[Table, ...] = (), engine: str | None = None,
    precision: str | None = None, as_set: bool = False,
) -> Result:  # fmt: skip
    """Score `model` on a part of `data`; write JSON to `out` and HTML to `report` when given.

    The threshold is chosen on validation, and every region counts; with `as_set` both threshold and smallest area are
    the model's own, and large pictures are cut into tiles, as at the line; by the engine and at the scale that
    `anet tune` chose for this machine, too, which else are left aside so that scores are the same on any.

    Without `protocol`, that with which the model was trained is taken when it was trained on these pictures, and its
    seed where no `split_seed` is given; else that is 0 by itself. The report shows curves from `history` and `more`
    tables. `engine` and `precision` choose among a bundle's. Raises ModelError, OptionError, DataError, ImageError,
    OutputError.
    """
    trial = prepare(model, data, task, free, protocol, split_seed, threads, engine, precision)
    opened, dataset, parts = trial.opened, trial.dataset, trial.parts
    if not parts.part(part):
        raise DataError(f"{printable(data)} has no {part} part under protocol {parts.protocol}")
    if as_set:
        predict = opened.as_set
        point = {"value": opened.threshold, "chosen": AS_SET, "min_area_px": opened.min_area_px, "rules": opened.ruled}
    else:
        chosen = choose_threshold(opened.probs, parts.val, dataset.classes)
        point = {"value": chosen.value, "chosen": chosen.chosen, "val_iou": chosen.iou}
        if chosen_by_hand(opened.provenance):
            point["own"] = {"value": opened.threshold, "min_area_px": opened.min_area_px}
        predict = opened.at(chosen.value)
    scored = evaluate(predict, parts.part(part), dataset.classes)
    facts = trial.facts(part)
    facts["model"] |= opened.line_by() if as_set else {}
    facts["threshold"] = point
    result = Result(facts, scored, dataset.class_names)
    if out:
        write_json(out, result.to_dict())
    if report:
        _report(report, result, predict, dataset, parts.part(part), history or [], more)
    return result


def _report(
    path: Path, result: Result, predict: Callable[[np.ndarray], np.ndarray], dataset: Dataset,
    samples: tuple[Sample, ...], history: list[dict], more: tuple[Table, ...],
) -> None:  # fmt: skip
    """Write the HTML report of a result: facts, curves, scores, pictures with the worst first."""
    by_name = {sample.name: sample for sample in samples}
    order = result.scored.worst_first()
    chosen = order if len(order) <= WORST + BEST else order[:WORST] + order[-BEST:]
    tiles = []
    for one in chosen:
        image, truth = by_name[one.name].read(dataset.classes)
        tiles.append(Tile(one.name, image, truth, predict(image), one.iou, one.outcome.replace("_", " ")))
    title = f"{result.facts['model']['network']} on {dataset.name}, {dataset.task}"
    kept = result.facts["model"].get("epoch")
    write_report(path, title, _facts(result), history, [_table(result), *more], tiles, len(order), kept)


def print_scores(result: Result, console: Console) -> None:
    """Print the scores of a result as a table, and what a reader must know beside it."""
    table = RichTable(title=None)
    content = _table(result)
    for index, head in enumerate(content.head):
        table.add_column(head, justify="left" if index == 0 else "right")
    for row in content.rows:
        table.add_row(
            *("–" if cell is None else f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row)
        )
    facts = result.facts
    console.print(
        f"{facts['data']['name']} {facts['data']['task']}, {facts['data']['part']}: {facts['split']['source']}",
        soft_wrap=True,
    )
    console.print(table)
    console.print(content.note, soft_wrap=True)
    if facts["trained_on_another_split_of_this_data"]:
        console.print(_leak(facts), style="bold red", soft_wrap=True)


def _leak(facts: dict[str, Any]) -> str:
    """Say how much of what is scored the model knows; one of before only tells that its split was another."""
    if "pictures_trained_on" not in facts:
        return "The model was trained on another split of these pictures: it saw some of what is scored here."
    counts, split, part = facts["pictures_trained_on"], facts["split"], facts["data"]["part"]
    scored = f"{counts[part]} of {split[part]} pictures scored were trained on"
    return scored + f", and {counts['val']} of {split['val']} that chose the threshold" * (part != "val") + "."


def _table(result: Result) -> Table:
    scores, facts = result.scored.scores, result.facts
    rows = [
        (name, scores.iou[k], scores.iou_mean_pictures[k], scores.dice[k], scores.precision[k], scores.recall[k])
        for k, name in enumerate(result.class_names)
    ]
    if len(result.class_names) > 2:
        rows += [("mean without background", scores.miou, None, None, None, None)]
    rows += [("mean with background", scores.miou_with_background, None, None, None, None)]
    threshold = facts["threshold"]
    note = (
        f"{scores.pictures} pictures: {scores.escapes} of {scores.defect_pictures} with a defect passed as good, "
        f"{scores.off_target} flagged only beside it; {scores.false_defects} of {scores.sound_pictures} sound ones "
        f"flagged. Threshold {threshold['value']:.3f}, {_origin(threshold)}."
    )
    head = ("class", "IoU (eq. 8)", "IoU, mean of pictures", "Dice", "precision", "recall")
    return Table(f"Scores on the {facts['data']['part']} part", head, tuple(rows), note)


def _origin(threshold: dict[str, Any]) -> str:
    """Say where the threshold of a result comes from, and that the model decides by another one if it does."""
    if threshold["chosen"] == AS_SET:
        text = f"regions from {threshold['min_area_px']} px, large pictures in tiles: as the model decides at the line"
        return text + ", but for the bundle's rules, which are not looked at" * threshold["rules"]
    chosen = threshold["chosen"] == "validation"
    text = "chosen on validation" if chosen else "the default: validation shows no defect"
    if own := threshold.get("own"):
        text += f"; the model decides at {own['value']:.3f}, from {own['min_area_px']} px: --as-set scores that"
    return text


def _facts(result: Result) -> dict[str, str]:
    facts, model = result.facts, result.facts["model"]
    data, split, recipe = facts["data"], facts["split"], model.get("recipe", {})
    where = facts["scored_by"]["machine"]
    answers = f"{model['engine']} in {model['precision']}"
    name, epochs, kept = recipe.get("name", "unknown"), recipe.get("epochs", "?"), model.get("epoch", "?")
    return {
        "data": f"{data['name']}, {data['task']} (digest {data['digest'][:12]})",
        "split": f"{split['train']} train, {split['val']} validation, {split['test']} test; {split['source']}",
        "recipe": f"{name}, {epochs} epochs, epoch {kept} kept, seed {model.get('seed', '?')}",
        "model": f"{model['network']} at {model['size']} px, by {answers} (sha256 {model['sha256'][:12]})",
        "machine": f"{where['cpu']}, {where['cores']} cores",
        "commit": str(facts["scored_by"]["commit"]),
    }
