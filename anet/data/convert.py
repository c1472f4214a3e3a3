"""From the formats of labelling tools to the plain folder that `anet` trains on: `anet data convert SRC OUT`."""

import hashlib
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console

from anet.data.dataset import Dataset, Sample
from anet.data.labels import coco, labelme, voc, yolo
from anet.data.labels.polygons import draw
from anet.data.labels.source import Item, Source
from anet.data.sheet import dataset_sheet
from anet.errors import AnetError, DataError
from anet.files import PICTURES, appearing, check_new, printable, write_json
from anet.frame import IGNORE
from anet.image import decode_image, png_bytes, read_image, write_png

RULE = "a pixel belongs to an outline when its centre lies inside; where objects overlap the smaller one wins"
NAME_BYTES = 255  # of one step of a path, on all usual file systems


@dataclass(frozen=True)
class Converted:
    """What a conversion made: `pictures` by part ("" without parts), `with_class` pictures that show each class."""

    out: Path
    format: str
    class_names: tuple[str, ...]  # background first
    pictures: dict[str, int]
    with_class: dict[str, int]
    sound: int  # pictures whose mask is empty
    sheet: Path
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as JSON types."""
        return asdict(self) | {"out": str(self.out), "sheet": str(self.sheet)}


def convert(src: Path | str, out: Path | str) -> Converted:
    """Convert a COCO, labelme, Pascal VOC or YOLO folder to `images/`, `masks/`, `classes.txt`, with a sheet of them.

    Pictures are copied byte for byte, masks are PNGs of class ids from 1, 0 the background, 255 not scored. `out`
    appears complete or not at all. Raises DataError with every fault found, OutputError when `out` is in use.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise DataError(f"{printable(src)} is no folder: give the folder that holds annotations and pictures")
    check_new(out, [src])
    source = Source(src)
    reader = detect(source)
    items, names = reader.read(source)
    _check(source, items, names)
    with appearing(out, new=True) as folder:
        return replace(_write(source, reader.NAME, items, names, folder), out=out, sheet=out / "sheet.png")


