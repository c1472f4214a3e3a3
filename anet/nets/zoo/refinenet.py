"""RefineNet: four scales of a ResNet-101 joined by residual blocks, from the coarsest up. Four blocks in cascade.

Paper: Lin, Milan, Shen, Reid, "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic Segmentation",
CVPR 2017.
Source read: markshih91/refinenet_pytorch (no licence), after thomasjpfan's, as a specification only.
Parameters: own paper not printed / A-Net's table 80.22 M / here 118.00 M. The table's leave out the backbone, which the
source freezes, and hold two unused heads beside the one in use.
Differs: from the paper, in its last stage: logits at full size, from features brought there by bilinear x4 (three
quarters of all multiply-accumulates), where the paper stops at 1/4; in 3x3 lateral convolutions before each block; in
chained pooling of 4 (the paper's Fig. 3 draws 2). From the source, in training the backbone, and in the initialisation.
Initialisation: the backbone as ResNet's paper (see `_resnet`), the rest PyTorch's default (source: normal with 0.01).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._resnet import NOT_DILATED, ResNet

WIDTH, COARSE_WIDTH = 256, 512  # of the blocks, and of the coarsest one: paper, section 3.2
POOLINGS = 4  # in chained residual pooling (source; the paper's figure draws 2)


def conv(ci: int, co: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(ci, co, 3, padding=1, bias=bias)


class ResidualUnit(nn.Sequential):
    """Residual convolution unit: ReLU - 3x3 - ReLU - 3x3, no BatchNorm. Paper: Fig. 3(b). Shape is kept."""

    def __init__(self, c: int):
        super().__init__(nn.ReLU(), conv(c, c, bias=True), nn.ReLU(), conv(c, c, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


class ChainedPooling(nn.Module):
    """Chained residual pooling: each 5x5 max-pooling and 3x3 works on the one before. Paper: Fig. 3(d)."""

    def __init__(self, c: int):
        super().__init__()
        self.relu = nn.ReLU()
        self.links = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(5, stride=1, padding=2), conv(c, c, bias=False)) for _ in range(POOLINGS)
        )

    def forward(self, x: Tensor) -> Tensor:
        total = path = self.relu(x)
        for link in self.links:
            path = link(path)
            total = total + path
        return total


class RefineBlock(nn.Module):
    """Bring one or two scales to the finer one's size and refine the sum. Paper: Fig. 3(a).

    `widths` are the inputs' channels, the finer first. A single input is not fused (section 3.2): `co` is its width.
    """

    def __init__(self, widths: tuple[int, ...], co: int):
        super().__init__()
        self.units = nn.ModuleList(nn.Sequential(ResidualUnit(c), ResidualUnit(c)) for c in widths)
        if len(widths) > 1:
            self.fusion = nn.ModuleList(conv(c, co, bias=False) for c in widths)
        self.pooling = ChainedPooling(co)
        self.out = ResidualUnit(co)

    def forward(self, *scales: Tensor) -> Tensor:
        parts = [units(x) for units, x in zip(self.units, scales, strict=True)]
        x = parts[0] if len(parts) == 1 else self.fuse(*parts)
        return self.out(self.pooling(x))

    def fuse(self, fine: Tensor, coarse: Tensor) -> Tensor:
        fine, coarse = self.fusion[0](fine), self.fusion[1](coarse)
        return fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=True)


def head(classes: int) -> nn.Sequential:
    """Make the head at full size: two residual units, 1x1 to the classes."""
    return nn.Sequential(ResidualUnit(WIDTH), ResidualUnit(WIDTH), nn.Conv2d(WIDTH, classes, 1))


class RefineNet(nn.Module):
    """RefineNet with four blocks in cascade on a ResNet-101.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits. H and W must be multiples of 32: OptionError says the padded
    size that works.
    """

    paper = "Lin et al., RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic Segmentation, CVPR"
    year = 2017
    stride = 32
    adam_rate = 0.1  # its blocks have no BatchNorm
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.backbone = ResNet(101, strides=(1, 2, 2, 2), dilations=NOT_DILATED)
        c2, c3, c4, c5 = self.backbone.channels
        self.lateral1, self.lateral2 = conv(c2, WIDTH, bias=False), conv(c3, WIDTH, bias=False)
        self.lateral3, self.lateral4 = conv(c4, WIDTH, bias=False), conv(c5, COARSE_WIDTH, bias=False)
        self.refine4 = RefineBlock((COARSE_WIDTH,), COARSE_WIDTH)
        self.refine3 = RefineBlock((WIDTH, COARSE_WIDTH), WIDTH)
        self.refine2 = RefineBlock((WIDTH, WIDTH), WIDTH)
        self.refine1 = RefineBlock((WIDTH, WIDTH), WIDTH)
        self.head = head(classes)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("RefineNet", self.stride, *x.shape[-2:])
        c2, c3, c4, c5 = self.backbone(x)  # of 1/4, 1/8, 1/16 and 1/32
        x = self.refine4(self.lateral4(c5))  # (N, 512, H/32, W/32)
        x = self.refine3(self.lateral3(c4), x)  # (N, 256, H/16, W/16)
        x = self.refine2(self.lateral2(c3), x)  # (N, 256, H/8, W/8)
        x = self.refine1(self.lateral1(c2), x)  # (N, 256, H/4, W/4)
        x = F.interpolate(x, scale_factor=4.0, mode="bilinear", align_corners=True)  # (N, 256, H, W)
        return self.head(x)  # (N, classes, H, W)
