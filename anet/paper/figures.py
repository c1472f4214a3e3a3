"""What any of the paper's figures is here: a drawing, what must be said with it, and how it becomes a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anet.bench import picture
from anet.bench.picture import ENDINGS
from anet.errors import OptionError
from anet.files import printable
from anet.paper.published_scores import TITLES


@dataclass(frozen=True)
class Drawn:
    """A figure and what must be said with it: what is missing, what was chosen; most of it is below it, too."""

    figure: Any  # matplotlib's
    said: tuple[str, ...]


def save(drawn: Drawn, path: Path) -> Path:
    """Write a figure as `path` says, SVG or PNG, all or nothing. Raises OptionError, OutputError."""
    check_ending(path)
    return picture.save(drawn.figure, Path(path))


def check_ending(path: Path) -> None:
    """Raise OptionError for a file name that is neither SVG nor PNG."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise OptionError(f"{printable(path)}: a figure is written as {' or '.join(ENDINGS)}")


def under(figure: Any, said: Sequence[str]) -> None:
    """Write lines below a figure, wrapped to its width."""
    import textwrap

    width = int(figure.get_size_inches()[0] * 15)
    text = "\n".join(line for one in said for line in textwrap.wrap(one, width))
    figure.supxlabel(text, fontsize=7.5, x=0.01, ha="left")


def these(names: Sequence[str]) -> str:
    """Name networks: the many by those that are not among them."""
    others = [title for title in TITLES.values() if title not in names]
    if len(names) < len(others):
        return ", ".join(names)
    return f"all but {', '.join(others)}" if others else "all"
