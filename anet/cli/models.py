"""`anet models` and `anet pack`: the models that ship with anet."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.errors import OptionError
from anet.files import printable


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="One of them, to read its page; none lists all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to copy it to, a bundle like any other.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the models that ship with anet; their names stand for a path wherever a model is asked for."""
    from anet import shipped

    if out is not None:
        if name is None:
            raise OptionError("--out copies one model: give its name before it")
        print(printable(shipped.copy(name, out)))
    elif as_json:
        chosen = shipped.names() if name is None else [name]
        print(json.dumps([shipped.shipped(one).to_dict() for one in chosen], indent=2))
    else:
        shipped.print_models(console) if name is None else shipped.print_model(name, console)


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="Finished run folder, with its data in place.")],
    name: Annotated[str, typer.Option(help="Of the model: anet-something.")],
    about: Annotated[str, typer.Option(help="What it is for, one line.")],
    not_for: Annotated[str, typer.Option(help="What it is not for, one line.")],
    licence: Annotated[str, typer.Option(help="What is known of the pictures' licences, one line.")],
    out: Annotated[Path, typer.Option(help="Folder of models; those that ship lie in anet/shipped.")] = Path("models"),
    data: Annotated[Path | None, typer.Option(help="The run's data set, when it lies elsewhere by now.")] = None,
) -> None:
    """Make a model that ships of a run: half-precision weights of 1 MB at most, scored on its held-out pictures."""
    from anet.pack import pack
    from anet.runtime.told import score_lines

    folder, card = pack(run, name, about, not_for, licence, out, data)
    told = card.provenance["shipped"]
    print("\n".join([f"{printable(folder)}: {told['bytes']:,} bytes packed", *score_lines(told["scores"])]))
