"""`anet bench`, `anet bench-training`, `anet tune`: measure speed on this machine, and choose by it."""

from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.cli.options import Bundle, OwnTask
from anet.files import printable
from anet.targets import check_target


@app.command()
def bench(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(help="Exported bundles, or names of `anet models`; none: A-Net, untrained."),
    ] = None,
    networks: Annotated[
        str, typer.Option(help="Also these networks, untrained: fig9 (the paper's eight) or names with commas.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also all 18 networks, untrained.")] = False,
    size: Annotated[int | None, typer.Option(min=1, help="Side of the input; the bundles', else 224.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain/--no-plain", help="Set A-Net as converted by hand beside; ratios are to it.")
    ] = True,
    engine: Annotated[
        str, typer.Option(help="Engines with commas: openvino, onnxruntime, native; all that run here.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 10,
    whole: Annotated[
        bool, typer.Option("--whole/--no-whole", help="Also stages, a folder, a fresh start and memory.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="JSON file to write, with a PNG and an SVG beside; a folder: by machine.")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Folder of records; exit code 1 when a ratio fell.")] = None,
) -> None:
    """Measure latency and throughput of bundles and networks in interleaved rounds, and the whole inspection."""
    from anet.bench.show import compare, print_bench, read_before, record_path, save
    from anet.bench.speed import Plan, bench
    from anet.bench.subjects import names_of
    from anet.shipped import find

    engines = tuple(engine.split(",")) if engine else ()
    paths = tuple(find(one) for one in bundles or ())
    for ending in (".json", ".png", ".svg") if out else ():
        check_target(record_path(out).with_suffix(ending), *paths)
    before = read_before(against) if against else None  # a broken one is said before minutes of work
    plan = Plan(paths, names_of(networks, everything), size, plain, engines, rounds, whole)
    result = bench(plan, lambda text: console.print(text, highlight=False, soft_wrap=True))
    print_bench(result, console)
    for path in save(result, out) if out else ():
        console.print(printable(path), highlight=False, soft_wrap=True)
    fallen = compare(result, before, against, console) if against else False
    raise typer.Exit(int(fallen))


@app.command("bench-training")
def bench_training(
    size: Annotated[int, typer.Option(min=1, help="Side of the network's square input.")] = 224,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 5,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Measure torch.compile, too.")] = True,
) -> None:
    """Measure a training step: the plain eager loop beside ours, and what augmentation costs."""
    from anet.bench.train import bench, print_bench

    print_bench(bench(size, batch, rounds, compiled), console)


@app.command()
def tune(
    bundle: Bundle,
    budget_ms: Annotated[float, typer.Option(help="Most ms from a picture in memory to its verdict.")],
    threads: Annotated[int, typer.Option(min=0, help="Most threads to use; 0: all cores.")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="Data set that validated it: measures IoU anew, and scales.")
    ] = None,
    task: OwnTask = None,
) -> None:
    """Find the way to run a bundle that meets a budget on this machine, and write it into the bundle.

    Engine, precision, threads, streams; with --data, the scale of tiles or of a dynamic input, too. The best IoU on
    validation pictures wins, then the fastest. Exit code 2: nothing meets the budget.
    """
    from anet.bench.tune import none_meets, print_tuned, tune
    from anet.errors import OptionError

    tuned = tune(bundle, budget_ms, threads, data, task, lambda text: console.print(text, soft_wrap=True))
    print_tuned(tuned, console)
    if tuned.chosen is None:
        raise OptionError(none_meets(tuned))
    console.print(f"{printable(bundle)}: {tuned.chosen.name}", highlight=False, soft_wrap=True)
    if tuned.chosen.settings.scale:
        console.print("another scale than in training: `anet threshold` chooses threshold and smallest area for it")
