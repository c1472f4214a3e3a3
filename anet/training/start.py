"""Where a training starts from: another model's weights, kept in the run folder so that going on needs nothing else."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anet.errors import ModelError, OptionError
from anet.files import printable
from anet.nets import build, weight_keys
from anet.seen import Seen, all_seen
from anet.training.checkpoint import Facts, load_tensors, save_tensors

START = "init.safetensors"


@dataclass(frozen=True, eq=False)
class Start:
    """A model to start from. `name` is for people and for the run's name, `sha256` says which it was exactly."""

    name: str
    sha256: str
    network: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tensors: dict[str, Tensor]
    seen: tuple[Seen, ...] = ()  # what it was trained on, and what those that it started from were

    def left(self, class_names: tuple[str, ...]) -> tuple[str, ...]:
        """Give the weights that are not taken over for other classes: of the last layer, whose outputs mean those.

        One class of defect is "the defect", whatever it is called.
        """
        if class_names == self.class_names or len(class_names) == len(self.class_names) == 2:
            return ()
        return head_keys(self.network)

    def facts(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """Give what provenance says of it."""
        return {
            "name": self.name, "sha256": self.sha256, "class_names": list(self.class_names),
            "left": list(self.left(class_names)), **({"seen": list(self.seen)} if self.seen else {}),
        }  # fmt: skip


def start_of(network: nn.Module, facts: Facts, name: str, sha256: str) -> Start:
    """Make a start of a model as `load_model` gives it."""
    tensors, seen = dict(network.state_dict()), tuple(all_seen(facts.provenance))
    return Start(name, sha256, facts.network, facts.class_names, facts.mean, facts.std, tensors, seen)


def read_start(path: Path) -> Start:
    """Read a start from a run folder. Raises ModelError."""
    if not Path(path).exists():
        raise ModelError(f"{printable(path)} is missing: without it the training cannot begin as it was to")
    tensors, facts = load_tensors(path)
    try:
        mean, std = tuple(facts["mean"]), tuple(facts["std"])
        return Start(
            facts["name"], facts["from"], facts["network"], tuple(facts["class_names"]), mean, std, tensors
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ModelError(f"{printable(path)} is no model to start from: {error}") from error


def keep_start(folder: Path, start: Start) -> None:
    """Write a start into a run folder. Raises OutputError."""
    facts = {
        "name": start.name, "from": start.sha256, "network": start.network, "class_names": list(start.class_names),
        "mean": list(start.mean), "std": list(start.std),
    }  # fmt: skip
    save_tensors(folder / START, start.tensors, facts)


def check_start(start: Start, network: str) -> None:
    """Refuse to start one network from another. Raises OptionError."""
    if start.network != network:
        raise OptionError(
            f"{printable(start.name)} is {start.network}, {network} is to be trained: --network {start.network} would "
            "start from it"
        )


def put(start: Start, network: nn.Module, class_names: tuple[str, ...]) -> None:
    """Copy a start's weights into a network, all but those that `left` names. Raises ModelError: shapes, missing keys.

    Heads that only training uses, and counters, keep what they have: model files hold none.
    """
    own, left = network.state_dict(), set(start.left(class_names))
    wanted = weight_keys(start.network) - left
    there = {key for key in wanted & start.tensors.keys() if start.tensors[key].shape == own[key].shape}
    if missing := sorted(wanted - there):
        raise ModelError(
            f"{printable(start.name)} does not hold {start.network} as it is here: {len(missing)} weights are missing "
            f"or of another shape, the first is {printable(missing[0])}"
        )
    network.load_state_dict({key: start.tensors[key] for key in wanted}, strict=False)


@functools.cache
def head_keys(network: str) -> tuple[str, ...]:
    """Give the weights whose shape depends on the number of classes."""
    with torch.device("meta"):
        one, three = (build(network, channels).state_dict() for channels in (1, 3))
    return tuple(sorted(key for key in one if one[key].shape != three[key].shape))
