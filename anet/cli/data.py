"""`anet data`: look at, check, convert and make data sets."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import PLAIN, app, console
from anet.cli.options import Data, Free, Model, OwnTask, Protocol, SplitSeed, Task, Threads
from anet.files import printable
from anet.targets import check_target

data_app = typer.Typer(help="Look at, check, convert and make data sets.", **PLAIN)
app.add_typer(data_app, name="data")


@data_app.command()
def check(
    data: Data,
    task: Task = None,
    protocol: Protocol = None,
    split_seed: SplitSeed = 0,
    free: Free = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding with every file, as JSON.")] = False,
) -> None:
    """Find every fault of a data set in one run, leaks between its parts included. Exit code 1: there are errors."""
    from anet.data.audit import check, print_report

    report = check(data, task, protocol, split_seed, free)
    print(json.dumps(report.to_dict(), indent=2)) if as_json else print_report(report, console)
    raise typer.Exit(0 if report.ok else 1)


@data_app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    pictures: Annotated[int, typer.Option(help="Number of pictures.")] = 120,
    size: Annotated[int, typer.Option(help="Side of each picture in pixels.")] = 192,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Make a synthetic set of surfaces with scratches, inclusions, patches, cracks and pores."""
    from anet.data.synthetic import synthesize

    print(f"{pictures} pictures in {printable(synthesize(out, pictures, size, seed))}")


@data_app.command()
def convert(
    src: Annotated[Path, typer.Argument(help="COCO, labelme, Pascal VOC or YOLO folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to make, in the plain layout.")],
) -> None:
    """Convert labels of other tools to pictures and masks, with a sheet to look at."""
    from anet.data.convert import convert, print_converted

    print_converted(convert(src, out), console)


@data_app.command()
def merge(
    sets: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Two data sets or more, each in any layout.")],
    out: Annotated[Path, typer.Option(help="Folder to make, in the plain layout.")],
    one_class: Annotated[bool, typer.Option("--one-class", help="Call every defect 'defect'.")] = False,
    free: Free = False,
    protocol: Protocol = None,
    split_seed: SplitSeed = 0,
) -> None:
    """Join data sets, each with its own parts; what train shows of val or test, from any of them, is left out."""
    from anet.data.merge import merge, print_merged

    print_merged(merge(sets, out, one_class, free, protocol, split_seed), console)


@data_app.command()
def audit(
    model: Model,
    data: Data,
    task: OwnTask = None,
    free: Free = False,
    out: Annotated[Path, typer.Option(help="HTML page to write; the list to relabel lies beside it.")] = Path(
        "audit.html"
    ),
    limit: Annotated[int, typer.Option(help="Pictures on the page, and twins; the list has all.")] = 100,
    twins: Annotated[bool, typer.Option("--twins/--no-twins", help="Also look for pictures of the same thing.")] = True,
    threads: Threads = 0,
) -> None:
    """Rank pictures by what a model says against their labels, and show twins that are labelled apart."""
    from anet.auditing import audit, print_audit

    print_audit(audit(model, data, task, free, out, limit, twins, threads), console)


@data_app.command()
def show(
    data: Data,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("sheet.png"),
    task: Task = None,
    free: Free = False,
    limit: Annotated[int, typer.Option(help="Number of pictures.")] = 24,
) -> None:
    """Write a sheet of pictures with their labels."""
    from anet.data import load
    from anet.data.sheet import dataset_sheet
    from anet.image import write_png

    dataset = load(data, task, free)
    check_target(out, dataset.root)
    write_png(out, dataset_sheet(dataset, limit))
    held = len(dataset.samples)
    shown = f"{limit} of {held} pictures (--limit {held} shows all)" if limit < held else f"{held} pictures"
    print(f"{printable(out)}: {shown}")
