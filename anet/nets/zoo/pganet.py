"""PGA-Net: five scales of VGG-16, each fused with all the others, then refined from coarse to fine.

Paper: Dong, Song, He, Xu, Yan, Meng, "PGA-Net: Pyramid Feature Fusion and Global Context Attention Network for
Automated Surface Defect Detection", IEEE Transactions on Industrial Informatics 2020.
Source read: none is public that matches; a reconstruction from the paper's text and A-Net's two cost columns.
Parameters: not known from its own paper / 51.41 M in A-Net's table / 51.43 M here.
Differs: what the paper's text leaves open is chosen here: the inner layers of the attention (a global mean, a
transposed convolution) and the last 1x1 convolution over the five side maps. Each side map is an auxiliary output with
the weight of the network's own, as usual for deep supervision; the authors' weights are not known. It needs no layer
that the network has not. VGG-16 is not pretrained.
Initialisation: VGG's convolutions Kaiming-normal over fan-in, their biases 0, since PyTorch's default would let the
signal fade to a hundred-thousandth in thirteen layers without normalisation; all else PyTorch's default.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._undrawn import undrawn

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # 3x3 convolutions before each pool
CHANNELS = tuple(widths[-1] for widths in VGG16)  # of the five features, taken BEHIND each pool: 1/2 to 1/32
WIDTH = 128  # of everything after the backbone: inferred from the parameters


def vgg_stage(ci: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Make VGG-16's convolutions up to the next halving, and the halving."""
    layers = []
    for co in widths:
        layer = undrawn(nn.Conv2d, ci, co, 3, padding=1)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        layers += [layer, nn.ReLU(inplace=True)]
        ci = co
    return nn.Sequential(*layers, nn.MaxPool2d(2))


class PyramidFusion(nn.Module):
    """Bring all five features to the scale of one, each by a single layer, and mix them. Paper: pyramid feature fusion.

    Its transposed convolutions, up to 16x16 at stride 16, are why A-Net's table says 315.69 G for true 26.5 G.
    """

    def __init__(self, target: int):
        super().__init__()
        self.to_target = nn.ModuleList()
        for level, channels in enumerate(CHANNELS):
            ratio = 2 ** abs(target - level)  # kernel = stride: every position is read, or written, once
            layer = nn.Conv2d if level <= target else nn.ConvTranspose2d
            self.to_target.append(layer(channels, WIDTH, ratio, stride=ratio))
        self.mix = nn.Sequential(
            nn.Conv2d(len(CHANNELS) * WIDTH, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        maps = [layer(feature) for layer, feature in zip(self.to_target, features, strict=True)]
        return self.mix(torch.cat(maps, dim=1))  # (N, 128, H/s, W/s), s the target's scale


class BoundaryRefinement(nn.Module):
    """Add a correction of two 3x3 convolutions. Shape is kept. Paper: boundary refinement block."""

    def __init__(self):
        super().__init__()
        self.correction = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.correction(x)


class GlobalContextAttention(nn.Module):
    """Weigh a fine map's channels by the coarser map's means, and add that map up-sampled. Paper: GCA module."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(WIDTH, WIDTH, 4, stride=2, padding=1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine * coarse.mean((2, 3), keepdim=True) + self.up(coarse)


class PGANet(nn.Module):
    """Pyramid fusion to five scales, attention from coarse to fine: `(N, 3, H, W) -> (N, classes, H, W)`.

    In training with `aux` the five side maps follow, 1/2 first, at the input's size.
    """

    paper = "Dong et al., PGA-Net: Pyramid Feature Fusion and Global Context Attention Network"
    year = 2020
    stride = 32  # five poolings
    aux_heads = (AuxHead("mask", 1.0),) * len(CHANNELS)

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.aux = aux
        self.backbone = nn.ModuleList(map(vgg_stage, (3, *CHANNELS[:-1]), VGG16))
        self.fusion = nn.ModuleList(PyramidFusion(target) for target in range(len(CHANNELS)))
        self.attention = nn.ModuleList(GlobalContextAttention() for _ in CHANNELS[:-1])  # none above the coarsest
        self.refine = nn.ModuleList(BoundaryRefinement() for _ in CHANNELS)
        self.side = nn.ModuleList(nn.Conv2d(WIDTH, classes, 1) for _ in CHANNELS)
        self.head = nn.Conv2d(len(CHANNELS) * classes, classes, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_sides("PGA-Net", self.stride, *x.shape[-2:])
        size = x.shape[-2:]
        features = []
        for stage in self.backbone:
            x = stage(x)  # sides halved, five times
            features.append(x)
        fused = [fusion(features) for fusion in self.fusion]  # 128 channels at 1/2, 1/4, 1/8, 1/16, 1/32
        refined = [self.refine[-1](fused[-1])]  # coarsest first
        for fine, attention, refine in zip(fused[-2::-1], self.attention[::-1], self.refine[-2::-1], strict=True):
            refined.append(refine(attention(fine, refined[-1])))
        sides = [
            F.interpolate(side(each), size=size, mode="bilinear", align_corners=False)  # (N, classes, H, W)
            for side, each in zip(self.side, reversed(refined), strict=True)
        ]
        logits = self.head(torch.cat(sides, dim=1))
        return (logits, *sides) if self.training and self.aux else logits
