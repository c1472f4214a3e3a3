"""Hold ways to int8 ranges against float32 on all parts of a run's data: `python docs/try_int8.py RUN OUT.json`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from anet.data import load
from anet.export.convert import convert
from anet.export.parity import Probs, iou_of, loss_bound
from anet.export.quantize import quantize
from anet.files import write_json
from anet.frame import channels_of
from anet.nets.deployable import Deployable
from anet.pipeline import CALIBRATION, spread
from anet.provenance import commit, machine, versions
from anet.runtime.card import Card
from anet.runtime.engines.compiled import core, ov
from anet.scoring.evaluate import Labelled
from anet.training.checkpoint import find_model, load_model
from anet.training.run import parts_of, read_plan

FORMAT = 2
WAYS = {"nncf's own": None, "HISTOGRAM": "HISTOGRAM", "MINMAX": "MINMAX"}


def runs(model: ov.Model) -> Probs:
    """Give the function from frames to probabilities of a graph, on one core, as the engine here runs it."""
    settings = {"INFERENCE_NUM_THREADS": "1", "INFERENCE_PRECISION_HINT": "f32"}
    request = core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda frame: request.infer({0: np.ascontiguousarray(frame)[None]})[0][0].copy()


def difference(exact: Probs, rounded: Probs, samples: Sequence[Labelled], card: Card) -> float:
    """Give the mean difference of a probability over all pixels of the frames of `samples`."""
    off = []
    for sample in samples:
        image, _ = sample.read(len(card.class_names))
        frame = card.frame(*image.shape[:2]).image(image)
        off.append(np.abs(exact(frame) - rounded(frame)).mean())
    return float(np.mean(off))


def main(run: Path, out: Path) -> None:
    """Quantise, score and write."""
    network, facts = load_model(run)
    plan, _ = read_plan(find_model(run).parent)
    dataset = load(Path(plan.data), plan.task, plan.free)
    parts = parts_of(plan, dataset)
    kept = {key: value for key, value in facts.to_dict().items() if key != "size"}
    names = tuple(facts.class_names)
    card = Card(**{**kept, "class_names": names, "channels": channels_of(len(names)), "h": facts.size, "w": facts.size})
    graph = convert(Deployable(network.cpu().float(), card.mean, card.std).eval(), card)
    shown = [sample.read(len(names))[0] for sample in spread(parts.train, CALIBRATION)]
    frames = [card.frame(*image.shape[:2]).image(image) for image in shown]
    ways = {"float32": graph, **{name: quantize(graph, frames, ranges) for name, ranges in WAYS.items()}}
    found, exact = {}, runs(graph)
    for name, model in ways.items():
        probs = runs(model)
        found[name] = {part: iou_of(probs, parts.part(part), card, card.frame) for part in ("train", "val", "test")}
        if model is not graph:
            pair = (SimpleNamespace(probs=exact), SimpleNamespace(probs=probs))
            found[name]["loss_bound"] = loss_bound(*pair, [*parts.val, *parts.train], card)
            found[name]["difference"] = difference(exact, probs, [*parts.val, *parts.train], card)
    write_json(out, {
        "format": FORMAT, "data": {"name": dataset.name, "task": dataset.task, "digest": dataset.digest()},
        "split": facts.provenance["split"] | {"seen": None}, "threshold": card.threshold,
        "ranges_from": len(frames), "ways": found,
        "machine": machine(), "versions": versions(), "commit": commit(),
    })  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
