"""A network's weights back from a bundle whose graph kept them: one file runs on the line and starts a training."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anet.errors import ModelError
from anet.files import printable
from anet.nets import weight_keys
from anet.runtime.card import MODELS, Card, read_bundle
from anet.runtime.engines.compiled import core

FILES = MODELS["openvino"]["f16"]
PREFIX = "self.deployable.network."  # as OpenVINO names a constant
HALF = "_compressed"  # and what it adds to one that it saved in half precision


def weights_of(bundle: Path) -> tuple[dict[str, Tensor], Card]:
    """Give a bundle's weights by their names in the network, float32, and its card.

    Raises ModelError where the graph was folded, as all are but those of the format "whole".
    """
    try:
        card, xml, content = read_bundle(bundle, FILES)
    except ModelError as error:
        raise ModelError(f"{printable(bundle)} holds no weights to start from: {error}") from error
    try:
        model = core().read_model(model=xml, weights=content)
    except RuntimeError as error:
        raise ModelError(f"{printable(bundle)} holds a graph that OpenVINO cannot read") from error
    found = {}
    for one in model.get_ops():
        name = one.get_friendly_name()
        if one.get_type_name() == "Constant" and name.startswith(PREFIX):
            value = np.array(one.data, np.float32)
            found[name.removeprefix(PREFIX).removesuffix(HALF)] = torch.from_numpy(value)
    if weight_keys(card.network) - found.keys():
        raise ModelError(
            f"{printable(bundle)} holds no weights to start from: `anet export --formats whole` keeps them"
        )
    return found, card
