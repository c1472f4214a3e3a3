"""ESNet: a symmetric encoder and decoder of factorised convolutions, with parallel dilated ones at 1/8.

Paper: Wang, Zhou, Xiong, Wu, Jin, "ESNet: An Efficient Symmetric Network for Real-time Semantic Segmentation",
PRCV 2019.
Source read: xiaoyufenfei/ESNet (MIT).
Parameters: its own paper 1.66 M / A-Net's table 1.66 M / here 1.66 M.
Differs: follows its source in what the paper leaves open. The three dilated branches of a PFCU go through ONE
BatchNorm, called three times: its running mean and variance mix the three. Each branch draws its own dropout. Of the
source, the encoder's own 1x1 classifier is left out: it is of use only while the encoder is trained alone.
Initialisation: PyTorch's defaults, as the source's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides

BN_EPS = 1e-3  # source; the paper names none
DROP_FCU, DROP_PFCU = 0.03, 0.3  # Dropout2d, in the encoder only: source
DILATIONS = (2, 5, 9)  # of a PFCU's branches: paper


class DownBlock(nn.Module):
    """Halve height and width: 3x3 convolution and max-pooling side by side, concatenated (as in ERFNet)."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv = nn.Conv2d(ci, co - ci, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.Sequential(nn.BatchNorm2d(co, eps=BN_EPS), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.cat([self.conv(x), self.pool(x)], dim=1))  # (N, co, H/2, W/2)


class UpBlock(nn.Sequential):
    """Double height and width with a transposed 3x3 convolution (as in ERFNet)."""

    def __init__(self, ci: int, co: int):
        super().__init__(
            nn.ConvTranspose2d(ci, co, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(co, eps=BN_EPS),
            nn.ReLU(inplace=True),
        )


def factorised(c: int, kernel: int, dilation: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Make a k x 1 and a 1 x k convolution with bias that keep the shape; a ReLU belongs between them."""
    pad = kernel // 2 * dilation
    column = nn.Conv2d(c, c, (kernel, 1), padding=(pad, 0), dilation=(dilation, 1))
    return column, nn.Conv2d(c, c, (1, kernel), padding=(0, pad), dilation=(1, dilation))


class FCU(nn.Module):
    """Factorised convolution unit: two factorised pairs with a residual. Shape is kept."""

    def __init__(self, c: int, kernel: int, drop: float):
        super().__init__()
        (column1, row1), (column2, row2) = factorised(c, kernel, 1), factorised(c, kernel, 1)
        self.main = nn.Sequential(
            column1, nn.ReLU(inplace=True), row1, nn.BatchNorm2d(c, eps=BN_EPS), nn.ReLU(inplace=True),
            column2, nn.ReLU(inplace=True), row2, nn.BatchNorm2d(c, eps=BN_EPS), nn.Dropout2d(drop),
        )  # fmt: skip
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + x)


class PFCU(nn.Module):
    """Parallel factorised convolution unit: one pair, then three dilated ones side by side, summed with a residual.

    Shape is kept. As in the source, all ReLUs but the last are functions, which the paper's counter does not see.
    """

    def __init__(self, c: int):
        super().__init__()
        self.column, self.row = factorised(c, 3, 1)
        self.bn1 = nn.BatchNorm2d(c, eps=BN_EPS)
        pairs = [factorised(c, 3, dilation) for dilation in DILATIONS]
        self.columns = nn.ModuleList(column for column, _ in pairs)
        self.rows = nn.ModuleList(row for _, row in pairs)
        self.bn2 = nn.BatchNorm2d(c, eps=BN_EPS)  # of all branches: source
        self.dropout = nn.Dropout2d(DROP_PFCU)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.row(F.relu(self.column(x)))))
        for column, row in zip(self.columns, self.rows, strict=True):
            x = x + self.dropout(self.bn2(row(F.relu(column(y)))))
        return self.act(x)


class ESNet(nn.Module):
    """Encoder to 1/8 of the sides and its mirror image back.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; sides must be multiples of 8, else OptionError.
    """

    paper = "Wang et al., ESNet: An Efficient Symmetric Network for Real-time Semantic Segmentation"
    year = 2019
    stride = 8
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.encoder = nn.Sequential(
            DownBlock(3, 16), *(FCU(16, 3, DROP_FCU) for _ in range(3)),
            DownBlock(16, 64), *(FCU(64, 5, DROP_FCU) for _ in range(2)),
            DownBlock(64, 128), *(PFCU(128) for _ in range(3)),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            UpBlock(128, 64), *(FCU(64, 5, 0) for _ in range(2)),
            UpBlock(64, 16), *(FCU(16, 3, 0) for _ in range(2)),
            nn.ConvTranspose2d(16, classes, 2, stride=2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        check_sides("ESNet", self.stride, *x.shape[-2:])
        return self.decoder(self.encoder(x))  # (N, 128, H/8, W/8), then (N, classes, H, W)
