"""OpenVINO as an engine of `anet.runtime.engine`."""

from collections import deque

import numpy as np

from anet.errors import ModelError
from anet.runtime.card import XML, Card
from anet.runtime.engines.compiled import compiled, core, ov


class OpenVino:
    """OpenVINO. It computes in float32 also where the CPU offers bfloat16, which it would take silently.

    Probabilities would be off by 3e-3 then (measured).
    """

    waits = True

    def __init__(self, card: Card, files: list[bytes], threads: int, streams: int, name: str):
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        if streams:
            settings["NUM_STREAMS"] = str(streams)
        try:
            self.model = compiled(files, settings, lambda: _probabilities(*files))
            best = int(self.model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot load {name}: {_reason(error)}") from error
        self.name = name
        self.depth = max(2, best)  # a second one, so that the network never waits for what comes before and after it
        self.idle = deque()  # requests not in use; pop and append are atomic, so no lock is needed
        _check_ports(self.model, card, name)

    def begin(self, frames: np.ndarray) -> ov.InferRequest:
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.model.create_infer_request()
        request.start_async({0: frames})
        return request

    def end(self, request: ov.InferRequest) -> np.ndarray:
        try:
            request.wait()
            probs = request.get_output_tensor(0).data.copy()  # the request may be used again
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot run {self.name}: {_reason(error)}") from error
        self.idle.append(request)
        return probs

    def run(self, frames: np.ndarray) -> np.ndarray:
        return self.end(self.begin(frames))


def _probabilities(xml: bytes, weights: bytes) -> ov.Model:
    """Read a graph and keep its first output: others are for OpenVINO's Model API, here they would cost time."""
    model = core().read_model(model=xml, weights=weights)
    if len(model.outputs) < 2:
        return model
    # OpenVINO's stubs take its own Model for another class
    return ov.Model([model.get_results()[0]], model.get_parameters())  # pyright: ignore[reportGeneralTypeIssues]


def _check_ports(model: ov.CompiledModel, card: Card, name: str) -> None:
    """Refuse a graph that does not take and give what its card says. Raises ModelError."""
    ports = [(str(port.element_type.get_type_name()), port.partial_shape) for port in model.inputs + model.outputs]
    sides = (-1, -1) if card.dynamic else (card.h, card.w)
    wanted = [("u8", ov.PartialShape([1, *sides, 3])), ("f32", ov.PartialShape([1, *sides, card.channels]))]
    same = [(kind, shape.compatible(right)) for (kind, shape), (_, right) in zip(ports, wanted, strict=False)]
    if len(ports) != 2 or same != [("u8", True), ("f32", True)]:
        found, promised = ([(kind, str(shape)) for kind, shape in which] for which in (ports, wanted))
        raise ModelError(f"{name}: {XML} takes and gives {found}, the card promises {promised}")


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
