"""labelme annotations: one JSON file a picture."""

import base64
import binascii
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from anet.data.labels.polygons import Shape, line, points_of, polygon
from anet.data.labels.source import Item, Source, is_count, is_number, label_name, split_part
from anet.data.listing import some
from anet.errors import AnetError, DataError
from anet.files import PICTURES, printable
from anet.image import decode_image, read_image

NAME = "labelme"
LINE_PX = 3  # labelme's own export draws lines 10 px wide: too much for a crack
LOSSY = {".jpg", ".jpeg", ".webp"}
ANEW = 2  # grey levels by which means of 8x8 px may differ: saved anew they do by up to 1, other pictures by 4 and more
LEAST = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "oriented_rectangle": 4}
MAGIC = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"BM": ".bmp", b"II": ".tif", b"MM": ".tif", b"RIFF": ".webp"}


def fits(content: dict) -> bool:
    """Say whether a JSON object looks like labelme."""
    return "shapes" in content


def read(source: Source) -> tuple[list[Item], list[str]]:
    """Give all pictures of the folder, those without JSON file as sound ones, and the class names in ABC order."""
    items: list[Item] = []
    seen: set[Path] = set()
    lost: dict[int, str] = {}  # items whose picture is embedded, and how the file was called
    for path in source.files((".json",)):
        content = source.json(path)
        if content is None:
            continue
        item = _item(source, path, content)
        if item and isinstance(item.image, Path):
            seen.add(item.image)
        elif item:
            lost[len(items)] = PurePosixPath(content["imagePath"].replace("\\", "/")).stem
        items += [item] if item else []
    rest = [image for image in source.files(PICTURES) if image not in seen]
    for i, stem in lost.items():
        items[i], same = _found(source, items[i], {stem.lower(), items[i].annotation.stem.lower()}, rest)
        seen.update(same)
    for image in rest:
        if image not in seen:
            part, name = split_part(str(image.relative_to(source.root)))
            source.remarks["picture without JSON file: taken as sound"] += 1
            items.append(Item(image, image, name, part))
    names = {shape.label for item in items for shape in item.shapes} - {"background", "ignore"}
    return items, sorted(names)


def _item(source: Source, path: Path, content: dict) -> Item | None:
    before = len(source.faults)
    rows = content.get("shapes")
    if not isinstance(rows, list):
        return source.fault(path, "", "needs a list shapes")
    shapes = []
    for i, row in enumerate(rows):
        if isinstance(row, dict) and row.get("shape_type") == "point":
            source.remarks["point left out: it has no area"] += 1
            continue
        shape = _shape(row, f"shapes[{i}]")
        if isinstance(shape, str):
            source.fault(path, f"shapes[{i}]", shape)
        else:
            shapes.append(shape)
            if row.get("shape_type") in ("line", "linestrip"):
                source.remarks[f"line: drawn {LINE_PX} px wide"] += 1
    if rows and not shapes and len(source.faults) == before:  # else its picture would pass for a sound one
        source.fault(path, "shapes", "holds points alone, which have no area: outline what they mark, or remove them")
    h, w = content.get("imageHeight"), content.get("imageWidth")
    if (h, w) != (None, None) and not (is_count(h) and is_count(w)):
        source.fault(path, "", "imageHeight and imageWidth are no whole numbers")
    image: Path | Callable[[], bytes] | None
    image = source.locate(content.get("imagePath"), [path.parent], path, "imagePath", up=True)
    name = str(image.relative_to(source.root)) if image else ""
    if image is None and len(source.faults) == before:
        embedded = content.get("imageData")
        if not isinstance(embedded, str):
            source.fault(path, "imagePath", f"picture '{content['imagePath']}' is missing, none is embedded")
        else:
            image, name = partial(embedded_picture, source, path), _embedded_name(source, path, embedded)
    if len(source.faults) > before or image is None:
        return None
    part, name = split_part(name)
    return Item(path, image, name, part, None if h is None or w is None else (h, w), tuple(shapes))


