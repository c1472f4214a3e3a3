"""What every network here holds to: logits at the size of its input, and what it says of itself.

A network is an `nn.Module` built as `Net(classes=1)`, with auxiliary heads where its paper has them as
`Net(classes=1, aux=False)`. Its class says `paper`, `year`, `stride` and `aux_heads`, and
`aux_printed = True` where A-Net's tables count those heads among the parameters: training there has them by default;
`adam_rate` (1.0 where it says nothing) is what Adam's learning rate is multiplied by, less where most lacks BatchNorm.
`forward` maps `(N, 3, H, W) float32` to `(N, classes, H, W)` logits. Only in training, and only with `aux`, it gives a
tuple instead: the logits, then one map for each of `aux_heads`, of any size and `classes` channels (one, if "detail").
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from anet.errors import OptionError


class AuxHead(NamedTuple):
    """A head that only training uses: what it is held against, and the weight of its loss beside the network's own."""

    target: str  # "mask": the same loss on the same mask; "detail": the mask's boundaries (STDC)
    weight: float


def all_finite(values: Iterable[Tensor]) -> bool:
    """Say whether weights, such as those of a `state_dict`, hold neither NaN nor infinity."""
    return all(torch.isfinite(value).all() for value in values)


def check_classes(classes: int) -> None:
    """Refuse a network without outputs. Raises OptionError."""
    if classes < 1:
        raise OptionError(f"classes is {classes}: at least 1 is needed")


def check_sides(name: str, stride: int, h: int, w: int) -> None:
    """Refuse sides that a network's halvings cannot divide. Raises OptionError with the padded size that works."""
    if h % stride or w % stride:
        good = f"{-(-h // stride) * stride}x{-(-w // stride) * stride}"
        raise OptionError(f"{name}'s sides must be multiples of {stride}: {h}x{w} given, pad to {good}")
