"""Which files may be written: asked before minutes of work, so that no input is ever lost for a report."""

import os
from collections.abc import Iterable
from pathlib import Path

from anet.errors import OutputError
from anet.files import PICTURES, is_special, printable

REPORTS = (".html", ".htm", ".json", ".csv")  # what verbs write, and may write again
# but these, which data sets, runs and bundles are made of
HELD = ("convert.json", "merge.json", "synthetic.json", "run.json", "metrics.csv", "card.json", "settings.json")


def check_target(out: Path | str | None, *inputs: Path | str, reports: bool = True) -> None:
    """Refuse a file to write that is one of `inputs`, or is there already inside a folder of them and is no report.

    Reports (REPORTS but for HELD, and a sheet.png directly in the folder) may be written again, unless the inputs
    themselves are files of such kinds: `reports` False. A new file is none that `_check_new_file` refuses.
    Raises OutputError.
    """
    if out is None:
        return
    target = Path(os.path.realpath(out))
    if not target.is_file():
        _check_new_file(Path(out), target, inputs if reports else ())
        return
    report = target.suffix.lower() in REPORTS and target.name not in HELD
    for one in inputs:
        place = Path(os.path.realpath(one))
        again = reports and (report or target == place / "sheet.png")
        inside = target.is_relative_to(place) and not again
        if inside or (place.exists() and place.samefile(target)):
            what = f"is there already, inside {printable(one)}" if target != place and inside else "is an input"
            raise OutputError(f"{printable(out)} {what}: inputs are never changed, choose another file")


def _check_new_file(out: Path, target: Path, inputs: Iterable[Path | str]) -> None:
    """Refuse a folder, what lies where nothing may be written, and a picture below a folder of `inputs`, a part of it.

    That is asked before minutes of work. Raises OutputError.
    """
    if target.is_dir():
        raise OutputError(f"cannot write {printable(out)}: it is a folder")
    if is_special(target):
        raise OutputError(f"cannot write {printable(out)}: it is no regular file")
    folder = target.parent
    while not os.path.lexists(folder):  # what is missing will be made
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {printable(out)}: {printable(folder)} is no folder to write into")
    inside = any(Path(os.path.realpath(one)) in target.parent.parents for one in inputs)
    if inside and target.suffix.lower() in PICTURES:
        raise OutputError(f"{printable(out)} would be one more picture of the data: choose a folder outside")
