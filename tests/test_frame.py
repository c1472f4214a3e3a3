"""A picture of any size becomes the network's square and comes back, the same way everywhere."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anet.errors import OptionError
from anet.frame import IGNORE, PAD, STRIDE, Frame, decide

SIZES = st.sampled_from([32, 64, 96, 224])
SIDES = st.integers(1, 300)
THRESHOLDS = st.floats(0.01, 0.99)
quick = settings(deadline=None, max_examples=60)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def answers(seed: int, h: int, w: int, channels: int) -> np.ndarray:
    """Give probabilities `(h, w, channels)`: sigmoid-like for one channel, summing to 1 for several."""
    values = np.random.default_rng(seed).random((h, w, channels), np.float32)
    return values if channels == 1 else values / values.sum(2, keepdims=True)


# geometry


@quick
@given(SIZES, SIDES, SIDES)
@example(64, 1, 300)
@example(64, 300, 1)
def test_the_longer_side_fills_the_frame_and_the_shape_is_kept(size, h, w):
    inner = Frame(size).inner(h, w)
    assert max(inner) == size and min(inner) >= 1
    scale = size / max(h, w)
    assert abs(inner[0] - h * scale) <= max(0.5, 1 - h * scale) and abs(inner[1] - w * scale) <= max(0.5, 1 - w * scale)


@quick
@given(SIZES, SIDES, SIDES)
def test_the_rest_of_picture_and_mask_is_padding(size, h, w):
    frame = Frame(size)
    inner_h, inner_w = frame.inner(h, w)
    image, mask = frame.image(np.zeros((h, w, 3), np.uint8)), frame.mask(np.zeros((h, w), np.uint8))
    assert image.shape == (size, size, 3) and mask.shape == (size, size) and image.dtype == mask.dtype == np.uint8
    inside = np.zeros((size, size), bool)
    inside[:inner_h, :inner_w] = True
    assert (image[inside] == 0).all() and (image[~inside] == PAD).all()
    assert (mask[inside] == 0).all() and (mask[~inside] == IGNORE).all()


@quick
@given(SIZES, SIDES, SIDES, st.sets(st.integers(0, 255), min_size=1, max_size=5), st.integers(0, 9))
def test_a_mask_keeps_its_ids_and_gets_no_others(size, h, w, ids, seed):
    given_mask = np.random.default_rng(seed).choice(np.array(sorted(ids), np.uint8), (h, w))
    frame = Frame(size)
    inner_h, inner_w = frame.inner(h, w)
    assert set(np.unique(frame.mask(given_mask)[:inner_h, :inner_w])) <= set(np.unique(given_mask))


@quick
@given(SIZES, st.floats(0, 1), st.integers(0, 9))
def test_a_picture_of_the_frames_own_size_is_not_touched(size, share, seed):
    h, w = size, max(1, round(size * share))
    frame, image, mask = Frame(size), noise(seed, h, w, 3), noise(seed, h, w)
    assert (frame.image(image)[:h, :w] == image).all() and (frame.mask(mask)[:h, :w] == mask).all()


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, lambda a: a.swapaxes(0, 1)])
@pytest.mark.parametrize("side", [48, 64, 128, 192])
def test_turning_before_is_turning_after(turn, side):
    """For squares, where the padding does not turn along. Bilinear rounding may differ by one grey value."""
    frame, image = Frame(64), noise(1, side, side, 3)
    before, after = frame.image(np.ascontiguousarray(turn(image))), turn(frame.image(image))
    assert np.abs(before.astype(int) - after).max() <= 1


@quick
@given(SIZES, SIDES, SIDES, st.integers(0, 255))
def test_a_plain_surface_stays_plain_whatever_its_grey(size, h, w, grey):
    """Nothing stretches contrast: a clean surface must stay clean."""
    frame = Frame(size)
    inner_h, inner_w = frame.inner(h, w)
    assert (frame.image(np.full((h, w, 3), grey, np.uint8))[:inner_h, :inner_w] == grey).all()


def test_picture_and_mask_stay_on_top_of_each_other():
    """A defect's centre lies in the same place of picture and mask, when shrunk and when enlarged."""
    for h, w in ((400, 300), (40, 30), (97, 61)):
        mask = np.zeros((h, w), np.uint8)
        mask[h // 4 : h // 2, w // 2 : 3 * w // 4] = 1
        frame = Frame(96)
        image = frame.image(np.repeat(mask[..., None] * 255, 3, 2))[..., 0] * (frame.mask(mask) != IGNORE)
        centres = [
            np.average(np.indices(image.shape), axis=(1, 2), weights=one) for one in (image, frame.mask(mask) == 1)
        ]
        assert np.abs(centres[0] - centres[1]).max() < 0.6


@pytest.mark.parametrize("size", [-32, -1, 0, 1, 31, 33, 100, 223])
def test_a_size_that_is_no_multiple_of_32_is_refused_with_one_that_works(size):
    with pytest.raises(OptionError, match="would work") as caught:
        Frame(size)
    good = int(str(caught.value).split(": ")[1].split()[0])
    assert good % STRIDE == 0 and good >= max(size, STRIDE) and good - max(size, STRIDE) < STRIDE
    assert Frame(good).h == Frame(good).w == good


# back


@quick
@given(SIZES, SIDES, SIDES, st.sampled_from([1, 2, 4]))
@example(64, 1, 1, 1)
@example(64, 300, 1, 1)
def test_probabilities_come_back_in_the_pictures_shape_and_range(size, h, w, channels):
    probs = answers(0, size, size, channels)
    inner_h, inner_w = Frame(size).inner(h, w)
    back = Frame(size).back(probs, h, w)
    inside = probs[:inner_h, :inner_w]
    assert back.shape == (h, w, channels) and back.dtype == np.float32
    assert back.min() >= inside.min() - 1e-6 and back.max() <= inside.max() + 1e-6
    if channels > 1:
        assert np.abs(back.sum(2) - 1).max() < 1e-5


@quick
@given(SIZES, SIDES, SIDES)
def test_what_the_network_says_about_the_padding_never_comes_back(size, h, w):
    frame = Frame(size)
    inner_h, inner_w = frame.inner(h, w)
    probs = np.ones((size, size, 1), np.float32)
    probs[:inner_h, :inner_w] = 0.25
    assert (frame.back(probs, h, w) == 0.25).all()


@quick
@given(SIZES, st.floats(0, 1), st.sampled_from([1, 3]))
def test_a_picture_of_the_frames_own_size_gets_its_own_probabilities(size, share, channels):
    h, w = size, max(1, round(size * share))
    probs = answers(1, size, size, channels)
    assert (Frame(size).back(probs, h, w) == probs[:h, :w]).all()


@pytest.mark.parametrize(("h", "w"), [(128, 96), (200, 320), (31, 64), (240, 100)])
def test_a_mask_put_in_and_taken_back_is_nearly_the_same(h, w):
    truth = np.zeros((h, w), np.uint8)
    truth[h // 4 : h * 3 // 4, w // 4 : w * 3 // 4] = 1
    frame = Frame(64)
    found = decide(frame.back((frame.mask(truth) == 1).astype(np.float32)[..., None], h, w), 0.5)
    assert (found & truth).sum() / (found | truth).sum() > 0.9


# deciding


@quick
@given(st.integers(0, 9), THRESHOLDS)
def test_one_channel_is_a_defect_where_it_exceeds_the_threshold(seed, threshold):
    probs = answers(seed, 9, 7, 1)
    mask = decide(probs, threshold)
    assert mask.shape == (9, 7) and mask.dtype == np.uint8
    assert (mask == (probs[..., 0] > threshold)).all()


@quick
@given(st.integers(0, 9), THRESHOLDS, st.integers(2, 5))
def test_several_channels_are_the_likeliest_defect_where_background_is_unlikely_enough(seed, threshold, channels):
    probs = answers(seed, 9, 7, channels)
    mask = decide(probs, threshold)
    defect = 1 - probs[..., 0] > threshold
    assert mask.dtype == np.uint8 and ((mask > 0) == defect).all()
    assert (mask[defect] == probs[..., 1:].argmax(2)[defect] + 1).all()


@quick
@given(st.integers(0, 9), THRESHOLDS)
def test_one_channel_and_its_two_channel_twin_agree(seed, threshold):
    """A softmax over background and one defect is the same model as a sigmoid."""
    probs = answers(seed, 9, 7, 1)
    clear = np.abs(probs[..., 0] - threshold) > 1e-6  # float32 rounds 1 - (1 - p)
    twin = np.concatenate([1 - probs, probs], 2)
    assert (decide(probs, threshold) == decide(twin, threshold))[clear].all()


@quick
@given(st.integers(0, 9), THRESHOLDS, THRESHOLDS, st.sampled_from([1, 4]))
def test_a_higher_threshold_never_finds_more(seed, one, other, channels):
    probs = answers(seed, 9, 7, channels)
    many, few = decide(probs, min(one, other)), decide(probs, max(one, other))
    assert ((few > 0) <= (many > 0)).all() and (few[few > 0] == many[few > 0]).all()


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_is_never_good(channels, bad):
    probs = answers(0, 9, 7, channels)
    probs[8, 6, channels - 1] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        decide(probs, 0.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_that_was_given_is_changed(channels):
    frame = Frame(64)
    image, mask, probs = noise(0, 64, 64, 3), noise(0, 64, 64), answers(0, 64, 64, channels)
    for one in (image, mask, probs):
        one.setflags(write=False)
    copies = [frame.image(image), frame.mask(mask), frame.back(probs, 64, 64), decide(probs, 0.5)]
    assert not any(np.shares_memory(copy, one) for copy in copies[:2] for one in (image, mask))
