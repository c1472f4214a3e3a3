"""The data check: every fault named in one run, and leaks between parts found."""

import io
import json
import os
import socket

import cv2
import numpy as np
import pytest
from rich.console import Console

from anet.data import load, split
from anet.data.audit import AuditReport, check, print_report
from anet.data.faults import Finding
from anet.data.leaks import partners
from anet.data.similar import Pair
from anet.errors import DataError, OptionError
from tests import layouts
from tests.test_similar import texture, turn


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", array)[1].tobytes())  # any name, also one that OpenCV cannot open
    return path


def spot(value=255, side=64):
    mask = np.zeros((side, side), np.uint8)
    mask[10:20, 10:30] = value
    return mask


def sound_set(root, number=12, parts=("",), value=255):
    """A plain folder without faults: `number` pictures for each part."""
    for p, part in enumerate(parts):
        for n in range(number):
            put(root / "images" / part / f"p{p}{n:02d}.png", texture(1000 * p + n, 64, 64))
            put(root / "masks" / part / f"p{p}{n:02d}.png", spot(value))
    return root


def printed(report):
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=200))
    return stream.getvalue()


def kinds(report, level="error"):
    found = {}
    for one in report.findings:
        if one.level == level:
            found.setdefault(one.kind, set()).update(one.files)
    return found


@pytest.mark.parametrize("value", [255, 1])
@pytest.mark.parametrize("parts", [("",), ("train", "val", "test")])
def test_a_sound_set_has_no_findings(tmp_path, value, parts):
    number = 40 if parts == ("",) else 12  # the parts that a training makes are held against the least number, too
    report = check(sound_set(tmp_path / "set", number, parts=parts, value=value))
    assert report.ok and report.findings == () and report.pictures == number * len(parts)
    assert report.protocol == (None if parts == ("",) else "given")


def test_every_fault_is_named_in_one_run(tmp_path):
    root = sound_set(tmp_path / "set")
    (root / "masks" / "p000.png").unlink()
    put(root / "masks" / "stray.png", spot())
    put(root / "masks" / "p001.png", spot(side=32))
    put(root / "masks" / "p002.png", spot(7))
    (root / "masks" / "p003.png").write_bytes(b"no mask at all")
    (root / "images" / "p004.png").write_bytes((root / "images" / "p004.png").read_bytes()[:300])
    put(root / "images" / "p005.bmp", texture(50, 64, 64))
    (root / "images" / "p006.png").unlink()
    (root / "images" / "p006.png").symlink_to(put(tmp_path / "outside" / "x.png", texture(51, 64, 64)))
    (root / "images" / "gone.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "images" / "pipe.png")
    (root / "images" / "zero.png").symlink_to("/dev/zero")
    report = check(root)
    assert kinds(report) == {
        "missing mask": {"images/p000.png"},
        "mask without picture": {"masks/stray.png", "masks/p006.png"},
        "sizes differ": {"images/p001.png", "masks/p001.png"},
        "value out of range": {"masks/p002.png"},
        "unreadable mask": {"masks/p003.png"},
        "unreadable picture": {"images/p004.png"},
        "same name twice": {"images/p005.bmp", "images/p005.png"},
        "link out of the data set": {"images/p006.png", "images/zero.png"},
        "unreadable": {"images/gone.png"},
        "special file": {"images/pipe.png"},
    }
    assert not report.ok


def test_empty_masks_full_masks_and_other_files_are_warnings(tmp_path):
    root = sound_set(tmp_path / "set", number=44)
    put(root / "masks" / "p000.png", spot(0))
    put(root / "masks" / "p001.png", np.full((64, 64), 255, np.uint8))
    (root / "images" / "notes.txt").write_text("x")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "masks" / "s"))
    report = check(root)
    listener.close()
    assert report.ok and kinds(report, "warning") == {
        "empty mask": {"masks/p000.png"},
        "all defect": {"masks/p001.png"},
        "not a picture": {"images/notes.txt"},
        "special file": {"masks/s"},
    }


