"""Make README's pictures: `python docs/print_pictures.py BUNDLE` draws surface, truth, and what the bundle finds.

The surfaces have seeds of their own: none of them is part of a set that `anet data synth` makes.
"""

import sys
from pathlib import Path

import numpy as np

from anet.data.synthetic import surface
from anet.image import overlay, write_png
from anet.runtime.inspector import Inspector

SHOWN = (("rolled", "inclusion", 901), ("grainy", "patch", 903), ("woven", "inclusion", 901))

inspector = Inspector(sys.argv[1])
for kind, defect, seed in SHOWN:
    image, mask = surface(kind, defect, 192, seed)
    found = inspector(image).mask
    parts = (image, overlay(image, (mask > 127).astype(np.uint8)), overlay(image, found))
    white = np.full((192, 6, 3), 255, np.uint8)
    write_png(
        Path(__file__).parent / "pictures" / f"{kind}-{defect}.png",
        np.concatenate([parts[0], white, parts[1], white, parts[2]], axis=1),
    )
