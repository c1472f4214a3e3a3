"""The models that ship with anet: a bundle in a folder of its name each, and how a name becomes a path.

A name stands wherever a model is asked for and no such path exists. `anet pack` makes these folders.
"""

import difflib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from anet.errors import ModelError, OptionError
from anet.files import PICTURES, appearing, printable
from anet.image import list_images
from anet.runtime.card import CARD, MODEL_FILES, PAGE, Card, check_bundle, read_card
from anet.runtime.told import TOLD, score_lines

FOLDER = Path(__file__).parent
DEFAULT = "anet-surface"  # where no model is named: trained on everything at hand
MOST_BYTES = 1_000_000  # of one model in the wheel, packed


@dataclass(frozen=True)
class Shipped:
    """A model that ships. `told` is what `anet pack` wrote beside the card's own facts."""

    name: str
    path: Path
    card: Card
    told: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Give what is listed as JSON types."""
        data = self.card.provenance.get("data", {})
        return {
            "name": self.name, "network": self.card.network, "task": data.get("task"),
            "classes": list(self.card.class_names[1:]), "size": [self.card.h, self.card.w], "data": data.get("name"),
            "protocol": self.card.provenance.get("split", {}).get("protocol"), **self.told,
        }  # fmt: skip


def names() -> list[str]:
    """Give the names of all models that ship, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CARD}"))


def shipped(name: str) -> Shipped:
    """Give a model that ships. Raises ModelError: none of that name, damaged."""
    if name not in (known := names()):
        near = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        there = f"{', '.join(known)} do" if known else "none does"
        raise ModelError(f"no model {printable(name)!r:.80} ships with this anet: {hint}{there}")
    path = FOLDER / name
    card = read_card(path)
    told = card.provenance.get(TOLD)
    return Shipped(name, path, card, told if isinstance(told, dict) else {})


def find(model: Path | str) -> Path:
    """Give the path that a MODEL argument means: itself where it exists, else the shipped model of that name.

    What is neither, and like no name, is given back: whoever opens it says best what is missing. Raises ModelError,
    naming the nearest.
    """
    path = Path(model)
    name = str(model)
    if os.path.lexists(path) or path.name != name:
        return path
    known = names()
    if name in known:
        return FOLDER / name
    if name.startswith("anet-") or difflib.get_close_matches(name, known, 1, 0.7):
        return shipped(name).path  # raises, with the nearest
    return path


def model_and_pictures(given: list[Path]) -> tuple[Path, list[Path], str]:
    """Part `[MODEL] PATHS...`; without a model it is DEFAULT, and the third value says so in one line.

    The first is a picture, not a model, when it is a picture file or a folder with one. Raises ModelError, ImageError.
    """
    first = Path(given[0])
    if not _shows_pictures(first):
        return find(first), given[1:], ""
    if DEFAULT not in names():
        raise ModelError(
            f"no model was named, and {DEFAULT}, made for any surface, does not ship with this anet: "
            "give a bundle before the pictures (`anet export` makes one)"
        )
    card = shipped(DEFAULT).card
    said = f"no model was named: {DEFAULT} ({card.id}) looks, which was trained on no picture of yours"
    return FOLDER / DEFAULT, given, said


def is_model(path: Path) -> bool:
    """Say whether `path` is, or lies beside, a bundle's or a run's files, or is a file of weights.

    Any of a bundle's will do: one that lost its card is a damaged model, and no folder of pictures.
    """
    folder = path if os.path.isdir(path) else path.parent
    ours = (CARD, PAGE, *MODEL_FILES, "run.json", "best.safetensors")
    found = any(os.path.exists(folder / name) for name in ours)
    return os.path.exists(path) and (found or path.suffix == ".safetensors")


def _shows_pictures(path: Path) -> bool:
    if os.path.isdir(path):
        return not is_model(path) and next(list_images([path]), None) is not None
    return path.suffix.lower() in PICTURES


def check_changeable(model: Path) -> None:
    """Refuse to write into a model that ships. Raises OptionError."""
    path, home = Path(model).resolve(), FOLDER.resolve()
    name = next(iter(path.relative_to(home).parts), "") if path.is_relative_to(home) else ""
    if name in names():  # `anet pack` makes new ones beside them
        raise OptionError(f"{name} ships with anet and stays as it is: `anet models {name} --out DIR` copies it")


def copy(name: str, out: Path) -> Path:
    """Copy a shipped bundle to `out`, which is new or empty, every file checked. Raises ModelError, OutputError."""
    found = shipped(name)
    check_bundle(found.path)
    out = Path(out)
    with appearing(out, new=True) as made:
        for file in (CARD, *found.card.files):
            shutil.copyfile(found.path / file, made / file)
    return out


def print_models(console: Console) -> None:
    """Print a few lines for each model that ships."""
    if not names():
        console.print("no model ships with this anet: `anet train` and `anet export` make one", soft_wrap=True)
    for name in names():
        console.print("\n".join(_lines(shipped(name))), highlight=False, soft_wrap=True)


def print_model(name: str, console: Console) -> None:
    """Print a shipped model's page, every file checked first. Raises ModelError."""
    found = shipped(name)
    check_bundle(found.path)
    console.print((found.path / PAGE).read_text("utf-8"), highlight=False, soft_wrap=True)


def _lines(one: Shipped) -> list[str]:
    card, told = one.card, one.told
    size = "any size" if card.dynamic else f"{card.h} x {card.w}"
    split, data = (card.provenance.get(key, {}) for key in ("split", "data"))
    lines = [
        f"{one.name}: {told.get('about', '')}",
        f"  {card.network}, {size}, {_number(told.get('parameters'))} parameters, "
        f"{_number(told.get('bytes'))} bytes packed",
        f"  finds {', '.join(card.class_names[1:])}",
        f"  trained on {data.get('name')} ({data.get('task')}), protocol {split.get('protocol')}: "
        f"{split.get('train')} pictures, {split.get('val')} to validate, one seed",
    ]
    lines += [f"  {line}" for line in score_lines(told.get("scores", {}))]
    return [*lines, f"  not for: {told.get('not_for', '')}", f"  licence: {told.get('licence', '')}"]


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
