"""Graders of chapter 05: what symmetry proves."""

import torch

from robust_lib.course.checks.grading import called, equal, grader
from robust_lib.data import noise

_TABLE = torch.tensor([[0.2, 1.7, 3.2], [0.9, 0.1, 2.0]], dtype=torch.float64)
_LABELS = torch.tensor([0, 2])


@grader("05.1")
def _pair_noise(answer):
    if equal(called(answer, 4, 0.3, shape=(4, 4)), noise.pair(4, 0.3).T):
        return "row y, column j is P(noisy label j | true label y): yours is turned over"
    if equal(called(answer, 4, 0.3), noise.uniform(4, 0.3)):
        return "that is uniform noise; here a wrong label is always the next class"
    cases = ((2, 0.1), (3, 0.45), (10, 0.0))
    right = all(equal(called(answer, K, rate, shape=(K, K)), noise.pair(K, rate)) for K, rate in cases)
    return "" if right else (
        "each row holds the chances of one true class, and adds up to 1",
        "1 - η stands on the diagonal, η one place to the right; class K - 1 goes back to class 0",
        "torch.eye(K) is the diagonal; torch.eye(K).roll(1, dims=1) is the one to its right",
    )  # fmt: skip


@grader("05.2")
def _noisy_risk(answer):
    T = noise.pair(3, 0.4).double()
    risk = called(answer, _TABLE, _LABELS, T, shape=())
    expected = (T[_LABELS] * _TABLE).sum(1)
    if equal(risk, _TABLE[[0, 1], _LABELS].mean()):
        return "that is the risk on true labels"
    if equal(risk, expected.sum()):
        return "a risk is a mean over the samples, and that is their sum"
    if equal(risk, (T[:, _LABELS].T * _TABLE).sum(1).mean()):
        return "T[:, y] are the true classes that may become y; asked is what y may become"
    return "" if equal(risk, expected.mean()) else (
        "a sample has a loss for each label that it may be given; how likely is each of them?",
        "T[labels] holds these chances, one row a sample, and has the shape of the table",
        "multiply T[labels] by the table, add up over the labels, take the mean over the samples",
    )  # fmt: skip


@grader("05.3")
def _largest_rate_of_agce(answer):
    ratio = (0.6 / 1.6) ** 0.4
    if equal(called(answer, 0.6, 0.6, 10, shape=()), ratio):
        return "that is the noise ratio r̃; the rate follows from r̃ = (η/(K-1)) / (1-η)"
    if equal(called(answer, 0.6, 0.6, 10), ratio / (1 + ratio)):
        return "right for K = 2; with K classes η is shared by K - 1 wrong labels"
    for a, q, K in ((0.6, 0.6, 10), (0.1, 0.1, 10), (2.0, 0.5, 100), (1.0, 0.9, 2)):
        odds = (K - 1) * (1 + 1 / a) ** (q - 1)
        if not equal(called(answer, a, q, K), odds / (1 + odds)):
            return (
                "the table of this section has the noise ratio r̃ that AGCE allows",
                "what is r̃ of uniform noise at the rate η? One wrong label against the true one",
                "solve (1 + 1/a)^(q-1) = (η/(K-1)) / (1-η) for η",
            )
    return ""
