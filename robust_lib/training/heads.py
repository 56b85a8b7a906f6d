"""Many linear heads on the same features, trained together.

    heads = [models.build("linear", features, 10, seed=0) for _ in several]
    fits = fit_together(heads, features, labels, several, [RECIPES["features"]] * len(several))

All heads see the same batches, so their logits are one matrix product, and so are their gradients. A loss
that is a function of p_y costs little beyond that: one cross entropy serves all of these.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robust_lib.losses import Loss
from robust_lib.training import loop
from robust_lib.training.capture import Captured
from robust_lib.training.dynamics import Recorder
from robust_lib.training.loop import Fit, Recipe


def fit_together(
    heads: Sequence[nn.Linear],
    features: Tensor,
    labels: Tensor,
    losses: Sequence[Loss],
    recipes: Sequence[Recipe],
    *,
    recorders: Sequence[Sequence[Recorder]] = (),
    test: tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> list[Fit]:
    """Trains heads[k] in place with losses[k] on features float (N, D) and labels int64 (N,), all together.

    Each gets what `fit(heads[k], features, labels, losses[k], recipes[k], seed=seed)` gives, to rounding: the
    sums are taken in another order; a peer loss draws other pairs. recipes may differ in l1 alone. recorders:
    for each head its own, all of when="train". A head whose loss stops being finite goes on with the others,
    but its history ends there. A model alone may be any network: `fit` trains it. Other arguments as
    `fit`. ValueError: heads that are not linear, of different shapes, without a bias, or one twice; other
    numbers of losses or recipes than of heads, recipes or recorders of another kind, and as `fit`.
    """
    recorders = recorders or [()] * len(heads)
    _check_counts(heads, {"losses": losses, "recipes": recipes, "recorders": recorders})
    if len(heads) == 1:
        more = {"recorders": recorders[0], "test": test, "seed": seed, "device": device, "progress": progress}
        return [loop.fit(heads[0], features, labels, losses[0], recipes[0], **more)]
    _check(heads, features, labels, recipes, recorders)
    loop.check(features, labels, recipes[0], losses)
    loop.check_pairs(test)
    device = loop.pick_device(device)
    # Losses of p_y first: their logits then lie side by side.
    ranked = sorted(range(len(heads)), key=lambda k: not _plain(losses[k], recipes[0].epochs))
    team = [_Member(Fit(heads[k].to(device)), losses[k], recipes[k].l1, recorders[k]) for k in ranked]
    every = [recorder for member in team for recorder in member.recorders]
    here = features.to(device), labels.to(device)
    test = test and tuple(part.to(device) for part in test)

    def train(*turns) -> None:
        _train(team, *here, recipes[0], test, *turns)

    title = f"{len(heads)} linear heads"
    loop.conduct(train, every, recipes[0].epochs, len(labels), title, seed, device, progress)
    runs = {k: member.run for k, member in zip(ranked, team, strict=True)}
    return [runs[k] for k in range(len(heads))]


@dataclass(frozen=True, eq=False)
class _Member:
    """One head of those that are trained together."""

    run: Fit
    loss: Loss
    l1: float
    recorders: Sequence[Recorder]


def _plain(loss: Loss, epochs: int) -> bool:
    """Whether the loss is a function of p_y in every epoch; a delayed one is several."""
    return all(loss.at_epoch(epoch).sees == "p" for epoch in range(1, epochs + 1))


def _check_counts(heads: Sequence, each: dict[str, Sequence]) -> None:
    for name, given in each.items():
        if len(given) != len(heads) or not heads:
            raise ValueError(f"{name} must be one for each head, got {len(given)} for {len(heads)} heads")


def _check(heads, features, labels, recipes, recorders) -> None:
    if not all(type(head) is nn.Linear for head in heads) or features.ndim != 2:
        kinds = ", ".join(sorted({type(head).__name__ for head in heads}))
        raise ValueError(
            f"heads must be linear and features (N, D), got {kinds} and features {tuple(features.shape)}"
        )
    if len({id(head) for head in heads}) < len(heads):
        raise ValueError("heads must be different networks, got one of them twice")
    if any(head.bias is None for head in heads):
        raise ValueError("heads must have a bias, got one without")
    if len(shapes := {tuple(head.weight.shape) for head in heads}) > 1:
        raise ValueError(f"heads must be of one shape (K, D), got {sorted(shapes)}")
    if len({replace(recipe, l1=0.0) for recipe in recipes}) > 1:
        raise ValueError("recipes must differ in l1 alone, got others")
    if recipes[0].precision != "fp32":
        raise ValueError(
            f"recipes must have the precision 'fp32' for several heads, got {recipes[0].precision!r}"
        )
    if any(recorder.when != "train" for own in recorders for recorder in own):
        raise ValueError('recorders must be of when="train", got when="eval"')


def _train(team, features, labels, recipe, test, order, epochs, stop) -> None:
    """The epochs, each with a row in the history of every head that has not diverged."""
    joined = _joined([member.run.model for member in team])
    optimizer, schedule = recipe.optimize(joined.parameters(), fused=True)
    plain = sum(_plain(member.loss, recipe.epochs) for member in team)
    captured = Captured(labels.device)
    for epoch in epochs:
        start, lr = time.perf_counter(), optimizer.param_groups[0]["lr"]
        parts = loop.batches(next(order).to(labels.device), recipe.batch_size)
        sums = _epoch(team, joined, plain, optimizer, features, labels, parts, epoch, captured, stop)
        schedule.step()
        _separate(joined, team)
        _write_rows(team, sums, labels, test, {"epoch": epoch, "lr": lr}, start)


def _epoch(
    team, joined, plain: int, optimizer, features, labels, parts, epoch: int, captured, stop
) -> "_Sums":
    """One pass over the batches. Nothing waits for the device."""
    losses, sums = [member.loss.at_epoch(epoch) for member in team], _Sums(team, labels.device)
    strengths = _strengths(team, joined)

    def work(indices: Tensor) -> tuple[Tensor, Tensor]:
        targets = labels[indices]
        logits = joined(features[indices]).view(len(indices), len(team), -1)
        values = _values(losses, plain, logits, targets)
        optimizer.zero_grad(set_to_none=True)
        values.sum().backward()
        for parameter, strength in strengths:
            parameter.grad.addcmul_(parameter.detach().sign(), strength)
        optimizer.step()
        sums.add(values.detach(), logits.detach(), targets)
        return logits.detach(), targets

    captured.begin(work)
    for indices in parts:
        if stop.is_set():
            raise KeyboardInterrupt
        logits, targets = captured(indices)
        for k, member in enumerate(team):
            for recorder in member.recorders:
                recorder.batch(epoch, indices, logits[:, k], targets)
    return sums


def _strengths(team: Sequence[_Member], joined: nn.Linear) -> list[tuple[Tensor, Tensor]]:
    """The joined layer's parameters and the L1 penalty's strength for each of their rows; [] without one."""
    if not any(member.l1 for member in team):
        return []
    rows = len(joined.bias) // len(team)
    each = joined.bias.new_tensor([member.l1 for member in team]).repeat_interleave(rows)
    return [(joined.weight, each.unsqueeze(1)), (joined.bias, each)]


def _joined(heads: Sequence[nn.Linear]) -> nn.Linear:
    """One linear layer whose outputs are those of all heads, one after the other."""
    weight = torch.cat([head.weight.detach() for head in heads])
    joined = nn.Linear(weight.shape[1], len(weight), device=weight.device, dtype=weight.dtype)
    joined.weight.data = weight
    joined.bias.data = torch.cat([head.bias.detach() for head in heads])
    return joined


@torch.no_grad()
def _separate(joined: nn.Linear, team: Sequence[_Member]) -> None:
    """The weights of the joined layer, back in the heads."""
    rows = len(joined.weight) // len(team)
    for member, weight, bias in zip(team, joined.weight.split(rows), joined.bias.split(rows), strict=True):
        member.run.model.weight.copy_(weight)
        member.run.model.bias.copy_(bias)


def _values(losses: Sequence[Loss], plain: int, logits: Tensor, targets: Tensor) -> Tensor:
    """Each head's mean loss on a batch: (M,), of logits (B, M, K). The first `plain` are losses of p_y."""
    side_by_side, apart = logits.split([plain, len(losses) - plain], 1)
    values = [loss(s, targets) for loss, s in zip(losses[plain:], apart.unbind(1), strict=True)]
    if plain:
        many = targets.repeat_interleave(plain)
        log_p = -F.cross_entropy(side_by_side.flatten(0, 1), many, reduction="none").view(-1, plain)
        rows = zip(losses[:plain], log_p.t().contiguous(), strict=True)
        values = [loss.of(row, None).mean() for loss, row in rows] + values
    return torch.stack(values)


