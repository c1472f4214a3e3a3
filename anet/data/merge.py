"""One data set of several, without a leak between its parts: `anet data merge A B C --out DIR`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from anet import data
from anet.data import similar
from anet.data.dataset import PARTS, Dataset, Sample
from anet.data.leaks import partners
from anet.data.sheet import dataset_sheet
from anet.errors import DataError
from anet.files import appearing, check_new, hidden, printable, write_json
from anet.frame import IGNORE
from anet.image import png_bytes, write_png

ONE_CLASS = "defect"
EVERYTHING = "all"  # the task of all classes at once, in the layouts that part them into tasks


@dataclass(frozen=True)
class Part:
    """One of the sets that were merged: where its parts come from, and how many pictures of each went in."""

    name: str  # its folder in the result
    task: str
    source: str  # of its split, one sentence for people
    digest: str  # over all its pictures and masks, as `Dataset.digest`
    pictures: dict[str, int]  # by part, after leaving out
    left_out: dict[str, int]  # by part: they show what a later part shows


@dataclass(frozen=True)
class Merged:
    """What a merge made; `with_class` counts the pictures that show each class, `sound` those with an empty mask."""

    out: Path
    class_names: tuple[str, ...]  # background first
    parts: tuple[Part, ...]
    with_class: dict[str, int]
    sound: int
    unclear: int  # pictures left out: ignored pixels and no defect cannot be told apart from a binary mask
    sheet: Path

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as JSON types."""
        return asdict(self) | {"out": str(self.out), "sheet": str(self.sheet)}


@dataclass(frozen=True)
class _Piece:
    """One picture on its way: `name` is unique in the result, `ids` turns its own class ids into the result's."""

    name: str
    part: str
    sample: Sample
    classes: int
    ids: np.ndarray  # (256,) uint8

    def mask(self) -> np.ndarray:
        """Read the mask `(H, W) uint8` in the result's ids; the picture is decoded whole, too. Raises as `Sample`."""
        return self.ids[self.sample.read(self.classes)[1]]


def merge(
    roots: Sequence[Path | str], out: Path | str, one_class: bool = False, free: bool = False,
    protocol: str | None = None, seed: int = 0,
) -> Merged:  # fmt: skip
    """Join data sets into the plain folder `out`, each with its own split's train, val and test.

    Classes of one name become one class; with `one_class` every defect is called "defect". A picture of train that
    shows what one of val or test shows, whichever set it came from, is left out, and one of val likewise: sets of one
    surface share pictures. Pictures are copied byte for byte, masks are PNGs of ids. `free` adds the sound pictures
    that some sets keep apart. `out` appears complete or not at all. Raises DataError, ImageError, OptionError,
    OutputError.
    """
    out = Path(out)
    if len(roots) < 2:
        raise DataError(f"{len(roots)} data set given: merging takes two or more")
    check_new(out, roots)
    sets = [_load(root, free) for root in roots]
    classes = ("background", ONE_CLASS) if one_class else tuple(dict.fromkeys(c for s in sets for c in s.class_names))
    if len(classes) > IGNORE:
        raise DataError(
            f"{len(classes) - 1} classes in all: a mask holds up to {IGNORE - 1}; --one-class makes them one"
        )
    names = _unique([_visible(dataset.name) for dataset in sets])
    splits = [data.split(dataset, protocol, seed) for dataset in sets]
    pieces = [
        _Piece(f"{name}/{sample.name}", part, sample, dataset.classes, _ids(dataset.class_names, classes))
        for name, dataset, made in zip(names, sets, splits, strict=True)
        for part in PARTS
        for sample in made.part(part)
    ]
    gone = _leaking(pieces)
    kept = [piece for piece in pieces if piece.name not in gone]
    parts = tuple(
        Part(name, dataset.task, made.source, dataset.digest(), _count(kept, name), _count(pieces, name, gone))
        for name, dataset, made in zip(names, sets, splits, strict=True)
    )
    with appearing(out, new=True) as folder:
        return replace(_write(kept, classes, parts, folder), out=out, sheet=out / "sheet.png")