def _found(source: Source, item: Item, stems: set[str], pictures: list[Path]) -> tuple[Item, list[Path]]:
    """Give an item whose picture is embedded with the file among `pictures` that shows the same, and that file.

    Left among them, it would come out a second time, as sound. Where the name alone is the same, that is a fault.
    """
    near = [path for path in pictures if path.stem.lower() in stems]
    if not near or not callable(item.image):
        source.remarks["picture file missing: taken from imageData"] += 1
        return item, []
    equal, anew = [], []
    try:
        shown = decode_image(item.image(), printable(item.name))
        for path in near:
            image = read_image(path)
            if np.array_equal(image, shown):
                equal.append(path)
            elif {path.suffix.lower(), Path(item.name).suffix} & LOSSY and _apart(image, shown) <= ANEW:
                anew.append(path)  # labelme embeds no JPEG as it is, but saves it anew
    except AnetError:
        return item, []  # told when the picture itself is read
    same = equal or anew
    if len(same) != 1:
        files = some(path.relative_to(source.root) for path in near)
        text = f"names no file; one is embedded, and {files} may be the same or another: name the right one"
        source.fault(item.annotation, "imagePath", text)
        return item, near
    remark = "not by imagePath" if equal else "as imageData but for its compression"
    source.remarks[f"picture file found by its name, {remark}"] += 1
    part, name = split_part(str(same[0].relative_to(source.root)))
    return replace(item, image=same[0], name=name, part=part), same


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Give by how many grey levels the means of 8x8 px of two pictures differ; infinity where their sizes do."""
    if one.shape != other.shape:
        return math.inf
    h, w = one.shape[:2]
    a, b = (cv2.resize(x, (-(-w // 8), -(-h // 8)), interpolation=cv2.INTER_AREA) for x in (one, other))
    return cv2.norm(a, b, cv2.NORM_L1) / a.size


def embedded_picture(source: Source, path: Path) -> bytes:
    """Give the picture file embedded in a JSON file, read again so that not all are held at once. Raises AnetError."""
    content = source.json(path) or {}
    try:
        data = base64.b64decode(content["imageData"], validate=True)
    except (binascii.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(f"imageData is no base64: {error}") from error
    decode_image(data, printable(path.name))
    return data


def _embedded_name(source: Source, path: Path, embedded: str) -> str:
    try:
        start = base64.b64decode(embedded[:16])
    except ValueError:
        start = b""
    suffix = next((s for magic, s in MAGIC.items() if start.startswith(magic)), ".png")
    return str(path.relative_to(source.root).with_suffix(suffix))


def _shape(row: Any, entry: str) -> Shape | str:
    """Make one shape, or say what is wrong with it."""
    if not isinstance(row, dict):
        return "is no object"
    label, kind = label_name(row.get("label")), row.get("shape_type") or "polygon"  # labelme 3 wrote no type
    if label is None:
        return "needs a label of one line"
    if not isinstance(kind, str) or kind not in LEAST:
        return f"shape_type {str(kind)[:40]!r} is not understood: {', '.join(LEAST)} and point are"
    points = points_of(row.get("points"), is_number)
    if points is None:
        return "points are no list of sensible [x, y]"
    if len(points) < LEAST[kind] or (kind in ("rectangle", "circle") and len(points) != 2):
        return f"{len(points)} points make no {kind}"
    if kind in ("line", "linestrip"):
        return line(label, entry, points, LINE_PX)
    if kind == "rectangle":
        (xa, ya), (xb, yb) = points
        points = np.array([[xa, ya], [xb, ya], [xb, yb], [xa, yb]])
    if kind == "circle":
        points = _circle(*points)
    return polygon(label, entry, [points])


def _circle(centre: np.ndarray, rim: np.ndarray) -> np.ndarray:
    radius = math.dist(centre, rim)
    turn = np.linspace(0, 2 * np.pi, int(np.clip(4 * radius, 32, 4096)), endpoint=False)
    return centre + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
