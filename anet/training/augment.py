"""Augmentation on the device, through kornia: the same warp for pictures and masks, light for pictures only.

All randomness comes from torch's default generator, which the loop seeds afresh at every step. Which pictures a change
touches is drawn here, and only those are given to kornia: by itself it changes the whole batch and then keeps some of
it (measured: 3 to 4 times the time of a batch, a quarter of a compiled step on a CPU).
"""

import torch
from kornia.augmentation import (
    AugmentationSequential,
    RandomAffine,
    RandomBrightness,
    RandomContrast,
    RandomElasticTransform,
    RandomGamma,
    RandomGaussianBlur,
    RandomGaussianNoise,
    RandomLinearIllumination,
)
from kornia.constants import DataKey, Resample
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn import functional as F

from anet.frame import IGNORE
from anet.training.recipes import Recipe


class Augment:
    """Turn `(N, 3, H, W)` pictures in 0..1 and `(N, H, W) uint8` masks into a random view of them, same shapes."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        p = recipe.photometric
        exact = {DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": True}}  # so that no id is invented
        warps = [  # probability and what is done, in this order
            (recipe.affine, RandomAffine(15.0, (0.1, 0.1), (0.8, 1.25), 5.0, padding_mode="reflection", p=1.0)),
            # neighbourhoods of 12 px move together, by about 4 px: crooked scratches, not torn ones
            (recipe.elastic, RandomElasticTransform(
                (37, 37), (12.0, 12.0), (0.6, 0.6), align_corners=True, padding_mode="reflection", p=1.0
            )),
        ]  # fmt: skip
        lights = [
            (p, RandomBrightness((0.8, 1.2), p=1.0)), (p, RandomContrast((0.75, 1.3), p=1.0)),
            (p, RandomGamma((0.7, 1.4), p=1.0)), (p, RandomLinearIllumination((0.05, 0.25), p=1.0)),
            (p, RandomGaussianNoise(0.0, 0.02, p=1.0)), (p / 3, RandomGaussianBlur((3, 3), (0.3, 1.0), p=1.0)),
        ]  # fmt: skip
        self.warps = [
            (p, AugmentationSequential(op, data_keys=["input", "mask"], extra_args=exact)) for p, op in warps if p
        ]
        self.lights = [(p, op) for p, op in lights if p]

    @torch.no_grad()
    def __call__(self, images: Tensor, masks: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Turn every picture; do the rest to a random `share` (0..1) of them, see `Recipe.ramp`."""
        images, masks = turn(images, masks, self.recipe.rot90, self.recipe.flips)  # new ones, written to below
        chosen = torch.rand(len(images)) < share
        for p, warp in self.warps:
            if len(some := drawn(chosen, p)):
                images[some], warped = warp(images[some], masks[some, None].float())
                masks[some] = warped[:, 0].round().to(torch.uint8)
        if self.recipe.paste:
            paste_defects(images, masks, drawn(chosen, self.recipe.paste))
        for p, light in self.lights:
            if len(some := drawn(chosen, p)):
                images[some] = light(images[some]).clamp(0.0, 1.0)
        return images, masks


def drawn(chosen: Tensor, p: float) -> Tensor:
    """Draw from the pictures that are `chosen` (`(N,)` bool), each with probability `p`; give their numbers."""
    return torch.nonzero(chosen & (torch.rand(len(chosen)) < p)).flatten()


def turn(images: Tensor, masks: Tensor, rot90: bool, flips: bool) -> tuple[Tensor, Tensor]:
    """Rotate each picture by a random multiple of 90 degrees and flip it, exactly, its mask with it.

    kornia's RandomRotation90 resamples through a grid: measured 180 ms for 16 pictures of 224 on 2 cores where this
    takes 5 ms, and it blurs. Frames are square, so every turn keeps the shape.
    """
    images, masks = images.clone(memory_format=torch.contiguous_format), masks.clone()
    draws = torch.randint(0, 8, (len(images),)).tolist()
    for i, draw in enumerate(draws):
        if rot90 and draw % 4:
            images[i], masks[i] = images[i].rot90(draw % 4, (1, 2)), masks[i].rot90(draw % 4, (0, 1))
        if flips and draw >= 4:
            images[i], masks[i] = images[i].flip(2), masks[i].flip(1)
    if flips and not rot90:  # without turns, a vertical flip is no longer reached by turning and mirroring
        for i in torch.nonzero(torch.rand(len(images)) < 0.5).flatten().tolist():
            images[i], masks[i] = images[i].flip(1), masks[i].flip(0)
    return images, masks


def paste_defects(images: Tensor, masks: Tensor, takers: Tensor) -> None:
    """Copy the defects of the batch's previous picture into each of the pictures `takers`, in place, edges feathered.

    The pasted region is shifted in brightness so that its surroundings match: the defect differs, not the light.
    Both may be warped by now, so that a defect lands on surfaces and at places where it was never seen.
    """
    if not len(takers):
        return
    given, labels = images[takers - 1], masks[takers - 1]
    own, truth = images[takers], masks[takers]
    defect = (labels > 0) & (labels != IGNORE) & (truth != IGNORE)
    alpha = gaussian_blur2d(F.max_pool2d(defect[:, None].float(), 5, 1, 2), (5, 5), (1.2, 1.2))
    alpha = torch.maximum(alpha, defect[:, None].float())
    coarse = F.avg_pool2d(alpha, 4)  # the surroundings are compared at a quarter of the size
    ring = (F.max_pool2d(coarse, 5, 1, 2) > 0.5).float() * (1 - coarse)
    differs = F.avg_pool2d(own - given, 4)
    shift = (differs * ring).sum((2, 3), keepdim=True) / ring.sum((2, 3), keepdim=True).clamp(min=1.0)
    images[takers] = (own + alpha * (given + shift - own)).clamp(0.0, 1.0)
    masks[takers] = torch.where(defect, labels, truth)
