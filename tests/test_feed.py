"""From samples to batches: nothing is left out, and order is a matter of seed and epoch alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.data.dataset import Sample
from anet.errors import ImageError
from anet.frame import IGNORE, PAD, Frame
from anet.image import write_png
from anet.training import feed
from anet.training.feed import ZOOM, Batches, FramedSet, picture_statistics, repeat_factors, window

torch.set_num_threads(1)
ONE_CORE = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where tests run on a single one


class Labels(FramedSet):
    """A set that is only masks, each with one pixel of every id given."""

    def __init__(self, ids, classes):
        self.ids, self.classes, self.samples = ids, classes, [None] * len(ids)

    def framed(self, index):
        mask = np.full((32, 32), IGNORE, np.uint8)
        mask[0, : len(self.ids[index]) + 1] = [0, *self.ids[index]]
        return np.zeros((32, 32, 3), np.uint8), mask


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Seven pictures, wider than high, with masks of ids 0, 1, 2 and IGNORE."""
    root, rng, made = tmp_path_factory.mktemp("set"), np.random.default_rng(0), []
    for number in range(7):
        image, mask = rng.integers(0, 256, (40, 72, 3)).astype(np.uint8), np.zeros((40, 72), np.uint8)
        mask[5:20, 10:30], mask[20:30, 40:60], mask[:4, :4] = 1 + number % 2, 2, IGNORE
        write_png(root / f"{number}.png", image)
        write_png(root / f"{number}-mask.png", mask)
        made.append(Sample(f"picture{number}", root / f"{number}.png", root / f"{number}-mask.png"))
    return made


