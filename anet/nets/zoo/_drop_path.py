"""Stochastic depth: what Swin-Unet and TopFormer both train with.

Paper: Huang, Sun, Liu, Sedra, Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016.
Differs: one draw for each picture instead of one for the batch, as in both networks' sources.
"""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Leave a residual branch out for some pictures, in training only; the kept ones are scaled to the same mean."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * (x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep) / keep)
