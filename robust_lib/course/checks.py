"""Checks for the exercises: right, a hint, or "not attempted"; they print and never stop a notebook.

A grader takes the learner's answer and returns "" when it is right, else a hint. Graders live here, one
section a chapter, so that notebooks/solutions/ is judged by the very checks the learner meets.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

GRADERS: dict[str, Callable] = {}


def check(exercise: str, answer) -> str:
    """Print the verdict on an answer (a value or a function) to exercise "01.2"; returns "right", "wrong" or
    "not attempted". An answer that is `...` or None, or a function that returns one, was not attempted.

    Raises ValueError only for an exercise that does not exist.
    """
    if exercise not in GRADERS:
        raise ValueError(f"no exercise is called {exercise!r}; there are {', '.join(GRADERS)}")
    try:
        hint = "" if answer is ... or answer is None else GRADERS[exercise](answer)
        verdict = "not attempted" if answer is ... or answer is None else "wrong" if hint else "right"
    except _NotAttemptedError:
        hint, verdict = "", "not attempted"
    except Exception as error:  # whatever the learner's code raises is a wrong answer, not an accident
        hint, verdict = f"it raised {type(error).__name__}: {error}", "wrong"
    print(f"exercise {exercise}: {verdict}" + (f". Hint: {hint}" if hint else ""))
    return verdict


class _NotAttemptedError(Exception):
    """The learner's function returned `...` or None."""


def grader(exercise: str) -> Callable:
    """Register a function answer -> hint ("" when right) for this exercise."""

    def register(function: Callable) -> Callable:
        GRADERS[exercise] = function
        return function

    return register


def called(answer: Callable, *arguments):
    """The learner's function on these arguments; a stub's `...` or None means "not attempted"."""
    result = answer(*arguments)
    if result is ... or result is None:
        raise _NotAttemptedError
    return result


def equal(result, expected, tolerance: float = 1e-6) -> bool:
    """Whether two numbers or tensors agree in shape and, up to the tolerance, in value."""
    result, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (result, expected))
    return result.shape == expected.shape and torch.allclose(result, expected, rtol=tolerance, atol=tolerance)


# --- chapter 01 ---------------------------------------------------------------------------------------

_P = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


@grader("01.1")
def _weight_of_a_square(answer):
    weight = called(answer, _P)
    if equal(weight, 2 * (1 - _P)):
        return "that is -dl/dp; the sigmoid's derivative p(1-p) still has to be multiplied in"
    if equal(weight, -2 * _P * (1 - _P) ** 2):
        return "the size is right and the sign is not: w = -dl/dΔ is positive when it pulls the label up"
    right = equal(weight, 2 * _P * (1 - _P) ** 2)
    return "" if right else "differentiate (1-p)^2 by p, then apply w = -l'(p) p (1-p)"


@grader("01.2")
def _gce_peak(answer):
    peak = called(answer, 0.7)
    if equal(peak, (0.7 / 1.7) ** 0.7 / 1.7):
        return "that is a weight, the largest; asked is the p_y at which it is reached"
    right = all(equal(called(answer, q), q / (1 + q)) for q in (0.1, 0.5, 0.7, 1.0))
    return "" if right else "set the derivative of p^q (1-p) to zero: q (1-p) = p"


@grader("01.3")
def _losses_that_push_away(answer):
    if not isinstance(answer, set | list | tuple | frozenset):
        return "give a set of names, for example {'ce', 'mae'}"
    if set(answer) - {"ce", "mae", "gce", "focal", "blurry", "blurry stopped", "piecewise_zero"}:
        return "use the names ce, mae, gce, focal, blurry, blurry stopped, piecewise_zero"
    if "piecewise_zero" in answer:
        return "Piecewise-zero's weight is zero below c: it ignores, it does not push"
    return "" if set(answer) == {"blurry"} else "look for a weight curve that goes below zero"


# --- chapter 02 ---------------------------------------------------------------------------------------

_ROWS = ([0.7, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.02, 0.98])


@grader("02.1")
def _nnce_as_equation_2(answer):
    for row in _ROWS:
        p = torch.tensor(row, dtype=torch.float64)
        gamma, epsilon = called(answer, p, 16.0)
        total, ce = -p.log().sum(), -p[0].log()
        if equal(gamma, 1 / total) and equal(epsilon, len(p) * ce / total):
            return "those are NCE's; here n_k = A + log p_k takes the place of -log p_k"
        n = 16.0 + p.log()
        if not equal(gamma, 1 / n.sum()):
            return "apply the quotient rule to n_y / N with N = Σ n_k; γ is what stands before ∇CE_y"
        if not equal(epsilon, len(p) * n[0] / n.sum()):
            return "γ is right; for ε write ∇N = Σ ∇log p_k as K ∇R and compare what stands before ∇R with γ"
    return ""


