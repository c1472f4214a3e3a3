"""DeepLabV3+: dilated convolutions of four rates on coarse features, refined by fine ones. ResNet-101, 1/16.

Paper: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", ECCV 2018.
Source read: jfzhang95/pytorch-deeplab-xception (MIT).
Parameters: own paper not printed / A-Net's table 59.34 M / here 59.34 M. The table's FLOPs leave out all BatchNorm: the
source's class for it was not one that the counter knew.
Differs: from the paper, in convolutions that are all dense (the paper's best network has separable ones in an Xception;
its section 4.2 has this ResNet-101). From the source, in using PyTorch's BatchNorm.
Initialisation: the backbone as ResNet's paper (see `_resnet`), the rest PyTorch's default (source: Kaiming-normal).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._resnet import ResNet

WIDTH = 256  # section 3.1
LOW_WIDTH = 48  # of the low-level features: table 1
RATES = (6, 12, 18)  # DeepLabV3's at output stride 16
DROPOUT_ASPP, DROPOUT_DECODER, DROPOUT_LAST = 0.5, 0.5, 0.1  # source; the paper gives no rate


def conv_bn_relu(ci: int, co: int, kernel: int, dilation: int) -> nn.Sequential:
    """Make a convolution without bias that keeps the size, BatchNorm and ReLU."""
    conv = nn.Conv2d(ci, co, kernel, padding=kernel // 2 * dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(co), nn.ReLU())


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, 3x3 at three rates, and the whole picture's mean. Paper: section 3.1."""

    def __init__(self, ci: int):
        super().__init__()
        self.point = conv_bn_relu(ci, WIDTH, 1, 1)
        self.atrous = nn.ModuleList(conv_bn_relu(ci, WIDTH, 3, rate) for rate in RATES)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(ci, WIDTH, 1, 1))
        self.squeeze = conv_bn_relu((len(RATES) + 2) * WIDTH, WIDTH, 1, 1)
        self.drop = nn.Dropout(DROPOUT_ASPP)

    def forward(self, x: Tensor) -> Tensor:
        mean = resize(self.pool(x), like=x)  # (N, 256, h, w) from (N, 256, 1, 1)
        x = torch.cat([self.point(x), *(branch(x) for branch in self.atrous), mean], dim=1)  # (N, 1280, h, w)
        return self.drop(self.squeeze(x))  # (N, 256, h, w)


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ on a ResNet-101 of output stride 16.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits. H and W must be multiples of 16: OptionError says the padded
    size that works. In training a batch needs two pictures: BatchNorm of one picture's mean has nothing to norm by.
    """

    paper = "Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV"
    year = 2018
    stride = 16
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        # layer4: the unit rates 1, 2, 4 of DeepLabV3's multi-grid on dilation 2, which stands for its stride
        self.backbone = ResNet(101, strides=(1, 2, 2, 1), dilations=((1,), (1,), (1,), (2, 4, 8)))
        c2, _, _, c5 = self.backbone.channels
        self.aspp = ASPP(c5)
        self.low = conv_bn_relu(c2, LOW_WIDTH, 1, 1)
        self.decoder = nn.Sequential(
            *conv_bn_relu(WIDTH + LOW_WIDTH, WIDTH, 3, 1), nn.Dropout(DROPOUT_DECODER),
            *conv_bn_relu(WIDTH, WIDTH, 3, 1), nn.Dropout(DROPOUT_LAST),
            nn.Conv2d(WIDTH, classes, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        check_sides("DeepLabV3+", self.stride, *x.shape[-2:])
        c2, _, _, c5 = self.backbone(x)  # (N, 256, H/4, W/4), (N, 2048, H/16, W/16)
        low = self.low(c2)  # (N, 48, H/4, W/4)
        coarse = resize(self.aspp(c5), like=low)  # (N, 256, H/4, W/4)
        x = self.decoder(torch.cat([coarse, low], dim=1))  # (N, classes, H/4, W/4)
        return F.interpolate(x, scale_factor=4.0, mode="bilinear", align_corners=True)  # (N, classes, H, W)
