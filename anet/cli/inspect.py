"""`anet inspect`: the verb of the line."""

from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.cli.options import Engine, Precision, Threads
from anet.errors import OptionError
from anet.files import PICTURES, printable


@app.command()
def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] PATHS...",
            help="A bundle, or a name of `anet models`; then pictures and folders of them. No MODEL: anet-surface.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for masks, overlays, results.jsonl and defects.csv. Else the first that is free: inspected, "
            "inspected-2, ..."
        ),
    ] = None,
    overlays: Annotated[
        str, typer.Option(help="Of which pictures: found (something to mark, or a rule that fired), all or none.")
    ] = "found",
    rules: Annotated[Path | None, typer.Option(help="TOML file of pass/fail rules, instead of the bundle's.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's, 0..1.")] = None,
    min_area: Annotated[int | None, typer.Option(help="Smallest defect in pixels, instead of the model's.")] = None,
    mm_per_px: Annotated[
        str | None,
        typer.Option(help="Size of a pixel, to measure in mm: 0.05, or 0.05,0.048 (y,x), or a calibration file."),
    ] = None,
    tiles: Annotated[
        bool | None,
        typer.Option("--tiles/--no-tiles", help="Cut pictures into tiles; by default those much larger than trained."),
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Of tiles: network pixels for one of the picture.")] = None,
    overlap: Annotated[float | None, typer.Option(help="Of tiles: share of a side, 0..0.5; 0.25 by default.")] = None,
    any_light: Annotated[
        bool,
        typer.Option("--any-light", help="Do not warn of pictures far darker or brighter than all of the training."),
    ] = False,
    engine: Engine = None,
    precision: Precision = None,
    threads: Threads = 0,
) -> None:
    """Inspect pictures without torch. Exit code 0: all accepted, 3: some warned of, 1: some rejected, 2: some in error.

    The worst counts. Without rules, any defect rejects.
    """
    from anet.runtime.inspector import Inspector
    from anet.runtime.measuring.calibrate import read_scale
    from anet.runtime.progress import shown_progress
    from anet.runtime.results import free_out, inspect_paths, print_summary, streams_for
    from anet.runtime.tiling import tiles_of
    from anet.shipped import is_model, model_and_pictures

    model, paths, said = model_and_pictures(paths)
    if not paths and not is_model(model):
        read = f"a picture that is read ({' '.join(PICTURES)})"
        raise OptionError(f"{printable(model)} is neither a model nor {read} nor a folder of them")
    if not paths:
        raise typer.BadParameter(f"{printable(model)} is a model: name pictures or folders of them after it")
    if said:
        typer.echo(f"anet: {said}", err=True)
    mm, size, warnings = (None, None, ()) if mm_per_px is None else read_scale(mm_per_px)
    for warning in warnings:
        typer.echo(f"anet: {warning}", err=True)
    cut = tiles_of(tiles, scale, overlap)
    streams = streams_for(model, paths, threads)
    inspector = Inspector(
        model, rules, threshold, min_area, threads, mm, cut, precision, engine, streams, size, any_light=any_light
    )
    if inspector.engine.note:
        typer.echo(f"anet: {inspector.engine.note}", err=True)
    folder = free_out() if out is None else out
    with shown_progress(paths) as progress:
        summary = inspect_paths(inspector, paths, folder, overlays, progress)
    print_summary(summary, console)
    if out is None:
        console.print(f"  results: {folder}", highlight=False)
    raise typer.Exit(summary.exit_code)
