import os
import shutil

import cv2
import numpy as np
import pytest

from anet.data import LAYOUTS, load
from anet.errors import DataError
from tests import layouts

TASK = {"sd900": "inclusion", "dagm": "class7"}


@pytest.mark.parametrize("layout", layouts.WRITERS)
def test_every_layout_is_found_by_its_structure_and_every_sample_reads(layout, tmp_path):
    root = layouts.WRITERS[layout](tmp_path / "any name")
    data = load(root, TASK.get(layout), free=True)
    assert data.name == (layout if layout != "folder" else "any name")
    assert len({sample.name for sample in data.samples}) == len(data.samples) > 0
    seen = set()
    for sample in data.samples:
        image, mask = sample.read(data.classes)
        assert image.shape == (*mask.shape, 3) and image.dtype == mask.dtype == np.uint8
        seen |= set(np.unique(mask).tolist())
    assert seen == set(range(data.classes))


@pytest.mark.parametrize(
    ("layout", "task", "free", "number", "classes"),
    [
        ("sd900", "inclusion", False, 4, ("background", "inclusion")),
        ("sd900", "all", False, 12, ("background", "inclusion", "patches", "scratches")),
        ("neu_seg", None, False, 8, ("background", "inclusion", "patches", "scratches")),
        ("mt", None, False, 10, ("background", "defect")),
        ("mt", "all", False, 10, ("background", "blowhole", "break", "crack", "fray", "uneven")),
        ("mt", None, True, 12, ("background", "defect")),
        ("dagm", "class8", False, 6, ("background", "defect")),
        ("dagm", "class8", True, 12, ("background", "defect")),
        ("ksdd", None, False, 4, ("background", "defect")),
        ("ksdd", None, True, 12, ("background", "defect")),
        ("mcsd", None, False, 6, ("background", "defect")),
        ("folder", None, False, 6, ("background", "defect")),
    ],
)
def test_tasks_choose_classes_and_free_adds_sound_pictures(layout, task, free, number, classes, tmp_path):
    data = load(layouts.WRITERS[layout](tmp_path / "x"), task, free)
    assert (len(data.samples), data.class_names) == (number, classes)


@pytest.mark.parametrize("layout", layouts.WRITERS)
def test_the_folder_above_a_single_data_set_will_do(layout, tmp_path):
    layouts.WRITERS[layout](tmp_path / "above" / ("" if layout == "mcsd" else "root"))  # mcsd makes a folder MCSD
    assert len(load(tmp_path / "above", TASK.get(layout)).samples) > 0


@pytest.mark.parametrize(
    ("layout", "inside"),
    [("sd900", "Source Images"), ("neu_seg", "annotations"), ("folder", "masks"), ("mcsd", "MCSD/images")],
)
def test_one_of_the_two_folders_inside_will_do(layout, inside, tmp_path):
    root = layouts.WRITERS[layout](tmp_path / "x")
    assert load(tmp_path / "x" / inside, TASK.get(layout)).samples == load(root, TASK.get(layout)).samples


def test_part_of_a_set_is_refused_and_its_root_named(tmp_path):
    root = layouts.mt(tmp_path / "tiles")
    with pytest.raises(DataError, match=r"is one part of the magnetic tile set: give .*tiles$"):
        load(root / "MT_Fray")


def test_one_class_of_dagm_needs_no_task(tmp_path):
    root = layouts.dagm(tmp_path)
    alone, chosen = load(root / "Class8"), load(root, "class8")
    assert alone.task == "class8" and alone.samples == chosen.samples and alone.given == chosen.given


def test_a_sibling_of_images_is_no_data_set(tmp_path):
    layouts.folder(tmp_path / "x")
    (tmp_path / "x" / "runs").mkdir()
    with pytest.raises(DataError, match="no data set in"):
        load(tmp_path / "x" / "runs")


