"""Converting from labelling tools: the same pixels come out, and nothing hostile gets in."""

import base64
import contextlib
import io
import json
import os
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as oracle
from rich.console import Console

from anet.data import convert as module
from anet.data import load
from anet.data.coco import _shape as coco_shape
from anet.data.coco import unpack
from anet.data.convert import convert, print_converted
from anet.data.labelme import _shape as labelme_shape
from anet.data.polygons import Shape, draw, fill, line, polygon
from anet.data.yolo import parse
from anet.errors import AnetError, DataError, OutputError
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


# The rule of pixels


@given(st.integers(0, 12), st.integers(0, 9), st.integers(1, 20), st.integers(1, 15))
def test_a_rectangle_of_whole_numbers_covers_exactly_its_pixels(x, y, w, h):
    points = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)
    expected = np.zeros((H, W), bool)
    expected[y : y + h, x : x + w] = True
    assert np.array_equal(draw((polygon("a", "", [points]),), {"a": 1}, H, W).mask == 1, expected)


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, (6, 8), elements=st.integers(0, 1)))
def test_outlines_of_any_mask_fill_to_the_same_mask(small):
    contours, _ = cv2.findContours(
        cv2.resize(small, None, fx=2, fy=2, interpolation=0), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    filled = np.zeros(small.shape, bool)
    for contour in contours:  # holes are outlines, too: even-odd over all
        pixels, (h, w) = (contour[:, 0, :] + 0.5) / 2, small.shape
        y, x, crop = fill(pixels, h, w)
        outline = cv2.pointPolygonTest
        for cy, cx in np.argwhere(np.ones((h, w), bool)):
            inside = outline(contour.astype(np.float32), (2 * cx + 0.5, 2 * cy + 0.5), False)
            if inside:  # not on the line itself
                got = y <= cy < y + crop.shape[0] and x <= cx < x + crop.shape[1] and crop[cy - y, cx - x]
                assert got == (inside > 0)
        filled[y : y + crop.shape[0], x : x + crop.shape[1]] |= crop
    assert (filled | (small == 0)).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(0, W), st.floats(0, H)), min_size=3, max_size=3))
def test_triangles_agree_with_pycocotools_within_the_border(points):
    points = np.array(points)
    ours = draw((polygon("a", "", [points]),), {"a": 1}, H, W).mask
    theirs = oracle.decode(oracle.merge(oracle.frPyObjects([points.ravel().tolist()], H, W)))
    border = np.zeros((H, W), np.uint8)
    cv2.polylines(border, [np.round((points - 0.5) * 256).astype(np.int32).reshape(-1, 1, 2)], True, 1, 3, shift=8)
    assert not ((ours != theirs) & (border == 0)).any()


def test_the_smaller_object_wins_whatever_the_order_in_the_file():
    big, small = np.array([[0, 0], [20, 0], [20, 20], [0, 20.0]]), np.array([[5, 5], [8, 5], [8, 8], [5, 8.0]])
    shapes = (polygon("small", "", [small]), polygon("big", "", [big]))
    for order in (shapes, shapes[::-1]):
        mask = draw(order, {"big": 1, "small": 2}, H, W).mask
        assert (mask == 2).sum() == 9 and (mask == 1).sum() == 400 - 9


def test_a_hair_crack_between_pixel_centres_is_drawn_and_said():
    thin = np.array([[2.6, 1.0], [3.4, 1.0], [3.4, 20.0], [2.6, 20.0]])
    drawn = draw((polygon("a", "", [thin]),), {"a": 1}, H, W)
    assert len(drawn.thin) == 1 and drawn.mask.any(axis=1)[2:19].all()


def test_a_line_is_as_wide_as_stated():
    mask = draw((line("a", "", np.array([[2, 10.5], [30, 10.5]]), 3),), {"a": 1}, H, W).mask
    assert mask[:, 10:20].sum(axis=0).tolist() == [3] * 10


# COCO


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


# Paths that lead outside (RELIABILITY D2)

HOSTILE = [
    "../outside.png", "x/../../outside.png", "/etc/hostname", "file:///etc/hostname", "http://x/y.png", "C:\\x.png",
    "..\\outside.png", "~/x.png", "link.png", "folder/outside.png", "a\0.png", "", 7, None, "\ud800.png",
]  # fmt: skip


