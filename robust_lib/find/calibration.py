"""How probable it is that a label is wrong, and how many wrong ones the first n of a ranking hold.

    wrong = calibration.estimate(labels, probs)      # probabilities out of sample, the labels as given
    expected = calibration.curve(wrong, ranking)

Nobody knows the truth of one's own data, so all of it rests on a model: a sample of class z gets the label y
with probability T[z, y], whatever the sample looks like. Noise that follows the picture breaks this.
"""

from dataclasses import dataclass

import numpy as np

from robust_lib.detection import confident

# Labels by which a class counts as like the average class before its own are looked at. Each is tried, the
# likelihood of labels that were not fitted decides: with few labels a class, any network's confusions look
# like noise. The last one is uniform noise.
WEIGHTS = (1e2, 1e3, 1e9)
MOST_FITTED = 10_000  # samples, drawn at random, that the model is fitted to
ROUNDS, STEPS = 6, 5
POWERS = (0.05, 5.0)
NORMAL = 1.96  # standard deviations on both sides that hold 95 %
STOP_AT = 0.1  # the share of errors among the next samples below which looking on is hardly worth it
WINDOW = 100  # so many next samples at most; of a small set a tenth, but at least FEW
FEW = 10
LOOKS = (50, 200, 1000)  # how many are looked at first: always rows of the curve's table
POINTS = 1000  # and so many others at most


@dataclass(frozen=True, eq=False)
class Estimate:
    """Of N samples: how probable it is that the label is wrong, float64 (N,), and a range of it.

    low, high: the same by the readings that give the fewest and the most errors in all. planted: float64
    (N,), the share of planted flips that lie at each place of Confident Learning's ranking, from the most
    suspicious on; its sum is 1.
    """

    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    planted: np.ndarray


def estimate(labels: np.ndarray, probs: np.ndarray, seed: int = 0) -> Estimate:
    """labels: int64 (N,), every class among them; probs: (N, K), out of sample.

    P(wrong | x, y) = 1 - pi_y T[y, y] / sum_z pi_z T[z, y], where pi is probs^a with rows divided by their
    sums. T and a are fitted to the given labels by maximum likelihood (EM), T drawn towards uniform noise.
    There are two readings: the fitted a, and a = 1, which takes the network's confidence as it is; the
    probability is their mean. The range goes from the reading of fewer errors to the number that the
    confident joint counts, which takes the network's confident mistakes for errors of the labels; odds are
    multiplied by one factor to agree with it. Planted flips: each trusted sample, by its probability of
    being right, gets each other class with T's probability; its out-of-sample row stays as it is.
    Source of the likelihood: Patrini et al. (2017), forward correction.
    """
    logs = np.log(np.clip(probs, 1e-12, 1, dtype=np.float64))
    some = np.random.default_rng(seed).permutation(len(labels))[:MOST_FITTED]
    weight = _best_weight(logs[some], labels[some])
    matrices = [_fit(logs[some], labels[some], weight, power) for power in (None, 1.0)]
    readings = sorted((_wrong(logs, labels, *fit) for fit in matrices), key=np.mean)
    probability = np.mean(readings, axis=0)
    counted = max(confident.estimated_rate(labels, probs), readings[1].mean())
    planted = _planted(probs, labels, 1 - probability, matrices[0][1], some)
    return Estimate(probability, readings[0], _with_mean(probability, counted), planted)


def curve(wrong: Estimate, ranking: np.ndarray):
    """A DataFrame of at most POINTS + 4 rows: first (n, how many are looked at, from the top of the ranking),
    expected (errors among them), low and high (a range for these that is meant to hold in 95 of 100 cases),
    next (the errors among the next window(N), as a share of that number; towards the end the places that are
    no more count as right), planted (the share of planted flips).

    The range has two parts: that of the readings, and the chance with which each label is wrong or not.
    """
    import pandas as pd

    count = len(ranking)
    steps = (digit * 10**power for power in range(12) for digit in (1, 2, 5))
    step = next(step for step in steps if count <= step * POINTS)
    first = np.unique([*(n for n in LOOKS if n < count), *range(step, count, step), count])
    sums = {name: np.cumsum(getattr(wrong, name)[ranking]) for name in ("low", "probability", "high")}
    chance = {
        name: NORMAL * np.sqrt(np.cumsum(one[ranking] * (1 - one[ranking])))
        for name, one in (("low", wrong.low), ("high", wrong.high))
    }
    expected = sums["probability"]
    return pd.DataFrame(
        {
            "first": first,
            "expected": expected[first - 1],
            "low": np.clip(sums["low"] - chance["low"], 0, None)[first - 1],
            "high": np.minimum(sums["high"] + chance["high"], np.arange(1, count + 1))[first - 1],
            "next": _next_share(expected)[first - 1],
            "planted": np.cumsum(wrong.planted)[first - 1],
        }
    )


