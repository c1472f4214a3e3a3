"""A finished run's page of the ledger: scores on validation and test, and what is needed to judge and repeat them."""

import contextlib
from pathlib import Path
from typing import Any

from anet.errors import DataError, ModelError
from anet.evaluation import prepare
from anet.files import printable, write_json
from anet.results import FORMAT, place, read
from anet.scoring.evaluate import evaluate
from anet.scoring.threshold import choose_threshold
from anet.seen import check_parts
from anet.study.ledger import pictures_of, read_metrics, speed_of
from anet.training.recipes import RECIPES, Recipe, changes_of

CHANGEABLE = ("epochs", "batch")  # without making another recipe of it: they go into the name


def score_run(
    folder: Path, results: Path, data: Path | None = None, wall_s: float | None = None, name: str | None = None
) -> Path:
    """Score a finished run folder on validation and test, write its result file below `results`, give its path.

    The test split is opened here, after training, with a threshold from validation. `data` is needed when the pictures
    lie elsewhere by now; `name` is what the result must be called. The result of the same weights is written over.
    Raises ModelError: not finished, other pictures, another name, a result of other weights there; DataError,
    ImageError, OutputError.
    """
    from anet.training.run import read_plan

    folder = Path(folder)
    plan, facts = read_plan(folder)
    rows, about = read_metrics(folder), facts["provenance"]
    if len(rows) < plan.recipe.epochs:
        on = f"`anet train --resume {printable(folder)}` goes on with it"
        raise ModelError(f"{printable(folder)} has {len(rows)} of {plan.recipe.epochs} epochs: {on}")
    found = name_of(plan, about)
    if name not in (None, found):
        raise ModelError(f"{printable(folder)} holds the run {found}, not {name}: move it away")
    path = Path(results) / f"{found}.json"
    check_same_start(path, about)
    split = about["split"]
    trial = prepare(
        folder, Path(data or plan.data), about["data"]["task"], plan.free, split["protocol"], split["seed"], 0
    )
    if trial.digest != about["data"]["digest"]:
        raise ModelError(f"{printable(data or plan.data)} has changed since {printable(folder)} was trained")
    check_parts(about, trial.parts, printable(folder))
    check_same_weights(path, trial.opened.sha256)
    if "threshold" not in trial.opened.provenance:
        raise ModelError(f"{printable(folder)} was not finished: `anet train --resume` does that")
    content = {"format": FORMAT, "name": found, **_scored(trial), "training": _training(plan, rows, about, wall_s)}
    write_json(path, content)
    return path


def check_same_start(path: Path, about: dict[str, Any]) -> None:
    """Refuse to write over the result of a run that started from another model of the same name. Raises ModelError."""
    with contextlib.suppress(DataError):  # what is no result is no loss
        if _started_from(read(path)["model"]) != _started_from(about):
            raise ModelError(f"{printable(path)} is of a run that started from another model: move it away")


def check_same_weights(path: Path, digest: str) -> None:
    """Refuse to write over the result of other weights, such as of a training in another precision. Raises ModelError.

    Precision is not in the name: trainings in bf16 and in f32 are to be compared. Their scores differ all the same.
    """
    with contextlib.suppress(DataError):
        if (there := str(read(path)["model"].get("sha256"))) != digest:
            both = f"SHA-256 {printable(there)[:12]} there, {digest[:12]} here"
            raise ModelError(f"{printable(path)} is the score of other weights, {both}: move it away")


def _started_from(about: dict[str, Any]) -> str | None:
    return (about.get("init") or {}).get("sha256")


def _scored(trial: Any) -> dict[str, Any]:
    classes, parts = trial.dataset.classes, trial.parts
    chosen = choose_threshold(trial.opened.probs, parts.val, classes)
    predict = trial.opened.at(chosen.value)
    val, test = (evaluate(predict, part, classes, closely=True) for part in (parts.val, parts.test))
    validation = val.to_dict()
    del validation["pictures"]
    threshold = {"value": chosen.value, "chosen": chosen.chosen, "val_iou": chosen.iou, "pictures": chosen.pictures}
    return {**trial.facts("test"), "threshold": threshold, "validation": validation, **test.to_dict()}


def _training(plan: Any, rows: list[dict[str, str]], about: dict[str, Any], wall_s: float | None) -> dict[str, Any]:
    """Give what the training took: `wall_s` from begin to end, where known; `epochs_s` of its steps alone."""
    pictures = pictures_of(rows, plan.recipe.batch * plan.devices) or about["split"]["train"]
    speeds = [float(row["pictures_per_s"] or 0) for row in rows]
    return {
        "epochs": len(rows),
        "epoch_pictures": pictures,
        "own_epochs": RECIPES[plan.recipe.name].epochs,
        "wall_s": wall_s,
        "epochs_s": round(sum(pictures / speed for speed in speeds), 1) if all(speeds) else None,
        "pictures_per_s": speed_of(rows),
    }


def name_of(plan: Any, about: dict[str, Any]) -> str:
    """Give the name of the run that a run folder holds. Raises ModelError for a recipe of an unknown name.

    `plan` is a `anet.training.run.Plan`, `about` the provenance beside it. Two trainings must not share a name: what
    the recipe had otherwise than the present one of its name is in it.
    """
    from anet.nets import aux_by_default

    recipe: Recipe = plan.recipe
    if recipe.name not in RECIPES:
        raise ModelError(f"recipe {recipe.name!r} is none of {', '.join(RECIPES)}: its run has no place among results")
    own, mine = RECIPES[recipe.name].to_dict(), recipe.to_dict()
    numbers = {key: mine[key] for key in CHANGEABLE if mine[key] != own[key]}
    aux = None if plan.aux == aux_by_default(plan.network) else plan.aux
    data, split = about["data"], about["split"]
    return place(
        data["name"], data["task"], split["protocol"], plan.network, recipe.name, plan.seed, split["seed"], plan.free,
        size=plan.size, aux=aux, init=plan.init, pictures=plan.pictures,
        changes=changes_of(about["recipe"]).items(), devices=plan.devices, **numbers,
    )  # fmt: skip
