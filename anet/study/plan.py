"""The TOML file of a study: which trainings there are to be, or all that is wrong with it at once."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from anet.data import PROTOCOLS
from anet.errors import AnetError, OptionError
from anet.files import printable, read_plain
from anet.frame import Frame
from anet.nets import NETWORKS
from anet.results import USUAL_SIZE, place
from anet.runtime.verdicts.rules_file import Fault, nearest
from anet.training.recipes import RECIPES, changes_of, check_change

MOST_BYTES, MOST_RUNS, MOST = 2**20, 100_000, 2**31
LISTS = {"tasks": None, "protocols": None, "networks": None, "recipes": ["strong"], "seeds": [0], "split_seeds": [0]}
NUMBERS = ("epochs", "batch", "size", "pictures")
ROW_KEYS = ("data", *LISTS, *NUMBERS, "free", "init", "change")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +-]*")  # of data and tasks: parts of a path


@dataclass(frozen=True)
class Run:
    """One training of a plan; None is the recipe's own number."""

    data: str  # as the ledger calls the data set
    task: str
    free: bool
    protocol: str
    split_seed: int
    network: str
    recipe: str
    epochs: int | None
    batch: int | None
    size: int
    seed: int
    init: str | None = None  # name or path of a model to start from
    pictures: int | None = None  # labelled ones, of train and val together
    changes: tuple[tuple[str, Any], ...] = ()  # values instead of the recipe's own

    @property
    def name(self) -> str:
        """Where the result lies below `results/`, without suffix."""
        return place(**asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """The trainings of a file, in its order, each once; `folders` says where each data set lies below a data root.

    A folder that is none stands as "": the reader has told its fault.
    """

    path: Path
    folders: dict[str, str]
    runs: tuple[Run, ...]


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises OptionError with its first fault, and how many there are."""
    plan, faults = look_at_plan(Path(path))
    errors = [fault for fault in faults if fault.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more: `anet study check` lists them)" if len(errors) > 1 else ""
        raise OptionError(f"{printable(path)}: {errors[0]}{more}")
    return plan


def look_at_plan(path: Path) -> tuple[Plan, tuple[Fault, ...]]:
    """Read a plan and give the runs of its sound rows, and every fault but those of data. Raises OptionError."""
    content = read_plain(path, MOST_BYTES, OptionError)
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        return Plan(path, {}, ()), (Fault("error", "", f"is no TOML in UTF-8: {printable(str(reason))[:200]}"),)
    reader = _Reader()
    folders, runs = reader.plan(table)
    return Plan(path, folders, runs), tuple(reader.faults)


class _Reader:
    """Goes through the tables of a plan and gathers faults on the way."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def error(self, where: str, text: str) -> None:
        self.faults.append(Fault("error", printable(where), printable(text)))

    def plan(self, table: dict[str, Any]) -> tuple[dict[str, str], tuple[Run, ...]]:
        self._keys("", table, ("data", "runs"))
        folders, rows = self._folders(table.get("data")), table.get("runs", [])
        if not isinstance(rows, list) or not rows:
            self.error("", "holds no runs, so nothing would be done: some begin with [[runs]]")
            rows = []
        runs: dict[str, Run] = {}
        for number, row in enumerate(rows, 1):
            twice = 0
            for run in self._row(f"runs {number}", row, folders):
                first = runs.setdefault(run.name, run)
                if first != run:
                    self.error(f"runs {number}", f"{run.name} is the name of two runs: {_differ(first, run)}")
                    break  # the others of this row would say the same
                twice += first is not run
            if twice:
                self.faults.append(Fault("note", f"runs {number}", f"{twice} of its runs are named before: done once"))
        for name in folders.keys() - {str(row.get("data")) for row in rows if isinstance(row, dict)}:
            self.faults.append(Fault("note", f"data {printable(name)!r}", "no runs use it"))
        return folders, tuple(runs.values())

    def _keys(self, where: str, table: dict[str, Any], allowed: Sequence[str]) -> None:
        for key in table.keys() - set(allowed):
            self.error(where, f"unknown key {key!r}{nearest(key, allowed)}")

    def _folders(self, table: Any) -> dict[str, str]:
        if not isinstance(table, dict) or not table:
            self.error("", 'names no data: [data] with a line such as mt = "Magnetic-tile-defect-datasets" would work')
            return {}
        found = {}
        for name, folder in table.items():
            where = f"data {name!r}"
            if not NAME.fullmatch(name):
                self.error(where, "is no name of letters, digits, _ and -")
            if not isinstance(folder, str) or not folder or Path(folder).is_absolute() or ".." in Path(folder).parts:
                self.error(where, f"is {folder!r:.80}: a folder below --data-root would work")
                folder = ""  # of which nothing is read
            found[name] = folder
        return found

    def _row(self, where: str, row: Any, folders: dict[str, str]) -> Iterable[Run]:
        if not isinstance(row, dict):
            self.error(where, "is no table: [[runs]] begins one")
            return ()
        before = len(self.faults)
        self._keys(where, row, ROW_KEYS)
        data, free = row.get("data"), row.get("free", False)
        if not isinstance(data, str):
            self.error(
                where, f"data is {'missing' if data is None else repr(data)[:80]}: a name from [data] would work"
            )
        elif data not in folders:
            self.error(where, f"no data {data!r:.80}{nearest(data, folders)}")
        if not isinstance(free, bool):
            self.error(where, f"free is {free!r:.80}: true or false would work")
        init = row.get("init")
        if init is not None and not (isinstance(init, str) and NAME.fullmatch(Path(init).name)):
            self.error(where, f"init is {init!r:.80}: the name of a model, or the path of one, would work")
        lists = {key: self._list(where, key, row.get(key, default)) for key, default in LISTS.items()}
        for key, names in (("protocols", PROTOCOLS), ("networks", NETWORKS), ("recipes", RECIPES)):
            for name in lists[key]:
                if isinstance(name, str) and name not in names:
                    self.error(where, f"no {key[:-1]} {name!r:.80}{nearest(name, names)}")
        numbers = {key: self._number(where, key, row[key]) for key in NUMBERS if key in row}
        change = self._change(where, row.get("change", {}), lists["recipes"])
        if len(self.faults) > before:
            return ()
        if (many := _many(lists.values())) > MOST_RUNS:
            self.error(where, f"means {many} runs: {MOST_RUNS} at most")
            return ()
        return _product(str(data), free, lists, numbers, init, change)

    def _change(self, where: str, change: Any, recipes: list) -> dict[str, Any]:
        if not isinstance(change, dict):
            self.error(where, f"change is {change!r:.80}: a table such as {{ balance = 0.5 }} would work")
            return {}
        for recipe, (key, value) in product(filter(RECIPES.__contains__, recipes), change.items()):
            try:
                check_change(RECIPES[recipe], key, value)
            except OptionError as error:
                self.error(where, f"change: {error}")
        return change

    def _list(self, where: str, key: str, value: Any) -> list:
        kind, what = (int, "whole numbers from 0 up") if key.endswith("seeds") else (str, "names")
        good = isinstance(value, list) and value and all(type(one) is kind for one in value)
        if good and kind is int:
            good = all(0 <= one < MOST for one in value)
        if good and key == "tasks":
            good = all(NAME.fullmatch(one) for one in value)
        if not good:
            self.error(where, f"{key} is {value!r:.80}: a list of {what} would work" if value is not None else
                       f"{key} are missing: a list of {what} would work")  # fmt: skip
            return []
        return value

    def _number(self, where: str, key: str, value: Any) -> int | None:
        if type(value) is not int or not 1 <= value < MOST:
            return self.error(where, f"{key} is {value!r:.80}: a whole number from 1 up would work")
        if key == "size":
            try:
                Frame(value)
            except AnetError as error:
                return self.error(where, str(error))
        return value


def _differ(one: Run, other: Run) -> str:
    """Say in what two runs differ."""
    mine, its = one.to_dict(), other.to_dict()
    return ", ".join(f"{key} {mine[key]!r:.80} and {its[key]!r:.80}" for key in mine if mine[key] != its[key])


def _many(lists: Iterable[list]) -> int:
    total = 1
    for one in lists:
        total *= len(one)
    return total


def _product(
    data: str,
    free: bool,
    lists: dict[str, list],
    numbers: dict[str, int | None],
    init: str | None,
    change: dict[str, Any],
) -> Iterator[Run]:
    """Give every combination; a number that is the recipe's own is None, so that equal runs are equal."""
    order = ("seeds", "split_seeds", "protocols", "tasks", "recipes", "networks")  # a first seed of all comes first
    for seed, split_seed, protocol, task, recipe, network in product(*(lists[key] for key in order)):
        own = RECIPES[recipe]
        given = {key: numbers.get(key) for key in ("epochs", "batch")}
        unusual = {key: None if value == getattr(own, key) else value for key, value in given.items()}
        changed = changes_of({**change, "name": recipe})
        yield Run(
            data, task, free, protocol, split_seed, network, recipe, **unusual, size=numbers.get("size") or USUAL_SIZE,
            seed=seed, init=init, pictures=numbers.get("pictures"),
            changes=tuple(sorted(changed.items())),
        )  # fmt: skip
