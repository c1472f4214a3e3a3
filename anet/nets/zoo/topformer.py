"""TopFormer, small: a convolutional pyramid whose four scales, pooled to one small grid, a transformer looks over.

Paper: Zhang, Huang, Luo, Chen, Wang, Liu, Yu, Shen, "TopFormer: Token Pyramid Transformer for Mobile Semantic
Segmentation", CVPR 2022.
Source read: hustvl/TopFormer (Apache-2.0).
Parameters: its own paper 3.1 M with 150 classes / A-Net's table 3.00 M / here 3.01 M. Of the table's FLOPs, 13 % (at
512: 14 %) are not found here: the nearest known reading, A-Net's authors probably had another head.
Differs: from the source in its initialisation alone. Attention scores are not scaled by 1/sqrt(channels of a key) there
either (BatchNorm sets their size), against the usual definition.
Initialisation: PyTorch's default. The source draws Kaiming-normal over fan-out, then loads ImageNet weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._drop_path import DropPath

# (kernel, expansion, channels, stride) of the inverted residuals after the stem: source's configuration, small.
PYRAMID = (
    (3, 1, 16, 1),
    (3, 4, 24, 2), (3, 3, 24, 1),
    (5, 3, 48, 2), (5, 3, 48, 1),
    (3, 3, 96, 2), (3, 3, 96, 1),
    (5, 6, 128, 2), (5, 6, 128, 1), (3, 6, 128, 1),
)  # fmt: skip
STEM = 16
TAPS = (2, 4, 6, 9)  # rows of PYRAMID whose outputs become tokens: 1/4, 1/8, 1/16, 1/32
INJECTED = slice(1, None)  # of the taps: 1/8 and below get their share of the tokens back
TOKEN_STRIDE = 2  # tokens lie at 1/64: half of the last tap's sides, rounded up
BLOCKS, HEADS, KEY, VALUE, MLP = 4, 6, 16, 32, 2  # transformer: blocks; heads; channels a head; hidden/own channels
WIDTH = 192  # of the injected features and the head
DROP_PATH = 0.1  # at the last block, linear from 0 at the first: source's configuration
DROPOUT = 0.1  # before the last layer: source's configuration


def conv_bn(ci: int, co: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Make a convolution without bias that keeps the size at stride 1, and its BatchNorm."""
    return nn.Sequential(nn.Conv2d(ci, co, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(co))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 expansion, depthwise, 1x1 without activation; residual where the shape is kept."""

    def __init__(self, ci: int, co: int, kernel: int, expansion: int, stride: int):
        super().__init__()
        c = ci * expansion
        expand = [conv_bn(ci, c), nn.ReLU(inplace=True)] if expansion > 1 else []
        self.main = nn.Sequential(
            *expand, conv_bn(c, c, kernel, stride, groups=c), nn.ReLU(inplace=True), conv_bn(c, co)
        )  # fmt: skip
        self.residual = stride == 1 and ci == co

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x) if self.residual else self.main(x)  # (N, co, H/stride, W/stride)


class Attention(nn.Module):
    """Multi-head attention between all tokens of the grid, its layers 1x1 convolutions. Shape is kept."""

    def __init__(self, c: int):
        super().__init__()
        self.q, self.k, self.v = conv_bn(c, HEADS * KEY), conv_bn(c, HEADS * KEY), conv_bn(c, HEADS * VALUE)
        self.proj = nn.Sequential(nn.ReLU6(inplace=True), conv_bn(HEADS * VALUE, c))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        q = self.q(x).reshape(n, HEADS, KEY, h * w).transpose(2, 3)  # (N, heads, tokens, 16)
        k = self.k(x).reshape(n, HEADS, KEY, h * w)
        v = self.v(x).reshape(n, HEADS, VALUE, h * w).transpose(2, 3)  # (N, heads, tokens, 32)
        x = ((q @ k).softmax(-1) @ v).transpose(2, 3)  # (N, heads, 32, tokens)
        return self.proj(x.reshape(n, HEADS * VALUE, h, w))


class TransformerBlock(nn.Module):
    """Attention, then a perceptron with a depthwise 3x3 inside, each with a residual. Shape is kept."""

    def __init__(self, c: int, drop_path: float):
        super().__init__()
        self.attention = Attention(c)
        self.mlp = nn.Sequential(
            conv_bn(c, MLP * c), nn.Conv2d(MLP * c, MLP * c, 3, padding=1, groups=MLP * c), nn.ReLU6(inplace=True),
            conv_bn(MLP * c, c),
        )  # fmt: skip
        self.drop1, self.drop2 = DropPath(drop_path), DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop1(self.attention(x))
        return x + self.drop2(self.mlp(x))


class Injection(nn.Module):
    """Weigh local features by what the tokens say, and add the tokens. Paper: "Semantics Injection Module"."""

    def __init__(self, c: int):
        super().__init__()
        self.local, self.tokens, self.gate = conv_bn(c, WIDTH), conv_bn(c, WIDTH), conv_bn(c, WIDTH)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, local: Tensor, tokens: Tensor) -> Tensor:
        gate = self.act(self.gate(tokens) + 3) / 6  # h-sigmoid
        size = local.shape[-2:]
        gate = F.interpolate(gate, size=size, mode="bilinear", align_corners=False)
        added = F.interpolate(self.tokens(tokens), size=size, mode="bilinear", align_corners=False)
        return self.local(local) * gate + added  # (N, 192, h, w)


class TopFormer(nn.Module):
    """TopFormer-S with its simple head.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits. H and W must be multiples of 32: OptionError says the padded
    size that works. A picture of up to 64x64 is one single token: then the transformer has nothing to compare.
    """

    paper = "Zhang et al., TopFormer: Token Pyramid Transformer for Mobile Semantic Segmentation, CVPR"
    year = 2022
    stride = 32
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.stem = nn.Sequential(conv_bn(3, STEM, 3, stride=2), nn.ReLU(inplace=True))
        ins = (STEM, *(co for _, _, co, _ in PYRAMID))
        self.pyramid = nn.ModuleList(
            InvertedResidual(ci, co, k, t, s) for ci, (k, t, co, s) in zip(ins, PYRAMID, strict=False)
        )
        self.channels = [PYRAMID[row][2] for row in TAPS]
        tokens = sum(self.channels)  # 296
        self.transformer = nn.Sequential(
            *(TransformerBlock(tokens, DROP_PATH * i / (BLOCKS - 1)) for i in range(BLOCKS))
        )
        self.injections = nn.ModuleList(Injection(c) for c in self.channels[INJECTED])
        self.fuse = nn.Sequential(conv_bn(WIDTH, WIDTH), nn.ReLU(inplace=True), nn.Dropout2d(DROPOUT))
        self.classifier = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("TopFormer", self.stride, *x.shape[-2:])
        full = x.shape[-2:]
        x, taps = self.stem(x), []  # (N, 16, H/2, W/2)
        for row, block in enumerate(self.pyramid):
            x = block(x)
            if row in TAPS:
                taps.append(x)  # (N, 24, H/4, W/4), (N, 48, H/8, W/8), (N, 96, H/16, W/16), (N, 128, H/32, W/32)
        grid = -(-x.shape[-2] // TOKEN_STRIDE), -(-x.shape[-1] // TOKEN_STRIDE)
        tokens = torch.cat([F.adaptive_avg_pool2d(tap, grid) for tap in taps], dim=1)  # (N, 296, H/64, W/64)
        shares = self.transformer(tokens).split(self.channels, dim=1)
        triples = zip(self.injections, taps[INJECTED], shares[INJECTED], strict=True)
        maps = [injection(tap, share) for injection, tap, share in triples]  # (N, 192, ...) at 1/8, 1/16, 1/32
        x = maps[0]  # (N, 192, H/8, W/8)
        for each in maps[1:]:
            x = x + F.interpolate(each, size=x.shape[-2:], mode="bilinear", align_corners=False)
        x = self.classifier(self.fuse(x))  # (N, classes, H/8, W/8)
        return F.interpolate(x, size=full, mode="bilinear", align_corners=False)  # (N, classes, H, W)
