"""Look for all that is wrong with the files of a data set, where a reader stops at the first fault."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anet.data import folder, listing
from anet.data.dataset import Sample
from anet.errors import AnetError
from anet.files import PICTURES, hidden, printable, sha256
from anet.frame import IGNORE
from anet.image import read_image, read_mask

CLUTTER = ("thumbs.db", "desktop.ini", "readme.md", "readme.txt", "classes.txt")


@dataclass(frozen=True)
class Finding:
    """One fault. `level` is "error" or "warning"; `files` are paths below the data set's root, with `/`.

    `pairs` are two files that show the same thing, and how: a kind of `similar.Pair`.
    """

    level: str
    kind: str
    files: tuple[str, ...]
    message: str
    pairs: tuple[tuple[str, str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        pairs = [{"file": file, "partner": partner, "how": how} for file, partner, how in self.pairs]
        return asdict(self) | {"files": list(self.files), "pairs": pairs}


class Walk:
    """The picture files below a folder, and what is wrong with the others; nothing outside `root` is touched."""

    def __init__(self, top: Path, root: Path) -> None:
        self.root, self.home = root, Path(os.path.realpath(root))
        self.pictures: list[Path] = []
        self.findings: list[Finding] = []
        self.seen: set[str] = set()
        self._enter(top)

    def _enter(self, top: Path) -> None:
        waiting = [top]
        while waiting:
            here = waiting.pop()
            real = os.path.realpath(here)
            if real in self.seen:  # folders that link in a circle end here
                continue
            self.seen.add(real)
            try:
                entries = sorted(os.scandir(here), key=lambda entry: entry.name)
            except OSError as error:
                self._add("error", "unreadable folder", here, f"cannot be listed: {error.strerror}")
                continue
            for entry in entries:
                if not hidden(entry.name) and self._look(here / entry.name):
                    waiting.append(here / entry.name)

    def _look(self, path: Path) -> bool:
        """File one entry under pictures or findings; True for a folder to enter."""
        picture = path.suffix.lower() in PICTURES
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(self.home):
            self._add("error", "link out of the data set", path, "leads out of the data set: copy the file into it")
            return False
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            self._add("error", "unreadable", path, f"cannot be read: {error.strerror}")
            return False
        if stat.S_ISDIR(mode):
            return True
        if not stat.S_ISREG(mode):
            self._add("error" if picture else "warning", "special file", path, "is no file: a pipe, socket or device")
        elif picture:
            self.pictures.append(path)
        elif path.name.lower() not in CLUTTER:
            self._add("warning", "not a picture", path, f"is not read: {' '.join(PICTURES)} are")
        return False

    def _add(self, level: str, kind: str, path: Path, message: str) -> None:
        self.findings.append(finding(level, kind, self.root, [path], message))


def finding(level: str, kind: str, root: Path, paths: Iterable[Path], message: str) -> Finding:
    """Make a finding about files: the message follows the first one's name."""
    names = tuple(below(path, root) for path in paths)
    return Finding(level, kind, names, f"{printable(names[0])} {message}")


def below(path: Path, root: Path) -> str:
    """Give a path relative to `root` where it lies below it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def scan(root: Path, sides: tuple[Path, Path]) -> tuple[list[Sample], list[Finding]]:
    """Pair the pictures and masks of two folders by name; give the pairs as samples, and all that does not pair."""
    images, masks = Walk(sides[0], root), Walk(sides[1], root)
    findings = images.findings + masks.findings
    pictures, labels = _by_stem(images, sides[0]), _by_stem(masks, sides[1])
    samples = []
    for stem, paths in pictures.items():
        mask = labels.get(stem, [None])[0]
        samples.append(Sample(listing.name_of(paths[0], root), paths[0], mask))
        if mask is None and not folder.is_sound(paths[0], root):
            findings.append(finding("error", "missing mask", root, paths[:1], "has no mask"))
    for stem, paths in labels.items():
        if stem not in pictures:
            findings.append(finding("error", "mask without picture", root, paths, "is a mask without a picture"))
    for paths in (*pictures.values(), *labels.values()):
        if len(paths) > 1:
            names = ", ".join(printable(path.name) for path in paths[1:])
            findings.append(finding("error", "same name twice", root, paths, f"has the same name as {names}"))
    return samples, findings


def _by_stem(walk: Walk, side: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(walk.pictures):
        found[path.relative_to(side).with_suffix("").as_posix()].append(path)
    return found


@dataclass(frozen=True)
class Look:
    """What decoding one sample gave: hashes of the pixels, the mask's values; None where a file cannot be read."""

    sample: Sample
    image: str | None
    mask: str | None
    values: frozenset[int]
    faults: tuple[Finding, ...]

    @property
    def defect(self) -> bool:
        """Whether the mask marks anything, by the rules of `Sample.read_mask`."""
        if self.sample.class_id is not None:
            return max(self.values, default=0) > 127
        return bool(self.values - {0, IGNORE})


