"""labelme, YOLO and Pascal VOC: the same pixels come out, faults are named."""

import base64
import contextlib
import io
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anet.data import load
from anet.data.convert import convert
from anet.data.labels.yolo import parse
from anet.errors import AnetError, DataError
from anet.image import decode_image, png_bytes, read_mask
from tests.labels import PIXELS, SQUARE, H, W, fails, labelme, mask_of, picture, put, shape, voc, yolo


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


def test_points_alone_make_no_sound_picture(tmp_path):
    fails(tmp_path, labelme(tmp_path, [shape("point", [[1, 1]])]), "a.json", "points alone, which have no area")


@pytest.mark.parametrize("above", ["pore", "_background_"])
def test_an_object_wholly_under_others_is_told_and_makes_no_sound_picture(tmp_path, above):
    below, over = (shape("rectangle", [[4, 6], [14, 16]], label) for label in ("crack", above))
    other = shape("rectangle", [[20, 2], [24, 6]])
    made = convert(labelme(tmp_path, [below, over, other]), tmp_path / "out")
    assert any("1 x object wholly under others" in note for note in made.notes)
    shutil.rmtree(tmp_path / "out")
    src = labelme(tmp_path, [below, over])
    if above == "pore":  # a defect all the same
        assert any("wholly under others" in note for note in convert(src, tmp_path / "out").notes)
    else:
        fails(tmp_path, src, "a.json, shapes[0]", "nothing of a defect is left of its picture")


def test_an_object_under_another_of_its_class_is_not_told(tmp_path):
    marks = [shape("rectangle", [[4, 6], [14, 16]]), shape("rectangle", [[4, 6], [14, 16]])]
    made = convert(labelme(tmp_path, [*marks, shape("rectangle", [[20, 2], [24, 6]], "pore")]), tmp_path / "out")
    assert not made.notes


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


