"""Label noise with a known truth: transition matrices, corruption under a seed, a matrix from two label sets.

A transition matrix is row-stochastic: T[i, j] = P(noisy label = j | true label = i).  Noise that depends on
the image has a row of its own for each sample: `instance_dependent` makes such rows, `corrupt_each` draws.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

ROW_SUM_TOLERANCE = 1e-6  # wide enough for float32 rows of 1,000 classes
FLIP_RATE_SPREAD = 0.1  # of the images' own noise rates, as in Xia et al. (2020)


@dataclass(frozen=True, eq=False)
class Corruption:
    """What `corrupt` or `corrupt_each` did to N labels.

    labels: int64 (N,), the noisy labels.  mask: bool (N,), True where the label changed.  Both lie on the
    device of the labels given.  rate: the realised share of changed labels.  transition_matrix: float64
    (K, K), of `corrupt_each` each class's mean row.  seed: as given.
    """

    labels: Tensor
    mask: Tensor
    rate: float
    transition_matrix: Tensor = field(repr=False)
    seed: int


def uniform(classes: int, rate: float) -> Tensor:
    """Symmetric noise: with probability `rate` the label becomes one of the K-1 *other* classes, each alike.

    T[i, i] = 1 - rate, T[i, j] = rate/(K - 1).  At rate = (K - 1)/K the noisy label no longer depends on the
    true one.  `classes` K >= 2 and `rate` in [0, 1), else ValueError.  Returns float64 (K, K).
    """
    classes, rate = _check_classes(classes), _check_rate(rate)
    matrix = torch.full((classes, classes), rate / (classes - 1), dtype=torch.float64)
    return matrix.fill_diagonal_(1 - rate)


def pair(classes: int, rate: float) -> Tensor:
    """Pair flips: with probability `rate` class i becomes i + 1 modulo K.  Ranges and errors as `uniform`."""
    classes = _check_classes(classes)
    return class_dependent(torch.arange(classes).roll(-1), rate)


def class_dependent(following, rate: float) -> Tensor:
    """With probability `rate` class i becomes class `following[i]`; a class that follows itself never flips.

    `following` (K,): class numbers; rate in [0, 1); anything else is a ValueError.  Returns float64 (K, K).
    For CIFAR-10's asymmetric noise pass `data.cifar10_look_alikes()`: five of its ten classes flip, so the
    share of wrong labels is half the rate.  Source: Patrini et al. (2017).
    """
    following, rate = as_labels(following, "following"), _check_rate(rate)
    classes = torch.arange(len(following))
    as_labels(following, "following", len(classes))
    matrix = torch.eye(len(classes), dtype=torch.float64)
    flips = following != classes
    matrix[classes[flips], classes[flips]] = 1 - rate
    matrix[classes[flips], following[flips]] = rate
    return matrix


def superclass(groups, rate: float) -> Tensor:
    """With probability `rate` a class becomes the next class of its own super-class, the last one the first.

    `groups` (K,) gives the super-class of every class; "next" is in the order of the class numbers.  For
    CIFAR-100 pass `data.cifar100_superclasses()`: its fine labels are alphabetical, so five consecutive
    ones (apple, aquarium fish, baby, bear, beaver, ...) are not its super-classes.
    Returns float64 (K, K).  ValueError: rate outside [0, 1), or a super-class of one class (it cannot flip).
    Source: Patrini et al. (2017); Curriculum View, Appendix B.
    """
    groups = as_labels(groups, "groups")
    following = torch.empty_like(groups)
    for group in groups.unique().tolist():
        members = (groups == group).nonzero().squeeze(1)
        if len(members) == 1:
            raise ValueError(
                "groups must have at least 2 classes in each super-class, "
                f"got only class {members.item()} in super-class {group}"
            )
        following[members] = members.roll(-1)
    return class_dependent(following, rate)


def instance_dependent(labels, features, classes: int, rate: float, seed: int) -> Tensor:
    """A row for each of N samples, P(noisy label = j | sample n), by its features: float64 (N, K).

    The recipe of Xia et al. (2020), Algorithm 2: sample n with true label y has a noise rate q_n, normal with
    mean `rate` and standard deviation 0.1 within [0, 1]; its row is 1 - q_n at y, and elsewhere q_n times the
    softmax of x_n W_y over the other classes, W_y (D, K) being standard normal.  So where an error goes
    depends on the image, and whether there is one does not.  Cut off at 0 and 1, the q_n have another mean
    than `rate`: here they, or 1 - q_n above one half, are scaled so that their mean over the samples is the
    rate.  The larger the features, the nearer each row is to a single wrong class.

    labels: integers (N,) below `classes` K; features: finite (N, D), pixels or a network's, with one row for
    each label; rate in [0, 1); seed: an integer >= 0.  Anything else is a ValueError.
    """
    classes, rate, seed = _check_classes(classes), _check_rate(rate), check_seed(seed)
    true, x = as_labels(labels, classes=classes).numpy(), _check_features(features, len(labels))
    draw = np.random.default_rng([seed, *b"instance noise"])
    q = _flip_rates(draw.random(len(true)), rate)
    rows = np.empty((len(true), classes))
    for y in range(classes):
        of_y, projection = true == y, draw.standard_normal((x.shape[1], classes))
        scores = x[of_y] @ projection
        scores[:, y] = -np.inf
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        rows[of_y] = q[of_y, None] * shares / shares.sum(axis=1, keepdims=True)
        rows[of_y, y] = 1 - q[of_y]
    return torch.from_numpy(rows)


def estimate(true_labels, noisy_labels, classes: int) -> tuple[Tensor, Tensor]:
    """The transition matrix that two label sets of the same samples show, and its counts.

    counts[i, j] = #{n: true = i and noisy = j}, int64 (K, K); T = counts/row sums, float64 (K, K).  The row
    of a class that no true label has is NaN: nothing is known of it.  Returns (T, counts).
    ValueError for labels of different length or outside 0..K-1.
    """
    classes = _check_classes(classes)
    true = as_labels(true_labels, "true_labels", classes)
    noisy = as_labels(noisy_labels, "noisy_labels", classes)
    if len(true) != len(noisy):
        raise ValueError(f"true_labels and noisy_labels differ in length: {len(true)} and {len(noisy)}")
    counts = torch.bincount(true * classes + noisy, minlength=classes**2).view(classes, classes)
    return counts / counts.sum(dim=1, keepdim=True).double(), counts


def corrupt(labels, transition_matrix, seed: int) -> Corruption:
    """Draws a noisy label for each of N labels from the row of `transition_matrix` that its true label names.

    labels: integers (N,), tensor or array.  transition_matrix: (K, K) with entries in [0, 1], rows that sum
    to 1 (to 1e-6), and K above every label.  seed: an integer >= 0.  Anything else is a ValueError.
    The same arguments give the same noise on every device: it is drawn on the CPU in float64 from a generator
    of its own; the global random states are neither read nor changed.  A class of probability 0 is never
    drawn, so rate 0 changes nothing.  The draws are independent: the realised rate varies around the nominal.
    """
    true, matrix, seed = as_labels(labels), _check_matrix(transition_matrix), check_seed(seed)
    if len(matrix) <= true.max():
        raise ValueError(
            f"transition_matrix must have more than {true.max()} rows, the largest label, got {len(matrix)}"
        )
    return _corruption(labels, true, _draw(true.numpy(), matrix.numpy(), seed), matrix, seed)


def corrupt_each(labels, probs, seed: int) -> Corruption:
    """Draws a noisy label for each of N labels from its own row of `probs` (N, K); see `instance_dependent`.

    Row n is P(noisy label | sample n), its true label being labels[n]; with the rows T[labels] the noise is
    that of `corrupt(labels, T, seed)`.  The transition matrix of the result is the mean row of each class,
    NaN for a class without samples.  Ranges, errors and randomness as `corrupt`.
    """
    seed, rows = check_seed(seed), _float64(probs)
    if rows.ndim != 2 or len(rows) != len(labels):
        raise ValueError(f"probs must be of shape ({len(labels)}, K), a row for each label, got {rows.shape}")
    _check_rows(rows, "probs")
    true = as_labels(labels, classes=rows.shape[1])
    draws = _draws(len(true), seed)
    last = rows.shape[1] - 1 - (rows[:, ::-1] > 0).argmax(axis=1)  # as in _draw, where a row ends below 1
    noisy = np.minimum((rows.cumsum(axis=1) <= draws[:, None]).sum(axis=1), last)
    members = torch.nn.functional.one_hot(true, rows.shape[1]).double()
    matrix = members.T @ torch.from_numpy(rows) / members.sum(0).unsqueeze(1)
    return _corruption(labels, true, noisy, matrix, seed)


def _corruption(labels, true: Tensor, noisy: np.ndarray, matrix: Tensor, seed: int) -> Corruption:
    noisy = torch.from_numpy(noisy)
    mask = noisy != true
    device = labels.device if isinstance(labels, Tensor) else "cpu"
    return Corruption(noisy.to(device), mask.to(device), mask.double().mean().item(), matrix, seed)


def as_labels(labels, name: str = "labels", classes: int | None = None) -> Tensor:
    """`labels` as a new int64 CPU tensor; ValueError unless 1-D, not empty, integers in 0..classes-1."""
    array = np.array(labels.detach().cpu().numpy() if isinstance(labels, Tensor) else labels)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} must be 1-D and not empty, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    if array.min() < 0 or (classes is not None and array.max() >= classes):
        allowed = ">= 0" if classes is None else f"in 0..{classes - 1}"
        raise ValueError(f"{name} must be {allowed}, got {array.min()} to {array.max()}")
    return torch.from_numpy(array.astype(np.int64))


def check_seed(seed: int) -> int:
    """`seed` as int; ValueError unless it is an integer >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed!r}")
    return int(seed)