def test_empty_masks_are_one_finding_with_their_number(tmp_path):
    root = sound_set(tmp_path / "set", parts=("train", "val", "test"))
    for n in range(7):
        put(root / "masks" / "train" / f"p0{n:02d}.png", spot(0))
    report = check(root)
    assert [(one.message, len(one.files)) for one in report.findings] == [
        ("7 of 36 masks mark no defect: are their pictures sound?", 7)
    ]
    assert "masks/train/p000.png, " in printed(report) and " and 2 more\n" in printed(report)


@pytest.mark.parametrize("odd", [1, 3])
def test_a_defect_written_in_two_ways_is_an_error(tmp_path, odd):
    root = sound_set(tmp_path / "set")
    put(root / "masks" / "p004.png", spot(odd))
    assert {"masks/p004.png"} in kinds(check(root)).values()


@pytest.mark.parametrize("names", ["", "background\nscratch\n"])
def test_one_smoothed_mask_is_named_with_the_remedy_and_leaves_the_others_as_they_are(tmp_path, names):
    root = sound_set(tmp_path / "set", parts=("train", "val", "test"))
    if names:
        (root / "classes.txt").write_text(names)
    put(root / "masks" / "val" / "p103.png", cv2.GaussianBlur(spot(), (7, 7), 0))
    (one,) = check(root).findings
    assert one.kind == "value out of range" and one.files == ("masks/val/p103.png",)
    assert "masks are 0 and 255, or ids below 2; save them without smoothing or JPEG, or" in one.message
    with pytest.raises(DataError, match="save them without smoothing or JPEG, or"):
        load(root)


def test_an_id_in_a_set_of_two_names_is_a_second_way_of_writing(tmp_path):
    root = sound_set(tmp_path / "set", parts=("train", "val", "test"))
    (root / "classes.txt").write_text("background\nscratch\n")
    put(root / "masks" / "val" / "p103.png", spot(1))
    assert [(one.kind, one.files) for one in check(root).findings] == [("two ways of writing", ("masks/val/p103.png",))]


def test_values_are_held_against_the_names_in_classes_txt(tmp_path):
    root = sound_set(tmp_path / "set", value=2)
    (root / "classes.txt").write_text("background\nscratch\npore\n")
    put(root / "masks" / "p003.png", spot(3))
    put(root / "masks" / "p004.png", np.where(spot() > 0, 2, 255).astype(np.uint8))  # 255 is not scored: fine
    assert kinds(check(root)) == {"value out of range": {"masks/p003.png"}}


def test_sound_pictures_in_a_folder_called_good_need_no_mask(tmp_path):
    root = sound_set(tmp_path / "set", number=40)
    put(root / "images" / "good" / "g.png", texture(77, 64, 64))
    assert check(root).findings == ()


def test_folders_that_link_in_a_circle_end(tmp_path):
    root = sound_set(tmp_path / "set")
    (root / "images" / "again").symlink_to(root / "images", target_is_directory=True)
    assert check(root).pictures == 12


def test_the_same_picture_with_another_mask_is_a_warning_naming_both(tmp_path):
    root = sound_set(tmp_path / "set", number=40)
    put(root / "images" / "twin.png", texture(3, 64, 64))
    put(root / "masks" / "twin.png", np.rot90(spot()).copy())
    files = {"images/p003.png", "images/twin.png"}
    assert kinds(check(root), "warning") == {"same picture, other mask": files, "near-duplicates": files}


