"""CCNet: each pixel attends to its row and column; done twice, to the whole picture. ResNet-101, 1/16.

Paper: Huang, Wang, Huang, Huang, Wei, Liu, "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019.
Source read: speedinghzl/CCNet, the authors' (MIT).
Parameters: own paper not printed / A-Net's table 67.69 M / here 66.43 M. No public variant gives the table's; this one
is the nearest known.
Differs: from the paper, in its stride (the paper's last two stages are dilated, 1/8; here only the last, which A-Net's
FLOPs ask for) and in `gamma`, the source's learned share of attention that starts at 0 (the paper adds attention as it
is). From the source, in its stem (one 7x7, for three 3x3), in the first block of the dilated stage (dilation 1, as
torchvision's), in plain BatchNorm and ReLU for its in-place activated norm (leaky) in the heads, and in a large
negative score for a pixel's second meeting with itself where the source has minus infinity: the same zero after
softmax, and it exports. The auxiliary head is the source's: on `layer3`, loss times 0.4.
Initialisation: the backbone as ResNet's paper (see `_resnet`), gamma 0, the rest PyTorch's default. With gamma at 0 the
attention's three convolutions get no gradient in the very first step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._resnet import ResNet

WIDTH = 512  # a quarter of the backbone's 2048 (source)
REDUCTION = 8  # of query's and key's channels (source)
RECURRENCE = 2  # R: section 3.3
NEVER = -1e4  # a score that softmax turns to 0 in half precision too
DROPOUT = 0.1  # source


def conv_bn_relu(ci: int, co: int) -> nn.Sequential:
    """Make a 3x3 convolution without bias, BatchNorm and ReLU."""
    return nn.Sequential(nn.Conv2d(ci, co, 3, padding=1, bias=False), nn.BatchNorm2d(co), nn.ReLU())


class CrissCrossAttention(nn.Module):
    """Add to each pixel what it attends to in its row and column. Paper: Fig. 3, eqs. (1), (2). Shape is kept."""

    def __init__(self, c: int):
        super().__init__()
        self.query, self.key = nn.Conv2d(c, c // REDUCTION, 1), nn.Conv2d(c, c // REDUCTION, 1)
        self.value = nn.Conv2d(c, c, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        h = x.shape[2]
        query, key, value = self.query(x), self.key(x), self.value(x)
        by_column = [each.permute(0, 3, 2, 1) for each in (query, key, value)]  # (N, W, H, channels)
        by_row = [each.permute(0, 2, 3, 1) for each in (query, key, value)]  # (N, H, W, channels)
        down = by_column[0] @ by_column[1].transpose(2, 3)  # (N, W, H, H): every pixel with its column
        down = down + NEVER * torch.eye(h, dtype=x.dtype, device=x.device)  # the pixel itself counts in its row only
        along = by_row[0] @ by_row[1].transpose(2, 3)  # (N, H, W, W): every pixel with its row
        share = torch.cat([down.transpose(1, 2), along], dim=3).softmax(dim=3)  # (N, H, W, H + W)
        down, along = share[..., :h].transpose(1, 2), share[..., h:]
        column, row = down @ by_column[2], along @ by_row[2]  # (N, W, H, c), (N, H, W, c)
        return self.gamma * (column.permute(0, 3, 2, 1) + row.permute(0, 3, 1, 2)) + x


class CCNet(nn.Module):
    """Recurrent criss-cross attention on a ResNet-101 of stride 16.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; in training with `aux` also `layer3`'s map of 1/16. H and W
    must be multiples of 16: OptionError says the padded size that works.
    """

    paper = "Huang et al., CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV"
    year = 2019
    stride = 16
    aux_heads: tuple[AuxHead, ...] = (AuxHead("mask", 0.4),)

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.backbone = ResNet(101, strides=(1, 2, 2, 1), dilations=((1,), (1,), (1,), (1, 2)))
        _, _, c4, c5 = self.backbone.channels
        self.before = conv_bn_relu(c5, WIDTH)
        self.attention = CrissCrossAttention(WIDTH)
        self.after = conv_bn_relu(WIDTH, WIDTH)
        self.classifier = nn.Sequential(
            *conv_bn_relu(c5 + WIDTH, WIDTH), nn.Dropout2d(DROPOUT), nn.Conv2d(WIDTH, classes, 1)
        )
        self.aux = aux
        if aux:
            self.aux_head = nn.Sequential(*conv_bn_relu(c4, WIDTH), nn.Dropout2d(DROPOUT), nn.Conv2d(WIDTH, classes, 1))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        check_sides("CCNet", self.stride, *x.shape[-2:])
        _, _, c4, c5 = self.backbone(x)  # (N, 1024, H/16, W/16), (N, 2048, H/16, W/16)
        y = self.before(c5)  # (N, 512, H/16, W/16)
        for _ in range(RECURRENCE):  # the same weights each time
            y = self.attention(y)
        x = self.classifier(torch.cat([c5, self.after(y)], dim=1))  # (N, classes, H/16, W/16)
        x = F.interpolate(x, scale_factor=16.0, mode="bilinear", align_corners=True)  # (N, classes, H, W)
        if self.training and self.aux:
            return x, self.aux_head(c4)
        return x
