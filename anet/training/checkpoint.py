"""Model files of training: safetensors that describe themselves and carry their own checksum.

One file is one model: weights, and as metadata a JSON of class names, size, normalisation, data, split, recipe, seed,
versions and the SHA-256 of the whole file. A kill between two files can thus never part a model from its description.
"""

import json
import math
from collections.abc import Set
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from anet.errors import ModelError, OptionError
from anet.files import UNSEALED, atomic_write, check_seal, printable, read_plain, seal
from anet.frame import IGNORE, Frame, channels_of
from anet.nets import NETWORKS, build
from anet.nets.contract import all_finite

FORMAT = 1
KEY = "anet"  # the one metadata entry
LIMIT = 2**31  # bytes; far above any network here


@dataclass(frozen=True)
class Facts:
    """What a trained network is; with the weights it is all that export and scoring need."""

    network: str
    class_names: tuple[str, ...]  # [0] is background
    size: int  # side of `anet.frame.Frame`
    mean: tuple[float, ...]
    std: tuple[float, ...]
    threshold: float = 0.5
    min_area_px: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)  # data, split, recipe, seed, commit, versions, machine
    picture_px: int = 0  # median longer side of the training pictures; 0: a model of before does not say
    large_px: int = 0  # longer side that 95 % of them do not exceed; 0: as picture_px
    mean_grey: tuple[float, float] | None = None  # lowest and highest of them, 0..255; None: as picture_px 0

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def channels(self) -> int:
        return channels_of(self.classes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def save_tensors(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and their description as one sealed file, all or nothing. Raises OutputError."""
    text = json.dumps({"sha256": UNSEALED, "format": FORMAT, **facts}, allow_nan=False)
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    atomic_write(path, seal(safetensors.torch.save(flat, {KEY: text})))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a sealed file once, check it, and give tensors and description. Raises ModelError for anything else."""
    name = printable(path)
    content = read_plain(path, LIMIT, ModelError)
    check_seal(content, name)
    try:
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][KEY])
        if facts["format"] != FORMAT:
            raise ModelError(f"{name} has format {facts['format']}, this anet reads {FORMAT}: update anet")
        return safetensors.torch.load(content), facts
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{name} is not a model file of anet") from error


def save_model(path: Path, weights: dict[str, Tensor], facts: Facts) -> None:
    """Write a model file: `weights` is a state dict."""
    save_tensors(path, weights, facts.to_dict())


def load_model(path: Path) -> tuple[nn.Module, Facts]:
    """Give the network, in eval mode, and its facts. Raises ModelError: damaged, foreign, other keys, not finite."""
    path = find_model(path)
    tensors, found = load_tensors(path)
    try:
        known = {one.name for one in fields(Facts)} & found.keys()
        values: dict[str, Any] = {k: tuple(found[k]) if isinstance(found[k], list) else found[k] for k in known}
        facts = Facts(**values)
        check_facts(facts)
        network = build(facts.network, facts.channels)
    except (TypeError, AttributeError, ValueError, OptionError) as error:
        raise ModelError(
            f"{printable(path)} does not describe a model this anet knows: {printable(str(error))}"
        ) from error
    load_weights(network, tensors, f"{printable(path)} ({facts.network})")
    return network.eval(), facts


def check_facts(facts: Facts) -> None:
    """Refuse a description from which no picture could be judged. Raises ValueError, TypeError, OptionError."""
    if not (2 <= len(facts.class_names) <= IGNORE and all(isinstance(name, str) for name in facts.class_names)):
        raise ValueError("class_names must be background and 1 to 254 classes")
    if len(facts.mean) != 3 or len(facts.std) != 3 or not all(map(math.isfinite, facts.mean + facts.std)):
        raise ValueError("mean and std must be three finite numbers each")
    if min(facts.std) <= 0 or not 0 <= facts.threshold <= 1:
        raise ValueError("std must be above 0 and threshold in 0..1")
    if facts.mean_grey is not None and not (len(facts.mean_grey) == 2 and all(map(math.isfinite, facts.mean_grey))):
        raise ValueError("mean_grey must be two finite numbers")
    for name in ("picture_px", "large_px"):
        if not isinstance(getattr(facts, name), int) or not 0 <= getattr(facts, name) < 2**16:
            raise ValueError(f"{name} must be a whole number of pixels")
    Frame(facts.size)


def load_weights(network: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Copy `tensors` into `network`; keys and shapes must be exactly its own, values finite. Raises ModelError."""
    own = network.state_dict()
    missing, foreign = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape]
    for what, keys in (("missing", missing), ("foreign", foreign), ("misshapen", sorted(shapes))):
        if keys:
            known = known_by(tensors.keys()) if missing or foreign else None
            other = f"another network, {known}" if known else "another network"
            raise ModelError(f"{name} is {other}: {len(keys)} {what} keys, the first is {printable(keys[0])}")
    if not all_finite(tensors.values()):
        raise ModelError(f"{name} holds weights that are NaN or infinite")
    network.load_state_dict(tensors)


def known_by(keys: Set[str]) -> str | None:
    """Give the network whose weights have exactly these names, None when there is none."""
    with torch.device("meta"):
        for name, network in NETWORKS.items():
            auxes = (False, True) if getattr(network, "aux_heads", ()) else (False,)
            if any(build(name, 1, aux).state_dict().keys() == keys for aux in auxes):
                return name
    return None


def find_model(path: Path) -> Path:
    """Give the model file that a path means: itself, or `best.safetensors` of a run folder. Raises ModelError."""
    path = Path(path)
    if path.is_dir():
        for name in ("best.safetensors", "last.safetensors"):
            if (path / name).exists():
                return path / name
        raise ModelError(f"{printable(path)} is no run folder: best.safetensors is missing")
    if not path.exists():
        raise ModelError(
            f"{printable(path)} does not exist: give a run folder, a .safetensors file or an exported bundle"
        )
    return path
