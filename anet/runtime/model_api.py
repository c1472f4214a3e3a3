"""What OpenVINO's Model API reads from a model file, in IR and in ONNX alike."""

import re

import numpy as np

from anet.runtime.card import Card

THRESHOLD = re.compile(rb'(soft_threshold(?: value="|\x12\x0f))(\d\.\d{9}e-\d\d)')


def model_info(card: Card) -> dict[str, str]:
    """Give the keys of OpenVINO's Model API. It stretches pictures to the network's size: give it the same shape."""
    return {
        "model_type": "Segmentation",
        "labels": " ".join(name.replace(" ", "_") for name in card.class_names[1:]),  # parted by spaces there
        "resize_type": "standard",
        "blur_strength": "1",  # none
        "soft_threshold": threshold_text(card.threshold),
        "return_soft_prediction": "True",
    }


def threshold_text(threshold: float) -> str:
    """Give the least float32 above `threshold`, always as 15 letters: Model API keeps what is not below."""
    return f"{float(np.nextafter(np.float32(threshold), np.float32(1))):.9e}"


def with_threshold(content: bytes, threshold: float) -> bytes:
    """Give the bytes of a model file (IR or ONNX) with another threshold for Model API, of the same length."""
    return THRESHOLD.sub(lambda found: found.group(1) + threshold_text(threshold).encode(), content)
