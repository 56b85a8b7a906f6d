"""Graders of chapter 16: backbone, loss or filter."""

import numpy as np

from robust_lib.course.checks.grading import called, equal, grader

TABLES = (  # rows: losses, columns: filters
    np.array([[0.62, 0.70, 0.63], [0.70, 0.73, 0.65]]),
    np.array([[0.8, 0.9], [0.9, 0.9], [0.7, 0.75]]),
    np.array([[0.5, 0.6], [0.6, 0.5]]),
)


@grader("16.1")
def _one_change(answer):
    table = np.array([[0.62, 0.70], [0.70, 0.73]])
    if equal(called(answer, table), [0.055, 0.055]):
        return "those are averages over the other choice; start from the cell [0, 0] and change one thing"
    if equal(called(answer, table, shape=(3,)), [0.08, 0.08, 0.16]):
        return "the third is not the sum of the first two: read it off the table"
    for one in (table, np.array([[0.5, 0.9], [0.6, 0.7]])):
        gains = [one[1, 0] - one[0, 0], one[0, 1] - one[0, 0], one[1, 1] - one[0, 0]]
        if not equal(called(answer, one), gains):
            return (
                "start from the cell [0, 0]; which cell has another loss, the same filter?",
                "rows are losses: table[1, 0] changes the loss alone, table[0, 1] the filter alone",
                "three differences from table[0, 0]: of [1, 0], of [0, 1] and of [1, 1]",
            )
    return ""


@grader("16.2")
def _shares(answer):
    table = TABLES[0]
    loss, column = table.mean(1), table.mean(0)
    total = ((table - table.mean()) ** 2).sum()
    unweighted = [((one - table.mean()) ** 2).sum() / total for one in (loss, column)]
    given = called(answer, table, shape=(2,))
    if equal(given, unweighted):
        return "each row mean stands for a whole row of cells: multiply by the number of columns (and rows)"
    if equal(given, _two_shares(table)[::-1]):
        return "both numbers are right; give that of the rows first"
    right = all(equal(called(answer, one), _two_shares(one)) for one in TABLES)
    return "" if right else (
        "how much of the spread is left if every cell is the mean of its row?",
        "the sum of squares of a table with row means in all cells, around the mean of all",
        "divide it by the sum of squares of the table itself; then the same with columns",
    )  # fmt: skip


def _two_shares(table: np.ndarray) -> list[float]:
    total = ((table - table.mean()) ** 2).sum()
    rows, columns = np.broadcast_arrays(table.mean(1, keepdims=True), table.mean(0, keepdims=True))
    return [float(((one - table.mean()) ** 2).sum() / total) for one in (rows, columns)]


@grader("16.3")
def _disagreement(answer):
    if equal(called(answer, 0.1, 0.9, shape=()), 0.1 / (0.1 + 0.9 * 0.1)):
        return "that is the precision; recall is 1 here, so F1 = 2 precision/(precision + 1)"
    if equal(called(answer, 0.2, 0.9), 0.4 / (0.4 + 0.1)):
        return "only right labels can become false alarms, and they are a share 1 - η of all"
    right = all(
        equal(called(answer, eta, a), 2 * eta / (2 * eta + (1 - eta) * (1 - a)))
        for eta, a in ((0.1, 0.9), (0.4, 0.95), (0.2, 1.0))
    )
    return "" if right else (
        "count per image: what share are found errors, what share false alarms?",
        "every error is found; of the 1 - η right labels a share 1 - accuracy is flagged",
        "TP = η, FN = 0, FP = (1 - η)(1 - accuracy); F1 = 2 TP/(2 TP + FP + FN)",
    )  # fmt: skip


@grader("16.4")
def _given_up(answer):
    cases = (([0.86, 0.87, 0.81], [0.62, 0.56, 0.70]), ([1.0, 2.0], [3.0, 5.0]), ([2.0, 1.0], [3.0, 5.0]))
    chosen_on, reported_on = (np.array(one) for one in cases[0])
    if equal(
        called(answer, chosen_on, reported_on, shape=()), chosen_on.max() - chosen_on[reported_on.argmax()]
    ):
        return "choose on the first list, and count the cost on the second"
    if equal(called(answer, chosen_on, reported_on), chosen_on.max() - reported_on[chosen_on.argmax()]):
        return "both scores must be of the second list"
    for first, second in cases:
        first, second = np.array(first), np.array(second)
        if not equal(called(answer, first, second), second.max() - second[first.argmax()]):
            return (
                "which setting is chosen? and what would the best have been?",
                "chosen_on.argmax() is the setting; both scores are of the second list",
                "the best of the second list, less what it has at that setting",
            )
    return ""
