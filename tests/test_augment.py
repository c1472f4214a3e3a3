"""Augmentation: picture and mask move together, and no pixel gets a label that nobody gave it."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.frame import IGNORE
from anet.training.augment import Augment, drawn, paste_defects, turn
from anet.training.recipes import PAPER, STRONG

torch.set_num_threads(1)

ALWAYS = dataclasses.replace(STRONG, affine=1.0, elastic=1.0, photometric=1.0, paste=1.0)
WARPS = {
    "affine": dataclasses.replace(ALWAYS, elastic=0.0, photometric=0.0, paste=0.0),
    "elastic": dataclasses.replace(ALWAYS, affine=0.0, photometric=0.0, paste=0.0),
    "all": ALWAYS,
}


def batch(n=4, side=64, ids=(3, 7), seed=0):
    """Give pictures and masks of blobs of `ids`, with a frame of IGNORE below and a hole of it inside."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand((n, 3, side, side), generator=rng)
    masks = torch.zeros((n, side, side), dtype=torch.uint8)
    for i in range(n):
        y, x = torch.randint(5, side // 2, (2,), generator=rng).tolist()
        masks[i, y : y + 14, x : x + 9] = ids[i % len(ids)]
    masks[:, -10:], masks[:, 2:6, 2:6] = IGNORE, IGNORE
    return images, masks


def pasted(images, masks, takers=None):
    """Give what `paste_defects` makes of a batch that is kept; every picture takes where none is named."""
    seen, labels = images.clone(), masks.clone()
    numbers = torch.arange(len(images)) if takers is None else torch.tensor(takers, dtype=torch.long)
    paste_defects(seen, labels, numbers)
    return seen, labels


@pytest.mark.parametrize("recipe", [PAPER, STRONG, *WARPS.values()], ids=["paper", "strong", *WARPS])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shapes_types_and_ranges_stay_and_no_id_is_invented(recipe, seed):
    images, masks = batch(seed=seed)
    torch.manual_seed(seed)
    seen, labels = Augment(recipe)(images.clone(), masks.clone())
    assert (seen.shape, seen.dtype) == (images.shape, torch.float32)
    assert (labels.shape, labels.dtype) == (masks.shape, torch.uint8)
    assert torch.isfinite(seen).all() and seen.min() >= 0 and seen.max() <= 1
    for i in range(len(masks)):  # the ids of the picture, and of the one whose defects are pasted
        allowed = set(masks[i].unique().tolist()) | (set(masks[i - 1].unique().tolist()) if recipe.paste else set())
        assert set(labels[i].unique().tolist()) <= allowed


@pytest.mark.parametrize("recipe", WARPS.values(), ids=list(WARPS))
def test_what_is_ignored_never_becomes_a_class(recipe):
    """Interpolated between 0 and IGNORE, a mask would hold every id there is."""
    images, masks = batch(n=6)
    masks[masks != IGNORE] = 0
    for seed in range(3):
        torch.manual_seed(seed)
        assert set(Augment(recipe)(images, masks)[1].unique().tolist()) <= {0, IGNORE}


@pytest.mark.parametrize("recipe", [PAPER, ALWAYS], ids=["paper", "all"])
def test_the_same_seed_gives_the_same_view_and_another_seed_another(recipe):
    images, masks = batch()
    views = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        views.append(Augment(recipe)(images.clone(), masks.clone()))
    assert torch.equal(views[0][0], views[1][0]) and torch.equal(views[0][1], views[1][1])
    assert not torch.equal(views[0][0], views[2][0])


def test_the_batch_that_was_given_is_not_touched():
    images, masks = batch()
    kept = images.clone(), masks.clone()
    Augment(ALWAYS)(images, masks)
    assert torch.equal(images, kept[0]) and torch.equal(masks, kept[1])


@pytest.mark.parametrize("recipe", WARPS.values(), ids=list(WARPS))
def test_a_mask_drawn_into_its_picture_moves_as_the_picture_does(recipe):
    """The picture is its own mask: after the warp, both must still show the same blob, but for the blurred edge."""
    recipe = dataclasses.replace(recipe, photometric=0.0, paste=0.0)
    masks = torch.zeros((8, 96, 96), dtype=torch.uint8)
    masks[:, 30:62, 22:50] = 1
    images = masks[:, None].float().expand(-1, 3, -1, -1)
    torch.manual_seed(0)
    seen, labels = Augment(recipe)(images, masks)
    moved = (seen[:, 0] > 0.5) != (images[:, 0] > 0.5)
    assert moved.flatten(1).any(1).all(), "nothing moved"
    differs = (seen[:, 0] > 0.5) != (labels > 0)
    assert (differs.flatten(1).sum(1) <= 0.06 * (labels > 0).flatten(1).sum(1)).all()


@given(rot90=st.booleans(), flips=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_a_turn_is_exact_and_takes_the_mask_along(rot90, flips, seed):
    rng = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 256, (5, 8, 8), generator=rng, dtype=torch.uint8)
    images = masks[:, None].float().expand(-1, 3, -1, -1) / 255
    torch.manual_seed(seed)
    turned, labels = turn(images, masks, rot90, flips)
    for i in range(5):
        assert torch.equal(turned[i], (labels[i].float() / 255).expand(3, -1, -1))
        turns = [torch.rot90(masks[i], k) for k in (range(4) if rot90 else [0])]
        views = turns + ([t.flip(1) for t in turns] + [t.flip(0) for t in turns] if flips else [])
        views += [masks[i].flip(0).flip(1)] if flips else []
        assert any(torch.equal(labels[i], view) for view in views)


@pytest.mark.parametrize(
    ("rot90", "flips", "kinds"), [(True, True, 8), (True, False, 4), (False, True, 4), (False, False, 1)]
)
def test_every_turn_there_is_comes_up(rot90, flips, kinds):
    masks = torch.arange(16, dtype=torch.uint8).view(1, 4, 4).repeat(300, 1, 1)
    torch.manual_seed(0)
    _, labels = turn(masks[:, None].float().repeat(1, 3, 1, 1), masks, rot90, flips)
    assert len({tuple(label.flatten().tolist()) for label in labels}) == kinds


def test_the_papers_recipe_only_turns_and_flips():
    augment = Augment(PAPER)
    assert not augment.warps and not augment.lights and PAPER.paste == 0 and PAPER.rot90 and PAPER.flips
    images, masks = batch()
    torch.manual_seed(0)
    seen, labels = augment(images, masks)
    for i in range(len(images)):
        turns = [(images[i].rot90(k, (1, 2)), masks[i].rot90(k, (0, 1))) for k in range(4)]
        turns += [(image.flip(2), mask.flip(1)) for image, mask in turns]
        assert any(torch.equal(seen[i], image) and torch.equal(labels[i], mask) for image, mask in turns)


def test_light_leaves_masks_alone():
    recipe = dataclasses.replace(PAPER, rot90=False, flips=False, photometric=1.0)
    images, masks = batch()
    seen, labels = Augment(recipe)(images, masks)
    assert torch.equal(labels, masks)
    assert not torch.equal(seen, images)


@given(seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_a_defect_is_pasted_only_where_the_donor_had_one_and_never_over_what_is_ignored(seed):
    images, masks = batch(n=3, seed=seed)
    masks[0][masks[0] != IGNORE] = 0  # a sound picture gets one, and gives none
    torch.manual_seed(seed)
    seen, labels = pasted(images, masks)
    donor = torch.roll(masks, 1, 0)
    allowed = (donor > 0) & (donor != IGNORE) & (masks != IGNORE)
    assert torch.equal(labels[allowed], donor[allowed])
    assert torch.equal(labels[~allowed], masks[~allowed])
    assert torch.equal(labels == IGNORE, masks == IGNORE)
    assert torch.equal(seen[1], images[1]), "its donor is sound: nothing to paste"


def test_a_pasted_defect_takes_the_light_of_its_new_surface():
    images = torch.stack([torch.full((3, 64, 64), 0.3), torch.full((3, 64, 64), 0.7)])
    masks = torch.zeros((2, 64, 64), dtype=torch.uint8)
    masks[0, 20:36, 20:36] = 1
    images[0, :, 20:36, 20:36] = 0.1  # darker than its surface by 0.2
    seen, labels = pasted(images, masks)
    assert (labels[1] == 1).sum() == 16 * 16
    assert seen[1, :, 24:32, 24:32].mean() == pytest.approx(0.5, abs=0.05)
    assert seen[1, :, :10].mean() == pytest.approx(0.7, abs=1e-6)


def test_only_who_takes_gets_a_pasted_defect():
    images, masks = batch()
    seen, labels = pasted(images, masks, [])
    assert torch.equal(seen, images) and torch.equal(labels, masks)
    seen, labels = pasted(images, masks, [2])
    assert [torch.equal(one, own) for one, own in zip(labels, masks, strict=True)] == [True, True, False, True]
    assert torch.equal(seen[[0, 1, 3]], images[[0, 1, 3]])


def test_each_picture_is_drawn_as_often_as_it_should_be():
    """Of the chosen ones alone, each by itself, and nothing of a picture that was not drawn."""
    torch.manual_seed(0)
    chosen = torch.tensor([True, False, True, True])
    counts = torch.zeros(4)
    for _ in range(2000):
        counts[drawn(chosen, 0.3)] += 1
    assert counts[1] == 0 and (counts[chosen] / 2000 - 0.3).abs().max() < 0.04
    assert drawn(chosen, 1.0).tolist() == [0, 2, 3] and drawn(chosen, 0.0).tolist() == []


def test_a_share_of_none_only_turns_and_a_part_changes_a_part():
    images, masks = batch(n=16)
    torch.manual_seed(3)
    only_turned = turn(images, masks, True, True)
    torch.manual_seed(3)
    seen, labels = Augment(ALWAYS)(images, masks, 0.0)
    assert torch.equal(seen, only_turned[0]) and torch.equal(labels, only_turned[1])
    torch.manual_seed(3)
    seen, labels = Augment(ALWAYS)(images, masks, 0.5)
    same = [torch.equal(a, b) for a, b in zip(seen, only_turned[0], strict=True)]
    assert 0 < sum(same) < 16
    assert all(torch.equal(labels[i], only_turned[1][i]) for i in range(16) if same[i])


def test_augmentation_comes_in_over_the_ramp():
    recipe = dataclasses.replace(STRONG, ramp=0.5, epochs=10)
    assert [recipe.ramp_at(epoch) for epoch in range(10)] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert dataclasses.replace(STRONG, ramp=0.0).ramp_at(0) == PAPER.ramp_at(0) == 1.0
