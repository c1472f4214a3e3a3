"""Small labelled folders in the formats of labelling tools, for the tests of the converter."""

import json

import numpy as np
import pytest

from anet.data.convert import convert
from anet.errors import DataError
from anet.image import png_bytes, read_mask

H, W = 24, 32
SQUARE = [4, 6, 14, 6, 14, 16, 4, 16]  # x 4..13, y 6..15
PIXELS = np.zeros((H, W), np.uint8)
PIXELS[6:16, 4:14] = 1


def put(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def picture(h=H, w=W, seed=0):
    return png_bytes(np.random.default_rng(seed).integers(0, 255, (h, w, 3), np.uint8))


def coco_json(names, annotations=(), categories=("crack", "pore")):
    images = [{"id": i, "file_name": name, "height": H, "width": W} for i, name in enumerate(names)]
    rows = [{"id": i, "image_id": 0, "category_id": 1, "segmentation": [SQUARE]} | a for i, a in enumerate(annotations)]
    return {
        "images": images,
        "annotations": rows,
        "categories": [{"id": i, "name": n} for i, n in enumerate(categories, 1)],
    }


def coco(tmp_path, annotations=({},), names=("a.png",), **more):
    for name in names:
        put(tmp_path / "src" / name, picture())
    put(tmp_path / "src" / "instances.json", coco_json(names, annotations, **more))
    return tmp_path / "src"


def labelme(tmp_path, shapes, **more):
    content = {"shapes": shapes, "imagePath": "a.png", "imageData": None, "imageHeight": H, "imageWidth": W} | more
    put(tmp_path / "src" / "a.png", picture())
    put(tmp_path / "src" / "a.json", content)
    return tmp_path / "src"


def shape(kind, points, label="crack"):
    return {"label": label, "shape_type": kind, "points": points}


def yolo(tmp_path, rows, yaml="train: images/train\nnames: [crack, pore]\n", part="train"):
    put(tmp_path / "src/images" / part / "a.png", picture())
    put(tmp_path / "src/labels" / part / "a.txt", rows.encode())
    put(tmp_path / "src/data.yaml", yaml.encode())
    return tmp_path / "src"


def voc(tmp_path, mask, encode=png_bytes):
    put(tmp_path / "src/JPEGImages/a.png", picture())
    put(tmp_path / "src/SegmentationClass/a.png", encode(mask))
    return tmp_path / "src"


def mask_of(tmp_path, src, name="a.png"):
    return read_mask(convert(src, tmp_path / "out").out / "masks" / name)


def fails(tmp_path, src, *words, error=DataError):
    with pytest.raises(error) as caught:
        convert(src, tmp_path / "out")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not [p for p in tmp_path.iterdir() if p.name != "src" and not p.name.startswith("outside")]
    return str(caught.value)
