"""Any table or figure of the paper by its number, and all of them in one folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from anet.errors import AnetError, OptionError
from anet.files import appearing, atomic_write, printable
from anet.paper.datasets import data_grid
from anet.paper.figure_1 import figure_1
from anet.paper.figure_9 import figure_9, records
from anet.paper.figures import Drawn, check_ending, save
from anet.paper.gallery import figure_of
from anet.paper.grid import ENDINGS, Grid, check_form, form_of, render
from anet.paper.scores import ablation_cost, channel_grid, iou_grids
from anet.paper.tables import cost_grid
from anet.targets import check_target

NUMBERS = (2, 3, 4, 5, 6, 7)
FIGURES = (1, 5, 6, 7, 8, 9)
COLUMNS = ("iou", "cost")
OURS = re.compile(r"index\.md|(data|table-\d(-\w+)?)\.(md|csv|tex)|figure-\d\.(svg|png)")  # nothing else is replaced


@dataclass(frozen=True)
class Sources:
    """Where measured things lie."""

    results: Path = Path("results")
    runs: Path = Path("runs")
    data_root: Path = Path("data")
    speed: Path | None = None  # a record of `anet bench`; None: chosen among those of the results


def table(number: int, columns: str, sources: Sources) -> list[Grid]:
    """Give the grids of a table; Table 2 has no choice of columns. Raises OptionError, DataError."""
    if number not in NUMBERS:
        raise OptionError(f"no table {number}: {', '.join(map(str, NUMBERS))} have something to measure")
    if columns not in COLUMNS:
        raise OptionError(f"no columns {columns!r}: {', '.join(COLUMNS)} exist")
    if number == 2:
        return [channel_grid()]
    if columns == "iou":
        return iou_grids(number, sources.results, sources.data_root)
    return [ablation_cost() if number == 3 else cost_grid(number)]


def figure(number: int, sources: Sources, protocol: str = "grouped") -> Drawn:
    """Draw a figure. Raises OptionError, DataError when there is nothing to draw."""
    if number not in FIGURES:
        raise OptionError(f"no figure {number}: {', '.join(map(str, FIGURES))} can be drawn")
    if number == 1:
        return figure_1(sources.results)
    if number == 9:
        if sources.speed is not None:
            return figure_9(sources.speed)
        first, *others = records(sources.results)
        return figure_9(first, others)
    return figure_of(number, sources.results, sources.runs, sources.data_root, protocol)


def put_table(
    number: int, columns: str, form: str | None, sources: Sources, out: Path | None, console: Console
) -> None:
    """Print a table, or write it to `out`, all or nothing. Raises OptionError, DataError, OutputError."""
    form = form or form_of(out)
    check_form(form, out)
    check_target(out, sources.results, sources.data_root, reports=False)
    text = render(table(number, columns, sources), form, console.width)
    if out is None:
        console.out(text, highlight=False, end="")
    else:
        atomic_write(out, text)
        console.print(printable(out), highlight=False, soft_wrap=True)


def put_figure(number: int, out: Path, sources: Sources, protocol: str, console: Console) -> None:
    """Draw a figure into `out` and say what is missing. Raises OptionError, DataError, OutputError."""
    check_ending(out)
    check_target(out, sources.results, sources.runs, sources.data_root, reports=False)
    drawn = figure(number, sources, protocol)
    save(drawn, out)
    for line in drawn.said:
        console.print(printable(line), highlight=False, soft_wrap=True)
    console.print(printable(out), highlight=False, soft_wrap=True)


def write_all(out: Path, sources: Sources) -> list[str]:
    """Write every table (Markdown, CSV, LaTeX) and figure (SVG, PNG) into `out`, with an index; give its lines.

    The folder appears whole or not at all. A figure that has nothing to show is named in the index with the reason.
    Raises OptionError when `out` holds anything but an earlier answer, OutputError, DataError.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and all(OURS.fullmatch(path.name) for path in out.iterdir())):
        raise OptionError(f"--out {printable(out)} is not an empty folder: another name works, or an earlier answer")
    with appearing(out) as folder:
        lines = [
            _tables(folder, number, columns, sources) for number in NUMBERS for columns in COLUMNS[: 1 + (number > 2)]
        ]
        lines.insert(0, _grids(folder, "data", [data_grid(sources.data_root)]))
        lines += [_figure(folder, number, sources) for number in FIGURES]
        atomic_write(folder / "index.md", "# The paper's tables and figures, printed and measured\n\n" + "".join(lines))
    return lines


def _tables(folder: Path, number: int, columns: str, sources: Sources) -> str:
    name = f"table-{number}" if number == 2 else f"table-{number}-{columns}"
    return _grids(folder, name, table(number, columns, sources))


def _grids(folder: Path, name: str, grids: Sequence[Grid]) -> str:
    for form, ending in ENDINGS.items():
        atomic_write(folder / f"{name}.{ending}", render(grids, form))
    others = ", ".join(f"[{ending}]({name}.{ending})" for ending in ENDINGS.values() if ending != "md")
    title = grids[0].title if len(grids) == 1 else f"{grids[0].title.split(',')[0]}: IoU in percent, printed and here"
    return f"- [{title}]({name}.md) ({others})\n"


def _figure(folder: Path, number: int, sources: Sources) -> str:
    try:
        drawn = figure(number, sources)
    except AnetError as error:
        return f"- Fig. {number}: not drawn. {printable(str(error))}\n"
    svg, png = (save(drawn, folder / f"figure-{number}.{ending}") for ending in ("svg", "png"))
    return f"- [Fig. {number}]({svg.name}) ([png]({png.name})). {printable(' '.join(drawn.said))}\n"
