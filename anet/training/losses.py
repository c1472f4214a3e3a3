"""The training loss of equations (6) and (7), for one defect class and for several."""

import torch
from torch import Tensor
from torch.nn import functional as F

from anet.frame import IGNORE
from anet.nets.contract import AuxHead

BCE_WEIGHT = 0.5  # eq. (6)
EPSILON = 1.0
"""Epsilon of eq. (7); the paper gives none. With 1.0, a picture without a defect answered by silence costs 0, and its
gradient stays bounded on the way there. A tiny value (1e-6) leaves such a picture at a loss of 1 until the very last
pixel is silent: no signal, then a cliff. It weighs as much as half a pixel of overlap, so any real defect outweighs it.
"""


def training_loss(
    outputs: Tensor | tuple[Tensor, ...], target: Tensor, balance: float = 0.0, aux_heads: tuple[AuxHead, ...] = ()
) -> Tensor:
    """Give the loss of a network's answer: `segmentation_loss` of its logits, and of each auxiliary head its weight's.

    `outputs` is what `anet.nets.contract` promises; maps of auxiliary heads are scaled up to the target, bilinearly.
    """
    if isinstance(outputs, Tensor):
        return segmentation_loss(outputs, target, balance)
    logits, *maps = outputs
    loss = segmentation_loss(logits, target, balance)
    for given, head in zip(maps, aux_heads, strict=True):
        given = F.interpolate(given.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)
        truth = detail_target(target) if head.target == "detail" else target
        loss = loss + head.weight * segmentation_loss(given, truth, balance if head.target == "mask" else 0.0)
    return loss


def segmentation_loss(logits: Tensor, target: Tensor, balance: float = 0.0) -> Tensor:
    """Give Dice + 0.5 cross-entropy of each picture, averaged over the batch: a float32 scalar >= 0.

    `logits` (N, channels, H, W) of any float type; `target` (N, H, W) uint8 or int64 class ids. Pixels of IGNORE (255)
    count nowhere, in neither term; a picture of nothing else costs 0. Arithmetic is float32, also under autocast.

    One channel: sigmoid; every id but 0 is the defect. Several: softmax; Dice is averaged over the defect classes
    1 to channels - 1 (all of them, so a class that a picture lacks is told to be silent). Background has no Dice term:
    eq. (7) has only the defect's map, and with one class of defect both forms then mean the same.

    `balance` (0..1) is the share of another loss: cross-entropy alone, in which each class that a picture shows weighs
    the same, however few its pixels are. 0 is the paper's loss. 1 at the start keeps a training from settling on pure
    background where defects are a hundredth of a picture: there Dice and the plain entropy ask for silence long before
    the network can tell a defect (measured on magnetic tile: 120 steps of any mixture with Dice stayed at background).
    Raises ValueError when the shapes do not fit. Paper: eq. (6), (7); the form for several classes is ours.
    """
    n, channels, h, w = logits.shape
    if target.shape != (n, h, w):
        raise ValueError(f"target is {tuple(target.shape)}, logits ask for {(n, h, w)}")
    logits, labelled = logits.float(), target != IGNORE
    if channels == 1:
        truth = ((target != 0) & labelled).unsqueeze(1).float()  # (N, 1, H, W)
        probs = logits.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").squeeze(1)  # (N, H, W)
    else:
        ids = torch.arange(1, channels, device=target.device).view(1, -1, 1, 1)
        truth = (target.unsqueeze(1) == ids).float()  # (N, channels - 1, H, W); IGNORE equals none of them
        log_probs = logits.log_softmax(dim=1)
        probs = log_probs[:, 1:].exp()
        entropy = F.nll_loss(log_probs, target.long(), ignore_index=IGNORE, reduction="none")  # (N, H, W)
    dice = dice_loss(probs * labelled.unsqueeze(1), truth).mean(dim=1)
    plain = (entropy * labelled).sum(dim=(1, 2)) / labelled.sum(dim=(1, 2)).clamp(min=1)
    loss = dice + BCE_WEIGHT * plain
    if balance:
        loss = torch.lerp(loss, (entropy * balanced_weight(truth, labelled)).sum(dim=(1, 2)), balance)
    return loss.mean()


def balanced_weight(truth: Tensor, labelled: Tensor) -> Tensor:
    """Give `(N, H, W)` weights that sum to 1 a picture, to the same share over each class that it shows.

    `truth` (N, classes of defect, H, W) 0 or 1; `labelled` (N, H, W) bool. Labelled and no defect is background.
    """
    background = labelled.unsqueeze(1) * (1 - truth.sum(dim=1, keepdim=True))
    maps = torch.cat([background, truth], dim=1)  # (N, 1 + classes of defect, H, W)
    areas = maps.sum(dim=(2, 3), keepdim=True)
    present = (areas > 0).sum(dim=1, keepdim=True).clamp(min=1)
    return (maps / (areas.clamp(min=1) * present)).sum(dim=1)


def dice_loss(probs: Tensor, truth: Tensor) -> Tensor:
    """Give eq. (7) of each map, its denominator squared as printed: `(..., H, W)` in 0..1 twice -> `(...)` in 0..1."""
    overlap = (probs * truth).sum(dim=(-2, -1))
    total = probs.square().sum(dim=(-2, -1)) + truth.square().sum(dim=(-2, -1))
    return 1 - (2 * overlap + EPSILON) / (total + EPSILON)


def detail_target(target: Tensor) -> Tensor:
    """Give the boundaries of masks for a detail head: `(N, H, W)` ids -> the same shape, 1 on boundaries, else 0.

    As STDC (Fan et al. 2021, III-C): a Laplacian at strides 1, 2 and 4, each above 0.1, brought to full size, fused
    6:3:1 and cut at 0.1 again. IGNORE stays IGNORE, and its border is no boundary.
    """
    hidden = (target == IGNORE).unsqueeze(1)
    ids = target.unsqueeze(1).float().masked_fill(hidden, 0.0)
    kernel = torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]], device=ids.device).view(1, 1, 3, 3)
    padded = F.pad(ids, (1, 1, 1, 1), mode="replicate")  # the picture's border is no boundary
    near = F.max_pool2d(hidden.float(), 3, 1, 1) > 0
    fused = torch.zeros_like(ids)
    for stride, weight in ((1, 0.6), (2, 0.3), (4, 0.1)):
        edges = (F.conv2d(padded, kernel, stride=stride) > 0.1).float()
        fused += weight * F.interpolate(edges, size=ids.shape[-2:], mode="nearest")
    edge = (fused > 0.1) & ~near
    return edge.squeeze(1).to(target.dtype).masked_fill(hidden.squeeze(1), IGNORE)
