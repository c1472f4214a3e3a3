"""Recipes: how a network is trained, each a frozen row of numbers that goes whole into the run and its results."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anet.errors import OptionError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training besides network, data and seed. Shares and probabilities are 0..1."""

    name: str
    optimizer: str  # "sgd" or "adamw"
    lr: float  # the highest learning rate of the schedule
    weight_decay: float
    epochs: int
    batch: int
    schedule: str  # "constant", or "one-cycle": linear warm-up, then cosine to zero
    momentum: float = 0.9  # sgd only
    warmup: float = 0.0  # share of all steps
    clip: float = 0.0  # gradient norm is cut to this; 0 is off
    ema: float = 0.0  # decay of the exponential moving average that is validated and kept; 0 is off
    rot90: bool = True  # random multiples of 90 degrees
    flips: bool = True
    affine: float = 0.0  # probability of a random rotation, shift, scale and shear
    elastic: float = 0.0  # probability of an elastic warp
    photometric: float = (
        0.0  # probability of each of: brightness and contrast, gamma, illumination gradient, noise, blur
    )
    zoom: float = 0.0  # probability that a window around a defect is shown, enlarged, instead of the whole picture
    paste: float = 0.0  # probability that a picture receives the defects of another one of its batch
    ramp: float = 0.0  # share of all epochs over which all of the above but turns come in; 0: there from the start
    balance: float = 0.0  # share of all steps over which class-balanced entropy fades into eq. (6); 0 is off
    rare: float = 0.0  # classes in less than this share of pictures are shown more often (repeat factor); 0 is off
    settle: float = 0.0  # share of all epochs before which none is kept as the best, once a later one is there

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    def lr_at(self, step: int, steps: int) -> float:
        """Give the learning rate of `step` (0-based) of `steps`."""
        if self.schedule == "constant":
            return self.lr
        warmup = max(1, round(self.warmup * steps))
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def ramp_at(self, epoch: int) -> float:
        """Give the share of pictures of `epoch` (0-based) that augmentation may touch beyond turns: 0 rising to 1."""
        return min(1.0, epoch / (self.ramp * self.epochs)) if self.ramp else 1.0

    def settled(self, epoch: int) -> bool:
        """Say whether `epoch` (0-based) may be kept as the best for good; the last one always may."""
        return epoch + 1 >= self.settle * self.epochs

    def balance_at(self, step: int, steps: int) -> float:
        """Give the balanced share of the loss at `step` (0-based) of `steps`: 1 first, then less, then 0."""
        return max(0.0, 1.0 - step / (self.balance * steps)) if self.balance else 0.0


# Paper, section IV-A.2: SGD, lr 3e-4, momentum 0.9, weight decay 1e-4, 2000 epochs, random 90-degree rotation, flips;
# batch 16 for NEU-Seg at 224, 4 for the sets at 512 (`--batch 4`). "No auxiliary training strategies" (III-E).
PAPER = Recipe("paper", "sgd", lr=3e-4, weight_decay=1e-4, epochs=2000, batch=16, schedule="constant")

# Ours: a short schedule that starts safely on rare, small defects (warm-up, clipped gradients, balanced entropy first)
# and then shows more and more surfaces than there are (warps, light, pasted defects). Measured on magnetic tile:
# - the warps at full strength from the start: validation IoU (mean of pictures) 0.04 after 8 epochs, turns alone 0.30;
# - eq. (6) in full from a tenth of the steps on: after 25 epochs only the blowholes, the most frequent kind, are found;
#   with balanced entropy still in it, breaks, cracks and frays are found by epoch 11.
# Of 20 labelled pictures 3 validate, and the luckiest of 400 epochs is an early one: on 77 other labelled pictures, of
# no part of the split's test, epoch 10 of inclusions has IoU 0.56, the last 0.65 (patches, scratches: no difference).
STRONG = Recipe(
    "strong", "adamw", lr=4e-3, weight_decay=1e-2, epochs=100, batch=16, schedule="one-cycle", warmup=0.1, clip=1.0,
    ema=0.99, affine=0.5, elastic=0.1, photometric=0.2, zoom=0.3, paste=0.3, ramp=0.5, balance=0.8, rare=0.3,
    settle=0.8,
)  # fmt: skip

RECIPES = {recipe.name: recipe for recipe in (PAPER, STRONG)}


def rate_of(network: object, recipe: Recipe) -> float:
    """Give what a network multiplies the recipe's learning rate by: 1, but for Adam on what says `adam_rate`.

    Adam's step has the size of the rate, whatever the gradient's. Convolutions that no BatchNorm follows cannot take
    the rate of those that one does: RefineNet's loss is 8 million after the warm-up (measured).
    """
    return getattr(network, "adam_rate", 1.0) if recipe.optimizer == "adamw" else 1.0


