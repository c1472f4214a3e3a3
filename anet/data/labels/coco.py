"""COCO annotations: polygons of one or more parts and run lengths, from one JSON file or one a part.

Run lengths are decoded here, not by pycocotools: every count is checked before a pixel is allocated, and no C code
sees a hostile file. Tests hold pycocotools as the oracle.
"""

from pathlib import Path
from typing import Any

import numpy as np

from anet.data.folder import PARTS
from anet.data.labels.polygons import Shape, points_of, polygon, runs
from anet.data.labels.source import Item, Source, is_count, is_number, label_name, split_part

NAME = "COCO"


def fits(content: dict) -> bool:
    """Say whether a JSON object looks like COCO."""
    return "images" in content and "annotations" in content


def read(source: Source) -> tuple[list[Item], list[str]]:
    """Give the pictures of all annotation files and the class names in the order of their category ids.

    A region marked `iscrowd` is not outlined object by object: it becomes "ignore".
    """
    files = source.files((".json",))
    instances = [path for path in files if path.name.startswith("instances_")]
    for path in files if instances else ():
        if path not in instances:
            source.remarks[f"JSON file left out, since instances_*.json are there: {path.name}"] += 1
    items: list[Item] = []
    names: list[str] = []
    for path in instances or files:
        content = source.json(path)
        if content is None:
            continue
        if not all(isinstance(content.get(key), list) for key in ("images", "annotations", "categories")):
            source.fault(path, "", "needs the lists images, annotations and categories")
            continue
        labels = _categories(source, path, content)
        names += [name for name in dict.fromkeys(labels.values()) if name not in (*names, "background", "ignore")]
        items += _pictures(source, path, content, labels)
    return items, names


def _categories(source: Source, path: Path, content: dict) -> dict[Any, str]:
    rows = []
    for i, row in enumerate(content["categories"]):
        if not isinstance(row, dict) or not is_count(row.get("id")) or label_name(row.get("name")) is None:
            source.fault(path, f"categories[{i}]", "needs a whole number as id and a name of one line")
        else:
            rows.append(row)
    used = {a["category_id"] for a in content["annotations"] if isinstance(a, dict) and is_count(a.get("category_id"))}
    parents = {row["supercategory"] for row in rows if isinstance(row.get("supercategory"), str)}
    labels = {}
    for row in sorted(rows, key=lambda r: r["id"]):
        if row["id"] in labels:
            source.fault(path, f"category {row['id']}", "is listed twice")
        if row["id"] == 0 and row["id"] not in used and row["name"] in parents:  # Roboflow's name of the whole set
            source.remarks["category 0 left out: it is only the parent of the others"] += 1
            continue
        labels[row["id"]] = label_name(row["name"]) or ""
    return labels


def _pictures(source: Source, path: Path, content: dict, labels: dict[Any, str]) -> list[Item]:
    part, bases = _place(source, path)
    shapes: dict[Any, list[Shape]] = {}
    rows: dict[Any, dict] = {}
    for i, row in enumerate(content["images"]):
        key = row.get("id") if isinstance(row, dict) else None
        if not isinstance(key, (int, str)) or not all(is_count(row.get(side)) for side in ("height", "width")):
            source.fault(path, f"images[{i}]", "needs id, file_name and whole numbers as height and width")
        elif key in rows:
            source.fault(path, f"images[{i}]", f"id {key!r} is listed twice")
        else:
            rows[key], shapes[key] = row, []
    for i, row in enumerate(content["annotations"]):
        entry = f"annotations[{i}]"
        key, category = (row.get("image_id"), row.get("category_id")) if isinstance(row, dict) else (None, None)
        if not isinstance(key, (int, str)) or key not in rows:
            source.fault(path, entry, f"image_id {str(key)[:40]!r} is none of the images")
        elif not is_count(category) or category not in labels:
            source.fault(path, entry, f"category_id {str(category)[:40]!r} is none of the categories")
        else:
            label = "ignore" if row.get("iscrowd") == 1 else labels[category]
            if row.get("iscrowd") == 1:
                source.remarks["iscrowd region: its pixels are ignored"] += 1
            shape = _shape(row.get("segmentation"), label, entry, rows[key]["height"], rows[key]["width"])
            if isinstance(shape, str):
                source.fault(path, entry, shape)
            else:
                shapes[key].append(shape)
    items = []
    for key, row in rows.items():
        before = len(source.faults)
        image = source.locate(row.get("file_name"), bases, path, f"image {key}")
        if image is None and len(source.faults) == before:
            source.fault(path, f"image {key}", f"picture '{row['file_name']}' is missing")
        if image is not None:
            inner, name = split_part(row["file_name"].replace("\\", "/"))
            items.append(Item(path, image, name, part or inner, (row["height"], row["width"]), tuple(shapes[key])))
    return items


def _place(source: Source, path: Path) -> tuple[str | None, list[Path]]:
    """Give the part that a file's name or folder tells, and the folders in which its pictures may lie."""
    word = path.stem.removeprefix("instances_")  # "train", "val2017"
    bare = word.rstrip("0123456789").rstrip("_-").lower()
    folder = path.parent.name.lower() if path.parent != source.root else ""
    part = PARTS.get(bare) or PARTS.get(folder)
    words = list(dict.fromkeys(w for w in (word, bare, part) if w))
    root = source.root
    bases = [root / "images" / w for w in words] + [root / w / "images" for w in words] + [root / w for w in words]
    return part, [path.parent, *bases, root / "images", path.parent / "images", root]


def _shape(segmentation: Any, label: str, entry: str, h: int, w: int) -> Shape | str:
    """Make the shape of one `segmentation`, or say what is wrong with it."""
    if isinstance(segmentation, list) and segmentation:
        parts = []
        for part in segmentation:
            if not isinstance(part, list) or len(part) % 2 or len(part) < 6:
                return "a polygon needs three or more points as x, y, x, y, ..."
            points = points_of([part[i : i + 2] for i in range(0, len(part), 2)], is_number)
            if points is None:
                return "a polygon's coordinate is no sensible number"
            parts.append(points)
        return polygon(label, entry, parts)
    if not isinstance(segmentation, dict):
        return "has no outline: a box alone is no mask"
    if segmentation.get("size") != [h, w]:
        return f"run lengths are for size {str(segmentation.get('size'))[:40]}, the picture has [{h}, {w}]"
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = unpack(counts, h * w)
    if not isinstance(counts, list) or not all(is_count(count) for count in counts) or sum(counts) != h * w:
        return f"run lengths do not add up to the picture's {h * w} pixels"
    return runs(label, entry, h, w, np.array(counts, np.int64))


def unpack(text: str, most: int) -> list[int] | None:
    """Give the run lengths of COCO's compressed string; None when it is malformed or a run exceeds `most`.

    Each number comes in groups of five bits, lowest first, bit 5 says "more follows", the last group carries the sign;
    from the fourth on it is the difference to the number two before. Source: pycocotools, maskApi.c, rleFrString.
    """
    counts: list[int] = []
    value = bits = 0
    for char in text:
        group = ord(char) - 48
        if not 0 <= group < 64 or bits > 50:
            return None
        value |= (group & 31) << bits
        bits += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << bits
        if len(counts) > 2:
            value += counts[-2]
        if not 0 <= value <= most:
            return None
        counts.append(value)
        value = bits = 0
    return None if bits else counts
