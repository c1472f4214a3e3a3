"""Fold a trained A-Net into the weights that the compiled kernel takes (`runtime/engines/kernel`): norms, pixel scale.

Folding is done in float64: with float32 it would add its own rounding to the kernel's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anet.export.quantize import spread
from anet.nets.anet import DETAIL, TABLE_II, ANet, CatBlock, DownBlock, LightBlock, SegHead, UpBlock, WideBlock, build
from anet.nets.deployable import Deployable
from anet.runtime.engines.native import HEADS

NOUGHT = 128  # the code of 0, and the grey value that stands there for a picture (`kernel/cells.h`)
MOST = 127  # codes on either side of it
LEAST = 0.02  # of the widest channel's range: no channel gets less, since pictures not shown may use it more
Steps = Mapping[nn.Module, Tensor]


def native_weights(
    network: nn.Module, mean: Sequence[float], std: Sequence[float], precision: str = "f32", steps: Steps | None = None
) -> bytes:
    """Give the bytes of the kernel's file for A-Net as of Table II (`is_printed`).

    `mean` and `std` of RGB in 0..1 go into the first layers, which then take pixel values of 0..255. For precision
    "int8", `steps` are those of `steps_of`.
    """
    assert is_printed(network), "the kernel knows nothing else"
    values = _Values(mean, std, steps)
    x = detail = torch.ones(())  # the steps of what comes in: of a picture, 1
    for name, stage in network.stages.items():  # pyright: ignore
        x = values.cat(stage, detail, x) if isinstance(stage, CatBlock) else WRITERS[type(stage)](values, stage, x)
        detail = x if name == DETAIL else detail
    return HEADS[precision] + torch.cat(values.parts).float().numpy().astype("<f4").tobytes()


def is_printed(network: nn.Module) -> bool:
    """Say whether a network is A-Net as of Table II, not one of its ablations."""
    if not isinstance(network, ANet):
        return False
    printed = {name: build(op, ci, cm, co or network.classes) for op, ci, cm, co, name in TABLE_II}
    return repr(nn.ModuleDict(printed)) == repr(network.stages)


def steps_of(deployable: Deployable, frames: Sequence[np.ndarray]) -> Steps:
    """Give what one code of 8 bits stands for, `(channels,)`, after each layer of a network that maps are kept after.

    As large as the values of `frames`, `(h, w, 3) uint8`, ask for, a channel by itself: PReLU has one slope a layer and
    scales with its input, so that steps can be folded into the weights on either side, and cost nothing.
    Raises OptionError for no frames.
    """
    most: dict[nn.Module, Tensor] = {}

    def seen(module: nn.Module, _: Any, given: Tensor) -> None:
        found = given.abs().amax((0, 2, 3)).double()
        most[module] = torch.maximum(most[module], found) if module in most else found

    with _watched(deployable.network, seen), torch.inference_mode():
        for frame in spread(frames):
            deployable(torch.from_numpy(np.ascontiguousarray(frame))[None])
    return {module: one.clamp(min=max(LEAST * float(one.max()), 1e-12)) / MOST for module, one in most.items()}


@contextmanager
def _watched(network: nn.Module, seen: Callable[..., None]) -> Iterator[None]:
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.PReLU)
    hooks = [one.register_forward_hook(seen) for one in network.modules() if isinstance(one, kinds)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Values:
    """The weights in the order in which `kernel/net.cpp` takes them. A kernel lies as [y][x][in][out].

    With steps, a layer takes codes and gives codes: its weights hold the steps of both.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], steps: Steps | None):
        self.mean, self.std, self.steps = torch.tensor(tuple(mean)).double(), torch.tensor(tuple(std)).double(), steps
        self.parts: list[Tensor] = []

    def put(self, *tensors: Tensor) -> None:
        self.parts += [tensor.detach().double().reshape(-1) for tensor in tensors]

    def step(self, module: nn.Module) -> Tensor:
        return torch.ones(()) if self.steps is None else self.steps[module]

    def layer(
        self, kernel: Tensor, norm: nn.BatchNorm2d | None, act: nn.PReLU | None, x: Tensor, y: Tensor,
        more: Tensor | None = None,
    ) -> None:  # fmt: skip
        """Write a convolution with its norm folded in, then its slope: 1 where nothing follows.

        `x` and `y` are the steps of what it reads and gives, `more` those of a map that is added before the slope.
        """
        scale, shift = _affine(norm) if norm else (torch.ones(kernel.shape[-1]), torch.zeros(kernel.shape[-1]))
        self.put(kernel.double() * scale * _by_input(x) / y, shift / y, act.weight if act else torch.ones(1))
        if more is not None and self.steps is not None:
            self.put(more / y)

    def light(self, block: Any, x: Tensor) -> Tensor:
        main: Any = block.main
        t, a, b, y = (self.step(one) for one in (main[2], main[3][0], main[5], block.act))
        self.layer(_kernel(main[0]), main[1], main[2], x, t)
        self.put(_depth(main[3][0]) * t / a)
        self.layer(_kernel(main[3][1]), main[4], main[5], a, b)
        self.layer(_kernel(main[6]), main[7], block.act, b, y, x)
        return y

    def wide(self, block: Any, x: Tensor) -> Tensor:
        main: Any = block.main
        t, a, b, y = (self.step(one) for one in (main[2], main[3], main[6], block.act))
        self.layer(_kernel(main[0]), main[1], main[2], x, t)
        self.layer(_kernel(main[3]), None, None, t, a)
        self.layer(_kernel(main[4]), main[5], main[6], a, b)
        self.layer(_kernel(main[7]), main[8], block.act, b, y, x)
        return y

    def down(self, block: Any, x: Tensor) -> Tensor:
        main: Any = block.main
        residual: Any = block.residual  # its max-pool stays: pixels keep their order, std and steps are positive
        a, b, r, y = (self.step(one) for one in (main[2], main[5], residual[2], block.act))
        self.reads(_kernel(main[0]), main[1], main[2], x, a)
        self.layer(_kernel(main[3]), main[4], main[5], a, b)
        self.reads(_kernel(residual[1]), residual[2], None, x, r)
        self.layer(_kernel(main[6]), main[7], block.act, b, y, r)
        return y

    def reads(self, kernel: Tensor, norm: nn.BatchNorm2d, act: nn.PReLU | None, x: Tensor, y: Tensor) -> None:
        """Write a layer that may read the picture, whose mean, deviation and, with steps, grey are folded in."""
        if kernel.shape[2] != 3:
            self.layer(kernel, norm, act, x, y)
            return
        scale, shift = _affine(norm)
        kernel = kernel.double() * scale / self.std.view(1, 1, 3, 1)  # (1, 1, 3, out)
        nought = 0 if self.steps is None else NOUGHT / 255
        shift = shift + (kernel * (nought - self.mean).view(1, 1, 3, 1)).sum((0, 1, 2))
        self.put(kernel / 255 / y, shift / y, act.weight if act else torch.ones(1))

    def up(self, block: Any, x: Tensor) -> Tensor:
        main: Any = block.main
        residual: Any = block.residual
        r, a, b, y = (self.step(one) for one in (residual[1], main[2], main[5], block.act))
        self.layer(_kernel(residual[0]), residual[1], None, x, r)
        self.layer(_kernel(main[0]), main[1], main[2], x, a)
        self.layer(_transposed(main[3]), main[4], main[5], a, b)
        self.layer(_kernel(main[6]), main[7], block.act, b, y, r)
        return y

    def cat(self, block: Any, detail: Tensor, x: Tensor) -> Tensor:
        a, y = (self.step(one) for one in block.squeeze)
        both = x if self.steps is None else torch.cat([detail, x])
        for half in (_depth(block.squeeze[0]) * both / a).chunk(2, dim=-1):  # detail features, up-sampled ones
            self.put(half)
        self.layer(_kernel(block.squeeze[1]), None, None, a, y)
        return self.light(block.light, y)

    def head(self, head: Any, x: Tensor) -> Tensor:
        norm = head[2]  # after the slope: it cannot be folded, and zeros beside the map are zeros after it
        t, a, b = (self.step(one) for one in (norm, head[3][0], head[5]))
        scale, shift = _affine(norm)
        self.put(_transposed(head[0]) * _by_input(x), head[1].weight, torch.zeros(norm.num_features))
        self.put(scale / t, shift / t, _depth(head[3][0]) * t / a)
        self.layer(_kernel(head[3][1]), head[4], head[5], a, b)
        self.put((head[6].weight.double() * _by_input(b)[..., None]).permute(0, 2, 3, 1), head[6].bias)
        return torch.ones(())


WRITERS = {
    LightBlock: _Values.light, WideBlock: _Values.wide, DownBlock: _Values.down,
    UpBlock: _Values.up, SegHead: _Values.head,
}  # fmt: skip


def _by_input(x: Tensor) -> Tensor:
    """Give steps of the input's channels for a kernel (kh, kw, in, out)."""
    return x if x.ndim == 0 else x[:, None]


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
