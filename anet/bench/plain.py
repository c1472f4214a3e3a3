"""The reference `plain`: a torch network as a user would convert it by hand, float in, logits out, default settings.

`ov.convert_model` as documented, nothing folded in: no preprocessing, no layout, no sigmoid. Only float32 is asked for,
as `anet.runtime.engine` does: where the CPU offers bfloat16, OpenVINO would take it (and be slower, measured).
"""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from anet.nets import build
from anet.runtime.engines.compiled import core  # first: its room keeps OpenVINO's telemetry out

import openvino as ov  # isort: skip

SEED = 0  # of the weights: what they are does not change the time, so that no training is needed


def seeded(network: str, classes: int = 1) -> torch.nn.Module:
    """Build an untrained network in eval mode, always with the same weights. Raises OptionError: no such network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return build(network, classes).eval()


def converted(network: str, h: int, w: int, channels: int = 1) -> ov.Model:
    """Convert an untrained network for `(1, 3, h, w) float32`."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of each shape check
        return ov.convert_model(
            seeded(network, channels), example_input=torch.zeros(1, 3, h, w), input=[1, 3, h, w], verbose=False
        )


class Plain:
    """A converted network compiled for this CPU, for one picture at a time or, with `many`, for many."""

    def __init__(self, model: ov.Model, threads: int = 0, many: bool = False):
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT" if many else "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        } | ({"INFERENCE_NUM_THREADS": str(threads)} if threads else {})
        self._model = core().compile_model(model, "CPU", settings)
        self._one = self._model.create_infer_request()
        self.requests = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def probs(self, frame: np.ndarray) -> np.ndarray:
        """Give the logits of a `(3, h, w) float32` frame."""
        return self._one.infer({0: frame[None]})[0][0]

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Give the logits of frames in order, as many at work at once as OpenVINO advises."""
        idle = deque(self._model.create_infer_request() for _ in range(self.requests))
        busy: deque[ov.InferRequest] = deque()
        for frame in frames:
            if not idle:
                yield _answer(busy, idle)
            request = idle.popleft()
            request.start_async({0: frame[None]})
            busy.append(request)
        while busy:
            yield _answer(busy, idle)


def _answer(busy: deque, idle: deque) -> np.ndarray:
    request = busy.popleft()
    request.wait()
    idle.append(request)
    return request.get_output_tensor(0).data[0].copy()
