"""KolektorSDD: `kos01/Part0.jpg` with `Part0_label.bmp` beside it; each kosNN is one commutator, 50 of them, 8 views.

Every picture has a label; 52 of 399 labels show a defect. Not tried on the real download, which could not be had.
"""

import re
from pathlib import Path

from anet.data import folder, listing
from anet.data.dataset import Dataset, Sample

TITLE = "KolektorSDD"
SIDES = ()
BESIDE = ("_label", None)  # what a label beside its picture adds to the stem; it ends as it likes
TASKS = ("defect",)


def matches(root: Path) -> bool:
    """Say whether `root` has this layout."""
    first = next((part for part in listing.subfolders(root, root) if re.fullmatch(r"kos\d+", part.name.lower())), None)
    return first is not None and any(path.stem.endswith("_label") for path in listing.pictures(first, root))


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read the defective pictures, with `free` the sound ones too; `group` is the commutator. Reads every label."""
    task = listing.choose(task, TASKS, "defect", TITLE)
    pairs: list[tuple[Path, Path, str]] = []
    unlabelled = []
    for part in listing.subfolders(root, root):
        if not re.fullmatch(r"kos\d+", part.name.lower()):
            continue
        files = listing.by_stem(listing.pictures(part, root), part)
        for stem, image in files.items():
            if stem.endswith("_label"):
                continue
            mask = files.get(f"{stem}_label")
            if mask is None:
                unlabelled.append(image)
            else:
                pairs.append((image, mask, part.name))
    listing.require_masks(unlabelled, root, "PartM_label.bmp must lie beside each PartM.jpg")
    names, class_id, empty = folder.classes(root, [mask for _, mask, _ in pairs])
    samples = [
        Sample(listing.name_of(image, root), image, None if mask in empty else mask, class_id, part)
        for image, mask, part in pairs
        if free or mask not in empty
    ]
    listing.require_pictures(samples, root)
    return Dataset("ksdd", task, root, names, tuple(samples))
