"""The training loop, in the order it happens: prepare, step, validate, save, finish."""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from anet.data.dataset import Dataset, Sample, Split
from anet.errors import TrainingError
from anet.files import printable
from anet.frame import Frame
from anet.nets import build
from anet.nets.contract import AuxHead, all_finite
from anet.nets.deployable import Deployable
from anet.scoring.evaluate import evaluate
from anet.scoring.threshold import choose_threshold
from anet.training import run
from anet.training.augment import Augment
from anet.training.checkpoint import Facts, load_model, save_model
from anet.training.compiling import check_first, told
from anet.training.feed import Batches, Channels, FramedSet, picture_statistics, repeat_factors
from anet.training.losses import training_loss
from anet.training.predictor import Predictor
from anet.training.recipes import Recipe, rate_of
from anet.training.run import Plan, State
from anet.training.start import Start, put


@dataclass(frozen=True)
class Event:
    """What the loop tells whoever shows it, after each step and each epoch."""

    epoch: int  # 1-based
    epochs: int
    step: int  # of all
    steps: int
    loss: float
    row: dict | None = None  # the row of metrics.csv, when an epoch has ended
    is_best: bool = False
    pictures: int = 0  # in the step, over all devices


class Stopped(KeyboardInterrupt):
    """Raised when the user asked for an end: the state is saved."""


def fit(fabric: Fabric, plan: Plan, folder: Path, facts: Facts, dataset: Dataset, split: Split,
        shows: Sequence[Callable[[Event], None]], stop: Callable[[], bool], resume: bool,
        start: Start | None) -> Facts:  # fmt: skip
    """Train as `plan` says into `folder`; give the facts of the best model, its threshold chosen on validation.

    It begins with the weights of `start`. Killed at any moment and started again with `resume`, it ends in the same
    bits: order, augmentation and dropout depend on seed and step alone, and weights, optimiser and counters are one
    file written all or nothing.
    Raises TrainingError on a loss that is not finite, Stopped after `stop()` was true, OutputError, and data errors.
    """
    recipe, chief = plan.recipe, fabric.is_global_zero

    def show(event: Event) -> None:
        for each in shows:
            each(event)

    train_set = FramedSet(split.train, dataset.classes, Frame(plan.size), recipe.zoom)
    batches = Batches(train_set, recipe.batch, plan.seed, recipe.rare, fabric.global_rank, fabric.world_size)
    steps = batches.per_epoch * recipe.epochs
    val = [InMemory(sample, dataset.classes) for sample in split.val]

    torch.manual_seed(plan.seed)
    network = build(plan.network, dataset.channels, plan.aux)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  not in its stubs
    kept = inference_keys(plan.network, dataset.channels)
    if start:
        put(start, network, dataset.class_names)
    network.to(fabric.device)  # before the optimiser takes a saved state, which goes where its parameters are and stays
    ema = copy.deepcopy(network).eval() if recipe.ema else network
    optimizer, rate = make_optimizer(network, recipe), rate_of(network, recipe)
    state, scaler = State(), {}
    if resume and (folder / run.STATE).exists():
        state, scaler = run.load_state(folder, network, ema, optimizer)
        if chief:  # a kill may have come between the state and this
            run.write_metrics(folder, state)
    compiled = torch.compile(network) if plan.compiled else network
    model, optimizer = fabric.setup(compiled, optimizer)  # pyright: ignore[reportArgumentType]  a module stays one
    if scaler:
        fabric.strategy.precision.load_state_dict(scaler)
    prepare = Deployable(network, facts.mean, facts.std).to(fabric.device)
    augment, predictor = Augment(recipe), Predictor(ema, facts, fabric.device)

    ended = state.step == steps
    first_epoch, first_batch = divmod(state.step, batches.per_epoch)
    where: tuple[int, int, list[str], Path] = first_epoch + 1, first_batch + 1, [], folder  # what `diverged` names
    for epoch in range(first_epoch, recipe.epochs):
        started, seen = time.perf_counter(), 0
        network.train()
        share = recipe.ramp_at(epoch)
        for images, masks, names in batches.epoch(epoch, first_batch, plan.workers, share):
            seed_step(plan.seed, state.step, fabric.global_rank)
            x, target = augment(prepare.unit(images.to(fabric.device)), masks.to(fabric.device), share)
            x = prepare.normalise(x).contiguous(memory_format=torch.channels_last)
            lr = recipe.lr_at(state.step, steps) * rate
            balance = recipe.balance_at(state.step, steps)
            with told():
                loss = take_step(fabric, model, optimizer, x, target, lr, recipe.clip, balance, network.aux_heads)
            where = epoch + 1, state.step % batches.per_epoch + 1, names, folder
            if not math.isfinite(loss):
                raise diverged(f"loss is {loss}", *where)
            if plan.compiled and not state.step:
                check_first(network)
            if ema is not network:
                update_average(ema, network, recipe.ema, state.step)
            pictures = len(names) * fabric.world_size
            state.step, state.loss_sum, seen = state.step + 1, state.loss_sum + loss, seen + pictures
            show(Event(epoch + 1, recipe.epochs, state.step, steps, loss, pictures=pictures))
            inside = state.step % batches.per_epoch
            if not inside:  # the epoch's end: a stop waits for its validation, which a resumed run would never do
                continue
            stopping = asked(fabric, stop)
            if stopping or (plan.save_every and inside % plan.save_every == 0):
                check_weights(network, *where)
                save(fabric, folder, state, network, ema, optimizer)
            if stopping:
                raise Stopped
        first_batch = 0
        check_weights(network, *where)
        speed = seen / (time.perf_counter() - started)
        if chief:
            try:
                scores = evaluate(predictor, val, dataset.classes).scores
            except ValueError as error:  # finite weights whose answers are not
                raise diverged(f"validation failed ({error})", *where) from error
            row = {
                "epoch": epoch + 1, "step": state.step, "lr": lr, "train_loss": state.loss_sum / batches.per_epoch,
                "val_iou": scores.miou, "val_iou_mean_pictures": mean_defect(scores.iou_mean_pictures),
                "pictures_per_s": round(speed, 2),
            }  # fmt: skip
            unsettled = bool(state.best_epoch) and not recipe.settled(state.best_epoch - 1)
            blind = not scores.defect_pictures  # validation cannot tell epochs apart: the later one has learnt more
            is_best = goodness(row) > state.best or blind or (recipe.settled(epoch) and unsettled)
            if is_best:
                state.best, state.best_epoch = goodness(row), epoch + 1
            state.history.append(row)
            state.loss_sum = 0.0
            now = stamped(facts, epoch + 1, state.step)
            if is_best:
                save_model(folder / "best.safetensors", weights(ema, kept), now)
            save_model(folder / "last.safetensors", weights(ema, kept), now)
            show(Event(epoch + 1, recipe.epochs, state.step, steps, row["train_loss"], row, is_best))
        state.loss_sum = 0.0
        fabric.barrier()
        save(fabric, folder, state, network, ema, optimizer)
        if epoch + 1 < recipe.epochs and asked(fabric, stop):
            raise Stopped
    return finish(folder, val, dataset.classes, fabric, ended) if chief else facts


