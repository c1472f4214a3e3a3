"""SD-saliency-900: steel strip, 3 x 300 grey pictures of 200x200, `Source Images/In_1.bmp`, `Ground truth/In_1.png`.

The public twin of the paper's NEU-Seg (Paper: IV-A), which has its own, unpublished labels.
"""

from pathlib import Path

from anet.data import listing
from anet.data.dataset import Dataset, Sample

TITLE = "SD-saliency-900"
SIDES = ("Source Images", "Ground truth")  # the folders that a person may name instead of the root
CLASSES = {"inclusion": "In_", "patches": "Pa_", "scratches": "Sc_"}
TASKS = (*CLASSES, "all")


def matches(root: Path) -> bool:
    """Say whether `root` has this layout."""
    return all(listing.subfolder(root, root, name) for name in SIDES)


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read one class as a binary task, or "all" three as classes 1 to 3. `free` changes nothing: none is sound."""
    task = listing.choose(task, TASKS, None, TITLE)
    chosen = tuple(CLASSES) if task == "all" else (task,)
    images, truths = (listing.subfolder(root, root, name) for name in SIDES)
    assert images and truths  # `matches` has seen them
    masks = listing.by_stem(listing.pictures(truths, root), truths)
    samples, unlabelled = [], []
    for stem, image in listing.by_stem(listing.pictures(images, root), images).items():
        kind = next((kind for kind in chosen if stem.startswith(CLASSES[kind])), None)
        if kind is None:
            continue
        if stem not in masks:
            unlabelled.append(image)
            continue
        samples.append(Sample(listing.name_of(image, root), image, masks[stem], chosen.index(kind) + 1))
    listing.require_masks(unlabelled, root, f"{SIDES[1]} must hold a mask of the same name for each")
    listing.require_pictures(samples, root)
    return Dataset("sd900", task, root, ("background", *chosen), tuple(samples))
