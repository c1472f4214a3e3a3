"""Swin-Unet: a U-Net whose blocks are Swin transformers, attention inside windows that every second block shifts.

Paper: Cao, Wang, Chen, Jiang, Zhang, Tian, Wang, "Swin-Unet: Unet-like Pure Transformer for Medical Image
Segmentation", ECCV Workshops 2022; windows, shifts and merging are those of Liu et al., "Swin Transformer", ICCV 2021.
Source read: HuCaoFighting/Swin-Unet (no licence: as a specification only), the "tiny lite" configuration.
Parameters: its own paper not printed / A-Net's table 27.17 M / here 27.17 M (27.18 M with window 8).
Differs: the source is built for one size whose maps the window divides; here sides need only be multiples of 32, as in
Swin's detection code: maps are padded to whole windows inside a block and cropped after its attention. There padding
takes part in the attention as zeros, here it is masked, so that no answer depends on it. At 224 with window 7 and at
512 with window 8 nothing is padded, and all is as in the source. A skip carries what enters a stage's blocks, as in the
source. The source starts both halves from Swin-T's ImageNet weights, here nothing is pretrained.
Initialisation: the source's: linear layers and position biases normal with 0.02 (its truncation at +-2 is 100 sigma
away and left out), their biases 0, LayerNorm 1 and 0; the patch embedding PyTorch's default.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._drop_path import DropPath

PATCH = 4  # pixels a side of a token: paper, 3.1
WIDTH = 96  # channels of the first stage: Swin-T
BLOCKS = 2  # a stage: paper, Fig. 1
HEADS = (3, 6, 12, 24)  # by stage: Swin-T; 32 channels a head
MLP = 4  # hidden channels of the perceptron for each channel: Swin-T
DROP_PATH = 0.2  # at the deepest block, linear from 0 at the first: the source's configuration file
INIT_STD = 0.02  # source


def linear(ci: int, co: int, bias: bool = True) -> nn.Linear:
    """Make a linear layer with the source's initialisation."""
    layer = nn.Linear(ci, co, bias=bias)
    nn.init.normal_(layer.weight, std=INIT_STD)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def to_windows(x: Tensor, window: int) -> Tensor:
    """Cut maps into windows, row by row. (N, H, W, C) -> (N, H/window * W/window, window^2, C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // window, window, w // window, window, c).transpose(2, 3)
    return x.reshape(n, (h // window) * (w // window), window * window, c)


def from_windows(x: Tensor, window: int, h: int, w: int) -> Tensor:
    """Put windows together again: the inverse of `to_windows`. -> (N, h, w, C)."""
    n, _, _, c = x.shape
    x = x.reshape(n, h // window, w // window, window, window, c).transpose(2, 3)
    return x.reshape(n, h, w, c)


def regions(side: int, padded: int, shift: int, device: torch.device) -> Tensor:
    """Number what may see each other along one shifted axis: 0 the map, 1 what the shift wrapped round, 2 padding."""
    place = (torch.arange(padded, device=device) + shift) % padded  # before the shift
    return (place < shift) + 2 * (place >= side)  # (padded,)


class WindowAttention(nn.Module):
    """Multi-head attention inside each window, with a learned bias for each relative position. Paper: eq. (5)."""

    pairs: Tensor  # for each two tokens of a window the row of `bias`

    def __init__(self, c: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.scale = (c // heads) ** -0.5
        self.qkv, self.proj = linear(c, 3 * c), linear(c, c)
        self.bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads).normal_(std=INIT_STD))
        y, x = torch.arange(window).repeat_interleave(window), torch.arange(window).repeat(window)
        dy, dx = y[:, None] - y + window - 1, x[:, None] - x + window - 1  # 0 .. 2 window - 2
        self.register_buffer("pairs", dy * (2 * window - 1) + dx, persistent=False)  # (window^2, window^2)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (N, windows, tokens, c) to the same shape; `mask` (windows, 1, tokens, tokens) is added to the scores."""
        n, windows, tokens, c = x.shape
        qkv = self.qkv(x).reshape(n, windows, tokens, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)  # (N, windows, heads, tokens, c/heads) each
        bias = self.bias[self.pairs.flatten()].view(tokens, tokens, self.heads)  # by a matrix, OpenVINO 2026.0 fails
        scores = (q * self.scale) @ k.transpose(-2, -1) + bias.permute(2, 0, 1)
        if mask is not None:
            scores = scores + mask
        x = scores.softmax(-1) @ v
        return self.proj(x.transpose(2, 3).reshape(n, windows, tokens, c))


