"""Find pictures that show the same thing: copies in any of the 8 symmetries, and overlapping (shifted) crops.

Copies: high-passed 32 x 32 thumbnails against their 8 symmetric versions, one matrix product. Overlaps: `overlap.py`.
A candidate of either kind counts only when the locally normalised pictures agree pixel for pixel where they overlap.

Limits, said openly: overlaps are searched among up to MOST_FOR_OVERLAPS distinct pictures, at one scale (copies may
differ in size). Parts photographed on a fixture, without texture, can look like copies of each other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anet.data.dataset import Sample
from anet.data.overlap import AGREE, MOST_FOR_OVERLAPS, agreement, normalise, overlaps, symmetric, turned
from anet.files import sha256
from anet.image import image_size, read_image

WORKING_SIDE = 256  # the data set's median long side is shrunk to this; all pictures by the same factor
THUMBNAIL = 32
ALIKE = 0.93  # of thumbnails: true copies of NEU_Seg >= 0.91 (99.9 % >= 0.986), unrelated median 0.10, 99 % below 0.43


@dataclass(frozen=True)
class Pair:
    """Two pictures (by sample name, a < b) that show the same thing, and how well their pixels agree, 0..1.

    `kind` is "identical" (pixel for pixel), "copy", "rotated", "mirrored" (turned or not), or
    "shifted", "shifted+rotated", "shifted+mirrored" for overlaps.
    """

    a: str
    b: str
    correlation: float
    kind: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def near_duplicates(samples: Sequence[Sample]) -> list[Pair]:
    """Find pictures that show the same thing, whatever the order of `samples`; brightness, contrast, JPEG may differ.

    Each copy is paired with one representative, and overlaps are searched between representatives: the connected
    components are the groups. Raises ImageError for a picture that cannot be read.
    """
    if len(samples) < 2:
        return []
    samples = sorted(samples, key=lambda sample: sample.name)
    pictures, hashes = _read([sample.image for sample in samples])
    found: list[tuple[int, int, float, str]] = []
    first: dict[str, int] = {}
    for index, digest in enumerate(hashes):
        if first.setdefault(digest, index) != index:
            found.append((first[digest], index, 1.0, "identical"))
    views = {index: normalise(pictures[index]) for index in first.values()}
    parent = list(range(len(samples)))
    found += _copies(pictures, views, parent)
    heads = [index for index in sorted(views) if _root(parent, index) == index]
    if 2 <= len(heads) <= MOST_FOR_OVERLAPS:
        found += overlaps([views[index] for index in heads], heads)
    return sorted(
        (Pair(samples[a].name, samples[b].name, round(min(score, 1.0), 4), kind) for a, b, score, kind in found),
        key=lambda pair: (pair.a, pair.b),
    )


def groups(samples: Sequence[Sample], pairs: Sequence[Pair] | None = None) -> dict[str, str]:
    """Give each sample's name its group, "g000"..., in order of names; `pairs` saves a second search.

    A group is a connected component of `near_duplicates`. Raises ImageError.
    """
    pairs = near_duplicates(samples) if pairs is None else pairs
    samples = sorted(samples, key=lambda sample: sample.name)
    place = {sample.name: index for index, sample in enumerate(samples)}
    parent = list(range(len(samples)))
    for pair in pairs:
        if pair.a in place and pair.b in place:
            _join(parent, place[pair.a], place[pair.b])
    numbers: dict[int, int] = {}
    roots = [_root(parent, index) for index in range(len(samples))]
    return {s.name: f"g{numbers.setdefault(root, len(numbers)):03d}" for s, root in zip(samples, roots, strict=True)}


def describe(found: dict[str, str]) -> str:
    """Say in one sentence what `groups` found."""
    sizes = [size for size in Counter(found.values()).values() if size > 1]
    if not sizes:
        text = f"No two of {len(found)} pictures show the same thing"
    else:
        text = (
            f"{sum(sizes)} of {len(found)} pictures show the same thing as another one (copies, rotated, mirrored "
            f"or shifted): {len(sizes)} groups, the largest of {max(sizes)}"
        )
    if len(found) > MOST_FOR_OVERLAPS:
        text += f"; shifted copies were not searched among more than {MOST_FOR_OVERLAPS} distinct pictures"
    return text + "."


def _read(paths: Sequence[Path]) -> tuple[list[np.ndarray], list[str]]:
    """Give grey uint8 pictures, all shrunk by one factor, and a hash of each one's full pixels."""
    sides = [max(image_size(path)) for path in paths]
    scale = min(1.0, WORKING_SIDE / float(np.median(sides))) if sides else 1.0
    pictures, hashes = [], []
    for path, side in zip(paths, sides, strict=True):
        image = read_image(path)
        hashes.append(sha256(str(image.shape).encode() + image.tobytes()))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        factor = min(scale, 4 * WORKING_SIDE / side)  # a lone giant is found as a copy only
        if factor < 1:
            h, w = (max(1, round(length * factor)) for length in grey.shape)
            grey = cv2.resize(grey, (w, h), interpolation=cv2.INTER_AREA)
        pictures.append(grey)
    return pictures, hashes


def _copies(
    pictures: list[np.ndarray], views: dict[int, np.ndarray], parent: list[int]
) -> Iterator[tuple[int, int, float, str]]:
    """Find copies in the 8 symmetries among the pictures of `views`; joins `parent` on the way."""
    indices = sorted(views)
    thumbnails = np.stack([_thumbnail(pictures[i]) for i in indices])
    versions = [symmetric(thumbnails, k).reshape(len(indices), -1) for k in range(8)]
    for start in range(0, len(indices), 512):
        scores = np.stack([versions[0][start : start + 512] @ version[start:].T for version in versions])
        best = scores.max(axis=0)
        for row, column in np.argwhere(best > ALIKE):
            a, b = indices[start + row], indices[start + column]
            if a >= b or _root(parent, a) == _root(parent, b):
                continue
            for symmetry in np.argsort(-scores[:, row, column], kind="stable")[:2]:
                score = _same(views[a], symmetric(views[b], int(symmetry)))
                if score > AGREE:
                    _join(parent, a, b)
                    yield a, b, score, turned(int(symmetry))
                    break


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """Give a high-passed, zero-mean, unit-norm thumbnail; all zero for a flat picture, which then matches nothing."""
    small = cv2.resize(picture.astype(np.float32), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    high = small - cv2.GaussianBlur(small, (0, 0), 3)
    high -= high.mean()
    length = float(np.linalg.norm(high))
    return high / length if length > 1e-3 * THUMBNAIL else np.zeros_like(high)


def _same(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        if abs(np.log(a.shape[0] * b.shape[1] / (a.shape[1] * b.shape[0]))) > 0.05:
            return 0.0  # another aspect ratio: at most an overlap
        a, b = (a, b) if a.size <= b.size else (b, a)
        b = cv2.resize(b, a.shape[::-1], interpolation=cv2.INTER_AREA)
    return agreement(a, b)[0]


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _join(parent: list[int], a: int, b: int) -> None:
    a, b = _root(parent, a), _root(parent, b)
    parent[max(a, b)] = min(a, b)
