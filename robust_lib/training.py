"""Training on tensors: recipes, fit, cross-validation. The data set lives on the device; no DataLoader."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm import tqdm

from robust_lib.dynamics import Recorder

COLLAPSE_SHARE = 0.99  # a network that gives one class to this share of a mixed training set has collapsed


def pick_device(device: str) -> torch.device:
    """The named device; "auto" is CUDA where there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


@dataclass(frozen=True)
class Recipe:
    """How to train. lr follows the schedule per epoch: "constant", "cosine" (to 0), or "step"
    (multiplied by step_factor after step_epoch epochs). weight_decay is added to the gradient, as in SGD;
    l1 is the δ of ANL's penalty δ Σ|θ| over all parameters, biases too (its gradient only: the recorded loss
    is without it).
    """

    epochs: int
    optimizer: str = "adam"
    lr: float = 1e-3
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 0.0
    l1: float = 0.0
    schedule: str = "constant"
    step_epoch: int = 5
    step_factor: float = 0.1

    def __post_init__(self):
        _one_of("optimizer", self.optimizer, ("adam", "sgd"))
        _one_of("schedule", self.schedule, ("constant", "cosine", "step"))
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")

    def optimize(self, parameters) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The optimizer and the schedule, which is to be stepped once per epoch."""
        if self.optimizer == "adam":
            optimizer = torch.optim.Adam(parameters, self.lr, weight_decay=self.weight_decay)
        else:
            optimizer = torch.optim.SGD(parameters, self.lr, self.momentum, weight_decay=self.weight_decay)
        if self.schedule == "cosine":
            return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        milestones = [self.step_epoch] if self.schedule == "step" else []
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, self.step_factor)


RECIPES = {
    # Ours: a few seconds on two cores for the mini packs.
    "quick": Recipe(epochs=12, batch_size=64),
    # HS A.1: Adam "without additional tuning", ten epochs; batch size not stated.
    "hs-mnist": Recipe(epochs=10),
    # CV App. B.
    "cv-mnist": Recipe(epochs=50, optimizer="sgd", lr=0.01, weight_decay=1e-3, schedule="cosine"),
}


@dataclass
class Fit:
    """A trained model and what happened: one dict per epoch (epoch, lr, loss, train_accuracy against the
    labels trained on, test_accuracy if a test set was given, top_share, state, seconds)."""

    model: nn.Module
    history: list[dict] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Of the last epoch: "learning", "collapsed" (one class for all) or "diverged" (not finite)."""
        return self.history[-1]["state"]

    def column(self, name: str) -> list:
        """One quantity over the epochs."""
        return [row[name] for row in self.history]


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss,
    recipe: Recipe,
    *,
    recorders: Sequence[Recorder] = (),
    test: tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Fit:
    """Train the model in place on images float (N, C, H, W) and labels int64 (N,).

    loss(logits, targets) is asked for at_epoch(e), e = 1, 2, …; the same seed on the same device gives the
    same bits. A run whose loss stops being finite ends there, its state "diverged". test=(images, labels)
    adds the accuracy after every epoch. progress=None shows a bar on a terminal only.
    Raises ValueError when images and labels do not belong together.
    """
    if images.ndim != 4 or not images.is_floating_point() or len(images) != len(labels) or not len(labels):
        raise ValueError(
            f"images must be floating (N, C, H, W) with one label each, got {tuple(images.shape)} "
            f"{images.dtype} and {len(labels)} labels"
        )
    device = pick_device(device)
    model, images, labels = model.to(device), images.to(device), labels.to(device)
    test = test and tuple(part.to(device) for part in test)
    for recorder in recorders:
        recorder.start(recipe.epochs, len(labels), device)
    in_training, in_evaluation = ([r for r in recorders if r.when == when] for when in ("train", "eval"))
    run = Fit(model)
    optimizer, schedule = recipe.optimize(model.parameters())
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        hidden = None if progress is None else not progress
        for epoch in tqdm(range(1, recipe.epochs + 1), desc=str(loss), unit="epoch", disable=hidden):
            start = time.perf_counter()
            batches = torch.randperm(len(labels), generator=order).to(device).split(recipe.batch_size)
            lr = optimizer.param_groups[0]["lr"]
            step = Step(model, loss.at_epoch(epoch), optimizer, recipe.l1)
            row = _epoch(step, images, labels, batches, epoch, in_training)
            schedule.step()
            _record_evaluation(model, images, labels, epoch, in_evaluation)
            if test:
                row["test_accuracy"] = accuracy(model, *test)
            run.history.append({"epoch": epoch, "lr": lr} | row | {"seconds": time.perf_counter() - start})
            if run.state == "diverged":
                break
    for recorder in recorders:
        recorder.finish()
    return run


