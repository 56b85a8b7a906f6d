"""Graders of chapter 06: inside symmetric losses."""

import torch

from robust_lib.course.checks.grading import called, equal, grader

_TABLE = torch.tensor([[0.5, 1.5, 4.0], [2.0, 2.0, 3.5]], dtype=torch.float64)


@grader("06.1")
def _symmetric_part(answer):
    part, mean = called(answer, _TABLE), _TABLE.mean(1, keepdim=True)
    if equal(part, mean.expand_as(_TABLE)) or equal(part, mean) or equal(part, mean.squeeze(1)):
        return "that is the part that ignores the label; the symmetric part is what remains of the loss"
    if equal(part, _TABLE / _TABLE.sum(1, keepdim=True)):
        return "that normalises: its sum is 1 for every sample, but L minus it still depends on the label"
    if equal(part, _TABLE - _TABLE.mean(0)):
        return "the mean runs over the labels of one sample: dim=1, with keepdim=True"
    called(answer, _TABLE, shape=(2, 3))
    wider = torch.cat([_TABLE, _TABLE[:, :1] ** 2], 1)
    right = equal(part, _TABLE - mean)
    return "" if right and equal(called(answer, wider), wider - wider.mean(1, keepdim=True)) else (
        "what do the entries of one row of a symmetric part add up to?",
        "section 1 writes it down: the loss less its mean over the labels",
        "table.mean(1, keepdim=True) is that mean, one a row",
    )  # fmt: skip


@grader("06.2")
def _undo_the_noise(answer):
    factor = called(answer, 0.6, 10, shape=())
    if equal(factor, 1 - 0.6 * 10 / 9):
        return "that is a, what the noise does; asked is the factor that undoes it"
    if equal(factor, 1 / (1 - 0.6)):
        return "uniform noise also takes something from each wrong label: a is 1 - ηK/(K-1), not 1 - η"
    cases = ((0.0, 3), (0.3, 2), (0.6, 10), (0.9, 100))
    right = all(equal(called(answer, eta, K), 1 / (1 - eta * K / (K - 1))) for eta, K in cases)
    return "" if right else (
        "section 1 says what uniform noise does to each of the two parts",
        "noisy risk is a R_S + R_I; with a factor f before training it is a f R_S + R_I",
        "a f must be 1, and a = 1 - ηK/(K-1)",
    )  # fmt: skip
