"""Turn a trained network into a bundle, and prove that every file of it gives the answer of torch."""

import copy
import functools
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from anet.errors import ModelError, OptionError, OutputError
from anet.export.convert import convert, to_onnx
from anet.export.native import is_printed, native_weights, steps_of
from anet.export.page import page
from anet.export.parity import (
    Shown,
    check_equal,
    iou_of,
    loss_bound,
    parity,
    speed,
    torch_probs,
    why_no_half,
    why_not_kept,
)
from anet.export.quantize import check_method, int8_graph
from anet.files import appearing, check_same, printable, sha256
from anet.frame import Frame, channels_of
from anet.nets.contract import all_finite
from anet.nets.deployable import Deployable
from anet.runtime.card import AS_TRAINED, CARD, MODEL_FILES, MODELS, PAGE, Card
from anet.runtime.engine import Engine
from anet.runtime.engines.compiled import ov
from anet.runtime.engines.native import library
from anet.runtime.settings import FILE as SETTINGS
from anet.runtime.settings import Settings
from anet.runtime.verdicts.bundled_rules import listed_rules, rules_to_keep
from anet.scoring.evaluate import Labelled

# format -> engine and precision
FORMATS = {"openvino": ("openvino", "f32"), "f16": ("openvino", "f16"), "int8": ("openvino", "int8")}
FORMATS |= {"whole": ("openvino", "f16")}  # norms not folded: `anet.export.weights` reads its weights back
FORMATS |= {"onnx": ("onnxruntime", "f32"), "native": ("native", "f32"), "bf16": ("native", "bf16")}
FORMATS |= {"native-int8": ("native", "int8")}
NEEDS = {"int8": ("nncf",), "onnx": ("onnx", "onnxruntime")}  # packages of the extra "export"
# kept where they pay -> beside what
ROUNDED = {"openvino int8": "openvino f32", "native bf16": "native f32", "native int8": "native f32"}
NAMES = {" ".join(FORMATS[name]): name for name in ("int8", "bf16", "native-int8")}  # of ROUNDED, as formats
RANGED = {"int8", "native-int8"}  # formats that take ranges from pictures
HALF = "openvino f16"
RECOMMENDED = ("openvino f32", "native f32", *ROUNDED)
MAX_DROP = 0.3  # points of IoU that those of ROUNDED may lose


