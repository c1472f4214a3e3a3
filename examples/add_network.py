"""Add a network of your own without editing the package, then train and export it as any other.

`python add_network.py DATA RUNS [EPOCHS] [SIZE]`. What a network must keep to stands in `anet/nets/contract.py`.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from train_own import main

from anet.nets import NETWORKS
from anet.nets.contract import check_classes, check_sides


class Plain(nn.Module):
    """Three convolutions at half of the size: the smallest thing that can learn where a surface is bright."""

    paper, year, stride, aux_heads = "none", 2026, 2, ()

    def __init__(self, classes: int = 1):
        super().__init__()
        check_classes(classes)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.PReLU(16),
            nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.PReLU(16),
            nn.ConvTranspose2d(16, classes, 2, stride=2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, classes, H, W)` logits."""
        if not torch.jit.is_tracing():
            check_sides("plain", self.stride, *x.shape[-2:])
        return self.layers(x)


NETWORKS["plain"] = Plain  # a dict, written by hand; from here on every verb called in this process knows it

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5]), network="plain")