APART = ("name", "epochs", "batch")  # have options of their own, or make no other recipe
CHOICES = {"optimizer": ("sgd", "adamw"), "schedule": ("constant", "one-cycle")}
SWITCHES = {"on": True, "off": False}
FEW_STEPS, FEW_BATCH = 1000, 8  # what few pictures get: of 17, the recipe's own epochs would be 200 steps
RANGES = {  # what is said of it, and whether it holds; of the other numbers 0 to 1
    "lr": ("more than 0 and at most 1", lambda value: 0 < value <= 1),
    "momentum": ("0 or more and less than 1", lambda value: 0 <= value < 1),
    "ema": ("0 or more and less than 1", lambda value: 0 <= value < 1),
    "clip": ("0 or more", lambda value: 0 <= value < math.inf),
}


def find_recipe(
    name: str, epochs: int | None = None, batch: int | None = None, changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Give the recipe `name` with what is given instead of its own; `changes` are of any other value.

    Raises OptionError: no such recipe or value, epochs or batch below 1, a change as `check_change` refuses it.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        raise OptionError(
            f"no recipe {name!r}: {' and '.join(RECIPES)} exist" + (f", {near[0]!r} is near" if near else "")
        )
    given = {key: value for key, value in (("epochs", epochs), ("batch", batch)) if value is not None}
    for key, value in given.items():
        if value < 1:
            raise OptionError(f"{key} is {value}: at least 1 is needed")
    own = RECIPES[name]
    given |= {key: check_change(own, key, value) for key, value in (changes or {}).items()}
    return dataclasses.replace(own, **given)


def sized(recipe: Recipe, pictures: int, batch: int | None = None, devices: int = 1) -> Recipe:
    """Give `recipe` with more epochs, of smaller batches, where its own would be fewer than FEW_STEPS steps.

    An epoch shows `pictures`, a step a batch on each of `devices`; `batch` is kept where one is given. The schedule's
    form stays, for it counts in shares.
    """
    if recipe.epochs * math.ceil(pictures / (recipe.batch * devices)) >= FEW_STEPS:
        return recipe
    batch = batch or min(recipe.batch, FEW_BATCH)
    epochs = max(recipe.epochs, math.ceil(FEW_STEPS / math.ceil(pictures / (batch * devices))))
    return dataclasses.replace(recipe, epochs=epochs, batch=batch)


def check_change(recipe: Recipe, key: str, value: Any) -> bool | float | str:
    """Give `value` as `recipe` may have it under `key`. Raises OptionError: no such key, or a value that cannot be."""
    own = recipe.to_dict()
    keys = [one for one in own if one not in APART]
    if key not in keys:
        near = difflib.get_close_matches(key, keys, n=1)
        hint = f"it has an option of its own, --{key}" if key in APART[1:] else f"{', '.join(keys)} would work"
        raise OptionError(f"no value {key!r:.80} of a recipe to change: " + (f"{near[0]!r} is near" if near else hint))
    if key in CHOICES or isinstance(own[key], bool):
        allowed = CHOICES.get(key, (True, False))
        if type(value) is not type(own[key]) or value not in allowed:
            words = " or ".join(_word(one) for one in allowed)
            raise OptionError(f"{key} is {value!r:.80}: {words} would work")
        return value
    said, holds = RANGES.get(key, ("a number from 0 to 1", lambda value: 0 <= value <= 1))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not holds(value):
        raise OptionError(f"{key} is {value!r:.80}: {said} would work")
    return float(value)


def read_change(text: str) -> tuple[str, bool | float | str]:
    """Read `KEY=VALUE` of a command line: a number, on, off or a word. Raises OptionError."""
    key, given, value = text.partition("=")
    if not (key and given and value):
        raise OptionError(f"{text!r:.80} changes nothing: KEY=VALUE would work, such as balance=0.5")
    try:
        return key, SWITCHES[value] if value in SWITCHES else float(value)
    except ValueError:
        return key, value


def changes_of(recipe: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Give what a recipe's row, from a run or a result, has otherwise than the present one of its name.

    Without epochs and batch, and without what the row does not say. Nothing for a recipe that is none of RECIPES.
    """
    own = RECIPES[recipe["name"]].to_dict() if recipe.get("name") in RECIPES else {}
    return {key: recipe[key] for key in own if key not in APART and recipe.get(key, own[key]) != own[key]}


def changes_text(changes: Mapping[str, Any], between: str) -> list[str]:
    """Give each change as `key`, `between` and its value: "on" and "off" for the switches."""
    return [f"{key}{between}{_word(value)}" for key, value in sorted(changes.items())]


def _word(value: bool | float | str) -> str:
    words = {one: word for word, one in SWITCHES.items()}
    return words[value] if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
