"""TensorBoard events of a run, when the `tensorboard` package is installed and can write there."""

import importlib.util
import os
from pathlib import Path

from anet.training.fit import Event

SCALARS = ("train_loss", "val_iou", "val_iou_mean_pictures", "lr", "pictures_per_s")


class TensorBoard:
    """Write the numbers of each epoch as events into the run folder; without the package, do nothing.

    Nor in a folder whose path is no UTF-8, which the package cannot write.
    """

    def __init__(self, folder: Path):
        self.folder, self.writer = folder, None
        self.shown = importlib.util.find_spec("tensorboard") is not None and _is_utf8(folder)

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(self, *error: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def __call__(self, event: Event) -> None:
        if event.row is None or not self.shown:
            return
        if self.writer is None:
            from torch.utils.tensorboard.writer import SummaryWriter

            # After a resume, epochs that were shown but not saved are shown once only.
            self.writer = SummaryWriter(str(self.folder), purge_step=event.epoch)
        for name in SCALARS:
            if event.row[name] is not None:
                self.writer.add_scalar(name, event.row[name], event.epoch)
        self.writer.flush()


def _is_utf8(path: Path) -> bool:
    return os.fsencode(path).decode("utf-8", "ignore") == str(path)
