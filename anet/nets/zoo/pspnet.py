"""PSPNet: averages over four grids of the picture, concatenated with the features they describe. ResNet-50, 1/8.

Paper: Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", CVPR 2017.
Source read: Lextal/pspnet-pytorch (no licence), as a specification only.
Parameters: own paper not printed / A-Net's table 53.32 M / here 53.32 M.
Differs: from the paper, in its pyramid (2048 channels a grid without BatchNorm and ReLU, for 512 with both) and in the
way up (three times bilinear x2, 3x3, BatchNorm, PReLU to full size, for bilinear x8 from 1/8); from its authors'
release, also in the first block of a dilated stage (dilation 1) and in the stem (one 7x7, for three 3x3). Bilinear
upsampling is with align_corners=False, PyTorch's default of today. From the source, in leaving out its branch that
classifies the whole picture (A-Net's count leaves it out too) and its log-softmax, which makes no sense with one class.
The auxiliary head is the paper's: on the fourth stage (`layer3`), loss times 0.4 (sections 4, 5.2); its layers are the
authors' release's.
Initialisation: the backbone as ResNet's paper (see `_resnet`), the rest PyTorch's default.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._resnet import ResNet

BINS = (1, 2, 3, 6)  # cells a side of each grid: section 3.2
DROPOUT_PYRAMID, DROPOUT_UP = 0.3, 0.15  # source; the paper gives no rate
DROPOUT_AUX = 0.1  # authors' release


class PyramidPooling(nn.Module):
    """Join features with their averages over BINS. Paper: Fig. 3(c). (N, c, h, w) -> (N, 5c, h, w)."""

    def __init__(self, c: int):
        super().__init__()
        self.grids = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), nn.Conv2d(c, c, 1, bias=False)) for bins in BINS
        )

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        means = [F.interpolate(grid(x), size=size, mode="bilinear", align_corners=False) for grid in self.grids]
        return torch.cat([*means, x], dim=1)


class UpBlock(nn.Module):
    """Double the size, then 3x3 - BatchNorm - PReLU and dropout of whole maps. (N, ci, h, w) -> (N, co, 2h, 2w)."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(ci, co, 3, padding=1), nn.BatchNorm2d(co), nn.PReLU()
        self.drop = nn.Dropout2d(DROPOUT_UP)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # (N, ci, 2h, 2w)
        return self.drop(self.act(self.bn(self.conv(x))))


class PSPNet(nn.Module):
    """Pyramid scene parsing network on a ResNet-50 of stride 8.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; in training with `aux` also `layer3`'s map of 1/8. H and W must
    be multiples of 8: OptionError says the padded size that works.
    """

    paper = "Zhao et al., Pyramid Scene Parsing Network, CVPR"
    year = 2017
    stride = 8
    aux_heads: tuple[AuxHead, ...] = (AuxHead("mask", 0.4),)

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.backbone = ResNet(50, strides=(1, 2, 1, 1), dilations=((1,), (1,), (1, 2), (1, 4)))
        _, _, c4, c5 = self.backbone.channels
        self.pyramid = PyramidPooling(c5)
        width = c5 * (len(BINS) + 1)
        self.bottleneck = nn.Sequential(nn.Conv2d(width, 1024, 1), nn.ReLU(), nn.Dropout2d(DROPOUT_PYRAMID))
        self.up = nn.Sequential(UpBlock(1024, 256), UpBlock(256, 64), UpBlock(64, 64))
        self.classifier = nn.Conv2d(64, classes, 1)
        self.aux = aux
        if aux:
            self.aux_head = nn.Sequential(
                nn.Conv2d(c4, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU(),
                nn.Dropout2d(DROPOUT_AUX), nn.Conv2d(256, classes, 1),
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        check_sides("PSPNet", self.stride, *x.shape[-2:])
        _, _, c4, c5 = self.backbone(x)  # (N, 1024, H/8, W/8), (N, 2048, H/8, W/8)
        x = self.bottleneck(self.pyramid(c5))  # (N, 1024, H/8, W/8)
        x = self.classifier(self.up(x))  # (N, classes, H, W)
        if self.training and self.aux:
            return x, self.aux_head(c4)
        return x
