"""Area under the margin (Pleiss et al. 2020): in training, samples that look alike pull a wrong label down.

One run: give some samples a class that does not exist (`threshold_samples`), train a model of K + 1 outputs
while `AreaUnderMargin` follows its logits, and suspect what lies below the `threshold` of nearly all of them.
"""

import numpy as np
import torch
from torch import Tensor

from robust_lib.data.noise import as_labels, check_seed
from robust_lib.losses import weights


class AreaUnderMargin:
    """The running mean of every sample's margin: AUM(x, y) = (1/T) sum_t M_t(x, y).

    `samples`: how many the data set has.  Sums are float64, on the device of the logits; an update never
    waits for the device.
    """

    def __init__(self, samples: int):
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ValueError(f"samples must be an integer >= 1, got {samples!r}")
        self.sums = torch.zeros(samples, dtype=torch.float64)
        self.counts = torch.zeros(samples, dtype=torch.int64)

    @torch.no_grad()
    def update(self, logits: Tensor, targets: Tensor, indices: Tensor) -> None:
        """Adds one batch: logits (B, K), targets (B,), and indices (B,), each sample's place in the data set.

        All on one device, the last two int64.  The indices of one batch must differ: a GPU adds repeated ones
        in no fixed order.  ValueError for wrong shapes.
        """
        margins = weights.hard_margin(logits, targets)
        if indices.shape != targets.shape:
            raise ValueError(
                f"indices must have shape ({len(targets)},) like targets, got {tuple(indices.shape)}"
            )
        if self.sums.device != logits.device:
            self.sums, self.counts = self.sums.to(logits.device), self.counts.to(logits.device)
        self.sums.index_add_(0, indices, margins.double())
        self.counts.index_add_(0, indices, torch.ones_like(indices))

    def values(self) -> Tensor:
        """The AUM of every sample so far, float64 (samples,); NaN for one that no batch has held."""
        return self.sums / self.counts


def threshold_samples(
    labels, classes: int, seed: int, count: int | None = None, run: int = 0
) -> tuple[Tensor, Tensor]:
    """Gives `count` samples, chosen uniformly, the extra class K: (labels int64 (N,), mask bool (N,)).

    The model then needs K + 1 outputs.  Default count: N // (K + 1), so that the extra class is as large as
    the others on average (Pleiss et al. 2020; their replication code takes N // K).  Another `run`
    (0, 1, ...) with the same seed takes other samples: the next `count` of one permutation, so that two runs
    judge everyone.  labels: integers (N,) in 0..K-1; count in 1..N-1; run such that count samples are left
    for it; seed an integer >= 0; else ValueError.  Does not touch global random states.
    """
    given = as_labels(labels, classes=classes)
    count = len(given) // (classes + 1) if count is None else count
    if not 1 <= count < len(given):
        raise ValueError(f"count must be in 1..{len(given) - 1} for {len(given)} samples, got {count}")
    if run not in range(len(given) // count):
        raise ValueError(
            f"run must be in 0..{len(given) // count - 1} for {count} of {len(given)} samples, got {run!r}"
        )
    order = np.random.default_rng([check_seed(seed), *b"threshold samples"]).permutation(len(given))
    mask = torch.zeros(len(given), dtype=torch.bool)
    mask[torch.from_numpy(order[run * count : (run + 1) * count])] = True
    device = labels.device if isinstance(labels, Tensor) else "cpu"
    return given.masked_fill(mask, classes).to(device), mask.to(device)


def threshold(values: Tensor, threshold_mask: Tensor, percentile: float = 99) -> float:
    """The `percentile` of the threshold samples' AUM, linear between neighbours as numpy's.

    values: (N,); threshold_mask: bool (N,).  ValueError: shapes that differ, no threshold sample, NaN among
    their values, a percentile outside 0..100.
    """
    if values.ndim != 1 or threshold_mask.shape != values.shape or threshold_mask.dtype != torch.bool:
        raise ValueError(
            "values and threshold_mask must be (samples,), the mask bool, got "
            f"{tuple(values.shape)} and {tuple(threshold_mask.shape)} of {threshold_mask.dtype}"
        )
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be in 0..100, got {percentile!r}")
    chosen = values[threshold_mask.to(values.device)].double().cpu().numpy()
    if len(chosen) == 0:
        raise ValueError("threshold_mask must mark at least one sample, got none")
    if missing := np.isnan(chosen).sum():
        raise ValueError(
            f"values must be numbers, got NaN for {missing} of {len(chosen)} samples: "
            "no update has held them, or the training diverged"
        )
    return float(np.percentile(chosen, percentile))