def look(samples: Sequence[Sample], root: Path) -> Iterator[Look]:
    """Decode every picture and mask, one at a time."""
    for sample in samples:
        faults: list[Finding] = []
        image = _decode(read_image, sample.image, root, faults)
        mask = _decode(read_mask, sample.mask, root, faults) if sample.mask else None
        if image is not None and mask is not None and image.shape[:2] != mask.shape:
            (h, w), (mask_h, mask_w) = image.shape[:2], mask.shape
            paths = [sample.image, sample.mask]
            text = f"is {w}x{h} pixels, its mask {mask_w}x{mask_h}"
            faults.append(finding("error", "sizes differ", root, paths, text))
        values = frozenset() if mask is None else frozenset(np.flatnonzero(np.bincount(mask.ravel())).tolist())
        yield Look(sample, _digest(image), _digest(mask), values, tuple(faults))


def _decode(read: Any, path: Path, root: Path, faults: list[Finding]) -> np.ndarray | None:
    try:
        return read(path)
    except AnetError as error:
        reason = str(error).replace(str(path), path.name).replace(printable(path), printable(path.name))
        kind = "unreadable picture" if read is read_image else "unreadable mask"
        faults.append(finding("error", kind, root, [path], f"is no use: {reason}"))
        return None


def _digest(array: np.ndarray | None) -> str | None:
    return None if array is None else sha256(str(array.shape).encode() + array.tobytes())


def settle(looks: Sequence[Look], names: tuple[str, ...]) -> list[Look]:
    """Read 255 as the defect, in every mask that holds it, where most masks of a plain folder of one class do.

    One mask that is smoothed, or holds ids, must not make all others look empty.
    """
    _, full, ids = _ways(looks)
    if len(names) > 2 or len(full) <= len(ids):
        return list(looks)
    return [
        replace(one, sample=replace(one.sample, class_id=1))
        if one.sample.class_id is None and IGNORE in one.values
        else one
        for one in looks
    ]


def _ways(looks: Sequence[Look]) -> tuple[list[Look], list[Look], list[Look]]:
    """Give the masks whose values must tell what they mean, and of these the ones of 0 and 255, and of ids."""
    read = [one for one in looks if one.mask is not None and one.sample.class_id is None]
    full = [one for one in read if one.values <= {0, IGNORE} and IGNORE in one.values]
    return read, full, [one for one in read if 0 < max(one.values - {IGNORE}, default=0) < folder.IDS]


def values(looks: Sequence[Look], names: tuple[str, ...], root: Path) -> Iterator[Finding]:
    """Check masks of ids: with `names` below their number; without, by what most masks of a plain folder do."""
    read, full, ids = _ways(looks)
    limit = len(names) or (2 if len(full) > len(ids) else folder.IDS)
    expected = f"ids 0 to {limit - 1} and {IGNORE} are read"
    if len(names) < 3:
        expected = f"masks are 0 and 255, or ids below {limit}; {folder.remedy(names)}"
    for one in read:
        wrong = [value for value in one.values if value >= limit and value != IGNORE]
        if wrong and one.sample.mask:
            text = f"holds value {max(wrong)}: {expected}"
            yield finding("error", "value out of range", root, [one.sample.mask], text)
    ids = [one for one in ids if max(one.values - {IGNORE}) < limit]
    if full and ids and len(names) < 3:  # 255 would be ignored: defects that nobody learns or counts
        few, text = (full, "255") if len(full) <= len(ids) else (ids, "an id")
        paths = [one.sample.mask for one in few if one.sample.mask]
        both = any(IGNORE in one.values for one in ids)
        level = "warning" if both else "error"
        yield finding(level, "two ways of writing", root, paths, f"writes a defect as {text}, most masks do not")


def marks(looks: Sequence[Look], root: Path) -> Iterator[Finding]:
    """Warn of masks that mark nothing, all in one finding since sound pictures have such, or everything."""
    read = [(one, one.sample.mask) for one in looks if one.mask is not None and one.sample.mask is not None]
    empty = tuple(below(mask, root) for one, mask in read if not one.defect)
    if empty:
        text = f"{len(empty)} of {len(read)} masks mark no defect: are their pictures sound?"
        yield Finding("warning", "empty mask", empty, text)
    for one, mask in read:
        if one.defect and min(one.values) > (0 if one.sample.class_id is None else 127):
            yield finding("warning", "all defect", root, [mask], "marks every pixel as defect: is it inverted?")


def twice(looks: Sequence[Look], root: Path) -> Iterator[Finding]:
    """Find pictures whose pixels are identical; a warning of its own where their masks differ."""
    same: dict[str, list[Look]] = defaultdict(list)
    for one in looks:
        if one.image is not None:
            same[one.image].append(one)
    for found in same.values():
        if len(found) < 2:
            continue
        paths = [one.sample.image for one in found]
        text = f"has the same pixels as {listing.some(below(path, root) for path in paths[1:])}"
        if len({one.mask if one.defect else None for one in found}) > 1:
            yield finding("warning", "same picture, other mask", root, paths, text + ", but their masks differ")
        else:
            yield finding("warning", "same picture", root, paths, text)
