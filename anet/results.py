"""`results/`, the ledger: one JSON file a finished run, where each lies, and which may stand in one table.

`<data>/<task>/<protocol>/<network>-<recipe>-s<seed>.json`; whatever is not the usual stands in the name, see `place`.
Format 2 is written by `anet study`: scores on test and validation. Format 1, of `anet eval`, has those of one part.
"""

import itertools
import json
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from anet.errors import DataError
from anet.files import printable
from anet.training.recipes import changes_of, changes_text

FORMAT = 2
APART = ("speed", "int8")  # speeds of `anet bench`; a run's other precisions: no runs of their own (docs/speed.md)
USUAL_SIZE = 224  # the paper's for NEU-Seg; any other goes into the name
SHARES = ("iou", "iou_mean_pictures", "dice", "precision", "recall")  # by class, the background first
HEAD = (
    "data", "task", "protocol", "network", "recipe", "epochs", "seed", "IoU", "IoU, mean of pictures", "Dice",
    "precision", "recall", "escapes", "test pictures",
)  # fmt: skip


def place(
    data: str, task: str, protocol: str, network: str, recipe: str, seed: int, split_seed: int = 0, free: bool = False,
    epochs: int | None = None, batch: int | None = None, size: int = USUAL_SIZE, aux: bool | None = None,
    init: str | None = None, pictures: int | None = None, changes: Iterable[tuple[str, Any]] = (), devices: int = 1,
) -> str:  # fmt: skip
    """Give the name of a run: where its result lies below `results/`, without suffix. Equal runs, equal names.

    None is the recipe's own epochs and batch, and the network's own choice of auxiliary heads: these stay out of the
    name. All else is in it, so that a shorter run never passes for a whole one, nor one on several `devices`, of as
    many batches a step, for one on one:
    `mt/defect+free/grouped-split1/anet-strong-e75-b8-size256-s0`; `anet-strong-from-anet-surface-n20-s0` started from
    that model, with 20 labelled pictures of train and val; `anet-strong-balance0.8-s0` has another value of the recipe.
    """
    told = "".join(f"-{mark}{value}" for mark, value in (("e", epochs), ("b", batch)) if value is not None)
    told += f"-d{devices}" * (devices > 1)
    told += "".join(f"-{one}" for one in changes_text(dict(changes), ""))
    told += f"-size{size}" * (size != USUAL_SIZE) + ("" if aux is None else "-aux" if aux else "-noaux")
    told += f"-from-{start_name(init)}" if init else ""
    told += f"-n{pictures}" if pictures is not None else ""
    part = f"{protocol}-split{split_seed}" if split_seed else protocol
    return f"{data}/{task}{'+free' * free}/{part}/{network}-{recipe}{told}-s{seed}"


def start_name(model: str) -> str:
    """Give what a model to start from is called: the last part of its path, a run's folder for its weights."""
    path = Path(model)
    return path.parent.name if path.name in ("best.safetensors", "last.safetensors") else path.name


def read(path: Path) -> dict[str, Any]:
    """Read a result file of either format. Raises DataError when it is none."""
    try:
        content = json.loads(path.read_text())
        if content["format"] not in (1, FORMAT):
            raise ValueError(f"format {content['format']}, this anet reads 1 and {FORMAT}")
        row(content)
        _check(content)
        return content
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{printable(path)} is no result file: {printable(str(error))}") from error


