"""Turn a trained network into a bundle for OpenVINO, and prove that both give the same answer."""

import copy
import json
import os
import shutil
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from anet.errors import ModelError, OptionError, OutputError
from anet.files import printable, sha256, sync_folder
from anet.frame import channels_of, decide
from anet.nets.deployable import Deployable
from anet.runtime.bundled_rules import listed_rules, rules_to_keep
from anet.runtime.card import BIN, CARD, XML, Card
from anet.runtime.engine import Engine, ov

TOLERANCE = 1e-4  # largest difference of a probability between torch and OpenVINO
EQUAL_SHARE = 0.9999  # least share of pixels with the same class


def export_bundle(network: nn.Module, card_facts: dict[str, Any], out: Path, calibration: list[np.ndarray]) -> Path:
    """Export `network` as a bundle `out`, after comparing it with torch on `calibration`; give `out`.

    `card_facts`: network, class_names, h, w, mean, std, threshold, min_area_px, provenance. `calibration`: at least one
    `(size, size, 3) uint8` frame. The folder appears at once and complete; an older bundle there is replaced, all
    but its rules, anything else is not. Raises ModelError when a weight is not finite or answers differ, OptionError
    when the rules do not go with the classes, and OutputError; then nothing is left behind.
    """
    names = tuple(card_facts["class_names"])
    card = Card(**{**card_facts, "class_names": names, "channels": channels_of(len(names))})
    if not calibration:
        raise OptionError("export compares with torch on pictures: none was given, one or more would work")
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise ModelError("the network has weights that are NaN or infinite: it cannot be exported")
    out = Path(out).absolute()
    _check_target(out)
    rules = rules_to_keep(out, names)
    deployable = Deployable(copy.deepcopy(network).cpu().float(), card.mean, card.std).eval()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=out.parent) as parent:
            made = Path(parent) / "bundle"
            made.mkdir()
            ov.save_model(convert(deployable, card), made / XML, compress_to_fp16=False)
            for name, content in rules.items():
                (made / name).write_bytes(content)
            card = replace(card, files={name: sha256((made / name).read_bytes()) for name in (XML, BIN, *rules)})
            (made / CARD).write_bytes(card.sealed())
            card = replace(card, parity=parity(deployable, Engine(made), calibration))
            (made / CARD).write_bytes(card.sealed())
            _put_in_place(made, out, Path(parent) / "old")
    except OSError as error:
        raise OutputError(f"cannot write {printable(out)}: {error.strerror or error}") from error
    return out


def convert(deployable: Deployable, card: Card) -> ov.Model:
    """Convert to an OpenVINO graph of batch 1 and fixed size, with the card's main facts under `anet` in its rt_info.

    By TorchScript: `torch.export` takes PReLU apart into compare, multiply and select (1.6 times the run time).
    It has no `model_info`, whose `model_type` would make OpenVINO's Model API read it wrongly: its segmentation expects
    channels first and makes whole numbers of one channel's probabilities, so that nearly every surface would be good.
    """
    shape = (-1, -1) if card.dynamic else (card.h, card.w)
    example = torch.zeros(1, card.h or card.train_px, card.w or card.train_px, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated in torch 2.13, and warns of each shape check
        model = ov.convert_model(deployable, example_input=example, input=[1, *shape, 3])
    model.inputs[0].get_tensor().set_names({"image"})
    model.outputs[0].get_tensor().set_names({"probs"})
    facts = {
        "network": card.network,
        "class_names": json.dumps(card.class_names),
        "threshold": repr(card.threshold),
        "input": "1,h,w,3 uint8 RGB, the picture from the top left, grey around it",
        "output": "1,h,w,channels float32 probabilities",
    }
    for key, value in facts.items():
        model.set_rt_info(value, ["anet", key])
    return model


def parity(deployable: Deployable, engine: Engine, frames: list[np.ndarray]) -> dict[str, float]:
    """Compare torch and OpenVINO on `(size, size, 3) uint8` frames. Raises ModelError where they differ too much."""
    worst, equal, threshold = 0.0, 0, engine.card.threshold
    for frame in frames:
        exported = engine.probs(frame)
        with torch.inference_mode():
            wanted = deployable(torch.from_numpy(np.ascontiguousarray(frame))[None])[0].numpy()
        if not np.isfinite(wanted).all():
            raise ModelError("the network answers NaN or infinity on a calibration picture: it cannot be exported")
        worst = max(worst, float(np.abs(exported - wanted).max()))
        equal += int((decide(exported, threshold) == decide(wanted, threshold)).sum())
    share = equal / sum(frame.shape[0] * frame.shape[1] for frame in frames)
    if worst > TOLERANCE or share < EQUAL_SHARE:
        raise ModelError(
            f"OpenVINO differs from torch by {worst:.1e} with {share:.4%} of pixels equal:"
            f" at most {TOLERANCE:.0e} and at least {EQUAL_SHARE:.2%} are allowed, nothing was exported"
        )
    return {"pictures": len(frames), "max_difference": worst, "equal_share": share}


def _check_target(out: Path) -> None:
    """Refuse to replace anything but an empty folder or a bundle that holds nothing else. Raises OutputError."""
    held = {path.name for path in out.iterdir()} if out.is_dir() else {out.name} if os.path.lexists(out) else set()
    if held and not (CARD in held and held <= {CARD, XML, BIN, *listed_rules(out)}):
        raise OutputError(f"{printable(out)} exists and is no model bundle: it is not replaced, give another name")


def _put_in_place(made: Path, out: Path, old: Path) -> None:
    """Flush `made` and rename it to `out`; what was there goes to `old`, or comes back when the rename fails."""
    for path in made.iterdir():
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(made)
    if out.exists():
        out.rename(old)
    try:
        made.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    sync_folder(out.parent)
    shutil.rmtree(old, ignore_errors=True)