@grader("02.2")
def _where_eq_3_fails(answer):
    if equal(called(answer, 2), 0.75) and not equal(called(answer, 10), 0.55):
        return "right for K = 2; try K = 10, where the figure shows 0.55"
    right = all(equal(called(answer, K), (K + 1) / (2 * K)) for K in (2, 3, 10, 100, 1000))
    return "" if right else "put the exact norm for ε <= 1 above 2γ(1 + ε)(1 - p_y) and cancel"


@grader("02.3")
def _sce_in_one_parameter(answer):
    if equal(called(answer, 0.1, 1.0), 1 / 1.1):
        return "RCE is not MAE but A times MAE, A = -ln 1e-4"
    A = 9.210340371976182
    pairs = ((0.1, 1.0), (6.0, 0.1), (0.01, 1.0), (10.0, 1.0))
    right = all(equal(called(answer, a, b), A * b / (a + A * b)) for a, b in pairs)
    return "" if right else "write α CE + β A MAE as c [(1-q) CE + q MAE]: c is the two coefficients' sum"


# --- chapter 03 ---------------------------------------------------------------------------------------

_TABLE = torch.tensor([[0.5, 1.5, 4.0], [2.0, 2.0, 3.5]], dtype=torch.float64)


@grader("03.1")
def _symmetric_part(answer):
    part, mean = called(answer, _TABLE), _TABLE.mean(1, keepdim=True)
    if equal(part, mean.expand_as(_TABLE)) or equal(part, mean) or equal(part, mean.squeeze(1)):
        return "that is the part that ignores the label; the symmetric part is what remains of the loss"
    if equal(part, _TABLE / _TABLE.sum(1, keepdim=True)):
        return "that normalises: its sum is 1 for every sample, but L minus it still depends on the label"
    if equal(part, _TABLE - _TABLE.mean(0)):
        return "the mean runs over the labels of one sample: dim=1, with keepdim=True"
    return "" if equal(part, _TABLE - mean) else "subtract from each row its own mean over the labels"


@grader("03.2")
def _undo_the_noise(answer):
    factor = called(answer, 0.6, 10)
    if equal(factor, 1 - 0.6 * 10 / 9):
        return "that is a, what the noise does; asked is the factor that undoes it"
    if equal(factor, 1 / (1 - 0.6)):
        return "uniform noise also takes something from each wrong label: a is 1 - ηK/(K-1), not 1 - η"
    cases = ((0.0, 3), (0.3, 2), (0.6, 10), (0.9, 100))
    right = all(equal(called(answer, eta, K), 1 / (1 - eta * K / (K - 1))) for eta, K in cases)
    return "" if right else "noisy risk is a R_S + R_I with a = 1 - ηK/(K-1); what makes it R_S + R_I again?"


@grader("03.3")
def _largest_rate_of_agce(answer):
    ratio = (0.6 / 1.6) ** 0.4
    if equal(called(answer, 0.6, 0.6, 10), ratio):
        return "that is the noise ratio r̃; the rate follows from r̃ = (η/(K-1)) / (1-η)"
    if equal(called(answer, 0.6, 0.6, 10), ratio / (1 + ratio)):
        return "right for K = 2; with K classes η is shared by K - 1 wrong labels"
    for a, q, K in ((0.6, 0.6, 10), (0.1, 0.1, 10), (2.0, 0.5, 100), (1.0, 0.9, 2)):
        odds = (K - 1) * (1 + 1 / a) ** (q - 1)
        if not equal(called(answer, a, q, K), odds / (1 + odds)):
            return "take r̃ = (1 + 1/a)^(q-1) and solve r̃ = (η/(K-1)) / (1-η) for η"
    return ""


# --- chapter 04 ---------------------------------------------------------------------------------------


@grader("04.1")
def _useful_gammas(answer):
    interval = called(answer, 0.3, 0.01)
    low, high = 1 / math.log(100), 1 / math.log(1 / 0.3)
    if equal(interval, (high, low)):
        return "both numbers are right; give the smaller one first"
    if equal(interval, (0.01, 0.3)):
        return "those are probabilities; asked are the γ whose edge e^(-1/γ) lies there"
    cases = ((0.3, 0.01), (0.9, 0.5), (0.05, 0.001))
    right = all(equal(called(answer, a, b), (-1 / math.log(b), -1 / math.log(a))) for a, b in cases)
    return "" if right else "the edge e^(-1/γ) must lie between the two probabilities; solve for γ at each"


