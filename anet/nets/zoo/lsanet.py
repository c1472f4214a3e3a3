"""LSA-Net: a U-shaped network with attention to shape at 1/2 and to location, beside a pyramid, at 1/8.

Paper: Li, Li, Niu, Wang, Wang, Niu, "LSA-Net: Location and Shape Attention Network for Automatic Surface Defect
Segmentation", Journal of Manufacturing Processes 2023.
Source read: the authors' LSA-Net repository (github.com/liyanbin001; no licence: the structure is taken, no code is).
Parameters: not known from its own paper / 21.60 M in A-Net's table / 21.60 M here, 780 of them only with `aux`.
Differs: the source also builds six parts that it never executes, 3.8 M parameters. The shape block's eight parallel
convolutions are one here, and its pooling to rows and columns is a maximum: the same numbers. Where the map at 1/8 is
smaller than the pyramid's windows of 5 and 3, the window is cut to it; the source fails there.
Auxiliary outputs: the source's training script weighs the network's own loss 1.4. The shape output has 0.4, against a
picture of its own at 1/2 (`label`, most likely the mask's edges; the mask here); location and pyramid have 0.2 each,
against the mask at 1/8, in a line that is commented out in favour of 0.2 / MSE of the two blocks' features, a term
without bound that is left out here. The weights below are those, beside 1 for the network's own.
Initialisation: PyTorch's default, as in the source.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides

GROUPS = 8  # of the shape block: parallel 1x1 convolutions
SHAPE, LOCATION = 32 + 64, 128 + 256  # channels of the two blocks' inputs
AUX_CHANNELS = {"shape": SHAPE // GROUPS, "location": LOCATION, "pyramid": LOCATION}  # in the order of `aux_heads`


class ConvPair(nn.Module):
    """Two convolutions that keep the size, each with bias, normalisation and ReLU.

    ReLU is functional since the pyramid block uses its pair twice.
    """

    def __init__(self, ci: int, co: int, kernel: tuple[int, int] = (3, 3)):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv1, self.bn1 = nn.Conv2d(ci, co, kernel, padding=padding), nn.BatchNorm2d(co)
        self.conv2, self.bn2 = nn.Conv2d(co, co, kernel, padding=padding), nn.BatchNorm2d(co)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))  # (N, co, H, W)


class ShapeBlock(nn.Module):
    """Add, for each of 8 projections, the maximum of a position's row to that of its column."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.before = ConvPair(ci, ci)
        self.project = nn.Conv2d(ci, ci, 1, bias=False)  # 8 projections of ci / 8 channels
        self.after = ConvPair(ci, co)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.project(self.before(x))
        x = x.amax(3, keepdim=True) + x.amax(2, keepdim=True)  # (N, ci, H, 1) + (N, ci, 1, W) = (N, ci, H, W)
        return self.after(x), x.unflatten(1, (GROUPS, -1)).sum(1)  # (N, co, H, W), (N, ci / 8, H, W)


def half_maxima(x: Tensor, dim: int) -> Tensor:
    """Replace every value by the maximum of its half of the row (`dim` 3) or column (2). Shape is kept."""
    halves = x.unflatten(dim, (2, -1))
    return halves.amax(dim + 1, keepdim=True).expand_as(halves).flatten(dim, dim + 1)


