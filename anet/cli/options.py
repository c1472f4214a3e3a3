"""Options that several verbs take, each spelt once."""

from pathlib import Path
from typing import Annotated

import typer


def found(model: Path | None) -> Path | None:
    """Turn the name of a model that ships into its path; any other path stays, and None. Raises ModelError."""
    from anet.shipped import find

    return None if model is None else find(model)


def kept(model: Path) -> Path:
    """As `found`, of a model that will be written to: one that ships stays as it is. Raises OptionError, ModelError."""
    from anet.shipped import check_changeable, find

    path = find(model)
    check_changeable(path)
    return path


Data = Annotated[Path, typer.Argument(help="Folder of a data set, in its download layout or plain (images/, masks/).")]
Task = Annotated[str | None, typer.Option(help="Task of the data set, such as inclusion; an unknown one lists all.")]
TrainPrecision = Annotated[
    str, typer.Option("--precision", help="auto (bf16 where the device computes in it, else 32), 32, bf16 or fp16.")
]
Compiled = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="torch.compile; by default when the planned steps repay it."),
]
OwnTask = Annotated[
    str | None, typer.Option("--task", help="Task of the data set; the model's own by default, where the set has it.")
]
Free = Annotated[bool, typer.Option("--free", help="Add the sound pictures that some sets keep apart (MT_Free, DAGM).")]
Protocol = Annotated[
    str | None,
    typer.Option(help="paper (seeded random), grouped (look-alikes kept together) or given (by the folder)."),
]
SplitSeed = Annotated[int, typer.Option(min=0, help="Which split of the protocol.")]
OwnSplitSeed = Annotated[
    int | None,
    typer.Option(
        min=0, help="Which split of the protocol; without both, that of the training on these pictures, else 0."
    ),
]
Model = Annotated[
    Path,
    typer.Argument(callback=found, help="A run folder, a .safetensors file, a bundle, or a name of `anet models`."),
]
Bundle = Annotated[Path, typer.Argument(callback=kept, help="An exported bundle; it is written to.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the runtime; 0 lets it choose.")]
Engine = Annotated[
    str | None,
    typer.Option(help="openvino, onnxruntime or native (A-Net only), instead of the bundle's own choice."),
]
Precision = Annotated[
    str | None, typer.Option(help="f32, f16, bf16 or int8, of those in the bundle, instead of its own choice.")
]
