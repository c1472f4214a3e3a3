"""The trainings of `results/` against one another: the same pictures, and what the test pictures can tell."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anet.data import known
from anet.errors import DataError, OptionError
from anet.files import printable
from anet.results import at_size, how, read_some, recipe_and_devices, start_digest, trained_like, where
from anet.scoring.paired import CONFIDENCE, paired
from anet.tables import markdown

Key = tuple[str, str, str]  # network, recipe, and the digest of the weights it started from
Training = tuple[Key, list[dict[str, Any]]]  # and its results by seed
SAID = {1: "ahead", -1: "behind", 0: "not told apart"}


def against(folder: Path, network: str, say: Callable[[str], None] = lambda line: None) -> str:
    """Give a Markdown table: the IoU on test of each training less that of one of `network`; see `paired`.

    Other networks are set beside the one that was trained alike: same data, split, recipe, epochs, batch, devices,
    size, labels and start; the precision of the training may differ. Trainings of `network` itself that changed its
    recipe or had another start are set beside that without. All seeds of each count; `say` gets a line for what
    `read_some` leaves out. Only tasks with one class of defect: results hold no counts for others.
    Raises DataError for a folder without results or with a broken one, OptionError when there is nothing to compare.
    """
    alike: dict[tuple, dict[Key, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for content in read_some(folder, say):
        model = content["model"]
        if len(model["class_names"]) == 2:
            key = (model["network"], how(content), start_digest(content))
            alike[_pictures_and_size(content)][key].append(content)
    rows = [row for shared, trainings in alike.items() for row in _rows(shared, trainings, network)]
    if not rows:
        trained = sorted({one for trainings in alike.values() for one, *_ in trainings})
        raise OptionError(
            f"{printable(folder)} holds nothing to compare with network {network!r:.80}: "
            f"there are results of {', '.join(trained) or 'none'}; two must share data, split, recipe and epochs"
        )
    head = (
        "data", "task", "protocol", "epochs", "training", "seeds", "IoU", "less", "seeds", "IoU", "difference",
        f"{CONFIDENCE:.0%} interval", "is",
    )  # fmt: skip
    return markdown(head, rows)


def _pictures_and_size(content: dict[str, Any]) -> tuple[str, ...]:
    """Give what two results must share to be compared, besides network and recipe; the first four are shown."""
    data, model, recipe = content["data"], content["model"], content["model"]["recipe"]
    shown = (*where(content), f"{recipe['epochs']}{at_size(content)}")
    return (*shown, data["digest"], str(recipe["batch"]), str(model["size"]), data["part"])


def _rows(
    shared: tuple[str, ...], trainings: Mapping[Key, list[dict[str, Any]]], network: str
) -> Iterator[tuple[str, ...]]:
    for key, results in trainings.items():
        like = trained_like(results[0]) if key[0] != network else recipe_and_devices(results[0])
        # other networks have starts of their own: of two of one name, each is a base
        for base in (one for one in trainings if one[:2] == (network, like) and one != key):
            row = _row(shared, (key, results), (base, trainings[base]))
            if row:
                yield row


def _row(shared: tuple[str, ...], one: Training, base: Training) -> tuple[str, ...] | None:
    names = sorted(_pictures(base[1][0]))
    counts = [np.array([_counts(result, names) for result in results]) for _, results in (one, base)]
    found = paired(counts[0], counts[1], _groups(shared[0], names))
    if found is None:
        return None
    left, right = (
        (", ".join(called[:2]), str(len(results)), f"{iou:.1f}")
        for (called, results), iou in ((one, found.one), (base, found.other))
    )
    points, interval = _signed(found.told, found.points), _signed(found.told, found.low, found.high)
    return (*shared[:4], *left, *right, points, interval, SAID[found.told])


def _signed(told: int, *values: float) -> str:
    """Give points with a decimal; with two where one would show 0.0 against what is told apart from it."""
    decimals = 2 if told and any(round(value, 1) == 0 for value in values) else 1
    return " to ".join(f"{value:+.{decimals}f}" for value in values)


def _pictures(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the rows of a result's pictures by name. Raises DataError."""
    try:
        return {picture["name"]: picture for picture in content["pictures"]}
    except (KeyError, TypeError) as error:
        raise DataError(f"{printable(str(content.get('name', 'a result')))} has no row for each picture") from error


def _counts(content: dict[str, Any], names: Sequence[str]) -> list[tuple[int, int]]:
    """Give each picture's pixels of defect in both truth and mask, and in either. Raises DataError."""
    found, about = _pictures(content), printable(str(content.get("name", "a result")))
    if sorted(found) != list(names):
        raise DataError(f"{about} is of other test pictures than those it is compared with")
    try:
        both = [(found[name]["hit_px"], found[name]["truth_px"] + found[name]["pred_px"]) for name in names]
        return [(int(hit), int(sums - hit)) for hit, sums in both]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{about} has no counts of pixels for each picture: {printable(str(error))}") from error


def _groups(data: str, names: Sequence[str]) -> list[str]:
    """Give what shows one strip or tile one name, by the shipped lists; of other data each picture stands alone."""
    try:
        listed = known.groups(data, names) or {}
    except DataError:  # a set of somebody's own under a published name
        listed = {}
    return [listed.get(name, name) for name in names]
