"""Graders of chapter 09: underfitting with many classes."""

import math

from robust_lib.course.checks.grading import called, equal, grader
from robust_lib.losses import weights


def _pair(answer, classes: int, sigma: float):
    """The learner's scale and shift, or None where the answer is no pair."""
    found = called(answer, classes, sigma)
    return found if isinstance(found, tuple | list) and len(found) == 2 else None


@grader("09.1")
def _start_of_ten_classes(answer):
    for classes, sigma in ((100, 1.0), (1000, 1.0), (50, 0.6)):
        if (found := _pair(answer, classes, sigma)) is None:
            return "return two numbers, the scale a and the shift b"
        ten, many = (weights.expected_margin(number, sigma) for number in (10, classes))
        scale, shift = found
        if equal(scale, many / ten):
            return "the scale is upside down: a times the larger margin must be the smaller one"
        if not equal(scale, ten / many):
            return "for a: a fresh sample lies at E[Δ] of K classes; a times that must be E[Δ] of ten"
        if equal(shift, ten + many):
            return "a is right; for b mind that both E[Δ] are negative"
        if equal(shift, many - ten):
            return "a is right; b has the wrong sign: the shift must move the margin to the right"
        if not equal(shift, ten - many):
            return "a is right; for b: E[Δ] of K classes plus b must be E[Δ] of ten"
    return ""


@grader("09.2")
def _ten_times_the_rate(answer):
    if answer not in ("fewer", "as many", "more"):
        return 'give one of "fewer", "as many", "more"'
    if answer == "as many":
        return "Δ of a kept class and of a lost class both change when the steps are larger"
    hint = "a larger step lifts the kept classes too, and their scores are in every other sample's Δ"
    return "" if answer == "more" else hint


@grader("09.3")
def _factor_of_nce(answer):
    if equal(called(answer, 100), math.log(100)):
        return "that is -log p_y, the numerator; the denominator sums it over all classes"
    if equal(called(answer, 100), 100.0):
        return "each term of the denominator is log K, not 1"
    right = all(equal(called(answer, K), K * math.log(K)) for K in (2, 10, 100))
    return "" if right else "at equal scores ∇R = 0, so ∇NCE = γ ∇CE with γ = 1/Σ_k -log p_k and p_k = 1/K"


@grader("09.4")
def _alpha(answer):
    norms, rates = [2.0, 1.0, 0.5], [0.1, 0.05, 0.0]
    alpha = called(answer, norms, rates)
    if equal(alpha, sum(norms) / 3):
        return "that is the plain mean; a step counts as much as its learning rate"
    if equal(alpha, 2.0):
        return "that is the formula as printed, with ‖∇Δ‖ = 2; take the gradient of the loss"
    if equal(alpha, 0.25 / 3):
        return "divide by the sum of the learning rates, not by the number of steps"
    return "" if equal(alpha, 0.25 / 0.15) else "the sum of rate times norm, divided by the sum of the rates"


@grader("09.5")
def _bias_of_a_shift(answer):
    start = abs(weights.expected_margin(100))
    bias = called(answer, 100, 2.6)
    if equal(bias, start * 2.6) or equal(bias, 5.097 * 2.6):
        return "that is C.1.1's misprint: the product should be a difference"
    if equal(bias, 2.6 - start):
        return "the wrong sign: the bias lifts the labelled class"
    right = all(
        equal(called(answer, K, tau), abs(weights.expected_margin(K)) - tau)
        for K, tau in ((100, 2.6), (10, 1.0), (1000, 4.0))
    )
    return "" if right else "compare 1 - sigmoid(Δ + ε) with l(Δ + |E[Δ]| - τ); expected_margin is negative"
