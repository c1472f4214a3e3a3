"""labelme annotations: one JSON file a picture."""

import base64
import binascii
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anet.data.labels.polygons import Shape, line, points_of, polygon
from anet.data.labels.source import Item, Source, is_count, is_number, label_name, split_part
from anet.data.listing import SUFFIXES
from anet.errors import DataError
from anet.files import printable
from anet.image import decode_image

NAME = "labelme"
LINE_PX = 3  # labelme's own export draws lines 10 px wide: too much for a crack
LEAST = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "oriented_rectangle": 4}
MAGIC = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"BM": ".bmp", b"II": ".tif", b"MM": ".tif", b"RIFF": ".webp"}


def fits(content: dict) -> bool:
    """Say whether a JSON object looks like labelme."""
    return "shapes" in content


def read(source: Source) -> tuple[list[Item], list[str]]:
    """Give all pictures of the folder, those without JSON file as sound ones, and the class names in ABC order."""
    items, seen = [], set()
    for path in source.files((".json",)):
        content = source.json(path)
        if content is None:
            continue
        item = _item(source, path, content)
        if item:
            items.append(item)
            seen.add(item.image)
    for image in source.files(SUFFIXES):
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
            source.remarks["picture file missing: taken from imageData"] += 1
    if len(source.faults) > before or image is None:
        return None
    part, name = split_part(name)
    return Item(path, image, name, part, None if h is None or w is None else (h, w), tuple(shapes))


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