def _check(content: dict[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError for what a table would stumble over: `row` has seen the rest."""
    data, model, split, training = content["data"], content["model"], content["split"], content.get("training", {})
    for value, kind in (
        (data["digest"], str), (data["free"], bool), (model["network"], str), (model["seed"], int),
        (model["class_names"], list), (model["machine"]["cpu"], str), (model["device"], str), (split["train"], int),
        (training.get("pictures_per_s") or 0, (int, float)), (content.get("closely", {}), dict),
        (model["recipe"]["epochs"], int), (model["recipe"]["batch"], int), (model["size"], int),
        (model.get("trained_in") or "", str),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(f"{value!r:.60} is none of {kind}")
    shares = [content["scores"][key] for key in SHARES]
    shares.append(content.get("closely", {}).get("boundary_f") or [])
    for value in itertools.chain.from_iterable(shares):
        if value is not None and not 0 <= value <= 1:  # NaN is neither
            raise ValueError(f"score {value!r:.60} is none: 0 to 1 are")


def read_all(folder: Path) -> list[dict[str, Any]]:
    """Read all results below `folder`, sorted by path, but for those of APART. Raises DataError."""
    return list(_read_named(folder).values())


def _read_named(folder: Path) -> dict[str, dict[str, Any]]:
    """Read as `read_all`; each under its path below `folder`."""
    names = {path: path.relative_to(folder) for path in sorted(Path(folder).rglob("*.json"))}
    return {str(name): read(path) for path, name in names.items() if name.parts[0] not in APART}


def percent(content: dict[str, Any], key: str) -> float | None:
    """Give a score on test in percent: the mean over the defect classes that have one, None where none has."""
    values = content.get("closely", {}).get(key) if key == "boundary_f" else content["scores"][key]
    known = [value for value in (values or [])[1:] if value is not None]
    return 100 * sum(known) / len(known) if known else None


def row(content: dict[str, Any]) -> tuple[str, ...]:
    """Give one result as cells in the order of HEAD."""
    scores, model, recipe = content["scores"], content["model"], content["model"]["recipe"]
    split = content["split"]
    return (
        content["data"]["name"], content["data"]["task"], f"{split['protocol']}, seed {split['seed']}",
        model["network"], how(content), f"{recipe['epochs']} (best {model['epoch']}){at_size(content)}",
        str(model["seed"]),
        *(mean_cell([percent(content, key)]) for key in SHARES),
        f"{scores['escapes']} of {scores['defect_pictures']}", str(scores["pictures"]),
    )  # fmt: skip


def where(content: dict[str, Any]) -> tuple[str, str, str]:
    """Give data, task and split, in words."""
    data, split = content["data"], content["split"]
    task = f"{data['task']} with sound ones" if data["free"] else data["task"]
    return data["name"], task, f"{split['protocol']}, seed {split['seed']}"


def start_digest(content: dict[str, Any]) -> str:
    """Give the SHA-256 of the weights that a training started from: of two under one name, seeds are not of one row."""
    return (content["model"].get("init") or {}).get("sha256", "")


def at_size(content: dict[str, Any]) -> str:
    """Give the size that was trained at, in words, where it is not USUAL_SIZE."""
    size = content["model"]["size"]
    return f" at {size} px" if size != USUAL_SIZE else ""


def how(content: dict[str, Any]) -> str:
    """Give `trained_like`, and whether its auxiliary heads were otherwise than the network has them by itself."""
    aux = content["model"].get("aux")
    return trained_like(content) + ("" if aux is None else f", aux {'on' if aux else 'off'}")


def trained_like(content: dict[str, Any]) -> str:
    """Give `recipe_and_devices`, what it had otherwise than now, what it started from, and how few labels it had."""
    start, pictures = content["model"].get("init"), content["split"].get("pictures", content["model"].get("pictures"))
    text = ", ".join([recipe_and_devices(content), *changes_text(changes_of(content["model"]["recipe"]), " ")])
    text += f" from {start['name']}" if start else ""
    return text + (f", {pictures} pictures" if pictures else "")


def recipe_and_devices(content: dict[str, Any]) -> str:
    """Give the recipe's name, and on how many devices it was trained where these are several: a step has more there."""
    devices = content["model"].get("devices") or 1
    return content["model"]["recipe"]["name"] + (f", {devices} devices" if devices > 1 else "")


def print_result_file(path: Path, console: Console) -> None:
    """Print one result file in short."""
    cells = dict(zip(HEAD, row(read(path)), strict=True))
    console.print(", ".join(f"{key} {cells[key]}" for key in HEAD[7:]), highlight=False, soft_wrap=True)


def held_out(content: dict[str, Any]) -> bool:
    """Say whether a result is of a test part that the model has not seen."""
    return content["data"].get("part", "test") == "test" and not content.get("trained_on_another_split_of_this_data")


def standing(content: dict[str, Any]) -> tuple[int, bool]:
    """Rank the files of one training and seed, of which the highest counts: that of `anet study`, then one whose
    threshold validation chose, not the model's own.
    """
    return content["format"], (content.get("threshold") or {}).get("chosen") == "validation"


def read_some(folder: Path, say: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Read as `read_all` what may stand in one table: what is `held_out`, each training and seed once.

    `say` gets a line for what is left out. Raises DataError when nothing is there or left, too.
    """
    found = _read_named(folder)
    if not found:
        raise DataError(f"{printable(folder)} holds no result file: `anet eval ... --out FILE` writes one")
    tested = {name: content for name, content in found.items() if held_out(content)}
    own = {}
    for name, content in sorted(tested.items(), key=lambda item: standing(item[1]), reverse=True):
        its = (content["data"]["digest"], start_digest(content), content["model"]["seed"])
        own.setdefault((*training_of(content), *its), name)
    kept = {name: content for name, content in tested.items() if name in own.values()}
    for why, left in (
        ("no test part, or pictures that were trained on", found.keys() - tested.keys()),
        ("a training and seed that another file is of, too", tested.keys() - kept.keys()),
    ):
        if left:
            say(f"left out {len(left)} of {len(found)} results, of {why}: {printable(', '.join(sorted(left)))}")
    if not kept:
        raise DataError(f"{printable(folder)} holds no result of a test part that was held out")
    return list(kept.values())


def training_of(content: dict[str, Any]) -> tuple[str, ...]:
    """Give what all seeds of a run share, as cells: data, task, split, network, how, epochs, batch, size."""
    model, recipe = content["model"], content["model"]["recipe"]
    numbers = (recipe["epochs"], recipe["batch"], model["size"])
    return (*where(content), model["network"], how(content), *map(str, numbers))


def mean_cell(values: list[float | None]) -> str:
    """Give the mean of what is known, with its spread where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    spread = f" ± {statistics.stdev(known):.1f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.1f}{spread}"
