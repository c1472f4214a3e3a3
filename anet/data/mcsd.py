"""MCSD: motor commutator surface defects, a folder of pictures and one of masks, 512x512, 886 + 222 in the paper.

Its layout is that of a plain folder, so only its name tells: "mcsd" in the name of the folder or the one above.
Not tried on the real download, which could not be had; the names below are those in common use.
"""

from itertools import product
from pathlib import Path

from anet.data import folder, listing
from anet.data.dataset import Dataset

TITLE = "MCSD"
IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "label", "gt", "ground_truth")
SIDES = (*IMAGES, *MASKS)
TASKS = ("defect",)


def matches(root: Path) -> bool:
    """Say whether `root` has this layout and name."""
    return any("mcsd" in name.lower() for name in (root.name, root.parent.name)) and _sides(root) is not None


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read all pictures as one class of defect. `free` changes nothing: every picture has a mask."""
    sides = _sides(root)
    assert sides  # `matches` has seen them
    return folder.read_sides(root, sides, "mcsd", task)


def _sides(root: Path) -> tuple[str, str] | None:
    present = {path.name.lower() for path in listing.subfolders(root, root)}
    return next((pair for pair in product(IMAGES, MASKS) if present.issuperset(pair)), None)
