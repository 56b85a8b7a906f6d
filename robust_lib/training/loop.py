"""Training on tensors: recipes and fit. The data set lives on the device; no DataLoader."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from robust_lib.data.noise import one_of
from robust_lib.training.capture import Captured, own_stream
from robust_lib.training.dynamics import Recorder

COLLAPSE_SHARE = 0.99  # a network that gives one class to this share of a mixed training set has collapsed


def pick_device(device: str) -> torch.device:
    """The named device; "auto" is CUDA where there is one, else the CPU; "cuda" this thread's current GPU.

    ValueError for a name that torch does not know, and for CUDA where there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        why = f" ({error})" if isinstance(error, RuntimeError) else ""
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}{why}") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device must be auto or cpu where torch finds no CUDA device, got {device!r}")
    if place.type == "cuda" and place.index is None:  # fit works in a thread whose current GPU is another
        place = torch.device("cuda", torch.cuda.current_device())
    return place


@dataclass(frozen=True)
class Recipe:
    """How to train. lr follows the schedule per epoch: "constant", "cosine" (to 0), or "step"
    (multiplied by step_factor after step_epoch epochs). weight_decay is added to the gradient, as in SGD;
    l1 is the δ of ANL's penalty δ Σ|θ| over all parameters, biases too (its gradient only: the recorded loss
    is without it). augment "crop-flip" moves each training image by up to 4 pixels and mirrors half of them.
    precision "bf16" trains in bfloat16 (autocast, channels last), twice as fast where the processor has it;
    predictions stay float32.
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
    augment: str = "none"
    precision: str = "fp32"

    def __post_init__(self):
        one_of("optimizer", self.optimizer, ("adam", "sgd"))
        one_of("schedule", self.schedule, ("constant", "cosine", "step"))
        one_of("augment", self.augment, ("none", "crop-flip"))
        one_of("precision", self.precision, ("fp32", "bf16"))
        for name in ("epochs", "batch_size"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
            object.__setattr__(self, name, int(number))  # numpy's integers cannot be written as JSON
        if not self.lr > 0:
            raise ValueError(f"lr must be > 0, got {self.lr!r}")
        if not self.l1 >= 0:
            raise ValueError(f"l1 must be >= 0, got {self.l1!r}")

    def optimize(
        self, parameters, fused: bool = False
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The optimizer and the schedule, which is to be stepped once per epoch. fused: Adam in one pass over
        the parameters, as always on a GPU; for small ones in float32 a CPU gains nothing by it."""
        parameters = list(parameters)
        if self.optimizer == "adam":
            on_gpu = parameters[0].is_cuda
            options = {"fused": fused or on_gpu or self.precision == "bf16", "capturable": on_gpu}
            optimizer = torch.optim.Adam(parameters, self.lr, weight_decay=self.weight_decay, **options)
        else:
            optimizer = torch.optim.SGD(parameters, self.lr, self.momentum, weight_decay=self.weight_decay)
        if self.schedule == "cosine":
            return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        milestones = [self.step_epoch] if self.schedule == "step" else []
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, self.step_factor)


RECIPES = {
    # Ours: a few seconds on two cores for the mini packs.
    "quick": Recipe(epochs=12, batch_size=64),
    # Ours, for heads on all features of a CIFAR set; the second for CV, whose training is SGD's.
    "features": Recipe(epochs=10, batch_size=256),
    "features-sgd": Recipe(epochs=20, optimizer="sgd", lr=0.1, batch_size=256, schedule="cosine"),
    # HS A.1: Adam "without additional tuning", ten epochs; batch size not stated.
    "hs-mnist": Recipe(epochs=10),
    # Another reading of the same: a public development code of these losses has this size and this rate.
    "hs-mnist-devcode": Recipe(epochs=10, lr=1e-4, batch_size=64),
    # HS A.1, for CIFAR-10; on CIFAR-100 step_factor is 0.2. Batch size not stated.
    "hs-cifar": Recipe(epochs=10, lr=1e-4, schedule="step"),
    # HS §5 for AUM; batch size and schedule, not stated there, are those of the AUM authors' own runs.
    "hs-aum": Recipe(epochs=150, optimizer="sgd", lr=0.1, batch_size=64, weight_decay=1e-4),
    # CV App. B.
    "cv-mnist": Recipe(epochs=50, optimizer="sgd", lr=0.01, weight_decay=1e-3, schedule="cosine"),
    "cv-cifar10": Recipe(
        epochs=120, optimizer="sgd", lr=0.01, weight_decay=1e-4, schedule="cosine", augment="crop-flip"
    ),
    "cv-cifar100": Recipe(
        epochs=200, optimizer="sgd", lr=0.1, weight_decay=1e-5, schedule="cosine", augment="crop-flip"
    ),
    # Ours, for fast_resnet on all of CIFAR-10. With right labels a third of the epochs would do; wrong ones
    # are learned later, if they are.
    "fast-cifar10": Recipe(
        epochs=30,
        optimizer="sgd",
        lr=0.1,
        batch_size=256,
        weight_decay=5e-4,
        schedule="cosine",
        augment="crop-flip",
    ),
}


