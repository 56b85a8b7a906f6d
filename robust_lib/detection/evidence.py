"""The trainings that detectors learn from: one fold or one threshold run at a time.

`folds` and `threshold_runs` yield each as soon as it is trained, so that a caller can keep it before the next
one begins. `cross_validate` collects the folds. Each has a version for several losses at once, whose heads
are trained together. Evidence that needs no training is in `neighbours`.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robust_lib import training
from robust_lib.detection import aum
from robust_lib.training import Fit, Recipe, Recorder

Build = Callable[[int], nn.Module]


@dataclass(frozen=True, eq=False)
class Fold:
    """One network of a cross-validation. held: int64, the positions that it was not trained on; probs:
    float32 (len(held), K), its softmax there, on the CPU."""

    number: int
    held: Tensor
    probs: Tensor
    fit: Fit


@dataclass(frozen=True, eq=False)
class ThresholdRun:
    """One training with threshold samples: margins (epochs, N); mask bool (N,), True for those samples."""

    margins: Tensor
    mask: Tensor
    number: int = 0
    fit: Fit | None = None


@dataclass
class CrossValidation:
    """probs float32 (N, K): each sample's softmax from the fold that did not train on it; fold int64 (N,)
    says which; fits holds one Fit per fold."""

    probs: Tensor
    fold: Tensor
    fits: list[Fit]


def _fresh(
    build: Callable[[int], nn.Module], seed: int, count: int, seen: list[nn.Module]
) -> list[nn.Module]:
    """So many networks of the seed, which join those seen before. ValueError if build returns one twice."""
    for _ in range(count):
        model = build(seed)
        if any(model is one for one in seen):
            raise ValueError("build must make a new network for every training, got the same one again")
        seen.append(model)
    return seen[-count:]


def split(labels: Tensor, folds: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Folds, stratified on the labels: (positions to train on, positions held out), each int64.

    Raises ValueError if folds < 2, a label is negative, or a class has fewer samples than folds.
    """
    if len(labels) and labels.min() < 0:
        raise ValueError(f"labels must be 0 or more, got {int(labels.min())}: leave out what has none")
    from sklearn.model_selection import StratifiedKFold

    counts = torch.bincount(labels)
    scarce = int(counts[counts > 0].min())
    if not 2 <= folds <= scarce:
        raise ValueError(f"folds must be in 2 … {scarce} (the smallest class's samples), got {folds}")
    pairs = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels.cpu(), labels.cpu())
    return [tuple(torch.from_numpy(part).to(labels.device) for part in pair) for pair in pairs]


def folds(build: Build, images: Tensor, labels: Tensor, loss, recipe: Recipe, **options) -> Iterator[Fold]:
    """Trains a network for every fold, and yields each. Arguments and errors as `folds_together`."""
    return (fold for (fold,) in folds_together(build, images, labels, [loss], [recipe], **options))


