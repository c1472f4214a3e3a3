"""`torch.compile` for a training: when it pays, and what if the code that it made is wrong."""

import contextlib
import os
import shutil
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import nn

from anet.nets.contract import all_finite
from anet.training import run
from anet.training.run import Plan

COMPILE_PIXELS = 16_000 * 224 * 224
"""From this many pixels of planned steps on, torch.compile pays on 2 cores: it costs 1 to 3 minutes once and then saves
about 30 % of a step (`anet bench-training` measures it)."""


class Miscompiled(Exception):
    """A training cannot go on compiled; the text says what torch.compile did."""


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what torch.compile raises, where a compiler is there but does not work, into Miscompiled."""
    try:
        yield
    except RuntimeError as error:
        from torch._dynamo.exc import TorchDynamoException  # a second to import, and there once anything was compiled

        if not isinstance(error, TorchDynamoException):
            raise
        raise Miscompiled(f"torch.compile failed ({str(error).splitlines()[0]:.200})") from error


def compiles(pixels: int) -> bool:
    """Say whether a training of so many pixels is compiled: where that pays, and a C++ compiler and what it needs are.

    The code that is compiled includes Python.h, which Debian has in a package of its own.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    return pixels > COMPILE_PIXELS and bool(compiler) and Path(sysconfig.get_path("include"), "Python.h").exists()


def check_first(network: nn.Module) -> None:
    """Refuse the outcome of a first step whose loss was finite. Raises Miscompiled.

    Measured with PyTorch 2.13 on a Xeon with AMX: in bfloat16 at 256 pixels, the gradients of two of A-Net's PReLU
    slopes are NaN when compiled, and as they should be when not; at 224 all are right.
    """
    if not all_finite(network.parameters()):
        raise Miscompiled("what torch.compile made answers NaN")


def without(folder: Path, plan: Plan) -> Plan:
    """Give `plan` without compiling, written to the run's folder, so that it goes on so. Raises OutputError."""
    _, content = run.read_plan(folder)
    plan = replace(plan, compiled=False)
    run.write_plan(folder, plan, {"provenance": {**content["provenance"], "compiled": False}})
    return plan
