"""Verbs of a model's life: train, eval, run; what networks cost; what was measured."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.cli.options import (
    Compiled,
    Data,
    Engine,
    Free,
    Model,
    OwnSplitSeed,
    OwnTask,
    Precision,
    Protocol,
    SplitSeed,
    Task,
    Threads,
    TrainPrecision,
)
from anet.errors import OptionError
from anet.files import printable
from anet.targets import check_target

Side = Annotated[int, typer.Option(min=1, max=8192, help="Side of the square input.")]  # as training has it


@app.command()
def train(
    data: Annotated[Path | None, typer.Argument(help="Folder of a data set; not needed with --resume.")] = None,
    task: Task = None,
    free: Free = False,
    network: Annotated[str, typer.Option(help="Network to train; an unknown one lists all.")] = "anet",
    recipe: Annotated[str, typer.Option(help="paper (SGD, 2000 epochs) or strong.")] = "strong",
    epochs: Annotated[
        int | None, typer.Option(help="Instead of the recipe's; by itself more for few pictures.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures a step and device, instead of the recipe's.")] = None,
    size: Annotated[int, typer.Option(help="Side of the network's square input, a multiple of 32.")] = 224,
    seed: Annotated[int, typer.Option(help="Of weights, order, augmentation and dropout.")] = 0,
    protocol: Protocol = None,
    split_seed: SplitSeed = 0,
    name: Annotated[str | None, typer.Option(help="Of the run folder.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to go on with; other options are taken from it.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of devices (or CPU processes).")] = 1,
    precision: TrainPrecision = "auto",
    workers: Annotated[int, typer.Option(help="Processes that decode pictures beside the training.")] = 0,
    compiled: Compiled = None,
    save_every: Annotated[
        int, typer.Option(help="Steps between saves inside an epoch; 0 saves after each epoch only.")
    ] = 0,
    init: Annotated[
        str | None, typer.Option(help="Start from its weights: a run, a model file, or a name of `anet models`.")
    ] = None,
    aux: Annotated[
        bool | None,
        typer.Option(
            "--aux/--no-aux",
            help="Train with the network's auxiliary heads; by default where the paper's parameters count them.",
        ),
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(help="Use only so many labelled pictures, of train and val together.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--change", metavar="KEY=VALUE", help="Another value of the recipe, such as balance=0.5; may be repeated."
        ),
    ] = None,
) -> None:
    """Train a network; killed at any moment, --resume ends in the same weights."""
    from anet.pipeline import train_run
    from anet.training.recipes import read_change
    from anet.training.train import Options

    options = None
    if resume is None:
        if data is None:
            raise typer.BadParameter("DATA is missing (or --resume RUN)")
        options = Options(
            data, task, free, network, recipe, epochs, batch, size, seed, protocol, split_seed, name, runs, device,
            devices, precision, workers, compiled, save_every, aux, pictures,
            dict(map(read_change, changes or ())),
        )  # fmt: skip
    raise typer.Exit(train_run(options, resume, console, init))


@app.command("eval")
def evaluate(
    model: Model,
    data: Data,
    task: OwnTask = None,
    free: Free = False,
    protocol: Protocol = None,
    split_seed: OwnSplitSeed = None,
    split: Annotated[str, typer.Option(help="Part to score: train, val or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="JSON file for the result.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML file with table and pictures, worst first.")] = None,
    engine: Engine = None,
    precision: Precision = None,
    as_set: Annotated[
        bool,
        typer.Option("--as-set", help="By the model's own threshold and smallest area, as at the line."),
    ] = False,
    threads: Threads = 0,
) -> None:
    """Score a model; its threshold is chosen on the validation part, never on what is scored."""
    from anet.data import find
    from anet.evaluation import evaluate_model, print_scores

    for target in (out, report):
        check_target(target, model, find(data)[1])
    result = evaluate_model(
        model, data, task, free, protocol, split_seed, split, out, report, threads, engine=engine, precision=precision,
        as_set=as_set,
    )  # fmt: skip
    print_scores(result, console)


@app.command()
def complexity(
    network: Annotated[str, typer.Argument(help="Network by name.")],
    size: Side = 224,
    classes: Annotated[int, typer.Option(min=1, max=1000, help="Outputs of the network.")] = 1,
    as_paper: Annotated[bool, typer.Option("--as-paper", help="Add the paper's way of counting.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="A row for each layer.")] = False,
) -> None:
    """Count parameters, multiply-accumulates, FLOPs and activations of a network."""
    from anet.nets import build
    from anet.nets.complexity import count, print_complexity
    from anet.paper.breakdown import print_breakdown

    print_complexity(network, count(build(network, classes), size, size), as_paper, layers)
    if as_paper and classes == 1:
        print_breakdown(network, size, console)


@app.command()
def networks(size: Side = 224) -> None:
    """List all networks with parameters, multiply-accumulates, activations, stride and paper."""
    from anet.nets.listing import print_networks

    print_networks(size, console)


@app.command()
def run(
    data: Annotated[Path | None, typer.Argument(help="Folder of a data set; synthetic surfaces by default.")] = None,
    task: Task = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; sized to the data by default.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Side of the input; 224, or the synthetic 192.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic set and the training.")] = 0,
) -> None:
    """Do it all: data, training, scores, export, torch-free inspection, report."""
    from anet.pipeline import run_all

    print(printable(run_all(data, task, epochs, size, out, seed, console)))


@app.command()
def results(
    folder: Annotated[Path, typer.Argument(help="Folder of result files.")] = Path("results"),
    seeds: Annotated[
        bool, typer.Option("--summary", help="One row for all seeds of a run: mean ± standard deviation.")
    ] = False,
    network: Annotated[
        str | None,
        typer.Option("--against", help="Other trainings less those of this network, with 95 % intervals."),
    ] = None,
    tasks: Annotated[
        bool, typer.Option("--by-task", help="One row for all seeds and tasks of a training: IoU, mean ± deviation.")
    ] = False,
    classes: Annotated[
        bool, typer.Option("--by-class", help="Trainings with several classes of defects: the IoU of each, and mIoU.")
    ] = False,
) -> None:
    """Print the table of all results on held-out pictures as Markdown; what is left out is told on stderr."""
    from anet.comparing import against
    from anet.tables import by_class, by_task, summary, table

    asked = {"--summary": seeds, "--against": network, "--by-task": tasks, "--by-class": classes}
    if sum(map(bool, asked.values())) > 1:
        names = " and ".join(name for name, given in asked.items() if given)
        raise OptionError(f"{names} are tables of their own: give one of them")
    say = partial(typer.echo, err=True)
    one = by_task if tasks else by_class if classes else summary if seeds else table
    print(against(folder, network, say) if network else one(folder, say), end="")
