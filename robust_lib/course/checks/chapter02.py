"""Graders of chapter 02: training on noisy labels, as the samples see it."""

import torch

from robust_lib.course.checks.grading import called, equal, grader
from robust_lib.data import noise
from robust_lib.losses import weights

_SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
_LABELS = torch.tensor([0, 2, 1])
_WEIGHTS = torch.tensor([[0.9, 0.2, 0.4, 0.5], [0.3, 0.1, 0.6, 0.8]], dtype=torch.float64)
_FLIPPED = torch.tensor([False, False, True, True])


@grader("02.1")
def _uniform_matrix(answer):
    matrix = called(answer, 10, 0.4, shape=(10, 10))
    if equal(matrix, 0.6 * torch.eye(10) + 0.04, 1e-5):
        return "that draws the new label from all ten classes; a wrong label is one of the nine others"
    cases = ((10, 0.4), (2, 0.1), (3, 0.0))
    right = all(equal(called(answer, K, rate), noise.uniform(K, rate), 1e-5) for K, rate in cases)
    return "" if right else (
        "row y holds the chances of each given label when y is true: what must a row add up to?",
        "1 - η on the diagonal; the K - 1 other entries of a row share η alike",
        "fill a (K, K) tensor with η / (K - 1), then set its diagonal to 1 - η",
    )  # fmt: skip


@grader("02.2")
def _margins(answer):
    delta, right = called(answer, _SCORES, _LABELS, shape=(3,)), weights.margin(_SCORES, _LABELS)
    if equal(delta, weights.hard_margin(_SCORES, _LABELS)):
        return "that is the lead over the largest other score; the soft margin takes their logsumexp"
    if equal(delta, _SCORES.log_softmax(1)[torch.arange(3), _LABELS]):
        return "that is log p_y: its logsumexp runs over all classes, the margin's over the others"
    return "" if equal(delta, right) else (
        "section 1 of chapter 01 has the formula: the labelled score less a soft maximum of the others",
        "scores[torch.arange(len(labels)), labels] are the labelled scores; take them out of the rest",
        "put -inf in their place in a copy of the scores, then logsumexp(1)",
    )  # fmt: skip


@grader("02.3")
def _snr(answer):
    ratio = called(answer, _WEIGHTS, _FLIPPED, shape=())
    clean, flipped = _WEIGHTS[:, ~_FLIPPED], _WEIGHTS[:, _FLIPPED]
    if equal(ratio, flipped.mean() / clean.mean()):
        return "turn it over: clean stands above"
    if equal(ratio, (clean.mean(1) / flipped.mean(1)).mean()):
        return "that is a mean of ratios, one an epoch; asked is the ratio of the means of the whole run"
    both = torch.cat([_WEIGHTS, _WEIGHTS[:, :1]], 1), torch.cat([_FLIPPED, _FLIPPED[:1]])
    expected = both[0][:, ~both[1]].mean() / both[0][:, both[1]].mean()
    right = equal(ratio, clean.mean() / flipped.mean()) and equal(called(answer, *both), expected)
    return "" if right else (
        "one mean over the clean samples of all epochs, one over the flipped ones",
        "weights[:, flipped] are the columns of the flipped samples",
        "divide weights[:, ~flipped].mean() by weights[:, flipped].mean()",
    )  # fmt: skip
