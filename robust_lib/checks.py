"""Checks for the exercises: right, a hint, or "not attempted"; they print and never stop a notebook.

A grader takes the learner's answer and returns "" when it is right, else a hint. Graders live here, one
section a chapter, so that notebooks/solutions/ is judged by the very checks the learner meets.
"""

import math
from collections.abc import Callable

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
