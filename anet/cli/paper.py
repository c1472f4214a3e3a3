"""`anet paper`: the paper's tables, printed beside what is measured here."""

from typing import Annotated

import typer

from anet.cli.app import PLAIN, app, console
from anet.errors import OptionError

paper_app = typer.Typer(help="Print the paper's tables beside what was found here.", **PLAIN)
app.add_typer(paper_app, name="paper")


@paper_app.callback()
def paper() -> None:
    """Print the paper's tables beside what was found here."""


@paper_app.command()
def table(
    number: Annotated[int, typer.Argument(help="4, 5, 6 or 7; the first is counted at 224, the others at 512.")],
    columns: Annotated[str, typer.Option(help="cost: parameters and FLOPs as printed, reconciled and true.")] = "cost",
    form: Annotated[str, typer.Option("--format", help="table, md or csv.")] = "table",
) -> None:
    """Print a table: cost as printed, how print comes about, true cost, and both rankings."""
    from anet.paper.tables import print_cost_table

    if columns != "cost":
        raise OptionError(f"no columns {columns!r}: cost exists")
    print_cost_table(number, form, console)