def _next_share(expected: np.ndarray) -> np.ndarray:
    """After each place, the errors among the next window(N) (or what is left) as a share of that number."""
    count = len(expected)
    ends = np.minimum(np.arange(1, count + 1) + window(count), count)
    return (expected[ends - 1] - expected) / window(count)


def window(count: int) -> int:
    """How many samples a share is taken of: so few that a small set is not looked at in two steps."""
    return min(WINDOW, max(FEW, count // 10), count)


def stop(table) -> int:
    """The n of a curve after which the share of errors stays below STOP_AT; 0 if it is so from the start."""
    worth = table["first"][table.next >= STOP_AT]
    return int(worth.max()) + 1 if len(worth) else 0


def _best_weight(logs: np.ndarray, labels: np.ndarray) -> float:
    """The one of WEIGHTS for which a model of one half of the samples explains the other half best."""
    halves = (slice(0, None, 2), slice(1, None, 2))
    loss = dict.fromkeys(WEIGHTS, 0.0)
    for weight in WEIGHTS:
        for one, other in (halves, halves[::-1]):
            power, matrix = _fit(logs[one], labels[one], weight)
            loss[weight] += _loss(power, logs[other], matrix[:, labels[other]].T) * len(labels[other])
    return min(loss, key=loss.get)


def _fit(
    logs: np.ndarray, labels: np.ndarray, weight: float, power: float | None = None
) -> tuple[float, np.ndarray]:
    """(a, T), float and (K, K), for log probabilities (n, K); a as given, or fitted too."""
    classes, fixed, error = logs.shape[1], power is not None, 0.1
    counts = np.zeros((classes, classes))
    matrix, given = _towards_uniform(counts, error, 1.0), np.eye(classes)[labels]
    for _ in range(ROUNDS):
        if not fixed:
            power = _best_power(logs, matrix[:, labels].T)
        pi = _powered(logs, power)
        for _ in range(STEPS):
            true = pi * matrix[:, labels].T
            true /= true.sum(1, keepdims=True)
            counts = true.T @ given
            matrix = _towards_uniform(counts, 1 - counts.trace() / len(labels), weight)
    return power, matrix


def _best_power(logs: np.ndarray, columns: np.ndarray) -> float:
    from scipy.optimize import minimize_scalar

    options = {"bounds": np.log(POWERS), "method": "bounded", "options": {"xatol": 0.01}}
    return float(np.exp(minimize_scalar(lambda x: _loss(np.exp(x), logs, columns), **options).x))


def _towards_uniform(counts: np.ndarray, error: float, weight: float) -> np.ndarray:
    """T: rows of counts (true by given), each with `weight` labels more, a share `error` of them wrong."""
    classes = len(counts)
    average = np.full((classes, classes), error / (classes - 1))
    np.fill_diagonal(average, 1 - error)
    matrix = counts + weight * average
    return matrix / matrix.sum(1, keepdims=True)


def _powered(logs: np.ndarray, power: float) -> np.ndarray:
    from scipy.special import softmax

    return softmax(power * logs, axis=1)


def _loss(power: float, logs: np.ndarray, columns: np.ndarray) -> float:
    """-mean ln P(given label | sample); columns: (n, K), T[:, y] of each sample."""
    return -float(np.log(np.maximum((_powered(logs, power) * columns).sum(1), 1e-300)).mean())


def _wrong(logs: np.ndarray, labels: np.ndarray, power: float, matrix: np.ndarray) -> np.ndarray:
    true = _powered(logs, power) * matrix[:, labels].T
    return 1 - true[np.arange(len(labels)), labels] / true.sum(1)


def _with_mean(probability: np.ndarray, mean: float) -> np.ndarray:
    """The probabilities with all odds multiplied by one factor, so that they have this mean."""
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    odds = logit(probability.clip(1e-9, 1 - 1e-9))
    mean = min(max(mean, 1e-6), 1 - 1e-6)
    return expit(odds + brentq(lambda factor: expit(odds + factor).mean() - mean, -40, 40))


def _planted(probs, labels, trust, matrix, some: np.ndarray) -> np.ndarray:
    """Where flips of the samples `some` would rank among all: float64 (N,), as Estimate.planted."""
    scores = np.sort(confident.rank(labels, probs))
    rows, given = np.asarray(probs, dtype=np.float64)[some], labels[some]
    order = np.sort(rows, axis=1)
    leads = rows == order[:, -1:]
    margins = rows - np.where(leads, order[:, -2:-1], order[:, -1:])
    flips = trust[some, None] * matrix[given]
    flips[np.arange(len(some)), given] = 0
    places = np.searchsorted(scores, (margins.ravel() + 1) / 2).clip(max=len(labels) - 1)
    weights = np.bincount(places, weights=flips.ravel(), minlength=len(labels))
    return weights / (weights.sum() or 1)  # 0 where a label is certain to be right, or so the network says
