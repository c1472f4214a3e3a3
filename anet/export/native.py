"""Fold a trained A-Net into the weights that the compiled kernel takes (`runtime/engines/kernel`): norms, pixel scale.

Folding is done in float64: with float32 it would add its own rounding to the kernel's.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anet.nets.anet import TABLE_II, ANet, CatBlock, DownBlock, LightBlock, SegHead, UpBlock, WideBlock, build
from anet.runtime.engines.native import HEADS


def native_weights(
    network: nn.Module, mean: Sequence[float], std: Sequence[float], precision: str = "f32"
) -> bytes | None:
    """Give the bytes of the kernel's file for A-Net as of Table II; None for any other network.

    `mean` and `std` of RGB in 0..1 go into the first layers, which then take pixel values of 0..255.
    """
    if not isinstance(network, ANet) or not _as_printed(network):
        return None
    values = _Values()
    for name, stage in network.stages.items():
        if name == "down1":
            values.down(stage, torch.tensor(tuple(mean)).double(), torch.tensor(tuple(std)).double())
        else:
            WRITERS[type(stage)](values, stage)
    return HEADS[precision] + torch.cat(values.parts).float().numpy().astype("<f4").tobytes()


def _as_printed(network: ANet) -> bool:
    """Say whether the network is Table II's, not one of its ablations."""
    printed = {name: build(op, ci, cm, co or network.classes) for op, ci, cm, co, name in TABLE_II}
    return repr(nn.ModuleDict(printed)) == repr(network.stages)


class _Values:
    """The weights in the order in which `kernel/net.cpp` takes them. A kernel lies as [y][x][in][out]."""

    def __init__(self):
        self.parts: list[Tensor] = []

    def put(self, *tensors: Tensor) -> None:
        self.parts += [tensor.detach().double().reshape(-1) for tensor in tensors]

    def layer(self, kernel: Tensor, norm: nn.BatchNorm2d | None = None, act: nn.PReLU | None = None) -> None:
        """Write a convolution with its norm folded in, then its slope: 1 where nothing follows."""
        scale, shift = _affine(norm) if norm else (torch.ones(kernel.shape[-1]), torch.zeros(kernel.shape[-1]))
        self.put(kernel.double() * scale, shift, act.weight if act else torch.ones(1))

    def light(self, block: Any) -> None:
        main: Any = block.main
        self.layer(_kernel(main[0]), main[1], main[2])
        self.put(_depth(main[3][0]))
        self.layer(_kernel(main[3][1]), main[4], main[5])
        self.layer(_kernel(main[6]), main[7], block.act)

    def wide(self, block: Any) -> None:
        main: Any = block.main
        self.layer(_kernel(main[0]), main[1], main[2])
        self.layer(_kernel(main[3]))
        self.layer(_kernel(main[4]), main[5], main[6])
        self.layer(_kernel(main[7]), main[8], block.act)

    def down(self, block: Any, mean: Tensor | None = None, std: Tensor | None = None) -> None:
        main: Any = block.main
        residual: Any = block.residual  # its max-pool stays: pixels keep their order, std is positive
        self._of_pixels(_kernel(main[0]), main[1], main[2], mean, std)
        self.layer(_kernel(main[3]), main[4], main[5])
        self._of_pixels(_kernel(residual[1]), residual[2], None, mean, std)
        self.layer(_kernel(main[6]), main[7], block.act)

    def _of_pixels(self, kernel: Tensor, norm: nn.BatchNorm2d, act, mean: Tensor | None, std: Tensor | None) -> None:
        if mean is None or std is None:
            self.layer(kernel, norm, act)
            return
        scale, shift = _affine(norm)
        kernel = kernel.double() * scale  # (1, 1, 3, out)
        shift = shift - (kernel * (mean / std).view(1, 1, 3, 1)).sum((0, 1, 2))
        self.put(kernel / (255 * std.view(1, 1, 3, 1)), shift, act.weight if act else torch.ones(1))

    def up(self, block: Any) -> None:
        main: Any = block.main
        residual: Any = block.residual
        self.layer(_kernel(residual[0]), residual[1])
        self.layer(_kernel(main[0]), main[1], main[2])
        self.layer(_transposed(main[3]), main[4], main[5])
        self.layer(_kernel(main[6]), main[7], block.act)

    def cat(self, block: Any) -> None:
        for half in _depth(block.squeeze[0]).chunk(2, dim=-1):  # detail features, up-sampled ones
            self.put(half)
        self.layer(_kernel(block.squeeze[1]))
        self.light(block.light)

    def head(self, head: Any) -> None:
        norm = head[2]  # after the slope: it cannot be folded, and zeros beside the map are zeros after it
        self.put(_transposed(head[0]), head[1].weight, torch.zeros(norm.num_features), *_affine(norm))
        self.put(_depth(head[3][0]))
        self.layer(_kernel(head[3][1]), head[4], head[5])
        self.put(head[6].weight.permute(0, 2, 3, 1), head[6].bias)


WRITERS = {
    LightBlock: _Values.light, WideBlock: _Values.wide, DownBlock: _Values.down,
    UpBlock: _Values.up, CatBlock: _Values.cat, SegHead: _Values.head,
}  # fmt: skip


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Give scale and shift that a trained norm amounts to, in float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def _kernel(conv: nn.Conv2d) -> Tensor:
    return conv.weight.detach().permute(2, 3, 1, 0)  # (kh, kw, in, out)


def _transposed(conv: nn.ConvTranspose2d) -> Tensor:
    return conv.weight.detach().permute(2, 3, 0, 1)  # (kh, kw, in, out)


def _depth(conv: nn.Conv2d) -> Tensor:
    return conv.weight.detach()[:, 0].permute(1, 2, 0)  # (3, 3, channels)
