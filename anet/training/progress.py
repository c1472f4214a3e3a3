"""What a person sees while training runs: a bar at a terminal, one line an epoch elsewhere."""

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from anet.training.fit import Event


class Display:
    """Show epoch, loss, validation IoU, pictures/s and the time that is left. Use as a context manager."""

    def __init__(self, console: Console):
        self.console, self.best, self.mark, self.seen, self.speed = console, "", time.perf_counter(), 0, 0.0
        self.started, self.first = time.perf_counter(), -1  # the step at which this process began
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("steps"),
            TimeElapsedColumn(), TextColumn("· left"), TimeRemainingColumn(),
        )  # fmt: skip
        self.progress = Progress(*columns, console=console, speed_estimate_period=120, disable=not console.is_terminal)
        self.task = self.progress.add_task("starting", total=None)

    def __enter__(self) -> "Display":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        if self.first < 0:
            self.first = event.step - 1
        if event.row is None:
            self._step(event)
        else:
            self._epoch(event)

    def _step(self, event: Event) -> None:
        self.seen += event.pictures
        now = time.perf_counter()
        if now - self.mark > 2:
            self.speed, self.seen, self.mark = self.seen / (now - self.mark), 0, now
        text = f"epoch {event.epoch}/{event.epochs} · loss {event.loss:.3f}{self.best}"
        if self.speed:
            text += f" · {self.speed:.1f} pictures/s"
        self.progress.update(self.task, completed=event.step, total=event.steps, description=text)

    def _epoch(self, event: Event) -> None:
        row = event.row or {}
        iou = row["val_iou"]
        shown = "no defect in validation" if iou is None else f"validation IoU {iou:.3f}"
        if event.is_best and iou is not None:
            self.best = f" · best IoU {iou:.3f}"
        self.mark, self.seen = time.perf_counter(), 0
        if not self.console.is_terminal:
            used = time.perf_counter() - self.started
            left = used / max(1, event.step - self.first) * (event.steps - event.step)
            self.console.print(
                f"epoch {event.epoch}/{event.epochs}  loss {event.loss:.4f}  {shown}{' *' if event.is_best else ''}  "
                f"{row['pictures_per_s']:.1f} pictures/s  left {timedelta(seconds=int(left))}",
                highlight=False,
                soft_wrap=True,
            )
