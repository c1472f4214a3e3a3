"""Magnetic tile defects: `MT_<Class>/Imgs/x.jpg` with `x.png` beside it, 392 defective and 952 sound (MT_Free).

Masks are anti-aliased: a defect is above 127. Four Uneven masks are empty; they stay in, as in the paper's 392.
"""

from pathlib import Path

from anet.data import listing
from anet.data.dataset import Dataset, Sample

TITLE = "the magnetic tile set"
SIDES = ()
BESIDE = ("", ".png")  # what a mask beside its picture adds to the stem, and how it ends
CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
SOUND = "MT_Free"
TASKS = ("defect", "all")


def matches(root: Path) -> bool:
    """Say whether `root` has this layout, with one class of defect at least."""
    return any(_images(root, f"MT_{kind}") for kind in CLASSES)


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read "defect" (one class, the default) or "all" (five classes); `free` adds the sound tiles of MT_Free."""
    task = listing.choose(task, TASKS, "defect", TITLE)
    samples: list[Sample] = []
    unlabelled: list[Path] = []
    for number, kind in enumerate(CLASSES, 1):
        for image, mask in _pairs(root, f"MT_{kind}"):
            if mask is None:
                unlabelled.append(image)
            else:
                samples.append(Sample(listing.name_of(image, root), image, mask, number if task == "all" else 1))
    if free:  # their masks hold nothing (all 952 checked), so they are sound pictures like any others
        samples += [Sample(listing.name_of(image, root), image) for image, _ in _pairs(root, SOUND)]
    listing.require_masks(unlabelled, root, "x.png must lie beside each x.jpg")
    listing.require_pictures(samples, root)
    names = (kind.lower() for kind in CLASSES) if task == "all" else ("defect",)
    return Dataset("mt", task, root, ("background", *names), tuple(samples))


def _images(root: Path, name: str) -> Path | None:
    folder = listing.subfolder(root, root, name)
    return listing.subfolder(folder, root, "Imgs") if folder else None


def _pairs(root: Path, name: str) -> list[tuple[Path, Path | None]]:
    folder = _images(root, name)
    if folder is None:
        return []
    files = listing.pictures(folder, root)
    masks = listing.by_stem((path for path in files if path.suffix.lower() == ".png"), folder)
    images = listing.by_stem((path for path in files if path.suffix.lower() != ".png"), folder)
    return [(image, masks.get(stem)) for stem, image in images.items()]
