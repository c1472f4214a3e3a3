"""A network with its pre- and post-processing: the one place where pixel values become numbers of the network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Deployable(nn.Module):
    """Wrap a network so that it takes pictures and gives probabilities; what is exported is this.

    `(N, size, size, 3) uint8` RGB -> `(N, size, size, channels) float32` probabilities: sigmoid for one channel,
    softmax for several. `mean` and `std` are of RGB in 0..1 and the same for every picture.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))

    def unit(self, frames: Tensor) -> Tensor:
        """Give `(N, H, W, 3) uint8` as `(N, 3, H, W) float32` in 0..1."""
        return frames.permute(0, 3, 1, 2).float() / 255

    def normalise(self, unit: Tensor) -> Tensor:
        """Give `(N, 3, H, W)` in 0..1 as the network wants it."""
        return (unit - self.mean) / self.std

    def forward(self, frames: Tensor) -> Tensor:
        logits = self.network(self.normalise(self.unit(frames)))  # (N, channels, size, size)
        probs = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
        return probs.permute(0, 2, 3, 1)  # (N, size, size, channels)