def test_several_sets_in_one_folder_are_listed(tmp_path):
    layouts.mt(tmp_path / "a")
    layouts.folder(tmp_path / "b")
    with pytest.raises(DataError, match=r"2 data sets .*/a, .*/b"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("layout", "task", "message"),
    [
        ("sd900", None, "choose one of inclusion, patches, scratches, all"),
        ("sd900", "scratch", "did you mean 'scratches'"),
        ("dagm", None, "choose one of class7, class8"),
        ("dagm", "class9", "class7, class8 exist"),
        ("mt", "blowhole", "defect, all exist"),
        ("folder", "all", "defect exist"),
    ],
)
def test_a_missing_or_unknown_task_lists_what_exists(layout, task, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load(layouts.WRITERS[layout](tmp_path / "x"), task)


@pytest.mark.parametrize(
    ("layout", "mask"),
    [
        ("sd900", "Ground truth/In_2.png"),
        ("neu_seg", "annotations/test/000002.png"),
        ("mt", "MT_Fray/Imgs/exp1_num_301.png"),
        ("ksdd", "kos02/Part1_label.bmp"),
        ("dagm", "Class7/Train/Label/0577_label.PNG"),
        ("folder", "masks/003.png"),
    ],
)
def test_a_missing_mask_is_never_taken_as_sound(layout, mask, tmp_path):
    root = layouts.WRITERS[layout](tmp_path / "x")
    (root / mask).unlink()
    stem = mask.split("/")[-1].split(".")[0].removesuffix("_label")
    with pytest.raises(DataError, match=stem):
        load(root, TASK.get(layout), free=True)


def test_many_missing_masks_are_counted_and_five_named(tmp_path):
    root = layouts.folder(tmp_path, 9)
    for number in range(1, 9):
        (root / "masks" / f"{number:03}.png").unlink()
    with pytest.raises(
        DataError, match=r"8 pictures have no mask .*001.png, .*005.png and 3 more; .*folder called good"
    ):
        load(root)


def test_dagm_without_its_label_folder_is_refused(tmp_path):
    root = layouts.dagm(tmp_path)
    shutil.rmtree(root / "Class7" / "Test" / "Label")
    with pytest.raises(DataError, match="has no folder Label"):
        load(root, "class7")


def test_pictures_in_a_folder_called_good_are_sound(tmp_path):
    root = layouts.folder(tmp_path, 3)
    layouts.save(root / "images" / "good" / "001.png", layouts.picture(50, sound=True)[0])
    data = load(root)
    assert [sample.name for sample in data.samples if sample.mask is None] == ["images/good/001"]


@pytest.mark.parametrize(
    ("names", "parts"),
    [(("train", "val", "test"), {"train", "val", "test"}), (("training", "valid"), {"train", "val"})],
)
def test_a_plain_folder_gives_its_parts(names, parts, tmp_path):
    data = load(layouts.folder(tmp_path, 2, names))
    assert set(data.given.values()) == parts and set(data.given) == {sample.name for sample in data.samples}


def test_a_picture_called_test_is_no_part(tmp_path):
    root = layouts.folder(tmp_path, 2)
    for side in ("images", "masks"):
        (root / side / "001.png").rename(root / side / "test.png")
    assert load(root).given == {}


def test_a_picture_beside_the_parts_is_refused(tmp_path):
    root = layouts.folder(tmp_path, 2, ("train", "test"))
    for side in ("images", "masks"):
        shutil.copy(root / side / "train" / "001.png", root / side / "stray.png")
    with pytest.raises(DataError, match=r"images/stray; put every picture into a part"):
        load(root)


def test_masks_of_ids_are_classes_named_by_number_or_by_classes_txt(tmp_path):
    root = layouts.folder(tmp_path, 6, ids=3)
    assert load(root).class_names == ("background", "class1", "class2", "class3")
    (root / "classes.txt").write_text("back\nscratch\npit\nstain\n")
    data = load(root)
    assert data.class_names == ("background", "scratch", "pit", "stain") and data.task == "all"
    assert {int(sample.read(4)[1].max()) for sample in data.samples} == {1, 2, 3}


def test_masks_of_0_and_255_alone_are_refused_where_several_classes_are_named(tmp_path):
    root = layouts.folder(tmp_path, 3)
    (root / "classes.txt").write_text("background\nscratch\npit\n")
    with pytest.raises(DataError, match=r"0 and 255 alone, and 255 is ignored where classes\.txt names several"):
        load(root)


def test_masks_of_0_and_1_are_one_defect_and_255_is_ignored(tmp_path):
    root = layouts.folder(tmp_path, 3, ids=1)
    mask = np.zeros((layouts.SIDE, layouts.SIDE), np.uint8)
    mask[:5], mask[5:9] = 1, 255
    layouts.save(root / "masks" / "001.png", mask)
    data = load(root)
    assert data.class_names == ("background", "defect")
    assert set(np.unique(data.samples[0].read(2)[1]).tolist()) == {0, 1, 255}


def test_defects_written_as_1_here_and_255_there_are_refused(tmp_path):
    root = layouts.folder(tmp_path, 3)
    layouts.save(root / "masks" / "002.png", layouts.picture(2)[1] // 255)
    with pytest.raises(DataError, match=r"1 in .*002.png, 255 in .*001.png"):
        load(root)


def test_smoothed_masks_are_no_ids(tmp_path):
    root = layouts.folder(tmp_path, 3)
    layouts.save(root / "masks" / "002.png", cv2.blur(layouts.picture(2)[1], (5, 5)))
    with pytest.raises(DataError, match=r"002.png holds value \d+: masks are 0 and 255, or ids below 32; save them"):
        load(root)


@pytest.mark.parametrize("text", ["", "background\n", "a\nb\nb\n", "\udcff"])
def test_a_classes_txt_that_names_nothing_is_refused(text, tmp_path):
    root = layouts.folder(tmp_path, 2, ids=2)
    (root / "classes.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"classes\.txt"):
        load(root)


def test_a_classes_txt_that_begins_with_a_class_is_refused(tmp_path):
    root = layouts.folder(tmp_path, 3, ids=2)
    (root / "classes.txt").write_text("scratch\npit\nstain\n")  # as YOLO, CVAT and LabelImg write it
    with pytest.raises(DataError, match=r"classes\.txt: the first line is 'scratch': put background before it"):
        load(root)
    for first in ("background", "_background_", "OK", "none"):
        (root / "classes.txt").write_text(f"{first}\nscratch\npit\n")
        assert load(root).class_names == ("background", "scratch", "pit")


def test_one_name_for_two_pictures_is_refused(tmp_path):
    root = layouts.folder(tmp_path, 2)
    shutil.copy(root / "images" / "001.png", root / "images" / "001.bmp")
    with pytest.raises(DataError, match=r"001.bmp and 001.png have the same name"):
        load(root)


@pytest.mark.parametrize("side", ["images", "masks"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_out_of_the_data_set_is_refused(side, what, tmp_path):
    root = layouts.folder(tmp_path / "x", 2)
    secret = layouts.save(tmp_path / "elsewhere" / "009.png", layouts.picture(9)[0])
    (root / side / "link.png").symlink_to(secret if what == "file" else secret.parent)
    with pytest.raises(DataError, match=r"link.png is a link out of"):
        load(root)


def test_a_link_to_the_data_set_itself_and_circles_inside_it_are_followed_once(tmp_path):
    root = layouts.folder(tmp_path / "x", 2)
    (root / "images" / "again").symlink_to(root / "images")
    (tmp_path / "link").symlink_to(root)
    assert len(load(tmp_path / "link").samples) == 2


def test_pipes_and_what_other_programs_leave_behind_are_no_pictures(tmp_path):
    root = layouts.folder(tmp_path, 2)
    os.mkfifo(root / "images" / "pipe.png")
    for name in (".DS_Store", "._001.png", ".hidden.png", "Thumbs.db", "desktop.ini"):
        (root / "images" / name).write_bytes(b"x")
    layouts.save(root / "images" / "__MACOSX" / "001.png", layouts.picture(1)[0])
    assert len(load(root).samples) == 2


def test_names_with_newlines_and_bad_utf8_stay_one_line_in_messages(tmp_path):
    root = layouts.folder(tmp_path, 2)
    name = os.fsdecode(b"a\n\xff\x1b[31m.png")
    shutil.copy(root / "images" / "001.png", root / "images" / name)
    with pytest.raises(DataError) as error:
        load(root)
    assert str(error.value).isprintable() and "\\n" in str(error.value)


@pytest.mark.parametrize("layout", ["folder", "mcsd"])
def test_an_empty_data_set_is_refused(layout, tmp_path):
    root = layouts.WRITERS[layout](tmp_path / "x", 1)
    shutil.rmtree(root / "images")
    (root / "images").mkdir()
    with pytest.raises(DataError, match="no pictures in"):
        load(root)


def test_what_is_no_folder_or_no_data_set_is_said(tmp_path):
    for path, message in (
        (tmp_path / "none", "is not there"),
        (tmp_path, "no data set in"),
        (tmp_path / "f", "is a file"),
    ):
        (tmp_path / "f").write_text("x")
        with pytest.raises(DataError, match=message):
            load(path)


def test_a_plain_folder_cannot_pass_for_a_published_set(tmp_path):
    for name in LAYOUTS:
        assert load(layouts.folder(tmp_path / name, 2)).name not in set(LAYOUTS) - {"folder"} or name == "mcsd"


@pytest.mark.data
@pytest.mark.parametrize("task", ["inclusion", "patches", "scratches", "all"])
def test_sd900_has_300_pictures_a_class(real_data, task):
    data = load(real_data / "SD-saliency-900", task)
    assert len(data.samples) == (900 if task == "all" else 300)


@pytest.mark.data
def test_magnetic_tile_has_392_defective_and_952_sound_pictures_and_4_empty_masks(real_data):
    root = real_data / "Magnetic-tile-defect-datasets"
    data = load(root, free=True)
    defective = [sample for sample in data.samples if sample.mask]
    assert (len(defective), len(data.samples)) == (392, 1344) and load(root).samples == tuple(defective)
    empty = [sample.name for sample in defective if not sample.read(2)[1].any()]
    assert len(empty) == 4 and all(name.startswith("MT_Uneven/") for name in empty)


@pytest.mark.data
def test_neu_seg_has_3630_and_840_pictures(real_data):
    given = list(load(real_data / "NEU_Seg").given.values())
    assert (given.count("train"), given.count("test")) == (3630, 840)


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "task", "ids"), [("SD-saliency-900", "all", {0, 1, 2, 3}), ("NEU_Seg", None, {0, 1, 2, 3})]
)
def test_every_real_picture_reads(real_data, folder, task, ids):
    data = load(real_data / folder, task)
    seen = np.zeros(256, np.int64)
    for sample in data.samples:
        image, mask = sample.read(data.classes)
        assert image.shape == (200, 200, 3)
        seen += np.bincount(mask.ravel(), minlength=256)
    assert set(np.flatnonzero(seen).tolist()) == ids