def export_bundle(
    network: nn.Module,
    card_facts: dict[str, Any],
    out: Path,
    pictures: Sequence[np.ndarray | Labelled],
    formats: Sequence[str] = ("openvino",),
    calibration: Sequence[np.ndarray] = (),
    max_drop: float = MAX_DROP,
    int8: str = "ptq",
    refined: nn.Module | None = None,
    seen: Sequence[Labelled] = (),
) -> Path:
    """Export `network` as a bundle `out`, after comparing each of its files with torch on `pictures`; give `out`.

    `card_facts`: network, class_names, h, w, mean, std, threshold, min_area_px, provenance. `pictures`: at least one
    labelled picture, or `(H, W, 3) uint8` where there is nothing to score. `formats` of FORMATS; int8, of either
    engine, takes its ranges from the `(H, W, 3) uint8` pictures `calibration` (or `pictures`), and is left out, the
    reason in the card, when it loses more than `max_drop` points of IoU, may do so by what `pictures` and the labelled
    ones of training, `seen`, show together, or is not faster here; so is bfloat16. `int8` of METHODS says how
    OpenVINO's int8 is made, "qat" from `refined`, which answers as `network` does when rounded
    (`anet.training.refine`). The folder appears at once and
    complete; an older bundle there is replaced, all but its rules, anything else is not. Raises ModelError when a
    weight is not finite, answers differ or the older bundle changes meanwhile, OptionError when the rules do not go
    with the classes, and OutputError; then nothing is left behind.
    """
    names = tuple(card_facts["class_names"])
    card = Card(**{**card_facts, "class_names": names, "channels": channels_of(len(names))})
    _check_formats(formats)
    check_method(int8)
    if not pictures:
        raise OptionError("export compares with torch on pictures: none was given, one or more would work")
    if not all_finite(network.state_dict().values()):
        raise ModelError("the network has weights that are NaN or infinite: it cannot be exported")
    out = Path(out).absolute()
    check_bundle_target(out)
    before = sha256((out / CARD).read_bytes()) if (out / CARD).is_file() else ""
    rules = rules_to_keep(out, names)
    samples = [Shown("frame", one) if isinstance(one, np.ndarray) else one for one in pictures]
    deployable = Deployable(copy.deepcopy(network).cpu().float(), card.mean, card.std).eval()
    with appearing(out) as made:
        for name, content in rules.items():
            (made / name).write_bytes(content)
        shown = calibration or [_image(sample, card) for sample in samples if RANGED & set(formats)]
        frames = [card.frame(*image.shape[:2]).image(image) for image in shown]
        source = deployable if refined is None else Deployable(refined, card.mean, card.std).eval()
        to_int8 = functools.partial(int8_graph, source, card, frames, int8, samples, max_drop)
        to_native = functools.partial(_native_weights, deployable, card, frames)
        left_out = _write_models(deployable, card, made, formats, to_int8, to_native)
        card = _sealed(made, replace(card, left_out=left_out))
        card = _proven(made, card, deployable, samples, seen, max_drop)
        (made / PAGE).write_text(page(card), "utf-8")
        _sealed(made, card)
        if before:
            check_same(out / CARD, before, "its model was exported anew")
    return out


def _write_models(
    deployable: Deployable, card: Card, made: Path, formats: Sequence[str], to_int8: Callable[[], ov.Model],
    to_native: Callable[[str], bytes],
) -> dict[str, str]:  # fmt: skip
    """Write a model for each of `formats` into `made`; give those that are left out, and why."""
    left_out = {}
    for name in formats:
        if missing := [one for one in NEEDS.get(name, ()) if importlib.util.find_spec(one) is None]:
            left_out[name] = f"{missing[0]} is not installed: pip install 'anet-inspect[export]'"
    graph = convert(deployable, card) if {"openvino", "f16"} & set(formats) - left_out.keys() else None
    for name in formats:
        engine, precision = FORMATS[name]
        path = made / MODELS[engine][precision][0]
        if name in left_out:
            continue
        if name == "onnx":
            path.write_bytes(to_onnx(deployable, card))
        elif engine == "native":
            if not is_printed(deployable.network):
                left_out[name] = "the compiled kernel knows A-Net only"
            elif library(precision) is None:  # what cannot be proven here is not written
                left_out[name] = "the compiled kernel cannot run here"
            else:
                path.write_bytes(to_native(precision))
        elif name == "whole":
            _save(convert(deployable, card, fold=False), path, half=True)
        elif name == "int8":
            _save(to_int8(), path)
        else:
            assert graph is not None  # made for these two formats
            _save(graph, path, half=name == "f16")
    return left_out


def _native_weights(deployable: Deployable, card: Card, frames: Sequence[np.ndarray], precision: str) -> bytes:
    steps = steps_of(deployable, frames) if precision == "int8" else None
    return native_weights(deployable.network, card.mean, card.std, precision, steps)


def _save(model: ov.Model, path: Path, half: bool = False) -> None:
    """Write an IR. Raises OutputError: OpenVINO itself does not say that a disk is full."""
    try:
        ov.save_model(model, path, compress_to_fp16=half)
    except RuntimeError as error:
        raise OutputError(f"cannot write {path.name}: no room on the disk, or no right to write there") from error


