"""Data sets in the layouts in which people download them: `load()` finds the layout, `split()` makes the parts."""

import os
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from anet.data import dagm, folder, ksdd, listing, mcsd, mt, neu_seg, sd900
from anet.data.dataset import PARTS, Dataset, Sample, Split
from anet.data.splitting import PROTOCOLS, split
from anet.errors import DataError
from anet.files import printable

__all__ = ["LAYOUTS", "PARTS", "PROTOCOLS", "Dataset", "Sample", "Split", "load", "split"]

# Each module has TITLE, SIDES (of pictures and of masks; empty where they are not apart), matches(root) and
# read(root, task, free). The first match wins, so folder comes last.
LAYOUTS: dict[str, ModuleType] = {
    "sd900": sd900,
    "neu_seg": neu_seg,
    "mt": mt,
    "dagm": dagm,
    "ksdd": ksdd,
    "mcsd": mcsd,
    "folder": folder,
}
EXPECTED = "a plain folder needs images/ and masks/; " + ", ".join(
    LAYOUTS[name].TITLE for name in LAYOUTS if name != "folder"
)


def load(path: Path | str, task: str | None = None, free: bool = False, usual: str | None = None) -> Dataset:
    """Read the data set in `path`, whose layout is found by its structure; no picture is decoded.

    `free` adds the sound pictures of sets that have them apart (magnetic tile, DAGM, KolektorSDD). `path` may also be
    the folder above, or one of the two folders inside. Where no `task` is given, `usual`, a model's own, is read if the
    set has it. Raises DataError.
    """
    layout, root = find(Path(path))
    if task is None and usual is not None:
        with suppress(DataError):  # whatever else is wrong is said below
            return LAYOUTS[layout].read(root, usual, free)
    return LAYOUTS[layout].read(root, task, free)


def find(path: Path) -> tuple[str, Path]:
    """Give the layout's name and the root of the data set in, above or below `path`. Raises DataError."""
    path = Path(os.path.abspath(path))  # not resolved: a link to a data set keeps the name that the user gave it
    if not os.path.isdir(path):
        raise DataError(
            f"{printable(path)} is {'a file' if os.path.exists(path) else 'not there'}: a data set is a folder"
        )
    if layout := _layout(path):
        return layout, path
    below = [(layout, part) for part in listing.subfolders(path, path) if (layout := _layout_near(part))]
    if len(below) == 1:
        return below[0]
    if below:
        raise DataError(
            f"{len(below)} data sets in {printable(path)}: give one of {listing.some(part for _, part in below)}"
        )
    above = _layout_near(path.parent)
    if above and path.name.lower() in (side.lower() for side in LAYOUTS[above].SIDES):
        return above, path.parent
    if above and above not in ("folder", "mcsd"):
        raise DataError(f"{printable(path)} is one part of {LAYOUTS[above].TITLE}: give {printable(path.parent)}")
    raise DataError(f"no data set in {printable(path)}: {EXPECTED} are read as downloaded")


def _layout(root: Path) -> str | None:
    return next((name for name, module in LAYOUTS.items() if module.matches(root)), None)


def _layout_near(root: Path) -> str | None:
    try:
        return _layout(root)
    except DataError:  # a locked folder or a link beside the data is nobody's concern
        return None
