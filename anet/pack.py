"""`anet pack`: from a finished run to a model that ships: a small bundle, scored as it is, that says its limits."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from anet.data import Dataset, Sample
from anet.errors import ModelError, OptionError
from anet.evaluation import Trial, prepare
from anet.export.deployable import MAX_DROP, check_bundle_target
from anet.export.page import page
from anet.files import appearing, printable, sha256
from anet.models import known_provenance
from anet.pipeline import export_run
from anet.runtime.card import CARD, PAGE, Card, read_card
from anet.runtime.told import TOLD
from anet.scoring.evaluate import evaluate
from anet.scoring.metrics import Scores
from anet.shipped import MOST_BYTES

FORMATS = ("whole",)  # half-precision weights that run and start a training; nothing twice


def pack(
    run: Path, name: str, about: str, not_for: str, licence: str, out: Path, data: Path | None = None
) -> tuple[Path, Card]:
    """Export a run as `out/name` in the form in which models ship; give the bundle and its card.

    The file itself is scored on the run's own test part, each set of a merged one apart, at the run's threshold, which
    validation chose. `about`, `not_for` and `licence` (of the pictures) are one line each, for people. Raises
    ModelError: more than MOST_BYTES when packed, weights that lose more than MAX_DROP, or a test part that was trained
    on; OutputError: `out/name` is there and is no bundle; OptionError, DataError.
    """
    if "/" in name or not name.startswith("anet-"):
        raise OptionError(f"{printable(name)} is no name of a model that ships: anet-something would work")
    for key, text in (("about", about), ("not-for", not_for), ("licence", licence)):
        if not text.strip():
            raise OptionError(f"--{key} is empty: a model ships with what people must know of it")
    folder = Path(out) / name
    check_bundle_target(folder)
    with appearing(folder) as made:
        card = export_run(run, made / "bundle", FORMATS, data=data)[1]
        check_drop(card)
        told: dict[str, Any] = {"name": name, "about": about, "not_for": not_for, "licence": licence}
        told |= {"parameters": parameters(card), "scores": held_out(made / "bundle", run, data)}
        for path in (made / "bundle").iterdir():
            path.rename(made / path.name)
        (made / "bundle").rmdir()
        card = _told(made, card, told)
    return folder, card


def check_drop(card: Card) -> None:
    """Refuse weights that half precision spoilt. Raises ModelError."""
    before, after = (card.parity[name]["iou"] for name in ("torch", "openvino f16"))
    if before is None or after is None or 100 * (before - after) > MAX_DROP:
        raise ModelError(f"in half precision IoU on validation is {after}, {before} before: nothing was packed")


def parameters(card: Card) -> int:
    """Count the parameters of a card's network."""
    from anet.nets import build

    return sum(value.numel() for value in build(card.network, card.channels).parameters())


def held_out(bundle: Path, run: Path, data: Path | None) -> dict[str, Any]:
    """Score a bundle on the test part of its run's data: by set where that was merged of several, else as one.

    Raises ModelError where the run, or what it started from, was trained on some of that part.
    """
    from anet.training.checkpoint import find_model
    from anet.training.run import read_plan

    plan, _ = read_plan(find_model(run).parent)
    trial = prepare(bundle, data or Path(plan.data), plan.task, plan.free, None, None, 0)
    check_held_out(trial, run)
    predict = trial.opened.at(trial.opened.threshold)
    return {
        name: figures(evaluate(predict, samples, trial.dataset.classes).scores, trial.dataset)
        for name, samples in sets(trial.dataset, trial.parts.test).items()
    }


def check_held_out(trial: Trial, run: Path) -> None:
    """Refuse to call pictures held out that a run, or what it started from, was trained on. Raises ModelError."""
    if trial.saw("test"):
        known = trial.trained_on
        some = "some" if known is None else f"{known['test']} of {len(trial.parts.test)}"
        raise ModelError(
            f"{printable(run)}, or what it started from, was trained on {some} of the pictures that would score it: "
            "give the data of the training as it was, or train from a start that has not seen them"
        )


def sets(dataset: Dataset, samples: tuple[Sample, ...]) -> dict[str, list[Sample]]:
    """Part the pictures of a merged data set by where they come from; any other is one set, under its own name."""
    try:
        merged = [part["name"] for part in json.loads((dataset.root / "merge.json").read_text())["parts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {dataset.name: list(samples)}
    found = {name: [s for s in samples if s.name.split("/")[2:3] == [name]] for name in merged}
    return {name: some for name, some in found.items() if some}


def figures(scores: Scores, dataset: Dataset) -> dict[str, Any]:
    """Give what a card says of a set of pictures; shares are 0..1."""
    return {
        "iou": scores.miou, "classes": dict(zip(dataset.class_names[1:], scores.iou[1:], strict=True)),
        "pictures": scores.pictures, "defect_pictures": scores.defect_pictures, "escapes": scores.escapes,
        "sound_pictures": scores.sound_pictures, "false_defects": scores.false_defects,
    }  # fmt: skip


def _told(folder: Path, card: Card, told: dict[str, Any]) -> Card:
    """Write what people must know into page and card, and how large the model is in the wheel; give the card."""
    size = packed_size(folder)
    if size > MOST_BYTES:
        raise ModelError(f"{told['name']} has {size} bytes when packed: {MOST_BYTES} at most ship, nothing was packed")
    told["bytes"] = size
    # half precision is the only one here
    card = replace(card, precision="f16", provenance={**known_provenance(card.provenance), TOLD: told})
    text = page(card)
    (folder / PAGE).write_text(text, "utf-8")
    card = replace(card, files={**card.files, PAGE: sha256(text.encode())})
    (folder / CARD).write_bytes(card.sealed())
    return read_card(folder)


def packed_size(folder: Path) -> int:
    """Give the bytes that a folder takes in a wheel, which is a zip file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return content.getbuffer().nbytes
