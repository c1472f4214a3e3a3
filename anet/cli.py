"""The command line: each verb parses, calls one function and prints. Imports wait until a verb needs them."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from anet import __version__
from anet.errors import AnetError
from anet.files import printable

console = Console(markup=False)  # a name in brackets is a name
TRAINING = ("torch", "kornia", "lightning_fabric", "safetensors")  # what the base install does without


class Verbs(TyperGroup):
    """All verbs, and how each may end: the exit code says it, and at most one line on stderr says why."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb. Exits 0 (accept, done), 1 (reject, faults), 2 (error), 130 (Ctrl-C) or 141 (nobody reads)."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # here, not at exit, where a reader that is gone would be a traceback
        except AnetError as error:
            raise _ending(2, error) from None
        except KeyboardInterrupt as error:  # typer would end without a word
            raise _ending(130, str(error) or "stopped") from None
        except (BrokenPipeError, SystemExit) as error:  # `anet ... | head`, to which rich answers with SystemExit(1)
            if isinstance(error, SystemExit) and error.code != 1:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None  # as a shell sees `cat ... | head`: neither verdict nor error
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in TRAINING:
                raise
            raise _ending(2, f"this verb needs {error.name}: pip install 'anet-inspect[train]'") from None


def _ending(code: int, reason: object) -> typer.Exit:
    print(f"anet: {' '.join(printable(str(reason)).split())}", file=sys.stderr)
    return typer.Exit(code)


plain = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "no_args_is_help": True,
}
app = typer.Typer(
    help="Surface-defect inspection with A-Net: from labelled pictures to verdicts on a plain CPU.", cls=Verbs, **plain
)
data_app = typer.Typer(help="Look at, check, convert and make data sets.", **plain)
bench_app = typer.Typer(help="Measure speed on this machine, interleaved in one run.", **plain)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")

Data = Annotated[Path, typer.Argument(help="Folder of a data set, in its download layout or plain (images/, masks/).")]
Task = Annotated[str | None, typer.Option(help="Task of the data set, such as inclusion; an unknown one lists all.")]
Free = Annotated[bool, typer.Option("--free", help="Add the sound pictures that some sets keep apart (MT_Free, DAGM).")]
Protocol = Annotated[
    str | None, typer.Option(help="paper (seeded random), grouped (leak-free) or given (by the folder).")
]
SplitSeed = Annotated[int, typer.Option(min=0, help="Which split of the protocol.")]
Model = Annotated[Path, typer.Argument(help="A run folder, a .safetensors file or an exported bundle.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the runtime; 0 lets it choose.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"anet {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Surface-defect inspection with A-Net."""


@app.command()
def train(
    data: Annotated[Path | None, typer.Argument(help="Folder of a data set; not needed with --resume.")] = None,
    task: Task = None,
    free: Free = False,
    network: Annotated[str, typer.Option(help="Network to train; an unknown one lists all.")] = "anet",
    recipe: Annotated[str, typer.Option(help="paper (SGD, 2000 epochs) or strong.")] = "strong",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
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
    precision: Annotated[str, typer.Option(help="auto, 32, bf16 or fp16.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that decode pictures beside the training.")] = 0,
    compiled: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="torch.compile; by default when the planned steps repay it."),
    ] = None,
    save_every: Annotated[
        int, typer.Option(help="Steps between saves inside an epoch; 0 saves after each epoch only.")
    ] = 0,
) -> None:
    """Train a network; killed at any moment, --resume ends in the same weights."""
    from anet.pipeline import train_run
    from anet.training.train import Options

    options = None
    if resume is None:
        if data is None:
            raise typer.BadParameter("DATA is missing (or --resume RUN)")
        options = Options(
            data, task, free, network, recipe, epochs, batch, size, seed, protocol, split_seed, name, runs, device,
            devices, precision, workers, compiled, save_every,
        )  # fmt: skip
    raise typer.Exit(train_run(options, resume, console))


@app.command("eval")
def evaluate(
    model: Model,
    data: Data,
    task: Task = None,
    free: Free = False,
    protocol: Protocol = None,
    split_seed: SplitSeed = 0,
    split: Annotated[str, typer.Option(help="Part to score: train, val or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="JSON file for the result.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML file with table and pictures, worst first.")] = None,
    threads: Threads = 0,
) -> None:
    """Score a model; its threshold is chosen on the validation part, never on what is scored."""
    from anet.evaluation import evaluate_model, print_scores

    result = evaluate_model(model, data, task, free, protocol, split_seed, split, out, report, threads)
    print_scores(result, console)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder or .safetensors file.")],
    out: Annotated[Path | None, typer.Option(help="Bundle folder; RUN/bundle by default.")] = None,
) -> None:
    """Export a trained model to a bundle for OpenVINO, proven equal to torch on validation pictures."""
    from anet.pipeline import export_run

    bundle, parity = export_run(run, out)
    print(f"{printable(bundle)}: " + ", ".join(f"{key} {value}" for key, value in parity.items()))


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="An exported bundle.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures and folders of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder for masks, overlays, results.jsonl and defects.csv.")] = Path(
        "inspected"
    ),
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's, 0..1.")] = None,
    min_area: Annotated[int | None, typer.Option(help="Smallest defect in pixels, instead of the model's.")] = None,
    threads: Threads = 0,
) -> None:
    """Inspect pictures without torch. Exit code 0: all accepted, 1: some rejected, 2: some could not be read."""
    from anet.runtime.inspector import Inspector
    from anet.runtime.progress import shown_progress
    from anet.runtime.results import inspect_paths, print_summary

    inspector = Inspector(model, threshold, min_area, threads)
    with shown_progress(paths) as progress:
        summary = inspect_paths(inspector, paths, out, progress=progress)
    print_summary(summary, console)
    raise typer.Exit(summary.exit_code)


@app.command()
def complexity(
    network: Annotated[str, typer.Argument(help="Network by name.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the square input.")] = 224,
    classes: Annotated[int, typer.Option(min=1, help="Outputs of the network.")] = 1,
    as_paper: Annotated[bool, typer.Option("--as-paper", help="Add the paper's way of counting.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="A row for each layer.")] = False,
) -> None:
    """Count parameters, multiply-accumulates and FLOPs of a network."""
    from anet.nets import build
    from anet.nets.complexity import count, print_complexity

    counted = count(build(network, classes), size, size)
    print_complexity(network, counted, as_paper, layers)


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
def results(folder: Annotated[Path, typer.Argument(help="Folder of result files.")] = Path("results")) -> None:
    """Print the table of all results as Markdown."""
    from anet.results import table

    print(table(folder), end="")


@data_app.command()
def check(
    data: Data,
    task: Task = None,
    protocol: Protocol = None,
    split_seed: SplitSeed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding with every file, as JSON.")] = False,
) -> None:
    """Find every fault of a data set in one run, leaks between its parts included. Exit code 1: there are errors."""
    from anet.data.audit import check, print_report

    report = check(data, task, protocol, split_seed)
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

    write_png(out, dataset_sheet(load(data, task, free), limit))
    print(printable(out))


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
