"""The loss of equations (6) and (7)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from anet.frame import IGNORE
from anet.nets.contract import AuxHead
from anet.training.losses import EPSILON, detail_target, segmentation_loss, training_loss

torch.set_num_threads(1)


def batch(channels, n=3, h=8, w=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, channels, h, w, generator=rng) * 3
    return logits, torch.randint(0, max(2, channels), (n, h, w), generator=rng, dtype=torch.uint8)


def plain_loss(logits, target):
    """Equations (6) and (7) of one channel, one picture at a time, as printed."""
    losses = []
    for x, t in zip(logits[:, 0].double(), target, strict=True):
        keep = t != 255
        p, g = torch.sigmoid(x[keep]), (t[keep] > 0).double()
        dice = 1 - (2 * (p * g).sum() + EPSILON) / ((p**2).sum() + (g**2).sum() + EPSILON)
        bce = -(g * p.log() + (1 - g) * (1 - p).log()).mean()
        losses.append(dice + 0.5 * bce)
    return torch.stack(losses).mean()


def test_one_channel_is_equations_6_and_7_as_printed():
    logits, target = batch(1)
    target[0, :3] = 255
    torch.testing.assert_close(segmentation_loss(logits, target), plain_loss(logits, target).float())


def test_several_channels_are_softmax_dice_of_the_defect_classes_and_half_the_cross_entropy():
    logits, target = batch(4)
    probs = logits.double().softmax(1)
    expected = []
    for p, t in zip(probs, target, strict=True):
        dice = []
        for k in (1, 2, 3):
            g = (t == k).double()
            dice.append(1 - (2 * (p[k] * g).sum() + 1) / ((p[k] ** 2).sum() + g.sum() + 1))
        entropy = -torch.stack([p[int(t[y, x]), y, x].log() for y in range(8) for x in range(8)]).mean()
        expected.append(sum(dice) / 3 + 0.5 * entropy)
    torch.testing.assert_close(segmentation_loss(logits, target), torch.stack(expected).mean().float())


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_batch_is_the_mean_of_its_pictures(channels):
    logits, target = batch(channels)
    alone = [segmentation_loss(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(segmentation_loss(logits, target), torch.stack(alone).mean())


@pytest.mark.parametrize("channels", [1, 3])
@given(seed=st.integers(0, 99), value=st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_ignored_pixels_change_neither_value_nor_gradient(channels, seed, value):
    logits, target = batch(channels, seed=seed)
    target[:, 2:4] = 255
    target[1] = 255  # a whole picture
    changed = logits.clone()
    changed[:, :, 2:4] = value
    logits.requires_grad_()
    loss = segmentation_loss(logits, target)
    loss.backward()
    torch.testing.assert_close(segmentation_loss(changed, target), loss.detach())
    assert logits.grad[:, :, 2:4].abs().max() == 0
    assert logits.grad[1].abs().max() == 0
    assert logits.grad[0, :, 5:].abs().max() > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_cutting_ignored_padding_off_changes_nothing(channels):
    logits, target = batch(channels)
    target[:, :, 5:] = 255
    cut = segmentation_loss(logits[..., :5].contiguous(), target[..., :5].contiguous())
    torch.testing.assert_close(segmentation_loss(logits, target), cut)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_ignored_pixels_only_costs_nothing(channels):
    logits, target = batch(channels)
    assert segmentation_loss(logits, torch.full_like(target, 255)) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_perfect_answers_cost_nothing_and_wrong_ones_stay_finite(channels):
    _, target = batch(channels)
    ids = target.long() if channels > 1 else target.long().clamp(max=1)
    right = torch.nn.functional.one_hot(ids, max(2, channels)).permute(0, 3, 1, 2).float() * 200 - 100
    right = right[:, 1:] if channels == 1 else right
    assert segmentation_loss(right, target) < 1e-6
    wrong = (-right * 1e4).requires_grad_()
    loss = segmentation_loss(wrong, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(wrong.grad).all()


def test_an_empty_mask_rewards_silence():
    empty = torch.zeros(1, 8, 8, dtype=torch.uint8)
    losses = [segmentation_loss(torch.full((1, 1, 8, 8), level), empty).item() for level in (5.0, 0.0, -5.0, -30.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_arithmetic_is_float32_also_under_autocast(channels, dtype):
    logits, target = batch(channels, h=64, w=64)
    half = logits.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = segmentation_loss(half, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, segmentation_loss(half.float(), target), rtol=0, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_byte_and_long_targets_give_the_same_loss_in_any_memory_format(channels):
    logits, target = batch(channels)
    last = logits.to(memory_format=torch.channels_last)
    torch.testing.assert_close(segmentation_loss(last, target.long()), segmentation_loss(logits, target))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_loss_is_one_graph_without_breaks(channels):
    compiled = torch.compile(segmentation_loss, backend="eager", fullgraph=True)
    logits, target = batch(channels)
    torch.testing.assert_close(compiled(logits, target), segmentation_loss(logits, target))


def test_a_target_of_another_shape_is_refused_instead_of_broadcast():
    logits, target = batch(1)
    with pytest.raises(ValueError, match=r"target is \(1, 8, 8\)"):
        segmentation_loss(logits, target[:1])


def test_balanced_entropy_weighs_each_class_of_a_picture_alike_however_small():
    target = torch.zeros(2, 8, 8, dtype=torch.uint8)
    target[0, 0, 0] = 1  # one pixel of 64
    target[0, 7] = 255
    logits = torch.full((2, 1, 8, 8), -2.0)
    missed, silent = torch.nn.functional.softplus(torch.tensor([2.0, -2.0]))
    balanced = [segmentation_loss(logits[i : i + 1], target[i : i + 1], 1.0) for i in range(2)]
    torch.testing.assert_close(balanced[0], (missed + silent) / 2)
    torch.testing.assert_close(balanced[1], silent)  # a sound picture: all of it is background


def test_balance_mixes_the_two_losses():
    logits, target = torch.randn(3, 4, 8, 8), torch.randint(0, 4, (3, 8, 8), dtype=torch.uint8)
    plain, balanced = segmentation_loss(logits, target), segmentation_loss(logits, target, 1.0)
    torch.testing.assert_close(segmentation_loss(logits, target, 0.25), 0.75 * plain + 0.25 * balanced)
    assert segmentation_loss(logits, torch.full_like(target, 255), 1.0) == 0


# --- auxiliary heads


def test_a_tuple_of_outputs_costs_the_sum_of_its_heads_with_their_weights():
    logits, target = batch(3)
    small = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    edges = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(2))
    heads = (AuxHead("mask", 0.4), AuxHead("detail", 2.0))
    large = [F.interpolate(one, size=(8, 8), mode="bilinear", align_corners=False) for one in (small, edges)]
    expected = (
        segmentation_loss(logits, target, 0.3)
        + 0.4 * segmentation_loss(large[0], target, 0.3)
        + 2.0 * segmentation_loss(large[1], detail_target(target))
    )
    torch.testing.assert_close(training_loss((logits, small, edges), target, 0.3, heads), expected)
    assert torch.equal(training_loss(logits, target, 0.3, heads), segmentation_loss(logits, target, 0.3))


def test_an_output_without_its_head_is_our_fault_and_is_loud():
    logits, target = batch(1)
    with pytest.raises(ValueError, match="zip"):
        training_loss((logits, logits), target)


def test_the_detail_target_is_the_boundary_of_defects_and_never_the_pictures_border():
    target = torch.zeros(1, 16, 16, dtype=torch.uint8)
    target[0, :, :8] = 1  # touches three sides
    found = detail_target(target)
    assert found.shape == target.shape and found.dtype == target.dtype
    assert found[0, :, 7].all() and set(found.unique().tolist()) == {0, 1}
    assert not found[0, :, :5].any() and not found[0, :, 10:].any()
    assert not detail_target(torch.ones_like(target)).any()
    assert not detail_target(torch.zeros_like(target)).any()


def test_what_is_ignored_stays_so_in_the_detail_target_and_its_edge_is_no_boundary():
    target = torch.ones(1, 16, 16, dtype=torch.uint8)
    target[0, 4:9, 4:9] = IGNORE
    found = detail_target(target)
    assert (found[target == IGNORE] == IGNORE).all()
    ring = found.clone()
    ring[0, 4:9, 4:9] = 0
    assert not ring[0, 3:10, 3:10].any()
