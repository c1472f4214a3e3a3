"""`anet bench`: measure speed on this machine."""

from typing import Annotated

import typer

from anet.cli.app import PLAIN, app, console

bench_app = typer.Typer(help="Measure speed on this machine, interleaved in one run.", **PLAIN)
app.add_typer(bench_app, name="bench")


@bench_app.command("train")
def bench_train(
    size: Annotated[int, typer.Option(min=1, help="Side of the network's square input.")] = 224,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Measure torch.compile, too.")] = True,
) -> None:
    """Measure a training step: the plain eager loop beside ours, and what augmentation costs."""
    from anet.bench.train import bench, print_bench

    print_bench(bench(size, batch, rounds, compiled), console)
