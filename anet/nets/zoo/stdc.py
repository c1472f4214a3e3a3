"""STDC: BiSeNet with a backbone made for it (STDC1) whose 1/8 features learn detail, so that no spatial path is needed.

Paper: Fan, Lai, Huang, Wei, Chai, Luo, Wei, "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021.
Source read: MichaelFan01/STDC-Seg (MIT).
Parameters: its own paper 8.44 M (backbone with classifier) / A-Net's table 12.04 M / here 8.27 M, with
auxiliary heads 8.57 M.
Differs: not from the paper's design. From the source: its classifier is left out, which is of use for pretraining only,
and heads are executed in training only. The source executes them always, and with them three boundary heads more, at
1/2, 1/4 and 1/16, which its own training recipe leaves without a loss.
Auxiliary heads: as the source trains, one on either context map and the paper's detail head on the 1/8 features, each
with the weight 1. A-Net's parameters and FLOPs contain them.
Initialisation: as the source without its pretraining: the backbone Kaiming-normal over fan-out, elsewhere
Kaiming-normal over fan-in with a = 1; BatchNorm 1 and 0.
Training needs two pictures a batch at least: a BatchNorm normalises global means, one value a picture.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides

STAGES = (256, 512, 1024)  # channels at 1/8, 1/16, 1/32; two blocks each: paper, table 2, STDC1
CONTEXT = 128  # channels of the context maps: source
AUX = 64  # channels within the auxiliary heads: source


def conv_bn_relu(ci: int, co: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Make a convolution without bias that keeps the size at stride 1, BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(ci, co, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(co), nn.ReLU(inplace=True)
    )


def seg_head(ci: int, cm: int, classes: int) -> nn.Sequential:
    """Make a head without its up-sampling: 3x3 to `cm` channels, 1x1 without bias."""
    return nn.Sequential(conv_bn_relu(ci, cm, 3), nn.Conv2d(cm, classes, 1, bias=False))


class STDCBlock(nn.Module):
    """Short-term dense concatenation: four convolutions in a row, each narrower, all of them the output. Paper: Fig. 3.

    At stride 2 the first one's output is halved: by a depthwise convolution on its way on, by average on its way out.
    """

    def __init__(self, ci: int, co: int, stride: int):
        super().__init__()
        self.first = conv_bn_relu(ci, co // 2, 1)
        self.down, self.pool = nn.Identity(), nn.Identity()
        if stride == 2:
            self.down = nn.Sequential(
                nn.Conv2d(co // 2, co // 2, 3, 2, padding=1, groups=co // 2, bias=False), nn.BatchNorm2d(co // 2)
            )
            self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.second = conv_bn_relu(co // 2, co // 4, 3)
        self.third = conv_bn_relu(co // 4, co // 8, 3)
        self.fourth = conv_bn_relu(co // 8, co // 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)  # (N, co/2, H, W)
        second = self.second(self.down(first))  # (N, co/4, H/stride, W/stride)
        third = self.third(second)
        return torch.cat([self.pool(first), second, third, self.fourth(third)], dim=1)  # (N, co, H/stride, W/stride)


class STDCNet(nn.Module):
    """The backbone, STDC1 (STDCNet813 of the source), without its classifier: features of 1/8, 1/16 and 1/32."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 32, 3, 2), conv_bn_relu(32, 64, 3, 2))
        widths = (64, *STAGES)
        self.stage3, self.stage4, self.stage5 = (
            nn.Sequential(STDCBlock(ci, co, 2), STDCBlock(co, co, 1)) for ci, co in zip(widths, STAGES, strict=False)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f8 = self.stage3(self.stem(x))  # (N, 256, H/8, W/8)
        f16 = self.stage4(f8)  # (N, 512, H/16, W/16)
        return f8, f16, self.stage5(f16)  # (N, 1024, H/32, W/32)


class AttentionRefinement(nn.Module):
    """Weigh channels by the global mean's view of them, after a 3x3. Paper: "ARM", from BiSeNet."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv = conv_bn_relu(ci, co, 3)
        self.attention = nn.Sequential(nn.Conv2d(co, co, 1, bias=False), nn.BatchNorm2d(co), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # (N, co, H, W)
        return x * self.attention(F.adaptive_avg_pool2d(x, 1))


class FeatureFusion(nn.Module):
    """Join detail and context: concatenate, 1x1, then weigh channels and add. Paper: "FFM", from BiSeNet."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.join = conv_bn_relu(ci, co, 1)
        self.attention = nn.Sequential(
            nn.Conv2d(co, co // 4, 1, bias=False), nn.ReLU(inplace=True), nn.Conv2d(co // 4, co, 1, bias=False),
            nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        x = self.join(torch.cat([detail, context], dim=1))  # (N, co, H/8, W/8)
        return x + x * self.attention(F.adaptive_avg_pool2d(x, 1))


class STDC(nn.Module):
    """The segmentation network on STDC1.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; with `aux`, in training, also maps of 1/8 and 1/16 of the sides
    and a detail map of 1/8, one channel. Sides must be multiples of 32, else OptionError.
    """

    paper = "Fan et al., Rethinking BiSeNet For Real-time Semantic Segmentation"
    year = 2021
    stride = 32
    aux_heads = (AuxHead("mask", 1.0), AuxHead("mask", 1.0), AuxHead("detail", 1.0))
    aux_printed = True

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.aux = aux
        c8, c16, c32 = STAGES
        self.refine16, self.refine32 = AttentionRefinement(c16, CONTEXT), AttentionRefinement(c32, CONTEXT)
        self.context = conv_bn_relu(c32, CONTEXT, 1)
        self.smooth32, self.smooth16 = conv_bn_relu(CONTEXT, CONTEXT, 3), conv_bn_relu(CONTEXT, CONTEXT, 3)
        self.fuse = FeatureFusion(c8 + CONTEXT, 256)
        self.head = seg_head(256, 256, classes)
        if aux:
            self.aux_maps = nn.ModuleList(
                [seg_head(CONTEXT, AUX, classes), seg_head(CONTEXT, AUX, classes), seg_head(c8, AUX, 1)]
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=1)
        self.backbone = STDCNet()  # initialises itself otherwise

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_sides("STDC", self.stride, *x.shape[-2:])
        f8, f16, f32 = self.backbone(x)
        mean = self.context(F.adaptive_avg_pool2d(f32, 1))  # (N, 128, 1, 1)
        context16 = self.smooth32(F.interpolate(self.refine32(f32) + mean, scale_factor=2))  # (N, 128, H/16, W/16)
        context8 = self.smooth16(F.interpolate(self.refine16(f16) + context16, scale_factor=2))  # (N, 128, H/8, W/8)
        y = self.head(self.fuse(f8, context8))  # (N, classes, H/8, W/8)
        y = F.interpolate(y, scale_factor=8, mode="bilinear", align_corners=True)  # (N, classes, H, W)
        if self.training and self.aux:
            return y, *(each(f) for each, f in zip(self.aux_maps, (context8, context16, f8), strict=True))
        return y