class SwinBlock(nn.Module):
    """Attention in (shifted) windows and a perceptron, each on a normalised input with a residual. Paper: Fig. 2.

    (N, H, W, c) is kept. An axis that is one window alone is never shifted: the shift would only cut it in two.
    """

    def __init__(self, c: int, heads: int, window: int, shifted: bool, drop_path: float):
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.norm1, self.attention = nn.LayerNorm(c), WindowAttention(c, heads, window)
        self.norm2, self.mlp = nn.LayerNorm(c), nn.Sequential(linear(c, MLP * c), nn.GELU(), linear(MLP * c, c))
        self.drop1, self.drop2 = DropPath(drop_path), DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop1(self.attend(self.norm1(x)))
        return x + self.drop2(self.mlp(self.norm2(x)))

    def attend(self, x: Tensor) -> Tensor:
        h, w = x.shape[1:3]
        padded_h, padded_w = h + -h % self.window, w + -w % self.window
        dy, dx = self.shift * (padded_h > self.window), self.shift * (padded_w > self.window)
        if (padded_h, padded_w) != (h, w):
            x = F.pad(x, (0, 0, 0, padded_w - w, 0, padded_h - h))  # (N, padded_h, padded_w, c)
        if dy or dx:
            x = x.roll((-dy, -dx), (1, 2))
        mask = None
        if dy or dx or (padded_h, padded_w) != (h, w):
            rows, columns = regions(h, padded_h, dy, x.device), regions(w, padded_w, dx, x.device)
            region = to_windows((3 * rows[:, None] + columns)[None, ..., None], self.window)[0]  # (windows, tokens, 1)
            apart = region != region.transpose(1, 2)  # each token is in its own region: no row is masked as a whole
            mask = x.new_zeros(apart.shape).masked_fill(apart, -torch.inf)[:, None]
        x = from_windows(self.attention(to_windows(x, self.window), mask), self.window, padded_h, padded_w)
        if dy or dx:
            x = x.roll((dy, dx), (1, 2))
        return x[:, :h, :w]


class PatchMerging(nn.Module):
    """Halve height and width: join 2x2 tokens and map them to twice the channels. Paper: 3.3, "Patch merging layer"."""

    def __init__(self, c: int):
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(4 * c), linear(4 * c, 2 * c, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduce(self.norm(torch.cat(corners, dim=-1)))  # (N, H/2, W/2, 2c)


class PatchExpanding(nn.Module):
    """Multiply height and width by `factor`: each token's channels become its square. Paper: 3.5."""

    def __init__(self, ci: int, co: int, factor: int):
        super().__init__()
        self.factor = factor
        self.expand, self.norm = linear(ci, factor * factor * co, bias=False), nn.LayerNorm(co)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        x = self.expand(x).reshape(n, h, w, self.factor, self.factor, -1).transpose(2, 3)
        return self.norm(x.reshape(n, h * self.factor, w * self.factor, -1))  # (N, H factor, W factor, co)


class SwinUnet(nn.Module):
    """Swin-Unet, tiny: four stages of Swin blocks down, three up, skips between them.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits. H and W must be multiples of 32: OptionError says the padded
    size that works. `window` is the side of a window in tokens: 7 for 224 (the paper's), 8 for 512.
    """

    paper = "Cao et al., Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation, ECCV Workshops"
    year = 2022
    stride = 32
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1, window: int = 7):
        super().__init__()
        check_classes(classes)
        widths = [WIDTH * 2**i for i in range(len(HEADS))]
        last = BLOCKS * len(HEADS) - 1  # number of the deepest block: a stage of the way up has the rates of its level

        def stage(i: int) -> nn.Sequential:
            rates = [DROP_PATH * (BLOCKS * i + j) / last for j in range(BLOCKS)]
            return nn.Sequential(*(SwinBlock(widths[i], HEADS[i], window, j % 2 == 1, r) for j, r in enumerate(rates)))

        self.embed, self.embed_norm = nn.Conv2d(3, WIDTH, PATCH, PATCH), nn.LayerNorm(WIDTH)
        self.down = nn.ModuleList(stage(i) for i in range(len(HEADS)))
        self.merge = nn.ModuleList(PatchMerging(c) for c in widths[:-1])
        self.norm = nn.LayerNorm(widths[-1])
        self.expand = nn.ModuleList(PatchExpanding(2 * c, c, 2) for c in widths[:-1])
        self.join = nn.ModuleList(linear(2 * c, c) for c in widths[:-1])
        self.up = nn.ModuleList(stage(i) for i in range(len(HEADS) - 1))
        self.up_norm = nn.LayerNorm(WIDTH)
        self.last_expand = PatchExpanding(WIDTH, WIDTH, PATCH)
        self.classifier = nn.Conv2d(WIDTH, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("Swin-Unet", self.stride, *x.shape[-2:])
        x = self.embed_norm(self.embed(x).permute(0, 2, 3, 1))  # (N, H/4, W/4, 96)
        skips = []
        for blocks, merge in zip(self.down, self.merge, strict=False):  # the last stage has no merging
            skips.append(x)
            x = merge(blocks(x))  # (N, H/8, W/8, 192), then 1/16 of 384, 1/32 of 768
        x = self.norm(self.down[-1](x))
        for i in reversed(range(len(skips))):
            x = self.join[i](torch.cat([self.expand[i](x), skips[i]], dim=-1))
            x = self.up[i](x)  # (N, H/16, W/16, 384), then 1/8 of 192, 1/4 of 96
        x = self.last_expand(self.up_norm(x))  # (N, H, W, 96)
        return self.classifier(x.permute(0, 3, 1, 2))  # (N, classes, H, W)
