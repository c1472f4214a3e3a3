"""Paths inside annotations never lead out of the folder (RELIABILITY D2)."""

import os
import sys

import pytest

from anet.data.convert import convert
from tests.labels import PIXELS, coco, coco_json, fails, labelme, picture, put, shape, voc, yolo

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


def test_a_folder_that_cannot_be_listed_is_a_fault(tmp_path, monkeypatch):
    """Root may list anything, so that the system's answer is acted."""
    src, walk = labelme(tmp_path, []), os.walk

    def refused(top, onerror=None):
        if onerror:
            onerror(PermissionError(13, "Permission denied", str(src / "locked")))
        return walk(top)

    monkeypatch.setattr(os, "walk", refused)
    fails(tmp_path, src, "locked", "cannot be listed: Permission denied")


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


@pytest.mark.parametrize("name", ["/datasets/yolo", "../datasets/yolo", "datasets/yolo", "[a, b]"])
def test_the_path_that_ultralytics_writes_is_one_fault_with_the_remedy(tmp_path, name):
    src = yolo(tmp_path, "0 0 0 1 0 1 1", f"path: {name}\ntrain: images/train\nval: images/train\nnames: [crack]\n")
    text = fails(tmp_path, src, "has 1 fault: data.yaml, path: ")
    assert text.endswith("; where the pictures lie beside this file, write 'path: .'")


def test_a_yolo_part_that_is_no_path_is_one_clear_line(tmp_path):
    yaml = "path: .\ntrain:\n  a: b\nnames: [crack]\n"
    fails(tmp_path, yolo(tmp_path, "0 0 0 1 0 1 1", yaml), "data.yaml", "train")


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


def test_a_source_named_by_way_of_another_folder_is_converted(tmp_path):
    labelme(tmp_path, [shape("rectangle", [[4, 6], [14, 16]])])
    (tmp_path / "beside").mkdir()
    assert convert(tmp_path / "beside" / ".." / "src", tmp_path / "out").pictures == {"": 1}