@pytest.mark.parametrize(("train", "test", "level"), [("train", "test", "error"), ("train", "val", "warning")])
def test_a_rotated_and_a_shifted_copy_across_parts_are_leaks(tmp_path, train, test, level):
    root = sound_set(tmp_path / "set", parts=("train", "val", "test"))
    strip = texture(500, 64, 90)
    pictures = {train: (texture(400, 64, 64), strip[:, :64]), test: (turn(texture(400, 64, 64), 3), strip[:, 20:84])}
    for part, (rotated, shifted) in pictures.items():
        for name, image in (("rotated", rotated), ("shifted", shifted)):
            put(root / "images" / part / f"{name}.png", image)
            put(root / "masks" / part / f"{name}.png", spot())
    report = check(root)
    assert kinds(report, level) == {
        f"copies in {test}": {f"images/{test}/rotated.png"},
        f"overlaps in {test}": {f"images/{test}/shifted.png"},
    }
    assert f"1 of 14 {test} pictures have a copy" in report.findings[0].message
    assert [one.pairs for one in report.findings] == [
        ((f"images/{test}/rotated.png", f"images/{train}/rotated.png", "rotated"),),
        ((f"images/{test}/shifted.png", f"images/{train}/shifted.png", "shifted"),),
    ]
    assert f"    images/{test}/shifted.png and images/{train}/shifted.png (shifted)\n" in printed(report)
    assert json.loads(json.dumps(report.to_dict()))["findings"][1]["pairs"] == [
        {"file": f"images/{test}/shifted.png", "partner": f"images/{train}/shifted.png", "how": "shifted"}
    ]


def test_a_leak_by_way_of_another_copy_names_a_partner_on_the_other_side():
    pairs = [Pair("a", "b", 1.0, "identical"), Pair("a", "c", 0.95, "rotated"), Pair("a", "d", 0.9, "shifted")]
    groups = {"a": "g0", "b": "g0", "c": "g0", "d": "g1", "e": "g2"}
    assert partners({"b", "d", "e"}, {"c"}, groups, pairs) == {"b": ("c", "copy"), "d": ("c", "shifted")}
    assert partners({"a", "d"}, {"c", "b"}, groups, pairs) == {"a": ("b", "identical"), "d": ("b", "shifted")}
    assert partners({"c"}, {"d"}, groups, pairs) == {"c": ("d", "shifted")}


def test_pairs_of_a_set_without_parts_and_a_file_that_no_message_names_are_printed(tmp_path):
    root = sound_set(tmp_path / "set", number=40)
    for n in range(6):
        put(root / "images" / f"turned{n}.png", turn(texture(n, 64, 64), 1))
        put(root / "masks" / f"turned{n}.png", spot())
    text = printed(check(root))
    assert "    images/p000.png and images/turned0.png (rotated)\n" in text and "    and 1 more pairs\n" in text
    one = Finding("warning", "odd", ("images/x.png",), "1 of 2 pictures are odd")
    assert "    images/x.png\n" in printed(AuditReport(root, "folder", 2, None, (one,)))


def test_copies_stay_together_under_protocol_grouped_and_are_warned_of_without_one(tmp_path):
    root = sound_set(tmp_path / "set", number=30)
    for n in range(10):
        put(root / "images" / f"turned{n}.png", turn(texture(n, 64, 64), 1 + n % 7))
        put(root / "masks" / f"turned{n}.png", spot())
    assert set(kinds(check(root), "warning")) == {"near-duplicates"}
    assert "copies in test" not in kinds(check(root, protocol="grouped"))
    assert "copies in test" in kinds(check(root, protocol="paper"))


def test_few_defects_are_said(tmp_path):
    root = sound_set(tmp_path / "set", parts=("train", "test"))
    for n in range(12):
        put(root / "masks" / "test" / f"p1{n:02d}.png", spot(0))
    messages = [one.message for one in check(root).findings if one.kind == "few defects"]
    assert messages == ["0 pictures of test show a defect: 5 are the least"]


def test_few_defects_in_the_parts_that_a_training_makes_are_a_warning(tmp_path):
    root = sound_set(tmp_path / "set", number=15)
    for n in range(15):
        put(root / "images" / "good" / f"g{n}.png", texture(200 + n, 64, 64))
    report = check(root)
    assert report.ok and report.protocol is None
    made = "of the split that `anet train` makes show a defect: 5 are the least"
    assert [one.message for one in report.findings] == [f"2 pictures of {part} {made}" for part in ("test", "val")]
    parts = split(load(root))
    assert [sum(not one.sound for one in parts.part(part)) for part in ("test", "val")] == [2, 2]


def test_a_set_that_no_training_can_part_is_a_warning(tmp_path):
    root = sound_set(tmp_path / "set", number=6)
    for n in range(6):
        put(root / "images" / f"p0{n:02d}.png", turn(texture(0, 64, 64), n))
    report = check(root)
    assert report.ok and "6 pictures form 1 groups" in {one.kind: one for one in report.findings}["no split"].message


