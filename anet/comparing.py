"""The networks of `results/` against one of them: same pictures, same training, and what the test pictures can tell."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anet.data import known
from anet.errors import AnetError, DataError, OptionError
from anet.files import printable
from anet.results import how, markdown, read_some
from anet.scoring.paired import CONFIDENCE, Difference, paired

SAID = {1: "ahead", -1: "behind", 0: "not told apart"}


def against(folder: Path, network: str) -> str:
    """Give a Markdown table: each network's IoU on test less that of `network`, with its interval; see `paired`.

    Compared are trainings that differ in nothing but the network (data, split, recipe, epochs, batch, size, labels,
    start), over all seeds that each has; of tasks with one class of defect, since results hold no counts for others.
    Raises DataError for a folder without results or with a broken one, OptionError when there is nothing to compare.
    """
    same: dict[tuple, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for content in read_some(folder):
        if len(content["model"]["class_names"]) == 2:
            same[_training(content)][content["model"]["network"]].append(content)
    rows = [
        row
        for training, networks in same.items()
        if network in networks
        for other, results in networks.items()
        if other != network and (row := _row(training, other, results, networks[network]))
    ]
    if not rows:
        trained = sorted({one for networks in same.values() for one in networks})
        raise OptionError(
            f"{printable(folder)} holds nothing to compare with network {network!r:.80}: "
            f"there are results of {', '.join(trained) or 'none'}; two must share data, split, recipe and epochs"
        )
    head = (
        "data", "task", "protocol", "recipe", "epochs", "network", "seeds", "IoU", f"IoU of {network}",
        f"seeds of {network}", "difference", f"{CONFIDENCE:.0%} interval", "is",
    )  # fmt: skip
    return markdown(head, rows)


def _training(content: dict[str, Any]) -> tuple[str, ...]:
    """Give all that two results must share to be compared; the first five are shown."""
    data, split, model, recipe = content["data"], content["split"], content["model"], content["model"]["recipe"]
    task = f"{data['task']} with sound ones" if data["free"] else data["task"]
    shown = (data["name"], task, f"{split['protocol']}, seed {split['seed']}", how(content), str(recipe["epochs"]))
    return (*shown, data["digest"], str(recipe["batch"]), str(model["size"]), data["part"])


def _row(
    training: tuple[str, ...], network: str, results: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]
) -> tuple[str, ...] | None:
    names = sorted(_pictures(base[0]))
    counts = [np.array([_counts(one, names) for one in some]) for some in (results, base)]
    difference = paired(*counts, _groups(training[0], names))
    if difference is None:
        return None
    own, its = (100 * (one[..., 0].sum(1) / one[..., 1].sum(1)).mean() for one in counts)
    return (
        *training[:5], network, str(len(results)), f"{own:.1f}", f"{its:.1f}", str(len(base)),
        f"{difference.points:+.1f}", _interval(difference), SAID[difference.told],
    )  # fmt: skip


def _interval(difference: Difference) -> str:
    return f"{difference.low:+.1f} to {difference.high:+.1f}"


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
        listed = known.groups(data, names)
    except AnetError:
        listed = None
    return [(listed or {}).get(name, name) for name in names]
