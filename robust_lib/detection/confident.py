"""Confident Learning (Northcutt et al. 2021) through cleanlab, behind checks that cleanlab does not make.

The probabilities must be out-of-sample (cross-validation): a model agrees too easily with labels it has seen.
"""

import numpy as np
from torch import Tensor

from robust_lib.data.noise import as_labels, one_of

METHODS = ("both", "prune_by_class", "prune_by_noise_rate", "confident_learning")  # by hand too
FILTERS = (*METHODS, "disagreement", "number")
SCORES = ("normalized_margin", "self_confidence")
ROW_SUM_TOLERANCE = 1e-3  # wide enough for a float16 softmax


def flag(labels, probs, method: str = "both") -> np.ndarray:
    """Which of N samples a filter holds to be mislabelled: a bool array (N,).

    labels: integers (N,); probs: (N, K) out-of-sample probabilities; tensors or arrays.  `method`, one of
    FILTERS; the first four are cleanlab's:
      confident_learning   the samples that the confident joint counts off its diagonal
      prune_by_class       per class k, as many as the joint holds wrong: those of lowest p_k
      prune_by_noise_rate  per given k and true j, as many as the joint counts: those of largest p_j - p_k
      both                 flagged by prune_by_class and by prune_by_noise_rate
      disagreement         the samples whose arg max is another class than the given label
      number               as many as the calibrated joint holds off its diagonal: those of lowest `rank`
    No filter flags a sample whose arg max is its given label (to 1e-6); cleanlab's prune methods keep at
    least one sample of each class, and warn of a class that has only one.  Computed in float64, in one
    process (with more, cleanlab is slower).
    ValueError: wrong shapes, NaN, rows that do not sum to 1 (to 1e-3), labels outside 0..K-1, or, except for
    disagreement, a class without samples.  cleanlab would give that class a threshold of 2, which no p
    reaches, and miss the errors that belong to it without a word.
    """
    one_of("method", method, FILTERS)
    if method == "disagreement":
        return _disagree(*_check(labels, probs))
    labels, probs = _check_every_class(labels, probs)
    if method == "number":
        return _lowest(labels, probs)
    from cleanlab.filter import find_label_issues

    return find_label_issues(labels, probs, filter_by=method, n_jobs=1)


