"""Parts of the zoo's networks held against their definition, written out slowly: counts alone would not show a slip."""

import pytest
import torch
import torch.nn.functional as F

from anet.nets.zoo._drop_path import DropPath
from anet.nets.zoo._unpool import corners, unpool
from anet.nets.zoo.ccnet import CrissCrossAttention
from anet.nets.zoo.lsanet import half_maxima
from anet.nets.zoo.swinunet import PatchExpanding, SwinBlock

torch.set_num_threads(1)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_unpooling_is_pytorchs_also_where_a_window_has_its_maximum_twice():
    x = torch.randint(0, 3, (2, 3, 8, 12), generator=torch.Generator().manual_seed(0)).float()
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    values = noise(*pooled.shape)
    assert torch.equal(unpool(values, corners(x, pooled)), F.max_unpool2d(values, indices, 2))


@pytest.mark.parametrize("scale", [1, 30])  # with large scores the pixel's second meeting with itself is still nothing
def test_criss_cross_attention_sees_row_and_column_once(scale):
    torch.manual_seed(0)
    attention, x = CrissCrossAttention(16).double(), noise(2, 16, 4, 5).double()
    with torch.no_grad():
        attention.gamma.fill_(0.7)
        attention.query.weight.mul_(scale)
        answer = attention(x)
        query, key, value = attention.query(x), attention.key(x), attention.value(x)
        expected = x.clone()
        for i in range(4):
            for j in range(5):
                seen = [(i, b) for b in range(5)] + [(a, j) for a in range(4) if a != i]
                scores = torch.stack([(query[:, :, i, j] * key[:, :, a, b]).sum(1) for a, b in seen], 1)
                values = torch.stack([value[:, :, a, b] for a, b in seen], 1)
                expected[:, :, i, j] += 0.7 * (scores.softmax(1)[..., None] * values).sum(1)
    torch.testing.assert_close(answer, expected)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("h", "w"), [(14, 14), (7, 7), (8, 16), (3, 20)])
def test_a_token_attends_to_its_true_neighbours_in_its_window_and_to_no_padding(h, w, shifted):
    torch.manual_seed(0)
    c, heads, window = 12, 3, 7
    block, x = SwinBlock(c, heads, window, shifted, 0.0).double(), noise(1, h, w, c).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
        answer = block.attend(x)
        q, k, v = block.attention.qkv(x)[0].reshape(h * w, 3, heads, c // heads).unbind(1)
        ys, xs = torch.arange(h).repeat_interleave(w), torch.arange(w).repeat(h)
        dy, dx = 3 * (shifted and h > window), 3 * (shifted and w > window)
        place = torch.stack([(ys - dy) // window, (xs - dx) // window])
        together = (place[:, :, None] == place[:, None]).all(0)
        far_y, far_x = ys[:, None] - ys + window - 1, xs[:, None] - xs + window - 1
        row = (far_y * (2 * window - 1) + far_x).where(together, 0)
        scores = torch.einsum("ihc,jhc->hij", q, k) * (c // heads) ** -0.5 + block.attention.bias[row].permute(2, 0, 1)
        share = scores.masked_fill(~together, -torch.inf).softmax(-1)
        mixed = torch.einsum("hij,jhc->ihc", share, v).reshape(h * w, c)
        expected = block.attention.proj(mixed).reshape(1, h, w, c)
    torch.testing.assert_close(answer, expected)


def test_patch_expanding_lays_a_tokens_channels_out_row_by_row():
    expanding = PatchExpanding(4, 2, 2)
    seen = {}
    expanding.norm.register_forward_pre_hook(lambda module, args: seen.update(x=args[0]))
    with torch.no_grad():
        x = noise(1, 3, 5, 4)
        expanding(x)
        wide = expanding.expand(x)
    for i in range(6):
        for j in range(10):
            part = 2 * (i % 2) + j % 2
            torch.testing.assert_close(seen["x"][:, i, j], wide[:, i // 2, j // 2, 2 * part : 2 * part + 2])


@pytest.mark.parametrize("dim", [2, 3])
def test_half_maxima_are_max_pooling_and_nearest_neighbours(dim):
    x = noise(2, 3, 6, 8)
    kernel = (3, 1) if dim == 2 else (1, 4)
    assert torch.equal(half_maxima(x, dim), F.interpolate(F.max_pool2d(x, kernel), size=(6, 8)))


def test_drop_path_drops_whole_pictures_and_keeps_the_mean():
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 2, 3)
    answer = drop(x)
    kept = answer[:, 0, 0]
    assert (answer == kept[:, None, None]).all()
    assert torch.equal(kept.unique(), torch.tensor([0, 1 / 0.75]))
    assert abs(float(kept.mean()) - 1) < 0.05
    assert torch.equal(drop.eval()(x), x)
