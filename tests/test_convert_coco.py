"""COCO: polygons, run lengths, parts, and everything that can be wrong with them."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as oracle

from anet.data import load
from anet.data.convert import convert
from anet.data.labels.coco import _shape as coco_shape
from anet.data.labels.coco import unpack
from anet.data.labels.labelme import _shape as labelme_shape
from anet.data.labels.polygons import Shape, draw
from anet.errors import AnetError
from anet.image import read_mask
from tests.labels import PIXELS, H, W, coco, coco_json, fails, mask_of, picture, put


@settings(deadline=None)
@given(arrays(np.uint8, (9, 7), elements=st.integers(0, 1)))
def test_compressed_run_lengths_decode_as_pycocotools_packs_them(mask):
    counts = unpack(oracle.encode(np.asfortranarray(mask))["counts"].decode(), mask.size)
    assert np.array_equal(np.repeat(np.arange(len(counts)) % 2, counts).reshape(7, 9).T, mask)


@given(st.text(alphabet=[chr(c) for c in range(40, 120)], max_size=40))
def test_any_text_as_run_lengths_gives_counts_in_bounds_or_none(text):
    counts = unpack(text, 100)
    assert counts is None or all(0 <= c <= 100 for c in counts)


@pytest.mark.parametrize("packed", [True, False])
def test_run_lengths_survive_exactly(tmp_path, packed):
    mask = (np.random.default_rng(1).random((H, W)) > 0.6).astype(np.uint8)
    counts = oracle.encode(np.asfortranarray(mask))["counts"].decode()
    counts = counts if packed else unpack(counts, H * W)
    src = coco(tmp_path, [{"segmentation": {"size": [H, W], "counts": counts}}])
    assert np.array_equal(mask_of(tmp_path, src), mask)


def test_coco_makes_a_plain_folder_that_loads_with_the_same_names_and_pixels(tmp_path):
    other = [20, 2, 24, 2, 24, 5, 20, 5]
    src = coco(
        tmp_path, [{}, {"category_id": 2, "segmentation": [other, [26, 2, 28, 2, 28, 5, 26, 5]]}], ("a.png", "b.png")
    )
    made = convert(src, tmp_path / "out")
    data = load(made.out)
    assert data.class_names == made.class_names == ("background", "crack", "pore")
    a, b = (sample.read(data.classes) for sample in data.samples)
    expected = PIXELS.copy()
    expected[2:5, 20:24] = expected[2:5, 26:28] = 2
    assert np.array_equal(a[1], expected) and not b[1].any()
    assert (made.out / "images/a.png").read_bytes() == (src / "a.png").read_bytes()
    assert made.sound == 1 and made.with_class == {"crack": 1, "pore": 1} and made.sheet.is_file()
    assert json.loads((made.out / "convert.json").read_text())["files"][0]["from"] == ["a.png", "instances.json"]
    json.dumps(made.to_dict())


def test_one_class_loads_as_one_class_of_ids(tmp_path):
    data = load(convert(coco(tmp_path, categories=("crack",)), tmp_path / "out").out)
    assert data.channels == 1 and data.samples[0].class_id is None
    assert np.array_equal(data.samples[0].read(2)[1], PIXELS)


@pytest.mark.parametrize(
    "annotations", [[{}, {"iscrowd": 1, "segmentation": [[20, 2, 24, 2, 24, 5]]}], [{"iscrowd": 1}]]
)
def test_a_crowd_is_ignored_and_one_class_still_loads(tmp_path, annotations):
    names = ("a.png", "b.png")
    src = coco(tmp_path, [*annotations, {"image_id": 1}], names, categories=("crack",))
    made = convert(src, tmp_path / "out")
    data = load(made.out)
    masks = [sample.read(2)[1] for sample in data.samples]
    assert all((mask == 1).sum() == 100 for mask in masks) and any("ignored" in note for note in made.notes)


@pytest.mark.parametrize("layout", ["files", "roboflow", "folders"])
def test_parts_come_from_file_names_folders_and_roboflow(tmp_path, layout):
    for part in ("train", "valid"):
        if layout == "files":
            put(tmp_path / f"src/annotations/instances_{part}2017.json", coco_json(["a.png"], [{}]))
            put(tmp_path / f"src/{part}2017/a.png", picture())
        elif layout == "roboflow":
            put(tmp_path / f"src/{part}/_annotations.coco.json", coco_json(["a.png"], [{}]))
            put(tmp_path / f"src/{part}/a.png", picture())
        else:
            put(tmp_path / f"src/images/{part}/a.png", picture())
    if layout == "folders":
        put(tmp_path / "src/labels.json", coco_json(["images/train/a.png", "images/valid/a.png"], [{}]))
    made = convert(tmp_path / "src", tmp_path / "out")
    assert made.pictures == {"train": 1, "val": 1}
    assert load(made.out).given == {"images/train/a": "train", "images/val/a": "val"}


def test_roboflows_parent_category_is_no_class(tmp_path):
    content = coco_json(["a.png"], [{}], ("crack",))
    content["categories"].insert(0, {"id": 0, "name": "defects", "supercategory": "none"})
    content["categories"][1]["supercategory"] = "defects"
    put(tmp_path / "src/a.png", picture())
    put(tmp_path / "src/_annotations.coco.json", content)
    assert convert(tmp_path / "src", tmp_path / "out").class_names == ("background", "crack")


def test_clipping_is_counted_and_an_object_outside_is_a_fault(tmp_path):
    made = convert(coco(tmp_path, [{"segmentation": [[28, 4, 40, 4, 40, 8, 28, 8]]}]), tmp_path / "out")
    assert read_mask(made.out / "masks/a.png").sum() == 16
    assert "1 x object reaches beyond its picture: clipped" in made.notes
    shutil.rmtree(tmp_path / "out")
    src = coco(tmp_path, [{"segmentation": [[50, 4, 60, 4, 60, 8]]}])
    fails(tmp_path, src, "instances.json", "annotations[0]", "outside")


@pytest.mark.parametrize(
    ("annotation", "word"),
    [
        ({"segmentation": []}, "box"),
        ({"segmentation": None}, "box"),
        ({"segmentation": [[1, 2, 3, 4]]}, "three"),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "three"),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "number"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, "number"),
        ({"segmentation": [[1, 2, 3, 4, 5, 10**400]]}, "number"),
        ({"segmentation": [[1, 2, 3, 4, 5, True]]}, "number"),
        ({"segmentation": {"size": [H, W], "counts": [5]}}, "add up"),
        ({"segmentation": {"size": [H, W], "counts": [H * W + 1, -1]}}, "add up"),
        ({"segmentation": {"size": [H, W], "counts": "zzzzzzzzzzzzzzzzzzzzz"}}, "add up"),
        ({"segmentation": {"size": [W, H], "counts": [H * W]}}, "size"),
        ({"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}}, "size"),
        ({"image_id": 77}, "image_id"),
        ({"image_id": [1]}, "image_id"),
        ({"category_id": 9}, "category_id"),
        ({"category_id": {}}, "category_id"),
    ],
)
def test_a_bad_coco_annotation_is_named(tmp_path, annotation, word):
    fails(tmp_path, coco(tmp_path, [{}, annotation]), "instances.json", "annotations[1]", word)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["polygon", "circle"]),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.sampled_from(["size", "counts", "label", "points", "shape_type"]), inner, max_size=5)
    ),
    max_leaves=25,
)


@given(ANY_JSON)
def test_any_json_value_as_an_object_is_a_shape_or_a_sentence(value):
    for made in (coco_shape(value, "a", "", H, W), labelme_shape(value, "")):
        if isinstance(made, Shape):
            draw((made,), {made.label: 1}, H, W)
        else:
            assert isinstance(made, str)


def test_a_giant_picture_claimed_in_json_is_refused_before_memory_is_taken(tmp_path):
    content = coco_json(["a.png"], [{"segmentation": {"size": [10**6, 10**6], "counts": [10**12 - 5, 5]}}])
    content["images"][0] |= {"height": 10**6, "width": 10**6}
    put(tmp_path / "src/a.png", picture())
    put(tmp_path / "src/x.json", content)
    fails(tmp_path, tmp_path / "src", "1000000x1000000", f"{W}x{H}")


def test_all_missing_pictures_are_in_one_line_up_to_twenty(tmp_path):
    src = coco(tmp_path, [{}], names=("a.png",))
    put(src / "instances.json", coco_json(["a.png", *(f"gone{i}.png" for i in range(25))], [{}]))
    message = fails(tmp_path, src, "25 faults", "gone0.png", "gone19.png", "and 5 more")
    assert "gone20.png" not in message


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b'{"a": NaN}', b"\xff\xfe\x00", b"[1]", b"9" * 5000, b"null"]
)
def test_bad_json_is_one_line(tmp_path, content):
    put(tmp_path / "src/a.json", content)
    fails(tmp_path, tmp_path / "src", "a.json")


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("junk", [None, 1, "x", {}, [None], [[]], [{"id": None}], [1e999]])
def test_any_wrong_type_in_coco_is_an_anet_error(tmp_path, key, junk):
    put(tmp_path / "src/a.png", picture())
    text = json.dumps(coco_json(["a.png"], [{}]) | {key: junk}).replace("Infinity", "1e999")
    put(tmp_path / "src/x.json", text.encode())
    fails(tmp_path, tmp_path / "src", "x.json", error=AnetError)
