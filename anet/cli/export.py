"""`anet export`: from a training run to the files that a line runs."""

import functools
from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.cli.options import found
from anet.files import printable


@app.command()
def export(
    run: Annotated[
        Path,
        typer.Argument(
            callback=found, help="Run folder, .safetensors file or a name of `anet models`; with --check, a bundle."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Bundle folder; RUN/bundle by default.")] = None,
    formats: Annotated[
        str,
        typer.Option(
            help="Of openvino, f16, int8, onnx, native, bf16, native-int8; what rounds stays only where it pays."
        ),
    ] = "openvino,f16,int8,onnx,native,bf16,native-int8",
    size: Annotated[
        str | None, typer.Option(help="Of the network's input: 224, 224x320 (height first) or dynamic; as trained.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data set to prove it on, instead of the run's own.")] = None,
    max_drop: Annotated[float, typer.Option(min=0, max=100, help="Points of IoU that int8 and bf16 may lose.")] = 0.3,
    int8: Annotated[
        str, typer.Option(help="ptq: by ranges; accuracy: layers put back to float; qat: a short training first.")
    ] = "ptq",
    check: Annotated[bool, typer.Option("--check", help="Export nothing: check every file of a bundle.")] = False,
) -> None:
    """Export a trained model to a bundle, each file of it proven equal to torch on validation pictures."""
    from anet.pipeline import export_run, print_exported, print_steps
    from anet.runtime.card import check_bundle

    if check:
        print(f"{printable(run)}: {len(check_bundle(run).files)} files are as they were written")
    else:
        show = functools.partial(print_steps, console)
        print_exported(*export_run(run, out, formats.split(","), size, data, max_drop, int8, show), console)
