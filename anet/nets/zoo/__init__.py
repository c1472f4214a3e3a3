"""The seventeen baselines of Tables IV to VII, each written from its paper in a file of its own.

Built clean: no layer that is never executed, nothing registered twice, nothing frozen, no pretrained weights. How the
counts printed for them come about all the same is told in `anet.paper.published`.
"""

from collections.abc import Mapping

from torch import nn

from anet.nets.zoo.bisenet import BiSeNet
from anet.nets.zoo.bisenetv2 import BiSeNetV2
from anet.nets.zoo.ccnet import CCNet
from anet.nets.zoo.deeplabv3plus import DeepLabV3Plus
from anet.nets.zoo.enet import ENet
from anet.nets.zoo.erfnet import ERFNet
from anet.nets.zoo.esnet import ESNet
from anet.nets.zoo.fcn import FCN
from anet.nets.zoo.lsanet import LSANet
from anet.nets.zoo.pganet import PGANet
from anet.nets.zoo.pspnet import PSPNet
from anet.nets.zoo.refinenet import RefineNet
from anet.nets.zoo.segnet import SegNet
from anet.nets.zoo.stdc import STDC
from anet.nets.zoo.swinunet import SwinUnet
from anet.nets.zoo.topformer import TopFormer
from anet.nets.zoo.unet import UNet

ZOO: Mapping[str, type[nn.Module]] = {  # in the order of Table IV
    "fcn": FCN,
    "segnet": SegNet,
    "pspnet": PSPNet,
    "deeplabv3plus": DeepLabV3Plus,
    "refinenet": RefineNet,
    "unet": UNet,
    "swin-unet": SwinUnet,
    "ccnet": CCNet,
    "pga-net": PGANet,
    "lsa-net": LSANet,
    "bisenet": BiSeNet,
    "bisenetv2": BiSeNetV2,
    "stdc": STDC,
    "erfnet": ERFNet,
    "esnet": ESNet,
    "enet": ENet,
    "topformer": TopFormer,
}