def one_of(argument: str, given, allowed: Collection[str]) -> None:
    """ValueError that names the argument and what is allowed, unless `given` is one of `allowed`."""
    if given not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(allowed)}, got {given!r}")


def _draws(samples: int, seed: int) -> np.ndarray:
    # The words are part of the key: the same seed used elsewhere (weights, folds) gives other numbers.
    return np.random.default_rng([seed, *b"label noise"]).random(samples)


def _draw(true: np.ndarray, matrix: np.ndarray, seed: int) -> np.ndarray:
    draws = _draws(len(true), seed)
    steps = np.cumsum(matrix, axis=1)
    noisy = np.empty_like(true)
    for label in np.unique(true):
        # A row may end at 0.9999999: what lies above goes to the last class that can occur.
        steps[label, np.flatnonzero(matrix[label])[-1] :] = np.inf
        rows = true == label
        # The first class with step > draw: a class of probability 0 has the step of the one before it.
        noisy[rows] = np.searchsorted(steps[label], draws[rows], side="right")
    return noisy


def _flip_rates(draws: np.ndarray, rate: float) -> np.ndarray:
    """Noise rates in [0, 1], normal around `rate`, from uniform draws; their mean is the rate."""
    from scipy.special import ndtr, ndtri

    low, high = ndtr((np.array([0, 1]) - rate) / FLIP_RATE_SPREAD)
    q = (rate + FLIP_RATE_SPREAD * ndtri(low + draws * (high - low))).clip(0, 1)
    q = q * (rate / q.mean()) if rate <= 0.5 else 1 - (1 - q) * ((1 - rate) / (1 - q).mean())
    return q.clip(0, 1)


