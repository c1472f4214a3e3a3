"""Defects that are too fine for the network's size are counted, and a size that would do is named."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from anet.data.dataset import Sample
from anet.data.fine import LEAST_PX, SHARE, too_fine, widths
from anet.image import read_mask, write_png
from anet.training.train import train
from tests.tiny import make_set, tiny


def sample(folder, mask, class_id=1) -> Sample:
    name = str(len(list(folder.glob("*.png"))))
    write_png(folder / f"{name}.png", np.zeros((*mask.shape, 3), np.uint8))
    write_png(folder / f"{name}-mask.png", mask)
    return Sample(name, folder / f"{name}.png", folder / f"{name}-mask.png", class_id)


@given(across=st.integers(1, 12), turned=st.booleans(), at_border=st.booleans())
def test_a_bars_width_is_what_it_measures_across(tmp_path_factory, across, turned, at_border):
    mask = np.zeros((60, 100), np.uint8)
    top = 0 if at_border else 20
    mask[top : top + across, 10:90] = 255
    one = sample(tmp_path_factory.mktemp("bar"), mask.T.copy() if turned else mask)
    (width,) = widths([one], 2)
    assert width * 100 == pytest.approx(across, abs=1)  # a disc of whole pixels: an even bar is one less
    assert across % 2 == 0 or width * 100 == pytest.approx(across, abs=1e-3)


def test_a_size_is_named_at_which_no_more_than_the_share_is_too_fine_and_cropping_where_none_would_do(tmp_path):
    mask = np.zeros((750, 1000), np.uint8)
    for number in range(5):
        mask[100 * number + 50 : 100 * number + 59, 100:160] = 255  # 9 of 1000 px: 2 at 224
        mask[100 * number + 50 : 100 * number + 90, 300:360] = 255
    one = sample(tmp_path, mask)
    assert too_fine([one], 2, 224) == (
        "5 of 10 labelled regions are narrower than 3 pixels at size 224: --size 352 would help"
    )
    assert not too_fine([one], 2, 352) and too_fine([one], 2, 320)
    mask[:] = 0
    mask[50, 100:160] = 255
    text = too_fine([sample(tmp_path, mask)], 2, 224)
    assert text == "1 of 1 labelled regions are narrower than 3 pixels at size 224: cropped pictures would help"


def test_sound_pictures_and_a_small_share_earn_no_word(tmp_path):
    empty = np.zeros((50, 50), np.uint8)
    sound = sample(tmp_path, empty)
    assert not too_fine([], 2, 32) and not too_fine([sound, Sample("x", sound.image)], 2, 32)
    many = np.zeros((400, 400), np.uint8)
    for at in range(20):
        many[20 * at : 20 * at + 12, 10:30] = 255
    many[0, 100] = many[20, 100] = 255  # 2 of 22
    assert SHARE > 2 / 22 and not too_fine([sample(tmp_path, many)], 2, 224)
    many[40, 100] = 255
    assert "3 of 23" in too_fine([sample(tmp_path, many)], 2, 224) and LEAST_PX == 3


def test_a_training_says_it_before_it_begins(tmp_path):
    data = make_set(tmp_path / "data")
    for mask in data.rglob("masks/**/*.png"):
        drawn = np.zeros(read_mask(mask).shape, np.uint8)
        drawn[20, 5:30] = 255
        write_png(mask, drawn)
    said = io.StringIO()
    train(tiny(data, tmp_path / "runs", epochs=1), Console(file=said, width=300))
    assert "labelled regions are narrower than 3 pixels at size 32: " in said.getvalue()
