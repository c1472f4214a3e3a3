"""Networks by name. Rooms below import torch; nothing here is imported by the runtime."""

import difflib
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import nn

from anet.errors import OptionError
from anet.nets.ablation import ABLATIONS
from anet.nets.anet import ANet
from anet.nets.zoo import ZOO

ROWS: dict[str, Callable[..., nn.Module]] = {name: partial(ANet, rows=rows) for name, rows in ABLATIONS.items()}
NETWORKS: dict[str, Callable[..., nn.Module]] = {**ROWS, **ZOO}


def build(name: str, classes: int, aux: bool = False) -> nn.Module:
    """Make the network `name` with `classes` outputs; see `contract` for what it then holds to.

    `aux` adds the heads that only training uses. Raises OptionError: no such network, with the nearest name; no
    classes; `aux` for a network whose paper has no such heads.
    """
    if name not in NETWORKS:
        near = difflib.get_close_matches(name.lower(), NETWORKS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"{', '.join(NETWORKS)} exist"
        raise OptionError(f"no network {name!r}: {hint}")
    if not aux:
        return NETWORKS[name](classes)
    have = [each for each, maker in ZOO.items() if maker.aux_heads]  # pyright: ignore[reportAttributeAccessIssue]  contract
    if name not in have:
        raise OptionError(f"{name} has no auxiliary heads: leave --aux out (those with: {', '.join(have)})")
    return NETWORKS[name](classes, aux=True)


@cache
def weight_keys(name: str) -> frozenset[str]:
    """Give the names of the weights of a network's model files, but for the counters of BatchNorm."""
    with torch.device("meta"):
        return frozenset(key for key in build(name, 1).state_dict() if not key.endswith("num_batches_tracked"))


def aux_by_default(name: str) -> bool:
    """Say whether the paper's parameter count of this network contains its auxiliary heads: then training uses them."""
    return getattr(ZOO.get(name), "aux_printed", False)