@dataclass(frozen=True)
class Step:
    """One optimization step on a batch."""

    model: nn.Module
    loss: Callable
    optimizer: torch.optim.Optimizer
    l1: float

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and mean loss of the batch, both detached, as they were before the step."""
        logits = self.model(images)
        value = self.loss(logits, targets)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        if self.l1:
            for parameter in self.model.parameters():
                parameter.grad.add_(parameter.detach().sign(), alpha=self.l1)
        self.optimizer.step()
        return logits.detach(), value.detach()


def _epoch(step, images, labels, batches, epoch, recorders) -> dict:
    """One pass over the batches; sums stay on the device until the end, so nothing waits for the host."""
    step.model.train()
    total = torch.zeros((), device=images.device)
    correct = torch.zeros((), device=images.device)
    predicted = 0
    for indices in batches:
        targets = labels[indices]
        logits, value = step(images[indices], targets)
        guess = logits.argmax(1)
        total += value * len(indices)
        correct += (guess == targets).sum()
        predicted = predicted + torch.bincount(guess, minlength=logits.shape[1])
        for recorder in recorders:
            recorder.batch(epoch, indices, logits, targets)
    mean = float(total) / len(labels)
    top = float(predicted.max()) / len(labels)
    given = float(torch.bincount(labels).max()) / len(labels)
    collapsed = top >= COLLAPSE_SHARE > given
    finite = torch.isfinite(torch.stack([total, *(p.detach().abs().max() for p in step.model.parameters())]))
    state = "diverged" if not bool(finite.all()) else "collapsed" if collapsed else "learning"
    return {"loss": mean, "train_accuracy": float(correct) / len(labels), "top_share": top, "state": state}


def _record_evaluation(model, images, labels, epoch, recorders) -> None:
    if not recorders:
        return
    logits = predict(model, images)
    everything = torch.arange(len(labels), device=images.device)
    for recorder in recorders:
        recorder.batch(epoch, everything, logits, labels)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, batch_size: int = 1000) -> Tensor:
    """Logits (N, K) in evaluation mode, on the images' device."""
    model.eval()
    return torch.cat([model(part) for part in images.split(batch_size)])


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit is at their label, in [0, 1]."""
    return float((predict(model, images).argmax(1) == labels).float().mean())


@dataclass
class CrossValidation:
    """probs float32 (N, K): each sample's softmax from the fold that did not train on it; fold int64 (N,)
    says which; fits holds one Fit per fold."""

    probs: Tensor
    fold: Tensor
    fits: list[Fit]


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
    progress: bool | None = None,
) -> CrossValidation:
    """Out-of-sample probabilities by stratified k-fold cross-validation (stratified on the given labels).

    build(seed) makes a network with fresh weights; every fold gets its own, so no fold sees another's
    training. Raises ValueError if folds < 2 or a class has fewer samples than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = torch.bincount(labels)
    scarce = int(counts[counts > 0].min())
    if not 2 <= folds <= scarce:
        raise ValueError(f"folds must be in 2 … {scarce} (the smallest class's samples), got {folds}")
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    target = pick_device(device)
    fold, fits, probs = torch.full((len(labels),), -1), [], None
    for k, (train, held) in enumerate(splitter.split(labels.cpu(), labels.cpu())):
        own = seed * folds + k
        model = build(own)
        pair = images[train], labels[train]
        fits.append(fit(model, *pair, loss, recipe, seed=own, device=device, progress=progress))
        part = predict(model, images[held].to(target)).float().softmax(1).cpu()
        probs = torch.zeros(len(labels), part.shape[1]) if probs is None else probs
        probs[held], fold[held] = part, k
    return CrossValidation(probs, fold, fits)
