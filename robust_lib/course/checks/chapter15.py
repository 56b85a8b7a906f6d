"""Graders of chapter 15: human noise and verdicts."""

import math

from robust_lib.course.checks.grading import called, equal, grader


@grader("15.1")
def _worst_and_majority(answer):
    worst, majority = called(answer, 0.2, shape=(2,))
    if equal(majority, 3 * 0.2**2 * 0.8):
        return "that is exactly two wrong; all three wrong is a majority too"
    if equal([majority, worst], [1 - 0.8**3, 3 * 0.2**2 * 0.8 + 0.2**3]):
        return "both numbers are right; give that of at least one first"
    if equal([worst, majority], [0.2**3, 3 * 0.2**2 * 0.8 + 0.2**3]):
        return "the first is that all three err; asked is that at least one does"
    cases = {e: (1 - (1 - e) ** 3, 3 * e**2 * (1 - e) + e**3) for e in (0.0, 0.1, 0.2, 0.5, 1.0)}
    right = all(equal(called(answer, e), values) for e, values in cases.items())
    return "" if right else (
        "the number of wrong labels among three is binomial",
        "at least one is wrong unless all three are right",
        "1 - (1 - e)^3, and two wrong (three ways) plus three wrong",
    )  # fmt: skip


@grader("15.2")
def _precision_bounds(answer):
    if equal(called(answer, 20, 30, 50, shape=(2,)), [0.4, 0.4]):
        return "that leaves out the images without a verdict; they are on the list and may be either"
    if equal(called(answer, 20, 30, 50), [0.7, 0.2]):
        return "both numbers are right; give the lower one first"
    for wrong, upheld, unjudged in ((20, 30, 50), (5, 0, 0), (0, 7, 3), (1, 1, 98)):
        n = wrong + upheld + unjudged
        if not equal(called(answer, wrong, upheld, unjudged), [wrong / n, (wrong + unjudged) / n]):
            return (
                "precision is the share of wrong labels in the whole list",
                "an image without a verdict may be right or wrong; take each for all of them",
                "wrong over all three, and wrong plus unjudged over all three",
            )
    return ""


@grader("15.3")
def _called_wrong(answer):
    def below_three(s):
        return sum(math.comb(5, k) * s**k * (1 - s) ** (5 - k) for k in range(3))

    if equal(called(answer, 0.7, shape=(2,)), [0.3**5, 1 - below_three(0.7)]):
        return "the second is the probability of being upheld"
    if equal(called(answer, 0.7), [below_three(0.7), 0.3**5]):
        return "both numbers are right; give that of the lenient rule first"
    right = all(equal(called(answer, s), [(1 - s) ** 5, below_three(s)]) for s in (0.0, 0.3, 0.5, 0.7, 1.0))
    return "" if right else (
        "the number of judges who see the label is binomial, with five draws",
        "nobody: (1 - s)^5; fewer than three: none, one or two",
        "math.comb(5, k) s^k (1 - s)^(5 - k), summed over k = 0, 1, 2",
    )  # fmt: skip
