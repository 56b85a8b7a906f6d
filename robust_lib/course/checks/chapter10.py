"""Graders of chapter 10: schedules and early stopping."""

from robust_lib.course.checks.grading import called, equal, grader


@grader("10.1")
def _three_times_as_long(answer):
    if answer not in ("stays", "rises", "falls"):
        return 'give one of "stays", "rises", "falls"'
    if answer == "falls":
        return ""
    return "in its first hundred epochs this run spends as much as ten epochs at ten times the rate"


@grader("10.2")
def _cosine_of_the_same_sum(answer):
    for epochs in (10, 50, 200):
        found = called(answer, epochs)
        if equal(found, epochs):
            return "a cosine from the same rate spends less in an epoch, so it takes more epochs"
        if equal(found, epochs / 2):
            return "that is what so many epochs of a cosine are worth; the question is the other way round"
        if not (equal(found, 2 * epochs - 1) or equal(found, 2 * epochs)):
            return "the mean of (1 + cos(πe/E))/2 over e = 0 … E - 1 is close to one half"
    return ""


@grader("10.3")
def _accuracy_behind_the_noise(answer):
    for clean, eta, classes in ((0.8, 0.4, 10), (0.9, 0.2, 2), (0.5, 0.6, 100)):
        noisy = (1 - eta) * clean + eta / (classes - 1) * (1 - clean)
        found = called(answer, noisy, eta, classes)
        if equal(found, noisy / (1 - eta)):
            return "a wrong prediction can meet a flipped label, too: with which probability?"
        if equal(found, (noisy - eta / classes) / (1 - eta)):
            return "the noise of this course flips to one of the K - 1 others, never to the label itself"
        if not equal(found, clean):
            return "noisy = (1 - η) clean + η/(K - 1) (1 - clean); solve that for clean"
    return ""


@grader("10.4")
def _kept_epoch(answer):
    held = [0.3, 0.5, 0.45, 0.48, 0.4, 0.6, 0.1]
    kept = called(answer, held, 3)
    if equal(kept, 6):
        return "training had ended before epoch 6: three epochs without a new best went by"
    if equal(kept, 1):
        return "epochs count from 1"
    if equal(kept, 5):
        return "that is the epoch in which training ends; the best one is kept"
    if equal(kept, 2) and equal(called(answer, held, 4), 6) and equal(called(answer, [0.4, 0.2], 5), 1):
        return ""
    return "go through the epochs, remember the best; end when `patience` epochs since then were no better"
