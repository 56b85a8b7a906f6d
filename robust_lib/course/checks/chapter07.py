"""Graders of chapter 07: backing off too far."""

import math

from robust_lib.course.checks.grading import called, equal, grader


@grader("07.1")
def _useful_gammas(answer):
    interval = called(answer, 0.3, 0.01, shape=(2,))
    low, high = 1 / math.log(100), 1 / math.log(1 / 0.3)
    if equal(interval, (high, low)):
        return "both numbers are right; give the smaller one first"
    if equal(interval, (0.01, 0.3)):
        return "those are probabilities; asked are the γ whose edge e^(-1/γ) lies there"
    cases = ((0.3, 0.01), (0.9, 0.5), (0.05, 0.001))
    right = all(equal(called(answer, a, b), (-1 / math.log(b), -1 / math.log(a))) for a, b in cases)
    return "" if right else (
        "where must the edge of section 1 lie, so that one sample is above it and the other below?",
        "the edge is e^(-1/γ): between p_flipped and p_clean",
        "the edge is at p when γ = -1 / ln p; do this for both probabilities",
    )  # fmt: skip


@grader("07.2")
def _smallest_bias(answer):
    def needed(gamma, classes):
        edge = -1 / gamma - math.log(-math.expm1(-1 / gamma))  # as a margin
        return edge + math.log(classes - 1)

    if equal(called(answer, 0.5, 10, shape=()), math.log(10) - 2):
        return "close: p_y = e^(-1/γ) is at Δ = -1/γ - ln(1 - e^(-1/γ)), and a fresh network at -ln(K - 1)"
    if equal(called(answer, 0.2, 10), needed(0.2, 10)):
        return "below γ = 1/ln K that is negative, and no bias is needed: the smallest is 0"
    cases = ((0.5, 10), (0.7, 100), (0.2, 10), (0.3, 1000), (2.0, 3))
    right = all(equal(called(answer, g, K), max(0.0, needed(g, K))) for g, K in cases)
    return "" if right else (
        "a bias on the given label's logit moves the margin by as much: from where, and to where?",
        "K equal scores have the margin -ln(K - 1); which margin has p_y = e^(-1/γ)?",
        "Δ = ln p - ln(1 - p) at the edge; the bias is its distance from -ln(K - 1), or 0",
    )  # fmt: skip


@grader("07.3")
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
    return "" if not wrong else (
        f"{len(wrong)} of the five are not right yet; all samples start at p = 1/100",
        "compare p = 0.01 with the edge e^(-1/γ) at γ = 0.3 and with the cut-off c = 0.02",
        f"look at {wrong[0]} at p = 0.01 again",
    )  # fmt: skip
