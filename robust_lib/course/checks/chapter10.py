"""Graders of chapter 10: schedules and early stopping."""

from robust_lib.course.checks.grading import called, equal, grader, one_of


@grader("10.1")
def _three_times_as_long(answer):
    if hint := one_of(answer, ("stays", "rises", "falls")):
        return hint
    return "" if answer == "falls" else (
        "how many epochs at 0.01 have the same sum of rates as 300 epochs at 0.001?",
        "in its first hundred epochs this run spends as much as ten epochs at ten times the rate",
        "look in Figure 10.2 at the test accuracy of the rate 0.01 after thirty epochs",
    )  # fmt: skip


@grader("10.2")
def _cosine_of_the_same_sum(answer):
    if equal(called(answer, 50, shape=()), 50):
        return "a cosine from the same rate spends less in an epoch, so it takes more epochs"
    if equal(called(answer, 50), 25):
        return "that is what so many epochs of a cosine are worth; the question is the other way round"
    given = {epochs: called(answer, epochs) for epochs in (10, 50, 200)}
    right = all(equal(found, 2 * n - 1) or equal(found, 2 * n) for n, found in given.items())
    return "" if right else (
        "what is the mean of cos(πe/E) over a whole run, nearly?",
        "the cosine runs from 1 to -1, so its mean is close to 0; put that into the formula of the rate",
        "the mean rate is then half of the first one: how many epochs at half the rate?",
    )  # fmt: skip


@grader("10.3")
def _accuracy_behind_the_noise(answer):
    def noisy(clean, eta, classes):
        return (1 - eta) * clean + eta / (classes - 1) * (1 - clean)

    shown = noisy(0.8, 0.4, 10)
    found = called(answer, shown, 0.4, 10, shape=())
    if equal(found, shown / (1 - 0.4)):
        return "a wrong prediction can meet a flipped label, too: with which probability?"
    if equal(found, (shown - 0.4 / 10) / (1 - 0.4)):
        return "the noise of this course flips to one of the K - 1 others, never to the label itself"
    cases = ((0.8, 0.4, 10), (0.9, 0.2, 2), (0.5, 0.6, 100))
    right = all(equal(called(answer, noisy(*case), *case[1:]), case[0]) for case in cases)
    return "" if right else (
        "in which two ways can a prediction agree with a noisy label?",
        "a right prediction meets an unflipped label with probability 1 - η, a wrong one meets its own "
        "class among the flipped labels with probability η/(K - 1)",
        "noisy = (1 - η) clean + η/(K - 1) (1 - clean); solve that for clean",
    )  # fmt: skip


@grader("10.4")
def _kept_epoch(answer):
    held = [0.3, 0.5, 0.45, 0.48, 0.4, 0.2, 0.6, 0.1]
    kept = called(answer, held, 3, shape=())
    if equal(kept, 7):
        return "training had ended before epoch 7: three epochs without a new best went by"
    if equal(kept, 1) or equal(kept, 6):
        return "epochs count from 1, and training ends once three in a row were no better"
    if equal(kept, 5):
        return "that is the epoch in which training ends; the best one is kept"
    level, rising = [0.5, 0.5, 0.5, 0.6], [0.3, 0.2, 0.5, 0.4, 0.6]
    if equal(called(answer, level, 2), 4):
        return "as good is no better: only a larger value makes a new best one"
    if equal(called(answer, rising, 2), 3):
        return "in a row: the count begins anew with each new best one"
    cases = ((held, 3, 2), (held, 5, 7), ([0.4, 0.2], 5, 1), (level, 2, 1), (rising, 2, 5))
    right = all(equal(called(answer, row, patience), epoch) for row, patience, epoch in cases)
    return "" if right else (
        "go through the epochs in order; what must be remembered from one to the next?",
        "remember the best value and its epoch, and compare each epoch with them",
        "end when `patience` epochs since the best one were no better; return the best one's number",
    )  # fmt: skip