def folds_together(
    build: Build,
    images: Tensor,
    labels: Tensor,
    losses: Sequence,
    recipes: Sequence[Recipe],
    *,
    folds: int = 5,
    only: Collection[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Iterator[list[Fold]]:
    """Trains networks for every fold, or for those whose numbers (from 0) are in `only`, one for each loss
    and its recipe, and yields them. Nothing is trained, and no error raised, before the first is asked for.

    build(s) makes a network with fresh weights, a linear head where there are several losses (see
    `training.fit_together`); fold k has the seed s = folds · seed + k, so it is the same whichever others are
    trained. Raises ValueError as `split` and `fit_together`, or if build returns one network twice.
    """
    training.check(images, labels)
    seen: list[nn.Module] = []
    for number, (train, held) in enumerate(split(labels, folds, seed)):
        if only is not None and number not in only:
            continue
        fold_seed = folds * seed + number
        models = _fresh(build, fold_seed, len(losses), seen)
        options = {"seed": fold_seed, "device": device, "progress": progress}
        # No name for the fold's images: they would stay in memory beside those of the next.
        fits = training.fit_together(
            models, images[train.to(images.device)], labels[train], losses, recipes, **options
        )
        probs = _probs(models, images[held.to(images.device)].to(training.pick_device(device)))
        yield [Fold(number, held, each, fit) for each, fit in zip(probs, fits, strict=True)]


def _probs(models: Sequence[nn.Module], images: Tensor) -> list[Tensor]:
    return [training.predict(model, images).float().softmax(1).cpu() for model in models]


def cross_validate(
    build: Build, images: Tensor, labels: Tensor, loss, recipe: Recipe, **options
) -> CrossValidation:
    """Out-of-sample probabilities by stratified k-fold cross-validation. Arguments and errors as `folds`, all
    of which are trained."""
    return cross_validate_together(build, images, labels, [loss], [recipe], **options)[0]


def cross_validate_together(
    build: Build, images: Tensor, labels: Tensor, losses: Sequence, recipes: Sequence[Recipe], **options
) -> list[CrossValidation]:
    """`cross_validate` for each loss and its recipe. Arguments and errors as `folds_together`."""
    done = list(folds_together(build, images, labels, losses, recipes, **options, only=None))
    return [_collected(each, len(labels)) for each in zip(*done, strict=True)]


def _collected(done: Sequence[Fold], samples: int) -> CrossValidation:
    probs = torch.empty(samples, done[0].probs.shape[1])
    fold = torch.empty(samples, dtype=torch.int64)
    for one in done:
        probs[one.held.cpu()], fold[one.held.cpu()] = one.probs, one.number
    return CrossValidation(probs, fold, [one.fit for one in done])


def threshold_runs(
    build: Build, images: Tensor, labels: Tensor, loss, recipe: Recipe, **options
) -> Iterator[ThresholdRun]:
    """Trains networks beside threshold samples, and yields each. Arguments and errors as
    `threshold_runs_together`."""
    return (run for (run,) in threshold_runs_together(build, images, labels, [loss], [recipe], **options))


def threshold_runs_together(
    build: Build,
    images: Tensor,
    labels: Tensor,
    losses: Sequence,
    recipes: Sequence[Recipe],
    *,
    classes: int,
    count: int | None = None,
    runs: int = 1,
    only: Collection[int] | None = None,
    when: str = "train",
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Iterator[list[ThresholdRun]]:
    """Trains `runs` (1 or 2) networks for each loss and its recipe, on labels of which `count` were given the
    extra class K.

    count, and what is raised for it, as `aum.threshold_samples`: N // (K + 1) by default.  build(s) makes a
    network with fresh weights and classes + 1 outputs, a linear head where there are several losses.  Run r
    gives the extra class to the r-th block of one permutation, so two runs judge every sample; the first of
    two is bit for bit the only one of one.  only: the runs (0, 1) to train, all by default.  when="train"
    keeps the margins of the training pass itself, as AUM's authors do; "eval" those of a pass in evaluation
    mode after each epoch, for one loss.  Other arguments and errors as `training.fit_together`.
    """
    if runs not in (1, 2):
        raise ValueError(f"runs must be 1 or 2, got {runs!r}")
    target, seen = training.pick_device(device), []
    for number in range(runs) if only is None else only:
        given, mask = aum.threshold_samples(labels, classes, seed, count, number)
        run_seed, recorders = 2 * seed + number, [Recorder(when) for _ in losses]
        models = [model.to(target) for model in _fresh(build, run_seed, len(losses), seen)]
        outputs = training.predict(models[0], images[:1].to(target)).shape[1]
        if outputs != classes + 1:
            raise ValueError(
                f"build must make networks of classes + 1 = {classes + 1} outputs, got {outputs}"
            )
        options = {"seed": run_seed, "device": device, "progress": progress}
        options["recorders"] = [[recorder] for recorder in recorders]
        fits = training.fit_together(models, images, given, losses, recipes, **options)
        pairs = zip(recorders, fits, strict=True)
        yield [ThresholdRun(recorder.margin, mask.cpu(), number, fit) for recorder, fit in pairs]
