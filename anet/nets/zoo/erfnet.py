"""ERFNet: residual blocks of four one-dimensional convolutions, dilated in the encoder.

Paper: Romera, Álvarez, Bergasa, Arroyo, "ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic
Segmentation", IEEE Transactions on Intelligent Transportation Systems, 2018.
Source read: Eromera/erfnet_pytorch (CC BY-NC; not copied, the figures below are all it gave).
Parameters: its own paper, none known / A-Net's table 2.08 M / here 2.06 M.
Differs: not from the paper's table I. From the source: the encoder's own 1x1 classifier, of use only while the encoder
is trained alone, is left out. A-Net's table has 17 k parameters more; where they sat is not known.
Initialisation: PyTorch's defaults, as the source's decoder and its encoder when it starts from scratch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides

BN_EPS = 1e-3  # source; the paper names none
DROP_64, DROP_128 = 0.03, 0.3  # Dropout2d in the encoder's blocks of 64 and of 128 channels: source


class DownBlock(nn.Module):
    """Halve height and width: 3x3 convolution and max-pooling side by side, concatenated. Paper: III-B."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv = nn.Conv2d(ci, co - ci, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.bn = nn.BatchNorm2d(co, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(torch.cat([self.conv(x), self.pool(x)], dim=1)))  # (N, co, H/2, W/2)


class UpBlock(nn.Module):
    """Double height and width with a transposed 3x3 convolution. Paper: table I, "Deconvolution"."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(ci, co, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(co, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))  # (N, co, 2H, 2W)


class NonBottleneck1D(nn.Module):
    """Two pairs of 3x1 and 1x3 convolutions with a residual; the second pair dilated. Paper: Fig. 2(c). Shape is kept.

    Normalised once a pair, not after its 3x1 (source).
    """

    def __init__(self, c: int, drop: float, dilation: int):
        super().__init__()
        self.conv3x1_1 = nn.Conv2d(c, c, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(c, c, (1, 3), padding=(0, 1))
        self.bn1 = nn.BatchNorm2d(c, eps=BN_EPS)
        self.conv3x1_2 = nn.Conv2d(c, c, (3, 1), padding=(dilation, 0), dilation=(dilation, 1))
        self.conv1x3_2 = nn.Conv2d(c, c, (1, 3), padding=(0, dilation), dilation=(1, dilation))
        self.bn2 = nn.BatchNorm2d(c, eps=BN_EPS)
        self.dropout = nn.Dropout2d(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1x3_1(F.relu(self.conv3x1_1(x)))))
        y = self.dropout(self.bn2(self.conv1x3_2(F.relu(self.conv3x1_2(y)))))
        return F.relu(y + x)


class ERFNet(nn.Module):
    """Encoder to 1/8 of the sides, small decoder back; the 23 layers of the paper's table I.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; sides must be multiples of 8, else OptionError.
    """

    paper = "Romera et al., ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic Segmentation"
    year = 2018
    stride = 8
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.encoder = nn.Sequential(
            DownBlock(3, 16),
            DownBlock(16, 64),
            *(NonBottleneck1D(64, DROP_64, 1) for _ in range(5)),
            DownBlock(64, 128),
            *(NonBottleneck1D(128, DROP_128, dilation) for dilation in (2, 4, 8, 16, 2, 4, 8, 16)),  # table I
        )
        self.decoder = nn.Sequential(  # without dropout: source
            UpBlock(128, 64), NonBottleneck1D(64, 0, 1), NonBottleneck1D(64, 0, 1),
            UpBlock(64, 16), NonBottleneck1D(16, 0, 1), NonBottleneck1D(16, 0, 1),
            nn.ConvTranspose2d(16, classes, 2, stride=2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        check_sides("ERFNet", self.stride, *x.shape[-2:])
        return self.decoder(self.encoder(x))  # (N, 128, H/8, W/8), then (N, classes, H, W)
