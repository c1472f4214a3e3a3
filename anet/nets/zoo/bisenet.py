"""BiSeNet: a shallow spatial path and a deep context path (ResNet-18), fused at 1/8.

Paper: Yu, Wang, Peng, Gao, Yu, Sang, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation",
ECCV 2018.
Source read: ooooverflow/BiSeNet (no licence; not copied).
Parameters: its own paper 49.0 M (with ResNet-18) / A-Net's table 12.40 M / here 11.89 M.
Differs: as the source, which A-Net's counts fit to the last digit, differs from the paper. Attention refinement has no
BatchNorm; the 1/32 features are multiplied by their global mean, not added to it; the context maps of 1/16 and 1/32 are
concatenated at 1/8. The fusion has `classes` channels: with one class all that both paths know passes through ONE
channel and its ReLU, which may be why A-Net's Table V has no figure for BiSeNet on three of DAGM's classes.
From the source: its classifier and BatchNorms that never run are left out, and no weights are pretrained.
Auxiliary heads: the paper's, one on each context map. A-Net's parameters contain them, its FLOPs do not.
Initialisation: the backbone as ResNet's paper (see `_resnet`); elsewhere convolutions Kaiming-normal over fan-in, as
the source's; biases and BatchNorm as PyTorch's defaults. Ours: the fusion's first attention layer starts with weights
of positive sign and biases of 0. Its inputs are not negative; with one class its only ReLU would else often start dead.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._resnet import NOT_DILATED, ResNet


def conv_bn_relu(ci: int, co: int, stride: int) -> nn.Sequential:
    """Make a 3x3 convolution without bias, BatchNorm and ReLU."""
    return nn.Sequential(nn.Conv2d(ci, co, 3, stride, padding=1, bias=False), nn.BatchNorm2d(co), nn.ReLU(inplace=True))


class AttentionRefinement(nn.Module):
    """Weigh channels by the global mean's view of them. Paper: Fig. 2(b), without its BatchNorm (source)."""

    def __init__(self, c: int):
        super().__init__()
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)


class FeatureFusion(nn.Module):
    """Join both paths: concatenate, 3x3, then weigh channels and add. Paper: Fig. 2(c)."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.join = conv_bn_relu(ci, co, 1)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(co, co, 1), nn.ReLU(), nn.Conv2d(co, co, 1), nn.Sigmoid()
        )

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.join(torch.cat([spatial, context], dim=1))  # (N, co, H/8, W/8)
        return x + x * self.attention(x)


class BiSeNet(nn.Module):
    """Bilateral segmentation network with ResNet-18.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits; with `aux`, in training, also two maps of 1/8 of the sides.
    Sides must be multiples of 32, else OptionError.
    """

    paper = "Yu et al., BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation"
    year = 2018
    stride = 32
    aux_heads = (AuxHead("mask", 1.0), AuxHead("mask", 1.0))  # paper: eq. (2), alpha = 1
    aux_printed = True

    def __init__(self, classes: int = 1, aux: bool = False):
        super().__init__()
        check_classes(classes)
        self.aux = aux
        self.spatial = nn.Sequential(conv_bn_relu(3, 64, 2), conv_bn_relu(64, 128, 2), conv_bn_relu(128, 256, 2))
        self.backbone = ResNet(18, (1, 2, 2, 2), NOT_DILATED)
        *_, c16, c32 = self.backbone.channels  # 256, 512
        self.refine16, self.refine32 = AttentionRefinement(c16), AttentionRefinement(c32)
        self.fuse = FeatureFusion(256 + c16 + c32, classes)
        self.classify = nn.Conv2d(classes, classes, 1)
        if aux:
            self.aux_maps = nn.ModuleList([nn.Conv2d(c16, classes, 1), nn.Conv2d(c32, classes, 1)])
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith("backbone."):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        first = self.fuse.attention[1]
        with torch.no_grad():  # see the head of this file
            first.get_parameter("weight").abs_()
            first.get_parameter("bias").zero_()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_sides("BiSeNet", self.stride, *x.shape[-2:])
        spatial = self.spatial(x)  # (N, 256, H/8, W/8)
        *_, f16, f32 = self.backbone(x)  # (N, 256, H/16, W/16), (N, 512, H/32, W/32)
        tail = f32.mean(dim=(2, 3), keepdim=True)  # (N, 512, 1, 1)
        f16 = F.interpolate(self.refine16(f16), scale_factor=2, mode="bilinear")  # (N, 256, H/8, W/8)
        f32 = F.interpolate(self.refine32(f32) * tail, scale_factor=4, mode="bilinear")  # (N, 512, H/8, W/8)
        y = self.fuse(spatial, torch.cat([f16, f32], dim=1))  # (N, classes, H/8, W/8)
        y = self.classify(F.interpolate(y, scale_factor=8, mode="bilinear"))  # (N, classes, H, W)
        if self.training and self.aux:
            return y, *(head(f) for head, f in zip(self.aux_maps, (f16, f32), strict=True))  # 1/8 each
        return y
