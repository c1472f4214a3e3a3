"""SegNet: VGG-16 mirrored, whose decoder up-samples by the positions of the encoder's maxima.

Paper: Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", IEEE TPAMI 2017.
Source read: Efficient-Segmentation-Networks (MIT).
Parameters: its own paper says 14.7 M of the encoder, of the whole none known / 29.44 M in A-Net's table / 29.44 M here.
Differs: the encoder is not pretrained, as A-Net's comparison has it. Sides that five halvings divide are required,
where the authors pad. Max-unpooling is written in plain operators (`_unpool`), with the same result; OpenVINO has none,
and where two values of a window differ by rounding alone it may put a maximum elsewhere than torch (32 of 50,176 pixels
off by more than 1e-4 at 224, measured).
Initialisation: He et al.'s, as the paper's: convolutions Kaiming-normal over fan-in, their biases 0; BatchNorm 1 and 0.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._undrawn import undrawn
from anet.nets.zoo._unpool import corners, unpool

# Output channels of the 3x3 convolutions before each pooling (VGG-16's thirteen), and after each unpooling: their
# mirror, whose last convolution, to the classes, stands apart.
ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))


def conv(ci: int, co: int) -> nn.Conv2d:
    """Make a 3x3 convolution with bias that keeps the size; Kaiming-normal over fan-in."""
    layer = undrawn(nn.Conv2d, ci, co, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def stage(ci: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Make the convolutions between two changes of size, each with normalisation and ReLU."""
    layers = []
    for co in widths:
        layers += [conv(ci, co), nn.BatchNorm2d(co), nn.ReLU(inplace=True)]
        ci = co
    return nn.Sequential(*layers)


def stages(ci: int, widths: tuple[tuple[int, ...], ...]) -> nn.ModuleList:
    """Make stage after stage."""
    inputs = (ci, *(each[-1] for each in widths[:-1]))
    return nn.ModuleList(stage(*each) for each in zip(inputs, widths, strict=True))


class SegNet(nn.Module):
    """Encoder of VGG-16 and its mirror image: `(N, 3, H, W) -> (N, classes, H, W)`. Paper: section 3, Fig. 2."""

    paper = "Badrinarayanan et al., SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation"
    year = 2017
    stride = 32  # five poolings
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.encoder = stages(3, ENCODER)
        self.decoder = stages(ENCODER[-1][-1], DECODER)
        self.head = conv(DECODER[-1][-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("SegNet", self.stride, *x.shape[-2:])
        places = []
        for encode in self.encoder:
            x = encode(x)
            pooled = F.max_pool2d(x, 2)  # functional, as in the source: the paper's counter does not see it
            places.append(corners(x, pooled))
            x = pooled  # (N, C, H/2, W/2), five times: (N, 512, H/32, W/32)
        for decode, place in zip(self.decoder, reversed(places), strict=True):
            x = decode(unpool(x, place))  # (N, C, 2H, 2W), five times: (N, 64, H, W)
        return self.head(x)
