"""Max-unpooling (SegNet, ENet): put each value back where 2x2 max-pooling found its maximum, zeros elsewhere.

The same result as PyTorch's `max_pool2d(..., return_indices=True)` and `max_unpool2d`. OpenVINO cannot convert the
latter from a traced network, and PyTorch refuses it where deterministic algorithms are asked for. Indices with a
scatter would do, but OpenVINO took six times as long for them as for these plain operators. Comparing the input with
its repeated maxima alone would be wrong: a window whose maximum stands in it twice would get the value twice.

Where two values of a window differ by rounding alone, an engine that rounds otherwise may put the value at the other:
SegNet's logits in OpenVINO agree with PyTorch's to 1e-6 but for a few pixels in ten thousand.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def corners(x: Tensor, pooled: Tensor) -> Tensor:
    """Say where 2x2 max-pooling of `x` to `pooled` found its maxima: 0 to 3, row by row; the first of equal ones.

    `(N, C, H, W), (N, C, H/2, W/2) -> (N, C, H/2, W/2) int64`. H and W must be even. No gradient flows through it.
    """
    x, pooled = x.detach(), pooled.detach()
    first, second, third = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2]
    return torch.where(first == pooled, 0, torch.where(second == pooled, 1, torch.where(third == pooled, 2, 3)))


def unpool(x: Tensor, corners: Tensor) -> Tensor:
    """Double height and width: each value at its corner of a 2x2 window, zeros elsewhere. Undo of max-pooling.

    `(N, C, H, W), (N, C, H, W) -> (N, C, 2H, 2W)`.
    """
    window = torch.stack([torch.where(corners == corner, x, 0) for corner in range(4)], dim=2)  # (N, C, 4, H, W)
    return F.pixel_shuffle(window.flatten(1, 2), 2)  # (N, C, 2H, 2W)
