"""The second counter of the paper's tables: LSA-Net's "FLOPs" are twice what thop 0.1.1 counts.

thop takes a convolution without its bias, BatchNorm at 4 and bilinear `nn.Upsample` at 11 an element; activations and
pooling it does not count. Where these are layers with the same hooks as ptflops, their rows have all that is needed.
"""

from dataclasses import replace

from torch import nn

from anet.nets import complexity
from anet.nets.complexity import Complexity, Layer


def twice_thop(network: nn.Module, h: int, w: int, channels: int = 3) -> Complexity:
    """Count `network` as `anet.nets.complexity.count` does, with 2 x thop 0.1.1 as the paper's count.

    Knows the layers that LSA-Net has: KeyError for another.
    """
    cost = complexity.count(network, h, w, channels)
    layers = tuple(replace(layer, as_paper=2 * thop(layer)) for layer in cost.layers)
    return replace(cost, as_paper=sum(layer.as_paper for layer in layers), layers=layers)


def thop(layer: Layer) -> int:
    """Give what thop 0.1.1 counts for a layer, from its row in the other counter's answer."""
    return {
        "Conv2d": layer.macs,
        "BatchNorm2d": layer.as_paper // 2 * 4,  # ptflops: 2 an element
        "Upsample": layer.as_paper * 11,  # ptflops: 1 an element
    }[layer.type]
