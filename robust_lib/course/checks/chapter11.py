"""Graders of chapter 11: training on noisy CIFAR."""

import torch

from robust_lib.course.checks.grading import called, equal, grader
from robust_lib.training import dynamics

KINDS = ("symmetric", "look-alikes", "human-like")


@grader("11.1")
def _weight_ratio(answer):
    weights = torch.tensor([[0.9, 0.5, 0.4, 0.2], [0.2, 0.1, 0.8, 0.6]], dtype=torch.float64)
    clean, rates = torch.tensor([True, True, False, True]), torch.tensor([0.1, 0.02], dtype=torch.float64)
    found = called(answer, weights, clean, rates)
    right = dynamics.snr(weights, clean, rates)
    if equal(found, 1 / right):
        return "upside down: the right labels' mean weight comes first"
    if equal(found, dynamics.snr(weights, clean, torch.ones(2))):
        return "every epoch counts as much as its learning rate: CV's α_t"
    if equal(found, right * 3):
        return "those are sums; divide each by the number of its labels"
    return "" if equal(found, right) else "mean over the right labels divided by mean over the wrong ones"


@grader("11.2")
def _total_pull(answer):
    found = called(answer, 0.5, 0.4)
    if equal(found, 0.5 * 0.4 / 0.6):
        return "upside down: there are 1 - η right labels for every η wrong ones"
    if equal(found, 0.5):
        return "that is one label against one; how many are there of each?"
    right = all(equal(called(answer, s, r), s * (1 - r) / r) for s, r in ((0.5, 0.4), (2.0, 0.8), (1.0, 0.1)))
    return "" if right else "multiply each mean weight by the number of its labels"


@grader("11.3")
def _which_is_learned(answer):
    if answer not in KINDS:
        return f"give one of {', '.join(KINDS)}"
    if answer == "symmetric":
        return "each class's symmetric errors go nine ways, and no direction wins"
    hint = "people's errors are spread over several classes; where do all errors of a class go the same way?"
    return "" if answer == "look-alikes" else hint


@grader("11.4")
def _fewer_images(answer):
    if answer not in ("about 2", "about 10", "about 40"):
        return 'give one of "about 2", "about 10", "about 40"'
    hint = "count: 2,570 weights and biases for 1,000 images, about 400 of them with a wrong label"
    return "" if answer == "about 40" else hint
