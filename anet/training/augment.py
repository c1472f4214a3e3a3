"""Augmentation on the device, through kornia: the same warp for pictures and masks, light for pictures only.

All randomness comes from torch's default generator, which the loop seeds afresh at every step.
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
        warps = []
        if recipe.affine:
            warps += [RandomAffine(15.0, (0.1, 0.1), (0.8, 1.25), 5.0, padding_mode="reflection", p=recipe.affine)]
        if recipe.elastic:  # neighbourhoods of 12 px move together, by about 4 px: crooked scratches, not torn ones
            warps += [
                RandomElasticTransform(
                    (37, 37), (12.0, 12.0), (0.6, 0.6), align_corners=True, padding_mode="reflection", p=recipe.elastic
                )
            ]
        exact = {DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": True}}
        self.warp = AugmentationSequential(*warps, data_keys=["input", "mask"], extra_args=exact) if warps else None
        p = recipe.photometric
        lights = [
            RandomBrightness((0.8, 1.2), p=p), RandomContrast((0.75, 1.3), p=p), RandomGamma((0.7, 1.4), p=p),
            RandomLinearIllumination((0.05, 0.25), p=p), RandomGaussianNoise(0.0, 0.02, p=p),
            RandomGaussianBlur((3, 3), (0.3, 1.0), p=p / 3),
        ]  # fmt: skip
        self.light = AugmentationSequential(*lights, data_keys=["input"]) if p else None

    @torch.no_grad()
    def __call__(self, images: Tensor, masks: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Turn every picture; do the rest to a random `share` (0..1) of them, see `Recipe.ramp`."""
        images, masks = turn(images, masks, self.recipe.rot90, self.recipe.flips)
        if share >= 1.0:
            return self.change(images, masks)
        chosen = (torch.rand(len(images)) < share).to(images.device)
        if not chosen.any():
            return images, masks
        changed, labels = self.change(images, masks)
        images = torch.where(chosen[:, None, None, None], changed, images)
        return images, torch.where(chosen[:, None, None], labels, masks)

    def change(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        if self.warp is not None:
            images, warped = self.warp(images, masks[:, None].float())
            masks = warped[:, 0].round().to(torch.uint8)
        if self.recipe.paste:
            images, masks = paste_defects(images, masks, self.recipe.paste)
        if self.light is not None:
            images = self.light(images).clamp(0.0, 1.0)
        return images, masks


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


def paste_defects(images: Tensor, masks: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Copy, with probability `p`, the defects of the batch's next picture into this one, edges feathered.

    The pasted region is shifted in brightness so that its surroundings match: the defect differs, not the light.
    Both were warped at random before, so that a defect lands on surfaces and at places where it was never seen.
    """
    donors = torch.roll(images, 1, 0), torch.roll(masks, 1, 0)
    takes = torch.rand(len(images), device=images.device) < p
    defect = (donors[1] > 0) & (donors[1] != IGNORE) & (masks != IGNORE) & takes[:, None, None]
    alpha = gaussian_blur2d(F.max_pool2d(defect[:, None].float(), 5, 1, 2), (5, 5), (1.2, 1.2))
    alpha = torch.maximum(alpha, defect[:, None].float())
    coarse = F.avg_pool2d(alpha, 4)  # the surroundings are compared at a quarter of the size
    ring = (F.max_pool2d(coarse, 5, 1, 2) > 0.5).float() * (1 - coarse)
    differs = F.avg_pool2d(images - donors[0], 4)
    shift = (differs * ring).sum((2, 3), keepdim=True) / ring.sum((2, 3), keepdim=True).clamp(min=1.0)
    images = images + alpha * (donors[0] + shift - images)
    return images.clamp(0.0, 1.0), torch.where(defect, donors[1], masks)