def coarse(seed, h=64, w=96):
    small = np.random.default_rng(seed).integers(40, 220, (h // 8, w // 8, 3), np.uint8)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)


def jpeg(content, quality=75):
    stream = io.BytesIO()
    Image.fromarray(decode_image(content)).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def bmp(content):
    stream = io.BytesIO()
    Image.fromarray(decode_image(content)).save(stream, "BMP")
    return stream.getvalue()


def embedding(tmp_path, files, embedded, path="json/part-0.json", named="part-0.png"):
    """A labelme folder of two pictures of equal size, one with JSON file, whose imagePath names no file."""
    square = shape("rectangle", [[4, 6], [14, 16]])
    data = {"shapes": [square], "imagePath": named, "imageData": base64.b64encode(embedded).decode()}
    put(tmp_path / "src" / path, data)
    for name, content in files.items():
        put(tmp_path / "src" / name, content)
    return tmp_path / "src"


ONE, OTHER = png_bytes(coarse(1)), png_bytes(coarse(2))


@pytest.mark.parametrize(
    ("files", "embedded", "more"),
    [
        ({"images/part-0.png": ONE}, ONE, {}),
        ({"part-0.png": ONE}, ONE, {"path": "part-0.json", "named": "part-0.bmp"}),
        ({"raw/PART-0.bmp": bmp(ONE)}, ONE, {"path": "x.json", "named": "img\\part-0.png"}),
        ({"a/part-0.png": OTHER, "b/part-0.png": ONE}, ONE, {}),
        ({"images/part-0.jpg": jpeg(ONE, 95)}, jpeg(jpeg(ONE, 95)), {"named": "part-0.jpg"}),
        ({"a/part-0.jpg": jpeg(OTHER), "b/part-0.jpg": jpeg(ONE, 95)}, jpeg(jpeg(ONE, 95)), {"named": "part-0.jpg"}),
    ],
)
def test_an_embedded_picture_whose_file_has_moved_comes_out_once(tmp_path, files, embedded, more):
    src = embedding(tmp_path, files | {"sound.png": OTHER}, embedded, **more)
    made = convert(src, tmp_path / "out")
    assert made.sound == len(files) and sum(made.pictures.values()) == len(files) + 1
    labelled = [path for path in (made.out / "masks").rglob("*.png") if read_mask(path).any()]
    assert len(labelled) == 1 and any("found by its name" in note for note in made.notes)
    content = next((made.out / "images").rglob(f"{labelled[0].stem}.*")).read_bytes()
    assert content == files[max(files)]


@pytest.mark.parametrize(
    ("files", "embedded"),
    [
        ({"images/part-0.png": OTHER}, ONE),
        ({"images/part-0.jpg": jpeg(OTHER)}, ONE),
        ({"images/part-0.png": png_bytes(coarse(1, 32, 48))}, ONE),
        ({"a/part-0.png": ONE, "b/part-0.png": ONE}, ONE),
    ],
)
def test_a_file_that_may_be_the_embedded_picture_or_another_is_a_fault(tmp_path, files, embedded):
    fails(tmp_path, embedding(tmp_path, files, embedded), "json/part-0.json", "imagePath", *files)


def test_a_size_that_is_not_the_pictures_is_a_fault(tmp_path):
    fails(
        tmp_path, labelme(tmp_path, [shape("rectangle", [[4, 6], [9, 9]])], imageWidth=99), "a.json", f"{W}x{H}", "99"
    )


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


def test_apostrophes_inside_names_are_letters_however_many(tmp_path):
    flow = parse("names: [tache d'eau, trace d'huile, 'a, b', \"c # d\"] # l'eau\n")
    assert flow == {"names": ["tache d'eau", "trace d'huile", "a, b", "c # d"]}
    assert parse("names: {0: l'eau, 1: 'x, y'}") == {"names": {"0": "l'eau", "1": "x, y"}}
    assert parse("names:\n- l'eau # d'ici\n") == {"names": ["l'eau"]}
    many = [f"x'{number}" for number in range(5000)]
    assert parse(f"names: [{', '.join(many)}]") == {"names": many}


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


def test_a_yolo_label_file_without_a_picture_is_a_fault(tmp_path):
    src = yolo(tmp_path, "0 0 0 1 0 1 1")
    put(src / "images/train/Part 2.PNG", picture())
    put(src / "labels/train/part 2.txt", b"0 0 0 1 0 1 1")
    put(src / "labels/train/gone.txt", b"0 0 0 1 0 1 1")
    text = fails(tmp_path, src, "2 faults", "labels/train/gone.txt: no picture has this name")
    assert "labels/train/part 2.txt: no picture has this name: Part 2.PNG is spelt in another way" in text


def test_what_lies_beside_yolo_labels_and_is_none_is_no_fault(tmp_path):
    src = yolo(tmp_path, "0 0 0 1 0 1 1", "train: train.txt\nnames: [crack]\n")
    put(src / "train.txt", b"images/train/a.png\n")
    put(src / "images/train/unlisted.png", picture())  # of a part that this data.yaml does not name
    for name, content in (
        ("unlisted.txt", b"0 0 0 1 0 1 1"), ("classes.txt", b"crack\n"), ("empty.txt", b" \n"), ("README.txt", b"x"),
        ("val.txt", b"\nimages/train/unlisted.png\n"), (".part.txt", b"x"),
    ):  # fmt: skip
        put(src / "labels/train" / name, content)
    assert convert(src, tmp_path / "out").pictures == {"train": 1}


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
    put(src / "labelmap.txt", b"background:0,0,0::\ncrack:10,20,200::\npore:10,20,200::\n")
    fails(tmp_path, src, "labelmap.txt", "line 3", "10,20,200 stands for two classes")
    put(src / "labelmap.txt", b"background:0,0,0::\ncrack:10,20,200::\n")
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


def test_yolo_names_of_background_and_ignored_regions_are_no_classes(tmp_path):
    row = " ".join(f"{v / (H if i % 2 else W):.6f}" for i, v in enumerate(SQUARE))
    src = yolo(tmp_path, f"1 {row}\n", "train: images/train\nnames: [background, crack, ignore]\n")
    made = convert(src, tmp_path / "out")
    assert made.class_names == ("background", "crack") and load(made.out).class_names == made.class_names
    assert np.array_equal(read_mask(made.out / "masks/train/a.png"), PIXELS)


def test_a_class_named_twice_is_a_fault(tmp_path):
    fails(tmp_path, yolo(tmp_path, "0 0 0 1 0 1 1\n", "train: images/train\nnames: [crack, crack]\n"), "crack twice")


def test_damaged_voc_masks_are_all_named_without_a_file_of_names(tmp_path):
    src = voc(tmp_path, PIXELS)
    for name in ("b", "c"):
        put(src / f"JPEGImages/{name}.png", picture())
        put(src / f"SegmentationClass/{name}.png", png_bytes(PIXELS)[:60])
    fails(tmp_path, src, "b.png", "c.png")