@grader("04.2")
def _smallest_bias(answer):
    def needed(gamma, classes):
        edge = -1 / gamma - math.log(-math.expm1(-1 / gamma))  # as a margin
        return edge + math.log(classes - 1)

    if equal(called(answer, 0.5, 10), math.log(10) - 2):
        return "close: p_y = e^(-1/γ) is at Δ = -1/γ - ln(1 - e^(-1/γ)), and a fresh network at -ln(K - 1)"
    if equal(called(answer, 0.2, 10), needed(0.2, 10)):
        return "below γ = 1/ln K that is negative, and no bias is needed: the smallest is 0"
    cases = ((0.5, 10), (0.7, 100), (0.2, 10), (0.3, 1000), (2.0, 3))
    right = all(equal(called(answer, g, K), max(0.0, needed(g, K))) for g, K in cases)
    return "" if right else "after the bias, the margin -ln(K - 1) + ε must be at least that of the edge"


@grader("04.3")
def _first_step(answer):
    truth = {"ce": "right", "mae": "right", "blurry": "wrong", "blurry stopped": "right"}
    truth["piecewise_zero"] = "none"
    if not isinstance(answer, dict) or set(answer) != set(truth):
        return f"give a dict with the keys {', '.join(truth)}"
    if answer["mae"] == "none":
        return "MAE's weight at p = 1/100 is small, about 0.01, but it is not zero"
    if answer["blurry stopped"] == "wrong":
        return "with the factor's gradient stopped the weight is p^γ (1 - p): never negative"
    wrong = [name for name in truth if answer[name] != truth[name]]
    return f"look at {wrong[0]} at p = 0.01 again" if wrong else ""


# --- chapter 13 ---------------------------------------------------------------------------------------


@grader("13.1")
def _worst_and_majority(answer):
    worst, majority = called(answer, 0.2)
    if equal(majority, 3 * 0.2**2 * 0.8):
        return "that is exactly two wrong; all three wrong is a majority too"
    if equal([worst, majority], [0.2**3, 3 * 0.2**2 * 0.8 + 0.2**3]):
        return "the first is that all three err; asked is that at least one does"
    cases = {e: (1 - (1 - e) ** 3, 3 * e**2 * (1 - e) + e**3) for e in (0.0, 0.1, 0.2, 0.5, 1.0)}
    right = all(equal(called(answer, e), values) for e, values in cases.items())
    return "" if right else "at least one is wrong unless all three are right; sum two and three wrong"


@grader("13.2")
def _precision_bounds(answer):
    if equal(called(answer, 20, 30, 50), [0.4, 0.4]):
        return "that leaves out the images without a verdict; they are on the list and may be either"
    if equal(called(answer, 20, 30, 50), [0.7, 0.2]):
        return "both numbers are right; give the lower one first"
    for wrong, upheld, unjudged in ((20, 30, 50), (5, 0, 0), (0, 7, 3), (1, 1, 98)):
        n = wrong + upheld + unjudged
        if not equal(called(answer, wrong, upheld, unjudged), [wrong / n, (wrong + unjudged) / n]):
            return "at worst every image without a verdict is right, at best every one is wrong"
    return ""


@grader("13.3")
def _called_wrong(answer):
    def below_three(s):
        return sum(math.comb(5, k) * s**k * (1 - s) ** (5 - k) for k in range(3))

    if equal(called(answer, 0.7), [0.3**5, 1 - below_three(0.7)]):
        return "the second is the probability of being upheld"
    right = all(equal(called(answer, s), [(1 - s) ** 5, below_three(s)]) for s in (0.0, 0.3, 0.5, 0.7, 1.0))
    return "" if right else "the number of judges who see the label is binomial: sum its first terms"


# --- chapter 12 ---------------------------------------------------------------------------------------


@grader("12.1")
def _f1_from_planted_flips(answer):
    r, q, eta = 0.8, 0.25, 0.2
    precision = r * eta / q
    if equal(called(answer, r, q, eta), precision):
        return "that is the precision; F1 is its harmonic mean with the recall"
    if equal(called(answer, r, q, eta), r * r / q):
        return "that ranks settings without knowing η; with η you can have F1 itself"
    if equal(called(answer, r, q, eta), (precision + r) / 2):
        return "the harmonic mean, not the arithmetic one"
    cases = ((0.8, 0.25, 0.2), (0.5, 0.1, 0.1), (1.0, 0.4, 0.3))
    right = all(equal(called(answer, *case), 2 * case[0] * case[2] / (case[1] + case[2])) for case in cases)
    return "" if right else "of N samples ηN are wrong and qN flagged; rηN are both"


