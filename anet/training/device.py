"""Which device a training runs on, and in which precision."""

import logging

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from anet.errors import OptionError

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def launch(accelerator: str, devices: int, precision: str) -> Fabric:
    """Start Fabric; with several devices this starts the other processes, which run the same command."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # `describe` says the precision
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, precision=PRECISIONS[precision],  # type: ignore[arg-type]
            strategy="ddp" if devices > 1 else "auto",
        )  # fmt: skip
        fabric.launch()
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise OptionError(f"cannot use {devices} x {accelerator}: {[*str(error).splitlines(), ''][0]}") from error
    return fabric


def find_device(name: str) -> str:
    """Give "cpu" or "cuda". Raises OptionError when that device is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise OptionError(f"no device {name!r}: auto, cpu and cuda exist")
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("no CUDA device is usable here: --device cpu works")
    return name


def find_precision(name: str, accelerator: str) -> str:
    """Give "32", "bf16" or "fp16"; auto is bf16 where the device computes in it, 32 elsewhere. Raises OptionError.

    On a CPU that has it (AVX512_BF16, as all with AMX do) a step of A-Net takes 0.8 of float32's time, compiled 0.7
    (measured), and all results of `results/` were trained so; a CPU that has not would only round.
    """
    if name == "auto":
        cuda = accelerator == "cuda"
        return "bf16" if (torch.cuda.is_bf16_supported() if cuda else cpu_has_bf16()) else "32"
    if name not in PRECISIONS:
        raise OptionError(f"no precision {name!r}: auto, {', '.join(PRECISIONS)} exist")
    if name == "fp16" and accelerator == "cpu":
        raise OptionError("fp16 needs a GPU: bf16 and 32 work on a CPU")
    return name


def cpu_has_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported()  # of torch's own dispatch; it has no public name for it
