"""ResNet, the one backbone that several networks of the zoo share: four stages, no classifier.

Paper: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
Source read: torchvision's ResNet (BSD-3-Clause). Modules have its names (`conv1`, `bn1`, `layer1` ... `downsample`), so
that its ImageNet weights fit key by key once their `fc` is dropped.
Differs: a bottleneck has its stride in the 3x3 convolution, as in torchvision and in every source read; the paper has
it in the first 1x1. Stages can be dilated instead of strided.
Initialisation: as the paper's, after He et al., ICCV 2015: convolutions Kaiming-normal, over fan-out
(torchvision); BatchNorm 1 and 0.
"""

from torch import Tensor, nn

from anet.nets.zoo._undrawn import undrawn

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # by depth and stage: table 1
WIDTHS = (64, 128, 256, 512)  # of a stage's 3x3 convolutions: table 1
NOT_DILATED = ((1,), (1,), (1,), (1,))


def conv(ci: int, co: int, kernel: int, stride: int, dilation: int) -> nn.Conv2d:
    """Make a convolution without bias that keeps the size at stride 1; Kaiming-normal over fan-out."""
    layer = undrawn(nn.Conv2d, ci, co, kernel, stride, kernel // 2 * dilation, dilation, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class BasicBlock(nn.Module):
    """3x3 - 3x3 with a residual. ResNet-18's block; the networks here never dilate it."""

    expansion = 1

    def __init__(self, ci: int, width: int, stride: int, dilation: int):
        super().__init__()
        assert dilation == 1, "no paper here says which of a basic block's convolutions would be dilated"
        self.conv1, self.bn1, self.relu1 = conv(ci, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(width, width, 3, 1, 1), nn.BatchNorm2d(width)
        self.downsample = shortcut(ci, width, stride)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))  # (N, width, H/stride, W/stride)
        return self.relu2(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1 - 3x3 - 1x1 to four times the width, with a residual. Block of ResNet-50 and ResNet-101."""

    expansion = 4

    def __init__(self, ci: int, width: int, stride: int, dilation: int):
        super().__init__()
        co = width * self.expansion
        self.conv1, self.bn1, self.relu1 = conv(ci, width, 1, 1, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(width, width, 3, stride, dilation), nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3, self.bn3 = conv(width, co, 1, 1, 1), nn.BatchNorm2d(co)
        self.downsample = shortcut(ci, co, stride)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))  # (N, width, H/stride, W/stride)
        return self.relu3(self.bn3(self.conv3(y)) + self.downsample(x))  # (N, 4 width, H/stride, W/stride)


def shortcut(ci: int, co: int, stride: int) -> nn.Module:
    """Make the residual: the input itself, or its 1x1 projection where size or channels change (option B)."""
    if stride == 1 and ci == co:
        return nn.Identity()
    return nn.Sequential(conv(ci, co, 1, stride, 1), nn.BatchNorm2d(co))


class ResNet(nn.Module):
    """ResNet-18, -50 or -101 without its classifier.

    `(N, 3, H, W) -> ` the outputs of layer1 to layer4, each of `channels[i]` channels. The stem (7x7 stride 2,
    max-pooling) quarters the sides, `strides` divides them further, stage by stage. `dilations` says for each stage the
    dilation of its blocks, one after the other, the last one repeated to the stage's end: `(1, 2)` is dilation 2 with a
    first block that keeps 1; `(2, 4, 8)` is a multi-grid of 1, 2, 4 on dilation 2.
    """

    def __init__(self, depth: int, strides: tuple[int, int, int, int], dilations: tuple[tuple[int, ...], ...]):
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        self.channels = tuple(width * block.expansion for width in WIDTHS)
        self.conv1, self.bn1, self.relu = conv(3, 64, 7, 2, 1), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        ci, stages = 64, []
        for blocks, width, stride, grid in zip(BLOCKS[depth], WIDTHS, strides, dilations, strict=True):
            dilation = grid + grid[-1:] * (blocks - len(grid))
            first = block(ci, width, stride, dilation[0])
            ci = width * block.expansion
            stages.append(nn.Sequential(first, *(block(ci, width, 1, each) for each in dilation[1:])))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, H/4, W/4)
        c2 = self.layer1(x)  # sides / strides[0] from here on
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)
