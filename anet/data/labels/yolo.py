"""YOLO polygons: data.yaml, pictures in .../images/..., one text file a picture in .../labels/...

Each line is `class x1 y1 x2 y2 ...` with coordinates as shares of width and height. A picture without text file is a
sound one, as in Ultralytics' own reader; a label file without picture is a fault.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from anet.data.labels.polygons import Shape, polygon
from anet.data.labels.source import Item, Source, label_name
from anet.errors import DataError, ImageError
from anet.files import PICTURES, printable
from anet.image import image_size

NAME = "YOLO"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
ROBOFLOW = re.compile(
    r"\.\./((?:train|valid|val|test)/images)/?"
)  # its exports say so, and mean a folder beside data.yaml
OTHER = re.compile(r"classes\.txt$|readme|\.", re.IGNORECASE)  # beside label files, and none of them
KEYS = ("path", "train", "val", "test", "names", "nc")


def settings(source: Source) -> Path | None:
    """Give the YAML file of a YOLO data set, None when the folder has none."""
    files = [path for path in source.files((".yaml", ".yml")) if path.parent == source.root]
    return next((p for p in files if p.stem in ("data", "dataset")), files[0] if len(files) == 1 else None)


def read(source: Source) -> tuple[list[Item], list[str]]:
    """Give the pictures of train, val and test, and the class names in the order of their numbers."""
    path = settings(source)
    text = source.text(path) if path else None
    if path is None or text is None:
        source.fault("data.yaml", "", "is missing: it holds the class names")
        return [], []
    try:
        content = parse(text)
        names = _names(content)
    except DataError as error:
        source.fault(path, "", str(error))
        return [], []
    items: list[Item] = []
    folders: dict[Path, str] = {}
    base = _base(source, path, content.get("path"))
    for part in ("train", "val", "test") if base else ():
        values = content.get(part) or []
        for value in values if isinstance(values, list) else [values]:
            place = _place(source, path, base, part, value)
            if place in folders:
                source.fault(path, part, f"is the same as {folders[place]}")
            elif place:
                folders[place] = part
                items += _pictures(source, place, part, names)
    _strays(source, items)
    if not folders and not source.faults:
        source.fault(path, "", "names neither train nor val nor test")
    if items and not any(item.annotation.suffix == ".txt" for item in items):
        source.fault(path, "", "no picture has a label file: they belong in labels/ where the pictures are in images/")
    return items, [name for name in names if name not in ("background", "ignore")]


def _base(source: Source, path: Path, base: object) -> Path | None:
    """Give the folder that `path` names, where Ultralytics writes one of its own machine: then a fault, said once."""
    if base in (None, "", ".", "./"):
        return source.root
    before = len(source.faults)
    root = source.locate(base, [source.root], path, "path")
    if root is None and len(source.faults) == before:
        source.fault(path, "path", f"'{base}' is no folder here")
    if root is None:
        source.faults[-1] += "; where the pictures lie beside this file, write 'path: .'"
    return root


def _place(source: Source, path: Path, root: Path, part: str, value: object) -> Path | None:
    before = len(source.faults)
    inside = ROBOFLOW.fullmatch(value) if isinstance(value, str) else None
    if inside and (root / inside[1]).is_dir():
        source.remarks[f"{value} in {path.name} read as {inside[1]}, as Roboflow means it"] += 1
        value = inside[1]
    place = source.locate(value, [root], path, part)
    if place is None and len(source.faults) == before:
        source.fault(path, part, f"'{value}' is missing")
    return place


def _pictures(source: Source, place: Path, part: str, names: list[str]) -> list[Item]:
    if place.is_dir():
        pictures = source.files(PICTURES, place)
    else:
        pictures = []
        for number, row in enumerate((source.text(place) or "").split("\n"), 1):
            entry, value, before = f"line {number}", row.strip(), len(source.faults)
            picture = source.locate(value, [source.root, place.parent], place, entry) if value else None
            if picture:
                pictures.append(picture)
            elif value and len(source.faults) == before:
                source.fault(place, entry, f"picture '{value}' is missing")
    if not pictures:
        source.fault(place, "", f"holds no picture of {part}")
    return [_item(source, picture, place, part, names) for picture in pictures]


def _item(source: Source, picture: Path, place: Path, part: str, names: list[str]) -> Item:
    """Read the labels of a picture."""
    labels, rest = _labels(source, picture)
    name = "/".join(rest[1:] if len(rest) > 1 and rest[0] == place.name else rest)
    if labels.is_symlink() or labels.exists():
        return Item(labels, picture, name, part, shapes=_shapes(source, labels, picture, names))
    source.remarks["picture without label file: taken as sound"] += 1
    return Item(picture, picture, name, part)


def _labels(source: Source, picture: Path) -> tuple[Path, tuple[str, ...]]:
    """Give a picture's label file and its steps below images/, the last of which is labels/, as Ultralytics does."""
    steps = picture.relative_to(source.root).parts
    last = max((i for i, step in enumerate(steps[:-1]) if step == "images"), default=-1)
    rest = steps[last + 1 :]
    swapped = (*steps[:last], "labels", *rest) if last >= 0 else steps
    return source.root.joinpath(*swapped).with_suffix(".txt"), rest


