"""BiSeNetV2: a wide shallow detail branch and a narrow deep semantic branch that guide each other's aggregation.

Paper: Yu, Gao, Wang, Yu, Shen, Sang, "BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic
Segmentation", International Journal of Computer Vision, 2021 (arXiv 2020).
Source read: CoinCheung/BiSeNet (MIT), which A-Net's counts do not fit; nothing public was found that does.
Parameters: its own paper, none known / A-Net's table 4.95 M / here 4.92 M.
Differs: written from the paper. In gather-and-expansion the 3x3 convolution expands, as the paper's text says; in the
source the depthwise one does (3.34 M in all). The head has 64 channels, which the paper leaves to choose. It is the
nearest known reading of A-Net's row: 0.6 % of the parameters and 7 % of the FLOPs are missing.
Auxiliary heads: the paper's booster, here one on the stem and one on each of the semantic branch's stages, built as the
main head and with the weight 1. They are not in A-Net's counts.
Initialisation: Kaiming-normal (the paper's; over fan-in) for all convolutions; biases and BatchNorm PyTorch's defaults.
Training needs two pictures a batch at least: a BatchNorm normalises global means, one value a picture.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides

EXPANSION = 6  # paper: epsilon
HEAD = 64  # channels in the heads: the reading nearest to A-Net's counts


def conv(ci: int, co: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Make a convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(ci, co, kernel, stride, kernel // 2, groups=groups, bias=False)


def conv_bn(ci: int, co: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(ci, co, kernel, stride, groups), nn.BatchNorm2d(co))


def conv_bn_relu(ci: int, co: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(ci, co, kernel, stride), nn.BatchNorm2d(co), nn.ReLU(inplace=True))


class Stem(nn.Module):
    """Quarter height and width, the second time by convolution and max-pooling side by side. Paper: Fig. 4(a)."""

    def __init__(self):
        super().__init__()
        self.first = conv_bn_relu(3, 16, 3, 2)
        self.left = nn.Sequential(conv_bn_relu(16, 8, 1), conv_bn_relu(8, 16, 3, 2))
        self.right = nn.MaxPool2d(3, stride=2, padding=1)
        self.join = conv_bn_relu(32, 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)  # (N, 16, H/2, W/2)
        return self.join(torch.cat([self.left(x), self.right(x)], dim=1))  # (N, 16, H/4, W/4)


class GatherExpansion(nn.Module):
    """Expand by a 3x3, work by depthwise 3x3, project by a 1x1; residual. Paper: Fig. 5. Stride 1 or 2."""

    def __init__(self, ci: int, co: int, stride: int):
        super().__init__()
        cm = ci * EXPANSION
        down = [conv_bn(cm, cm, 3, 2, groups=cm)] if stride == 2 else []
        self.main = nn.Sequential(conv_bn_relu(ci, cm, 3), *down, conv_bn(cm, cm, 3, groups=cm), conv_bn(cm, co, 1))
        self.residual = nn.Identity()
        if stride == 2:
            self.residual = nn.Sequential(conv_bn(ci, ci, 3, 2, groups=ci), conv_bn(ci, co, 1))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + self.residual(x))  # (N, co, H/stride, W/stride)


class ContextEmbedding(nn.Module):
    """Add the global mean's view to every place, then 3x3. Paper: Fig. 4(b). Shape is kept."""

    def __init__(self, c: int):
        super().__init__()
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(c), conv_bn_relu(c, c, 1))
        self.join = conv(c, c, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x + self.context(x))


class GuidedAggregation(nn.Module):
    """Let each branch's features gate the other's at both scales, and sum. Paper: Fig. 6."""

    def __init__(self, c: int):
        super().__init__()
        self.detail_keep = nn.Sequential(conv_bn(c, c, 3, groups=c), conv(c, c, 1))
        self.detail_down = nn.Sequential(conv_bn(c, c, 3, 2), nn.AvgPool2d(3, stride=2, padding=1))
        self.semantic_up = conv_bn(c, c, 3)
        self.semantic_keep = nn.Sequential(conv_bn(c, c, 3, groups=c), conv(c, c, 1), nn.Sigmoid())
        self.gate = nn.Sigmoid()
        self.join = conv_bn(c, c, 3)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        gate = self.gate(F.interpolate(self.semantic_up(semantic), scale_factor=4, mode="bilinear"))  # (N, c, H/8, W/8)
        high = self.detail_keep(detail) * gate
        low = self.detail_down(detail) * self.semantic_keep(semantic)  # (N, c, H/32, W/32)
        return self.join(high + F.interpolate(low, scale_factor=4, mode="bilinear"))  # (N, c, H/8, W/8)


def head(ci: int, classes: int) -> nn.Sequential:
    """Make a segmentation head without its up-sampling. Paper: the same design for the main head and the booster's."""
    return nn.Sequential(conv_bn_relu(ci, HEAD, 3), nn.Conv2d(HEAD, classes, 1))


class BiSeNetV2(nn.Module):
    """Bilateral network with guided aggregation; the instance of the paper's table 1.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; with `aux`, in training, also four maps of 1/4, 1/8, 1/16 and
    1/32 of the sides. Sides must be multiples of 32, else OptionError.
    """

    paper = "Yu et al., BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic Segmentation"
    year = 2021
    stride = 32
    aux_heads = (AuxHead("mask", 1.0),) * 4

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.aux = aux
        self.detail = nn.Sequential(
            conv_bn_relu(3, 64, 3, 2), conv_bn_relu(64, 64, 3),
            conv_bn_relu(64, 64, 3, 2), conv_bn_relu(64, 64, 3), conv_bn_relu(64, 64, 3),
            conv_bn_relu(64, 128, 3, 2), conv_bn_relu(128, 128, 3), conv_bn_relu(128, 128, 3),
        )  # fmt: skip
        self.stem = Stem()
        self.stage3 = nn.Sequential(GatherExpansion(16, 32, 2), GatherExpansion(32, 32, 1))
        self.stage4 = nn.Sequential(GatherExpansion(32, 64, 2), GatherExpansion(64, 64, 1))
        self.stage5 = nn.Sequential(GatherExpansion(64, 128, 2), *(GatherExpansion(128, 128, 1) for _ in range(3)))
        self.context = ContextEmbedding(128)
        self.aggregate = GuidedAggregation(128)
        self.head = head(128, classes)
        if aux:
            self.aux_maps = nn.ModuleList(head(c, classes) for c in (16, 32, 64, 128))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_sides("BiSeNetV2", self.stride, *x.shape[-2:])
        detail = self.detail(x)  # (N, 128, H/8, W/8)
        f4 = self.stem(x)  # (N, 16, H/4, W/4)
        f8 = self.stage3(f4)  # (N, 32, H/8, W/8)
        f16 = self.stage4(f8)  # (N, 64, H/16, W/16)
        f32 = self.stage5(f16)  # (N, 128, H/32, W/32)
        y = self.head(self.aggregate(detail, self.context(f32)))  # (N, classes, H/8, W/8)
        y = F.interpolate(y, scale_factor=8, mode="bilinear")  # (N, classes, H, W)
        if self.training and self.aux:
            return y, *(each(f) for each, f in zip(self.aux_maps, (f4, f8, f16, f32), strict=True))
        return y
