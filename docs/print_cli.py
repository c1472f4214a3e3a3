"""Print every verb's --help as Markdown: `python docs/print_cli.py > docs/cli.md`. A test fails when that is stale."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from anet import cli

WIDTH = 100


def verbs(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    """Give the full name and the help of a command and of all below it, in the order of --help."""
    yield context.command_path, command.get_help(context)
    for name, below in getattr(command, "commands", {}).items():
        settings = {"info_name": name, "parent": context, **below.context_settings}
        yield from verbs(below, below.context_class(below, terminal_width=WIDTH, **settings))


def page() -> str:
    """Give the whole page."""
    for one in (cli.app, cli.data.data_app, cli.paper.paper_app, cli.rules.rules_app, cli.study.study_app):
        one.rich_markup_mode = None  # plain text, no boxes
    command = get_command(cli.app)
    context = command.context_class(command, info_name="anet", terminal_width=WIDTH, **command.context_settings)
    parts = ["# The command line\n\nPrinted by `python docs/print_cli.py`; do not edit.\n"]
    parts += [f"\n## `{name}`\n\n```text\n{text.strip()}\n```\n" for name, text in verbs(command, context)]
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
