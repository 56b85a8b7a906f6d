"""Detectors that train nothing: what lies near a sample in features that a network learned elsewhere.

They are the baselines of every head on the same features: a loss that does not beat them does not matter.
Nearness is the cosine of two rows of features, so their lengths do not count.  Where the origin lies does: a
pack has its mean there, the raw features of a network have not.
"""

import numpy as np
from torch import Tensor

from robust_lib.data.noise import as_labels
from robust_lib.detection.detectors import Detection, confident_learning


def vote_shares(labels, features, k: int = 10) -> np.ndarray:
    """The share of each class among the labels of a sample's k nearest others: float64 (N, K).

    labels: integers (N,) of at least 2 classes, K = the largest + 1; features: finite numbers (N, D), no row
    all zero; tensors or arrays.  A sample has no vote in its own row, so these are probabilities out of
    sample, in steps of 1/k, and every filter of `confident.flag` takes them.  Cosine and k = 10 are those of
    SimiFeat (Zhu et al. 2022), whose code counts the sample itself as one of its 10, and of cleanlab.  Which
    of several equally near samples votes is arbitrary.  Every pair is compared, in blocks by scikit-learn:
    time grows with N^2 D (50,000 rows of 256 numbers: some 50 s of one core), memory with N.
    ValueError: wrong shapes or types, NaN or infinity, a row of zeros, only one class, k outside 1..N-1.
    """
    labels, directions = _check(labels, features)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < len(labels):
        raise ValueError(f"k must be an integer in 1..{len(labels) - 1} for {len(labels)} samples, got {k!r}")
    from sklearn.neighbors import NearestNeighbors

    # For unit vectors |a - b|^2 = 2 - 2 cos(a, b); scikit-learn's blocks are smaller for this distance.
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(directions)
    votes = labels[search.kneighbors(return_distance=False)]
    classes = labels.max() + 1
    cells = np.arange(len(labels))[:, None] * classes + votes
    return np.bincount(cells.ravel(), minlength=len(labels) * classes).reshape(-1, classes) / k


def neighbour_vote(labels, features, k: int = 10) -> Detection:
    """Flagged is whose k nearest others give another class more votes than its own; a tie is no flag.

    The majority vote of SimiFeat (Zhu et al. 2022) on one set of features.  score: the normalised margin
    (v_y - max_{j != y} v_j + 1)/2 of the `vote_shares` v, in [0, 1], of only 2 k + 1 values; samples of one
    value keep their order in the ranking.  Arguments and errors as `vote_shares`.
    """
    return confident_learning(labels, vote_shares(labels, features, k), "disagreement")


def prototype_margin(labels, features) -> Detection:
    """Flagged is what lies nearer to the prototype of another class than to that of its own.

    score: cos(x, m_y) - max_{j != y} cos(x, m_j), in [-2, 2], m_j being the mean of the directions x/|x| of
    the samples labelled j; the cosine with a mean of 0 counts as 0.  flagged = score < 0.  m_y is the mean
    without the sample itself, which would pull it to its own side by about 1/n_y.  The only sample of a class
    gets inf: nothing is left to judge it by.
    labels, features and errors as `vote_shares`.
    """
    labels, directions = _check(labels, features)
    from sklearn.preprocessing import normalize

    present, own = np.unique(labels), np.full(len(labels), np.inf)
    totals = np.zeros((len(present), directions.shape[1]))
    for total, label in zip(totals, present, strict=True):
        members = labels == label
        total += directions[members].sum(0, dtype=np.float64)
        if members.sum() > 1:
            rest = normalize(total - directions[members])
            own[members] = (rest * directions[members]).sum(1)
    others = directions @ normalize(totals).T.astype(np.float32)
    others[labels[:, None] == present] = -np.inf
    score = own - others.max(1)
    return Detection(score < 0, score)


def _check(labels, features) -> tuple[np.ndarray, np.ndarray]:
    """Labels int64 (N,), and the features' directions, unit vectors float32 (N, D)."""
    labels = as_labels(labels).numpy()
    if (labels == labels[0]).all():
        raise ValueError(f"labels must hold at least 2 classes, got only class {labels[0]}")
    if isinstance(features, Tensor):
        features = features.detach().cpu().float().numpy()
    rows = np.array(features, dtype=np.float32)
    if rows.ndim != 2 or len(rows) != len(labels) or rows.shape[1] == 0:
        raise ValueError(f"features must have shape ({len(labels)}, 1 or more), got {rows.shape}")
    largest = np.abs(rows).max(axis=1, keepdims=True)
    _refuse(~np.isfinite(largest), "be finite, got NaN or infinity")
    _refuse(largest == 0, "have a direction, got only zeros")
    from sklearn.preprocessing import normalize

    return labels, normalize(rows / largest)


def _refuse(wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        raise ValueError(
            f"features must {what} in {wrong.sum()} of {len(wrong)} rows, first row {wrong.argmax()}"
        )