def _disagree(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Whether another class leads the given label by more than 1e-6: bool (N,)."""
    nudged = probs + 1e-6 * np.eye(probs.shape[1])[labels]
    return nudged.argmax(1) != labels


def _lowest(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The filter `number`: bool (N,); of samples with equal margins the first."""
    joint = confident_joint(labels, probs)
    mask = np.zeros(len(labels), dtype=bool)
    mask[rank(labels, probs).argsort(kind="stable")[: joint.sum() - joint.trace()]] = True
    return mask & _disagree(labels, probs)


def confident_joint(labels, probs, calibrate: bool = True) -> np.ndarray:
    """How many samples of given label i count confidently for class j: int (K, K).

    A sample qualifies for j if p_j >= t_j - 1e-6, t_j being the mean p_j of the samples labelled j.  If
    several qualify, cleanlab counts the arg max over *all* classes, even one below its own threshold (the
    paper: over those that qualify).  A diagonal entry is at least 1.  With `calibrate` row i is then scaled
    to the number of samples labelled i and rounded: the counts by which `flag` prunes.  Errors as `flag`.
    """
    labels, probs = _check_every_class(labels, probs)
    from cleanlab.count import compute_confident_joint

    return compute_confident_joint(labels, probs, calibrate=calibrate)


def estimated_rate(labels, probs) -> float:
    """The share of wrong labels as the calibrated confident joint estimates it: 1 - its trace over its sum.
    Errors as `flag`."""
    joint = confident_joint(labels, probs)
    return 1 - float(joint.trace() / joint.sum())


def by_hand(labels, probs, method: str = "both") -> np.ndarray:
    """What `flag` returns for one of METHODS, in plain numpy and by cleanlab's rules.

    Where they differ from the paper: 1e-6 below a threshold qualifies; if several classes qualify, the arg
    max over *all* counts; the joint's diagonal is at least 1; a row is rounded so that it keeps its sum; at
    least one sample of each class is kept (at the cost of the row's other counts, evenly, rounded down); what
    the network itself would label as given is never flagged.  Arguments and errors as `flag`.
    """
    one_of("method", method, METHODS)
    labels, probs = _check_every_class(labels, probs)
    sizes, (counted, guess) = np.bincount(labels), _confident_class(labels, probs)
    if method == "confident_learning":
        mask = counted & (guess != labels)
    else:
        by_class, by_rate = _prune(labels, probs, _counts_by_hand(labels[counted], guess[counted], sizes))
        mask = {"prune_by_class": by_class, "prune_by_noise_rate": by_rate}.get(method, by_class & by_rate)
    return mask & _disagree(labels, probs)


def _confident_class(labels: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether a sample counts, bool (N,), and for which class, int (N,), meaningless where it does not."""
    thresholds = np.array([p[labels == j].mean() for j, p in enumerate(probs.T)])
    above = probs >= thresholds.clip(2e-6) - 1e-6
    return above.any(1), np.where(above.sum(1) == 1, above.argmax(1), probs.argmax(1))


def _counts_by_hand(given: np.ndarray, guess: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The calibrated joint of given label and guess, int (K, K), with at least 1 on its diagonal."""
    joint = np.zeros((len(sizes), len(sizes)), dtype=int)
    np.add.at(joint, (guess, given), 1)  # transposed: cleanlab's order in memory, so of summation too
    np.fill_diagonal(joint, joint.diagonal().clip(1))
    scaled = (joint / joint.sum(0) * sizes).T
    scaled = scaled / scaled.sum() * sizes.sum()  # a factor of 1, but for the last bit
    return np.stack([_keep_one(_round_row(row), i) for i, row in enumerate(scaled)])


def _prune(labels: np.ndarray, probs: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masks (N,) of pruning by class and by noise rate."""
    by_class, by_rate = np.zeros((2, len(labels)), dtype=bool)
    for i, row in enumerate(counts):
        members = np.flatnonzero(labels == i)
        own = probs[members]
        by_class[members[np.argsort(own[:, i])[: len(members) - row[i]]]] = True
        for j in np.flatnonzero(row):
            if j != i:
                by_rate[members[np.argsort(own[:, i] - own[:, j])[: row[j]]]] = True
    return by_class, by_rate


def _round_row(row: np.ndarray) -> np.ndarray:
    """Rounds a row so that its sum stays: the entries that rounding hurt most give way."""
    rounded = row.round()
    missing = int(row.sum().round() - rounded.sum())
    order = np.argsort(row - rounded)
    changed = order[::-1][:missing] if missing > 0 else order[:-missing]
    rounded[changed] += np.sign(missing)
    return rounded.astype(int)


def _keep_one(row: np.ndarray, i: int) -> np.ndarray:
    """Row i of the counts with a diagonal of at least 1, at the others' cost."""
    lacking = max(1 - row[i], 0)
    kept = (row - lacking / max(np.count_nonzero(row) - 1, 1)).clip(0)
    kept[i] = max(row[i], 1)
    return kept.astype(int)


def rank(labels, probs, method: str = "normalized_margin") -> np.ndarray:
    """A label quality in [0, 1] for each of N samples, the lowest being the most suspicious: float64 (N,).

    With y the given label: self_confidence = p_y; normalized_margin = (p_y - max_{k != y} p_k + 1)/2.
    Input and errors as `flag`, but a class may be without samples.
    """
    one_of("method", method, SCORES)
    labels, probs = _check(labels, probs)
    from cleanlab.rank import get_label_quality_scores

    return get_label_quality_scores(labels, probs, method=method)


def _check(labels, probs) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(probs, Tensor):
        probs = probs.detach().cpu().double().numpy()
    probs = np.asarray(probs, dtype=np.float64)
    if probs.ndim != 2 or probs.shape[1] < 2:
        raise ValueError(f"probs must have shape (samples, 2 classes or more), got {probs.shape}")
    labels = as_labels(labels, classes=probs.shape[1]).numpy()
    if len(labels) != len(probs):
        raise ValueError(f"labels and probs must be equally long, got {len(labels)} and {len(probs)}")
    wrong = ~((probs >= 0) & (probs <= 1 + 1e-6)).all(axis=1)  # in this form NaN is wrong too
    if wrong.any():
        row = wrong.argmax()
        raise ValueError(
            f"probs must lie in [0, 1], got {probs[row].min():.6g} to {probs[row].max():.6g} in row {row}"
        )
    sums = probs.sum(axis=1)
    worst = np.abs(sums - 1).argmax()
    if abs(sums[worst] - 1) > ROW_SUM_TOLERANCE:
        raise ValueError(f"probs rows must sum to 1, got {sums[worst]:.6g} in row {worst}")
    return labels, probs


def _check_every_class(labels, probs) -> tuple[np.ndarray, np.ndarray]:
    labels, probs = _check(labels, probs)
    absent = np.setdiff1d(np.arange(probs.shape[1]), labels)
    if len(absent):
        raise ValueError(
            f"labels must hold every class of probs, got no sample of class {', '.join(map(str, absent))}: "
            "drop these columns of probs, divide its rows by their sums, and number the labels anew"
        )
    return labels, probs