class LocationBlock(nn.Module):
    """Add what half a row holds to what half a column holds. Shape is kept."""

    def __init__(self, c: int):
        super().__init__()
        self.rows, self.columns = ConvPair(c, c, (1, 3)), ConvPair(c, c, (3, 1))
        self.after = ConvPair(c, c, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(half_maxima(self.rows(x), 3) + half_maxima(self.columns(x), 2))


class PyramidBlock(nn.Module):
    """Mix means over 5x5 and 3x3 windows, between two uses of the SAME pair of convolutions. Shape is kept."""

    def __init__(self, c: int):
        super().__init__()
        self.pair = ConvPair(c, c)
        self.mix = nn.Conv2d(2 * c, c, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pair(x)
        h, w = x.shape[-2:]
        means = [F.interpolate(F.avg_pool2d(x, (min(k, h), min(k, w))), size=(h, w)) for k in (5, 3)]
        return self.pair(self.mix(torch.cat(means, dim=1)))


class UpStep(nn.Module):
    """Double the size and join the encoder's map."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.pair = ConvPair(ci, co)

    def forward(self, x: Tensor, jump: Tensor) -> Tensor:
        return self.pair(torch.cat([jump, self.up(x)], dim=1))  # (N, co, 2H, 2W)


def aux_outputs(classes: int) -> nn.ModuleDict:
    """Make the 1x1 convolutions to the auxiliary outputs."""
    return nn.ModuleDict({name: nn.Conv2d(ci, classes, 1, bias=False) for name, ci in AUX_CHANNELS.items()})


class LSANet(nn.Module):
    """Encoder with shape, location and pyramid blocks, decoder with jumps: `(N, 3, H, W) -> (N, classes, H, W)`.

    In training with `aux` three maps follow: shape at 1/2, location and pyramid at 1/8.
    """

    paper = "Li et al., LSA-Net: Location and Shape Attention Network for Automatic Surface Defect Segmentation"
    year = 2023
    stride = 16  # four poolings
    aux_heads = (AuxHead("mask", 0.4 / 1.4), AuxHead("mask", 0.2 / 1.4), AuxHead("mask", 0.2 / 1.4))
    aux_printed = True

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.level0, self.level1, self.level2 = ConvPair(3, 32), ConvPair(32, 64), ConvPair(64, 128)
        self.level3, self.level4 = ConvPair(128, 256), ConvPair(256, 512)
        self.shape = ShapeBlock(SHAPE, 64)
        self.location, self.pyramid = LocationBlock(LOCATION), PyramidBlock(LOCATION)
        self.join = ConvPair(2 * LOCATION, 256)
        self.dilated = nn.ModuleList(nn.Conv2d(512, 512, 3, padding=d, dilation=d) for d in (4, 2))
        self.mix = nn.Conv2d(3 * 512, 512, 1)
        self.up = nn.ModuleList([UpStep(768, 256), UpStep(384, 128), UpStep(192, 64), UpStep(96, 32)])
        self.head = nn.Conv2d(32, classes, 1)
        self.aux = aux_outputs(classes) if aux else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_sides("LSA-Net", self.stride, *x.shape[-2:])
        x0 = self.level0(x)  # (N, 32, H, W)
        pooled = F.max_pool2d(x0, 2)
        x1 = self.level1(pooled)  # (N, 64, H/2, W/2)
        shape, shape_sum = self.shape(torch.cat([pooled, x1], dim=1))
        x2 = self.level2(F.max_pool2d(x1 + shape, 2))  # (N, 128, H/4, W/4)
        pooled = F.max_pool2d(x2, 2)
        x3 = self.level3(pooled)  # (N, 256, H/8, W/8)
        both = torch.cat([x3, pooled], dim=1)
        location, pyramid = self.location(both), self.pyramid(both)
        joined = self.join(torch.cat([location, pyramid], dim=1))
        x4 = self.level4(F.max_pool2d(x3 + joined, 2))  # (N, 512, H/16, W/16)
        y = self.mix(torch.cat([*(conv(x4) for conv in self.dilated), x4], dim=1))
        for up, jump in zip(self.up, (x3, x2, x1, x0), strict=True):
            y = up(y, jump)  # 256, 128, 64, 32 channels at 1/8, 1/4, 1/2, 1/1
        logits = self.head(y)
        if not self.training or self.aux is None:
            return logits
        sources = {"shape": shape_sum, "location": location, "pyramid": pyramid}
        return logits, *(conv(sources[name]) for name, conv in self.aux.items())