def test_no_pictures_is_an_error_and_no_data_set_is_refused(tmp_path):
    for side in ("images", "masks"):
        (tmp_path / "set" / side).mkdir(parents=True)
    assert [one.message.split(" in ")[0] for one in check(tmp_path / "set").findings] == ["no pictures"]
    with pytest.raises(DataError, match="not there"):
        check(tmp_path / "nothing")
    with pytest.raises(OptionError, match="papr"):
        check(sound_set(tmp_path / "other"), protocol="papr")


HOSTILE = ["=cmd()", "[bold]x[/bold]", "a\nb", "‮gpj", "<script>", "é" * 120, os.fsdecode(b"\xff\xfe")]


def test_hostile_names_come_back_as_they_are_and_do_no_harm(tmp_path):
    root = sound_set(tmp_path / "set")
    for number, name in enumerate(HOSTILE):
        put(root / "images" / f"{name}.png", texture(600 + number, 64, 64))
    report = check(root)
    assert kinds(report)["missing mask"] == {f"images/{name}.png" for name in HOSTILE}
    again = json.loads(json.dumps(report.to_dict()))
    assert {file for one in again["findings"] for file in one["files"]} >= {f"images/{name}.png" for name in HOSTILE}
    text = printed(report)
    assert "images/[bold]x[/bold].png has no mask" in text and "‮" not in text
    assert text.encode() and "and 2 more" in text


def test_nothing_is_written(tmp_path):
    root = sound_set(tmp_path / "set")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
    check(root, protocol="paper")
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}


def test_a_missing_mask_of_a_magnetic_tile_is_named_and_the_rest_is_checked(tmp_path):
    for n in range(8):
        put(tmp_path / "MT_Crack" / "Imgs" / f"exp1_num_{n}.jpg", texture(n, 64, 64))
        put(tmp_path / "MT_Crack" / "Imgs" / f"exp1_num_{n}.png", spot())
    (tmp_path / "MT_Crack" / "Imgs" / "exp1_num_2.png").unlink()
    (tmp_path / "MT_Crack" / "Imgs" / "exp1_num_5.jpg").write_bytes(b"broken")
    found = kinds(check(tmp_path))
    assert found["missing mask"] == {"MT_Crack/Imgs/exp1_num_2.jpg"}
    assert found["unreadable picture"] == {"MT_Crack/Imgs/exp1_num_5.jpg"}


@pytest.mark.data
def test_810_of_840_in_neu_seg_are_found(real_data):
    report = check(real_data / "NEU_Seg")
    leak = next(one for one in report.findings if one.kind == "copies in test")
    assert not report.ok and len(leak.files) == 810
    assert leak.message == "810 of 840 test pictures have a copy in train (rotated or mirrored included)"


@pytest.mark.data
def test_tile_groups_of_magnetic_tiles_are_named(real_data):
    root = real_data / "Magnetic-tile-defect-datasets"
    report = check(root, protocol="paper")
    torn = [one for one in report.findings if one.kind == "tile group in several parts" and one.level == "error"]
    assert len(torn) > 20 and all(one.message.startswith("tile group t") for one in torn)
    assert any(" in train" in one.message and " in test" in one.message for one in torn)
    assert len(kinds(report, "warning")["empty mask"]) == 4
    assert "tile group in several parts" not in kinds(check(root, protocol="grouped"))


def test_sound_pictures_that_are_kept_apart_are_checked_when_asked_for(tmp_path):
    root = layouts.mt(tmp_path)
    broken = next((root / "MT_Free" / "Imgs").glob("*.jpg"))
    broken.write_bytes(broken.read_bytes()[:200])
    assert not any(broken.name in name for one in check(root).findings for name in one.files)
    assert any(broken.name in name for one in check(root, free=True).findings for name in one.files)


def test_a_set_of_several_tasks_asks_for_one_and_says_nothing_else(tmp_path):
    report = check(layouts.dagm(tmp_path))
    assert [one.kind for one in report.findings if one.level == "error"] == ["layout"]
