"""`anet threshold`: the threshold and the smallest area by what escapes and false rejects cost."""

from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.cli.options import Data, Free, Model, OwnSplitSeed, OwnTask, Protocol, Threads
from anet.errors import DataError
from anet.targets import check_target


@app.command()
def threshold(
    model: Model,
    data: Data,
    task: OwnTask = None,
    free: Free = False,
    protocol: Protocol = None,
    split_seed: OwnSplitSeed = None,
    max_escape: Annotated[float | None, typer.Option(help="Largest escape rate that must be shown, 0..1.")] = None,
    max_false: Annotated[float | None, typer.Option(help="Largest rate of false rejects to be shown, 0..1.")] = None,
    cost_miss: Annotated[float | None, typer.Option(help="Cost of a defective part that passes.")] = None,
    cost_false: Annotated[float | None, typer.Option(help="Cost of a sound part that is rejected.")] = None,
    defect_share: Annotated[
        float | None, typer.Option(help="Share of defective parts at the line, for costs; by default validation's.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of what is shown, 0..1.")] = 0.95,
    strict: Annotated[
        bool, typer.Option("--strict", help="A part rejected only for a region beside its defect counts as escaped.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file for the report.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put what was chosen into the bundle or model file.")] = False,
    threads: Threads = 0,
) -> None:
    """Choose threshold and smallest area on validation pictures; exit code 2 when these cannot show what is asked."""
    from anet.data import find
    from anet.operating import choose_operating, print_operating
    from anet.scoring.risk import Aim
    from anet.shipped import check_changeable

    if write:
        check_changeable(model)
    check_target(out, model, find(data)[1])
    aim = Aim(max_escape, max_false, cost_miss, cost_false, defect_share, confidence, strict)
    result = choose_operating(model, data, aim, task, free, protocol, split_seed, out, write, threads)
    print_operating(result, console)
    if result.choice.refusal:
        raise DataError(result.choice.refusal)