@dataclass
class Fit:
    """A trained model and what happened: one dict per epoch (epoch, lr, loss, train_accuracy against the
    labels trained on, test_accuracy if a test set was given, top_share, state, seconds)."""

    model: nn.Module
    history: list[dict] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Of the last epoch: "learning"; "diverged": the loss or a weight is not finite; "collapsed": one
        class for at least 99 % of the samples; "unlearned": against the labels trained on, the accuracy is
        less than half of what it was in an earlier epoch, or less than half of what guessing gives."""
        return self.history[-1]["state"]

    def column(self, name: str) -> list:
        """One quantity over the epochs."""
        return [row[name] for row in self.history]

    def best_accuracy(self) -> float:
        """The largest train_accuracy so far, 0 before the first epoch."""
        return max(self.column("train_accuracy"), default=0.0)


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
    """Train the model in place on images float (N, C, H, W), or features (N, D), and labels int64 (N,).

    loss(logits, targets) is asked for at_epoch(e), e = 1, 2, …. The same seed on the same processor with as
    many threads gives the same bits; on CUDA, cuDNN is asked for its deterministic kernels. Numbers below
    1e-38 count as zero (see `without_denormals`). A run whose loss stops being finite ends there, its state
    "diverged". test=(images, labels) adds the accuracy after every epoch. progress=None shows a bar on a
    terminal only. Raises ValueError when images and labels do not belong together, and for a loss or a test
    set that is none.
    """
    check(images, labels, recipe, [loss])
    check_pairs(test)
    device = pick_device(device)
    run = Fit(model.to(device))
    if recipe.precision == "bf16":
        run.model = model.to(memory_format=torch.channels_last)
    here = images.to(device), labels.to(device)
    test = test and tuple(part.to(device) for part in test)

    def train(*turns) -> None:
        _train(run, *here, loss, recipe, recorders, test, *turns)

    conduct(train, recorders, recipe.epochs, len(labels), str(loss), seed, device, progress)
    return run


def conduct(
    train: Callable[[Iterator[Tensor], tqdm, threading.Event], None],
    recorders: Sequence[Recorder],
    epochs: int,
    samples: int,
    title: str,
    seed: int,
    device: torch.device,
    progress: bool | None,
) -> None:
    """Runs train(order, epochs, stop) under the seed and without denormals, between the recorders' start and
    finish: the orders of the samples, the epochs from 1 behind a bar with this title, and the stop to look
    at."""
    for recorder in recorders:
        recorder.start(epochs, samples, device)
    hidden = None if progress is None else not progress
    bar = tqdm(range(1, epochs + 1), desc=title, unit="epoch", disable=hidden)

    def work(stop: threading.Event) -> None:
        with own_stream(device):
            train(orders(samples, seed), bar, stop)

    with seeded(seed, device):
        without_denormals(work)
    for recorder in recorders:
        recorder.finish()


def _train(run, images, labels, loss, recipe, recorders, test, order, epochs, stop) -> None:
    """The epochs of `fit`, each with its row in run.history; everything is on the device."""
    optimizer, schedule = recipe.optimize(run.model.parameters())
    in_training, in_evaluation = ([r for r in recorders if r.when == when] for when in ("train", "eval"))
    captured = Captured(labels.device)
    for epoch in epochs:
        start, lr = time.perf_counter(), optimizer.param_groups[0]["lr"]
        parts = batches(next(order).to(labels.device), recipe.batch_size)
        step = Step(run.model, loss.at_epoch(epoch), optimizer, recipe)
        sums = _epoch(step, images, labels, parts, epoch, in_training, captured, stop)
        row = epoch_row(*sums, labels, run.best_accuracy())
        schedule.step()
        _record_evaluation(run.model, images, labels, epoch, in_evaluation)
        if test:
            row["test_accuracy"] = accuracy(run.model, *test)
        run.history.append({"epoch": epoch, "lr": lr} | row | {"seconds": time.perf_counter() - start})
        if run.state == "diverged":
            break


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch draws from the seed on the CPU and on the device, and cuDNN repeats itself; afterwards
    all generators and settings are as they were. Other devices are left alone."""
    cuda, before = device.type == "cuda", torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed every GPU
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = before


