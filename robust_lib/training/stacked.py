"""Networks of one shape trained at once, their parameters stacked: folds, seeds and grid points together.

A small network leaves most of a GPU idle; M of them in one launch do not. Each member has its own weights,
samples, labels, loss and seed, and ends where `training.fit` would have brought it, up to rounding.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from robust_lib.training.dynamics import Recorder
from robust_lib.training.loop import (
    CrossValidation,
    Fit,
    Recipe,
    add_l1,
    assemble,
    autocast,
    batches,
    crop_flip,
    epoch_row,
    pick_device,
    predict,
    seeded,
    split,
    without_denormals,
)


@dataclass(frozen=True)
class Member:
    """One network of a stack and what it is trained on: positions into the images, and its labels there."""

    model: nn.Module
    indices: Tensor
    labels: Tensor
    loss: object
    seed: int
    recorders: Sequence[Recorder] = ()


def fit(members: Sequence[Member], images: Tensor, recipe: Recipe, *, device: str = "auto") -> list[Fit]:
    """Train all members, one Fit each; images float (N, C, H, W) are shared, and weights land in the models.

    As `training.fit` with these differences: a diverged member is named and does not stop the others, dropout
    and augmentation draw other numbers, and where members differ in size the last batch of the smaller
    ones is filled up with samples of its own that count for nothing but batch norm's statistics.
    Recorders must be of when="train". ValueError for members that differ in length by more than one batch.
    """
    _check(members, images, recipe)
    device = pick_device(device)
    models = [member.model.to(device) for member in members]
    params, buffers = stack_module_state(models)
    images = images.to(device)
    labels = [member.labels.to(device) for member in members]
    places = [member.indices.to(device) for member in members]
    for member in members:
        for recorder in member.recorders:
            recorder.start(recipe.epochs, len(member.labels), device)
    optimizer, schedule = recipe.optimize(list(params.values()))
    orders = [torch.Generator().manual_seed(member.seed) for member in members]
    runs = [Fit(model) for model in models]
    step = _Step(models[0], params, buffers, optimizer, recipe)

    def train(stop: threading.Event) -> None:
        for epoch in range(1, recipe.epochs + 1):
            start, lr = time.perf_counter(), optimizer.param_groups[0]["lr"]
            order = [
                torch.randperm(len(y), generator=g).to(device) for y, g in zip(labels, orders, strict=True)
            ]
            each = _epoch(step, members, images, labels, places, order, epoch, stop)
            schedule.step()
            for run, sums, own in zip(runs, each, labels, strict=True):
                row = epoch_row(*sums, own, run.best_accuracy())
                seconds = (time.perf_counter() - start) / len(members)
                run.history.append({"epoch": epoch, "lr": lr} | row | {"seconds": seconds})

    with seeded(members[0].seed, device):
        without_denormals(train)
    _unstack(models, params, buffers)
    for member in members:
        for recorder in member.recorders:
            recorder.finish()
    return runs


def cross_validate(
    build: Callable[[int], nn.Module],
    images: Tensor,
    labels: Tensor,
    loss,
    recipe: Recipe,
    *,
    folds: int = 5,
    seed: int = 0,
    device: str = "auto",
) -> CrossValidation:
    """As `training.cross_validate`, with all folds trained at once."""
    options = {"folds": folds, "seed": seed, "device": device}
    return cross_validate_grid(build, images, labels, [loss], recipe, **options)[0]


def cross_validate_grid(
    build: Callable[[int], nn.Module],
    images: Tensor,
    labels: Tensor,
    losses: Sequence,
    recipe: Recipe,
    *,
    folds: int = 5,
    seed: int = 0,
    device: str = "auto",
) -> list[CrossValidation]:
    """A cross-validation for each loss, with all folds of all losses trained at once."""
    parts = split(labels, folds, seed)
    members = [Member(build(own), use, labels[use], loss, own) for loss in losses for own, use, _ in parts]
    fits = fit(members, images, recipe, device=device)
    target = pick_device(device)
    found = []
    for start in range(0, len(fits), folds):
        own = fits[start : start + folds]
        logits = [
            predict(run.model, images[held].to(target)) for run, (_, _, held) in zip(own, parts, strict=True)
        ]
        found.append(assemble(parts, logits, own))
    return found


def _check(members, images, recipe) -> None:
    if not members:
        raise ValueError("members must hold at least one, got none")
    sizes = [len(member.labels) for member in members]
    counts = {len(batches(torch.arange(size), recipe.batch_size)) for size in sizes}
    if len(counts) > 1:
        raise ValueError(f"members must have the same number of batches, got sizes {sorted(set(sizes))}")
    for member in members:
        if len(member.indices) != len(member.labels):
            raise ValueError(
                f"indices and labels must be equally long, got {len(member.indices)} and {len(member.labels)}"
            )
        if any(recorder.when != "train" for recorder in member.recorders):
            raise ValueError('recorders must be of when="train"')
    if not images.is_floating_point():
        raise ValueError(f"images must be floating, got {images.dtype}")


class _Step:
    """One step of the whole stack on inputs (M, B, …)."""

    def __init__(self, skeleton, params, buffers, optimizer, recipe):
        self.params, self.buffers, self.optimizer, self.recipe = params, buffers, optimizer, recipe
        skeleton.train()

        def forward(params, buffers, images):
            return functional_call(skeleton, (params, buffers), (images,))

        self.forward = vmap(forward, randomness="different")

    def logits(self, images: Tensor) -> Tensor:
        if self.recipe.augment == "crop-flip":
            images = crop_flip(images.flatten(0, 1)).view_as(images)
        with autocast(images.device, self.recipe.precision):
            return self.forward(self.params, self.buffers, images).float()

    def update(self, means: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        means.sum().backward()
        if self.recipe.l1:
            add_l1(self.params.values(), self.recipe.l1)
        self.optimizer.step()


def _epoch(step: _Step, members, images, labels, places, order, epoch: int, stop) -> list[tuple]:
    """One pass; per member the sums that training.epoch_row takes. Nothing waits for the device."""
    size = step.recipe.batch_size
    losses = [member.loss.at_epoch(epoch) for member in members]
    total = torch.zeros(len(members), device=images.device)
    correct, predicted = torch.zeros_like(total), None
    for parts in zip(*(batches(one, size) for one in order), strict=True):
        if stop.is_set():
            raise KeyboardInterrupt
        longest = max(len(part) for part in parts)
        filled = [torch.cat([part, part[: longest - len(part)]]) for part in parts]
        picture = torch.stack([images[place[part]] for place, part in zip(places, filled, strict=True)])
        logits = step.logits(picture)
        if predicted is None:
            predicted = torch.zeros(len(members), logits.shape[2], dtype=torch.int64, device=images.device)
        means = []
        for m, (part, loss) in enumerate(zip(parts, losses, strict=True)):
            own, targets = logits[m, : len(part)], labels[m][part]
            means.append(loss(own, targets))
            guess = own.detach().argmax(1)
            predicted[m].index_add_(0, guess, torch.ones_like(guess))
            correct[m] += (guess == targets).sum()
            total[m] += means[-1].detach() * len(part)
            for recorder in members[m].recorders:
                recorder.batch(epoch, part, own, targets)
        step.update(torch.stack(means))
    peaks = torch.stack([p.detach().abs().flatten(1).amax(1) for p in step.params.values()], 1)
    return list(zip(total, correct, predicted, peaks, strict=True))


def _unstack(models, params, buffers) -> None:
    """The stack's weights and statistics, each back in its model."""
    with torch.no_grad():
        for m, model in enumerate(models):
            for name, value in (*model.named_parameters(), *model.named_buffers()):
                value.copy_((params.get(name) if name in params else buffers[name])[m])
