"""The shipped lists: which pictures of the published sets show the same thing, and five tests for each, kept apart.

`splits/*.csv` were made by registration of overlapping pictures (SD-saliency-900), by capture numbers and likeness
(magnetic tile) and by search for rotated copies (NEU_Seg).
"""

import csv
from collections.abc import Iterable
from importlib import resources

from anet.data import listing
from anet.data.dataset import Dataset
from anet.errors import DataError

PUBLISHED = ("sd900", "neu_seg", "mt", "dagm", "mcsd", "ksdd")  # names that promise a published set and its protocol
SEEDS = 5  # split_seed0 to split_seed4 in the lists
LISTED_TESTS = ("sd900", "mt")  # the sets whose lists hold ready tests


def groups(data: str, names: Iterable[str]) -> dict[str, str] | None:
    """Give sample name -> group for a published set, None for any other. Raises DataError for a picture not listed.

    A sound magnetic tile belongs to the defective tile that was shot within 450 numbers of it, where there is one:
    then it shows the same tile and must go where that goes.
    """
    if data == "sd900":
        return _of(data, {_stem(row["file"]): row["group"] for row in _rows("sd900")}, names)
    if data == "neu_seg":
        return _of(data, {f"{row['split']}/{_stem(row['file'])}": row["group"] for row in _rows("neu_seg")}, names)
    if data == "mt":
        sound = list(_rows("mt-free"))
        tiles = {_stem(row["file"]): row["tile_group"] for row in _rows("mt")}
        near = {_stem(r["file"]): r["defect_tile_group_within_450_frames"] for r in sound}
        tiles |= {name: tile for name, tile in near.items() if tile}
        return _of(data, merged([tiles, {_stem(row["file"]): row["free_group_gap450"] for row in sound}]), names)
    return None


def tests(dataset: Dataset, seed: int) -> dict[str, str]:
    """Give sample name -> "train" or "test" from list number `seed`; sound tiles are in no list. Raises DataError."""
    if seed >= SEEDS:
        raise DataError(f"no list for seed {seed}: the grouped splits of {dataset.name} have seeds 0 to {SEEDS - 1}")
    listed = {_stem(row["file"]): row[f"split_seed{seed}"] for row in _rows(dataset.name)}
    return _of(dataset.name, listed, (sample.name for sample in dataset.samples if sample.mask))


def merged(partitions: Iterable[dict[str, str]]) -> dict[str, str]:
    """Join partitions, each name -> group: names together in any of them are together in the result.

    A joined group is called by the least of its groups' names in the earliest partition that has one.
    """
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def top(node: tuple[int, str]) -> tuple[int, str]:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    first: dict[str, tuple[int, str]] = {}
    for number, partition in enumerate(partitions):
        for name, group in partition.items():
            ends = sorted((top(first.setdefault(name, (number, group))), top((number, group))))
            parent[ends[1]] = ends[0]
    return {name: top(node)[1] for name, node in first.items()}


def _of(data: str, listed: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    keys = {name: _key(data, name) for name in names}
    strange = [name for name, key in keys.items() if key not in listed]
    if strange:
        raise DataError(
            f"{len(strange)} pictures are not of the published {data}: {listing.some(strange)}; "
            "remove them, or use the layout of a plain folder (images/ and masks/)"
        )
    return {name: listed[key] for name, key in keys.items()}


def _key(dataset: str, name: str) -> str:
    """Turn a sample's name into the lists' way of writing it."""
    *folders, stem = name.split("/")
    if dataset == "neu_seg":
        return f"{'test' if folders[-1].lower() == 'test' else 'train'}/{stem}"
    return f"{folders[0]}/{stem}" if dataset == "mt" else stem


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _rows(name: str) -> Iterable[dict[str, str]]:
    text = (resources.files("anet.data") / "splits" / f"{name}.csv").read_text("utf-8")
    return csv.DictReader(text.splitlines())
