"""Graders of chapter 14: choosing γ, c and the delay."""

import math

from robust_lib.course.checks.grading import called, equal, grader, some_of


@grader("14.1")
def _luck_of_two(answer):
    luck = called(answer, 0.006, 20, shape=())
    if equal(luck, 0.006 / math.sqrt(math.pi)):
        return "right for one seed; the mean over n seeds has a spread of σ/√n"
    if equal(luck, 0.006 / math.sqrt(20)):
        return "that is the spread of one mean; the larger of two lies 1/√π of it above the truth"
    if equal(luck, 2 * 0.006 / math.sqrt(20 * math.pi)):
        return "that is how far the larger lies above the smaller; asked is how far above the true value"
    cases = ((0.006, 20), (1.0, 1), (0.1, 3))
    right = all(equal(called(answer, s, n), s / math.sqrt(math.pi * n)) for s, n in cases)
    return "" if right else (
        "how far does one mean over n seeds scatter?",
        "by σ/√n; measure both means in that unit",
        "the larger of two standard normals is 1/√π on average: 1/√π of σ/√n",
    )  # fmt: skip


@grader("14.2")
def _f1_from_planted_flips(answer):
    r, q, eta = 0.8, 0.25, 0.2
    precision = r * eta / q
    if equal(called(answer, r, q, eta, shape=()), precision):
        return "that is the precision; F1 is its harmonic mean with the recall"
    if equal(called(answer, r, q, eta), r * r / q):
        return "that ranks settings without knowing η; with η you can have F1 itself"
    if equal(called(answer, r, q, eta), (precision + r) / 2):
        return "the harmonic mean, not the arithmetic one"
    cases = ((0.8, 0.25, 0.2), (0.5, 0.1, 0.1), (1.0, 0.4, 0.3))
    right = all(equal(called(answer, *case), 2 * case[0] * case[2] / (case[1] + case[2])) for case in cases)
    return "" if right else (
        "of N samples, how many are wrong, how many flagged, how many both?",
        "ηN are wrong and qN flagged; rηN are both",
        "F1 is twice the number of both, divided by wrong plus flagged",
    )  # fmt: skip


@grader("14.3")
def _needs_no_truth(answer):
    honest = {"given accuracy", "flagged share", "estimated rate", "planted recall"}
    oracle = {"f1", "precision", "true accuracy"}
    if hint := some_of(answer, honest | oracle):
        return hint
    if answer == honest - {"planted recall"}:
        return "you know which labels you flipped yourself"
    if answer & oracle:
        return f"to compute {min(answer & oracle)} you must know which labels are wrong"
    return "" if answer == honest else (
        "what do you have: images, labels, a network, flags; what not?",
        "some quantities compare flags or guesses with the labels as they are",
        f"think again of: {min(honest - answer)}",
    )  # fmt: skip
