"""`anet paper`: the paper's tables and figures, printed beside what is measured here."""

from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import PLAIN, app, console

paper_app = typer.Typer(help="The paper's tables and figures beside what was found here.", **PLAIN)
app.add_typer(paper_app, name="paper")

Results = Annotated[Path, typer.Option(help="Folder of measured results.")]
DataRoot = Annotated[Path, typer.Option(help="Folder below which the data sets lie, as in plans/.")]
Speed = Annotated[
    Path | None,
    typer.Option(help="Record of `anet bench --out`, for figure 9; else of RESULTS/speed, this machine's first."),
]
Runs = Annotated[Path, typer.Option(help="Folder below which trained runs or bundles lie, for figures 5 to 8.")]


@paper_app.command()
def table(
    number: Annotated[int, typer.Argument(help="2 to 7; of 2 the channels, of 3 the ablation.")],
    columns: Annotated[
        str, typer.Option(help="iou, or cost: parameters and FLOPs, printed, reconciled, true.")
    ] = "iou",
    form: Annotated[
        str | None, typer.Option("--format", help="table, markdown (md), csv or latex; by default as OUT ends.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing: .md, .csv, .tex, .txt.")] = None,
    results: Results = Path("results"),
    data_root: DataRoot = Path("data"),
) -> None:
    """Print a table: what the paper prints, what results/ holds, deviation, rank; what is missing, and its cost."""
    from anet.paper.everything import Sources, put_table

    put_table(number, columns, form, Sources(results, data_root=data_root), out, console)


@paper_app.command()
def figure(
    number: Annotated[int, typer.Argument(help="1, 5, 6, 7, 8 or 9.")],
    out: Annotated[Path, typer.Option(help="File to write: .svg or .png.")],
    results: Results = Path("results"),
    runs: Runs = Path("runs"),
    data_root: DataRoot = Path("data"),
    protocol: Annotated[str, typer.Option(help="Of figures 5 to 8: grouped or paper.")] = "grouped",
    speed: Speed = None,
) -> None:
    """Draw a figure in the paper's arrangement from what was measured and trained here; say what is missing."""
    from anet.paper.everything import Sources, put_figure

    put_figure(number, out, Sources(results, runs, data_root, speed), protocol, console)


@paper_app.command(name="all")
def everything(
    out: Annotated[Path, typer.Option(help="Folder that appears, or replaces an earlier one of this verb.")],
    results: Results = Path("results"),
    runs: Runs = Path("runs"),
    data_root: DataRoot = Path("data"),
    speed: Speed = None,
) -> None:
    """Write all tables (Markdown, CSV, LaTeX) and figures (SVG, PNG) into one folder with an index."""
    from anet.files import printable
    from anet.paper.everything import Sources, write_all

    write_all(out, Sources(results, runs, data_root, speed))
    console.print(printable(out / "index.md"), highlight=False, soft_wrap=True)


@paper_app.command()
def datasets(
    form: Annotated[str, typer.Option("--format", help="table, markdown (md), csv or latex.")] = "table",
    data_root: DataRoot = Path("data"),
) -> None:
    """Count the pictures of the paper's data sets, and of both protocols' parts, beside the printed counts."""
    from anet.paper.datasets import data_grid
    from anet.paper.grid import check_form, render

    check_form(form)
    console.out(render([data_grid(data_root)], form, console.width), highlight=False, end="")
