"""OpenVINO, one a process, and networks compiled once and kept in the user's cache folder for a fast next start.

OpenVINO has a cache of its own, but takes what lies there unchecked: here each file carries its SHA-256, is written all
or nothing, and whatever is wrong with the cache only means compiling anew. A bundle is never written to.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import openvino as ov  # after anet.runtime.__init__, which keeps its telemetry out

from anet import __version__
from anet.errors import AnetError, ModelError
from anet.files import atomic_write, read_plain
from anet.provenance import machine

LARGEST = 2**28  # bytes of one kept network; A-Net needs 2 MB
MOST = 16  # kept networks: the least recently used go
NAME = re.compile(r"[0-9a-f]{64}\.blob")  # what may be removed
OFF = "ANET_NO_CACHE"  # set to anything but nothing: neither read nor written


def core() -> ov.Core:
    """Give this process's OpenVINO.

    Never one more: each `ov.Core` lays a signal stack of its own below the main thread (2026.4, too). Where two
    of them end in the order in which they began, memory given back stays there, and the next Ctrl-C is a crash.
    Packages that make their own are called within `kept_signal_stack`.
    """
    with _making:  # functools.cache alone would let two threads make one each
        return _core(os.getpid())  # a process that was forked off has none of the other's threads: it needs its own


def _renew() -> None:
    """Make the lock: in a process that is forked off while a thread holds it, nobody would ever give it back."""
    global _making
    _making = threading.Lock()


_renew()
os.register_at_fork(after_in_child=_renew)


@functools.cache
def _core(process: int) -> ov.Core:
    """Make it, and look at a tensor as an array, the first time that OpenVINO's Python package meets numpy.

    That first time it sets itself up in a way that waits for ever where two threads come to it at once: one holds
    Python's lock and wants the package's, the other the reverse (2026.4; one of six starts of eight threads).
    """
    one = ov.Core()
    ov.Tensor(ov.Type.u8, ov.Shape([1])).data  # noqa: B018
    return one


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread its signal stack back after code that makes an `ov.Core` of its own: see `core`."""
    if sys.platform != "linux":  # the plugin lays none elsewhere
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def compiled(content: Sequence[bytes], settings: Mapping[str, str], read: Callable[[], ov.Model]) -> ov.CompiledModel:
    """Compile what `read` gives for this CPU, or take it from the cache: the same answers to the bit.

    `content` is what `read` makes the model of, and nothing else. Raises RuntimeError when OpenVINO cannot do it.
    """
    path = _place(content, settings)
    if path is not None:
        with contextlib.suppress(AnetError, OSError, RuntimeError):
            return core().import_model(_kept(path), "CPU", dict(settings))
    model = core().compile_model(read(), "CPU", dict(settings))
    if path is not None:
        with contextlib.suppress(AnetError, OSError, RuntimeError):  # a full disk, a folder that cannot be written
            _keep(path, model.export_model().getvalue())
    return model


def cache_folder() -> Path | None:
    """Give `anet/openvino` below XDG_CACHE_HOME, else below ~/.cache; None when there is neither, or OFF is set."""
    if os.environ.get(OFF):
        return None
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")
    base = Path(given) if os.path.isabs(given) else Path(home, ".cache") if os.path.isabs(home) else None
    return base / "anet" / "openvino" if base else None


def _place(content: Sequence[bytes], settings: Mapping[str, str]) -> Path | None:
    """Give where this network is kept, compiled by this OpenVINO for this machine with these settings."""
    folder = cache_folder()
    if folder is None:
        return None
    facts = repr((__version__, ov.get_version(), sorted(machine().items()), sorted(settings.items())))
    digest = hashlib.sha256()
    for part in (facts.encode(), *content):
        digest.update(hashlib.sha256(part).digest())
    return folder / f"{digest.hexdigest()}.blob"


def _kept(path: Path) -> bytes:
    """Read a kept network: its SHA-256, then itself. Raises ModelError when it is damaged or somebody else's."""
    content = read_plain(path, LARGEST, ModelError)
    if os.stat(path).st_uid != os.geteuid() or hashlib.sha256(content[32:]).digest() != content[:32]:
        raise ModelError(f"{path} is damaged")
    os.utime(path)  # used just now
    return content[32:]


def _keep(path: Path, blob: bytes) -> None:
    if len(blob) > LARGEST - 32:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_write(path, hashlib.sha256(blob).digest() + blob)
    ours = [one for one in path.parent.iterdir() if NAME.fullmatch(one.name)]
    for old in sorted(ours, key=lambda one: one.stat().st_mtime, reverse=True)[MOST:]:
        old.unlink(missing_ok=True)
