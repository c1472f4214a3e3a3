"""A-Net, block by block in the order of the paper's Fig. 3, then Fig. 4's head.

Source: Chen et al., "A-Net: An A-shape Lightweight Neural Network for Real-time Surface Defect Segmentation",
sections III-C to III-E, checked against the authors' public definition (Apache-2.0). Where they disagree,
this follows the definition and says so.

Initialisation: PyTorch's defaults, as the authors': convolutions Kaiming-uniform with a = sqrt(5), BatchNorm 1 and 0,
PReLU slope 0.25. All convolutions are without bias but the head's last. `PReLU` learns one slope a layer.
"""

import torch
from torch import Tensor, nn

from anet.frame import STRIDE
from anet.nets.contract import AuxHead, check_classes, check_sides

DROPOUT = 0.1  # Dropout2d at the end of every main path (authors' definition; the paper gives no rate)


def conv(ci: int, co: int, kernel: int | tuple[int, int] = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Make a convolution without bias that keeps the size at stride 1."""
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (kh // 2, kw // 2) if stride == 1 else 0
    return nn.Conv2d(ci, co, (kh, kw), stride, padding, groups=groups, bias=False)


def dw_conv(ci: int, co: int) -> nn.Sequential:
    """Make the paper's dwConv: depthwise 3x3, then pointwise 1x1, nothing between or after (eq. 3)."""
    return nn.Sequential(conv(ci, ci, 3, groups=ci), conv(ci, co))


class LightBlock(nn.Module):
    """1x1 - dwConv - 1x1 with a residual; receptive field 3x3. Paper: Fig. 3(a), III-C.2. Shape is kept."""

    def __init__(self, c: int, cm: int):
        super().__init__()
        self.main = nn.Sequential(
            conv(c, cm), nn.BatchNorm2d(cm), nn.PReLU(),
            dw_conv(cm, cm), nn.BatchNorm2d(cm), nn.PReLU(),
            conv(cm, c), nn.BatchNorm2d(c), nn.Dropout2d(DROPOUT),
        )  # fmt: skip
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + x)


class WideBlock(nn.Module):
    """1x1 - (5x1, 1x5) - 1x1 with a residual; receptive field 5x5. Paper: Fig. 3(b), III-C.2. Shape is kept."""

    def __init__(self, c: int, cm: int):
        super().__init__()
        self.main = nn.Sequential(
            conv(c, cm), nn.BatchNorm2d(cm), nn.PReLU(),
            conv(cm, cm, (5, 1)), conv(cm, cm, (1, 5)), nn.BatchNorm2d(cm), nn.PReLU(),
            conv(cm, c), nn.BatchNorm2d(c), nn.Dropout2d(DROPOUT),
        )  # fmt: skip
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + x)


class DownBlock(nn.Module):
    """Halve height and width: 2x2 convolution beside max-pooling. Paper: Fig. 3(c), III-C.1."""

    def __init__(self, ci: int, cm: int, co: int):
        super().__init__()
        self.main = nn.Sequential(
            conv(ci, cm), nn.BatchNorm2d(cm), nn.PReLU(),
            conv(cm, cm, 2, stride=2), nn.BatchNorm2d(cm), nn.PReLU(),
            conv(cm, co), nn.BatchNorm2d(co), nn.Dropout2d(DROPOUT),
        )  # fmt: skip
        self.residual = nn.Sequential(nn.MaxPool2d(2), conv(ci, co), nn.BatchNorm2d(co))
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + self.residual(x))  # (N, co, H/2, W/2)


class UpBlock(nn.Module):
    """Double height and width: transposed 2x2 convolution beside bilinear up-sampling. Paper: Fig. 3(d), III-D.1."""

    def __init__(self, ci: int, cm: int, co: int):
        super().__init__()
        self.main = nn.Sequential(
            conv(ci, cm), nn.BatchNorm2d(cm), nn.PReLU(),
            nn.ConvTranspose2d(cm, cm, 2, 2, bias=False), nn.BatchNorm2d(cm), nn.PReLU(),
            conv(cm, co), nn.BatchNorm2d(co), nn.Dropout2d(DROPOUT),
        )  # fmt: skip
        self.residual = nn.Sequential(
            conv(ci, co), nn.BatchNorm2d(co), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        )
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + self.residual(x))  # (N, co, 2H, 2W)


class CatBlock(nn.Module):
    """Join detail and up-sampled features: concatenate, dwConv 2C to C, Light block. Paper: Fig. 3(e), III-D.1."""

    def __init__(self, c: int, cm: int):
        super().__init__()
        self.squeeze = dw_conv(2 * c, c)
        self.light = LightBlock(c, cm)

    def forward(self, detail: Tensor, x: Tensor) -> Tensor:
        return self.light(self.squeeze(torch.cat([detail, x], dim=1)))


