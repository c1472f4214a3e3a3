"""Samples, data sets and splits: what every reader gives and everything else takes."""

import hashlib
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anet.errors import DataError, ImageError
from anet.files import printable
from anet.frame import IGNORE, channels_of
from anet.image import image_size, read_image, read_mask

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """One picture and its labels, as files; nothing is read before `read()`.

    `name` is unique in its data set (path below the root, without suffix, with `/`). A picture is sound without a mask,
    or with one that the reader found to be `empty`: parts are drawn with sound and defective ones in proportion.
    With `class_id`, the mask file says only where: values above 127 are that class. Without it, its values are the ids.
    """

    name: str
    image: Path
    mask: Path | None = None
    class_id: int | None = None
    group: str | None = None  # pictures of one group show the same thing and must stay in one part
    empty: bool = False  # no pixel of the mask is a defect, none is ignored

    @property
    def sound(self) -> bool:
        """Whether this is a picture without a defect, as far as the reader knows."""
        return self.mask is None or self.empty

    def read(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the picture `(H, W, 3) uint8` and mask `(H, W) uint8` of ids 0..classes-1, IGNORE where unlabelled.

        Raises ImageError when a file cannot be read, DataError when sizes differ or a value is no class.
        """
        image = read_image(self.image)
        return image, self.read_mask(image.shape[:2], classes)

    def read_mask(self, shape: tuple[int, int], classes: int) -> np.ndarray:
        """Give the mask alone for a picture of `shape` (H, W). Raises as `read`."""
        if self.mask is None:
            return np.zeros(shape, np.uint8)
        values = read_mask(self.mask)
        if values.shape != shape:
            raise DataError(
                f"{self.mask}: mask is {values.shape[1]}x{values.shape[0]}, its picture {shape[1]}x{shape[0]}"
            )
        if self.class_id is not None:
            return np.where(values > 127, self.class_id, 0).astype(np.uint8)
        wrong = values[(values >= classes) & (values != IGNORE)]
        if wrong.size:
            raise DataError(
                f"{self.mask}: value {int(wrong.max())} is no class: 0 to {classes - 1} are, {IGNORE} is ignored"
            )
        return values.astype(np.uint8)


@dataclass(frozen=True)
class Dataset:
    """Samples of one task. `class_names[0]` is always "background"."""

    name: str  # "sd900", "mt", ... or the folder's name
    task: str  # "inclusion", "defect", ...
    root: Path
    class_names: tuple[str, ...]
    samples: tuple[Sample, ...]
    given: dict[str, str] = field(default_factory=dict)  # sample name -> part, where the download layout says so

    @property
    def classes(self) -> int:
        """Number of ids in a mask, background included."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Number of a network's outputs for this task: one (sigmoid) for one class of defect, else softmax over all."""
        return channels_of(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the samples, in their order."""
        return tuple(sample.name for sample in self.samples)

    def check_fit(self, class_names: Sequence[str], model: Path) -> None:
        """Refuse these labels for a model of other classes, or of the same in another order. Raises DataError.

        `class_names` are the model's, the background first. One class of defect fits any other one, whatever either is
        called.
        """
        ours, theirs = tuple(class_names[1:]), self.class_names[1:]
        if len(ours) != len(theirs) or (len(ours) > 1 and ours != theirs):
            same = "the same in another order, so that ids mean other classes" if sorted(ours) == sorted(theirs) else ""
            raise DataError(
                f"{printable(model)} tells {', '.join(map(printable, ours))} apart, {printable(self.root)} is labelled "
                f"with {', '.join(map(printable, theirs))}: {same or 'they do not fit'}"
            )

    def digest(self) -> str:
        """Give the SHA-256 over names and content of all pictures and masks: what exactly was trained on."""
        total = hashlib.sha256()
        for sample in sorted(self.samples, key=lambda s: s.name):
            total.update(sample.name.encode("utf-8", "surrogateescape") + b"\0")
            for path in (sample.image, sample.mask):
                try:
                    total.update(hashlib.sha256(path.read_bytes()).digest() if path else b"sound")
                except OSError as error:
                    raise ImageError(f"cannot read {path}: {error.strerror}") from error
        return total.hexdigest()


@dataclass(frozen=True)
class Split:
    """Which samples train, validate and test, and how that came about."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    protocol: str  # "paper", "grouped" or "given"
    seed: int
    source: str  # one sentence for people: where the parts come from

    def part(self, name: str) -> tuple[Sample, ...]:
        """Give the samples of "train", "val" or "test"."""
        if name not in PARTS:
            raise DataError(f"no part {name!r}: {', '.join(PARTS)} exist")
        return getattr(self, name)


def usual_sides(samples: Iterable[Sample]) -> tuple[int, int]:
    """Give two of the pictures' longer sides in pixels: the median, and what 95 % of them do not exceed.

    0, 0 for no pictures. Raises ImageError.
    """
    sides = sorted(max(image_size(sample.image)) for sample in samples)
    return (statistics.median_high(sides), sides[math.ceil(0.95 * len(sides)) - 1]) if sides else (0, 0)