@grader("12.2")
def _luck_of_two(answer):
    luck = called(answer, 0.006, 20)
    if equal(luck, 0.006 / math.sqrt(math.pi)):
        return "right for one seed; the mean over n seeds has a spread of σ/√n"
    if equal(luck, 0.006 / math.sqrt(20)):
        return "that is the spread of one mean; the larger of two lies 1/√π of it above the truth"
    if equal(luck, 2 * 0.006 / math.sqrt(20 * math.pi)):
        return "that is how far the larger lies above the smaller; asked is how far above the true value"
    cases = ((0.006, 20), (1.0, 1), (0.1, 3))
    right = all(equal(called(answer, s, n), s / math.sqrt(math.pi * n)) for s, n in cases)
    return (
        ""
        if right
        else "each mean has the spread σ/√n; the larger of two standard normals is 1/√π on average"
    )


@grader("12.3")
def _needs_no_truth(answer):
    honest = {"given accuracy", "flagged share", "estimated rate", "planted recall"}
    oracle = {"f1", "precision", "true accuracy"}
    if not isinstance(answer, set) or not answer <= honest | oracle:
        return f"give a set of some of: {', '.join(sorted(honest | oracle))}"
    if answer == honest - {"planted recall"}:
        return "you know which labels you flipped yourself"
    if answer & oracle:
        return f"to compute {min(answer & oracle)} you must know which labels are wrong"
    return "" if answer == honest else f"{min(honest - answer)} can be computed from labels and flags alone"


# --- chapter 14 ---------------------------------------------------------------------------------------

_RANKING = np.array([3, 4, 5, 0, 1, 6, 2])
_WRONG = np.array([False, False, True, True, True, True, False])


@grader("14.1")
def _precision_at(answer):
    first = called(answer, _RANKING, _WRONG, 4)
    if equal(first, 3):
        return "that is how many are wrong; divide by k"
    if equal(first, _WRONG[:4].mean()):
        return "those are the first k samples; take the first k of the ranking: wrong[ranking[:k]]"
    if equal(first, _WRONG[_RANKING[-4:]].mean()):
        return "the most suspicious come first in the ranking"
    cases = {1: 1, 3: 1, 4: 3 / 4, 7: 4 / 7}
    if all(equal(called(answer, _RANKING, _WRONG, k), value * k / 4) for k, value in cases.items()):
        return "that is recall, the share of all wrong labels that are found; divide by k instead"
    right = all(equal(called(answer, _RANKING, _WRONG, k), value) for k, value in cases.items())
    return "" if right else "wrong[ranking[:k]] says which of the first k are wrong; take the mean"


@grader("14.2")
def _images_to_look_at(answer):
    number = called(answer, 0.1)
    if equal(number, 25):
        return "one standard error covers only two cases in three; 95 % takes 1.96 of them"
    if equal(number, (1.96 / 0.1) ** 2):
        return "p(1-p) is at most a quarter, at p = 1/2; use that"
    if equal(number, 0.25 * (1.96 / 0.1) ** 2) or equal(number, 96):
        return "nearly: you cannot look at a part of an image, so round up"
    right = all(
        equal(called(answer, e), math.ceil(0.25 * (1.96 / e) ** 2 - 1e-9)) for e in (0.03, 0.05, 0.1, 0.2)
    )
    return "" if right else "solve 1.96 sqrt(p(1-p)/n) = e for n at the p that needs most, and round up"


@grader("14.3")
def _gpu_hours(answer):
    given, hours = (1_000_000, 15, 5, 24.0, 30.0), 1e6 * 15 * 4 * 24e9 / 30e12 / 3600
    result = called(answer, *given)
    if equal(result, hours * 5 / 4):
        return "each fold trains on folds - 1 parts of the images, not on all of them"
    if equal(result, hours * 3600):
        return "those are seconds"
    if equal(result, hours * 1000) or equal(result, hours / 1000):
        return "mind the units: one TFLOP is 1,000 GFLOP"
    if equal(result, hours / 5):
        return "that is one fold; there are `folds` of them"
    other = (50_000, 10, 2, 7.0, 12.0)
    right = equal(result, hours) and equal(called(answer, *other), 5e4 * 10 * 7e9 / 12e12 / 3600)
    return "" if right else "images × (folds - 1) × epochs × operations each, by operations a second, by 3600"


# --- chapter 10 ---------------------------------------------------------------------------------------


