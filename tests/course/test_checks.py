"""Exercise checks: every grader tells right from wrong from not attempted, and solutions pass."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from robust_lib import losses
from robust_lib.course import checks
from robust_lib.course.checks import grading
from robust_lib.losses import weights


def kept_epoch(held, patience):
    """Early stopping: the best epoch when `patience` epochs in a row were no better."""
    best = 0
    for epoch, value in enumerate(held):
        if value > held[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best + 1


# exercise: (a right answer, a wrong one, words of the hint it must get)
ANSWERS = {
    "01.1": (lambda p: 2 * p * (1 - p) ** 2, lambda p: 2 * (1 - p), "still has to be multiplied in"),
    "01.2": (lambda q: q / (1 + q), lambda q: q**q / (1 + q) ** (1 + q), "that is a weight"),
    "01.3": (
        {"mae", "gce", "blurry", "blurry stopped", "piecewise_zero"},
        {"mae", "gce", "focal", "blurry", "blurry stopped", "piecewise_zero"},
        "small for learned samples",
    ),
    "01.4": (
        lambda p, c: torch.where(p > c, -p.log(), 0.0),
        lambda p, c: (p > c).double(),
        "where the loss is on",
    ),
    "02.1": (
        lambda K, rate: torch.full((K, K), rate / (K - 1)).fill_diagonal_(1 - rate),
        lambda K, rate: torch.eye(K) * (1 - rate) + rate / K,
        "one of the nine others",
    ),
    "02.2": (
        lambda scores, labels: torch.logit(scores.softmax(1)[range(len(labels)), labels]),
        lambda scores, labels: scores.log_softmax(1)[range(len(labels)), labels],
        "that is log p_y",
    ),
    "02.3": (
        lambda w, flipped: w[:, ~flipped].mean() / w[:, flipped].mean(),
        lambda w, flipped: (w[:, ~flipped].mean(1) / w[:, flipped].mean(1)).mean(),
        "the ratio of the means",
    ),
    "03.2": (
        lambda peak: losses.gce(q=peak / (1 - peak)),
        lambda peak: losses.mae(),
        "peaks at p_y = 0.5",
    ),
    "04.1": (
        lambda p, A: (1 / (A + p.log()).sum(), len(p) * (A + p[0].log()) / (A + p.log()).sum()),
        lambda p, A: (-1 / p.log().sum(), len(p) * p[0].log() / p.log().sum()),
        "those are NCE's",
    ),
    "04.2": (lambda K: (K + 1) / (2 * K), lambda K: 0.5 + 1 / K**2, "right for K = 2; try K = 10"),
    "04.3": ([0.91] + [0.01] * 9, [0.1] * 10, "which samples broke it"),
    "03.1": (
        lambda alpha, beta: -math.log(1e-4) * beta / (alpha - math.log(1e-4) * beta),
        lambda alpha, beta: beta / (alpha + beta),
        "A times MAE",
    ),
    "06.1": (
        lambda table: table - table.mean(1, keepdim=True),
        lambda table: table / table.sum(1, keepdim=True),
        "still depends on the label",
    ),
    "06.2": (lambda eta, K: 1 / (1 - eta * K / (K - 1)), lambda eta, K: 1 / (1 - eta), "not 1 - η"),
    "05.1": (
        lambda K, rate: (1 - rate) * torch.eye(K) + rate * torch.eye(K).roll(1, dims=1),
        lambda K, rate: (1 - rate) * torch.eye(K) + rate * torch.eye(K).roll(-1, dims=1),
        "turned over",
    ),
    "05.2": (
        lambda table, labels, T: (T[labels] * table).sum(1).mean(),
        lambda table, labels, T: (T[labels] * table).sum(),
        "a mean over the samples",
    ),
    "05.3": (
        lambda a, q, K: 1 / (1 + (1 + 1 / a) ** (1 - q) / (K - 1)),
        lambda a, q, K: (1 + 1 / a) ** (q - 1),
        "that is the noise ratio",
    ),
    "07.1": (
        lambda clean, flipped: (-1 / math.log(flipped), -1 / math.log(clean)),
        lambda clean, flipped: (-1 / math.log(clean), -1 / math.log(flipped)),
        "the smaller one first",
    ),
    "07.2": (
        lambda gamma, K: max(0.0, math.log(K - 1) - 1 / gamma - math.log(1 - math.exp(-1 / gamma))),
        lambda gamma, K: math.log(K - 1) - 1 / gamma - math.log(1 - math.exp(-1 / gamma)),
        "no bias is needed",
    ),
    "07.3": (
        {
            "ce": "right",
            "mae": "right",
            "blurry": "wrong",
            "blurry stopped": "right",
            "piecewise_zero": "none",
        },
        {
            "ce": "right",
            "mae": "none",
            "blurry": "wrong",
            "blurry stopped": "right",
            "piecewise_zero": "none",
        },
        "it is not zero",
    ),
    "08.1": (
        lambda rate, K: (rate * (K - 1) / K, rate * K / (K - 1)),
        lambda rate, K: (rate * (K - 1) / K, rate * (K + 1) / K),
        "turn the first around",
    ),
    "08.2": (
        lambda rate, images, K: int(images * rate / (K - 1)) * (K - 1) / images,
        lambda rate, images, K: rate,
        "int() makes it 1",
    ),
    "08.3": (
        {"where Xia", "whether doubt", "where doubt"},
        {"whether Xia", "where Xia", "whether doubt", "where doubt"},
        "where does q come from",
    ),
    "08.4": (
        lambda eta, K: (eta * K / (K - 1) / 2, eta / (eta + (K - 1) * (1 - eta))),
        lambda eta, K: (eta * K / (K - 1) / 2, eta / (K - 1)),
        "equal ratios",
    ),
    "08.5": (
        lambda t, error: math.ceil(t * (1 - t) / error**2),
        lambda t, error: t * (1 - t) / error,
        "the standard deviation as 1/√m",
    ),
    "09.1": (
        lambda K, sigma: (
            weights.expected_margin(10, sigma) / weights.expected_margin(K, sigma),
            weights.expected_margin(10, sigma) - weights.expected_margin(K, sigma),
        ),
        lambda K, sigma: (
            weights.expected_margin(10, sigma) / weights.expected_margin(K, sigma),
            weights.expected_margin(K, sigma) - weights.expected_margin(10, sigma),
        ),
        "a is right; b has the wrong sign",
    ),
    "09.2": ("more", "fewer", "a larger step lifts the kept classes too"),
    "09.3": (lambda K: K * math.log(K), lambda K: math.log(K), "that is -log p_y, the numerator"),
    "09.4": (
        lambda norms, rates: sum(n * r for n, r in zip(norms, rates, strict=True)) / sum(rates),
        lambda norms, rates: sum(norms) / len(norms),
        "that is the plain mean",
    ),
    "09.5": (
        lambda K, tau: abs(weights.expected_margin(K)) - tau,
        lambda K, tau: abs(weights.expected_margin(K)) * tau,
        "C.1.1's misprint",
    ),
    "11.1": (
        lambda weights, clean, rates: (rates @ weights)[clean].mean() / (rates @ weights)[~clean].mean(),
        lambda weights, clean, rates: weights[:, clean].mean() / weights[:, ~clean].mean(),
        "every epoch counts as much as its learning rate",
    ),
    "11.2": (lambda snr, rate: snr * (1 - rate) / rate, lambda snr, rate: snr, "one label against one"),
    "11.3": ("look-alikes", "symmetric", "numbers enough for a rule"),
    "11.4": ("about 40", "about 2", "compare the number of the head's parameters"),
    "15.1": (
        lambda e: (1 - (1 - e) ** 3, 3 * e**2 * (1 - e) + e**3),
        lambda e: (1 - (1 - e) ** 3, 3 * e**2 * (1 - e)),
        "exactly two wrong",
    ),
    "15.2": (
        lambda wrong, upheld, unjudged: (
            wrong / (wrong + upheld + unjudged),
            (wrong + unjudged) / (wrong + upheld + unjudged),
        ),
        lambda wrong, upheld, unjudged: [wrong / (wrong + upheld)] * 2,
        "leaves out the images without a verdict",
    ),
    "15.3": (
        lambda s: ((1 - s) ** 5, sum(math.comb(5, k) * s**k * (1 - s) ** (5 - k) for k in range(3))),
        lambda s: ((1 - s) ** 5, sum(math.comb(5, k) * s**k * (1 - s) ** (5 - k) for k in range(3, 6))),
        "the probability of being upheld",
    ),
    "14.2": (
        lambda r, q, eta: 2 * r * eta / (q + eta),
        lambda r, q, eta: r * eta / q,
        "that is the precision",
    ),
    "14.1": (
        lambda spread, seeds: spread / math.sqrt(math.pi * seeds),
        lambda spread, seeds: spread / math.sqrt(math.pi),
        "right for one seed",
    ),
    "14.3": (
        {"given accuracy", "flagged share", "estimated rate", "planted recall"},
        {"given accuracy", "f1"},
        "you must know which labels are wrong",
    ),
    "16.1": (
        lambda table: (table[1, 0] - table[0, 0], table[0, 1] - table[0, 0], table[1, 1] - table[0, 0]),
        lambda table: (np.ptp(table.mean(1)), np.ptp(table.mean(0))),
        "averages over the other choice",
    ),
    "16.2": (
        lambda table: [
            ((np.broadcast_to(table.mean(axis, keepdims=True), table.shape) - table.mean()) ** 2).sum()
            / ((table - table.mean()) ** 2).sum()
            for axis in (1, 0)
        ],
        lambda table: [
            ((table.mean(axis) - table.mean()) ** 2).sum() / ((table - table.mean()) ** 2).sum()
            for axis in (1, 0)
        ],
        "a whole row of cells",
    ),
    "16.3": (
        lambda eta, accuracy: 2 * eta / (2 * eta + (1 - eta) * (1 - accuracy)),
        lambda eta, accuracy: eta / (eta + (1 - eta) * (1 - accuracy)),
        "that is the precision",
    ),
    "16.4": (
        lambda chosen_on, reported_on: reported_on.max() - reported_on[chosen_on.argmax()],
        lambda chosen_on, reported_on: chosen_on.max() - reported_on[chosen_on.argmax()],
        "both scores must be of the second list",
    ),
    "17.1": (
        lambda ranking, wrong, k: wrong[ranking[:k]].mean(),
        lambda ranking, wrong, k: wrong[ranking[:k]].sum() / wrong.sum(),
        "that is recall",
    ),
    "17.2": (lambda e: math.ceil((0.98 / e) ** 2), lambda e: math.ceil((0.5 / e) ** 2), "95 % takes 1.96"),
    "17.3": (lambda p, m: p - m, lambda p, m: p * (1 - m), "makes a wrong one"),
    "17.4": (
        lambda images, epochs, folds, gflop, tflops: (
            images * (folds - 1) * epochs * gflop / 1000 / tflops / 3600
        ),
        lambda images, epochs, folds, gflop, tflops: images * folds * epochs * gflop / 1000 / tflops / 3600,
        "folds - 1 parts",
    ),
    "10.1": ("falls", "stays", "the same sum of rates as 300 epochs"),
    "10.2": (lambda epochs: 2 * epochs - 1, lambda epochs: epochs / 2, "the other way round"),
    "10.3": (
        lambda noisy, eta, K: (noisy - eta / (K - 1)) / (1 - eta - eta / (K - 1)),
        lambda noisy, eta, K: noisy / (1 - eta),
        "can meet a flipped label",
    ),
    "10.4": (kept_epoch, lambda held, patience: held.index(max(held)) + 1, "training had ended"),
    "12.1": (
        lambda p, t: np.where((p >= t).any(1), np.where(p >= t, p, -1).argmax(1), -1),
        lambda p, t: np.where((p >= t).sum(1) == 1, (p >= t).argmax(1), p.argmax(1)),
        "even if it does not qualify itself",
    ),
    "12.3": (
        lambda f1, rate: (f1 / 2, rate, 0.5),
        lambda f1, rate: (f1, rate, 0.5),
        "must beat half of it",
    ),
    "12.2": ({"mix", "undo"}, {"mix", "temperature"}, "not a straight line"),
    "13.1": (lambda K: 2 * K / (2 * K + 1), lambda K: K / (K + 1), "that is the recall"),
    "13.3": (
        {"AUM", "threshold", "Wasserstein"},
        {"AUM", "threshold", "Wasserstein", "Cohen's d"},
        "so does the standard deviation",
    ),
    "13.2": (
        lambda images, K, eta: round(images * eta / (K - 1 + eta)),
        lambda images, K, eta: images * eta / (K - 1),
        "takes its share from the wrong labels",
    ),
    "18.1": ({"size", "network", "recipe"}, {"size", "network", "noise"}, "noise is the same in both plans"),
    "18.2": (
        lambda d: "holds" if min(d) > 0 else "reversed" if max(d) < 0 else "mixed",
        lambda d: "holds" if min(d) >= 0 else "reversed" if max(d) < 0 else "mixed",
        "a tie speaks for neither",
    ),
    "18.3": (lambda n: 2 * 0.5**n, lambda n: 0.5**n, "that is 'holds' alone"),
    "18.4": (
        {"BL > CE": "holds", "PZ > CE": "mixed", "PZ > BL": "mixed"},
        {"BL > CE": "holds", "PZ > CE": "holds", "PZ > BL": "mixed"},
        "not right yet: 1 of the three",
    ),
    "18.5": (
        lambda forward, images, epochs, folds: 3 * forward * images * epochs * (folds - 1),
        lambda forward, images, epochs, folds: 3 * forward * images * epochs * folds,
        "no network sees its own fold",
    ),
}


def test_every_exercise_is_tested_here():
    assert set(ANSWERS) == set(checks.GRADERS)


@pytest.mark.parametrize("exercise", ANSWERS)
def test_right_wrong_and_not_attempted(exercise, capsys):
    right, wrong, hint = ANSWERS[exercise]
    assert checks.check(exercise, right) == "right"
    assert checks.check(exercise, wrong) == "wrong"
    assert hint in capsys.readouterr().out
    assert checks.check(exercise, ...) == checks.check(exercise, None) == "not attempted"
    if callable(right):
        assert checks.check(exercise, lambda *_: ...) == "not attempted"


def test_a_number_that_is_none_is_no_answer():
    assert checks.check("08.5", lambda t, error: float("nan")) == "wrong"


@pytest.mark.parametrize(
    "answer", [lambda norms, rates: (norms * rates).sum() / rates.sum(), ANSWERS["09.4"][0]]
)
def test_what_is_given_can_be_summed_by_torch_and_by_hand(answer):
    assert checks.check("09.4", answer) == "right"


def test_an_answer_that_raises_is_wrong_and_says_why(capsys):
    assert checks.check("01.1", lambda p: p / undefined) == "wrong"  # noqa: F821
    assert "raised NameError" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        ("01.4", lambda p, c: -p.log() if p > c else 0.0, "torch.where(condition, a, b)"),
        ("01.1", lambda p: max(p, 0.1), "`max` decide about one number, and here are many"),
        ("12.1", lambda p, t: p.argmax(1) if p >= t else -1, "np.where for arrays"),
        (
            "01.4",
            lambda p, c: -math.log(p),
            "a function of `math`, float() and torch.tensor([...]) take single numbers",
        ),
        ("12.1", lambda p, t: math.log(p), "such as x.log() or np.log(x)"),
        ("07.1", lambda clean, flipped: torch.log(clean), "here is a plain number: use the one of `math`"),
        ("12.1", lambda p, t: torch.argmax(p, 1), "here is a numpy array: use numpy's"),
        ("10.4", lambda held, patience: torch.argmax(held), "here is a list: use Python's own"),
        ("11.1", lambda w, clean, rates: (rates @ w)[not clean].mean(), "~mask turns a mask around"),
        ("06.1", lambda table: torch.tensor([row - row.mean() for row in table]), "torch.stack joins rows"),
        ("06.1", lambda table: table - table.mean(1), "keepdim=True keeps a row or a column of means"),
        ("12.1", lambda p, t: p - p.mean(1), "keepdims=True keeps a row or a column of means"),
        ("12.1", lambda p, t: torch.where(p >= t, p, -1), "do not mix here"),
        ("15.3", eval("lambda s: math.comb(5, 1)", {}), "write `import math` above the function"),
    ],
)
def test_a_slip_of_kind_gets_a_sentence_and_not_torchs_words(exercise, answer, words, capsys):
    assert checks.check(exercise, answer) == "wrong"
    printed = capsys.readouterr().out
    assert words in printed
    assert "raised" not in printed


def margins_in_place(scores, labels):
    each = torch.arange(len(labels))
    given = scores[each, labels]
    scores[each, labels] = -torch.inf
    return given - scores.logsumexp(1)


def minus_mean_in_place(table):
    table -= table.mean(1, keepdim=True)
    return table


@pytest.mark.parametrize(("exercise", "answer"), [("02.2", margins_in_place), ("06.1", minus_mean_in_place)])
def test_an_answer_may_change_what_it_is_given(exercise, answer):
    assert checks.check(exercise, answer) == checks.check(exercise, ANSWERS[exercise][0]) == "right"
    assert checks.check("06.1", lambda table: table) == "wrong"


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("03.1", lambda alpha, beta: 9.21 * beta / (alpha + 9.21 * beta)),  # the text's own number
        ("06.1", lambda table: [row - row.mean() for row in table]),
        ("06.1", lambda table: [(row - row.mean()).numpy() for row in table]),
        ("06.1", lambda table: np.flip(np.flip(table.numpy() - table.numpy().mean(1, keepdims=True)))),
        ("07.1", lambda clean, flipped: (-1 / np.log(np.array([clean, flipped])))[::-1]),
        ("01.3", frozenset(ANSWERS["01.3"][0])),
    ],
)
def test_right_numbers_of_any_kind_are_right(exercise, answer, recwarn):
    assert checks.check(exercise, answer) == "right"
    assert not recwarn


def ties_count(held, patience):
    best = 0
    for epoch, value in enumerate(held):
        if value >= held[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best + 1


def never_starts_anew(held, patience):
    best = worse = 0
    for epoch, value in enumerate(held):
        if epoch and value <= held[best]:
            worse += 1
        else:
            best = epoch
        if worse == patience:
            break
    return best + 1


def majority(differences):
    up, down = (sum(sign * one > 0 for one in differences) for sign in (1, -1))
    half = len(differences) / 2
    return "holds" if up > half else "reversed" if down > half else "mixed"


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        ("10.4", ties_count, "as good is no better"),
        ("10.4", never_starts_anew, "the count begins anew"),
        ("18.2", majority, "neither the mean nor the majority counts"),
        ("18.2", lambda d: "holds" if min(d[0], d[-1]) > 0 else "reversed", "nor the majority counts"),
        (
            "12.1",
            lambda p, t: np.where((p > t).any(1), np.where(p > t, p, -1).argmax(1), -1),
            "p >= thresholds",
        ),
        ("12.1", lambda p, t: p.argmax(1), "a class that is not its most probable one"),
        ("11.1", lambda w, clean, r: (r @ w)[clean].mean() / (r @ w)[~clean].sum(), "Hint"),
        ("11.1", lambda w, clean, r: (r @ w)[clean].mean() / (r @ w)[~clean][0], "Hint"),
        ("06.1", lambda table: table - table.sum(1, keepdim=True) / 3, "Hint"),
        ("17.1", lambda ranking, wrong, k: (~wrong[ranking[:k]]).mean(), "positions of the first k"),
        ("17.1", lambda ranking, wrong, k: wrong[ranking < k].mean(), "positions of the first k"),
        ("17.1", lambda ranking, wrong, k: wrong[np.argsort(ranking)[:k]].mean(), "positions of the first k"),
        ("08.1", lambda rate, K: (rate * K / (K - 1), rate * (K - 1) / K), "the order is"),
        ("04.1", lambda p, A: ANSWERS["04.1"][0](p, A)[::-1], "give γ first"),
        ("09.1", lambda K, sigma: ANSWERS["09.1"][0](K, sigma)[::-1], "give a first"),
        ("15.1", lambda e: ANSWERS["15.1"][0](e)[::-1], "give that of at least one first"),
        ("15.3", lambda s: ANSWERS["15.3"][0](s)[::-1], "the lenient rule first"),
        ("08.5", lambda t, error: math.ceil(t * (1 - t) / error), "the standard deviation as 1/√m"),
        ("08.5", lambda t, error: math.ceil(t / error**2), "the variance of one draw"),
        ("08.5", lambda t, error: t * (1 - t) / error**2, "round up"),
        ("17.2", lambda e: math.ceil((1.96 / e) ** 2), "at most a quarter"),
        ("08.2", lambda rate, images, K: int(images * rate) / images, "not once for the class"),
    ],
)
def test_a_known_slip_is_wrong_and_gets_its_own_words(exercise, answer, words, monkeypatch, capsys):
    monkeypatch.setattr(grading, "_misses", {})
    assert checks.check(exercise, answer) == "wrong"
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        ("07.2", lambda gamma, K: 7.0 if K > 1000 else None, "is there a `return` on every way?"),
        ("09.1", lambda K, sigma: (1.0, ...), "one of the places still holds `...`"),
        ("07.3", dict.fromkeys(("ce", "mae", "blurry", "blurry stopped", "piecewise_zero"), ...), "`...`"),
        ("04.3", [...] * 10, "one of the places still holds `...`"),
        ("01.3", ["mae", "gce"], "this is a list, and a set has braces"),
    ],
)
def test_half_an_answer_gets_a_sentence(exercise, answer, words, capsys):
    assert checks.check(exercise, answer) == "wrong"
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("exercise", ["09.2", "10.1", "11.3", "11.4"])
@pytest.mark.parametrize("answer", ["perhaps", 3, torch.zeros(2)], ids=["word", "number", "tensor"])
def test_one_of_some_words_is_asked_for(exercise, answer, capsys):
    assert checks.check(exercise, answer) == "wrong"
    printed = capsys.readouterr().out
    assert "give one of: '" in printed
    assert repr(ANSWERS[exercise][0]) in printed


def test_hints_come_one_at_a_time_and_the_last_one_stays(monkeypatch, capsys):
    monkeypatch.setattr(grading, "_misses", {})
    monkeypatch.setitem(
        grading.GRADERS, "00.1", lambda answer: "" if answer == 1 else ("look", "think", "it is 1")
    )
    for _ in range(4):
        assert checks.check("00.1", 2) == "wrong"
    assert checks.check("00.1", 1) == "right"
    printed = capsys.readouterr().out.splitlines()
    hints = ["1 of 3: look", "2 of 3: think", "3 of 3: it is 1", "3 of 3: it is 1"]
    assert printed == [*(f"exercise 00.1: wrong. Hint {hint}" for hint in hints), "exercise 00.1: right"]


def lines_of(capsys):
    return capsys.readouterr().out.splitlines()


UNKNOWN_MISSES = {  # answers of the right kind, wrong in no way that a grader recognises
    "01.1": lambda p: p + 7,
    "01.2": lambda q: 7.0,
    "01.3": {"mae"},
    "01.4": lambda p, c: p + 7,
    "02.1": lambda K, rate: torch.full((K, K), 7.0),
    "02.2": lambda scores, labels: scores[:, 0] + 7,
    "02.3": lambda w, flipped: 7.0,
    "03.1": lambda alpha, beta: 7.0,
    "03.2": lambda peak: losses.ce(),
    "04.1": lambda p, A: (7.0, 7.0),
    "04.2": lambda K: 7.0,
    "04.3": [0.1] * 10,
    "05.1": lambda K, rate: torch.full((K, K), 7.0),
    "05.2": lambda table, labels, T: 7.0,
    "05.3": lambda a, q, K: 7.0,
    "06.1": lambda table: table + 7,
    "06.2": lambda eta, K: 7.0,
    "07.1": lambda clean, flipped: (7.0, 8.0),
    "07.2": lambda gamma, K: 7.0,
    "07.3": dict.fromkeys(("ce", "mae", "blurry", "blurry stopped", "piecewise_zero"), "right"),
    "08.1": lambda rate, K: (7.0, 7.0),
    "08.2": lambda rate, images, K: 7.0,
    "08.3": {"whether doubt"},
    "08.4": lambda eta, K: (7.0, 7.0),
    "08.5": lambda t, error: 7,
    "09.1": lambda K, sigma: (7.0, 7.0),
    "09.3": lambda K: 7.0,
    "09.4": lambda norms, rates: 7.0,
    "09.5": lambda K, tau: 7.0,
    "10.1": "rises",
    "10.2": lambda epochs: 7.0,
    "10.3": lambda noisy, eta, K: 7.0,
    "10.4": lambda held, patience: 9,
    "11.1": lambda weights, clean, rates: 7.0,
    "11.2": lambda snr, rate: 7.0,
    "11.3": "human-like",
    "11.4": "about 10",
    "12.1": lambda p, t: [7] * 6,
    "12.3": lambda f1, rate: (7.0, 7.0, 7.0),
    "12.2": {"mix"},
    "13.1": lambda K: 7.0,
    "13.3": {"AUM"},
    "13.2": lambda images, K, eta: 7,
    "14.2": lambda r, q, eta: 7.0,
    "14.1": lambda spread, seeds: 7.0,
    "14.3": {"given accuracy"},
    "15.1": lambda e: (7.0, 7.0),
    "15.2": lambda wrong, upheld, unjudged: (7.0, 7.0),
    "15.3": lambda s: (7.0, 7.0),
    "16.1": lambda table: (7.0, 7.0, 7.0),
    "16.2": lambda table: (7.0, 7.0),
    "16.3": lambda eta, accuracy: 7.0,
    "16.4": lambda chosen_on, reported_on: 7.0,
    "17.1": lambda ranking, wrong, k: 7.0,
    "17.2": lambda e: 7,
    "17.3": lambda p, m: 7.0,
    "17.4": lambda images, epochs, folds, gflop, tflops: 7.0,
    "18.1": {"size"},
    "18.2": lambda differences: "mixed",
    "18.3": lambda seeds: 7.0,
    "18.4": {"BL > CE": "mixed", "PZ > CE": "mixed", "PZ > BL": "mixed"},
    "18.5": lambda forward, images, epochs, folds: 7.0,
}

FUNCTIONS = [name for name in ANSWERS if callable(ANSWERS[name][0])]
STAGED = list(UNKNOWN_MISSES)  # exercises whose hints come one at a time


@pytest.mark.parametrize("exercise", FUNCTIONS)
@pytest.mark.parametrize("answer", [3.5, "words"])
def test_where_a_function_is_asked_for_anything_else_gets_a_sentence(exercise, answer, capsys):
    assert checks.check(exercise, answer) == "wrong"
    assert "a function is asked for; this is a " in capsys.readouterr().out


@pytest.mark.parametrize("exercise", sorted(set(STAGED) & set(FUNCTIONS)))
@pytest.mark.parametrize("answer", [lambda *_: "words", lambda *_: [[[1.5]]]], ids=["text", "shape"])
def test_a_function_that_returns_another_kind_gets_a_sentence(exercise, answer, capsys):
    assert checks.check(exercise, answer) == "wrong"
    assert "the answer must be " in capsys.readouterr().out


@pytest.mark.parametrize("exercise", STAGED)
def test_a_miss_that_no_grader_knows_gets_three_hints_one_at_a_time(exercise, monkeypatch, capsys):
    monkeypatch.setattr(grading, "_misses", {})
    miss = UNKNOWN_MISSES[exercise]
    for _ in range(3):
        assert checks.check(exercise, miss) == "wrong"
    hints = [line.partition(f"Hint {n} of 3: ")[2] for n, line in enumerate(lines_of(capsys), 1)]
    assert all(hints)
    assert len(set(hints)) == 3


def test_numbers_of_another_shape_get_a_sentence():
    assert grading.numbers((1, 2.0), (2,)).tolist() == [1, 2]
    for result, shape, words in (
        ([1, 2], (), "the answer must be one number; this is a row of 2 numbers"),
        (1, (3,), "the answer must be a row of 3 numbers; this is one number"),
        ([[1]], (2, 2), "the answer must be a table of shape (2, 2); this is a table of shape (1, 1)"),
        ("a", None, "the answer must be numbers; this is a str"),
        (math.sin, (), "the answer must be one number; this is a function"),
    ):
        with pytest.raises(grading.Misfit, match=f"^{re.escape(words)}$"):
            grading.numbers(result, shape)


def test_unknown_exercise_is_named():
    with pytest.raises(ValueError, match="no exercise is called '99.9'; there are 01.1"):
        checks.check("99.9", 1)


def test_equal_compares_shape_and_value():
    assert checks.equal(0.5, 0.5 + 1e-9)
    assert not checks.equal([0.5], 0.5)
    assert not checks.equal(0.5, 0.6)
    assert not checks.equal(math.nan, 0.6)


SOLUTIONS = sorted((Path(__file__).parents[2] / "notebooks/solutions").glob("*.ipynb"))


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solutions_pass_the_same_checks(path, tmp_path):
    """Runs the solutions notebook's code cells; each exercise of its chapter must come out right."""
    import nbformat

    code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    verdicts = {}
    original = checks.check

    def recording(exercise, answer):
        verdicts[exercise] = original(exercise, answer)
        return verdicts[exercise]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "check", recording)
        exec(compile("\n".join(code), str(path), "exec"), {"__name__": "solutions"})
    expected = {name for name in checks.GRADERS if name.startswith(path.stem[:2])}
    assert verdicts == dict.fromkeys(expected, "right")


def test_every_chapter_with_exercises_has_solutions():
    assert {path.stem[:2] for path in SOLUTIONS} == {name[:2] for name in checks.GRADERS}


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_chapter_asks_for_what_its_solutions_answer(path):
    """Each number in its own cell: a wrong one would judge an answer by another exercise's grader."""
    (chapter,) = path.parents[1].glob(f"{path.name[:2]}_*.ipynb")
    asked, answered = (re.findall(r'check\(\\?"(\d\d\.\d)', p.read_text("utf-8")) for p in (chapter, path))
    assert sorted(asked) == sorted(set(asked)) == sorted(set(answered))
