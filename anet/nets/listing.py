"""`anet networks`: A-Net and the seventeen baselines at a glance."""

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from anet.nets import aux_by_default, build
from anet.nets.complexity import count
from anet.nets.zoo import ZOO


def print_networks(size: int, console: Console) -> None:
    """Print parameters, true multiply-accumulates, activations at `size` x `size`, stride, year and paper of each."""
    table = Table(title=f"cost of one 3x{size}x{size} picture, one class", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("network", no_wrap=True)
    for heading in ("parameters", "true MACs", "activations", "stride"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("--aux", no_wrap=True)
    table.add_column("year", no_wrap=True)
    table.add_column("paper", overflow="fold")
    for name in (*ZOO, "anet"):
        with torch.device("meta"):
            network = build(name, 1)
        cost = count(network, size, size)
        aux = "default" if aux_by_default(name) else "offered" if network.aux_heads else ""
        numbers = f"{cost.params / 1e6:.3f} M", f"{cost.macs / 1e9:.3f} G", f"{cost.activations / 1e6:.2f} M"
        table.add_row(name, *numbers, str(network.stride), aux, str(network.year), str(network.paper))
    Console(width=max(console.width, 120), file=console.file).print(table)
    rows = (
        "anet-none, anet-light, anet-wide, anet-light-wide and anet-jump are Table III's rows; anet-plain is a fair one"
    )
    console.print(
        f"{rows}. Sides must be multiples of the stride. --aux: heads that only training uses.", soft_wrap=True
    )
