"""Data sets are joined without a leak between parts, and nothing of a label is lost on the way."""

import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from anet import data
from anet.data.audit import check
from anet.data.merge import merge, print_merged
from anet.data.similar import Pair
from anet.errors import DataError, OutputError
from tests import layouts


def textured(seed: int, side: int = 96) -> np.ndarray:
    """Give a surface rich enough that a copy is known again and a stranger is not."""
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.normal(120, 60, (side, side)), (0, 0), 2).clip(0, 255).astype(np.uint8)


def parts_folder(root, seeds: dict[str, list[int]], value: int = 255):
    """Write a plain folder with the parts of `seeds`, a square defect on each picture."""
    for part, numbers in seeds.items():
        for seed in numbers:
            mask = np.zeros((96, 96), np.uint8)
            mask[20:50, 30:60] = value
            layouts.save(root / "images" / part / f"{seed}.png", textured(seed))
            layouts.save(root / "masks" / part / f"{seed}.png", mask)
    return root


def names(dataset, part: str) -> set[str]:
    return {sample.name.removeprefix(f"images/{part}/") for sample in data.split(dataset).part(part)}


def test_each_set_keeps_its_parts_and_its_masks(tmp_path):
    a = layouts.ksdd(tmp_path / "commutators", parts=8)
    b = parts_folder(tmp_path / "mine", {"train": [1, 2, 3], "val": [4], "test": [5]})
    made = merge([a, b], tmp_path / "out", one_class=True, free=True)
    merged = data.load(made.out)
    assert merged.class_names == ("background", "defect") and data.split(merged).protocol == "given"
    for root, name in ((a, "ksdd"), (b, "mine")):
        own = data.load(root, free=True)
        its = data.split(own, None, 0)
        for part in data.PARTS:
            expected = {f"{name}/{sample.name}": sample for sample in its.part(part)}
            found = {n: s for n in names(merged, part) if n.startswith(f"{name}/") for s in merged.samples
                     if s.name == f"images/{part}/{n}"}  # fmt: skip
            assert found.keys() == expected.keys()
            for key, sample in found.items():
                assert sample.image.read_bytes() == expected[key].image.read_bytes()
                assert np.array_equal(sample.read(2)[1], expected[key].read(own.classes)[1] > 0)
    assert made.sound == sum(not s.read(2)[1].any() for s in merged.samples) > 0


def test_a_picture_that_shows_what_test_shows_is_left_out_of_train_whichever_set_it_is_of(tmp_path):
    a = parts_folder(tmp_path / "a", {"train": [1, 2, 3], "val": [4], "test": [5]})
    b = parts_folder(tmp_path / "b", {"train": [5, 11, 12], "val": [2, 14], "test": [4, 15]})
    turned = a / "images" / "train" / "3.png"
    layouts.save(turned, np.ascontiguousarray(np.rot90(textured(15))))
    merged = data.load(merge([a, b], tmp_path / "out").out)
    assert names(merged, "test") == {"a/images/test/5", "b/images/test/4", "b/images/test/15"}
    assert names(merged, "val") == {"b/images/val/2", "b/images/val/14"}  # a's 4 is b's test
    assert names(merged, "train") == {"a/images/train/1", "b/images/train/11", "b/images/train/12"}
    assert not [f for f in check(tmp_path / "out").findings if "test" in f.kind or "val" in f.kind]


def test_what_overlaps_a_picture_that_is_left_out_itself_stays(tmp_path, monkeypatch):
    """1 overlaps 14 of val, which overlaps 5 of test: 14 goes, and nothing of val or test shows what 1 shows."""
    a = parts_folder(tmp_path / "a", {"train": [1, 2, 3], "val": [4, 14], "test": [5]})
    b = parts_folder(tmp_path / "b", {"train": [11], "val": [12], "test": [15]})
    ways = (("train/1", "val/14"), ("test/5", "val/14"))
    pairs = [Pair(f"a/images/{one}", f"a/images/{other}", 0.9, "shifted") for one, other in ways]
    monkeypatch.setattr("anet.data.similar.near_duplicates", lambda samples: pairs)
    merged = data.load(merge([a, b], tmp_path / "out").out)
    assert names(merged, "val") == {"a/images/val/4", "b/images/val/12"}
    assert "a/images/train/1" in names(merged, "train")


