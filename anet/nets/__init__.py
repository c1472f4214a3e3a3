"""Networks by name. Rooms below import torch; nothing here is imported by the runtime."""

import difflib
from collections.abc import Callable
from functools import partial

from torch import nn

from anet.errors import OptionError
from anet.nets.ablation import ABLATIONS
from anet.nets.anet import ANet

NETWORKS: dict[str, Callable[[int], nn.Module]] = {name: partial(ANet, rows=rows) for name, rows in ABLATIONS.items()}


def build(name: str, classes: int) -> nn.Module:
    """Make the network `name` with `classes` outputs. Raises OptionError, with the nearest name, when there is none."""
    if name not in NETWORKS:
        near = difflib.get_close_matches(name.lower(), NETWORKS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"{', '.join(NETWORKS)} exist"
        raise OptionError(f"no network {name!r}: {hint}")
    return NETWORKS[name](classes)
