"""A table of words and numbers, and its four forms: for a terminal, Markdown, CSV and LaTeX."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from anet.errors import OptionError
from anet.files import csv_text, printable

FORMATS = ("table", "md", "markdown", "csv", "latex")
ENDINGS = {"md": "md", "csv": "csv", "latex": "tex"}  # of the files that `anet paper all` writes
FORMS = {"": "table", ".txt": "table"} | {f".{ending}": form for form, ending in ENDINGS.items()}
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    "≥": r"$\ge$", "✓": r"\checkmark{}", "−": "$-$",
}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """A titled table. `words` are the headings of columns that are no numbers; `flat` is what CSV holds, unrounded."""

    title: str
    head: tuple[str, ...]  # a heading may have two lines
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    notes: tuple[str, ...] = ()
    flat: tuple[dict[str, Any], ...] = ()


def render(grids: Sequence[Grid], form: str, width: int = 130) -> str:
    """Give grids as one text in one of FORMATS; `width` is the terminal's. Raises OptionError for another form."""
    check_form(form)
    if form == "csv":
        return as_csv(grids)
    one = {"table": lambda grid: as_table(grid, width), "latex": as_latex}.get(form, as_markdown)
    return "\n".join(one(grid) for grid in grids)


def form_of(out: Path | None) -> str:
    """Give the form that a file's name asks for; without one that of a terminal. Raises OptionError."""
    ending = "" if out is None else out.suffix.lower()
    if ending not in FORMS:
        raise OptionError(f"{printable(str(out))}: a table is written as {', '.join(filter(None, FORMS))}")
    return FORMS[ending]


def check_form(form: str, out: Path | None = None) -> None:
    """Raise OptionError for a form that does not exist, and for one that is not that of the file's name."""
    if form not in FORMATS:
        raise OptionError(f"no format {form!r}: {', '.join(FORMATS)} exist")
    asked = "md" if form == "markdown" else form
    named = FORMS.get(out.suffix.lower(), asked) if out and out.suffix else asked
    if named != asked:
        raise OptionError(
            f"{printable(str(out))} is the name of a table as {named}, not as {form}: leave one of them out"
        )


def as_table(grid: Grid, width: int) -> str:
    """Give a grid for a terminal, notes below it. It is never narrower than its numbers: a pipe must not cut them."""
    table = Table(title=grid.title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in grid.head:
        table.add_column(heading, justify="left" if heading in grid.words else "right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*row)
    out = io.StringIO()
    Console(width=max(width, 130), file=out, markup=False).print(table)
    return out.getvalue() + "".join(f"{note}\n" for note in grid.notes)


def as_markdown(grid: Grid) -> str:
    """Give a heading, the table, and the notes as a list."""
    head = [heading.replace("\n", " ") for heading in grid.head]
    rule = ["---" if heading in grid.words else "---:" for heading in grid.head]
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in grid.rows)
    lines = "".join(f"| {' | '.join(each)} |\n" for each in (head, rule, *escaped))
    return f"**{grid.title}**\n\n{lines}" + "".join(f"\n- {note}" for note in grid.notes).rstrip() + "\n"


def as_csv(grids: Sequence[Grid]) -> str:
    """Give the unrounded rows of all grids, whose keys are the same, below one head."""
    rows = [row for grid in grids for row in grid.flat]
    return csv_text([list(rows[0]), *(row.values() for row in rows)])


def as_latex(grid: Grid) -> str:
    """Give a `table` environment that needs no package but amssymb (the check mark), with the notes below."""
    columns = "".join("l" if heading in grid.words else "r" for heading in grid.head)
    lines = [" & ".join(tex(cell.replace("\n", " ")) for cell in each) + r" \\" for each in (grid.head, *grid.rows)]
    notes = "".join(f"\\par {tex(note)}\n" for note in grid.notes)
    body = "\n".join([lines[0], r"\hline", *lines[1:]])
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{tex(grid.title)}}}\n\\begin{{tabular}}{{{columns}}}\n\\hline\n"
        f"{body}\n\\hline\n\\end{{tabular}}\n{{\\footnotesize\\raggedright\n{notes}\\par}}\n\\end{{table}}\n"
    )


def tex(text: str) -> str:
    """Give a text with LaTeX's special characters escaped, two hyphens kept two."""
    pairs = itertools.pairwise(text + " ")
    return "".join("-{}" if one == after == "-" else LATEX.get(one, one) for one, after in pairs)
