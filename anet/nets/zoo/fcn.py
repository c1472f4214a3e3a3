"""FCN: a classification network read as a convolution, its coarse scores added to finer ones. FCN-8s on ResNet-101.

Paper: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
Source read: the widely copied FCN-8s on torchvision's ResNet-101 (tequila28/Unet_based-segmentation, no licence), as a
specification only.
Parameters: own paper 134 M (VGG-16) / A-Net's table 45.47 M / here 43.42 M. The table's hold an unused classifier of
1000 classes, and its FLOPs count the backbone twice.
Differs: from the paper, in its backbone (ResNet-101 for VGG-16) and in what is added: 256 features of 1/8, 1/16 and
1/32, brought to size by nearest neighbours, and one 3x3 convolution to the classes at full size; the paper adds the
classes' scores and learns its upsampling. From the source, in nothing that is executed.
Initialisation: the backbone as ResNet's paper (see `_resnet`), the rest PyTorch's default.
"""

from torch import Tensor, nn

from anet.nets.contract import AuxHead, check_classes, check_sides
from anet.nets.zoo._resnet import NOT_DILATED, ResNet

WIDTH = 256  # features of every scale (source)


class FCN(nn.Module):
    """FCN-8s: three scales of a ResNet-101, summed from the coarsest up.

    `(N, 3, H, W) float32 -> (N, classes, H, W)` logits. H and W must be multiples of 32: OptionError says the padded
    size that works.
    """

    paper = "Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR"
    year = 2015
    stride = 32
    aux_heads: tuple[AuxHead, ...] = ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.backbone = ResNet(101, strides=(1, 2, 2, 2), dilations=NOT_DILATED)
        _, c3, c4, c5 = self.backbone.channels
        self.lateral3 = nn.Conv2d(c3, WIDTH, 1)
        self.lateral4 = nn.Conv2d(c4, WIDTH, 1)
        self.lateral5 = nn.Conv2d(c5, WIDTH, 1)
        self.up5, self.up4 = nn.Upsample(scale_factor=2, mode="nearest"), nn.Upsample(scale_factor=2, mode="nearest")
        self.up3 = nn.Upsample(scale_factor=8, mode="nearest")  # the 8 of FCN-8s
        self.classifier = nn.Conv2d(WIDTH, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        check_sides("FCN", self.stride, *x.shape[-2:])
        _, c3, c4, c5 = self.backbone(x)  # of 1/8, 1/16 and 1/32
        x = self.lateral5(c5)  # (N, 256, H/32, W/32)
        x = self.up5(x) + self.lateral4(c4)  # (N, 256, H/16, W/16)
        x = self.up4(x) + self.lateral3(c3)  # (N, 256, H/8, W/8)
        return self.classifier(self.up3(x))  # (N, classes, H, W) from (N, 256, H, W)
