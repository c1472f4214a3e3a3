"""Print the table of docs/few-labels.md and draw its curves, from results/: `python docs/print_few_labels.py`."""

import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from anet.bench.picture import new_figure, save, style
from anet.files import atomic_write
from anet.results import percent, read_all
from anet.training.recipes import changes_of, changes_text

ROOT = Path(__file__).parent.parent
PAGE, RESULTS = ROOT / "docs" / "few-labels.md", ROOT / "results"
PICTURE = ROOT / "docs" / "pictures" / "few-labels.png"
MARKS = {"anet-synthetic": ("#2b5c9e", "^", "-"), "synthetic": ("#1f6f4a", "o", "-"), "": ("#b3541e", "s", "--")}
BLOCK = re.compile(r"(<!-- printed from results -->\n).*?(<!-- end of print -->)", re.S)
HEAD = ("data, task", "labelled pictures", "start", "seed", "IoU", "IoU of all pictures", "share of it", "escapes")


def table(found: list[dict[str, Any]]) -> str:
    """Give each run with few labels as a row of Markdown, beside the longest of the same seed that had all of them."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    for one in few(found):
        iou, all_of_it = percent(one, "iou"), whole(one, found)
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


def few(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the runs with few labels, in the order of the table."""
    some = [one for one in found if one["split"].get("pictures")]
    return sorted(some, key=lambda one: (_same(one)[:-1], bool(_start(one)), one["split"]["pictures"]))


def whole(one: dict[str, Any], found: list[dict[str, Any]]) -> float | None:
    """Give the IoU of the longest training with all pictures that is else the same; None without one.

    It began from the very same weights: another model of that name may be a better one.
    """
    same = [two for two in found if not two["split"].get("pictures") and _same(two) == _same(one)]
    best = max(same, key=lambda two: two["model"]["recipe"]["epochs"], default=None)
    return percent(best, "iou") if best else None


def draw(found: list[dict[str, Any]]) -> Any:
    """Give a figure with a panel a task: IoU over the number of labelled pictures, a line a start; all: dotted."""
    tasks: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for one in few(found):
        tasks[one["data"]["name"], one["data"]["task"]].append(one)
    figure = new_figure(3.1 * len(tasks) + 0.4, 3.1)
    panels = figure.subplots(1, len(tasks), sharex=True, sharey=True, squeeze=False)[0]
    for axes, ((data, task), runs) in zip(panels, tasks.items(), strict=True):
        counts = sorted({one["split"]["pictures"] for one in few(found)})
        for start, (colour, mark, line) in MARKS.items():
            points: dict[int, list[float]] = defaultdict(list)
            for one in runs:
                if _start(one) == start and (iou := percent(one, "iou")) is not None:
                    points[one["split"]["pictures"]].append(iou)
            means = [statistics.fmean(points[count]) for count in sorted(points)]
            axes.plot(sorted(points), means, line, color=colour, marker=mark, label=f"from {start or 'scratch'}")
            known = {one["model"]["seed"]: whole(one, found) for one in runs if _start(one) == start}
            if all_of_it := [iou for iou in known.values() if iou is not None]:
                axes.axhline(statistics.fmean(all_of_it), color=colour, linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xticks([], minor=True)
        axes.set_title(f"{data}, {task}")
        axes.grid(linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("IoU on test, %")
    panels[-1].legend(frameon=False, fontsize=8)
    figure.supxlabel("labelled pictures of train and val; dotted: all of them, from the same start", fontsize=9)
    return figure


def _same(one: dict[str, Any]) -> tuple:
    """Give what a run with few labels shares with the one that had all of them."""
    model, split = one["model"], one["split"]
    where = one["data"]["name"], one["data"]["task"], split["protocol"], split["seed"]
    recipe = model["recipe"]
    changed = tuple(changes_text(changes_of(recipe), " "))
    start = (model.get("init") or {}).get("sha256", "")
    return (*where, model["network"], recipe["name"], changed, model["size"], model["seed"], start)


def _start(one: dict[str, Any]) -> str:
    return (one["model"].get("init") or {}).get("name", "")


def filled(page: str) -> str:
    """Give the page with its table made anew."""
    text = table(read_all(RESULTS))
    return BLOCK.sub(lambda block: f"{block.group(1)}{text}\n{block.group(2)}", page)


if __name__ == "__main__":
    atomic_write(PAGE, filled(PAGE.read_text()))
    if len({one["split"]["pictures"] for one in few(read_all(RESULTS))}) > 1:  # a single number is no curve
        with style():
            save(draw(read_all(RESULTS)), PICTURE)
