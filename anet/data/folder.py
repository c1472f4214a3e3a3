"""A plain folder: `images/{train,val,test}` and `masks/{train,val,test}`, or `images` and `masks`, with equal names.

- Every picture needs a mask. A sound picture has an empty mask, or lies in a folder called `good` below `images`.
- Masks of 0 and 255 mean background and defect. Else the values are ids, 0 the background, and 255 is not scored.
- `classes.txt` names the ids, one a line, background first. With three names or more the masks are ids in any case.
"""

import os
from pathlib import Path

import numpy as np

from anet.data import known, listing
from anet.data.dataset import Dataset, Sample
from anet.errors import DataError
from anet.files import printable
from anet.frame import IGNORE
from anet.image import read_mask

TITLE = "a plain folder"
SIDES = ("images", "masks")
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SOUND = "good"
BACKGROUND = {"background", "back", "bg", "ok", "good", "sound", "normal", "none"}  # words for id 0
IDS = 32  # more ids than this in masks without classes.txt are grey levels, not classes


def matches(root: Path) -> bool:
    """Say whether `root` has this layout."""
    return all(listing.subfolder(root, root, name) for name in SIDES)


def read(root: Path, task: str | None = None, free: bool = False) -> Dataset:
    """Read all pictures; task "defect" with one class, "all" with several. `free` changes nothing: sound ones are in.

    Reads every mask's values once. Raises DataError, ImageError.
    """
    name = f"{root.name} folder" if root.name in known.PUBLISHED else root.name
    return read_sides(root, SIDES, name, task)


def read_sides(root: Path, sides: tuple[str, str], name: str, task: str | None) -> Dataset:
    """Read the folders called `sides` of `root`, pictures and masks, as a data set called `name`."""
    pairs, _ = pair(root, sides)
    unlabelled = [image for image, mask in pairs if mask is None and not is_sound(image, root)]
    listing.require_masks(
        unlabelled, root, f"add the masks, or move sound pictures into a folder called {SOUND} below {sides[0]}"
    )
    listing.require_pictures(pairs, root)
    names, class_id, empty = classes(root, [mask for _, mask in pairs if mask is not None])
    only = "defect" if len(names) == 2 else "all"
    samples = tuple(
        Sample(listing.name_of(image, root), image, mask, class_id, empty=mask in empty) for image, mask in pairs
    )
    task = listing.choose(task, (only,), only, printable(root))
    return Dataset(name, task, root, names, samples, _given(root, samples))


def pair(root: Path, sides: tuple[str, str] = SIDES) -> tuple[list[tuple[Path, Path | None]], list[Path]]:
    """Give every picture with its mask or None, and the masks without a picture. Raises DataError for a name twice."""
    images, masks = (listing.subfolder(root, root, side) for side in sides)
    if images is None or masks is None:
        raise DataError(f"{printable(root)} has no folders {' and '.join(sides)}")
    labels = listing.by_stem(listing.walk(masks, root), masks)
    pairs = [(path, labels.pop(key, None)) for key, path in listing.by_stem(listing.walk(images, root), images).items()]
    return pairs, list(labels.values())


def is_sound(image: Path, root: Path) -> bool:
    """Say whether a picture without a mask is declared sound, by lying in a folder called `good`."""
    return SOUND in (part.lower() for part in image.relative_to(root).parts[1:-1])


def classes(root: Path, masks: list[Path]) -> tuple[tuple[str, ...], int | None, frozenset[Path]]:
    """Give the class names, for masks of 0 and 255 class id 1 (else None: values are ids), and the empty masks.

    Raises DataError when the values are neither, or mix both ways of writing a defect.
    """
    written = {mask: mask_values(mask) for mask in masks}
    names, class_id = _meaning(root, written)
    return names, class_id, frozenset(mask for mask, found in written.items() if found <= {0})


def _meaning(root: Path, written: dict[Path, set[int]]) -> tuple[tuple[str, ...], int | None]:
    """Give names and class id as `classes`, from the values of each mask."""
    named, values = class_names(root), set().union(*written.values())
    if len(named) > 2:
        if 255 in values <= {0, 255}:
            raise DataError(
                f"masks of {printable(root)} hold 0 and 255 alone, and 255 is ignored where classes.txt names several "
                "classes: write their ids, 1, 2, …, or two names, background first"
            )
        return named, None
    if values <= {0, 255}:
        return named or ("background", "defect"), 1
    ones = [mask for mask, found in written.items() if 1 in found]
    full = [mask for mask, found in written.items() if 255 in found]
    if values == {0, 1, 255} and not set(ones) & set(full):
        raise DataError(
            f"masks write a defect in two ways: 1 in {printable(ones[0])}, 255 in {printable(full[0])}: "
            "use one of them in all masks, or give classes.txt with three names, background first"
        )
    top = max(values - {IGNORE})
    limit = len(named) or IDS
    if top >= limit:
        worst = next(mask for mask, found in written.items() if top in found)
        raise DataError(
            f"{printable(worst)} holds value {top}: masks are 0 and 255, or ids below {limit}; {remedy(named)}"
        )
    if named or top == 1:
        return named or ("background", "defect"), None
    return ("background", *(f"class{number}" for number in range(1, top + 1))), None


def remedy(named: tuple[str, ...]) -> str:
    """Say what helps against values that are no ids of the classes `named` (those of classes.txt, () without it)."""
    if len(named) > 2:
        return "add names to classes.txt"
    name = "add names to classes.txt" if named else "name the ids in classes.txt, background first"
    return f"save them without smoothing or JPEG, or {name}"


def class_names(root: Path) -> tuple[str, ...]:
    """Give the names in `classes.txt`, () without the file. Raises DataError."""
    path = root / "classes.txt"
    if not os.path.isfile(path):
        return ()
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{printable(path)} is a link out of {printable(root)}: copy the file into the data set")
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {printable(path)} as UTF-8 text: {error}") from error
    if len(names) < 2 or len(set(names)) < len(names) or len(names) > IGNORE:
        raise DataError(f"{printable(path)} must name background and each class once, one a line: {len(names)} found")
    if names[0].lower().strip("_") not in BACKGROUND:  # YOLO, CVAT and LabelImg begin with a class: all would shift
        raise DataError(
            f"{printable(path)}: the first line is '{printable(names[0][:60])}': put background before it, or in its "
            "place where it means no defect"
        )
    return ("background", *names[1:])


def mask_values(mask: Path) -> set[int]:
    """Give the different values that a mask file holds. Raises ImageError."""
    return set(np.flatnonzero(np.bincount(read_mask(mask).ravel())).tolist())


def _given(root: Path, samples: tuple[Sample, ...]) -> dict[str, str]:
    folders = {sample.name: sample.image.relative_to(root).parts[1:-1] for sample in samples}
    parts = {name: PARTS.get(below[0].lower()) if below else None for name, below in folders.items()}
    known = {name: part for name, part in parts.items() if part}
    stray = [name for name in parts if name not in known]
    if known and stray:
        raise DataError(
            f"{len(stray)} pictures in {printable(root)} are not in {', '.join(sorted(set(known.values())))}: "
            f"{listing.some(stray)}; put every picture into a part, or none"
        )
    return known
