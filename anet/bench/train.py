"""`anet bench train`: one training step, the plain way and ours, in interleaved rounds of one process."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from anet.nets import build
from anet.provenance import machine, versions
from anet.training.augment import Augment
from anet.training.fit import make_optimizer
from anet.training.losses import segmentation_loss
from anet.training.memory import keep_memory
from anet.training.recipes import STRONG

PLAIN = "eager, NCHW, malloc's defaults"


@dataclass(frozen=True)
class Variant:
    """One way to run the same step; all train their own copy of A-Net from the same seed on the same batch."""

    name: str
    channels_last: bool
    keep: bool  # freed memory stays in the process, see anet.training.memory
    compiled: bool = False
    bf16: bool = False


VARIANTS = (
    Variant(PLAIN, False, False),
    Variant("+ memory kept", False, True),
    Variant("+ channels_last", True, True),
    Variant("+ bfloat16", True, True, bf16=True),
    Variant("+ torch.compile (no bfloat16)", True, True, compiled=True),
    Variant("+ torch.compile and bfloat16", True, True, compiled=True, bf16=True),
)


@dataclass(frozen=True)
class Measured:
    """Seconds of a step of one variant, over the rounds."""

    name: str
    median_s: float
    low_s: float
    high_s: float
    first_s: float  # the first step: with torch.compile, its compilation
    pictures_per_s: float
    ratio: float  # speed against PLAIN, median of the ratios within a round


def bench(size: int = 224, batch: int = 16, rounds: int = 5, compiled: bool = True) -> dict[str, Any]:
    """Measure all variants: A B C, A B C, ... with two steps to warm up each; give plain values for JSON.

    Forward, loss, backward and optimiser, as the loop does them; the cost of augmentation stands apart.
    """
    variants = [variant for variant in VARIANTS if compiled or not variant.compiled]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    masks = (torch.rand(batch, size, size, generator=generator) > 0.9).to(torch.uint8)
    steps, first = {}, {}
    for variant in variants:
        keep_memory(variant.keep)
        steps[variant.name] = make_step(variant, images, masks)
        first[variant.name] = timed(steps[variant.name])
    times: dict[str, list[float]] = {variant.name: [] for variant in variants}
    augmenting: list[float] = []
    for _ in range(rounds):
        for variant in variants:
            keep_memory(variant.keep)
            timed(steps[variant.name])  # after a change of the allocator, one step finds its memory
            times[variant.name].append(timed(steps[variant.name]))
        keep_memory(True)
        augment = Augment(STRONG)
        augmenting.append(timed(lambda augment=augment: augment(images.clone(), masks.clone())))
    rows = []
    for variant in variants:
        own = times[variant.name]
        ratio = statistics.median(plain / mine for plain, mine in zip(times[PLAIN], own, strict=True))
        middle = statistics.median(own)
        rows.append(Measured(variant.name, middle, min(own), max(own), first[variant.name], batch / middle, ratio))
    return {
        "size": size, "batch": batch, "rounds": rounds, "threads": torch.get_num_threads(),
        "augment_s": statistics.median(augmenting), "machine": machine(), "versions": versions(),
        "variants": [asdict(row) for row in rows],
    }  # fmt: skip


def make_step(variant: Variant, images: Tensor, masks: Tensor) -> Callable[[], None]:
    """Build the network of a variant and give its training step as a function."""
    torch.manual_seed(0)
    network: nn.Module = build("anet", 1).train()
    if variant.channels_last:
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  not in its stubs
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, STRONG)
    model = torch.compile(network) if variant.compiled else network

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
            logits = model(images)  # type: ignore[operator]
        segmentation_loss(logits, masks).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def timed(call: Callable[[], Any]) -> float:
    """Give the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def print_bench(result: dict[str, Any], console: Console) -> None:
    """Print the variants as a table, with machine and conditions above."""
    where = result["machine"]
    console.print(
        f"A-Net, one training step, batch {result['batch']} at {result['size']} px, {result['rounds']} interleaved "
        f"rounds; {where['cpu']}, {result['threads']} threads, torch {result['versions'].get('torch')}",
        soft_wrap=True,
    )
    table = Table()
    for head in ("step", "median s", "spread s", "pictures/s", "speed-up", "first step s"):
        table.add_column(head, justify="left" if head == "step" else "right")
    for row in result["variants"]:
        spread = f"{row['low_s']:.2f}–{row['high_s']:.2f}"
        cells = (
            f"{row['median_s']:.2f}",
            spread,
            f"{row['pictures_per_s']:.1f}",
            f"{row['ratio']:.2f}x",
            f"{row['first_s']:.0f}",
        )
        table.add_row(row["name"], *cells)
    console.print(table)
    step = min(row["median_s"] for row in result["variants"])
    share = result["augment_s"] / (result["augment_s"] + step)
    console.print(
        f"augmentation of recipe strong: {result['augment_s']:.2f} s a batch, "
        f"{100 * share:.0f} % of the fastest step with it",
        soft_wrap=True,
    )
