"""NEU_Seg: the public 4-class set, `images/{training,test}/000001.jpg` and ids in `annotations/…/000001.png`.

Its official split leaks: 810 of 840 test pictures have a rotated copy in training. Use it only for comparison.
"""

from pathlib import Path

from anet.data import listing
from anet.data.dataset import Dataset, Sample

TITLE = "NEU_Seg"
SIDES = ("images", "annotations")
FOLDERS = {"training": "train", "test": "test"}
TASKS = ("all",)
NAMES = ("background", "inclusion", "patches", "scratches")


def matches(root: Path) -> bool:
    """Say whether `root` has this layout."""
    sides = [listing.subfolder(root, root, name) for name in SIDES]
    return all(side and all(listing.subfolder(side, root, part) for part in FOLDERS) for side in sides)


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read all pictures with ids 0 to 3 and the official parts. `free` changes nothing: no picture is sound."""
    task = listing.choose(task, TASKS, "all", TITLE)
    images, truths = (listing.subfolder(root, root, name) for name in SIDES)
    assert images and truths  # `matches` has seen them, and the parts in them
    samples, given, unlabelled = [], {}, []
    for folder, part in FOLDERS.items():
        below, above = listing.subfolder(images, root, folder), listing.subfolder(truths, root, folder)
        assert below and above
        masks = listing.by_stem(listing.pictures(above, root), above)
        for stem, image in listing.by_stem(listing.pictures(below, root), below).items():
            if stem not in masks:
                unlabelled.append(image)
                continue
            samples.append(Sample(listing.name_of(image, root), image, masks[stem]))
            given[samples[-1].name] = part
    listing.require_masks(unlabelled, root, "annotations must hold a mask of the same name for each")
    listing.require_pictures(samples, root)
    return Dataset("neu_seg", task, root, NAMES, tuple(samples), given)