def without_denormals(work: Callable[[threading.Event], None]) -> None:
    """Runs work(stop) in a thread of its own, where numbers below 1e-38 count as zero.

    Some processors compute with such numbers many times slower. A collapsing network is full of them. The
    setting belongs to a thread. On Linux the helper threads that torch starts from it inherit it; helpers
    that run already would not have it, so the thread is new. The caller's autocast and default device do not
    reach the work. An error of the work is raised here; Ctrl-C sets stop, which the work has to look at.
    """
    stop, threads = threading.Event(), torch.get_num_threads()

    def run() -> None:
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)
        work(stop)

    with ThreadPoolExecutor(1, "training") as pool:
        try:
            pool.submit(run).result()
        except BaseException:
            stop.set()
            raise


def check(images: Tensor, labels: Tensor, recipe: Recipe | None = None, losses: Sequence = ()) -> None:
    """ValueError for what `fit` cannot train with."""
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        kind = (
            f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        )
        raise ValueError(f"labels must be an int64 tensor (N,), got {kind}")
    for loss in losses:
        if not hasattr(loss, "at_epoch"):
            raise ValueError(f"loss must be a loss such as losses.gce(), with its brackets; got {loss!r}")
    if (
        images.ndim not in (2, 4)
        or not images.is_floating_point()
        or len(images) != len(labels)
        or not len(labels)
    ):
        raise ValueError(
            f"images must be floating (N, C, H, W) or (N, D) with one label each, got {tuple(images.shape)} "
            f"{images.dtype} and {len(labels)} labels"
        )
    if recipe and images.ndim == 2 and recipe.augment != "none":
        raise ValueError(f"augment must be 'none' for features (N, D), got {recipe.augment!r}")


def check_pairs(pairs: tuple[Tensor, Tensor] | None) -> None:
    """ValueError unless each image has a label, and there is one."""
    if pairs and (pairs[1].shape != pairs[0].shape[:1] or not len(pairs[1])):
        shapes = " and ".join(str(tuple(part.shape)) for part in pairs)
        raise ValueError(f"images and their labels must be (N, ...) and (N,), N >= 1; got {shapes}")


