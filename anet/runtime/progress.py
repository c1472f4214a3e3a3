"""What an operator sees while a folder is inspected."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from anet.image import list_images
from anet.runtime.results import Summary


@contextlib.contextmanager
def shown_progress(paths: Sequence[Path | str], console: Console | None = None) -> Iterator[Callable[[Summary], None]]:
    """Show a bar on stderr, and nothing where that is no terminal; give the `progress` for `inspect_paths`.

    The pictures are counted first, by walking the folders once more, so that the bar knows the time that is left.
    """
    console = Console(stderr=True) if console is None else console
    if not console.is_terminal:
        yield lambda _: None
        return
    total = sum(1 for _ in list_images(paths))
    columns: tuple[Any, ...] = (
        BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("pictures · {task.description}"),
        TimeElapsedColumn(), TextColumn("· left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, refresh_per_second=4, speed_estimate_period=60) as bar:
        task = bar.add_task("starting", total=total)

        def update(so_far: Summary) -> None:
            speed = so_far.pictures / max(so_far.seconds, 1e-9)
            errors = f" · [red]{so_far.errors} errors[/]" if so_far.errors else ""
            warned = f" · {so_far.warned} warned" if so_far.warned else ""
            text = f"{speed:.1f}/s · {so_far.rejected} rejected{warned}{errors}"
            bar.update(task, completed=so_far.pictures, description=text)

        yield update
