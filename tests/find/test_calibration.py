"""calibration: probabilities against truth that is drawn from the model, and curves against plain sums."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from robust_lib.data import noise
from robust_lib.find import calibration, search


def drawn(matrix, samples=4000, classes=5, seed=0):
    """(given labels, which are wrong, the network's rows): rows say how the true labels were drawn."""
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.full(classes, 0.15), samples)
    true = (rows.cumsum(1) < random.random((samples, 1))).sum(1).clip(max=classes - 1)
    given = noise.corrupt(true, matrix, seed).labels.numpy()
    return given, given != true, rows


@pytest.mark.parametrize("matrix", [noise.uniform(5, 0.2), noise.pair(5, 0.2)], ids=["uniform", "pair"])
def test_a_network_that_knows_its_doubts_gives_the_right_probabilities(matrix):
    given, wrong, rows = drawn(matrix)
    found = calibration.estimate(given, rows)
    assert found.probability.mean() == pytest.approx(wrong.mean(), abs=0.02)
    inside = np.digitize(found.probability, np.linspace(0, 1, 6)[1:-1])
    for k in range(5):
        members = inside == k
        assert found.probability[members].mean() == pytest.approx(wrong[members].mean(), abs=0.09)
    assert found.low.mean() <= found.probability.mean() <= found.high.mean()


def test_confidence_that_is_too_high_is_found_out():
    given, wrong, rows = drawn(noise.uniform(5, 0.2))
    sharp = rows**2 / (rows**2).sum(1, keepdims=True)
    power, matrix = calibration._fit(np.log(np.clip(sharp, 1e-12, 1)), given, 1e3)
    assert power == pytest.approx(0.5, abs=0.07)
    assert 1 - matrix.diagonal().mean() == pytest.approx(wrong.mean(), abs=0.03)


def test_the_posterior_is_that_of_bayes():
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])  # true by given
    rows = np.array([[0.8, 0.2], [0.5, 0.5]])
    found = calibration._wrong(np.log(rows), np.array([1, 0]), 1.0, matrix)
    # P(true 0 | given 1) = .8 · .1 / (.8 · .1 + .2 · .7); P(true 1 | given 0) = .5 · .3 / (.5 · .3 + .5 · .9)
    np.testing.assert_allclose(found, [0.08 / 0.22, 0.15 / 0.60], rtol=1e-12)


def test_few_labels_of_a_class_leave_it_like_the_average():
    counts = np.array([[6.0, 2.0], [1.0, 7.0]])
    np.testing.assert_allclose(calibration._towards_uniform(counts, 0.25, 0), counts / 8)
    found = calibration._towards_uniform(counts, 0.25, 8)
    np.testing.assert_allclose(found, [[12 / 16, 4 / 16], [3 / 16, 13 / 16]])
    np.testing.assert_allclose(calibration._towards_uniform(counts, 0.25, 1e9), [[0.75, 0.25], [0.25, 0.75]])


def test_noise_of_pairs_is_told_from_uniform_noise():
    given, _, rows = drawn(noise.pair(5, 0.3), samples=1200)
    assert calibration._best_weight(np.log(np.clip(rows, 1e-12, 1)), given) == 100


def test_odds_are_multiplied_by_one_factor():
    before = np.array([0.1, 0.5, 0.9, 0.02])
    after = calibration._with_mean(before, 0.6)
    assert after.mean() == pytest.approx(0.6)
    factors = after / (1 - after) / (before / (1 - before))
    np.testing.assert_allclose(factors, factors[0], rtol=1e-6)


def test_classes_may_be_numbered_in_another_order():
    given, _, rows = drawn(noise.pair(5, 0.2), samples=1000)
    order = np.array([3, 0, 4, 1, 2])
    found = calibration.estimate(given, rows)
    other = calibration.estimate(np.argsort(order)[given], rows[:, order])
    np.testing.assert_allclose(other.probability, found.probability, atol=1e-6)


