"""Read a bundle with OpenVINO's Model API, which knows nothing of anet: `python model_api_bundle.py BUNDLE PICTURE`.

Needs openvino-model-api. It stretches a picture to the network's size: give it the shape that the network has.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from model_api.adapters import OpenvinoAdapter
from model_api.models import Model

from anet.image import read_image
from anet.runtime.card import MODELS, read_card


def main(bundle: Path, picture: Path) -> np.ndarray:
    """Give the mask of class ids, `(H, W)`; 0 is background."""
    graph = MODELS["openvino"][read_card(bundle).precision][0]  # its recommended one: model.xml, model-f16.xml, ...
    model = Model.create_model(OpenvinoAdapter(ov.Core(), str(bundle / graph), device="CPU"))
    answer = model(read_image(picture))
    for number, label in enumerate(model.params.labels, 1):
        print(f"{label}: {int((answer.resultImage == number).sum())} px")
    return answer.resultImage


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
