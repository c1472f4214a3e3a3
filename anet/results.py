"""`results/`: one JSON file a scored model, and the tables that are printed from them."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from anet.errors import DataError
from anet.files import printable

HEAD = (
    "data", "task", "protocol", "network", "recipe", "epochs", "seed", "IoU", "IoU, mean of pictures", "Dice",
    "precision", "recall", "escapes", "test pictures",
)  # fmt: skip
BEGIN, END = "<!-- printed by `anet results` -->", "<!-- end of print -->"


def read(path: Path) -> dict[str, Any]:
    """Read a result file. Raises DataError when it is none."""
    try:
        content = json.loads(path.read_text())
        row(content)
        return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{printable(path)} is no result file: {error}") from error


def row(content: dict[str, Any]) -> tuple[str, ...]:
    """Give one result as cells in the order of HEAD; ratios are the mean over the defect classes, in percent."""
    scores, model, recipe = content["scores"], content["model"], content["model"]["recipe"]
    split = content["split"]

    def percent(key: str) -> str:
        known = [value for value in scores[key][1:] if value is not None]
        return f"{100 * sum(known) / len(known):.1f}" if known else "–"

    return (
        content["data"]["name"], content["data"]["task"], f"{split['protocol']}, seed {split['seed']}",
        model["network"], recipe["name"],
        f"{recipe['epochs']} (best {model['epoch']})", str(model["seed"]), percent("iou"),
        percent("iou_mean_pictures"), percent("dice"), percent("precision"), percent("recall"),
        f"{scores['escapes']} of {scores['defect_pictures']}", str(scores["pictures"]),
    )  # fmt: skip


def table(folder: Path) -> str:
    """Give all results below `folder` as a Markdown table, sorted by path. Raises DataError."""
    files = sorted(Path(folder).rglob("*.json"))
    if not files:
        raise DataError(f"{printable(folder)} holds no result file: `anet eval ... --out FILE` writes one")
    rows = [row(read(path)) for path in files]
    lines = [" | ".join(cells) for cells in (HEAD, ("---",) * len(HEAD), *rows)]
    return "".join(f"| {line} |\n" for line in lines)


def print_result_file(path: Path, console: Console) -> None:
    """Print one result file in short."""
    cells = dict(zip(HEAD, row(read(path)), strict=True))
    console.print(", ".join(f"{key} {cells[key]}" for key in HEAD[7:]), highlight=False, soft_wrap=True)