def print_merged(made: Merged, console: Console) -> None:
    """Print what a merge made: each set with its parts, what was left out, the classes, the sheet to look at."""
    lines = []
    for part in made.parts:
        lines.append(f"{printable(part.name)} ({printable(part.task)}): {_counts(part.pictures)}")
        if any(part.left_out.values()):
            lines.append(f"  left out: {_counts(part.left_out)}, for they show what val or test shows")
        lines.append(f"  {printable(part.source)}")
    total = Counter[str]()
    for part in made.parts:
        total.update(part.pictures)
    lines.append(f"together: {_counts(total)}; sound: {made.sound}")
    if made.unclear:
        lines.append(f"note: {made.unclear} of these have ignored pixels and no defect: not written")
    lines += [f"  {printable(name)}: {count}" for name, count in made.with_class.items()]
    lines += [f"data: {printable(made.out)}", f"look at: {printable(made.sheet)}"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _load(root: Path | str, free: bool) -> Dataset:
    """Read a set with all of its classes, where its layout parts them into tasks."""
    layout, _ = data.find(Path(root))
    tasks = getattr(data.LAYOUTS[layout], "TASKS", ())
    return data.load(root, EVERYTHING if EVERYTHING in tasks else None, free)


def _visible(name: str) -> str:
    """Give a folder's name as one that the plain layout does not pass over."""
    shown = name.lstrip(".")
    return "data" if not shown or hidden(shown) else shown


def _unique(names: list[str]) -> list[str]:
    """Number the names that come more than once: two folders may be called alike."""
    taken: list[str] = []
    for name in names:
        tries = (name, *(f"{name}-{number}" for number in range(2, len(names) + 2)))
        taken.append(next(one for one in tries if one not in taken))
    return taken


def _ids(own: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray:
    """Give the table `(256,) uint8` from a set's own ids to the result's; what is not scored stays so."""
    table = np.full(256, IGNORE, np.uint8)
    table[: len(own)] = [classes.index(name) if name in classes else 1 for name in own]
    return table


def _leaking(pieces: Sequence[_Piece]) -> set[str]:
    """Give the names of pictures in train or val that show what a part after theirs shows."""
    named = [replace(piece.sample, name=piece.name) for piece in pieces]
    pairs = similar.near_duplicates(named)
    groups = similar.groups(named, [pair for pair in pairs if not pair.kind.startswith("shifted")])
    gone: set[str] = set()
    for number in (2, 1):
        before = {piece.name for piece in pieces if piece.part in PARTS[:number]} - gone
        after = {piece.name for piece in pieces if piece.part == PARTS[number]} - gone
        gone |= partners(before, after, groups, pairs).keys()
    for part in PARTS:
        if not any(piece.part == part and piece.name not in gone for piece in pieces):
            raise DataError(f"no picture left for {part}: all of them show what a part after it shows")
    return gone


def _count(pieces: Sequence[_Piece], name: str, among: set[str] | None = None) -> dict[str, int]:
    found = Counter(
        piece.part for piece in pieces if piece.name.startswith(f"{name}/") and (among is None or piece.name in among)
    )
    return {part: found[part] for part in PARTS}


def _counts(pictures: dict[str, int]) -> str:
    return ", ".join(f"{pictures[part]} {part}" for part in PARTS)


def _write(pieces: Sequence[_Piece], classes: tuple[str, ...], parts: tuple[Part, ...], folder: Path) -> Merged:
    samples, sound, unclear = [], 0, 0
    with_class: Counter[int] = Counter()
    for piece in pieces:
        mask = piece.mask()
        found = np.unique(mask)
        if len(classes) == 2 and found[-1] == IGNORE and 1 not in found:
            unclear += 1  # 0 and 255 alone would read as a binary mask
            continue
        name = Path(piece.part, piece.name)
        image_path = folder / "images" / f"{name}{piece.sample.image.suffix}"
        mask_path = folder / "masks" / f"{name}.png"
        for path, content in ((image_path, piece.sample.image.read_bytes()), (mask_path, png_bytes(mask))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        samples.append(Sample(str(name), image_path, mask_path))
        with_class.update(int(value) for value in found if 0 < value < IGNORE)
        sound += not mask.any()
    shown = {name: with_class[number] for number, name in enumerate(classes) if number}
    made = Merged(folder, classes, parts, shown, sound, unclear, folder / "sheet.png")
    (folder / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
    write_png(made.sheet, dataset_sheet(Dataset(folder.name, "", folder, classes, tuple(samples))))
    write_json(
        folder / "merge.json", {k: v for k, v in made.to_dict().items() if k != "out"} | {"sheet": made.sheet.name}
    )
    return made
