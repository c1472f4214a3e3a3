"""int8 by nncf: weights and activations of the convolutions as 8-bit numbers, ranges from pictures.

What decides is the range of each activation. nncf's default averages the minima and maxima of pictures, so a surface
that is lighter or rougher than most is cut off: validation does not show it where its surfaces are like training's, and
a part of the test pictures is lost altogether. Its histograms still cut some of them off; the extremes of all pictures
cut none, and the coarser steps cost less than that. And the layers that read the picture stay in float32: a picture has
256 grey values already, and rounding them anew, to steps of twice their size, is the largest error of all.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from anet.errors import OptionError
from anet.export.convert import convert
from anet.export.parity import Probs, points
from anet.nets.deployable import Deployable
from anet.runtime.card import Card
from anet.runtime.engines.compiled import kept_signal_stack, ov
from anet.scoring.evaluate import Labelled

METHODS = ("ptq", "accuracy", "qat")  # ranges alone; layers put back to float32; a short training first
SUBSET = 128  # pictures that the ranges are taken from, at most: nncf takes some tenths of a second for each
RANGES = "MINMAX"  # of nncf's `RangeEstimatorParametersSet`: the extremes of all pictures


def int8_graph(
    deployable: Deployable, card: Card, frames: Sequence[np.ndarray], method: str = "ptq",
    samples: Sequence[Labelled] = (), max_drop: float = 0.3,
) -> ov.Model:  # fmt: skip
    """Give the int8 graph of a network with its pre- and post-processing, made by `method` of METHODS.

    `frames` `(h, w, 3) uint8` give the ranges. "accuracy" keeps the loss on labelled `samples` within `max_drop` points
    of IoU where it can; for "qat", `deployable` holds a network that was refined. Raises OptionError.
    """
    graph = convert(deployable, card)
    if method != "accuracy":
        return quantize(graph, frames)
    return quantize_accurately(graph, frames, lambda probs: points(probs, samples, card), max_drop)


def quantize(model: ov.Model, frames: Sequence[np.ndarray], ranges: str | None = RANGES) -> ov.Model:
    """Give a copy of `model` in int8, with ranges from `frames`, each `(h, w, 3) uint8`. Raises OptionError for none.

    `ranges` names one of nncf's ways to take them; None is its own, which cost a trained A-Net four points of IoU.
    """
    shown = spread(frames)
    with _nncf() as nncf:
        data = nncf.Dataset(shown, _as_batch)
        return nncf.quantize(
            model, data, subset_size=SUBSET, fast_bias_correction=False, advanced_parameters=_advanced(ranges),
            ignored_scope=nncf.IgnoredScope(names=picture_layers(model)),
        )  # fmt: skip


def quantize_accurately(
    model: ov.Model, frames: Sequence[np.ndarray], score: Callable[[Probs], float], max_drop: float
) -> ov.Model:
    """Give `model` in int8 with as many layers put back to float32 as `max_drop` asks for.

    `score` gives the IoU in points (0..100) of a function from `(h, w, 3) uint8` frames to `(h, w, channels)`
    probabilities; `max_drop` is the loss that is allowed, in points. It is asked once for each layer: minutes. Where no
    choice of layers suffices, the best one found is given. Raises OptionError for no frames or a negative `max_drop`.
    """
    if not max_drop >= 0:
        raise OptionError(f"a loss of {max_drop} points cannot be allowed: 0 or more would work")

    shown = spread(frames)

    def judge(compiled: ov.CompiledModel, _: Iterable[Any]) -> tuple[float, None]:
        request = compiled.create_infer_request()
        return score(lambda frame: request.infer({0: frame[None]})[0][0]), None

    with _nncf() as nncf:
        data = nncf.Dataset(shown, _as_batch)
        return nncf.quantize_with_accuracy_control(
            model, data, data, judge, max_drop=max_drop, drop_type=nncf.DropType.ABSOLUTE, subset_size=SUBSET,
            fast_bias_correction=False, advanced_quantization_parameters=_advanced(RANGES),
            ignored_scope=nncf.IgnoredScope(names=picture_layers(model)),
        )  # fmt: skip


def picture_layers(model: ov.Model) -> list[str]:
    """Give the names of the convolutions that nothing but what is no convolution stands before."""
    found, waiting, met = set(), list(model.get_parameters()), set()
    while waiting:
        for node in (given.get_node() for one in waiting.pop().outputs() for given in one.get_target_inputs()):
            if "Convolution" in node.get_type_name():
                found.add(node.get_friendly_name())
            elif node.get_friendly_name() not in met:
                met.add(node.get_friendly_name())
                waiting.append(node)
    return sorted(found)


def check_method(method: str) -> None:
    """Refuse what is no way to int8. Raises OptionError."""
    if method not in METHODS:
        raise OptionError(f"no way to int8 is called {method!r:.80}: {', '.join(METHODS)} would work")


def spread(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give at most SUBSET of `frames`, spread evenly: nncf would take the first ones. Raises OptionError for none."""
    if not len(frames):
        raise OptionError("int8 takes its ranges from pictures: none was given, 100 would work")
    return list(frames[:: -(-len(frames) // SUBSET)])


def _as_batch(frame: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(frame)[None]


def _advanced(ranges: str | None) -> Any:
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    way = getattr(RangeEstimatorParametersSet, ranges) if ranges else None
    return AdvancedQuantizationParameters(**({"activations_range_estimator_params": way} if way else {}))


@contextmanager
def _nncf() -> Iterator[Any]:
    """Give nncf, silenced: it would print progress over ours and warn of torch's deprecated parts, which it imports.

    Raises OptionError for one that does not fit the OpenVINO that is there: nncf itself does not say which it needs.
    """
    with warnings.catch_warnings(), kept_signal_stack():  # nncf makes an `ov.Core` of its own
        warnings.simplefilter("ignore")
        try:
            import nncf
        except AttributeError as error:
            raise OptionError(f"this nncf does not fit this OpenVINO, a newer one would work ({error})") from error

        nncf.set_log_level(logging.ERROR)
        yield nncf
