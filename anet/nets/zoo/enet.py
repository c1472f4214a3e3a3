"""ENet: bottlenecks throughout, a large encoder and a small decoder that unpools by the encoder's maxima.

Paper: Paszke, Chaurasia, Kim, Culurciello, "ENet: A Deep Neural Network Architecture for Real-Time Semantic
Segmentation", arXiv 1606.02147, 2016.
Source read: Tramac/awesome-semantic-segmentation-pytorch (Apache-2.0).
Parameters: its own paper 0.37 M / A-Net's table 0.35 M / here 0.34 M.
Differs: as the source, which A-Net's counts fit to the last digit, differs from the paper. Stage 3 has seven
bottlenecks, not eight: the source builds its fifth, a regular one, and never executes it; here it is not built. Where
a bottleneck halves the size, a 1x1 convolution brings the pooled input to its channels, not zeros; a PReLU learns one
slope, not one a channel; dropout is 0.1 in stage 1 also (paper: 0.01).
Max-unpooling is written in plain operators (`_unpool`), with the same result; exported, see SegNet on ties.
Initialisation: PyTorch's defaults, as the source's.
"""

import torch
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._unpool import corners, unpool

DROPOUT = 0.1  # Dropout2d at the end of every main path: paper, section 3 (but for stage 1)
ASYMMETRIC = 0  # in place of a dilation: 5x1 and 1x5
STAGE_2 = (1, 2, ASYMMETRIC, 4, 1, 8, ASYMMETRIC, 16)  # dilations of its bottlenecks: paper, table 1
STAGE_3 = (1, 2, ASYMMETRIC, 4, 8, ASYMMETRIC, 16)  # the same without the one that the source never executes


def bn_act(c: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(c), nn.PReLU()


def conv(ci: int, co: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    """Make a convolution without bias and without padding."""
    return nn.Conv2d(ci, co, kernel, stride, bias=False)


def main_path(ci: int, cm: int, co: int, *middle: nn.Module) -> nn.Sequential:
    """Make a bottleneck's path: 1x1, `middle`, 1x1, normalised each. Paper: Fig. 2(b)."""
    return nn.Sequential(
        conv(ci, cm), *bn_act(cm),
        *middle, *bn_act(cm),
        conv(cm, co), nn.BatchNorm2d(co), nn.Dropout2d(DROPOUT),
    )  # fmt: skip


class Initial(nn.Module):
    """Halve height and width: 3x3 convolution and max-pooling side by side, 13 + 3 channels. Paper: Fig. 2(a)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 13, 3, stride=2, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.Sequential(*bn_act(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.cat([self.conv(x), self.pool(x)], dim=1))  # (N, 16, H/2, W/2)


class Bottleneck(nn.Module):
    """A regular, dilated or asymmetric bottleneck with a residual, a quarter as wide within. Shape is kept."""

    def __init__(self, c: int, dilation: int):
        super().__init__()
        cm = c // 4
        if dilation == ASYMMETRIC:
            middle = (
                nn.Conv2d(cm, cm, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(cm, cm, (1, 5), padding=(0, 2), bias=False),
            )
        else:
            middle = (nn.Conv2d(cm, cm, 3, padding=dilation, dilation=dilation, bias=False),)
        self.main = main_path(c, cm, c, *middle)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + x)


class DownBottleneck(nn.Module):
    """Halve height and width; also say where max-pooling found its maxima (see `_unpool.corners`)."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        cm = co // 4
        self.main = main_path(ci, cm, co, conv(cm, cm, 2, stride=2))
        self.pool = nn.MaxPool2d(2)
        self.residual = nn.Sequential(conv(ci, co), nn.BatchNorm2d(co))
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.pool(x)  # (N, ci, H/2, W/2), as its places
        return self.act(self.main(x) + self.residual(pooled)), corners(x, pooled)  # (N, co, H/2, W/2)


class UpBottleneck(nn.Module):
    """Double height and width; the residual is unpooled to where the encoder's maxima were."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        cm = co // 4
        self.main = main_path(ci, cm, co, nn.ConvTranspose2d(cm, cm, 2, stride=2, bias=False))
        self.residual = nn.Sequential(conv(ci, co), nn.BatchNorm2d(co))
        self.act = nn.PReLU()

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        return self.act(self.main(x) + unpool(self.residual(x), places))  # (N, co, 2H, 2W)


class ENet(nn.Module):
    """The paper's table 1, but for the head of this file.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; sides must be multiples of 8, else OptionError.
    """

    paper = "Paszke et al., ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation"
    year = 2016
    stride = 8
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.initial = Initial()
        self.down1 = DownBottleneck(16, 64)
        self.stage1 = nn.Sequential(*(Bottleneck(64, 1) for _ in range(4)))
        self.down2 = DownBottleneck(64, 128)
        self.stage2 = nn.Sequential(*(Bottleneck(128, dilation) for dilation in STAGE_2))
        self.stage3 = nn.Sequential(*(Bottleneck(128, dilation) for dilation in STAGE_3))
        self.up4 = UpBottleneck(128, 64)
        self.stage4 = nn.Sequential(Bottleneck(64, 1), Bottleneck(64, 1))
        self.up5 = UpBottleneck(64, 16)
        self.stage5 = Bottleneck(16, 1)
        self.head = nn.ConvTranspose2d(16, classes, 2, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("ENet", self.stride, *x.shape[-2:])
        x, places1 = self.down1(self.initial(x))  # (N, 64, H/4, W/4), places (N, 16, H/4, W/4)
        x, places2 = self.down2(self.stage1(x))  # (N, 128, H/8, W/8), places (N, 64, H/8, W/8)
        x = self.up4(self.stage3(self.stage2(x)), places2)  # (N, 64, H/4, W/4)
        x = self.up5(self.stage4(x), places1)  # (N, 16, H/2, W/2)
        return self.head(self.stage5(x))  # (N, classes, H, W)
