"""Modules of each kind in every baseline, as built from its specification: pinned, since counts alone hide swaps.

And how many convolutions have which dilation above 1: no count shows those at all.
"""

MODULE_COUNTS: dict[str, dict[str, int]] = {
    "fcn": {"BatchNorm2d": 104, "Conv2d": 108, "Identity": 29, "MaxPool2d": 1, "ReLU": 100, "Upsample": 3},
    "segnet": {"BatchNorm2d": 25, "Conv2d": 26, "ReLU": 25},
    "pspnet": {
        "AdaptiveAvgPool2d": 4,
        "BatchNorm2d": 56,
        "Conv2d": 62,
        "Dropout2d": 4,
        "Identity": 12,
        "MaxPool2d": 1,
        "PReLU": 3,
        "ReLU": 50,
    },
    "deeplabv3plus": {
        "AdaptiveAvgPool2d": 1,
        "BatchNorm2d": 113,
        "Conv2d": 114,
        "Dropout": 3,
        "Identity": 29,
        "MaxPool2d": 1,
        "ReLU": 109,
    },
    "refinenet": {"BatchNorm2d": 104, "Conv2d": 171, "Identity": 29, "MaxPool2d": 17, "ReLU": 144},
    "unet": {"BatchNorm2d": 18, "Conv2d": 23, "ConvTranspose2d": 4, "MaxPool2d": 4, "ReLU": 18},
    "swin-unet": {"Conv2d": 2, "GELU": 14, "LayerNorm": 38, "Linear": 66},
    "ccnet": {"BatchNorm2d": 107, "Conv2d": 111, "Dropout2d": 1, "Identity": 29, "MaxPool2d": 1, "ReLU": 103},
    "pga-net": {"BatchNorm2d": 5, "Conv2d": 49, "ConvTranspose2d": 14, "MaxPool2d": 5, "ReLU": 23},
    "lsa-net": {"BatchNorm2d": 32, "Conv2d": 38, "Upsample": 4},
    "bisenet": {
        "AdaptiveAvgPool2d": 3,
        "BatchNorm2d": 24,
        "Conv2d": 29,
        "Identity": 5,
        "MaxPool2d": 1,
        "ReLU": 22,
        "Sigmoid": 3,
    },
    "bisenetv2": {
        "AdaptiveAvgPool2d": 1,
        "AvgPool2d": 1,
        "BatchNorm2d": 53,
        "Conv2d": 56,
        "Identity": 5,
        "MaxPool2d": 1,
        "ReLU": 30,
        "Sigmoid": 2,
    },
    "stdc": {"AvgPool2d": 3, "BatchNorm2d": 38, "Conv2d": 41, "Identity": 6, "ReLU": 34, "Sigmoid": 3},
    "erfnet": {"BatchNorm2d": 39, "Conv2d": 71, "ConvTranspose2d": 3, "Dropout2d": 17, "MaxPool2d": 3},
    "esnet": {"BatchNorm2d": 29, "Conv2d": 63, "ConvTranspose2d": 3, "Dropout2d": 12, "MaxPool2d": 3, "ReLU": 44},
    "enet": {"BatchNorm2d": 83, "Conv2d": 85, "ConvTranspose2d": 3, "Dropout2d": 26, "MaxPool2d": 3, "PReLU": 79},
    "topformer": {"BatchNorm2d": 64, "Conv2d": 69, "Dropout2d": 1, "ReLU": 21, "ReLU6": 11},
}

DILATIONS: dict[str, dict[int, int]] = {
    "pspnet": {2: 5, 4: 2},  # the first block of a dilated stage keeps 1
    "deeplabv3plus": {2: 1, 4: 1, 8: 1, 6: 1, 12: 1, 18: 1},  # multi-grid, then ASPP
    "ccnet": {2: 2},
    "lsa-net": {4: 1, 2: 1},
    "erfnet": {2: 4, 4: 4, 8: 4, 16: 4},  # two blocks each, two convolutions a block
    "esnet": {2: 6, 5: 6, 9: 6},
    "enet": {2: 2, 4: 2, 8: 2, 16: 2},
}
