"""What happens to samples in training: margins per sample and epoch, and what the papers make of them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from robust_lib.losses import weights


class Recorder:
    """Keeps Δ_y and the AUM margin of every training sample at every epoch, for the labels trained on.

    when="train" reads the logits of the training pass itself (as AUM does: dropout on, weights moving);
    when="eval" makes a pass in evaluation mode after each epoch. Afterwards, on the CPU:
    delta (epochs, N) soft margins s_y - log Σ_{i≠y} exp(s_i), and margin (epochs, N) hard margins
    s_y - max_{i≠y} s_i; NaN where a run stopped early.
    """

    def __init__(self, when: str = "train"):
        if when not in ("train", "eval"):
            raise ValueError(f'when must be "train" or "eval", got {when!r}')
        self.when = when

    def start(self, epochs: int, samples: int, device: torch.device) -> None:
        self.delta = torch.full((epochs, samples), math.nan, device=device)
        self.margin = torch.full_like(self.delta, math.nan)

    def batch(self, epoch: int, indices: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Store one batch; epoch counts from 1, indices are positions in the training set."""
        logits = logits.detach().float()
        self.delta[epoch - 1, indices] = weights.margin(logits, targets)
        self.margin[epoch - 1, indices] = weights.hard_margin(logits, targets)

    def finish(self) -> None:
        self.delta, self.margin = self.delta.cpu(), self.margin.cpu()

    @property
    def log_p(self) -> Tensor:
        """log p_y = log sigmoid(Δ_y), (epochs, N)."""
        return F.logsigmoid(self.delta)


def slope(loss, delta: Tensor) -> Tensor:
    """dL/dp_y = -w(Δ) / (p(1-p)) at p = sigmoid(Δ): what HS Fig. 3 plots. Same shape as delta.

    CE's is -1/p, so it is large where p is small; the gradient that reaches the logits is w, not this.
    """
    return -loss.weight_at(delta) / (torch.sigmoid(delta) * torch.sigmoid(-delta))


def run_weights(loss, delta: Tensor) -> Tensor:
    """w(Δ) for a whole run, delta (epochs, N), with the loss each epoch really used (delays included)."""
    return torch.stack([loss.at_epoch(epoch).weight_at(row) for epoch, row in enumerate(delta, start=1)])


def snr(weights: Tensor, clean: Tensor, learning_rates: Tensor) -> float:
    """Weight ratio of clean to noisy samples over a run (CV §5.2, C.2).

    snr = mean of w over clean samples / mean over noisy ones, every term weighted by its learning rate.
    weights (epochs, N), clean bool (N,), learning_rates (epochs,). Raises ValueError if one side is empty.
    """
    if not clean.any() or clean.all():
        raise ValueError(
            f"clean must mark some samples and leave some, got {int(clean.sum())} of {len(clean)}"
        )
    rate = learning_rates.to(weights).unsqueeze(1)
    side = [(rate * weights[:, m]).sum() / (rate.sum() * m.sum()) for m in (clean, ~clean)]
    return float(side[0] / side[1])
