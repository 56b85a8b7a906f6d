"""Detectors of wrong labels behind one interface: labels and evidence in, a mask, a score and a ranking out.

The evidence is what training leaves behind: probabilities out of sample (`evidence.cross_validate`), margins
beside threshold samples (`evidence.threshold_runs`), or log p_y over the epochs (`dynamics.Recorder`).  The
detectors of `neighbours` take features and need no training.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from robust_lib.data.noise import as_labels
from robust_lib.detection import aum, confident
from robust_lib.detection.evidence import ThresholdRun


@dataclass(frozen=True, eq=False)
class Detection:
    """What a detector says of N samples.

    flagged: bool (N,), True where held to be mislabelled.  score: float64 (N,), label quality, the lowest the
    most suspicious, in the detector's own unit; inf where it could not judge.
    """

    flagged: np.ndarray
    score: np.ndarray

    @property
    def ranking(self) -> np.ndarray:
        """Positions, int64 (N,), the most suspicious first; equal scores in the order of the samples."""
        return np.argsort(self.score, kind="stable")


def confident_learning(labels, probs, method: str = "both") -> Detection:
    """Confident Learning by cleanlab, or another of confident.FILTERS on the same probabilities.

    probs: (N, K) out of sample, from networks or from `neighbours.vote_shares`; method and errors as
    `confident.flag`.  score, the same for every filter: cleanlab's normalised margin
    (p_y - max_{k != y} p_k + 1)/2, in [0, 1].
    """
    return Detection(confident.flag(labels, probs, method), confident.rank(labels, probs))


def area_under_margin(
    labels, runs: Iterable[ThresholdRun], percentile: float = 99, skip: int = 0
) -> Detection:
    """AUM (Pleiss et al. 2020): flagged is what lies below nearly all samples known to be mislabelled.

    AUM = mean margin over the epochs after the first `skip`; a run's threshold is the `percentile` of its
    threshold samples' AUM.  score: AUM - threshold, in logits, its mean over the runs that can judge the
    sample: those in which it was no threshold sample.  flagged = score < 0.  With one run, threshold
    samples get inf and are never flagged; with two every sample is judged.
    ValueError: no run, shapes that differ from (epochs, N) and (N,), skip outside 0..epochs-1, NaN (a run
    that diverged), and as `aum.threshold`.
    """
    total, judged = np.zeros(len(as_labels(labels))), np.zeros(len(labels))
    runs = list(runs)
    if not runs:
        raise ValueError("runs must hold at least one ThresholdRun, got none")
    for run in runs:
        values = _mean_over_epochs(run.margins, "margins", len(total), skip)
        limit = aum.threshold(values, run.mask, percentile)
        able = ~run.mask.cpu().numpy()
        total[able] += values.numpy()[able] - limit
        judged += able
    score = np.divide(total, judged, out=np.full(len(total), np.inf), where=judged > 0)
    return Detection(score < 0, score)


def mean_loss(labels, log_p: Tensor, skip: int = 0) -> Detection:
    """Low confidence over training: log_p (epochs, N) holds log p_y of the given label, as `Recorder.log_p`.

    score: the mean of p_y over the epochs after the first `skip`, in [0, 1].  flagged: a mixture of two
    Gaussians is fitted to the mean loss -log p_y over the same epochs, and a sample is flagged if it more
    probably belongs to the component of larger mean (as in Arazo et al. 2019, there with beta distributions).
    The mixture splits any data in two: on clean labels it flags the hard ones.
    ValueError: shape other than (epochs, N), skip outside 0..epochs-1, NaN or infinite values.
    """
    from sklearn.mixture import GaussianMixture

    count = len(as_labels(labels))
    score = _mean_over_epochs(log_p.exp(), "log_p", count, skip).numpy()
    loss = -_mean_over_epochs(log_p, "log_p", count, skip).numpy()
    if np.ptp(loss) == 0:  # nothing to split
        return Detection(np.zeros(count, dtype=bool), score)
    mixture = GaussianMixture(2, random_state=0).fit(loss[:, None])
    low, high = mixture.means_[:, 0].argsort()
    # The wide component may also claim what lies far below the narrow one's mean: that is no high loss.
    flagged = (mixture.predict(loss[:, None]) == high) & (loss > mixture.means_[low, 0])
    return Detection(flagged, score)


def _mean_over_epochs(values: Tensor, name: str, samples: int, skip: int) -> Tensor:
    """The mean of (epochs, N) over the epochs after the first `skip`: float64 (N,), on the CPU."""
    if values.ndim != 2 or values.shape[1] != samples:
        raise ValueError(f"{name} must have shape (epochs, {samples}), got {tuple(values.shape)}")
    if isinstance(skip, bool) or not isinstance(skip, int) or not 0 <= skip < len(values):
        raise ValueError(f"skip must be in 0..{len(values) - 1} for {len(values)} epochs, got {skip!r}")
    values = values[skip:].detach().cpu().double()
    broken = int((~torch.isfinite(values)).any(0).sum())
    if broken:
        raise ValueError(
            f"{name} must be finite, got NaN or infinity for {broken} of {samples} samples: "
            "a run that diverged, or an epoch that was not recorded"
        )
    return values.mean(0)
