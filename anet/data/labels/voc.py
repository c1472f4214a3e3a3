"""Pascal VOC masks: JPEGImages beside SegmentationClass, parts in ImageSets/Segmentation.

Without labelmap.txt a mask's stored values are the ids and 255 is ignored, as Pascal VOC has it. With labelmap.txt
(`name:r,g,b:parts:actions`, as CVAT exports it) a mask's colours are looked up there.
"""

from functools import partial
from pathlib import Path

import numpy as np

from anet.data.dataset import PARTS
from anet.data.labels.source import Item, Source, label_name
from anet.errors import AnetError, DataError
from anet.files import PICTURES
from anet.frame import IGNORE
from anet.image import read_image, read_mask

NAME = "Pascal VOC"
VOID = (224, 224, 192)  # the colour of VOC's border, id 255
Table = tuple[tuple[tuple[int, int, int], int], ...]


def read(source: Source) -> tuple[list[Item], list[str]]:
    """Give the pictures that have masks (or, with lists of parts, the listed ones) and the class names.

    Pictures without mask are not labelled in this format and left out. Without any file of names, classes are called
    class_1 and so on up to the largest id.
    """
    masks = {_stem(path, source.root / "SegmentationClass"): path for path in _below(source, "SegmentationClass")}
    pictures: dict[str, Path] = {}
    for path in _below(source, "JPEGImages"):
        stem = _stem(path, source.root / "JPEGImages")
        if stem in pictures and stem in masks:
            source.fault(path, "", f"has the same name as {pictures[stem].name}: one mask for two pictures")
        pictures[stem] = path
    parts = _parts(source)
    named = parts or {stem: (None, masks[stem]) for stem in masks}
    table = _labelmap(source)
    items = []
    for stem, (part, where) in named.items():
        missing = [kind for kind, found in (("mask", masks), ("picture", pictures)) if stem not in found]
        if missing:
            source.fault(where, stem if parts else "", f"has no {' and no '.join(missing)}")
            continue
        image = pictures[stem]
        name = str(image.relative_to(source.root / "JPEGImages"))
        items.append(
            Item(masks[stem], image, name, part, mask=partial(_mask, masks[stem], table[1] if table else None))
        )
    left = len(set(pictures) - set(named))
    if left:
        source.remarks["picture without mask or not listed: left out"] += left
    return items, table[0] if table else _names(source, items)


def _below(source: Source, folder: str) -> list[Path]:
    return source.files(PICTURES, source.root / folder)


def _stem(path: Path, root: Path) -> str:
    return str(path.relative_to(root).with_suffix(""))


def _parts(source: Source) -> dict[str, tuple[str | None, Path]]:
    parts: dict[str, tuple[str | None, Path]] = {}
    for part in PARTS:
        path = source.root / "ImageSets" / "Segmentation" / f"{part}.txt"
        text = source.text(path) if path.is_symlink() or path.exists() else None
        for number, row in enumerate((text or "").split("\n"), 1):
            stem = row.strip()
            if not stem:
                continue
            if stem.startswith(("/", "~")) or ".." in stem.replace("\\", "/").split("/") or "://" in stem:
                source.fault(path, f"line {number}", f"path '{stem}' leads out of the folder")
            elif stem in parts:
                source.fault(path, f"line {number}", f"'{stem}' is listed in {parts[stem][0]} already")
            else:
                parts[stem] = part, path
    return parts


def _labelmap(source: Source) -> tuple[list[str], Table] | None:
    path = source.root / "labelmap.txt"
    text = source.text(path) if path.is_symlink() or path.exists() else None
    if text is None:
        return None
    names: list[str] = []
    table: list[tuple[tuple[int, int, int], int]] = [(VOID, IGNORE)]
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip() or row.startswith("#"):
            continue
        cells = row.split(":")
        name, colour = label_name(cells[0]), cells[1].split(",") if len(cells) > 1 else []
        if name is None or len(colour) != 3 or not all(c.strip().isdecimal() and int(c) < 256 for c in colour):
            source.fault(path, f"line {number}", "is not name:r,g,b:parts:actions")
            continue
        if name not in ("background", "ignore") and name not in names:
            names.append(name)
        value = {"background": 0, "ignore": IGNORE}.get(name) if name not in names else names.index(name) + 1
        r, g, b = (int(c) for c in colour)
        if any(other == (r, g, b) and one != (value or 0) for other, one in table[1:]):
            source.fault(path, f"line {number}", f"colour {r},{g},{b} stands for two classes")
        table.append(((r, g, b), value or 0))
    if (0, 0, 0) not in dict(table):
        table.append(((0, 0, 0), 0))
    return names, tuple(table)


def _mask(path: Path, table: Table | None) -> np.ndarray:
    """Give a mask's class ids `(H, W) uint8`. Raises ImageError, and DataError for a value or colour without class."""
    if table is None:
        values = read_mask(path)
        if values.max(initial=0) > IGNORE:
            raise DataError(f"value {int(values.max())} is no class: ids go up to 254")
        return values.astype(np.uint8)
    picture = read_image(path)
    codes = picture @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    ids, known = np.zeros(codes.shape, np.uint8), np.zeros(codes.shape, bool)
    for (r, g, b), value in table:
        here = codes == (r << 16 | g << 8 | b)
        ids[here] = value
        known |= here
    if not known.all():
        colour = tuple(int(c) for c in picture[~known][0])
        raise DataError(f"colour {colour} is not in labelmap.txt")
    return ids


def _names(source: Source, items: list[Item]) -> list[str]:
    """Read the names from a file, or count the classes that the masks hold."""
    for name in ("classes.txt", "labels.txt", "class_names.txt"):
        path = source.root / name
        text = source.text(path) if path.is_symlink() or path.exists() else None
        if text is not None:
            names = [label_name(row) for row in text.splitlines() if row.strip()]
            if None in names:
                source.fault(path, "", "holds a name that is not one printable line")
            return [n for n in names if n not in (None, "background", "ignore")]
    present: set[int] = set()
    for item in items:
        try:
            present |= set(np.unique(item.mask()).tolist()) if item.mask else set()
        except (AnetError, OSError):
            continue  # told when the mask is converted
    if present and present <= {0, IGNORE} and IGNORE in present:
        source.fault(
            "SegmentationClass", "", "masks hold only 0 and 255, and 255 is ignored in VOC: write 1 for the defect"
        )
    most = max(present - {IGNORE}, default=0)
    source.remarks[f"no file of class names: called class_1 to class_{most}"] += 1
    return [f"class_{i}" for i in range(1, most + 1)]