def print_converted(made: Converted, console: Console) -> None:
    """Print what a conversion made, its notes, and last the sheet to look at."""
    parts = ", ".join(f"{count} {part}" for part, count in made.pictures.items() if part)
    total = sum(made.pictures.values())
    lines = [f"{made.format}, pictures: {total}{f' ({parts})' if parts else ''}, sound: {made.sound}"]
    lines += [f"  {printable(name)}: {count}" for name, count in made.with_class.items()]
    lines += [f"note: {printable(note)}" for note in made.notes]
    lines += [f"data: {printable(made.out)}", f"look at: {printable(made.sheet)}"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def detect(source: Source) -> ModuleType:
    """Find the format of a folder. Raises DataError when it is none of the four, or two at once."""
    found: list[ModuleType] = []
    if (source.root / "SegmentationClass").is_dir():
        found.append(voc)
    if yolo.settings(source):
        found.append(yolo)
    if not found:
        for path in source.files((".json",)):
            content = source.json(path) or {}
            found += [reader for reader in (coco, labelme) if reader.fits(content)]
            if found:
                break
    if not found:
        source.check()
        raise DataError(
            f"{printable(source.root)} holds no annotations: looked for COCO or labelme *.json, "
            "VOC's SegmentationClass/, YOLO's data.yaml"
        )
    if len(found) > 1:
        raise DataError(f"{printable(source.root)} holds {' and '.join(r.NAME for r in found)}: convert one at a time")
    source.faults.clear()  # the reader meets them again
    return found[0]


def _check(source: Source, items: list[Item], names: list[str]) -> None:
    """Note faults that concern the set as a whole, and raise at once where nothing could be drawn."""
    if not items and not source.faults:
        source.fault("the folder", "", "holds no pictures")
    if not names and not source.faults:
        source.fault("the folder", "", "holds no class: at least one object must be labelled")
    if len(names) >= IGNORE:
        source.fault("the folder", "", f"has {len(names)} classes: a mask holds up to {IGNORE - 1}")
    for name in (name for name, count in Counter(names).items() if count > 1):
        source.fault("the folder", "", f"names the class {name} twice")
    without = [item for item in items if item.part is None]
    if without and len(without) < len(items):
        for item in without:
            source.fault(item.annotation, "", f"{item.name} is in no part, other pictures are in train, val, test")
    seen: set[Path] = set()
    for item in items:
        if isinstance(item.image, Path):
            real = item.image.resolve()
            if real in seen:
                source.fault(item.annotation, "", f"picture {item.name} is listed twice")
            seen.add(real)
        path = PurePosixPath(item.name)
        if path.suffix.lower() not in PICTURES or any(step.startswith(".") for step in path.parts):
            source.fault(item.annotation, "", f"{item.name} is no picture name: {' '.join(PICTURES)} are read")
    if not items or not names or len(names) >= IGNORE:
        source.check()


def _write(source: Source, format_name: str, items: list[Item], names: list[str], folder: Path) -> Converted:
    ids = {name: i for i, name in enumerate(names, 1)}
    taken: set[str] = set()
    pictures: Counter[str] = Counter()
    with_class: Counter[int] = Counter()
    samples, rows, sound = [], [], 0
    for item in sorted(items, key=lambda i: (i.part or "", i.name)):
        try:
            mask = _mask(source, item, ids)
        except AnetError as error:
            source.fault(item.annotation, "", str(error))
        if source.faults:
            continue  # go on only to find the other faults
        found = np.unique(mask)
        if len(names) == 1 and found[-1] == IGNORE and 1 not in found:  # 0 and 255 alone would read as a binary mask
            source.remarks["picture with ignored pixels and no defect: left out"] += 1
            continue
        name = _free(str(PurePosixPath(item.part or "", item.name)), taken)
        image_path, mask_path = folder / "images" / name, (folder / "masks" / name).with_suffix(".png")
        for path in (image_path, mask_path):
            path.parent.mkdir(parents=True, exist_ok=True)
        image_path.write_bytes(item.image.read_bytes() if isinstance(item.image, Path) else item.image())
        mask_path.write_bytes(png_bytes(mask))
        samples.append(Sample(str(PurePosixPath(name).with_suffix("")), image_path, mask_path))
        rows.append({"image": name, "from": _origin(source, item), "objects": len(item.shapes)})
        pictures[item.part or ""] += 1
        with_class.update(int(value) for value in found if 0 < value < IGNORE)
        sound += not mask.any()
    source.check()
    if not samples:
        raise DataError(f"{printable(source.root)} has no picture left to convert: {'; '.join(source.notes())}")
    class_names = ("background", *names)
    shown = {name: with_class[i] for name, i in ids.items()}
    for name in (name for name, count in shown.items() if not count):
        source.remarks[f"class without a single pixel: {name}"] += 1
    made = Converted(
        folder, format_name, class_names, dict(pictures), shown, sound, folder / "sheet.png", source.notes()
    )
    (folder / "classes.txt").write_text("\n".join(class_names) + "\n", encoding="utf-8")
    write_png(made.sheet, dataset_sheet(Dataset(source.root.name, "", folder, class_names, tuple(samples))))
    content = made.to_dict() | {"rule": RULE, "files": rows}
    write_json(folder / "convert.json", {k: v for k, v in content.items() if k not in ("out", "sheet")})
    return made


def _mask(source: Source, item: Item, ids: dict[str, int]) -> np.ndarray:
    """Draw the mask of one picture, which is decoded whole: half a picture must not become training data."""
    if isinstance(item.image, Path):
        h, w = read_image(item.image).shape[:2]
    else:
        h, w = decode_image(item.image(), printable(item.name)).shape[:2]
    if item.size and item.size != (h, w):
        raise DataError(f"{printable(item.name)} is {w}x{h}, its annotation says {item.size[1]}x{item.size[0]}")
    if item.mask:
        mask = item.mask()
        if mask.shape != (h, w):
            raise DataError(f"mask is {mask.shape[1]}x{mask.shape[0]}, its picture {w}x{h}")
        wrong = mask[(mask > len(ids)) & (mask != IGNORE)]
        if wrong.size:
            raise DataError(f"value {int(wrong.max())} is no class: 0 to {len(ids)} are")
        return mask
    drawn = draw(item.shapes, ids, h, w)
    for shape in drawn.lost:
        source.fault(item.annotation, shape.entry, f"lies outside the picture of {w}x{h}")
    if drawn.covered and not ((drawn.mask > 0) & (drawn.mask < IGNORE)).any():
        text = "lies wholly under others, and nothing of a defect is left of its picture"
        source.fault(item.annotation, drawn.covered[0].entry, text)
    source.remarks["object wholly under others: nothing of it is left"] += len(drawn.covered)
    source.remarks["object reaches beyond its picture: clipped"] += len(drawn.clipped)
    source.remarks["object too thin for a pixel centre: drawn as a line of 1 px"] += len(drawn.thin)
    return drawn.mask


def _free(name: str, taken: set[str]) -> str:
    """Give a name whose stem is not taken: a.jpg and a.png need two masks."""
    path = PurePosixPath(name)
    tries = (path.stem, f"{path.stem}-{path.suffix[1:]}", *(f"{path.stem}-{i}" for i in range(2, len(taken) + 3)))
    for stem in tries:
        if len(os.fsencode(stem + path.suffix)) > NAME_BYTES:
            stem = hashlib.sha256(os.fsencode(stem)).hexdigest()
        key = str(path.with_name(stem))
        if key not in taken:
            taken.add(key)
            return key + path.suffix
    raise AssertionError("more tries than taken names")


def _origin(source: Source, item: Item) -> list[str]:
    files = [item.image] if isinstance(item.image, Path) else []
    return [str(path.relative_to(source.root)) for path in dict.fromkeys([*files, item.annotation])]
