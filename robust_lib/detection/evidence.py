"""The trainings that detectors learn from: one fold or one threshold run at a time.

`folds` and `threshold_runs` yield each as soon as it is trained, so that a caller can keep it before the next
one begins. `cross_validate` collects the folds.
"""

from collections.abc import Callable, Collection, Iterator
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


def split(labels: Tensor, folds: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Folds, stratified on the labels: (positions to train on, positions held out), each int64.

    Raises ValueError if folds < 2, or a class has fewer samples than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = torch.bincount(labels)
    scarce = int(counts[counts > 0].min())
    if not 2 <= folds <= scarce:
        raise ValueError(f"folds must be in 2 … {scarce} (the smallest class's samples), got {folds}")
    pairs = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels.cpu(), labels.cpu())
    return [tuple(torch.from_numpy(part).to(labels.device) for part in pair) for pair in pairs]


def folds(
    build: Build,
    images: Tensor,
    labels: Tensor,
    loss,
    recipe: Recipe,
    *,
    folds: int = 5,
    only: Collection[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Iterator[Fold]:
    """Trains a network for every fold, or for those whose numbers (from 0) are in `only`, and yields each.
    Nothing is trained, and no error raised, before the first is asked for.

    build(s) makes a network with fresh weights; fold k has the seed s = folds · seed + k, so it is the same
    whichever others are trained. Raises ValueError as `split`, or if build returns one network twice.
    """
    seen: list[nn.Module] = []
    for number, (train, held) in enumerate(split(labels, folds, seed)):
        if only is not None and number not in only:
            continue
        fold_seed = folds * seed + number
        model = build(fold_seed)
        if any(model is one for one in seen):
            raise ValueError("build must make a new network for every fold, got the same one again")
        seen.append(model)
        options = {"seed": fold_seed, "device": device, "progress": progress}
        # No name for the fold's images: they would stay in memory beside those of the next.
        fit = training.fit(model, images[train.to(images.device)], labels[train], loss, recipe, **options)
        logits = training.predict(model, images[held.to(images.device)].to(training.pick_device(device)))
        yield Fold(number, held, logits.float().softmax(1).cpu(), fit)


def cross_validate(
    build: Build, images: Tensor, labels: Tensor, loss, recipe: Recipe, **options
) -> CrossValidation:
    """Out-of-sample probabilities by stratified k-fold cross-validation. Arguments and errors as `folds`, all
    of which are trained."""
    done = list(folds(build, images, labels, loss, recipe, **options, only=None))
    probs = torch.empty(len(labels), done[0].probs.shape[1])
    fold = torch.empty(len(labels), dtype=torch.int64)
    for one in done:
        probs[one.held.cpu()], fold[one.held.cpu()] = one.probs, one.number
    return CrossValidation(probs, fold, [one.fit for one in done])


def threshold_runs(
    build: Build,
    images: Tensor,
    labels: Tensor,
    loss,
    recipe: Recipe,
    *,
    classes: int,
    runs: int = 1,
    only: Collection[int] | None = None,
    when: str = "train",
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Iterator[ThresholdRun]:
    """Trains `runs` (1 or 2) networks on labels of which N // (K + 1) were given the extra class K.

    build(s) makes a network with fresh weights and classes + 1 outputs.  Run r gives the extra class to
    the r-th block of one permutation, so two runs judge every sample; the first of two is bit for bit the
    only one of one.  only: the runs (0, 1) to train, all by default.  when="train" keeps the margins of the
    training pass itself, as AUM's authors do; "eval" those of a pass in evaluation mode after each epoch.
    Other arguments and errors as `training.fit`.
    """
    if runs not in (1, 2):
        raise ValueError(f"runs must be 1 or 2, got {runs!r}")
    target = training.pick_device(device)
    for number in range(runs) if only is None else only:
        given, mask = aum.threshold_samples(labels, classes, seed, run=number)
        run_seed, recorder = 2 * seed + number, Recorder(when)
        model = build(run_seed).to(target)
        outputs = training.predict(model, images[:1].to(target)).shape[1]
        if outputs != classes + 1:
            raise ValueError(
                f"build must make networks of classes + 1 = {classes + 1} outputs, got {outputs}"
            )
        options = {"recorders": [recorder], "seed": run_seed, "device": device, "progress": progress}
        fit = training.fit(model, images, given, loss, recipe, **options)
        yield ThresholdRun(recorder.margin, mask.cpu(), number, fit)
