"""The model bundle: a folder of `card.json` and the same network in several files (MODELS), for several engines.

The card says what the model is, how its answer is read, and the SHA-256 of every other file; it carries its own
checksum. Files are checked when they are used; `check_bundle` checks them all. Checksums tell damage, not intent: who
can write the folder can write a new card.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from anet.errors import AnetError, ModelError
from anet.files import SEAL, UNSEALED, check_seal, printable, read_plain, seal, sha256
from anet.frame import Frame, channels_of, up_to_stride

FORMAT = 2  # 1 had one `size` for both sides, and no other files than XML and BIN
CARD, PAGE, XML, BIN, ONNX = "card.json", "CARD.md", "model.xml", "model.bin", "model.onnx"
PRECISIONS = ("f32", "f16", "bf16", "int8")
MODELS = {  # engine -> precision -> files; f16 is how weights are kept, computed is in float32
    "openvino": {
        "f32": (XML, BIN),
        "f16": ("model-f16.xml", "model-f16.bin"),
        "int8": ("model-int8.xml", "model-int8.bin"),
    },
    "onnxruntime": {"f32": (ONNX,)},
    "native": {"f32": ("model.native",), "bf16": ("model-bf16.native",), "int8": ("model-int8.native",)},
}
MODEL_FILES = tuple(name for kinds in MODELS.values() for files in kinds.values() for name in files)
AS_TRAINED = "torch as trained"  # in `parity`: torch at the size of the training, where that is another one
LIMITS = {".json": 2**20, ".xml": 2**26, ".png": 2**26}  # bytes; A-Net needs 10 kB, 400 kB, and 1.6 MB of weights
LIMIT = 2**30  # of any other file


@dataclass(frozen=True)
class Card:
    """What a bundle is. `mean` and `std` are of RGB in 0..1, and part of the graph: they are here to be read."""

    network: str
    class_names: tuple[str, ...]  # [0] is background
    channels: int  # 1: the defect's probability; else one for each class name
    h: int  # sides of `anet.frame.Frame`; 0, 0: multiples of 32 chosen at run time, see `frame`
    w: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    threshold: float
    min_area_px: int
    provenance: dict[str, Any] = field(default_factory=dict)  # data, split, recipe, seed, commit, versions
    parity: dict[str, Any] = field(default_factory=dict)  # export against torch
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256
    precision: str = "f32"  # the recommended one of OpenVINO
    picture_px: int = 0  # median longer side of the training pictures; 0: not known
    large_px: int = 0  # longer side that 95 % of them do not exceed: up to there they were learnt whole; 0: picture_px
    mean_grey: tuple[float, float] | None = None  # lowest and highest of a training picture, 0..255
    train_px: int = 0  # longer side of the frame in training; 0: as h and w
    left_out: dict[str, str] = field(default_factory=dict)  # format that was asked for -> why it is not here
    speed: dict[str, Any] = field(default_factory=dict)  # measured at export: machine, ms a frame
    fastest: tuple[str, ...] = ()  # "native bf16", ...: those that passed the export's gate, by speed
    format: int = FORMAT
    id: str = ""  # first 12 digits of the card's own SHA-256

    def __post_init__(self) -> None:
        names = self.class_names
        tables = ("provenance", "parity", "files", "left_out", "speed")
        if not all(isinstance(getattr(self, name), dict) for name in tables):
            raise ModelError(f"{', '.join(tables)} must each be a table")
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
        for name in ("h", "w", "picture_px", "large_px", "train_px"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**16:
                raise ModelError(f"{name} must be a whole number of pixels: {value!r:.80} found")
        if self.mean_grey is not None and not _is_range(self.mean_grey):
            raise ModelError(f"mean_grey must be two numbers, 0 to 255: {self.mean_grey!r:.80} found")
        if not isinstance(self.fastest, tuple) or not all(isinstance(name, str) for name in self.fastest):
            raise ModelError(f"fastest must be a list of texts: {self.fastest!r:.80} found")
        if self.precision not in PRECISIONS:
            raise ModelError(f"precision must be one of {', '.join(PRECISIONS)}: {self.precision!r:.80} found")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(map(_is_number, values)) or (name == "std" and min(values) <= 0):
                raise ModelError(f"{name} must be three numbers, one a colour: {values!r:.80} found")
        if self.dynamic:
            if self.h or self.w or not self.train_px or not self.picture_px:
                raise ModelError("a dynamic size (h and w 0) needs train_px and picture_px")
        else:
            Frame(self.h, self.w)

    @property
    def dynamic(self) -> bool:
        """Whether the network takes frames of any size."""
        return not (self.h and self.w)

    @property
    def scale(self) -> float:
        """Network pixels for one of the picture, as in training; 0: not known."""
        return (self.train_px or max(self.h, self.w)) / self.picture_px if self.picture_px else 0.0

    def frame(self, h: int, w: int, scale: float | None = None) -> Frame:
        """Give the frame for a picture of `h` x `w` pixels: a dynamic one at `scale`, or as in training."""
        if not self.dynamic:
            return Frame(self.h, self.w)
        scale = scale or self.scale
        return Frame(up_to_stride(h * scale), up_to_stride(w * scale))

    def to_dict(self) -> dict[str, Any]:
        """Give the card as `card.json` holds it, but for its own checksum."""
        return {key: value for key, value in asdict(self).items() if key != "id"}

    def sealed(self) -> bytes:
        """Give the bytes of `card.json`, its own checksum filled in."""
        content = {"format": self.format, "sha256": UNSEALED, **self.to_dict()}
        return seal(json.dumps(content, indent=2, allow_nan=False).encode() + b"\n")


def read_bundle(folder: Path | str, names: Sequence[str] = (XML, BIN)) -> tuple[Any, ...]:
    """Read a bundle and give its card and the bytes of the files `names`, all checksums checked.

    Each file is read once: what was checked is what is used. Raises ModelError for anything missing, damaged, foreign
    or written by a newer anet; one changed bit in any of the files is noticed.
    """
    card = read_card(folder)
    return card, *(read_listed(folder, card, name) for name in names)


def read_card(folder: Path | str) -> Card:
    """Read a bundle's card, its own checksum checked. Raises ModelError."""
    folder = Path(folder)
    with contextlib.suppress(OSError):  # a path that the system refuses: reading it says why
        if not (folder / CARD).exists():
            inside = (folder.parent / CARD).exists()
            hint = "give its folder" if inside else "`anet export` makes one from a training run"
            raise ModelError(f"{printable(folder)} is no model bundle (a folder with {CARD}): {hint}")
    return parse_card(read_plain(folder / CARD, LIMITS[".json"], ModelError), printable(folder / CARD))