@grader("10.1")
def _counts_for(answer):
    import numpy as np

    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.35, 0.45], [0.4, 0.45, 0.15], [0.34, 0.33, 0.33], [0.1, 0.5, 0.4]])
    cases = {
        (0.15, 0.3, 0.6): [0, 1, 1, 0, 1],
        (0.4, 0.3, 0.6): [0, 1, 1, 1, 1],
        (0.45, 0.9, 0.9): [0, -1, -1, -1, -1],
    }
    for limits, expected in cases.items():
        above, result = p >= limits, called(answer, p.copy(), np.array(limits))
        if equal(result, expected):
            continue
        if equal(result, np.where(above.sum(1) == 1, above.argmax(1), p.argmax(1))):
            return "cleanlab's rule: the most probable class of all, even if it does not qualify itself"
        if equal(result, np.where(above.any(1), p.argmax(1), -1)) or equal(result, p.argmax(1)):
            return "an image may count for a class that is not its most probable one"
        if equal(result, np.where(above, p, -1).argmax(1)):
            return "an image without any qualifying class counts for none: -1"
        return "set the probabilities below their class's threshold to -1, take the arg max, mend the rest"
    return ""


@grader("10.2")
def _worth_flagging(answer):
    shares = called(answer, 0.8, 0.1)
    if equal(shares, (0.8, 0.1, 0.5)):
        return "F1 = 2 TP/(F + W): the new flags must beat half of it, for their number adds to F only"
    if equal(shares, (0.4, 0.5, 0.5)):
        return "balanced accuracy weighs a wrong label by 1/W and a right one by 1/R; their ratio is in rate"
    cases = ((0.8, 0.1), (0.5, 0.4), (0.95, 0.02))
    right = all(equal(called(answer, f1, rate), (f1 / 2, rate, 0.5)) for f1, rate in cases)
    return (
        ""
        if right
        else "add n flags, a share π of them wrong labels, and ask when each score's change is positive"
    )


@grader("10.3")
def _harmless_rules(answer):
    rules = {"mix", "temperature", "undo", "one-hot", "prior"}
    if not isinstance(answer, set) or not answer <= rules:
        return f"give a set of some of: {', '.join(sorted(rules))}"
    if "prior" in answer:
        return (
            "dividing by the row's sum scales every row by another number, and the threshold by none of them"
        )
    if answer & {"temperature", "one-hot"}:
        return (
            f"{min(answer & {'temperature', 'one-hot'})} is not a straight line: a mean does not move with it"
        )
    missing = {"mix", "undo"} - answer
    return f"write {min(missing)} as a p_j + b with the same a > 0 and b for all" if missing else ""


# --- chapter 11 ---------------------------------------------------------------------------------------


@grader("11.1")
def _f1_of_one_run(answer):
    if equal(called(answer, 10), 10 / 11):
        return "that is the recall; F1 is the harmonic mean of it and the precision, which is 1"
    right = all(equal(called(answer, K), 2 * K / (2 * K + 1)) for K in (2, 10, 100))
    return "" if right else "a share of 1/(K+1) of the flips are threshold samples: that is the recall lost"


@grader("11.2")
def _what_doubling_changes(answer):
    names = {"AUM", "threshold", "flags", "Cohen's d", "Wasserstein", "AUROC"}
    if not isinstance(answer, set) or not answer <= names:
        return f"give a set of some of: {', '.join(sorted(names))}"
    if "flags" in answer or "AUROC" in answer:
        return "every AUM doubles and so does the threshold: no comparison comes out differently"
    if "Cohen's d" in answer:
        return "the difference of the means doubles, but so does the standard deviation it is divided by"
    missing = {"AUM", "threshold", "Wasserstein"} - answer
    return f"{min(missing)} is in logits" if missing else ""


@grader("11.3")
def _as_rare_as_a_flip(answer):
    cases = ((5000, 10, 0.1), (5000, 10, 0.4), (50_000, 100, 0.3), (1000, 3, 0.5))
    given = [float(called(answer, *case)) for case in cases]
    if all(abs(value - N * eta / (K - 1)) < 0.6 for value, (N, K, eta) in zip(given, cases, strict=True)):
        return "close at small η; but the extra class also takes its share from the wrong labels"
    if all(abs(value - N / (K + 1)) <= 1 for value, (N, K, _) in zip(given, cases, strict=True)):
        return "that makes it as large as the other classes; asked is: as rare as one wrong label"
    exact = [N * eta / (K - 1 + eta) for N, K, eta in cases]
    right = all(abs(value - wanted) < 1 for value, wanted in zip(given, exact, strict=True))
    return "" if right else "with a share s in the extra class, solve s = (1 - s) η/(K - 1)"
