"""DAGM 2007: `Class7/Train/0576.PNG`, `Class7/Train/Label/0576_label.PNG`, 512x512, ten textures.

Pictures without a label are sound by the set's own rule. The paper takes the defective ones of classes 7 to 10, 250/50.
"""

import re
from pathlib import Path

from anet.data import listing
from anet.data.dataset import Dataset, Sample
from anet.errors import DataError
from anet.files import printable

TITLE = "DAGM 2007"
SIDES = ()
TASKS = tuple(f"class{number}" for number in range(1, 11))
PARTS = {"Train": "train", "Test": "test"}


def matches(root: Path) -> bool:
    """Say whether `root` holds folders Class1 to Class10 of this layout, or is one of them."""
    return bool(_classes(root))


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read one texture's defective pictures, with `free` its sound ones too, and the download's own parts."""
    classes = _classes(root)
    tasks = tuple(name for name in TASKS if name in classes)
    task = listing.choose(task, tasks, tasks[0] if len(tasks) == 1 else None, TITLE)
    home = classes[task].parent
    samples, given = [], {}
    for name, part in PARTS.items():
        folder = listing.subfolder(classes[task], home, name)
        for image, mask in _pairs(folder, home) if folder else ():
            if mask or free:
                samples.append(Sample(listing.name_of(image, home), image, mask, 1))
                given[samples[-1].name] = part
    listing.require_pictures(samples, classes[task])
    return Dataset("dagm", task, home, ("background", "defect"), tuple(samples), given)


def _classes(root: Path) -> dict[str, Path]:
    if _is_class(root):
        return {root.name.lower(): root}
    return {folder.name.lower(): folder for folder in listing.subfolders(root, root) if _is_class(folder)}


def _is_class(folder: Path) -> bool:
    if folder.name.lower() not in TASKS:
        return False
    parts = [listing.subfolder(folder, folder, name) for name in PARTS]
    return any(part and listing.subfolder(part, folder, "Label") for part in parts)


def _pairs(folder: Path, home: Path) -> list[tuple[Path, Path | None]]:
    labels = listing.subfolder(folder, home, "Label")
    if labels is None:  # else every defect would pass as sound
        raise DataError(f"{printable(folder)} has no folder Label: without it every picture would count as sound")
    masks = listing.by_stem(listing.pictures(labels, home), labels)
    images = listing.by_stem(listing.pictures(folder, home), folder)
    orphans = [path for stem, path in masks.items() if not (stem.endswith("_label") and stem[:-6] in images)]
    if orphans:
        raise DataError(f"labels without a picture in {printable(labels)}: {listing.some(p.name for p in orphans)}")
    _check_list(labels, home)
    return [(image, masks.get(f"{stem}_label")) for stem, image in images.items()]


def _check_list(labels: Path, home: Path) -> None:
    """Compare with the download's own list: a label that was lost would make its defective picture a sound one."""
    written = next((path for path in listing.entries(labels, home) if path.name.lower() == "labels.txt"), None)
    if written is None or not written.is_file():
        return
    try:
        promised = re.findall(r"\S+_label\.png", written.read_text("utf-8", "replace"), re.IGNORECASE)
    except OSError as error:
        raise DataError(f"cannot read {printable(written)}: {error.strerror}") from error
    there = {path.name.lower() for path in listing.pictures(labels, home)}
    lost = [name for name in promised if name.lower() not in there]
    if lost:
        raise DataError(f"{printable(written)} lists labels that are missing: {listing.some(lost)}")
