"""ONNX Runtime as an engine: for ARM and small installs. It needs the extra "onnx"."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from anet.errors import ModelError, OptionError
from anet.runtime.card import Card

ENDLESS = (b"\x22\x04Loop", b"\x22\x04Scan")  # operators that a file can make run for ever; the export writes none
SMALL, LEAST = 2**26, 2**30  # bytes: a file up to here (A-Net's has 2 MB) runs in bounded memory, this or more
SHARE = 4  # ... of all memory: eight pictures of 2000 px at once need more than a gigabyte
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
        return self.pool.submit(self._answer, frames.copy())  # the caller may reuse its own

    def end(self, begun: Future) -> np.ndarray:
        try:
            return begun.result()[0]
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot run {self.name}: {_reason(error)}") from error

    def run(self, frames: np.ndarray) -> np.ndarray:
        return self.end(self.begin(frames))

    def _answer(self, frames: np.ndarray) -> Any:
        """Answer beside others where there is room, else alone: large frames at once may need more than there is."""
        given = {self.asked: frames}
        try:
            with _room.shared():
                return self.session.run(self.given, given)
        except Exception as error:
            if "allocate" not in str(error):
                raise
        with _room.alone():
            return self.session.run(self.given, given, _giving_back())


class _Room:
    """The bounded memory, for many at once or for one alone."""

    def __init__(self) -> None:
        self.changed, self.inside = threading.Condition(), 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self.changed:
            self.inside += 1
        try:
            yield
        finally:
            with self.changed:
                self.inside -= 1
                self.changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self.changed:  # who wants to come in waits meanwhile
            self.changed.wait_for(lambda: not self.inside)
            yield


_room = _Room()


def _giving_back() -> Any:
    """Give the options of a run after which memory that nobody uses is given back."""
    import onnxruntime as ort

    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@cache
def _bounded_memory() -> None:
    """Make the memory that small files share: one of a few bytes can ask for any amount while it runs."""
    import onnxruntime as ort

    where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ort.create_and_register_allocator(where, ort.OrtArenaCfg({"max_mem": max(LEAST, machine // SHARE)}))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