class _Sums:
    """What an epoch's rows are made of: for each head its losses, hits, and predictions per class."""

    def __init__(self, team: Sequence[_Member], device: torch.device):
        self.loss = torch.zeros(len(team), device=device)
        self.hits = torch.zeros(len(team), device=device)
        self.predicted = torch.zeros(len(team), len(team[0].run.model.bias), dtype=torch.int64, device=device)

    def add(self, values: Tensor, logits: Tensor, targets: Tensor) -> None:
        guess = logits.argmax(2)
        self.loss += values * len(targets)
        self.hits += (guess == targets.unsqueeze(1)).sum(0)
        self.predicted.scatter_add_(1, guess.t(), torch.ones_like(guess.t()))


def _write_rows(team, sums: _Sums, labels, test, head: dict, start: float) -> None:
    for k, member in enumerate(team):
        run = member.run
        if run.history and run.state == "diverged":
            continue
        peaks = torch.stack([p.detach().abs().max() for p in run.model.parameters()])
        row = loop.epoch_row(
            sums.loss[k], sums.hits[k], sums.predicted[k], peaks, labels, run.best_accuracy()
        )
        if test:
            row["test_accuracy"] = loop.accuracy(run.model, *test)
        run.history.append(head | row | {"seconds": time.perf_counter() - start})
