"""Networks by name. Rooms below import torch; nothing here is imported by the runtime."""

from collections.abc import Callable

from torch import nn

from anet.nets.anet import ANet

NETWORKS: dict[str, Callable[[int], nn.Module]] = {"anet": ANet}