def take_step(
    fabric: Fabric, model: nn.Module, optimizer: Optimizer, x: Tensor, target: Tensor, lr: float, clip: float,
    balance: float, aux_heads: tuple[AuxHead, ...] = (),
) -> float:  # fmt: skip
    """Do one step of the optimiser and give the loss, auxiliary heads included, averaged over devices."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    loss = training_loss(model(x), target, balance, aux_heads)
    mean = fabric.all_reduce(loss.detach(), reduce_op="mean") if fabric.world_size > 1 else loss.detach()
    value = float(mean)  # pyright: ignore[reportArgumentType]  of a tensor, all_reduce gives a tensor
    if math.isfinite(value):
        fabric.backward(loss)
        if clip:
            fabric.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return value


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """Make the recipe's optimiser. PReLU slopes, BatchNorm and biases (one dimension) are not decayed by AdamW."""
    if recipe.optimizer == "sgd":  # as the paper: everything decays
        return torch.optim.SGD(network.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    kernels = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, recipe.lr)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed augmentation and dropout of one step, so that no generator's state needs to be saved."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]))


@torch.no_grad()
def update_average(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights and BatchNorm statistics towards the network's; faster in the first steps."""
    share = 1.0 - min(decay, (1 + step) / (10 + step))
    averaged, current = ema.state_dict(), network.state_dict()
    floats = [key for key, value in averaged.items() if value.is_floating_point()]
    means, values = [averaged[k] for k in floats], [current[k] for k in floats]
    torch._foreach_lerp_(means, values, share)  # pyright: ignore[reportPrivateImportUsage]  not in its stubs
    for key in averaged.keys() - set(floats):
        averaged[key].copy_(current[key])


def asked(fabric: Fabric, stop: Callable[[], bool]) -> bool:
    """Say whether the first process was asked to stop: all must leave at the same step."""
    return fabric.broadcast(stop()) if fabric.world_size > 1 else stop()


def check_weights(network: nn.Module, *where) -> None:
    """Refuse to save weights that a finite loss has led astray. Raises TrainingError."""
    if not all_finite(network.state_dict().values()):
        raise diverged("weights are NaN or infinite after the step", *where)


def diverged(what: str, epoch: int, batch: int, names: list[str], folder: Path) -> TrainingError:
    """Give the error of a training that cannot go on, naming where."""
    shown = ", ".join(printable(name) for name in names[:4]) + (", ..." if len(names) > 4 else "")
    return TrainingError(
        f"{what} in epoch {epoch}, batch {batch} ({shown}): a smaller learning rate, 32-bit precision or --no-compile "
        f"may help; the last good weights are kept in {printable(folder)}"
    )


def save(fabric: Fabric, folder: Path, state: State, network: nn.Module, ema: nn.Module, optimizer: Optimizer) -> None:
    if fabric.is_global_zero:
        scaler = getattr(fabric.strategy.precision, "state_dict", dict)()
        run.save_state(folder, state, network, ema, optimizer, scaler)


def finish(folder: Path, val: list, classes: int, fabric: Fabric, ended: bool) -> Facts:
    """Choose the best model's threshold on validation and write it into the model file.

    Of a training that had `ended` before, the threshold that is there stays: `anet threshold` may have written it.
    """
    network, facts = load_model(folder / "best.safetensors")
    if ended and "threshold" in facts.provenance:
        return facts
    predictor = Predictor(network.to(fabric.device), facts, fabric.device)
    chosen = choose_threshold(predictor.probs, val, classes)
    facts = dataclasses.replace(facts, threshold=chosen.value)
    facts.provenance["threshold"] = {"chosen": chosen.chosen, "val_iou": chosen.iou, "pictures": chosen.pictures}
    save_model(folder / "best.safetensors", network.state_dict(), facts)
    return facts


def stamped(facts: Facts, epoch: int, step: int) -> Facts:
    return dataclasses.replace(facts, provenance={**facts.provenance, "epoch": epoch, "step": step})


def inference_keys(name: str, channels: int) -> set[str]:
    """Give the weights that inference needs: all but those of auxiliary heads. Model files hold these alone."""
    with torch.device("meta"):
        return set(build(name, channels).state_dict())


def weights(network: nn.Module, kept: set[str]) -> dict[str, Tensor]:
    return {key: value for key, value in network.state_dict().items() if key in kept}


def goodness(row: dict) -> float:
    """Give what the best epoch has most of: the mean of summed IoU and mean IoU of pictures.

    Where defects differ a hundredfold in size, the sum alone is blind for small ones and the mean for large ones: on
    magnetic tile, the sum would have kept epoch 3 of a training that found blowholes and cracks from epoch 10 on.
    """
    return ((row["val_iou"] or 0.0) + (row["val_iou_mean_pictures"] or 0.0)) / 2


def mean_defect(values: tuple) -> float | None:
    known = [v for v in values[1:] if v is not None]
    return sum(known) / len(known) if known else None


class InMemory:
    """A sample that is decoded once, for the validation after every epoch."""

    def __init__(self, sample: Sample, classes: int):
        self.name, self.pair = sample.name, sample.read(classes)

    def read(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        return self.pair


def shown(split: Split, classes: int, size: int, rare: float) -> int:
    """Give how many pictures an epoch shows: with `rare`, some more than once and of many sound ones only some."""
    return round(repeat_factors(FramedSet(split.train, classes, Frame(size)), rare).sum()) if rare else len(split.train)


def statistics(split: Split, classes: int, size: int) -> tuple[Channels, Channels, tuple[float, float]]:
    """Give `picture_statistics` of the training pictures, as every later user of the model takes them."""
    return picture_statistics(FramedSet(split.train, classes, Frame(size)))
