"""U-Net, in the variant of A-Net's table: batch normalisation, and a 1x1 convolution after each up-convolution.

Paper: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
Source read: none matches A-Net's table. The usual one, milesial/Pytorch-UNet (GPL-3.0), was measured only: 31.04 M.
Parameters: not printed in its own paper / 31.39 M in A-Net's table / 31.39 M here.
Differs: from its paper by padding (the output has the input's size, nothing is cropped), by batch normalisation and by
having no dropout at the end of the contracting path; from both by the 1x1 convolution. That one is inferred: with it,
and with biases everywhere, both cost columns of A-Net's table come out; where it stands (here, on the jump, at the
step's end) they do not say.
Initialisation: the paper's, Gaussian weights of variance 2 / N for N incoming nodes; biases 0, BatchNorm 1 and 0.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._undrawn import undrawn

WIDTHS = (64, 128, 256, 512, 1024)  # channels at 1/1 to 1/16. Paper: Fig. 1


def initialised(layer: nn.Conv2d | nn.ConvTranspose2d, incoming: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """Draw a layer's weights for this number of incoming nodes. Paper: section 3."""
    nn.init.normal_(layer.weight, std=(2 / incoming) ** 0.5)
    return layer


def conv(ci: int, co: int, kernel: int) -> nn.Module:
    """Make a convolution with bias that keeps the size."""
    return initialised(undrawn(nn.Conv2d, ci, co, kernel, padding=kernel // 2), ci * kernel**2)


def up_conv(ci: int, co: int) -> nn.Module:
    """Make the up-convolution, 2x2 at stride 2: one input position meets one output, so `ci` nodes come in."""
    return initialised(undrawn(nn.ConvTranspose2d, ci, co, 2, stride=2), ci)


def double_conv(ci: int, co: int) -> nn.Sequential:
    """Make the two 3x3 convolutions of each step, with normalisation and ReLU."""
    return nn.Sequential(
        conv(ci, co, 3), nn.BatchNorm2d(co), nn.ReLU(inplace=True),
        conv(co, co, 3), nn.BatchNorm2d(co), nn.ReLU(inplace=True),
    )  # fmt: skip


class UpStep(nn.Module):
    """Double the size, halve the channels, join the contracting path's map. Paper: Fig. 1, right side."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.up = nn.Sequential(up_conv(ci, co), conv(co, co, 1))
        self.convs = double_conv(2 * co, co)

    def forward(self, x: Tensor, jump: Tensor) -> Tensor:
        return self.convs(torch.cat([jump, self.up(x)], dim=1))  # (N, co, 2H, 2W)


class UNet(nn.Module):
    """Contracting and expanding path with jumps at four sizes: `(N, 3, H, W) -> (N, classes, H, W)`. Paper: Fig. 1."""

    paper = "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation"
    year = 2015
    stride = 16  # four poolings
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        pairs = list(pairwise(WIDTHS))
        self.first = double_conv(3, WIDTHS[0])
        self.down = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), double_conv(ci, co)) for ci, co in pairs)
        self.up = nn.ModuleList(UpStep(ci, co) for co, ci in reversed(pairs))
        self.head = conv(WIDTHS[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("U-Net", self.stride, *x.shape[-2:])
        maps = [self.first(x)]  # (N, 64, H, W)
        for down in self.down:
            maps.append(down(maps[-1]))  # (N, 2C, H/2, W/2), four times: (N, 1024, H/16, W/16)
        x = maps.pop()
        for up in self.up:
            x = up(x, maps.pop())  # (N, C/2, 2H, 2W), four times: (N, 64, H, W)
        return self.head(x)
