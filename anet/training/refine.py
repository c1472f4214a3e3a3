"""Prepare a trained network for int8: a short training in which weights and inputs are rounded as int8 rounds them.

Plain torch: nncf's own way compiles C++ on the user's machine. What comes out is an ordinary float network whose
answers survive rounding; `anet.export.quantize` then makes int8 of it as of any other.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anet.data.dataset import Split
from anet.errors import OptionError, TrainingError
from anet.frame import Frame
from anet.nets.deployable import Deployable
from anet.training.augment import Augment
from anet.training.checkpoint import Facts
from anet.training.feed import Batches, FramedSet
from anet.training.fit import seed_step
from anet.training.run import Plan

EPOCHS, LR, CLIP = 3, 2e-4, 1.0  # a hundredth of a training, at a twentieth of its learning rate
WARM = 4  # batches from which the ranges of activations are taken
RGB = 3  # channels of a picture: what reads it stays in float32, see `anet.export.quantize`
Conv = (nn.Conv2d, nn.ConvTranspose2d)


def refine(
    network: nn.Module, plan: Plan, facts: Facts, split: Split, epochs: int = EPOCHS,
    show: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> nn.Module:  # fmt: skip
    """Give a float network that answers as `network` does, also when rounded to int8; `network` stays as it is.

    It learns from the float network's probabilities instead of the masks: int8 is to keep the answers that were scored
    and the threshold that was chosen. Pictures and their changes are the run's (`plan`), for `epochs` over the training
    part. BatchNorm is folded into the convolutions, dropout is off. `show` is told step, steps and loss. Raises
    OptionError for fewer than one epoch, TrainingError when a loss is not finite, and data errors.
    """
    if epochs < 1:
        raise OptionError(f"{epochs} epochs of refining: 1 or more would work")
    teacher = copy.deepcopy(network).cpu().float().eval()
    student = folded(teacher)
    pictures = FramedSet(split.train, facts.classes, Frame(facts.size))
    batches = Batches(pictures, plan.recipe.batch, plan.seed, plan.recipe.rare)
    prepare, augment = Deployable(teacher, facts.mean, facts.std), Augment(plan.recipe)
    steps = epochs * batches.per_epoch
    optimizer = torch.optim.AdamW(student.parameters(), LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def views(epoch: int) -> Iterator[Tensor]:
        for number, (images, masks, _) in enumerate(batches.epoch(epoch, 0, 0)):
            seed_step(plan.seed, epoch * batches.per_epoch + number, 0)
            yield prepare.normalise(augment(prepare.unit(images), masks)[0])

    with rounding(student) as ranges:
        with torch.no_grad(), ranges.taken():
            for _, x in zip(range(WARM), views(0), strict=False):
                student(x)
        step = 0
        for epoch in range(epochs):
            for x in views(epoch):
                with torch.no_grad():
                    wanted = teacher(x)
                loss = likeness(student(x), wanted)
                if not torch.isfinite(loss):
                    raise TrainingError("refining for int8 diverged: int8 without it (ptq) would work")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                step += 1
                show(step, steps, float(loss.detach()))
    return student.eval()


def likeness(logits: Tensor, wanted: Tensor) -> Tensor:
    """Give how far probabilities are from those wanted: mean Kullback–Leibler divergence of all pixels, 0 or more.

    Both `(N, channels, H, W)` logits: sigmoid for one channel, softmax for several.
    """
    if logits.shape[1] == 1:
        logits, wanted = (torch.cat([torch.zeros_like(one), one], dim=1) for one in (logits, wanted))
    divergence = F.kl_div(logits.log_softmax(1), wanted.log_softmax(1), reduction="none", log_target=True)
    return divergence.sum(dim=1).mean()


def folded(network: nn.Module) -> nn.Module:
    """Give a copy in eval mode whose BatchNorms are part of the convolutions before them, where there is one.

    int8 rounds the product of both, so that is what the training must see.
    """
    network = copy.deepcopy(network).eval()
    for chain in [one for one in network.modules() if isinstance(one, nn.Sequential)]:
        for number in range(1, len(chain)):
            owner, place = chain, number - 1
            while isinstance(before := owner[place], nn.Sequential) and len(before):
                owner, place = before, len(before) - 1
            norm = chain[number]
            if isinstance(before, Conv) and isinstance(norm, nn.BatchNorm2d):
                owner[place] = fuse_conv_bn_eval(before, norm, transpose=isinstance(before, nn.ConvTranspose2d))
                chain[number] = nn.Identity()
    return network


class Ranges:
    """The largest absolute value that each convolution has been given, and the rounding that follows from it."""

    def __init__(self) -> None:
        self.largest: dict[nn.Module, Tensor] = {}
        self.taking = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Look at what passes instead of rounding it."""
        self.taking = True
        yield
        self.taking = False

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = given[0]
        if self.taking:
            largest = x.detach().abs().amax()
            self.largest[module] = torch.maximum(self.largest.get(module, largest), largest)
            return given
        scale = float(self.largest[module].clamp(min=1e-8)) / 127.5
        return (torch.fake_quantize_per_tensor_affine(x, scale, 0, -128, 127), *given[1:])


class RoundedWeight(nn.Module):
    """Weights as int8 holds them: a scale for each output channel, the largest weight at 127."""

    def __init__(self, axis: int):
        super().__init__()
        self.axis = axis

    def forward(self, weight: Tensor) -> Tensor:
        others = [one for one in range(weight.ndim) if one != self.axis]
        scale = weight.detach().abs().amax(dim=others).clamp(min=1e-8) / 127
        return torch.fake_quantize_per_channel_affine(
            weight, scale, torch.zeros_like(scale, dtype=torch.int32), self.axis, -127, 127
        )


@contextmanager
def rounding(network: nn.Module) -> Iterator[Ranges]:
    """Let the convolutions of `network` round weights and inputs to int8 while it lasts; take their ranges first."""
    ranges, hooks = Ranges(), []
    convolutions = [one for one in network.modules() if isinstance(one, Conv) and one.in_channels != RGB]
    for one in convolutions:
        axis = 1 if isinstance(one, nn.ConvTranspose2d) else 0
        parametrize.register_parametrization(one, "weight", RoundedWeight(axis))
        hooks.append(one.register_forward_pre_hook(ranges))
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()
        for one in convolutions:
            parametrize.remove_parametrizations(one, "weight", leave_parametrized=False)
