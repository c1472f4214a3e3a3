"""Untrained bundles for `anet bench`: the same export as a trained model's, into a temporary folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from anet.bench.plain import SEED, seeded
from anet.bench.subjects import UNTRAINED, surfaces
from anet.export.deployable import export_bundle

THRESHOLD = 0.999  # far from what an untrained network says: the parity of pixels would hang on the last bit


@contextmanager
def made(network: str, h: int, w: int) -> Iterator[Path]:
    """Export `network` with seeded weights as a bundle that is gone at the end. Raises OptionError, ModelError."""
    facts = {
        "network": network, "class_names": ("background", "defect"), "h": h, "w": w,
        "mean": (0.45, 0.45, 0.45), "std": (0.22, 0.22, 0.22), "threshold": THRESHOLD, "min_area_px": 0,
        "provenance": {UNTRAINED: True, "seed": SEED},
    }  # fmt: skip
    formats = ("openvino", "native") if network == "anet" else ("openvino",)
    with TemporaryDirectory(prefix="anet-bench-") as folder:
        yield export_bundle(seeded(network), facts, Path(folder) / network, surfaces(h, w, 1), formats)