def read_listed(folder: Path | str, card: Card, name: str, hint: str = "") -> bytes:
    """Read a file of a bundle, if it is the one that the card lists. Raises ModelError, with `hint` for another."""
    path = Path(folder) / name
    content = read_plain(path, LIMITS.get(path.suffix, LIMIT), ModelError)
    if sha256(content) != card.files.get(name):
        raise ModelError(f"{printable(path)} is damaged: its SHA-256 is not the one in {CARD}{hint}")
    return content


def check_bundle(folder: Path | str) -> Card:
    """Check every file of a bundle against its card, which is given. Raises ModelError for the first fault."""
    card = read_card(folder)
    for name in card.files:
        if Path(name).name != name:
            raise ModelError(f"{printable(folder)}: {CARD} lists {printable(name)}, which is no file beside it")
        read_listed(folder, card, name)
    return card


def parse_card(content: bytes, name: str) -> Card:
    """Check and read the bytes of a `card.json`; `name` is for messages. Raises ModelError."""
    check_seal(content, name)
    try:
        facts = json.loads(content)
        version = facts["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{name} is not a model card of anet") from error
    if version not in (1, FORMAT):
        raise ModelError(f"{name} has format {version!r:.20}, this anet reads {FORMAT}: a newer anet wrote it, update")
    if version == 1:
        facts = {**facts, "h": facts.get("size"), "w": facts.get("size"), "format": FORMAT}
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


def _is_range(values: Any) -> bool:
    fits = isinstance(values, tuple) and len(values) == 2 and all(map(_is_number, values))
    return fits and 0 <= values[0] <= values[1] <= 255


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6
