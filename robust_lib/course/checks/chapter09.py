"""Graders of chapter 09: underfitting with many classes."""

import math

import torch

from robust_lib.course.checks.grading import called, equal, grader, one_of
from robust_lib.losses import weights


@grader("09.1")
def _start_of_ten_classes(answer):
    for classes, sigma in ((100, 1.0), (1000, 1.0), (50, 0.6)):
        ten, many = (weights.expected_margin(number, sigma) for number in (10, classes))
        scale, shift = called(answer, classes, sigma, shape=(2,))
        if equal([shift, scale], [ten / many, ten - many]):
            return "both numbers are right; give a first"
        if equal(scale, many / ten):
            return "the scale is upside down: a times the larger margin must be the smaller one"
        if not equal(scale, ten / many):
            return (
                "write where a fresh sample lies for K classes and for ten",
                "the scale takes the one margin to the other: a times E[Δ] of K classes is E[Δ] of ten",
                "a = E₁₀/E and b = E₁₀ - E, both from weights.expected_margin",
            )
        if equal(shift, ten + many):
            return "a is right; for b mind that both E[Δ] are negative"
        if equal(shift, many - ten):
            return "a is right; b has the wrong sign: the shift must move the margin to the right"
        if not equal(shift, ten - many):
            return "a is right; for b: E[Δ] of K classes plus b must be E[Δ] of ten"
    return ""


@grader("09.2")
def _ten_times_the_rate(answer):
    if hint := one_of(answer, ("fewer", "as many", "more")):
        return hint
    if answer == "as many":
        return "Δ of a kept class and of a lost class both change when the steps are larger"
    hint = "a larger step lifts the kept classes too, and their scores are in every other sample's Δ"
    return "" if answer == "more" else hint


@grader("09.3")
def _factor_of_nce(answer):
    if equal(called(answer, 100, shape=()), math.log(100)):
        return "that is -log p_y, the numerator; the denominator sums it over all classes"
    if equal(called(answer, 100), 100.0):
        return "each term of the denominator is log K, not 1"
    right = all(equal(called(answer, K), K * math.log(K)) for K in (2, 10, 100))
    return "" if right else (
        "chapter 04: ∇NCE = γ(∇CE + ε∇R), with R the mean of log p; what is ∇R at equal scores?",
        "∇R is zero there, so the factor is 1/γ, and 1/γ is the sum of -log p over the classes",
        "every p is 1/K: add K terms of ln K",
    )  # fmt: skip


@grader("09.4")
def _alpha(answer):
    norms, rates = torch.tensor([[2.0, 1.0, 0.5], [0.1, 0.05, 0.0]], dtype=torch.float64)
    alpha = called(answer, norms, rates, shape=())
    if equal(alpha, 3.5 / 3):
        return "that is the plain mean; a step counts as much as its learning rate"
    if equal(alpha, 2.0):
        return "that is the formula as printed, with ‖∇Δ‖ = 2; take the gradient of the loss"
    if equal(alpha, 0.25 / 3):
        return "divide by the sum of the learning rates, not by the number of steps"
    return "" if equal(alpha, 0.25 / 0.15) else (
        "it is a weighted mean of the norms; what is the weight of a step?",
        "a step counts as much as its learning rate",
        "the sum of rate times norm, divided by the sum of the rates",
    )  # fmt: skip


@grader("09.5")
def _bias_of_a_shift(answer):
    start = abs(weights.expected_margin(100))
    bias = called(answer, 100, 2.6, shape=())
    if equal(bias, start * 2.6) or equal(bias, 5.097 * 2.6):
        return "that is C.1.1's misprint: the product should be a difference"
    if equal(bias, 2.6 - start):
        return "the wrong sign: the bias lifts the labelled class"
    right = all(
        equal(called(answer, K, tau), abs(weights.expected_margin(K)) - tau)
        for K, tau in ((100, 2.6), (10, 1.0), (1000, 4.0))
    )
    return "" if right else (
        "adding ε to s_y adds ε to Δ; what does the shift add to it?",
        "the shift adds |E[Δ]| - τ",
        "weights.expected_margin(K) is negative: take its size, less τ",
    )  # fmt: skip
