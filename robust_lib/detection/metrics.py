"""How well errors were found, and how far apart two groups of samples lie."""

import numpy as np
from torch import Tensor


def detection_scores(truth, flagged) -> dict[str, float]:
    """Scores of the mask `flagged` against the mask `truth` (True = really mislabelled), both bool (N,).

    With TP, FP, FN, TN counted for "mislabelled":
      precision = TP/(TP + FP)                          recall = TP/(TP + FN)
      f1 = 2 TP/(2 TP + FP + FN)                        flagged = (TP + FP)/N
      balanced_accuracy = [recall + TN/(TN + FP)]/2
    0/0 is 0 in the first three: a detector that flags nothing gets precision 0, so it cannot win by silence.
    Balanced accuracy is the mean over the groups that occur: with nothing mislabelled it is TN/(TN + FP).
    ValueError unless both are boolean masks of one length (a list of positions is not a mask).
    """
    from sklearn.metrics import precision_recall_fscore_support, recall_score

    truth, flagged = _mask(truth, "truth"), _mask(flagged, "flagged")
    if len(truth) != len(flagged):
        raise ValueError(f"truth and flagged must be equally long, got {len(truth)} and {len(flagged)}")
    scores = precision_recall_fscore_support(truth, flagged, average="binary", zero_division=0)
    # The same as balanced_accuracy_score, which warns when a group does not occur.
    per_group = recall_score(truth, flagged, labels=[False, True], average=None, zero_division=np.nan)
    scores = (*scores[:3], np.nanmean(per_group), flagged.mean())
    names = ("precision", "recall", "f1", "balanced_accuracy", "flagged")
    return {name: float(score) for name, score in zip(names, scores, strict=True)}


def cohens_d(a, b) -> float:
    """Cohen's d: by how many pooled standard deviations the mean of `a` lies above that of `b`.

    d = [mean(a) - mean(b)]/s,  s^2 = [(n_a - 1) v_a + (n_b - 1) v_b]/(n_a + n_b - 2),  v the sample variances
    (n - 1 in the denominator).  Positive if a lies higher; cohens_d(b, a) = -cohens_d(a, b).
    ValueError: fewer than 2 values, NaN or infinity, or both samples constant (s = 0).
    """
    a, b = _sample(a, "a", least=2), _sample(b, "b", least=2)
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        raise ValueError(f"a and b must not both be constant, got only {a[0]:.6g} and only {b[0]:.6g}")
    pooled = ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2)
    return float((a.mean() - b.mean()) / np.sqrt(pooled))


def wasserstein(a, b) -> float:
    """Wasserstein-1 distance of two samples, in the unit of the data: W = integral |F_a(x) - F_b(x)| dx >= 0.

    F are the empirical distribution functions; by scipy.  ValueError for an empty sample, NaN or infinity.
    """
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(_sample(a, "a", least=1), _sample(b, "b", least=1)))


def _mask(values, name: str) -> np.ndarray:
    mask = np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
    if mask.dtype != bool or mask.ndim != 1 or len(mask) == 0:
        raise ValueError(f"{name} must be a boolean mask (samples,), got {mask.dtype} of shape {mask.shape}")
    return mask


def _sample(values, name: str, least: int) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < least:
        raise ValueError(f"{name} must be 1-D with at least {least} values, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError(f"{name} must be finite, got {(~np.isfinite(sample)).sum()} NaN or infinite values")
    return sample
