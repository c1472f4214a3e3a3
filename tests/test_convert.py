"""A conversion is whole or not at all, and one result comes out for each picture."""

import io
import json
import os
import re

import cv2
import numpy as np
import pytest
from rich.console import Console

from anet.data import convert as module
from anet.data import load
from anet.data.convert import convert, print_converted
from anet.errors import OutputError
from anet.image import read_mask
from tests.labels import PIXELS, coco, coco_json, fails, picture, put, voc


def test_odd_names_give_one_result_each_and_none_is_overwritten(tmp_path):
    names = ["a.png", "a.jpg", "x/a.png", "y/a.png", "new\nline.png", "=cmd.png", os.fsdecode(b"bad\xff.png"),
             "a-png.png", "n" * 251 + ".png", "n" * 251 + ".jpg", "A.PNG", "\u202egnp.png"]  # fmt: skip
    src = coco(tmp_path, [{"image_id": i} for i in range(len(names))], names)
    made = convert(src, tmp_path / "out")
    data = load(made.out)
    assert len(data.samples) == made.pictures[""] == len(names)
    assert all(np.array_equal(sample.read(data.classes)[1], PIXELS) for sample in data.samples)
    rows = json.loads((made.out / "convert.json").read_text())["files"]
    assert sorted(row["from"][0] for row in rows) == sorted(names)
    assert all((made.out / "images" / row["image"]).is_file() for row in rows)


@pytest.mark.parametrize("kind", ["file", "full", "link", "inside"])
def test_an_output_in_use_is_refused_and_left_alone(tmp_path, kind):
    src = coco(tmp_path)
    out = src / "out" if kind == "inside" else tmp_path / "out"
    if kind == "file":
        put(out, b"mine")
    elif kind == "full":
        put(out / "mine", b"mine")
    elif kind == "link":
        out.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=re.escape("out")):
        convert(src, out)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_output_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    assert convert(coco(tmp_path), tmp_path / "out").sheet.is_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_conversion_leaves_nothing(tmp_path, monkeypatch, error):
    src = coco(tmp_path)

    def stop(*_):
        raise error

    monkeypatch.setattr(module, "write_png", stop)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        convert(src, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


def test_half_a_picture_is_not_converted(tmp_path):
    src = coco(tmp_path)
    put(src / "a.png", picture()[:-400])
    fails(tmp_path, src, "a.png")


@pytest.mark.parametrize("make", ["nothing", "two", "no class", "missing"])
def test_a_folder_that_is_no_data_set_says_what_was_looked_for(tmp_path, make):
    src = tmp_path / "src"
    src.mkdir()
    if make == "two":
        voc(tmp_path, PIXELS), put(src / "data.yaml", b"names: [a]")
    if make == "no class":
        coco(tmp_path, (), categories=())
    if make == "missing":
        src.rmdir()
    fails(tmp_path, src, {"nothing": "COCO", "two": "one at a time", "no class": "class", "missing": "folder"}[make])


def test_the_printed_result_names_counts_notes_and_the_sheet(tmp_path):
    made = convert(coco(tmp_path, categories=("[red]crack", "pore")), tmp_path / "out")
    console = Console(file=io.StringIO())
    print_converted(made, console)
    text = console.file.getvalue()
    assert (
        "pictures: 1, sound: 0" in text
        and "[red]crack: 1" in text
        and "note: " in text
        and text.endswith("sheet.png\n")
    )


def test_nothing_in_the_source_changes(tmp_path):
    src = coco(tmp_path)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in src.iterdir()}
    convert(src, tmp_path / "out")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in src.iterdir()} == before


@pytest.mark.data
def test_real_masks_come_back_from_outlines_pixel_by_pixel(tmp_path, real_data):
    folder = real_data / "SD-saliency-900"
    masks, names, rows = {}, [], []
    for i, path in enumerate(sorted((folder / "Ground truth").glob("In_1?.png"))[:5]):
        image = next((folder / "Source Images").glob(path.stem + ".*"))
        put(tmp_path / "src" / image.name, image.read_bytes())
        mask = (read_mask(path) > 127).astype(np.uint8)
        double = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rows += [{"image_id": i, "segmentation": [((c + 0.5) / 2).ravel().tolist()]} for c in contours]
        names.append(image.name)
        masks[path.name] = mask
    content = coco_json(names, rows)
    for image in content["images"]:
        image["height"] = image["width"] = 200
    put(tmp_path / "src/x.json", content)
    made = convert(tmp_path / "src", tmp_path / "out")
    for name, mask in masks.items():
        holes = read_mask(made.out / "masks" / name) != mask
        assert holes.sum() <= 0.01 * mask.sum()  # outer outlines alone cannot say where holes are