def outside(tmp_path):
    put(tmp_path / "outside.png", picture())
    put(tmp_path / "outside_folder/outside.png", picture())
    (tmp_path / "src").mkdir(exist_ok=True)
    (tmp_path / "src/link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "src/folder").symlink_to(tmp_path / "outside_folder")


OPENED = []  # files called outside... that were opened to be read; an audit hook stays for good, so there is one


@pytest.fixture(scope="module")
def hook():
    def watch(event, arguments):
        if event == "open" and "outside" in str(arguments[0]) and not (arguments[1] or "r").startswith("w"):
            OPENED.append(arguments[0])

    sys.addaudithook(watch)


@pytest.fixture
def watched(hook):
    """Fail when anything outside the source is opened for reading."""
    OPENED.clear()
    yield
    assert not OPENED


def test_the_watch_sees_a_file_that_is_read(tmp_path, hook):
    put(tmp_path / "outside.png", b"x").read_bytes()
    assert OPENED


@pytest.mark.parametrize("name", HOSTILE)
def test_coco_paths_that_lead_outside_are_refused_unread(tmp_path, name, watched):
    outside(tmp_path)
    put(tmp_path / "src/a.png", picture())
    put(tmp_path / "src/x.json", coco_json(["a.png", name], [{}]))
    fails(tmp_path, tmp_path / "src", "x.json", "image 1")


@pytest.mark.parametrize("name", HOSTILE)
def test_labelme_paths_that_lead_outside_are_refused_unread(tmp_path, name, watched):
    src = labelme(tmp_path, [], imagePath=name)
    (src / "a.png").unlink()
    outside(tmp_path)
    fails(tmp_path, src, "a.json", "imagePath")


@pytest.mark.parametrize("name", ["../outside_folder", "/etc", "http://x/y", "folder", "..\\x", "~/x"])
@pytest.mark.parametrize("key", ["path", "train"])
def test_yolo_paths_that_lead_outside_are_refused_unread(tmp_path, name, key, watched):
    outside(tmp_path)
    yaml = (
        f"path: {name if key == 'path' else '.'}\ntrain: {name if key == 'train' else 'images/train'}\nnames: [crack]\n"
    )
    fails(tmp_path, yolo(tmp_path, "0 0 0 1 0 1 1", yaml), "data.yaml", key)


def test_yolo_lists_that_lead_outside_are_refused_unread(tmp_path, watched):
    outside(tmp_path)
    src = yolo(tmp_path, "0 0 0 1 0 1 1", "train: train.txt\nnames: [crack]\n")
    put(src / "train.txt", b"images/train/a.png\n../outside.png\n/etc/hostname\nlink.png\n")
    fails(tmp_path, src, "train.txt", "line 2", "line 3", "line 4")


def test_links_to_label_files_outside_are_refused_unread(tmp_path, watched):
    src = yolo(tmp_path, "0 0 0 1 0 1 1")
    put(tmp_path / "outside.txt", b"0 0 0 1 0 1 1")
    (src / "labels/train/a.txt").unlink()
    (src / "labels/train/a.txt").symlink_to(tmp_path / "outside.txt")
    fails(tmp_path, src, "a.txt")


def test_voc_lists_and_links_that_lead_outside_are_refused_unread(tmp_path, watched):
    src = voc(tmp_path, PIXELS)
    outside(tmp_path)
    put(src / "ImageSets/Segmentation/train.txt", b"a\n../outside\n/etc/hostname\n")
    (src / "SegmentationClass/l.png").symlink_to(tmp_path / "outside.png")
    fails(tmp_path, src, "train.txt", "line 2", "line 3", "l.png")


def test_a_fifo_is_never_opened(tmp_path):
    src = coco(tmp_path, names=("a.png",))
    os.mkfifo(src / "b.png")
    put(src / "instances.json", coco_json(["a.png", "b.png"], [{}]))
    fails(tmp_path, src, "b.png")


# labelme


@pytest.mark.parametrize(
    ("kind", "points", "area"),
    [
        ("polygon", [[4, 6], [14, 6], [14, 16], [4, 16]], 100),
        ("rectangle", [[14, 16], [4, 6]], 100),
        ("circle", [[16, 12], [16, 4]], 208),
        ("line", [[4, 10.5], [14, 10.5]], 39),
        ("linestrip", [[4, 10.5], [14, 10.5], [14, 20.5]], 69),
    ],
)
def test_every_labelme_shape_covers_the_area_it_should(tmp_path, kind, points, area):
    assert mask_of(tmp_path, labelme(tmp_path, [shape(kind, points)])).sum() == area


def test_points_are_skipped_background_and_ignore_are_no_classes_and_plain_pictures_are_sound(tmp_path):
    marks = [shape("rectangle", [[1, 1], [3, 3]], "__ignore__"), shape("rectangle", [[4, 4], [6, 6]], "_background_")]
    src = labelme(tmp_path, [shape("point", [[1, 1]]), shape("rectangle", [[0, 0], [10, 10]]), *marks])
    put(src / "sound.png", picture())
    made = convert(src, tmp_path / "out")
    assert made.class_names == ("background", "crack") and made.sound == 1
    assert any("point" in n for n in made.notes) and any("taken as sound" in n for n in made.notes)
    mask = read_mask(made.out / "masks/a.png")
    assert mask[5, 5] == 0 and mask[9, 9] == 1 and mask[2, 2] == 1  # what is ignored lies below what is labelled


def test_an_embedded_picture_is_used_only_when_the_file_is_missing(tmp_path):
    data = base64.b64encode(picture(seed=5)).decode()
    src = labelme(tmp_path, [shape("rectangle", [[4, 6], [14, 16]])], imageData=data)
    assert (convert(src, tmp_path / "out").out / "images/a.png").read_bytes() == (src / "a.png").read_bytes()
    (src / "a.png").unlink()
    made = convert(src, tmp_path / "out2")
    assert (made.out / "images/a.png").read_bytes() == picture(seed=5)


@pytest.mark.parametrize("data", ["!!!", "", base64.b64encode(b"no picture").decode(), 5])
def test_a_bad_embedded_picture_is_one_line(tmp_path, data):
    src = labelme(tmp_path, [shape("rectangle", [[4, 6], [14, 16]])], imageData=data)
    (src / "a.png").unlink()
    fails(tmp_path, src, "a.json", error=AnetError)


@pytest.mark.parametrize(
    "bad",
    [None, 3, {}, shape("cube", [[1, 1]]), shape("polygon", [[1, 1], [2, 2]]), shape("polygon", [[1]]), shape([], []),
     shape("polygon", [[1, 1], [2, 2], [3, None]]), shape("circle", [[1, 1]]), shape("rectangle", [[1, 1], [2, 2]], ""),
     shape("rectangle", [[1, 1], [2, 2]], "a\nb"), shape("rectangle", [[1, 1], [2, 2]], "\ud800")],
)  # fmt: skip
def test_a_bad_labelme_shape_is_named(tmp_path, bad):
    fails(tmp_path, labelme(tmp_path, [shape("rectangle", [[4, 6], [14, 16]]), bad]), "a.json", "shapes[1]")


def test_a_size_that_is_not_the_pictures_is_a_fault(tmp_path):
    fails(
        tmp_path, labelme(tmp_path, [shape("rectangle", [[4, 6], [9, 9]])], imageWidth=99), "a.json", f"{W}x{H}", "99"
    )


# YOLO


def test_yolo_shares_become_exact_pixels_and_pictures_without_labels_are_sound(tmp_path):
    row = "0 " + " ".join(f"{v / (H if i % 2 else W):.6f}" for i, v in enumerate(SQUARE))
    src = yolo(tmp_path, row + "\n")
    put(src / "images/train/b.png", picture())
    made = convert(src, tmp_path / "out")
    assert np.array_equal(read_mask(made.out / "masks/train/a.png"), PIXELS)
    assert made.pictures == {"train": 2} and made.sound == 1 and any("taken as sound" in note for note in made.notes)


@pytest.mark.parametrize(
    "row",
    ["0 0.5 0.5 0.1 0.1", "2 0 0 1 0 1 1", "-1 0 0 1 0 1 1", "0.0 0 0 1 0 1 1", "0 0 0 1 0 1 nan", "0 0 0 1 0 1 inf",
     "0 0 0 1 0 1", "0 0 0 1 0 1 1_0", "0 0 0 64 0 64 64", "x", "0", "0 1.5 1.5 1.7 1.5 1.7 1.7"],
)  # fmt: skip
def test_a_bad_yolo_line_is_named(tmp_path, row):
    fails(tmp_path, yolo(tmp_path, f"0 0 0 1 0 1 1\n{row}\n"), "a.txt", "line 2")


@pytest.mark.parametrize(
    "yaml",
    ["names: [crack, pore]", "names: ['crack', \"pore\"]  # two", "names:\n  0: crack\n  1: pore\n",
     "names:\n- crack\n- pore\n", "names: {0: crack, 1: pore}", "names: ['crack',\n        'pore']",
     "nc: 2\nnames:\n  - 'crack'\n  - pore # small\n"],
)  # fmt: skip
def test_names_are_read_in_every_usual_spelling(tmp_path, yaml):
    extra = "roboflow:\n  workspace: x\n  url: https://x/y\ndownload: |\n  echo # no\n"
    src = yolo(tmp_path, "0 0 0 1 0 1 1", f"# data\ntrain: images/train # relative\nval:\n{yaml}\n{extra}")
    assert convert(src, tmp_path / "out").class_names == ("background", "crack", "pore")


@pytest.mark.parametrize(
    "yaml",
    ["names: !!python/object/apply:os.system [x]", "names: &a [x]\ntrain: *a", "names: [[a], b]", "names: [a",
     "names:\n  1: a", "names: a", "names: []", "names: [a, '']", "nc: 3\nnames: [a]",
     "a b c", "names: [a]\nnames: [b]", "names: >\n  a", "{names: [a]}", "names: [a]\nval: [x",
     "names:\n  0:\n    - a", "", "names: [crack]\ntrain: 7"],
)  # fmt: skip
def test_yaml_beyond_the_small_part_is_refused(tmp_path, yaml):
    fails(tmp_path, yolo(tmp_path, "0 0 0 1 0 1 1", yaml), "data.yaml")


@given(st.text(alphabet=list("names:[]{}'\"#-, \n\t0ab|&*!")))
def test_any_yaml_text_parses_or_is_a_data_error(text):
    with contextlib.suppress(DataError):
        assert isinstance(parse(text), dict)


def test_roboflows_paths_above_mean_folders_beside_the_yaml(tmp_path):
    src = tmp_path / "src"
    put(src / "train/images/a.png", picture())
    put(src / "train/labels/a.txt", b"0 0 0 1 0 1 1")
    put(src / "data.yaml", b"train: ../train/images\nval:\nnames: [crack]\n")
    made = convert(src, tmp_path / "out")
    assert made.pictures == {"train": 1} and any("Roboflow" in note for note in made.notes)


def test_labels_that_lie_nowhere_are_a_fault_and_not_a_sound_set(tmp_path):
    src = yolo(tmp_path, "0 0 0 1 0 1 1")
    shutil.rmtree(src / "labels")
    fails(tmp_path, src, "labels/")


# Pascal VOC


def palette_png(mask):
    stream = io.BytesIO()
    image = Image.fromarray(mask).convert("P")
    image.putpalette([c for i in range(256) for c in ((i * 53) % 256, (i * 101) % 256, (i * 7) % 256)])
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("encode", [png_bytes, palette_png])
def test_voc_ids_and_ignored_borders_are_kept(tmp_path, encode):
    mask = PIXELS * 2
    mask[5, 4:14] = 255
    src = voc(tmp_path, mask, encode)
    put(src / "ImageSets/Segmentation/val.txt", b"a\n")
    put(src / "classes.txt", b"background\ncrack\npore\n")
    put(src / "JPEGImages/unlabelled.png", picture())
    made = convert(src, tmp_path / "out")
    assert np.array_equal(read_mask(made.out / "masks/val/a.png"), mask)
    assert made.class_names[1:] == ("crack", "pore") and any("left out" in note for note in made.notes)


def test_colour_coded_masks_are_looked_up_and_a_strange_colour_is_a_fault(tmp_path):
    colours = np.zeros((H, W, 3), np.uint8)
    colours[PIXELS == 1] = (10, 20, 200)
    src = voc(tmp_path, colours)
    put(src / "labelmap.txt", b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:10,20,200::\n")
    assert np.array_equal(mask_of(tmp_path, src), PIXELS)
    shutil.rmtree(tmp_path / "out")
    colours[0, 0] = (1, 2, 3)
    put(src / "SegmentationClass/a.png", png_bytes(colours))
    fails(tmp_path, src, "a.png", "(1, 2, 3)", "labelmap")


def test_voc_faults_are_all_named(tmp_path):
    src = voc(tmp_path, PIXELS)
    put(src / "ImageSets/Segmentation/train.txt", b"a\ngone\n")
    put(src / "ImageSets/Segmentation/val.txt", b"a\n")
    fails(tmp_path, src, "gone", "val.txt", "listed in train already")


def test_voc_masks_of_0_and_255_are_not_taken_as_all_ignored(tmp_path):
    fails(tmp_path, voc(tmp_path, PIXELS * 255), "0 and 255")


# The output, whole or not at all


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
