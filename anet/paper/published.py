"""The numbers that the paper prints, and for every network of Tables IV to VII how its cost columns come about.

Nobody has published this: printed = clean network, as `anet.nets` builds it and ptflops 0.7.0 counts it, + artefacts.
"""

from torch import nn

from anet.nets.anet import ANet
from anet.nets.zoo.erfnet import ERFNet
from anet.nets.zoo.esnet import ESNet
from anet.nets.zoo.segnet import SegNet
from anet.nets.zoo.unet import UNet
from anet.paper.reconcile import Artefact, Printed, params_of

ENCODER_CLASSIFIER = Artefact(
    "the encoder's own 1x1 classifier, of use only while it is trained alone, was never executed",
    params=params_of(lambda: nn.Conv2d(128, 1, 1)),
)

PRINTED: dict[str, Printed] = {
    each.name: each
    for each in (
        Printed("segnet", 29.44, {224: 30.73, 512: 160.52}, lambda size: SegNet()),
        Printed("unet", 31.39, {224: 42.75, 512: 223.34}, lambda size: UNet()),
        Printed(
            "erfnet", 2.08, {224: 2.82, 512: 14.74}, lambda size: ERFNet(),
            (ENCODER_CLASSIFIER,),
            "near",
        ),
        Printed(
            "esnet", 1.66, {224: 2.58, 512: 13.48}, lambda size: ESNet(),
            (ENCODER_CLASSIFIER,),
        ),
        Printed("anet", 0.39, {224: 0.44, 512: 2.30}, lambda size: ANet()),
    )
}  # fmt: skip
