"""Ask OpenVINO Model Server (KServe v2) for the defects of a picture: `python client.py BUNDLE PICTURE URL`.

They are those of `anet inspect`, by the card's threshold and smallest area, for pictures of up to 1.5 times the longer
side of those of the training. Tiles, light, rules, verdicts and the checksum of the served file are not in it.
"""

import json
import sys
import urllib.request
from pathlib import Path

import numpy as np

from anet.image import read_image
from anet.runtime.card import read_card
from anet.runtime.measuring.measure import Defect, find_defects


def probabilities(url: str, frame: np.ndarray) -> np.ndarray:
    """Send an `(h, w, 3) uint8` frame; give `(h, w, channels) float32`. Pixels go as bytes behind the JSON header."""
    told = {"name": "image", "shape": [1, *frame.shape], "datatype": "UINT8"}
    told["parameters"] = {"binary_data_size": frame.size}
    head = json.dumps({"inputs": [told]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    question = urllib.request.Request(f"{url}/v2/models/anet/infer", head + frame.tobytes(), headers)
    with urllib.request.urlopen(question, timeout=10) as reply:
        answer = next(one for one in json.load(reply)["outputs"] if one["name"] == "probs")
    probs = np.array(answer["data"], np.float32).reshape(answer["shape"])[0]
    if not np.isfinite(probs).all():
        raise ValueError("the model answers NaN or infinity: no verdict")
    return probs


def main(bundle: Path, picture: Path, url: str) -> tuple[Defect, ...]:
    """Give the defects of a picture."""
    card, image = read_card(bundle), read_image(picture)
    h, w = image.shape[:2]
    frame = card.frame(h, w)
    answer = frame.answer(probabilities(url, frame.image(image)), h, w)
    defects = find_defects(answer.mask(card.threshold), answer, card.min_area_px, card.class_names)
    for defect in defects:
        print(defect.class_name, defect.area_px, defect.box)
    return defects


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
