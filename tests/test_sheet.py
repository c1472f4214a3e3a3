"""The contact sheet shows what is there, in colours that are the overlay's own."""

import numpy as np
import pytest

from anet.data.dataset import Dataset, Sample
from anet.data.sheet import contact_sheet, dataset_sheet
from anet.errors import OptionError
from anet.frame import IGNORE
from anet.image import overlay, write_png

NAMES = ("background", "crack", "pore")


def tile(h=60, w=80, value=1, title="a"):
    mask = np.zeros((h, w), np.uint8)
    mask[h // 4 : h // 2, w // 4 : w // 2] = value
    return title, np.full((h, w, 3), 90, np.uint8), mask


def colours(image):
    return {tuple(c) for c in image.reshape(-1, 3).tolist()}


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("shape", [(60, 80), (300, 20), (1, 900), (7, 7)])
def test_a_sheet_of_any_number_and_shape_is_one_rgb_picture(count, shape):
    sheet = contact_sheet([tile(*shape) for _ in range(count)], NAMES, columns=2, tile=64)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3 and sheet.shape[0] > 64


def test_picture_and_overlay_stand_side_by_side():
    title, image, mask = tile(64, 64)
    sheet = contact_sheet([(title, image, mask)], NAMES, columns=1, tile=64)
    shown = colours(overlay(image, mask)) - {(90, 90, 90)}
    assert (90, 90, 90) in colours(sheet) and shown & colours(sheet)


def test_a_crack_of_one_pixel_in_a_large_picture_stays_visible():
    image, mask = np.full((2000, 2000, 3), 90, np.uint8), np.zeros((2000, 2000), np.uint8)
    plain = contact_sheet([("a", image, mask)], NAMES, tile=64)
    mask[1001, 10:1990] = 1
    assert (contact_sheet([("a", image, mask)], NAMES, tile=64) != plain).any(axis=2).sum() >= 60


def test_ignored_pixels_enter_the_legend_only_when_there_are_some():
    with_ignored = contact_sheet([tile(value=IGNORE)], NAMES)
    without = contact_sheet([tile(value=0)], NAMES)
    assert (with_ignored[:28] != without[:28]).any()


def test_long_and_odd_titles_and_many_classes_fit():
    title = "x/" + "n" * 250 + "\n\udcff\u202eé"
    names = ("background", *(f"a very long name of class {i} " * 3 for i in range(12)))
    sheet = contact_sheet([tile(title=title)], names, columns=1, tile=64)
    assert (sheet[:, -1] == sheet[0, -1]).all()  # nothing runs over the right border


def test_a_long_title_writes_inside_its_own_cell():
    tiles = [tile(64, 64, 0, "n" * 250), tile(64, 64, 0, "")]
    short = [tile(64, 64, 0, ""), tile(64, 64, 0, "")]
    changed = (contact_sheet(tiles, NAMES, 2, 64) != contact_sheet(short, NAMES, 2, 64)).any(axis=(0, 2))
    assert changed.any() and np.flatnonzero(changed).max() < 12 + 2 * 64 + 2


@pytest.mark.parametrize("bad", [{"columns": 0}, {"tile": 5}])
def test_senseless_sizes_are_refused(bad):
    with pytest.raises(OptionError):
        contact_sheet([tile()], NAMES, **bad)


def dataset(tmp_path, labelled, sound):
    samples = []
    for i in range(labelled + sound):
        _, image, mask = tile(32, 32, 1 if i < labelled else 0)
        write_png(tmp_path / f"{i}.png", image)
        write_png(tmp_path / f"{i}m.png", mask)
        samples.append(Sample(f"{i}", tmp_path / f"{i}.png", tmp_path / f"{i}m.png"))
    return Dataset("x", "", tmp_path, NAMES, tuple(samples))


def test_the_same_seed_gives_the_same_sheet_and_another_seed_another(tmp_path):
    data = dataset(tmp_path, 12, 0)
    first, again = (dataset_sheet(data, limit=3, tile=64) for _ in range(2))
    assert np.array_equal(first, again)
    assert any(not np.array_equal(first, dataset_sheet(data, limit=3, seed=s, tile=64)) for s in range(1, 5))


@pytest.mark.parametrize(("labelled", "sound", "cells"), [(1, 30, 8), (30, 1, 8), (0, 3, 3), (2, 0, 2), (20, 20, 8)])
def test_a_sheet_is_filled_up_to_its_limit_with_whatever_there_is(tmp_path, labelled, sound, cells):
    sheet = dataset_sheet(dataset(tmp_path, labelled, sound), limit=8, columns=1, tile=64)
    assert (sheet.shape[0] - 28) // (64 + 20 + 12) == cells


def test_a_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(OptionError):
        dataset_sheet(dataset(tmp_path, 1, 0), limit=0)