def crop_flip(images: Tensor, padding: int = 4) -> Tensor:
    """Every image (N, C, H, W) moved by up to `padding` pixels each way, zeros coming in, and mirrored with
    probability 1/2. On the device, from torch's global random state.
    """
    n, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    top, left = torch.randint(2 * padding + 1, (2, n, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    columns = torch.where(torch.rand(n, 1, device=images.device) < 0.5, columns, columns.flip(1))
    each = torch.arange(n, device=images.device).view(n, 1, 1)
    return padded[each, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Step:
    """One optimization step on a batch."""

    model: nn.Module
    loss: Callable
    optimizer: torch.optim.Optimizer
    recipe: Recipe

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (float32 or wider) and mean loss of the batch, detached, as they were before the step."""
        if self.recipe.augment == "crop-flip":
            images = crop_flip(images)
        logits = self._logits(images)
        value = self.loss(logits, targets)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        if self.recipe.l1:
            _add_l1(self.model.parameters(), self.recipe.l1)
        self.optimizer.step()
        return logits.detach(), value.detach()

    def _logits(self, images: Tensor) -> Tensor:
        if self.recipe.precision == "bf16" and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast(images.device, self.recipe.precision):
            logits = self.model(images)
        return logits.float() if logits.dtype == torch.bfloat16 else logits


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Inside, networks compute in bfloat16 if precision is "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def orders(samples: int, seed: int) -> Iterator[Tensor]:
    """The order in which `fit` takes the samples, int64 (N,) on the CPU, epoch by epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randperm(samples, generator=generator)


def batches(order: Tensor, size: int) -> list[Tensor]:
    """The order in parts of `size`; a last sample alone joins the part before, as batch norm needs two."""
    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _add_l1(parameters, strength: float) -> None:
    """Adds the gradient of strength · Σ|θ| to the parameters that have a gradient; frozen ones have none."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.add_(parameter.detach().sign(), alpha=strength)


def _epoch(
    step, images, labels, parts, epoch, recorders, captured, stop
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One pass over the batches: the sums that `epoch_row` takes. Nothing waits for the device."""
    step.model.train()
    sums = _Sums(images.device)

    def work(indices: Tensor) -> tuple[Tensor, Tensor]:
        targets = labels[indices]
        logits, value = step(images[indices], targets)
        sums.add(logits, value, targets)
        return logits, targets

    captured.begin(work)
    for indices in parts:
        if stop.is_set():
            raise KeyboardInterrupt
        logits, targets = captured(indices)
        for recorder in recorders:
            recorder.batch(epoch, indices, logits, targets)
    peaks = torch.stack([p.detach().abs().max() for p in step.model.parameters()])
    return sums.total, sums.correct, sums.predicted, peaks


class _Sums:
    """Over an epoch's batches, on the device: losses, hits, and predictions per class (K,)."""

    def __init__(self, device: torch.device):
        self.total = torch.zeros((), device=device)
        self.correct = torch.zeros((), device=device)
        self.predicted = None  # the first batch tells K

    def add(self, logits: Tensor, value: Tensor, targets: Tensor) -> None:
        guess = logits.argmax(1)
        self.total += value * len(targets)
        self.correct += (guess == targets).sum()
        if self.predicted is None:
            self.predicted = torch.zeros(logits.shape[1], dtype=torch.int64, device=logits.device)
        self.predicted.index_add_(0, guess, torch.ones_like(guess))


def epoch_row(
    total: Tensor, correct: Tensor, predicted: Tensor, peaks: Tensor, labels: Tensor, best: float
) -> dict:
    """What fit records of an epoch, from its sums: losses, hits, predictions per class (K,), and the largest
    absolute value of each parameter. best: the largest train_accuracy of the epochs before."""
    row = {
        "loss": float(total) / len(labels),
        "train_accuracy": float(correct) / len(labels),
        "top_share": float(predicted.max()) / len(labels),
    }
    finite = math.isfinite(row["loss"]) and bool(torch.isfinite(peaks).all())
    shares = torch.bincount(labels).cpu().double() / len(labels)  # Apple's GPUs have no float64
    return row | {"state": _state(finite, row["top_share"], row["train_accuracy"], best, shares, len(labels))}


def _state(finite: bool, top: float, hits: float, best: float, shares: Tensor, samples: int) -> str:
    """The state of an epoch (see Fit.state); shares: of each class among the labels trained on."""
    if not finite:
        return "diverged"
    if top >= COLLAPSE_SHARE > float(shares.max()):
        return "collapsed"
    guessing = float((shares**2).sum())  # what a network gets that draws from the classes' shares
    return "unlearned" if any(_far_below(hits, one, samples) for one in (best, guessing)) else "learning"


def _far_below(share: float, reference: float, samples: int) -> bool:
    """Less than half of the reference, and by more than three standard deviations of a count of so many."""
    return share < reference / 2 and (reference - share) * samples > 3 * math.sqrt(reference * samples)


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
    """Share of images whose largest logit is at their label, in [0, 1]. ValueError unless each has one."""
    check_pairs((images, labels))
    return float((predict(model, images).argmax(1) == labels).float().mean())
