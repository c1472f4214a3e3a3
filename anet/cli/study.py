"""`anet study`: a plan of many trainings, worked through into the ledger of results."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import PLAIN, app, console
from anet.cli.options import Compiled, TrainPrecision

study_app = typer.Typer(help="Work through a plan of many trainings into results/; docs/study.md shows how.", **PLAIN)
app.add_typer(study_app, name="study")

PlanFile = Annotated[Path, typer.Argument(help="TOML file of a plan, such as those in plans/.")]
DataRoot = Annotated[Path, typer.Option(help="Folder below which the plan's data sets lie.")]
Results = Annotated[Path, typer.Option("--out", help="Folder of the results.")]
Runs = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")]


@study_app.command()
def check(plan: PlanFile, data_root: DataRoot = Path("data"), as_json: AsJson = False) -> None:
    """Find every fault of a plan in one run. Exit code 1: there are errors."""
    from anet.study.check import check_plan, print_check

    found = check_plan(plan, data_root)
    print(json.dumps(found.to_dict(), indent=2)) if as_json else print_check(found, console)
    raise typer.Exit(0 if found.ok else 1)


@study_app.command()
def run(
    plan: PlanFile,
    data_root: DataRoot = Path("data"),
    devices: Annotated[str, typer.Option(help="auto, cpu, cuda (all GPUs), or some: cuda:0,cuda:1.")] = "auto",
    jobs: Annotated[int | None, typer.Option(help="Trainings side by side; by default one a device.")] = None,
    precision: TrainPrecision = "auto",
    compiled: Compiled = None,
    out: Results = Path("results"),
    runs: Runs = Path("runs"),
) -> None:
    """Train and score what is missing; Ctrl-C saves, and the same command goes on. Exit code 1: something failed."""
    from anet.study.work import Settings, run_plan

    raise typer.Exit(run_plan(plan, Settings(data_root, runs, out, devices, jobs, precision, compiled), console))


@study_app.command()
def show(
    plan: PlanFile,
    data_root: DataRoot = Path("data"),
    out: Results = Path("results"),
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Print what is done, running, cut off, failed and missing, with an estimate of the hours that are left."""
    from anet.study.show import print_lines, show_plan

    lines = show_plan(plan, data_root, runs, out)
    print(json.dumps([one.to_dict() for one in lines], indent=2)) if as_json else print_lines(lines, plan, console)


@study_app.command()
def score(
    run: Annotated[Path, typer.Argument(help="A finished run folder of `anet train`.")],
    data: Annotated[Path | None, typer.Option(help="Its data set, when that lies elsewhere by now.")] = None,
    out: Results = Path("results"),
) -> None:
    """Score a finished run on validation and test, and add it to the results under the name that is due to it."""
    from anet.files import printable
    from anet.results import print_result_file
    from anet.study.score import score_run

    path = score_run(run, out, data)
    print_result_file(path, console)
    console.print(printable(path), highlight=False, soft_wrap=True)