def test_classes_of_one_name_become_one_and_others_stay_apart(tmp_path):
    a = layouts.sd900(tmp_path / "strips", each=6)
    b = parts_folder(tmp_path / "b", {"train": [1, 2, 3], "val": [4], "test": [5]}, value=2)
    (b / "classes.txt").write_text("background\npores\nscratches\n")
    made = merge([a, b], tmp_path / "out", protocol="paper")
    assert made.class_names == ("background", "inclusion", "patches", "scratches", "pores")
    assert made.with_class == {"inclusion": 6, "patches": 6, "scratches": 11, "pores": 0}
    merged = data.load(made.out)
    assert all((s.read(5)[1].max() == 3) for s in merged.samples if "/b/" in s.name)


def test_ignored_pixels_stay_ignored(tmp_path):
    a = parts_folder(tmp_path / "a", {"train": [1, 2, 6], "val": [4], "test": [5]}, value=1)
    mask = np.zeros((96, 96), np.uint8)
    mask[:9], mask[20:40] = 255, 1
    layouts.save(a / "masks/train/1.png", mask)
    layouts.save(a / "masks/train/2.png", np.where(mask == 255, mask, 0).astype(np.uint8))
    b = parts_folder(tmp_path / "b", {"train": [11, 12], "val": [14], "test": [15]})
    made = merge([a, b], tmp_path / "out")
    merged = data.load(made.out)
    (one,) = (s for s in merged.samples if s.name.endswith("a/images/train/1"))
    assert np.array_equal(one.read(2)[1], mask) and made.unclear == 1
    assert "a/images/train/2" not in names(merged, "train")


def test_the_record_says_where_everything_comes_from_and_names_no_folder_of_this_machine(tmp_path):
    a = parts_folder(tmp_path / "same" / "x", {"train": [1, 2], "val": [4], "test": [5]})
    b = parts_folder(tmp_path / "other" / "x", {"train": [11, 12], "val": [14], "test": [15]})
    made = merge([a, b], tmp_path / "out")
    text = (made.out / "merge.json").read_text()
    said = json.loads(text)
    assert str(tmp_path) not in text and [part["name"] for part in said["parts"]] == ["x", "x-2"]
    assert [part["digest"] for part in said["parts"]] == [data.load(root).digest() for root in (a, b)]
    console = Console(record=True, width=300)
    print_merged(made, console)
    assert "together: 4 train, 2 val, 2 test" in console.export_text()


def test_what_cannot_be_merged_is_said_and_nothing_is_left_behind(tmp_path):
    a = parts_folder(tmp_path / "a", {"train": [1], "val": [4], "test": [5]})
    b = parts_folder(tmp_path / "b", {"train": [11], "val": [14], "test": [15]})
    out = tmp_path / "out"
    with pytest.raises(DataError, match="two or more"):
        merge([a], out)
    with pytest.raises(OutputError, match="never changed"):
        merge([a, b], b / "new")
    with pytest.raises(DataError, match="all of them show"):
        merge([a, parts_folder(tmp_path / "c", {"train": [4], "val": [24], "test": [1]})], out)
    (b / "images/val/14.png").write_bytes((b / "images/val/14.png").read_bytes()[:200])
    with pytest.raises(Exception, match="14"):
        merge([a, b], out)
    out.mkdir()
    (out / "mine").write_text("kept")
    with pytest.raises(OutputError, match="exists already"):
        merge([a, b], out)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c", "out"} and (out / "mine").read_text() == "kept"


def test_a_set_in_a_hidden_folder_is_not_hidden_in_the_result(tmp_path):
    a = parts_folder(tmp_path / ".mine", {"train": [1, 2], "val": [3], "test": [4]})
    b = parts_folder(tmp_path / "...", {"train": [5, 6], "val": [7], "test": [8]})
    merge([a, b], tmp_path / "out")
    assert len(data.load(tmp_path / "out").samples) == 8
