"""Graders of chapter 01: a loss as a weight curve."""

import torch

from robust_lib import losses
from robust_lib.course.checks.grading import called, equal, grader, some_of

_P = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


@grader("01.1")
def _weight_of_a_square(answer):
    weight = called(answer, _P, shape=(99,))
    if equal(weight, 2 * (1 - _P)):
        return "that is -dl/dp; the sigmoid's derivative p(1-p) still has to be multiplied in"
    if equal(weight, -2 * _P * (1 - _P) ** 2):
        return "the size is right and the sign is not: w = -dl/dΔ is positive when it pulls the label up"
    return "" if equal(weight, 2 * _P * (1 - _P) ** 2) else (
        "section 1 has the recipe: a derivative by p, then the derivative of the sigmoid",
        "w = -l'(p) p (1-p); which l'(p) has (1-p)^2?",
        "l'(p) = -2 (1-p), by the chain rule; put it into w = -l'(p) p (1-p)",
    )  # fmt: skip


@grader("01.2")
def _gce_peak(answer):
    peak = called(answer, 0.7, shape=())
    if equal(peak, (0.7 / 1.7) ** 0.7 / 1.7):
        return "that is a weight, the largest; asked is the p_y at which it is reached"
    right = all(equal(called(answer, q), q / (1 + q)) for q in (0.1, 0.5, 0.7, 1.0))
    return "" if right else (
        "section 3 prints GCE's weight as a formula; where is a curve highest?",
        "the derivative of p^q (1-p) by p is zero there",
        "the derivative is q p^(q-1) (1-p) - p^q; divide by p^(q-1) and solve for p",
    )  # fmt: skip


@grader("01.3")
def _losses_that_give_up(answer):
    right = {"mae", "gce", "blurry", "blurry stopped", "piecewise_zero"}
    if hint := some_of(answer, right | {"ce", "focal"}):
        return hint
    if "ce" in answer:
        return "CE's weight is 1 - p_y: it is largest at p_y = 0"
    if "focal" in answer:
        return "focal loss has (1-p)^γ, which is small for learned samples and not for hopeless ones"
    if answer == right - {"blurry"}:
        return "Blurry pushes below e^(-1/γ), but follow its curve further left: does the push stay?"
    return "" if answer == right else (
        "look at the left end of the last figure of section 7: which curves come to zero there?",
        "sections 1 and 3 have formulas of weights; a factor p or p^q makes a weight vanish at p = 0",
        f"think again of: {min(right - answer)}",
    )  # fmt: skip


@grader("01.4")
def _piecewise_zero(answer):
    losses_of_p = called(answer, _P, 0.105, shape=(99,))
    if equal(losses_of_p, torch.where(_P > 0.105, 1.0, 0.0)):
        return "that says where the loss is on; multiply by the cross entropy -log p"
    for c in (0.0, 0.105, 0.355):  # between the p: at a p there rounding would decide
        logits = torch.stack([torch.logit(_P), torch.zeros_like(_P)], 1)
        labels = torch.zeros(len(_P), dtype=torch.int64)
        expected = losses.piecewise_zero(c=c)(logits, labels, reduction="none")
        if not equal(called(answer, _P, c, shape=(99,)), expected):
            return (
                "two cases, p > c and p <= c: what is the loss in each?",
                "torch.where(condition, a, b) takes a where the condition holds and b elsewhere",
                "the condition is p > c, a is -p.log(), and b is 0",
            )
    return ""
