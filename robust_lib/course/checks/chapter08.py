"""Graders of chapter 08: label noise, its rates and its matrices."""

import math

from robust_lib.course.checks.grading import called, equal, grader, rounded_up, some_of


@grader("08.1")
def _inclusive(answer):
    realised, asked = called(answer, 0.4, 10, shape=(2,))
    if equal([asked, realised], [0.36, 0.4 / 0.9]):
        return "the order is: what you get when you ask for the rate, then what to ask for to get it"
    if equal(realised, 0.4) or equal(realised, 0.4 * 9):
        return "one of the K classes that the new label may be is the true one"
    if equal(realised, 0.36) and equal(asked, 0.4 * 11 / 10):
        return "for the second number turn the first around: divide by (K - 1)/K"
    cases = [
        (rate, k, (rate * (k - 1) / k, rate * k / (k - 1))) for rate, k in ((0.4, 10), (0.2, 2), (0.6, 100))
    ]
    right = all(equal(called(answer, rate, k), values) for rate, k, values in cases)
    return "" if right else (
        "with probability `rate` a label is drawn anew; how likely is a new label to be a wrong one?",
        "K - 1 of the K classes that may be drawn are wrong",
        "you get rate (K - 1)/K; the second number turns that around",
    )  # fmt: skip


@grader("08.2")
def _cut_off(answer):
    result = called(answer, 0.3, 499, 100, shape=())
    if equal(result, 0.3):
        return "499 · 0.3/99 is 1.5 images for each wrong class, and int() makes it 1"
    if equal(result, math.floor(499 * 0.3) / 499):
        return "the number is cut off for each wrong class, not once for the class"
    if equal(result, 1) or equal(result, 99):
        return "that is a number of images; divide by those of the class"
    cases = ((0.3, 500, 100), (0.1, 500, 100), (0.6, 500, 100), (0.35, 5000, 10), (0.5, 30, 3))
    right = all(equal(called(answer, r, n, k), int(n * r / (k - 1)) * (k - 1) / n) for r, n, k in cases)
    return "" if right else (
        "how many images of one class get one particular wrong label?",
        "int() cuts off images · rate/(K - 1), once for each of the K - 1 wrong classes",
        "K - 1 times int(images · rate/(K - 1)), divided by the images of the class",
    )  # fmt: skip


@grader("08.3")
def _depends_on_the_image(answer):
    choices = {f"{what} {kind}" for what in ("whether", "where") for kind in ("human matrix", "Xia", "doubt")}
    if hint := some_of(answer, choices):
        return hint
    if answer & {"whether human matrix", "where human matrix"}:
        return "labels drawn from a matrix look at the class and at nothing else, whoever the matrix is from"
    if "whether Xia" in answer:
        return "where does q come from in Xia's recipe? Compare the AUROC above"
    missing = {"where Xia", "whether doubt", "where doubt"} - answer
    return (
        "do two different cats have the same row? the same entry at \"cat\"?",
        "a row for each image can say whether, where, or both; go through the two recipes",
        f"think again of: {min(missing)}",
    ) if missing else ""  # fmt: skip


@grader("08.4")
def _as_hard(answer):
    margin, odds = called(answer, 0.4, 10, shape=(2,))
    wanted = [2 / 9, 0.4 / 9 / (0.4 / 9 + 0.6)]
    if equal([margin, odds], wanted[::-1]):
        return "both numbers are right; give that of equal margins first"
    if equal(margin, wanted[0]) and not equal(odds, wanted[1]):
        return "equal ratios: η'/(1 - η') must be the uniform noise's η/(K - 1) divided by 1 - η"
    cases = ((0.4, 10), (0.2, 10), (0.6, 100), (0.3, 2))
    right = all(
        equal(called(answer, eta, k), (eta * k / (k - 1) / 2, eta / (eta + (k - 1) * (1 - eta))))
        for eta, k in cases
    )
    return "" if right else (
        "write the margin and the ratio of pair noise, and those of uniform noise",
        "pair noise of rate η' has the margin 1 - 2η' and the ratio (1 - η')/η'",
        "solve 1 - 2η' = 1 - η - η/(K - 1), and (1 - η')/η' = (1 - η)(K - 1)/η",
    )  # fmt: skip


@grader("08.5")
def _trusted(answer):
    result = called(answer, 0.2, 0.021, shape=())
    if rounded_up(result, 0.16 / 0.021) or rounded_up(result, 0.4 / 0.021):
        return "the variance falls as 1/m, so the standard deviation as 1/√m"
    if rounded_up(result, 0.2 / 0.021**2):
        return "the variance of one draw is T(1 - T)"
    cases = {(0.2, 0.021): 363, (0.5, 0.011): 2067, (0.05, 0.012): 330, (0.1, 0.07): 19}
    for given, images in cases.items():
        found = called(answer, *given)
        if equal(found, images - 1) or equal(found, given[0] * (1 - given[0]) / given[1] ** 2):
            return "a whole number of images, and enough of them: round up"
        if not abs(found - images) <= 1e-6:  # NaN is no answer
            return (
                "the number of images with label j among m is binomial",
                "the share of them scatters by √(T(1 - T)/m)",
                "solve √(T(1 - T)/m) = error for m, and round up",
            )
    return ""
