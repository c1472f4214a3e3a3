"""The model bundle: a folder of `model.xml`, `model.bin` (OpenVINO IR, float32) and `card.json`.

The card says what the model is, how its answer is read, and the SHA-256 of the two other files; it carries its own
checksum. Checksums tell damage, not intent: who can write the folder can write a new card.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from anet.errors import AnetError, ModelError
from anet.files import SEAL, UNSEALED, check_seal, printable, read_plain, seal, sha256
from anet.frame import Frame, channels_of

FORMAT = 1
CARD, XML, BIN = "card.json", "model.xml", "model.bin"
LIMITS = {CARD: 2**20, XML: 2**26, BIN: 2**30}  # bytes; A-Net needs 10 kB, 400 kB and 1.6 MB


@dataclass(frozen=True)
class Card:
    """What a bundle is. `mean` and `std` are of RGB in 0..1, and part of the graph: they are here to be read."""

    network: str
    class_names: tuple[str, ...]  # [0] is background
    channels: int  # 1: the defect's probability; else one for each class name
    size: int  # side of `anet.frame.Frame`
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    threshold: float
    min_area_px: int
    provenance: dict[str, Any] = field(default_factory=dict)  # data, split, recipe, seed, commit, versions
    parity: dict[str, Any] = field(default_factory=dict)  # export against torch
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256
    format: int = FORMAT
    id: str = ""  # first 12 digits of the card's own SHA-256

    def __post_init__(self) -> None:
        names = self.class_names
        if not all(isinstance(one, dict) for one in (self.provenance, self.parity, self.files)):
            raise ModelError("provenance, parity and files must each be a table")
        if (
            not isinstance(names, tuple)
            or not 2 <= len(names) <= 255
            or not all(isinstance(name, str) for name in names)
        ):
            raise ModelError(f"class_names must be 2 to 255 texts, background first: {names!r:.80} found")
        if self.channels != channels_of(len(names)):
            raise ModelError(f"{len(names)} classes do not go with {self.channels} channels")
        if not (_is_number(self.threshold) and 0 < self.threshold < 1):
            raise ModelError(f"threshold must lie between 0 and 1: {self.threshold!r:.80} found")
        if not isinstance(self.min_area_px, int) or self.min_area_px < 0:
            raise ModelError(f"min_area_px must be a whole number, 0 or more: {self.min_area_px!r:.80} found")
        if not isinstance(self.size, int):
            raise ModelError(f"size must be a whole number: {self.size!r:.80} found")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(map(_is_number, values)) or (name == "std" and min(values) <= 0):
                raise ModelError(f"{name} must be three numbers, one a colour: {values!r:.80} found")
        Frame(self.size)

    def to_dict(self) -> dict[str, Any]:
        """Give the card as `card.json` holds it, but for its own checksum."""
        return {key: value for key, value in asdict(self).items() if key != "id"}

    def sealed(self) -> bytes:
        """Give the bytes of `card.json`, its own checksum filled in."""
        content = {"format": self.format, "sha256": UNSEALED, **self.to_dict()}
        return seal(json.dumps(content, indent=2, allow_nan=False).encode() + b"\n")


def read_bundle(folder: Path | str) -> tuple[Card, bytes, bytes]:
    """Read a bundle and give its card and the bytes of `model.xml` and `model.bin`, all checksums checked.

    Each file is read once: what was checked is what is used. Raises ModelError for anything missing, damaged, foreign
    or written by a newer anet; one changed bit in any of the files is noticed.
    """
    folder = Path(folder)
    if not (folder / CARD).exists():
        hint = "give its folder" if (folder.parent / CARD).exists() else "`anet export` makes one from a training run"
        raise ModelError(f"{printable(folder)} is no model bundle (a folder with {CARD}): {hint}")
    card = parse_card(_read(folder, CARD), printable(folder / CARD))
    content = {}
    for name in (XML, BIN):
        content[name] = _read(folder, name)
        if sha256(content[name]) != card.files.get(name):
            raise ModelError(f"{printable(folder / name)} is damaged: its SHA-256 is not the one in {CARD}")
    return card, content[XML], content[BIN]


def parse_card(content: bytes, name: str) -> Card:
    """Check and read the bytes of a `card.json`; `name` is for messages. Raises ModelError."""
    check_seal(content, name)
    try:
        facts = json.loads(content)
        version = facts["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{name} is not a model card of anet") from error
    if version != FORMAT:
        raise ModelError(f"{name} has format {version!r:.20}, this anet reads {FORMAT}: a newer anet wrote it, update")
    known = {one.name for one in fields(Card)} - {"id"}
    try:
        chosen: dict[str, Any] = {
            key: tuple(facts[key]) if isinstance(facts[key], list) else facts[key] for key in known & facts.keys()
        }
        found = SEAL.search(content)
        assert found is not None  # check_seal saw it
        return Card(**chosen, id=found.group(1).decode()[:12])
    except (TypeError, AttributeError) as error:
        raise ModelError(f"{name} is not a complete model card: {error}") from error
    except AnetError as error:
        raise ModelError(f"{name}: {error}") from error


def _read(folder: Path, name: str) -> bytes:
    return read_plain(folder / name, LIMITS[name], ModelError)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6