def test_planted_flips_lie_where_a_loop_puts_them():
    given, _, rows = drawn(noise.uniform(5, 0.1), samples=60)
    trust, matrix = np.linspace(0.1, 1, 60), np.asarray(noise.uniform(5, 0.3))
    found = calibration._planted(rows, given, trust, matrix, np.arange(60))

    def margin(row, label):
        return (row[label] - np.delete(row, label).max() + 1) / 2

    scores, expected = np.sort([margin(*pair) for pair in zip(rows, given, strict=True)]), np.zeros(60)
    for n, row in enumerate(rows):
        for label in set(range(5)) - {given[n]}:
            place = min(59, (scores < margin(row, label)).sum())
            expected[place] += trust[n] * matrix[given[n], label]
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-9)


def estimate_of(probability):
    probability = np.asarray(probability, dtype=float)
    planted = np.full(len(probability), 1 / len(probability))
    return calibration.Estimate(probability, probability / 2, (1 + probability) / 2, planted)


def test_the_curve_sums_up_the_ranking():
    probability = np.random.default_rng(0).random(300)
    ranking = np.argsort(-probability)
    table = calibration.curve(estimate_of(probability), ranking)
    assert table["first"].tolist() == list(range(1, 301))
    np.testing.assert_allclose(table.expected, probability[ranking].cumsum())
    half = probability[ranking] / 2
    chance = 1.96 * np.sqrt((half * (1 - half)).cumsum())
    np.testing.assert_allclose(table.low, (half.cumsum() - chance).clip(0))
    assert (table.high <= table["first"]).all()
    assert ((table.low <= table.expected) & (table.expected <= table.high)).all()
    assert table.next[49] == pytest.approx(probability[ranking][50:80].mean())
    assert table.next[279] == pytest.approx(probability[ranking][280:].sum() / 30)
    assert table.next[299] == 0
    assert table.planted[149] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("samples", "rows", "some"), [(2000, 1001, (50, 1002)), (100_000, 1001, (50, 200, 300))]
)
def test_long_curves_have_the_first_places_in_round_numbers(samples, rows, some):
    table = calibration.curve(estimate_of(np.zeros(samples)), np.arange(samples))
    assert rows - 2 <= len(table) <= calibration.POINTS + 4
    assert {*some, *calibration.LOOKS, samples} <= set(table["first"])


@pytest.mark.parametrize(
    ("samples", "window"), [(8, 8), (50, 10), (100, 10), (150, 15), (200, 20), (1000, 100)]
)
def test_of_few_samples_few_are_looked_at_at_once(samples, window):
    """The first quarter is wrong: looking stops within a tenth of the window before its end, not earlier."""
    wrong = np.arange(samples) < samples // 4
    table = calibration.curve(estimate_of(wrong.astype(float)), np.arange(samples))
    assert (calibration.window(samples), calibration.window(9000)) == (window, 100)
    left = [wrong[n : n + window].sum() for n in table["first"]]
    np.testing.assert_allclose(table.next, np.array(left) / window)
    last = calibration.stop(table)
    assert wrong[last:].sum() < window / 10 <= wrong[last - 2 :].sum() + 1
    assert 0 < last <= samples // 4


def test_labels_that_are_certain_leave_nothing_to_plant():
    labels = np.arange(40) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = calibration.curve(calibration.estimate(labels, np.eye(4)[labels]), np.arange(40))
    assert table.planted.tolist() == [0] * 40


@pytest.mark.parametrize(
    ("share", "last"), [([], 0), ([0.05, 0.02, 0.01], 0), ([0.3, 0.1, 0.09], 21), ([0.3, 0.05, 0.2], 31)]
)
def test_looking_stops_where_few_errors_are_left(share, last):
    table = pd.DataFrame({"first": [10 * k for k in range(1, len(share) + 1)], "next": share})
    assert calibration.stop(table) == last


def test_what_was_decided_before_is_right():
    given, _, probs = drawn(noise.uniform(5, 0.2), samples=500)
    decided = np.arange(500) < 100
    found = search._estimate(SimpleNamespace(labels=given, decided=decided), probs)
    whole = calibration.estimate(given, probs)
    for name in ("probability", "low", "high"):
        assert (getattr(found, name)[:100] == 0).all()
        np.testing.assert_array_equal(getattr(found, name)[100:], getattr(whole, name)[100:])


def test_labels_that_all_agree_leave_nothing_to_look_at():
    labels = np.arange(600) % 3
    found = calibration.estimate(labels, np.eye(3)[labels] * 0.97 + 0.01)
    assert found.probability.max() < 0.02
    assert calibration.stop(calibration.curve(found, np.arange(600))) == 0
