"""What `results/` holds for a column of the paper's tables, and what its missing cells would cost."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anet.data import LAYOUTS, load
from anet.data.splitting import VAL_SHARE
from anet.errors import AnetError, OptionError
from anet.files import printable
from anet.paper.published_scores import TITLES, Column
from anet.results import held_out, how, percent, read_all, standing
from anet.study.plan import Plan, Run
from anet.study.show import Estimate, device_here
from anet.training.recipes import RECIPES, changes_of

PROTOCOLS = ("paper", "grouped")  # random as the paper's; look-alikes kept together as the lists know them
CHOICE = (
    "The cells of a column are of one training, whatever the scores: recipe, epochs, batch, devices, size and labels "
    "as most of its networks have them; not the precision of the training, which each one says of itself where known"
)
HOURS = "(h): not trained so here; about so many hours of training steps, recipe strong, one seed, on this device"
UNKNOWN = "(?): not trained so here, and no finished run on this device tells what it would cost"
PRECISION = {"32": "float32"}  # others are called as they are
GIVE = "give the data, not at hand here: {folder} below --data-root, then `anet study run plans/dagm-mcsd.toml`"


def read_ledger(results: Path) -> list[dict[str, Any]]:
    """Read all results below a folder, which may be empty. Raises DataError, and OptionError when it is no folder."""
    if not Path(results).is_dir():
        raise OptionError(
            f"--results {printable(results)} is no folder: that of `anet study run` works, an empty one too"
        )
    return read_all(results)


@dataclass(frozen=True)
class Cell:
    """All seeds of one training: mean IoU on test in percent, and their sample standard deviation (0 for one)."""

    iou: float
    spread: float
    runs: tuple[dict[str, Any], ...]  # of the ledger, by seed

    @property
    def how(self) -> str:
        """Recipe, epochs, batch, size, precision of the training where it is known, and seeds, in words."""
        model, many = self.runs[0]["model"], len(self.runs)
        recipe = model["recipe"]
        of = f"recipe {how(self.runs[0])}, {recipe['epochs']} epochs, batch {recipe['batch']}, size {model['size']}"
        known = {one["model"].get("trained_in") for one in self.runs} - {None}
        told = "".join(f", {PRECISION.get(one, one)}" for one in sorted(known))
        return f"{of}{told}, {many} seed{'s' * (many > 1)}"

    def __str__(self) -> str:
        return f"{self.iou:.2f}" + (f" ± {self.spread:.2f}" if len(self.runs) > 1 else "")


def cells(
    ledger: Sequence[dict[str, Any]], data: str, task: str, protocol: str, networks: Iterable[str] = TITLES
) -> tuple[dict[str, Cell], list[tuple[str, str]]]:
    """Give each network's cell on one task, all seeds of it; and network and words of each training that is in none.

    One training fills all cells, for only so can they be ranked: recipe, epochs, batch, devices, size and labels that
    most of `networks` share; of several, that with the most seeds, then the longest. Only trainings from scratch count,
    with the recipe as it is now and the network's own choice of auxiliary heads. Few labels, other splits and sound
    pictures kept apart are another task: they are in neither.
    """
    found: dict[tuple, dict[str, dict[int, dict]]] = defaultdict(lambda: defaultdict(dict))
    for one in sorted(ledger, key=standing):  # of two files of one training and seed, the last one counts
        about, parts, network = one["data"], one["split"], one["model"]["network"]
        its = (about["name"], about["task"], about["free"], parts["protocol"], parts["seed"], network in networks)
        asked = its == (data, task, False, protocol, 0, True) and not parts.get("pictures")
        if asked and held_out(one) and percent(one, "iou") is not None:
            found[_training(one)][network][one["model"]["seed"]] = one
    plain = {key: each for key, each in found.items() if all(map(_from_scratch, next(iter(each.values())).values()))}
    shown = max(plain, key=lambda key: (len(plain[key]), sum(map(len, plain[key].values())), key), default=())
    left = []
    for key, each in sorted(found.items(), reverse=True):
        labels = f", other labels (SHA-256 {key[-1][:8]})" if shown and key[-1] != shown[-1] else ""
        for network, cell in ((name, _cell(seeds)) for name, seeds in each.items() if key != shown):
            left.append((network, f"{TITLES.get(network, network)} by {cell.how}{labels}: {cell}"))
    return {network: _cell(seeds) for network, seeds in plain.get(shown, {}).items()}, left


def _training(one: dict[str, Any]) -> tuple:
    """Give what the results of a column share: its length first, by which the longest is found, its labels last."""
    model = one["model"]
    return model["recipe"]["epochs"], how(one), model["recipe"]["batch"], model["size"], one["data"]["digest"]


def _from_scratch(one: dict[str, Any]) -> bool:
    model = one["model"]
    return not (model.get("init") or changes_of(model["recipe"]) or model.get("aux") is not None)


def _cell(seeds: dict[int, dict[str, Any]]) -> Cell:
    runs = tuple(seeds[seed] for seed in sorted(seeds))
    values = [value for one in runs if (value := percent(one, "iou")) is not None]
    return Cell(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, runs)


def stand_ins(ledger: Sequence[dict[str, Any]], table: int) -> list[dict[str, Any]]:
    """Give the results on data that resembles a table's without being it; they never fill its cells.

    NEU_Seg (others' labels) for Table IV, synthetic sets (plain folders called synth…) for V, KolektorSDD's commutators
    for VI.
    """
    fits = {
        4: lambda name: name == "neu_seg",
        5: lambda name: name.startswith("synth") and name not in LAYOUTS,
        6: lambda name: name == "ksdd",
    }.get(table, lambda name: False)
    return [one for one in ledger if fits(one["data"]["name"]) and held_out(one)]


class Price:
    """What a missing cell would cost on this device, as `anet study show` estimates it."""

    def __init__(self, ledger: Sequence[dict[str, Any]], data_root: Path, columns: Sequence[Column]) -> None:
        self.ledger, self.data_root = ledger, Path(data_root)
        self.folders = {column.data: column.folder for column in columns}

    @cached_property
    def estimate(self) -> Estimate:
        plan = Plan(Path(), self.folders, ())
        return Estimate(plan, self.data_root, self.ledger, device_here())

    def hours(self, column: Column, network: str, protocol: str, epochs: int | None = None) -> float | None:
        """Give hours of training steps under recipe `strong`, its own epochs or `epochs`; None: no speed is known."""
        if not self.estimate.measured:
            return None  # before any network is counted in vain
        run = Run(column.data, column.task, False, protocol, 0, network, "strong", None, None, column.size, 0)
        speed = self.estimate.speed(run)
        pictures = self.estimate.pictures(run) or column.train * float(1 - VAL_SHARE)
        return (epochs or RECIPES["strong"].epochs) * pictures / speed / 3600 if speed else None

    def given(self, column: Column) -> bool:
        """Whether the pictures of a column can be read below the data root."""
        try:
            return bool(load(self.data_root / column.folder, column.task).samples)
        except AnetError:
            return False
