"""`anet rules`: check pass/fail rules, and make them part of a bundle."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import PLAIN, app, console
from anet.cli.options import Bundle, found
from anet.files import printable

rules_app = typer.Typer(help="Check pass/fail rules, and make them part of a bundle.", **PLAIN)
app.add_typer(rules_app, name="rules")

File = Annotated[Path, typer.Argument(help="TOML file of rules; docs/rules.md shows one.")]


@rules_app.command()
def check(
    file: File,
    bundle: Annotated[
        Path | None,
        typer.Option(callback=found, help="Bundle, or a name of `anet models`, whose classes the rules must name."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="results.jsonl of anet inspect: try the rules on it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Find every fault of a file of rules in one run. Exit code 1: there are errors."""
    from anet.runtime.verdicts.rules_check import check_rules, print_check

    checked = check_rules(file, bundle, report)
    print(json.dumps(checked.to_dict(), indent=2)) if as_json else print_check(checked, console)
    raise typer.Exit(0 if checked.ok else 1)


@rules_app.command()
def add(bundle: Bundle, file: File) -> None:
    """Make rules part of a bundle, instead of those that it has; its card is sealed anew."""
    from anet.runtime.verdicts.bundled_rules import add_rules

    print(f"{printable(bundle)}: model {add_rules(bundle, file).id} judges by {printable(file)}")