class SegHead(nn.Sequential):
    """Double the size once more and map to logits. Paper: Fig. 4, III-D.2.

    The text calls the middle layer "point-wise"; the authors' definition has a dwConv, and PReLU before BN after the
    transposed convolution.
    """

    def __init__(self, ci: int, cm: int, classes: int):
        super().__init__(
            nn.ConvTranspose2d(ci, cm, 2, 2, bias=False), nn.PReLU(), nn.BatchNorm2d(cm),
            dw_conv(cm, cm), nn.BatchNorm2d(cm), nn.PReLU(),
            nn.Conv2d(cm, classes, 3, padding=1),
        )  # fmt: skip


# Table II: (operation, C_in, C_m, C_out, name). The printed sizes 64/32/16/8 belong to a 256 input: at 224 the maps are
# 112, 56, 28, 14 and 7.
# The third Down (1/8) is followed by ONE Light + Wide pair, though it lies above the jump connection.
TABLE_II = (
    ("down", 3, 8, 32, "down1"), ("light", 32, 8, 32, "light1"), ("wide", 32, 8, 32, "wide1"),
    ("down", 32, 16, 64, "down2"), ("light", 64, 16, 64, "light2"), ("wide", 64, 16, 64, "wide2"),  # detail, 1/4
    ("down", 64, 32, 128, "down3"), ("light", 128, 32, 128, "light3"), ("wide", 128, 32, 128, "wide3"),
    ("down", 128, 32, 128, "down4"), ("light", 128, 32, 128, "light4a"), ("wide", 128, 32, 128, "wide4a"),
    ("light", 128, 32, 128, "light4b"), ("wide", 128, 32, 128, "wide4b"),
    ("down", 128, 32, 128, "down5"), ("light", 128, 32, 128, "light5a"), ("wide", 128, 32, 128, "wide5a"),
    ("light", 128, 32, 128, "light5b"), ("wide", 128, 32, 128, "wide5b"),
    ("up", 128, 32, 128, "up4"), ("light", 128, 32, 128, "light6"), ("wide", 128, 32, 128, "wide6"),
    ("up", 128, 32, 128, "up3"), ("light", 128, 32, 128, "light7"), ("wide", 128, 32, 128, "wide7"),
    ("up", 128, 16, 64, "up2"), ("cat", 64, 16, 64, "cat"), ("wide", 64, 16, 64, "wide8"),
    ("up", 64, 8, 32, "up1"), ("light", 32, 8, 32, "light9"), ("wide", 32, 8, 32, "wide9"),
    ("head", 32, 16, None, "head"),
)  # fmt: skip
DETAIL = "wide2"  # the row whose output jumps to the Cat block: 1/4 of the input, the end of detail extraction


class ANet(nn.Module):
    """The A-shaped network of Table II, or of an edited table (see `ablation`).

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits. H and W must be multiples of 32: OptionError says the padded
    size that works (`anet.frame.Frame` pads and crops). 389,768 parameters with one class. Paper: Fig. 3, Table II.
    """

    paper = "Chen et al., A-Net: An A-shape Lightweight Neural Network for Real-time Surface Defect Segmentation"
    year = 2024
    stride = STRIDE
    aux_heads: tuple[AuxHead, ...] = ()  # "no auxiliary training strategies" (III-E)

    def __init__(self, classes: int = 1, rows: tuple = TABLE_II):
        super().__init__()
        check_classes(classes)
        self.classes = classes
        self.stages = nn.ModuleDict({name: build(op, ci, cm, co or classes) for op, ci, cm, co, name in rows})

    def forward(self, x: Tensor) -> Tensor:
        check_sides("A-Net", self.stride, *x.shape[-2:])
        detail = x
        for name, stage in self.stages.items():
            x = stage(detail, x) if isinstance(stage, CatBlock) else stage(x)
            if name == DETAIL:
                detail = x  # (N, 64, H/4, W/4)
        return x  # (N, classes, H, W)


def build(op: str, ci: int, cm: int, co: int) -> nn.Module:
    """Make the module of one row of Table II, or of its ablations (`conv3`, `conv5`, `plain3`, `plain5`, `deconv`)."""
    match op:
        case "down":
            return DownBlock(ci, cm, co)
        case "up":
            return UpBlock(ci, cm, co)
        case "light":
            return LightBlock(ci, cm)
        case "wide":
            return WideBlock(ci, cm)
        case "cat":
            return CatBlock(ci, cm)
        case "head":
            return SegHead(ci, cm, co)
        case "conv3" | "conv5":  # Table III: a bare convolution with bias, no norm, no activation, no residual
            kernel = int(op[-1])
            return nn.Conv2d(ci, co, kernel, padding=kernel // 2)
        case "plain3" | "plain5":  # not in the paper: the fair plain row
            return nn.Sequential(conv(ci, co, int(op[-1])), nn.BatchNorm2d(co), nn.PReLU())
        case "deconv":  # Table III without Seg Head
            return nn.ConvTranspose2d(ci, co, 2, 2, bias=False)
    raise ValueError(f"no operation {op!r}")  # fmt: skip
