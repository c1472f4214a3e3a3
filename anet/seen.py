"""Which pictures a model was trained on, told by their bytes: one picture more, or `--free`, parts a data set anew."""

from collections.abc import Sequence
from typing import Any

from anet.data import PARTS, Sample, Split
from anet.errors import ImageError, ModelError
from anet.files import printable, sha256

DIGITS = 16  # of a fingerprint: two of a million pictures are taken for one in one of 37 million data sets
BY = {"train": ("train", "val"), "val": ("train",), "test": ("train", "val")}  # what validated may validate again
MOST = 20_000  # pictures that a bundle's card tells of, which is 1 MB at most

Seen = dict[str, list[str]]  # "train" and "val": the fingerprints of their pictures, sorted


def fingerprint(sample: Sample) -> str:
    """Give the first digits of the SHA-256 of a picture's file. Raises ImageError."""
    try:
        return sha256(sample.image.read_bytes())[:DIGITS]
    except OSError as error:
        raise ImageError(f"cannot read {printable(sample.image)}: {error.strerror}") from error


def seen_of(parts: Split) -> Seen:
    """Give what a training that is parted so sees."""
    return {part: sorted(map(fingerprint, parts.part(part))) for part in BY["test"]}


def known_seen(provenance: dict[str, Any]) -> Seen | None:
    """Give what a model's provenance says that it saw; None for a model of before, or a foreign one."""
    own = provenance.get("split")
    found = own.get("seen") if isinstance(own, dict) else None
    if not (isinstance(found, dict) and all(isinstance(found.get(part), list) for part in BY["test"])):
        return None
    return {part: sorted(map(str, found[part])) for part in BY["test"]}


def all_seen(provenance: dict[str, Any]) -> list[Seen]:
    """Give what a model saw, and each of those whose weights it started from, as far as they say."""
    start = provenance.get("init")
    before = start.get("seen") if isinstance(start, dict) else None
    told = [{"split": {"seen": one}} for one in before] if isinstance(before, list) else []
    return [seen for one in (provenance, *told) if (seen := known_seen(one))]


def trained_on(every: Sequence[Seen], parts: Split) -> dict[str, int]:
    """Count the pictures of each part that one of `every` was trained on, see BY.

    In its own parts none is counted: a data set may hold a picture twice (NEU_Seg does), which is no other split.
    """
    prints = {part: [fingerprint(sample) for sample in parts.part(part)] for part in PARTS}
    own = {part: sorted(prints[part]) for part in BY["test"]}
    others = [seen for seen in every if seen != own]
    if not others:
        return dict.fromkeys(PARTS, 0)
    known = {part: {digits for seen in others for one in BY[part] for digits in seen[one]} for part in PARTS}
    return {part: sum(one in known[part] for one in prints[part]) for part in PARTS}


def check_parts(provenance: dict[str, Any], parts: Split, name: str) -> None:
    """Refuse to go on with, or to score, a run whose pictures are parted otherwise by now. Raises ModelError."""
    if (seen := known_seen(provenance)) and seen != seen_of(parts):
        raise ModelError(f"{name} began with other pictures in train and val than this anet draws: start a new run")


def told(provenance: dict[str, Any]) -> dict[str, Any]:
    """Give a model's provenance without what it saw, for results and pages, which people read."""
    tables = {key: provenance[key] for key in ("split", "init") if isinstance(provenance.get(key), dict)}
    return {**provenance, **{key: {k: v for k, v in one.items() if k != "seen"} for key, one in tables.items()}}


def carried(provenance: dict[str, Any]) -> dict[str, Any]:
    """Give a model's provenance as a card carries it: of more than MOST pictures, it does not say which it saw."""
    many = sum(len(names) for seen in all_seen(provenance) for names in seen.values())
    return told(provenance) if many > MOST else provenance
