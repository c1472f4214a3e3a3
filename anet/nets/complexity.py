"""What a network costs: parameters, true multiply-accumulates, and the paper's count under its own name.

The paper's "FLOPs" are the multiply-accumulates of ptflops 0.7.0, whose rules (`paper_count`) add normalisation,
activations and pooling, count transposed convolutions on the wrong grid and twice-registered modules twice. They rank
networks wrongly (a true 26.5 G reads 315.7 G), so they stand beside the true count and never in its place.
"""

import copy
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
         nn.GroupNorm, nn.LayerNorm)  # fmt: skip
ACTIVATIONS = (nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.GELU)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
         nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
         nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)  # fmt: skip
PAPER_COUNTS = {*CONVOLUTIONS, *TRANSPOSED, *NORMS, *ACTIVATIONS, *POOLS, nn.Upsample, nn.Linear}


@dataclass(frozen=True)
class Layer:
    """One module that owns parameters or costs something. Rows of a network add up to its `Complexity`."""

    name: str
    type: str
    shape: tuple[int, ...] | None  # of its last output, without the batch; None: never executed
    params: int
    macs: int  # true, all its calls together
    as_paper: int  # all its calls, times the number of names it is registered under


@dataclass(frozen=True)
class Complexity:
    """Cost of one picture of `h` x `w` through a network.

    `params` counts each parameter once. `macs` is true: convolutions, transposed convolutions on their input grid and
    linear layers that were executed, without bias, normalisation, activation, pooling or products of two activations.
    `flops` is 2 * `macs`. `activations` are the values that the same layers give out (Radosavovic et al., "Designing
    network design spaces", 2020): memory traffic, and with it much of the time, goes by them. `as_paper` and
    `params_as_paper` are the paper's columns "FLOPs" and "Parameters".
    """

    h: int
    w: int
    params: int
    macs: int
    flops: int
    activations: int
    as_paper: int
    params_as_paper: int  # without frozen parameters
    layers: tuple[Layer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as a dict for JSON."""
        return asdict(self)


def count(network: nn.Module, h: int, w: int, channels: int = 3) -> Complexity:
    """Count `network` for one RGB picture of `h` x `w`: on a copy, in eval mode, on shapes alone (no arithmetic).

    Another number of `channels` is for parts of networks.

    The network must run on PyTorch's meta device. Raises what its forward raises for such a size.
    """
    network = copy.deepcopy(network).to("meta").eval()
    macs, values, paper, shapes = Counter(), Counter(), Counter(), {}

    def note(module: nn.Module, args: tuple, output: Any) -> None:
        result = (
            output if isinstance(output, Tensor) else next((one for one in output if isinstance(one, Tensor)), None)
        )
        if result is None or not args or not isinstance(args[0], Tensor):
            return
        cost = true_macs(module, args[0], result)
        macs[module] += cost
        values[module] += result.numel() if cost else 0
        paper[module] += paper_count(module, args[0], result)
        shapes[module] = tuple(result.shape[1:])

    for module in network.modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        network(torch.empty(1, channels, h, w, device="meta"))

    times = Counter(counted_modules(network))
    layers, seen = [], set()
    for name, module in network.named_modules():
        own = {id(p): p.numel() for p in module.parameters(recurse=False) if id(p) not in seen}
        seen |= own.keys()
        cost = paper[module] * times[module]
        if own or macs[module] or cost:
            shape = shapes.get(module)
            layers.append(Layer(name, type(module).__name__, shape, sum(own.values()), macs[module], cost))
    true, as_paper = sum(layer.macs for layer in layers), sum(layer.as_paper for layer in layers)
    params = sum(p.numel() for p in network.parameters())
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Complexity(h, w, params, true, 2 * true, values.total(), as_paper, trainable, tuple(layers))


def true_macs(module: nn.Module, given: Tensor, result: Tensor) -> int:
    """Give the multiply-accumulates of one call; 0 for what is no convolution or linear layer."""
    if isinstance(module, TRANSPOSED):  # every INPUT element meets every weight of its group once
        return given.numel() * (module.out_channels // module.groups) * math.prod(module.kernel_size)
    if isinstance(module, CONVOLUTIONS):
        return result.numel() * (module.in_channels // module.groups) * math.prod(module.kernel_size)
    if isinstance(module, nn.Linear):
        return result.numel() * module.in_features
    return 0


def paper_count(module: nn.Module, given: Tensor, result: Tensor) -> int:
    """Give what ptflops 0.7.0 counts for one call, faults included. Subclasses and functional calls count 0, as there.

    Transposed convolutions are taken on the OUTPUT grid, stride^2 too much; a linear layer adds its bias once, not once
    a token, and its product wraps at 32 bits (the paper's machine ran Windows: Swin-Unet at 512 shows it).
    """
    if type(module) not in PAPER_COUNTS:
        return 0
    if isinstance(module, CONVOLUTIONS + TRANSPOSED):
        per_output = module.in_channels * math.prod(module.kernel_size) / module.groups
        return int(result.numel() * (per_output + (module.bias is not None)))
    if isinstance(module, nn.Linear):
        product = (given.numel() * module.out_features + 2**31) % 2**32 - 2**31
        return product + (module.out_features if module.bias is not None else 0)
    if isinstance(module, NORMS):
        return given.numel() * (2 if getattr(module, "affine", False) else 1)  # LayerNorm has no `affine`: once
    return given.numel() if isinstance(module, POOLS) else result.numel()  # else an activation or nn.Upsample


def counted_modules(module: nn.Module) -> Iterator[nn.Module]:
    """Walk to every module that ptflops counts, once for each PATH to it: a backbone under two names comes twice."""
    if type(module) in PAPER_COUNTS:
        yield module
    else:
        for child in module.children():
            yield from counted_modules(child)


def conv_params(kh: int, kw: int, ci: int, co: int) -> int:
    """Give eq. (1): parameters of a convolution without bias (and without groups: a grouped one has 1/g of them)."""
    return kh * kw * ci * co


def conv_flops(kh: int, kw: int, ci: int, co: int, fh: int, fw: int, groups: int = 1) -> int:
    """Give eq. (2) as printed: FLOPs of a convolution with an output of `fh` x `fw`.

    The paper uses it nowhere, though IV-A.3 says so: III-C's sentence and all tables are multiply-accumulates. For 3x3,
    32 to 32 channels at 112x112 it gives 218.4 M where the sentence says 115.61 M = 9,216 x 112 x 112. It also leaves
    out the additions across input channels, so it is neither 2 x MACs nor exact. The sentence's 309.76 M for 5x5 are
    25,600 x 110 x 110: multiply-accumulates of a 5x5 convolution with padding 1, which does not keep 112x112 (one
    that does costs 321.1 M). Its figures for the Light and Wide block (0.75k, 9.93 M; 1.25k, 16.26 M) contain BatchNorm
    and PReLU; see `count`.
    """
    return (2 * kh * kw - 1) * ci * fh * fw * co // groups


def dw_conv_params(kh: int, kw: int, ci: int, co: int) -> int:
    """Give eq. (3): parameters of the paper's dwConv, depthwise then pointwise, without bias.

    The text calls the first step a convolution with g = Kh x Kw groups; it has one group for each of its channels.
    """
    return ci * kh * kw + ci * co


def dw_conv_flops(kh: int, kw: int, ci: int, co: int, fh: int, fw: int) -> int:
    """Give eq. (4) as printed: FLOPs of the dwConv.

    Used nowhere, as eq. (2). It adds FLOPs (depthwise) to multiply-accumulates (pointwise), and its depthwise step has
    `co` channels where it works on `ci`.
    """
    return (2 * kh * kw - 1) * fh * fw * co + ci * fh * fw * co


def print_complexity(name: str, cost: Complexity, as_paper: bool = False, layers: bool = False) -> None:
    """Print a network's cost, each count named; `as_paper` adds the paper's columns, `layers` one row a layer."""
    title = f"{name}, 3x{cost.h}x{cost.w}"
    if layers:
        table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading in ("layer", "type", "output"):
            table.add_column(heading, overflow="fold")  # a name cut short would be no name
        for heading in ("parameters", "true MACs", *(["paper's count"] if as_paper else [])):
            table.add_column(heading, justify="right", no_wrap=True)
        for layer in cost.layers:
            shape = "not executed" if layer.shape is None else "x".join(map(str, layer.shape))
            numbers = (layer.params, layer.macs, *([layer.as_paper] if as_paper else []))
            table.add_row(layer.name, layer.type, shape, *(f"{number:,}" for number in numbers))
        Console(width=max(Console().width, 100)).print(table)  # a narrow pipe must not fold names in two
    table = Table("count", title=title)
    table.add_column("value", justify="right")
    table.add_row("parameters", f"{cost.params:,}")
    table.add_row("true MACs", f"{cost.macs / 1e9:.4f} G")
    table.add_row("FLOPs (2 x true MACs)", f"{cost.flops / 1e9:.4f} G")
    table.add_row("activations", f"{cost.activations / 1e6:.4f} M")
    if as_paper:
        table.add_row('the paper\'s "Parameters" (trainable)', f"{cost.params_as_paper / 1e6:.4f} M")
        table.add_row('the paper\'s "FLOPs" (ptflops 0.7.0)', f"{cost.as_paper / 1e9:.4f} G")
    Console().print(table)
