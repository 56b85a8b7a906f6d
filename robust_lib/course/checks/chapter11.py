"""Graders of chapter 11: training on noisy CIFAR."""

import torch

from robust_lib.course.checks.grading import called, equal, grader, one_of
from robust_lib.training import dynamics


@grader("11.1")
def _weight_ratio(answer):
    weights = [[0.9, 0.5, 0.4, 0.2, 0.3], [0.2, 0.1, 0.8, 0.6, 0.5]]
    weights, rates = torch.tensor(weights, dtype=torch.float64), torch.tensor([0.1, 0.02]).double()
    clean = torch.tensor([True, True, False, True, False])
    found = called(answer, weights, clean, rates, shape=())
    right = dynamics.snr(weights, clean, rates)
    if equal(found, 1 / right):
        return "upside down: the right labels' mean weight comes first"
    if equal(found, dynamics.snr(weights, clean, torch.ones(2))):
        return "every epoch counts as much as its learning rate: CV's α_t"
    if equal(found, right * 3 / 2):
        return "those are sums; divide each by the number of its labels"
    return "" if equal(found, right) else (
        "first make one number for each sample; then two means; then divide",
        "add up a sample's weights over the epochs, each times the rate of its epoch",
        "(rates[:, None] * weights).sum(0) has one number for each sample; [clean] picks the right labels",
    )  # fmt: skip


@grader("11.2")
def _total_pull(answer):
    found = called(answer, 0.5, 0.4, shape=())
    if equal(found, 0.5 * 0.4 / 0.6):
        return "upside down: there are 1 - η right labels for every η wrong ones"
    if equal(found, 0.5):
        return "that is one label against one; how many are there of each?"
    right = all(equal(called(answer, s, r), s * (1 - r) / r) for s, r in ((0.5, 0.4), (2.0, 0.8), (1.0, 0.1)))
    return "" if right else (
        "a total is a mean times a number of labels",
        "of N labels (1 - η)N are right and ηN are wrong",
        "snr is the ratio of the means; multiply it by the ratio of the two numbers",
    )  # fmt: skip


@grader("11.3")
def _which_is_learned(answer):
    if hint := one_of(answer, ("symmetric", "look-alikes", "human-like")):
        return hint
    return "" if answer == "look-alikes" else (
        "this head has numbers enough for a rule; what is a rule for the wrong labels of one class?",
        "under which noise do all wrong labels of a class say the same?",
        "symmetric errors of a class go nine ways, people's errors several; the third kind goes one way",
    )  # fmt: skip


@grader("11.4")
def _fewer_images(answer):
    if hint := one_of(answer, ("about 2", "about 10", "about 40")):
        return hint
    return "" if answer == "about 40" else (
        "compare the number of the head's parameters with the number of wrong labels",
        "2,570 weights and biases; 1,000 images, about 400 of them with a wrong label",
        "the head can learn every one of these labels: what share of its training labels is then wrong?",
    )  # fmt: skip