@given(count=st.integers(1, 40), batch=st.integers(1, 9), world=st.integers(1, 3), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_epoch_shows_each_picture_and_ranks_share_it_out(count, batch, world, seed):
    data = Labels([[1]] * count, 2)
    ranks = [Batches(data, batch, seed, 0.0, rank, world) for rank in range(world)]
    for epoch in (0, 3):
        orders = [one.order(epoch) for one in ranks]
        assert {len(order) for order in orders} == {ranks[0].per_epoch}
        assert all(len(numbers) == batch for order in orders for numbers in order)
        shown = Counter(number for order in orders for numbers in order for number in numbers)
        assert set(shown) == set(range(count))
        assert max(shown.values()) - min(shown.values()) <= 1  # wrapped around, nothing twice before all were once
        assert sum(shown.values()) < count + batch * world


def test_order_depends_on_seed_and_epoch_only():
    data = Labels([[1]] * 20, 2)
    first = Batches(data, 4, 7, 0.0).order(2)
    np.random.seed(1)
    torch.manual_seed(1)
    again = Batches(data, 4, 7, 0.0)
    again.order(0)
    assert again.order(2) == first
    assert again.order(3) != first
    assert Batches(data, 4, 8, 0.0).order(2) != first


def test_repeat_factors_are_those_of_lvis():
    """Class 2 is in 1 of 16 defect pictures: sqrt(0.25 / (1/16)) = 2 times. Class 1 is in all."""
    data = Labels([[1]] * 15 + [[1, 2]], 3)
    np.testing.assert_allclose(repeat_factors(data, 0.25), [1.0] * 15 + [2.0])


@given(
    ids=st.lists(st.sets(st.integers(1, 3), max_size=3).map(sorted), min_size=1, max_size=30),
    rare=st.floats(0.01, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_rare_classes_count_more_and_sound_pictures_no_more_than_defects(ids, rare):
    repeats = repeat_factors(Labels(ids, 4), rare)
    defect = np.array([bool(found) for found in ids])
    assert np.isfinite(repeats).all() and (repeats > 0).all()
    assert (repeats[defect] >= 1).all()
    if defect.any():
        assert repeats[~defect].sum() <= repeats[defect].sum() + 1e-9
        share = {c: np.mean([c in found for found in ids if found]) for c in (1, 2, 3)}
        for found, factor in zip(ids, repeats, strict=True):
            if found:
                rarest = min(share[c] for c in found)
                assert factor == pytest.approx(max(1.0, (rare / rarest) ** 0.5))
    else:
        assert (repeats == 1).all()


def test_over_many_epochs_a_picture_is_drawn_as_often_as_its_factor_says():
    data = Labels([[1]] * 17 + [[1, 2]] + [[]] * 60, 3)
    batches = Batches(data, 6, 0, 0.2)
    shown = Counter(n for epoch in range(200) for numbers in batches.order(epoch) for n in numbers)
    rare, usual = shown[17] / 200, sum(shown[n] for n in range(17)) / 17 / 200
    sound, defects = sum(shown[n] for n in range(18, 78)), sum(shown[n] for n in range(18))
    assert rare / usual == pytest.approx(batches.repeats[17], rel=0.1)
    assert sound == pytest.approx(defects, rel=0.1)


def test_framed_masks_keep_their_ids_and_padding_is_ignored(samples):
    data = FramedSet(samples, 3, Frame(64))
    for index in range(len(samples)):
        image, mask = data.framed(index)
        assert image.shape == (64, 64, 3) and mask.shape == (64, 64)
        inner_h, inner_w = data.frame.inner(40, 72)
        assert set(np.unique(mask[:inner_h, :inner_w])) == {0, 1 + index % 2, 2, IGNORE}
        assert (mask[inner_h:] == IGNORE).all()
        assert (image[inner_h:] == PAD).all()


@ONE_CORE
def test_cached_or_not_and_with_workers_batches_are_the_same(samples):
    cached, fresh = FramedSet(samples, 3, Frame(64)), FramedSet(samples, 3, Frame(64))
    fresh.cache = None
    kept, rows = Batches(cached, 3, 0, 0.0), []
    for batches, workers in ((kept, 0), (kept, 0), (Batches(fresh, 3, 0, 0.0), 0), (Batches(fresh, 3, 0, 0.0), 2)):
        rows.append(list(batches.epoch(1, 0, workers)))
    assert len(cached.cache) == len(samples)
    for row in rows[1:]:
        for (images, masks, names), (its_images, its_masks, its_names) in zip(rows[0], row, strict=True):
            assert torch.equal(images, its_images) and torch.equal(masks, its_masks) and names == its_names


def test_a_share_of_none_enlarges_nothing_and_large_defects_stay_whole(samples, monkeypatch):
    def masks(zoom, share):
        batches = Batches(FramedSet(samples, 3, Frame(64), zoom=zoom), 2, 5, 0.0).epoch(1, 0, 0, share)
        return torch.cat([row[1] for row in batches])

    assert torch.equal(masks(1.0, 1.0), masks(0.0, 1.0))  # defects here take a tenth of the picture and more
    monkeypatch.setattr(feed, "LARGE", 1.0)
    assert torch.equal(masks(1.0, 0.0), masks(0.0, 1.0))
    assert not torch.equal(masks(1.0, 1.0), masks(0.0, 1.0))


@ONE_CORE
def test_enlarged_windows_are_drawn_by_seed_epoch_and_place_alone(samples, monkeypatch):
    monkeypatch.setattr(feed, "LARGE", 1.0)  # defects here take a tenth of the picture and more

    def shown(first, workers, epoch=1):
        return list(Batches(FramedSet(samples, 3, Frame(64), zoom=0.7), 2, 5, 0.0).epoch(epoch, first, workers))

    whole = shown(0, 0)
    torch.manual_seed(9)
    for part, first in ((shown(0, 2), 0), (shown(2, 0), 2)):
        assert len(part) == len(whole) - first
        for row, its in zip(whole[first:], part, strict=True):
            assert torch.equal(row[0], its[0]) and torch.equal(row[1], its[1]) and row[2] == its[2]
    assert not torch.equal(torch.cat([row[1] for row in whole]), torch.cat([row[1] for row in shown(0, 0, 2)]))


@given(h=st.integers(1, 60), w=st.integers(1, 60), seed=st.integers(0, 999), defect=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_window_is_a_cut_of_picture_and_mask_alike_and_shows_a_defect_where_there_is_one(h, w, seed, defect):
    rng = np.random.default_rng(seed)
    mask = np.zeros((h, w), np.uint8)
    mask[rng.integers(h), rng.integers(w)] = 3 if defect else IGNORE
    place = np.stack(np.divmod(np.arange(h * w).reshape(h, w), w), 2)
    image = np.concatenate([place, mask[..., None]], 2).astype(np.uint8)
    cut, labels = window(image, mask, rng)
    assert np.array_equal(cut[..., 2], labels)
    y, x = cut[0, 0, :2]
    assert np.array_equal(cut, image[y : y + cut.shape[0], x : x + cut.shape[1]])
    assert max(cut.shape[:2]) <= max(1, round(max(h, w) / 1.25)) and max(h, w) <= ZOOM * (max(cut.shape[:2]) + 1)
    assert (labels == 3).any() == defect


def test_an_epoch_begun_in_the_middle_is_the_rest_of_it(samples):
    batches = Batches(FramedSet(samples, 3, Frame(64)), 2, 0, 0.0)
    whole, rest = [row[2] for row in batches.epoch(4, 0, 0)], [row[2] for row in batches.epoch(4, 2, 0)]
    assert rest == whole[2:] and len(whole) == 4


def test_names_go_with_their_pictures(samples):
    data = FramedSet(samples, 3, Frame(64))
    for images, masks, names in Batches(data, 3, 0, 0.0).epoch(0, 0, 0):
        assert images.shape == (3, 64, 64, 3) and images.dtype == masks.dtype == torch.uint8
        for image, mask, name in zip(images, masks, names, strict=True):
            expected = data.framed(int(name.removeprefix("picture")))
            assert np.array_equal(image.numpy(), expected[0]) and np.array_equal(mask.numpy(), expected[1])


def test_statistics_are_those_of_the_pixels_inside_rounded_to_four_digits(samples):
    mean, std, light = picture_statistics(data := FramedSet(samples, 3, Frame(64)))
    pixels = np.concatenate([data.framed(i)[0][data.framed(i)[1] != IGNORE] for i in range(7)]) / 255.0
    np.testing.assert_allclose(mean, pixels.mean(0), atol=5.1e-5)
    np.testing.assert_allclose(std, pixels.std(0), atol=5.1e-5)
    assert all(round(value, 4) == value for value in mean + std)
    greys = []
    for i, sample in enumerate(samples[:7]):
        h, w = Frame(64).inner(*sample.read(3)[1].shape)
        greys.append(data.framed(i)[0][:h, :w].mean())
    np.testing.assert_allclose(light, (min(greys), max(greys)), atol=5.1e-3)


def test_the_light_of_a_picture_counts_what_is_not_scored_as_the_line_does(tmp_path):
    image, mask = np.zeros((64, 128, 3), np.uint8), np.full((64, 128), IGNORE, np.uint8)  # a part before a black wall
    image[16:48, 32:96], mask[16:48, 32:96] = 200, 0
    mask[20:24, 40:44] = 1
    write_png(tmp_path / "a.png", image)
    write_png(tmp_path / "m.png", mask)
    sample = Sample("a", tmp_path / "a.png", tmp_path / "m.png")
    mean, _, light = picture_statistics(FramedSet([sample], 2, Frame(64)))
    assert light == (50, 50) and mean == (0.7843,) * 3  # the network's own mean is of what is scored


def test_pictures_of_one_colour_do_not_divide_by_zero(tmp_path):
    write_png(tmp_path / "grey.png", np.full((32, 32, 3), 7, np.uint8))
    _, std, light = picture_statistics(FramedSet([Sample("grey", tmp_path / "grey.png")], 2, Frame(32)))
    assert min(std) > 0 and light == (7, 7)


def test_a_picture_that_has_gone_is_named():
    with pytest.raises(ImageError, match=r"gone\.png"):
        FramedSet([Sample("gone", Path("gone.png"))], 2, Frame(32)).framed(0)
