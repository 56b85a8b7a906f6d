"""Graders of chapter 12: confident learning."""

import numpy as np

from robust_lib.course.checks.grading import called, equal, grader, some_of


@grader("12.1")
def _counts_for(answer):
    p = [[0.5, 0.3, 0.2], [0.2, 0.35, 0.45], [0.4, 0.45, 0.15], [0.34, 0.33, 0.33], [0.1, 0.5, 0.4]]
    p = np.array([*p, [0.31, 0.3, 0.39]])
    cases = {
        (0.25, 0.29, 0.6): [0, 1, 1, 0, 1, 0],
        (0.4, 0.3, 0.6): [0, 1, 1, 1, 1, 1],
        (0.5, 0.45, 0.9): [0, -1, 1, -1, 1, -1],  # two rows count because p equals its threshold
        (0.45, 0.9, 0.9): [0, -1, -1, -1, -1, -1],
    }
    for limits, expected in cases.items():
        above, result = p >= limits, called(answer, p, np.array(limits), shape=(6,))
        if equal(result, expected):
            continue
        if equal(result, np.where(above.any(1), p.argmax(1), -1)) or equal(result, p.argmax(1)):
            return "an image may count for a class that is not its most probable one"
        if equal(result, np.where(above.sum(1) == 1, above.argmax(1), p.argmax(1))):
            return "cleanlab's rule: the most probable class of all, even if it does not qualify itself"
        if equal(result, np.where(above, p, -1).argmax(1)):
            return "an image without any qualifying class counts for none: -1"
        return (
            "which classes qualify in a row? p >= thresholds says so",
            "the arg max must see the qualifying classes only",
            "put -1 where a class does not qualify, take the arg max, and mend the rows without any",
        )
    return ""


@grader("12.2")
def _harmless_rules(answer):
    rules = {"mix", "temperature", "undo", "one-hot", "prior"}
    if hint := some_of(answer, rules):
        return hint
    if "prior" in answer:
        return (
            "dividing by the row's sum scales every row by another number, and the threshold by none of them"
        )
    if answer & {"temperature", "one-hot"}:
        return (
            f"{min(answer & {'temperature', 'one-hot'})} is not a straight line: a mean does not move with it"
        )
    missing = {"mix", "undo"} - answer
    return (
        "which maps move a threshold, a mean of p_j, as they move every p_j?",
        "a p_j + b does, with the same a > 0 and b for all images and classes",
        f"write {min(missing)} in that form",
    ) if missing else ""  # fmt: skip


@grader("12.3")
def _worth_flagging(answer):
    shares = called(answer, 0.8, 0.1, shape=(3,))
    if equal(shares, (0.8, 0.1, 0.5)):
        return "F1 = 2 TP/(F + W): the new flags must beat half of it, for their number adds to F only"
    if equal(shares, (0.4, 0.5, 0.5)):
        return "balanced accuracy weighs a wrong label by 1/W and a right one by 1/R; their ratio is in rate"
    cases = ((0.8, 0.1), (0.5, 0.4), (0.95, 0.02))
    right = all(equal(called(answer, f1, rate), (f1 / 2, rate, 0.5)) for f1, rate in cases)
    return "" if right else (
        "add n flags, a share π of them wrong labels; when does each score rise?",
        "F1 is then 2 (TP + πn)/(F + n + W); plain accuracy gains πn images and loses (1 - π)n",
        "half of F1, the rate, and one half",
    )  # fmt: skip
