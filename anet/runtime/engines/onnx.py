"""ONNX Runtime as an engine: for ARM and small installs. It needs the extra "onnx"."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np

from anet.errors import ModelError, OptionError
from anet.runtime.card import Card

ENDLESS = (b"\x22\x04Loop", b"\x22\x04Scan")  # operators that a file can make run for ever; the export writes none
SMALL, MOST = 2**26, 2**30  # bytes: a file up to here (A-Net's has 2 MB) gets this much memory at most while it runs
OUTSIDE = b"\x0a\x08location\x12"  # in ONNX, weights in other files: a key "location", then a path


class OnnxRuntime:
    """ONNX Runtime on the CPU; the same `depth`, `begin`, `end`, `run` and `waits` as every engine has."""

    waits = True

    def __init__(self, card: Card, files: list[bytes], threads: int, streams: int, name: str):
        try:
            import onnxruntime
        except ImportError as error:
            raise OptionError("engine onnxruntime is not installed: pip install 'anet-inspect[onnx]'") from error
        if OUTSIDE in files[0]:
            raise ModelError(f"{name}: its ONNX file keeps weights in other files, which are not read: export it again")
        if any(kind in files[0] for kind in ENDLESS):
            raise ModelError(f"{name}: its ONNX file has loops, which are not run: export it again")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions; written to stderr they would be a second line
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting would burn the other cores
        try:
            if len(files[0]) <= SMALL:
                _bounded_memory()
                options.add_session_config_entry("session.use_env_allocators", "1")
            session = onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])
            ports = [(port.type, list(port.shape)) for port in (session.get_inputs()[0], session.get_outputs()[0])]
        except Exception as error:  # each kind of fault has a class of its own there
            raise ModelError(f"ONNX Runtime cannot load {name}: {_reason(error)}") from error
        sides = ["h", "w"] if card.dynamic else [card.h, card.w]
        wanted = [("tensor(uint8)", [1, *sides, 3]), ("tensor(float)", [1, *sides, card.channels])]
        if len(session.get_inputs()) != 1 or ports != wanted:
            raise ModelError(f"{name}: its ONNX file takes and gives {ports}, the card promises {wanted}")
        self.session, self.name = session, name
        self.asked, self.given = session.get_inputs()[0].name, [session.get_outputs()[0].name]
        self.depth = max(2, streams)
        self.pool = ThreadPoolExecutor(self.depth, "anet-onnx")

    def begin(self, frames: np.ndarray) -> Future:
        return self.pool.submit(
            self.session.run, self.given, {self.asked: frames.copy()}
        )  # the caller may reuse its own

    def end(self, begun: Future) -> np.ndarray:
        try:
            return begun.result()[0]
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot run {self.name}: {_reason(error)}") from error

    def run(self, frames: np.ndarray) -> np.ndarray:
        return self.end(self.begin(frames))


@cache
def _bounded_memory() -> None:
    """Make the memory that small files share: one of a few bytes can ask for any amount while it runs."""
    import onnxruntime as ort

    where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(where, ort.OrtArenaCfg({"max_mem": MOST}))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
