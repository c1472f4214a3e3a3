"""The network on a plain CPU, through OpenVINO: one frame in, probabilities out."""

from collections import deque
from pathlib import Path

import numpy as np
import openvino as ov  # after anet.runtime.__init__, which keeps its telemetry out

from anet.errors import ModelError, OptionError
from anet.files import printable
from anet.runtime.card import BIN, XML, read_bundle


class Engine:
    """A model bundle, checked and compiled for this machine's CPU.

    Computes in float32 also where the CPU offers bfloat16: OpenVINO would take that silently, and probabilities would
    be off by 3e-3 (measured). `threads` 0 lets OpenVINO choose. Safe to call from several threads. Raises ModelError,
    OptionError.
    """

    def __init__(self, bundle: Path | str, threads: int = 0):
        if threads < 0:
            raise OptionError(f"threads is {threads}: 0 (automatic) or more would work")
        self.card, xml, weights = read_bundle(bundle)
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            core = ov.Core()
            self._model = core.compile_model(core.read_model(model=xml, weights=weights), "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ModelError(f"OpenVINO cannot load {printable(bundle)}: {reason}") from error
        size, channels = self.card.size, self.card.channels
        self._shape = (1, size, size, 3)
        _check_ports(self._model, self._shape, (1, size, size, channels), printable(bundle))
        self._idle = deque()  # requests not in use; pop and append are atomic, so no lock is needed

    def probs(self, frame: np.ndarray) -> np.ndarray:
        """Give the probabilities of a `(size, size, 3) uint8` RGB frame: `(size, size, channels) float32` in 0..1.

        Raises ModelError when the network answers NaN or infinity: such a picture must never pass as good.
        """
        if frame.shape != self._shape[1:] or frame.dtype != np.uint8:
            raise ValueError(f"a frame is {self._shape[1:]} uint8: {frame.shape} {frame.dtype} given")
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._model.create_infer_request()
        probs = request.infer({0: np.ascontiguousarray(frame)[None]})[0][0]  # a copy: the request may be used again
        self._idle.append(request)
        if not np.isfinite(probs).all():
            raise ModelError(f"model {self.card.id} answers NaN or infinity: no verdict is possible")
        return probs


def _check_ports(model: ov.CompiledModel, taken: tuple, given: tuple, name: str) -> None:
    """Refuse a graph that does not take and give what its card says. Raises ModelError."""
    ports = [(str(port.element_type.get_type_name()), str(port.partial_shape)) for port in model.inputs + model.outputs]
    wanted = [("u8", f"[{','.join(map(str, taken))}]"), ("f32", f"[{','.join(map(str, given))}]")]
    if ports != wanted:
        raise ModelError(f"{name}: {XML} and {BIN} take and give {ports}, the card promises {wanted}")
