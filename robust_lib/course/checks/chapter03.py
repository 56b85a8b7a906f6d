"""Graders of chapter 03: symmetry."""

import torch

from robust_lib.course.checks.grading import called, equal, grader

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
