"""A-Net by this package's own compiled kernel (`kernel/`, C++), optional: float32, and bfloat16 where a CPU has it.

It is built at install where a C++ compiler is found. It knows A-Net only, its weights folded by `anet export` into
`model.native`: HEAD, then float32, little-endian, in the order in which `kernel/net.cpp` takes them. For bfloat16,
the same numbers lie in a file of their own, there only where the export found it good enough; they are rounded on load.
"""

import ctypes
import functools
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np

from anet.errors import ModelError
from anet.runtime.card import MODELS, Card

HEAD = b"anet native 1\r\n\n"  # 16 bytes; the line ends show a transfer as text
HEADS = {"f32": HEAD, "bf16": b"anet bfloat 1\r\n\n", "int8": b"anet 8 bits 1\r\n\n"}
KINDS = {  # the fastest first: AVX-512, AVX2, ARM
    "f32": ("_kernel_v4", "_kernel_v3", "_kernel_arm"),
    "bf16": ("_kernel_bf16",),  # AVX-512 with AVX512_BF16
    "int8": ("_kernel_int8_v4", "_kernel_int8_v3"),  # AVX512_VNNI, AVX_VNNI
}
MOST_THREADS = 8  # the smallest maps have seven rows, at 224 x 224
MOST_IDLE = 8  # networks kept ready, each for pictures of one size: the longest unused go


def unavailable(card: Card, precision: str = "f32") -> str:
    """Say in one line why the kernel cannot answer for a bundle here; nothing when it can."""
    if not set(MODELS["native"][precision]) <= card.files.keys():
        return f"the bundle holds no weights for engine native ({card.network}): openvino is used"
    if library(precision) is None:
        return "engine native is not built for this machine (pip install with a C++ compiler): openvino is used"
    return ""


@functools.cache
def library(precision: str = "f32") -> ctypes.CDLL | None:
    """Load the fastest kernel that was built and that this processor can run; None when there is none."""
    here = Path(__file__).parent
    for path in (here / f"{kind}{suffix}" for kind in KINDS[precision] for suffix in EXTENSION_SUFFIXES):
        if not path.exists():
            continue
        try:
            found = ctypes.CDLL(str(path))
        except OSError:  # built for another machine
            continue
        if found.anet_supported():
            found.anet_open.restype = ctypes.c_void_p
            found.anet_open.argtypes = [ctypes.c_int] * 4 + [ctypes.c_void_p, ctypes.c_size_t]
            found.anet_run.restype = found.anet_close.restype = None
            found.anet_run.argtypes = [ctypes.c_void_p] * 3
            found.anet_close.argtypes = [ctypes.c_void_p]
            return found
    return None


class Network:
    """A-Net for pictures of one size. One call at a time. Raises ModelError when memory is short or weights misfit."""

    def __init__(self, weights: np.ndarray, h: int, w: int, channels: int, threads: int, precision: str = "f32"):
        kernel = library(precision)
        if kernel is None:
            raise ModelError(f"no kernel for {precision} was built that this processor can run")
        self.kernel, self.pid, self.shape = kernel, os.getpid(), (1, h, w, channels)
        self.handle = kernel.anet_open(h, w, channels, threads, weights.ctypes.data, weights.size)
        if not self.handle:
            raise ModelError(f"{weights.size} weights are not A-Net's with {channels} channels, or memory is short")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Give the probabilities of `(1, h, w, 3) uint8`, contiguous: `(1, h, w, channels) float32`."""
        probs = np.empty(self.shape, np.float32)
        self.kernel.anet_run(self.handle, frames.ctypes.data, probs.ctypes.data)
        return probs

    def __del__(self) -> None:
        if getattr(self, "handle", None) and self.pid == os.getpid():  # its threads do not live in a forked process
            self.kernel.anet_close(self.handle)


class Native:
    """The kernel as an engine of `anet.runtime.engine`.

    `threads` (0: one a core, at most MOST_THREADS) share a picture; with `streams`, so many pictures share the threads.
    The same bits for any number of either. `run` works in the thread that asks: handing a picture over to another one
    and waiting costs a tenth of a folder's time (measured).
    """

    waits = False

    def __init__(self, card: Card, files: Sequence[bytes], threads: int, streams: int, name: str):
        self.weights, self.channels = read_weights(files[0], name), card.channels
        self.precision = next(one for one, head in HEADS.items() if files[0].startswith(head))
        self.threads = max(1, min(MOST_THREADS, (threads or cores()) // max(1, streams)))
        self.pool = ThreadPoolExecutor(streams, "anet-native") if streams > 1 else None
        self.depth = streams + 1 if self.pool else 1
        self.idle: deque[tuple[tuple, Network]] = deque()  # append and popleft are atomic: no lock
        h, w = (32, 32) if card.dynamic else (card.h, card.w)
        try:
            self.idle.append(((os.getpid(), h, w), self._network(h, w)))
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error

    def begin(self, frames: np.ndarray) -> "np.ndarray | Future[np.ndarray]":
        return self.pool.submit(self.run, frames) if self.pool else frames

    def end(self, begun: "np.ndarray | Future[np.ndarray]") -> np.ndarray:
        return begun.result() if isinstance(begun, Future) else self.run(begun)

    def run(self, frames: np.ndarray) -> np.ndarray:
        """Give the probabilities of `(1, h, w, 3) uint8` by a network that is free, or a new one."""
        h, w = frames.shape[1:3]
        key = (os.getpid(), h, w)
        network = self._free(key) or self._network(h, w)
        probs = network(frames)
        self.idle.append((key, network))
        if len(self.idle) > MOST_IDLE:
            with suppress(IndexError):  # another thread was first
                self.idle.popleft()
        return probs

    def _network(self, h: int, w: int) -> Network:
        return Network(self.weights, h, w, self.channels, self.threads, self.precision)

    def _free(self, key: tuple) -> Network | None:
        """Take a network of this size from the idle ones, which stay in the order of their last use."""
        found = None
        with suppress(IndexError):  # another thread took the last one
            for _ in range(len(self.idle)):
                one = self.idle.popleft()
                if found is None and one[0] == key:
                    found = one[1]
                else:
                    self.idle.append(one)
        return found


def read_weights(content: bytes, name: str) -> np.ndarray:
    """Read the bytes of `model.native`: float32, finite. Raises ModelError."""
    values = content[len(HEAD) :]
    if not content.startswith(tuple(HEADS.values())) or len(values) % 4:
        raise ModelError(f"{name}: model.native is not what this anet writes: export it again")
    weights = np.frombuffer(values, "<f4").astype(np.float32)
    if not np.isfinite(weights).all():
        raise ModelError(f"{name}: model.native has weights that are NaN or infinite")
    return weights


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