def _strays(source: Source, items: list[Item]) -> None:
    """Note label files that belong to no picture, listed or not: one with another name would count as sound."""
    beside: dict[Path, set[Path]] = {}  # folder of label files -> those of its pictures
    for item in items:
        if isinstance(item.image, Path):
            beside.setdefault(_labels(source, item.image)[0].parent, set()).add(item.image.parent)
    for folder, places in sorted(beside.items()):
        pictures = [path for place in sorted(places) for path in place.iterdir() if path.suffix.lower() in PICTURES]
        taken = {f"{picture.stem}.txt" for picture in pictures}
        near = {picture.stem.lower(): picture for picture in pictures}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() != ".txt" or path.name in taken or OTHER.match(path.name) or path.is_dir():
                continue
            text = (source.text(path) or "").strip()
            if not text or text.partition("\n")[0].strip().lower().endswith(PICTURES):  # a list of pictures
                continue
            found = near.get(path.stem.lower())
            like = f"{found.name} is spelt in another way" if found else "rename it as its picture, or take it away"
            source.fault(path, "", f"no picture has this name: {like}")


def _shapes(source: Source, path: Path, picture: Path, names: list[str]) -> tuple[Shape, ...]:
    text = source.text(path)
    try:
        h, w = image_size(picture)
    except ImageError:
        return ()  # told when the picture itself is read
    shapes = []
    for number, row in enumerate((text or "").splitlines(), 1):
        cells = row.split()
        if not cells:
            continue
        shape = _shape(cells, f"line {number}", names, h, w)
        if isinstance(shape, str):
            source.fault(path, f"line {number}", shape)
        else:
            shapes.append(shape)
    return tuple(shapes)


def _shape(cells: list[str], entry: str, names: list[str], h: int, w: int) -> Shape | str:
    if not all(len(cell) < 40 and NUMBER.fullmatch(cell) for cell in cells):
        return "holds something that is no number"
    if not cells[0].isdecimal() or int(cells[0]) >= len(names):
        return f"class {cells[0]} is none of 0 to {len(names) - 1}"
    if len(cells) == 5:
        return "is a box: polygons are needed"
    if len(cells) < 7 or len(cells) % 2 == 0:
        return "needs a class and three or more points"
    shares = np.array([float(cell) for cell in cells[1:]]).reshape(-1, 2)
    if np.abs(shares).max() > 2:
        return "coordinates are no shares of width and height"
    return polygon(names[int(cells[0])], entry, [shares * (w, h)])


