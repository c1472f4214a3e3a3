"""The folder a converter reads: paths that cannot leave it, JSON within bounds, every fault of one run in one list."""

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anet.data.folder import PARTS
from anet.data.labels.polygons import Shape
from anet.errors import DataError
from anet.files import printable

JSON_BYTES = 2**29  # COCO's own train2017 file has 448 MB
SHOWN = 20  # faults spelled out in one error
MARKS = {"background": "background", "_background_": "background", "__ignore__": "ignore"}  # labels that are no class


@dataclass(frozen=True)
class Item:
    """One picture and its labels as an annotation file states them, before anything is drawn."""

    annotation: Path
    image: Path | Callable[[], bytes]  # a file inside the source, or content embedded in the annotation
    name: str  # where it goes below images/, suffix included
    part: str | None = None  # "train", "val" or "test" where the layout says so
    size: tuple[int, int] | None = None  # h, w that the annotation claims
    shapes: tuple[Shape, ...] = ()
    mask: Callable[[], np.ndarray] | None = None  # for formats that hold masks already: (H, W) uint8 class ids


class Source:
    """A folder to convert, with the faults and remarks found so far."""

    def __init__(self, root: Path):
        self.root = Path(root).resolve() if ".." in Path(root).parts else Path(root)  # what is found has no `..` left
        self.real = self.root.resolve()
        self.faults: list[str] = []
        self.remarks: Counter[str] = Counter()

    def fault(self, file: Path | str, entry: str, text: str) -> None:
        """Note a fault of `file` (a text names what is no file), at `entry` ("" is all of it); `check` raises them."""
        place = str(file.relative_to(self.root) if isinstance(file, Path) else file)
        self.faults.append(printable(f"{', '.join(word for word in (place, entry) if word)}: {text}"))

    def check(self) -> None:
        """Raise DataError with all faults in one line: the first 20 are spelled out, the rest counted."""
        if self.faults:
            more = f"; and {len(self.faults) - SHOWN} more" if len(self.faults) > SHOWN else ""
            count = f"{len(self.faults)} faults" if len(self.faults) > 1 else "1 fault"
            raise DataError(f"{printable(self.root)} has {count}: {'; '.join(self.faults[:SHOWN])}{more}")

    def notes(self) -> tuple[str, ...]:
        """Give the remarks, each with how often it was made."""
        return tuple(f"{count} x {text}" for text, count in sorted(self.remarks.items()) if count)

    def holds(self, path: Path) -> bool:
        """Say whether `path` is a plain file that lies inside the folder after all symbolic links."""
        try:
            real = path.resolve(strict=True)
            return real.is_relative_to(self.real) and stat.S_ISREG(real.stat().st_mode)
        except (OSError, ValueError, RuntimeError):  # RuntimeError: a loop of links before Python 3.13
            return False

    def files(self, suffixes: tuple[str, ...], folder: Path | None = None) -> list[Path]:
        """List plain files by suffix, sorted; linked folders are not entered.

        A link that leads outside is a fault, and so is a folder that cannot be listed: its labels would be lost.
        """
        found = []
        for where, folders, names in os.walk(folder or self.root, onerror=self._unlisted):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in names:
                path = Path(where, name)
                if name.startswith(".") or path.suffix.lower() not in suffixes:
                    continue
                if self.holds(path):
                    found.append(path)
                elif path.is_symlink():
                    self.fault(path, "", "a link that leads out of the folder or nowhere")
        return sorted(found)

    def _unlisted(self, error: OSError) -> None:
        self.fault(Path(error.filename), "", f"cannot be listed: {error.strerror}")

    def locate(self, name: Any, bases: list[Path], annotation: Path, entry: str, up: bool = False) -> Path | None:
        """Find the file or folder that an annotation names, below the first of `bases` that has it.

        Absolute paths, URLs, `..` (with `up`: one that leaves the folder) and links to outside are faults, and never
        opened. Gives None when refused or absent; only a refusal is noted here.
        """
        if not isinstance(name, str) or not name or "\0" in name or not _encodable(name):
            return self.fault(annotation, entry, "names no file")
        slashed = name.replace("\\", "/")
        shown = f"path '{name[:200]}'"
        if "://" in name or slashed.startswith(("/", "~")) or re.match(r"[A-Za-z]:", name):
            return self.fault(annotation, entry, f"{shown} leads out of the folder: only relative paths are read")
        if ".." in slashed.split("/") and not (up and self._stays(bases[0], slashed)):
            return self.fault(annotation, entry, f"{shown} leads out of the folder: only paths without '..' are read")
        for candidate in (base / text for base in bases for text in dict.fromkeys((name, slashed))):
            path = Path(os.path.normpath(candidate))
            try:
                if not path.resolve().is_relative_to(self.real):
                    return self.fault(annotation, entry, f"{shown} is a link that leads out of the folder")
                if path.is_file() or path.is_dir():
                    return path
            except (OSError, RuntimeError):  # a name too long for the file system, or a loop of links
                continue
        return None

    def _stays(self, base: Path, name: str) -> bool:
        return Path(os.path.normpath(base / name)).is_relative_to(os.path.normpath(self.root))

    def text(self, path: Path) -> str | None:
        """Read a text file as UTF-8, odd bytes kept as surrogates; None and a fault when that fails."""
        try:
            if not self.holds(path):
                return self.fault(path, "", "is no plain file inside the folder")
            if path.stat().st_size > JSON_BYTES:
                return self.fault(path, "", f"has {path.stat().st_size} bytes: at most {JSON_BYTES} are read")
            return path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        except OSError as error:
            return self.fault(path, "", error.strerror or "cannot be read")

    def json(self, path: Path) -> dict | None:
        """Read a JSON object; None and a fault when it is none, too deep, or holds NaN or Infinity."""
        text = self.text(path)
        if text is None:
            return None
        try:
            content = json.loads(text, parse_constant=_refuse)
        except RecursionError:
            return self.fault(path, "", "is nested too deeply")
        except ValueError as error:
            return self.fault(path, "", f"is no JSON: {str(error)[:120]}")
        if not isinstance(content, dict):
            return self.fault(path, "", f"holds a {type(content).__name__}, not an object")
        return content


def is_number(value: Any) -> bool:
    """Say whether a JSON value is a finite number of ordinary size."""
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)
    )


def is_count(value: Any) -> bool:
    """Say whether a JSON value is a whole number from 0 up."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def label_name(value: Any) -> str | None:
    """Give the class name that a label means ("background" and "ignore" are none of the classes), None if unusable."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or not _encodable(value, "strict"):
        return None
    return MARKS.get(value.strip().lower(), value.strip())


def split_part(name: str) -> tuple[str | None, str]:
    """Cut a leading images/ and train/, valid/, ... off a relative path: its part and the rest."""
    steps, part = os.path.normpath(name).split("/"), None
    if len(steps) > 1 and steps[0].lower() == "images":
        steps = steps[1:]
    if len(steps) > 1 and steps[0].lower() in PARTS:
        part, steps = PARTS[steps[0].lower()], steps[1:]
    if part and len(steps) > 1 and steps[0].lower() == "images":
        steps = steps[1:]
    return part, "/".join(steps)


def _encodable(text: str, errors: str = "surrogateescape") -> bool:
    try:
        return bool(text.encode("utf-8", errors))
    except UnicodeEncodeError:
        return False


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")
