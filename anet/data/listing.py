"""What every reader needs of a disk: visible files and folders below one root, nothing outside it, no stem twice."""

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from anet.errors import DataError
from anet.files import PICTURES, hidden, printable

MANY = 5  # files named in one message


def entries(folder: Path, root: Path) -> list[Path]:
    """Give a folder's visible entries, sorted by name.

    Hidden files and what archivers and file managers leave behind are no data. Raises DataError when the folder cannot
    be listed or a link leads outside `root`: a set that reads elsewhere is not the set that was given.
    """
    try:
        found = [entry for entry in os.scandir(folder) if not hidden(entry.name)]
    except OSError as error:
        raise DataError(f"cannot list {printable(folder)}: {error.strerror}") from error
    home = root.resolve()
    for entry in found:
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(home):
            raise DataError(
                f"{printable(entry.path)} is a link out of {printable(root)}: copy the files into the data set"
            )
    return [folder / entry.name for entry in sorted(found, key=lambda e: e.name)]


def subfolders(folder: Path, root: Path) -> list[Path]:
    """Give a folder's visible subfolders, sorted. Raises as `entries`."""
    return [path for path in entries(folder, root) if os.path.isdir(path)]


def subfolder(folder: Path, root: Path, *names: str) -> Path | None:
    """Give the subfolder called one of `names`, whatever its case, the first name first. Raises as `entries`."""
    found = {path.name.lower(): path for path in subfolders(folder, root)}
    return next((found[name.lower()] for name in names if name.lower() in found), None)


def pictures(folder: Path, root: Path) -> list[Path]:
    """Give the picture files of one folder, sorted. Raises as `entries`."""
    return [path for path in entries(folder, root) if path.suffix.lower() in PICTURES and os.path.isfile(path)]


def walk(folder: Path, root: Path) -> Iterator[Path]:
    """Give the picture files of a folder and all below it; folders that link in a circle end. Raises as `entries`."""
    seen, waiting = set(), [folder]
    while waiting:
        folder = waiting.pop()
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        yield from pictures(folder, root)
        waiting.extend(reversed(subfolders(folder, root)))


def by_stem(files: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Key files by their path below `folder` without suffix. Raises DataError when one key names two files."""
    found: dict[str, Path] = {}
    for path in files:
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in found:
            raise DataError(
                f"{printable(found[key])} and {printable(path.name)} have the same name: one picture must have one file"
            )
        found[key] = path
    return found


def name_of(path: Path, root: Path) -> str:
    """Give a sample's name: the path below `root`, without suffix, with `/`."""
    return path.relative_to(root).with_suffix("").as_posix()


def some(names: Iterable[Path | str]) -> str:
    """Give up to MANY names for a message, and how many more there are."""
    listed = [printable(name) for name in names]
    rest = f" and {len(listed) - MANY} more" if len(listed) > MANY else ""
    return ", ".join(listed[:MANY]) + rest


def require_masks(unlabelled: list[Path], root: Path, advice: str) -> None:
    """Raise DataError when pictures have no mask: a missing mask taken as good is the worst fault of all."""
    if unlabelled:
        number = f"{len(unlabelled)} picture{'s have' if len(unlabelled) > 1 else ' has'} no mask"
        names = some(path.relative_to(root) for path in unlabelled)
        raise DataError(f"{number} in {printable(root)}: {names}; {advice}")


def require_pictures(found: object, root: Path) -> None:
    """Raise DataError when nothing was found."""
    if not found:
        raise DataError(f"no pictures in {printable(root)}: {' '.join(PICTURES)} are read")


def choose(task: str | None, tasks: tuple[str, ...], default: str | None, layout: str) -> str:
    """Give the task to read. Raises DataError, listing `tasks`, when there is none or an unknown one."""
    if task is None and default is not None:
        return default
    if task in tasks:
        return task
    listed = ", ".join(tasks)
    if task is None:
        raise DataError(f"{layout} has several tasks: choose one of {listed}")
    near = difflib.get_close_matches(task, tasks, 1, 0.5)
    raise DataError(f"{layout} has no task {task!r}: {f'did you mean {near[0]!r}? ' if near else ''}{listed} exist")