def _proven(
    made: Path, card: Card, deployable: Deployable, samples: list[Labelled], seen: Sequence[Labelled], max_drop: float
) -> Card:
    """Hold every model in `made` against torch; give the card with the figures.

    Those of ROUNDED are removed where they are not worth it, and half precision where it does not do. Raises
    ModelError.
    """
    engines = {
        f"{engine} {precision}": Engine(made, 0, precision, engine, settings=Settings())
        for engine, precisions in MODELS.items()
        for precision, files in precisions.items()
        if set(files) <= card.files.keys()
    }
    if not engines:
        raise ModelError(f"no model could be made: {'; '.join(card.left_out.values())}")
    figures = parity(deployable, engines, samples, card)
    for name in engines:
        if name.endswith(" f32"):
            check_equal(figures, name)
    if card.train_px and (card.h, card.w) != (card.train_px, card.train_px):
        plain = functools.partial(torch_probs, deployable)
        figures[AS_TRAINED] = {"iou": iou_of(plain, samples, card, lambda h, w: Frame(card.train_px))}
    figures["bound_on"] = len(samples) + len(seen)
    left_out = dict(card.left_out)
    if HALF in engines and (reason := why_no_half(figures, HALF, max_drop)):
        if len(engines) == 1:
            raise ModelError(f"half precision changes the answers: {reason}; format openvino keeps the weights whole")
        left_out["f16"] = reason
        _remove(made, HALF)
    for name in ROUNDED.keys() & engines.keys():
        figures[name]["loss_bound"] = loss_bound(engines[ROUNDED[name]], engines[name], [*samples, *seen], card)
    image = _image(samples[0], card)
    timed = speed(engines, card.frame(*image.shape[:2]).image(image))
    for name in ROUNDED.keys() & engines.keys():
        if reason := why_not_kept(name, ROUNDED[name], figures, timed, max_drop):
            left_out[NAMES[name]] = reason
            _remove(made, name)
    kept = [name for name in engines if name in RECOMMENDED and NAMES.get(name) not in left_out]
    return replace(
        card, parity=figures, speed=timed, left_out=left_out, precision="int8" if "openvino int8" in kept else "f32",
        fastest=tuple(sorted(kept, key=lambda name: timed[name]["median_ms"])),
    )  # fmt: skip


def _remove(made: Path, name: str) -> None:
    engine, precision = name.split()
    for file in MODELS[engine][precision]:
        (made / file).unlink()


def _sealed(made: Path, card: Card) -> Card:
    """Write the card of all that is in `made`; give it."""
    files = {path.name: sha256(path.read_bytes()) for path in sorted(made.iterdir()) if path.name != CARD}
    card = replace(card, files=files)
    (made / CARD).write_bytes(card.sealed())
    return card


def _image(sample: Labelled, card: Card) -> np.ndarray:
    return sample.read(len(card.class_names))[0]


def _check_formats(formats: Sequence[str]) -> None:
    wrong = [name for name in formats if name not in FORMATS]
    if wrong or not formats:
        found = f"no format {printable(wrong[0])!r:.80}" if wrong else "no format given"
        raise OptionError(f"{found}: {', '.join(FORMATS)} would work, one or more")
    if {"f16", "whole"} <= set(formats):
        raise OptionError("f16 and whole are the same weights in the same files: give one of them")
    for name, beside in (("int8", "openvino"), ("bf16", "native"), ("native-int8", "native")):
        if name in formats and beside not in formats:
            raise OptionError(f"{name} is held against float32, kept where it is faster: add {beside} to the formats")


def check_bundle_target(out: Path) -> None:
    """Refuse to replace anything but an empty folder or a bundle that holds nothing else. Raises OutputError."""
    held = {path.name for path in out.iterdir()} if out.is_dir() else {out.name} if os.path.lexists(out) else set()
    ours = {CARD, PAGE, SETTINGS, *MODEL_FILES}
    if held and not (CARD in held and held <= {*ours, *listed_rules(out)}):
        raise OutputError(f"{printable(out)} exists and is no model bundle: it is not replaced, give another name")
