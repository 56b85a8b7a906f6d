"""Graders of chapter 01: a loss as a weight curve."""

import torch

from robust_lib.course.checks.grading import called, equal, grader

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
