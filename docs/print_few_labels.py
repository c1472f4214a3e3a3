"""Print the table of docs/few-labels.md into it, from results/: `python docs/print_few_labels.py`."""

import re
from pathlib import Path
from typing import Any

from anet.files import atomic_write
from anet.results import percent, read_all
from anet.training.recipes import changes_of, changes_text

ROOT = Path(__file__).parent.parent
PAGE, RESULTS = ROOT / "docs" / "few-labels.md", ROOT / "results"
BLOCK = re.compile(r"(<!-- printed from results -->\n).*?(<!-- end of print -->)", re.S)
HEAD = ("data, task", "labelled pictures", "start", "seed", "IoU", "IoU of all pictures", "share of it", "escapes")


def table(found: list[dict[str, Any]]) -> str:
    """Give each run with few labels as a row of Markdown, beside the longest of the same seed that had all of them."""
    few = [one for one in found if one["split"].get("pictures")]
    lines = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    for one in sorted(few, key=lambda one: (_same(one), one["split"]["pictures"], "init" in one["model"])):
        whole = [other for other in found if _same(other) == _same(one) and other not in few and not _start(other)]
        best = max(whole, key=lambda other: other["model"]["recipe"]["epochs"], default=None)
        iou, all_of_it = percent(one, "iou"), percent(best, "iou") if best else None
        share = f"{100 * iou / all_of_it:.0f} %" if iou is not None and all_of_it else "–"
        scores = one["scores"]
        cells = (
            f"{one['data']['name']}, {one['data']['task']}",
            str(one["split"]["pictures"]), _start(one) or "from scratch",
            str(one["model"]["seed"]), f"{iou:.1f}", f"{all_of_it:.1f}" if all_of_it else "–", share,
            f"{scores['escapes']} of {scores['defect_pictures']}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _same(one: dict[str, Any]) -> tuple:
    """Give what a run with few labels shares with the one that had all of them."""
    model, split = one["model"], one["split"]
    where = one["data"]["name"], one["data"]["task"], split["protocol"], split["seed"]
    recipe = model["recipe"]
    changed = tuple(changes_text(changes_of(recipe), " "))
    return (*where, model["network"], recipe["name"], changed, model["size"], model["seed"])


def _start(one: dict[str, Any]) -> str:
    return (one["model"].get("init") or {}).get("name", "")


def filled(page: str) -> str:
    """Give the page with its table made anew."""
    text = table(read_all(RESULTS))
    return BLOCK.sub(lambda block: f"{block.group(1)}{text}\n{block.group(2)}", page)


if __name__ == "__main__":
    atomic_write(PAGE, filled(PAGE.read_text()))