def _check_classes(classes: int) -> int:
    if isinstance(classes, bool) or not isinstance(classes, Integral) or classes < 2:
        raise ValueError(f"classes must be an integer >= 2, got {classes!r}")
    return int(classes)


def _check_rate(rate: float) -> float:
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= rate < 1:
        raise ValueError(f"rate must be a number in [0, 1), got {rate!r}")
    return float(rate)


def _check_features(features, samples: int) -> np.ndarray:
    array = _float64(features)
    if array.ndim != 2 or len(array) != samples:
        raise ValueError(f"features must be of shape ({samples}, D), a row for each label, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("features must be finite, got NaN or infinity")
    return array


def _check_matrix(transition_matrix) -> Tensor:
    matrix = _float64(transition_matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ValueError(f"transition_matrix must be square, got shape {matrix.shape}")
    _check_rows(matrix, "transition_matrix")
    return torch.from_numpy(matrix)


def _float64(given) -> np.ndarray:
    """A new array."""
    return np.array(given.detach().cpu().numpy() if isinstance(given, Tensor) else given, dtype=np.float64)


def _check_rows(matrix: np.ndarray, name: str) -> None:
    wrong = ~((matrix >= 0) & (matrix <= 1))  # in this form NaN is wrong too
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name} entries must lie in [0, 1], got {matrix[row, column]:.6g} in row {row}, column {column}"
        )
    sums = matrix.sum(axis=1)
    worst = np.abs(sums - 1).argmax()
    if abs(sums[worst] - 1) > ROW_SUM_TOLERANCE:
        raise ValueError(f"{name} rows must sum to 1, got {sums[worst]:.6g} in row {worst}")
