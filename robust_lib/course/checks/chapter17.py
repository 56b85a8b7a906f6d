"""Graders of chapter 17: your own data."""

import math

import numpy as np

from robust_lib.course.checks.grading import called, equal, grader, rounded_up

# Each slip below has a share of its own among the first four.
_RANKING = np.array([1, 5, 2, 4, 7, 6, 0, 8, 3])
_WRONG = np.array([0, 1, 1, 0, 0, 1, 0, 1, 0], dtype=bool)


@grader("17.1")
def _precision_at(answer):
    first = called(answer, _RANKING, _WRONG, 4, shape=())
    if equal(first, 3):
        return "that is how many are wrong; divide by k"
    if equal(first, _WRONG[:4].mean()):
        return "those are the first k samples; take the first k of the ranking: wrong[ranking[:k]]"
    if equal(first, _WRONG[_RANKING[-4:]].mean()):
        return "the most suspicious come first in the ranking"
    cases = {1: 1, 3: 1, 4: 3 / 4, 9: 4 / 9}
    if all(equal(called(answer, _RANKING, _WRONG, k), value * k / 4) for k, value in cases.items()):
        return "that is recall, the share of all wrong labels that are found; divide by k instead"
    right = all(equal(called(answer, _RANKING, _WRONG, k), value) for k, value in cases.items())
    return "" if right else (
        "ranking[:k] are the positions of the first k",
        "wrong[ranking[:k]] says which of these are wrong",
        "the share is the mean of that bool array",
    )  # fmt: skip


@grader("17.2")
def _images_to_look_at(answer):
    number = called(answer, 0.1, shape=())
    if equal(number, 25):
        return "one standard error covers only two cases in three; 95 % takes 1.96 of them"
    if rounded_up(number, (1.96 / 0.1) ** 2):
        return "p(1-p) is at most a quarter, at p = 1/2; use that"
    if equal(number, 0.25 * (1.96 / 0.1) ** 2) or equal(number, 96):
        return "nearly: you cannot look at a part of an image, so round up"
    right = all(
        equal(called(answer, e), math.ceil(0.25 * (1.96 / e) ** 2 - 1e-9)) for e in (0.03, 0.05, 0.1, 0.2)
    )
    return "" if right else (
        "at which p is p(1-p) largest?",
        "p = 1/2 needs most: 1.96 sqrt(0.25/n) must be e or less",
        "solve for n: 0.25 (1.96/e)^2, rounded up",
    )  # fmt: skip


@grader("17.3")
def _fewer_wrong(answer):
    cases = [(0.9, 0.05), (0.3, 0.05), (0.05, 0.05), (0.02, 0.1)]
    given = [called(answer, p, m, shape=()) for p, m in cases]

    def is_always(value) -> bool:
        return all(equal(one, value(p, m)) for one, (p, m) in zip(given, cases, strict=True))

    if is_always(lambda p, m: p * (1 - m)):
        return "that is what is mended; a mistake on a right label makes a wrong one"
    if is_always(lambda p, m: p * (1 - m) - m):
        return "a mistake makes a wrong label only where the label was right: (1 - p) m"
    if is_always(lambda p, m: m - p):
        return "that is how many more are wrong; how many fewer is asked for"
    return "" if is_always(lambda p, m: p - m) else (
        "count two things: wrong labels that are mended, and right ones that are spoilt",
        "p (1 - m) labels are mended for each one looked at",
        "and (1 - p) m are spoilt; subtract",
    )  # fmt: skip


@grader("17.4")
def _gpu_hours(answer):
    given, hours = (1_000_000, 15, 5, 24.0, 30.0), 1e6 * 15 * 4 * 24e9 / 30e12 / 3600
    result = called(answer, *given, shape=())
    if equal(result, hours * 5 / 4):
        return "each fold trains on folds - 1 parts of the images, not on all of them"
    if equal(result, hours * 3600):
        return "those are seconds"
    if equal(result, hours * 1000) or equal(result, hours / 1000):
        return "mind the units: one TFLOP is 1,000 GFLOP"
    if equal(result, hours / 5):
        return "that is one fold; there are `folds` of them"
    other = (50_000, 10, 2, 7.0, 12.0)
    right = equal(result, hours) and equal(called(answer, *other), 5e4 * 10 * 7e9 / 12e12 / 3600)
    return "" if right else (
        "count the trained images first: each fold trains on which of them?",
        "folds times a share (folds - 1)/folds of the images, in every epoch",
        "images × (folds - 1) × epochs × operations each, by operations a second, by 3600",
    )  # fmt: skip