def _names(content: dict[str, object]) -> list[str]:
    names = content.get("names")
    if isinstance(names, dict):
        if sorted(names, key=lambda k: (len(k), k)) != [str(i) for i in range(len(names))]:
            raise DataError("names: numbers must run from 0 without a gap")
        names = [names[str(i)] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError("names: a list or a table of numbers and names is needed")
    good = [label_name(name) for name in names]
    if None in good:
        raise DataError("names: a name is empty or not one printable line")
    if str(content.get("nc") or len(good)) != str(len(good)):
        raise DataError(f"nc is {content['nc']}, names has {len(good)}")
    return [name for name in good if name]


def parse(text: str) -> dict[str, object]:
    """Read the YAML that data.yaml needs: `KEYS` as texts, lists, tables of texts; other keys are passed over.

    Raises DataError, naming the line, for all that it does not understand (anchors, tags, nesting, block texts).
    """
    content: dict[str, object] = {}
    rows = [(number, _uncomment(row)) for number, row in enumerate(text.splitlines(), 1)]
    rows = [(number, row) for number, row in rows if row.strip() and row.strip() != "---"]
    while rows:
        number, row = rows.pop(0)
        found = re.fullmatch(r"([A-Za-z_][\w.-]*)\s*:(?:\s+(.*)|)", row.rstrip())
        if not found:
            raise DataError(f"line {number} is not understood: {printable(row.strip())[:60]!r}")
        key, value = found[1], (found[2] or "").strip()
        block = []
        while rows and (rows[0][1][0] in " \t" or rows[0][1].startswith("-") or _open(value)):
            block.append(rows.pop(0))
            value += " " + block.pop()[1].strip() if _open(value) else ""
        if key not in KEYS:
            continue
        if key in content:
            raise DataError(f"line {number}: {key} is there twice")
        content[key] = _value(value, number) if value else _block(block)
        if value and block:
            raise DataError(f"line {block[0][0]} is not understood")
    return content


def _open(value: str) -> bool:
    return value[:1] in ("[", "{") and value[-1:] not in ("]", "}")


def _uncomment(row: str) -> str:
    return next((row[:at] for at, char in _bare(row) if char == "#" and (not at or row[at - 1].isspace())), row)


def _bare(text: str) -> Iterator[tuple[int, str]]:
    """Give each character outside quotes, with its place; an apostrophe inside a word opens none, as in YAML."""
    quote, begins = "", True  # the quote that is open; whether a key, an item or a value begins here
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote  # two of them inside quotes close and open: still quoted
        elif begins and char in "\"'":
            quote = char
        else:
            begins = char == "," or (char in " \t" and text[at - 1 : at] == ":") or (begins and char in " \t[{-:")
            yield at, char


def _block(rows: list[tuple[int, str]]) -> object:
    """Read indented rows: all `- item`, or all `key: item`."""
    items, table = [], {}
    for number, row in rows:
        entry = row.strip()
        if entry.startswith("- "):
            items.append(_scalar(entry[2:].strip(), number))
        else:
            key, colon, value = entry.partition(":")
            if not colon or key in table or (value and value[0] != " "):
                raise DataError(f"line {number} is not understood: {printable(entry)[:60]!r}")
            table[_scalar(key.strip(), number)] = _scalar(value.strip(), number)
    if items and table:
        raise DataError(f"line {rows[0][0]}: a list and a table are mixed")
    return items or table or None


def _value(value: str, number: int) -> object:
    if value[0] not in "[{":
        return _scalar(value, number)
    if value[-1] != {"[": "]", "{": "}"}[value[0]]:
        raise DataError(f"line {number}: {value[0]} is not closed")
    inside = value[1:-1]
    cuts = [-1, *(at for at, char in _bare(inside) if char == ","), len(inside)]
    cells = [cell for first, last in pairwise(cuts) if (cell := inside[first + 1 : last].strip())]
    if value[0] == "[":
        return [_scalar(cell, number) for cell in cells]
    pairs = [cell.partition(":") for cell in cells]
    return {_scalar(key.strip(), number): _scalar(item.strip(), number) for key, _, item in pairs}


def _scalar(text: str, number: int) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1] and "\\" not in text:
        return text[1:-1]
    if not text or text[0] in "&*!|>%@`\"'[]{}?" or ": " in text or text.startswith("- "):
        raise DataError(f"line {number} is not understood: {printable(text)[:60]!r}")
    return text
