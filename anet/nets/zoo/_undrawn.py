"""Convolutions whose weights are still to be drawn: PyTorch's own draw would only be thrown away."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import nn

Given = ParamSpec("Given")
Layer = TypeVar("Layer", nn.Conv2d, nn.ConvTranspose2d)


def undrawn(kind: Callable[Given, Layer], *args: Given.args, **kwargs: Given.kwargs) -> Layer:
    """Make a convolution without drawing its weights; its bias, where it has one, is 0."""
    device = torch.get_default_device()
    # skip_init is untyped: what it gives is of the kind that it was given
    layer: Layer = nn.utils.skip_init(kind, *args, device=device, **kwargs)  # pyright: ignore[reportAssignmentType]
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
