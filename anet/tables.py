"""The tables of `anet results`, as Markdown: every run, seeds in one row, a column a task, a column a class."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from anet.errors import DataError
from anet.files import printable
from anet.results import HEAD, how, mean_cell, percent, read_some, row, start_digest, training_of, where

SEEDS_HEAD = ("data", "task", "protocol", "network", "recipe", "epochs", "batch", "size", "seeds")
SUMMARY_HEAD = (*SEEDS_HEAD, "IoU", "IoU, mean of pictures", "boundary F", "Dice", "precision", "recall")
BY_TASK_HEAD = ("split", "network", "recipe")


def table(folder: Path, say: Callable[[str], None] = lambda line: None) -> str:
    """Give all results below `folder` as a Markdown table, sorted by path; see `read_some`. Raises DataError."""
    return markdown(HEAD, map(row, read_some(folder, say)))


def summary(folder: Path, say: Callable[[str], None] = lambda line: None) -> str:
    """Give a Markdown table with a row for all seeds of a run: mean ± standard deviation. Raises DataError.

    Two runs are of one row when they differ in nothing but their seed; the standard deviation is that of a sample.
    Where a task has results on pictures or labels of several digests, these stand beside the data's name.
    """
    keys = ("iou", "iou_mean_pictures", "boundary_f", "dice", "precision", "recall")
    cells = (
        (*head, *(mean_cell([percent(one, key) for one in same]) for key in keys))
        for head, same in _by_seed(read_some(folder, say))
    )
    return markdown(SUMMARY_HEAD, cells)


def by_class(folder: Path, say: Callable[[str], None] = lambda line: None) -> str:
    """Give a Markdown table of the IoU of each class, for trainings with several classes of defects; rows as `summary`.

    mIoU is the mean over the defect classes (paper, eq. 8); later papers' mIoU counts the background as a class, too.
    Raises DataError, also when all results are of one class of defects.
    """
    several = [one for one in read_some(folder, say) if len(one["model"]["class_names"]) > 2]
    if not several:
        raise DataError(f"{printable(folder)} holds no result with several classes: `anet results` shows all")
    names = list(dict.fromkeys(name for one in several for name in one["model"]["class_names"][1:]))
    rows = []
    for head, same in _by_seed(several):
        of_class = [dict(zip(one["model"]["class_names"], one["scores"]["iou"], strict=True)) for one in same]
        cells = [mean_cell([_percent(one.get(name)) for one in of_class]) for name in names]
        with_background = [_percent(one["scores"].get("miou_with_background")) for one in same]
        rows.append((*head, *cells, mean_cell([percent(one, "iou") for one in same]), mean_cell(with_background)))
    return markdown((*SEEDS_HEAD, *names, "mIoU", "mIoU with background"), rows)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _by_seed(contents: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Give the results that differ in nothing but their seed together, each with the cells of SEEDS_HEAD."""
    rows, digests = defaultdict(list), defaultdict(set)
    for content in contents:
        rows[training_of(content), content["data"]["digest"], start_digest(content)].append(content)
        digests[where(content)[:2]].add(content["data"]["digest"])
    for (head, digest, _), same in rows.items():
        data = head[0] + f" ({digest[:8]})" * (len(digests[head[:2]]) > 1)
        yield (data, *head[1:], str(len({one["model"]["seed"] for one in same}))), same


def by_task(folder: Path, say: Callable[[str], None] = lambda line: None) -> str:
    """Give a Markdown table with a column for each task: IoU, mean ± standard deviation, and how many seeds it is of.

    Trainings with few labels, or on smaller pictures than others of their task, have no cell. Of trainings that differ
    in epochs, batch, digest of the data or start of one name, a cell is of the longest, then of that with the most
    seeds, and names its epochs where they are fewer than others' of its column: `summary` shows them all. Raises
    DataError.
    """
    trained: dict[tuple, dict[tuple, list]] = defaultdict(lambda: defaultdict(list))
    for content in read_some(folder, say):
        model, recipe = content["model"], content["model"]["recipe"]
        if content["split"].get("pictures", model.get("pictures")):
            continue
        data, task, split = where(content)
        labels, start = content["data"]["digest"], start_digest(content)
        numbers = (model["size"], recipe["epochs"], recipe["batch"], labels, start)
        trained[(data, task), (split, model["network"], how(content))][numbers].append(content)
    most: dict[tuple, tuple[int, int]] = {}  # of each column: size, and epochs at that size
    for (column, _), kinds in trained.items():
        most[column] = max([most.get(column, (0, 0)), *(numbers[:2] for numbers in kinds)])
    columns = sorted(most)
    rows: dict[tuple, dict[tuple, str]] = defaultdict(dict)
    for (column, head), kinds in sorted(trained.items()):
        (size, epochs, *_), same = max(kinds.items(), key=lambda kind: (*kind[0][:2], len(kind[1])))
        if size == most[column][0]:
            fewer = f", {epochs} epochs" * (epochs < most[column][1])
            rows[head][column] = f"{mean_cell([percent(one, 'iou') for one in same])} ({len(same)}{fewer})"
    head = (*BY_TASK_HEAD, *(f"{data}, {task}" for data, task in columns))
    return markdown(head, ((*row, *(cells.get(one, "–") for one in columns)) for row, cells in sorted(rows.items())))


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Give a Markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ("---",) * len(head), *rows))
