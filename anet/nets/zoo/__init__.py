"""The seventeen baselines of Tables IV to VII, each written from its paper in a file of its own.

Built clean: no layer that is never executed, nothing registered twice, nothing frozen, no pretrained weights. How the
counts printed for them come about all the same is told in `anet.paper.published`.
"""

from collections.abc import Mapping

from torch import nn

from anet.nets.zoo.erfnet import ERFNet
from anet.nets.zoo.esnet import ESNet
from anet.nets.zoo.segnet import SegNet
from anet.nets.zoo.unet import UNet

ZOO: Mapping[str, type[nn.Module]] = {  # in the order of Table IV
    "segnet": SegNet,
    "unet": UNet,
    "erfnet": ERFNet,
    "esnet": ESNet,
}
