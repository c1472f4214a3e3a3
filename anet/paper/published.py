"""The numbers that the paper prints, and for every network of Tables IV to VII how its cost columns come about.

Nobody has published this: printed = clean network, as `anet.nets` builds it and ptflops 0.7.0 counts it, + artefacts.
"""

from anet.nets.anet import ANet
from anet.nets.zoo.segnet import SegNet
from anet.nets.zoo.unet import UNet
from anet.paper.reconcile import Printed

PRINTED: dict[str, Printed] = {
    each.name: each
    for each in (
        Printed("segnet", 29.44, {224: 30.73, 512: 160.52}, lambda size: SegNet()),
        Printed("unet", 31.39, {224: 42.75, 512: 223.34}, lambda size: UNet()),
        Printed("anet", 0.39, {224: 0.44, 512: 2.30}, lambda size: ANet()),
    )
}  # fmt: skip
