import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from robust_lib.detection import metrics

BAD = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
FOUND = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], dtype=bool)  # TP 3, FN 1, FP 2, TN 4


# ---- detection


def test_scores_of_a_small_confusion_by_hand():
    assert metrics.detection_scores(BAD, FOUND) == pytest.approx(
        {
            "precision": 3 / 5,
            "recall": 3 / 4,
            "f1": 6 / 9,
            "balanced_accuracy": (3 / 4 + 4 / 6) / 2,
            "flagged": 5 / 10,
        },
        abs=1e-15,
    )


def test_truth_and_flagged_are_not_interchangeable():
    swapped = metrics.detection_scores(FOUND, BAD)
    assert (swapped["precision"], swapped["recall"]) == (3 / 4, 3 / 5)


def test_scores_are_plain_floats_and_tensors_do():
    expected = metrics.detection_scores(BAD, FOUND)
    assert {type(score) for score in expected.values()} == {float}
    assert metrics.detection_scores(torch.from_numpy(BAD), torch.from_numpy(FOUND)) == expected
    assert metrics.detection_scores(BAD.tolist(), FOUND) == expected


def test_perfect_and_worthless_detection():
    assert set(metrics.detection_scores(BAD, BAD).values()) == {1.0, 0.4}
    assert metrics.detection_scores(BAD, ~BAD)["balanced_accuracy"] == 0
    everything = metrics.detection_scores(BAD, np.ones(10, dtype=bool))
    assert (everything["precision"], everything["recall"], everything["balanced_accuracy"]) == (0.4, 1, 0.5)


def test_nothing_flagged_scores_zero():
    scores = metrics.detection_scores(BAD, np.zeros(10, dtype=bool))
    assert scores == {"precision": 0, "recall": 0, "f1": 0, "balanced_accuracy": 0.5, "flagged": 0}


def test_clean_data_keep_a_balanced_accuracy():
    clean = np.zeros(10, dtype=bool)
    scores = metrics.detection_scores(clean, FOUND)
    assert scores == {"precision": 0, "recall": 0, "f1": 0, "balanced_accuracy": 0.5, "flagged": 0.5}
    assert metrics.detection_scores(clean, clean)["balanced_accuracy"] == 1
    assert metrics.detection_scores(~clean, FOUND)["balanced_accuracy"] == 0.5


def test_balanced_accuracy_is_sklearns():
    generator = np.random.default_rng(0)
    for rate in (0.05, 0.4, 0.9):
        truth, flagged = generator.random(500) < rate, generator.random(500) < 0.3
        ours = metrics.detection_scores(truth, flagged)["balanced_accuracy"]
        assert ours == pytest.approx(balanced_accuracy_score(truth, flagged), abs=1e-15)


@pytest.mark.parametrize(
    ("truth", "flagged", "message"),
    [
        (BAD, FOUND[:9], "truth and flagged must be equally long, got 10 and 9"),
        (BAD, np.array([0, 1, 2]), r"flagged must be a boolean mask \(samples,\), got int64 of shape \(3,\)"),
        (BAD.astype(float), FOUND, "truth must be a boolean mask .* got float64"),
        (BAD[None], FOUND[None], r"truth must be a boolean mask .* of shape \(1, 10\)"),
        (BAD[:0], FOUND[:0], r"truth must be a boolean mask .* of shape \(0,\)"),
    ],
)
def test_wrong_masks(truth, flagged, message):
    with pytest.raises(ValueError, match=message):
        metrics.detection_scores(truth, flagged)


# ---- Cohen's d


def test_cohens_d_by_hand_with_fractions():
    a, b = [1, 2, 3, 6], [0, 1, 5]
    squares_a = sum((Fraction(x) - 3) ** 2 for x in a)  # mean 3: 4 + 1 + 0 + 9
    squares_b = sum((Fraction(x) - 2) ** 2 for x in b)  # mean 2: 4 + 1 + 9
    assert (squares_a, squares_b) == (14, 14)
    pooled = (squares_a + squares_b) / (4 + 3 - 2)
    assert pooled == Fraction(28, 5)
    assert metrics.cohens_d(a, b) == pytest.approx(1 / math.sqrt(28 / 5), rel=1e-15)


def test_cohens_d_weighs_the_variances_by_size():
    # Means 1 and 0; variances 2 (n = 2) and 49 (n = 3): pooled (1*2 + 2*49)/3 = 100/3, not (2 + 49)/2.
    assert metrics.cohens_d([0, 2], [-7, 0, 7]) == pytest.approx(math.sqrt(3) / 10, rel=1e-15)


def test_cohens_d_sign_shift_and_scale():
    generator = np.random.default_rng(1)
    a, b = generator.normal(1, 2, 300), generator.normal(0, 2, 200)
    d = metrics.cohens_d(a, b)
    assert d > 0
    assert metrics.cohens_d(b, a) == -d
    assert metrics.cohens_d(5 * a + 7, 5 * b + 7) == pytest.approx(d, rel=1e-12)
    assert metrics.cohens_d(-a, -b) == pytest.approx(-d, rel=1e-12)
    assert metrics.cohens_d(a, a) == 0


def test_cohens_d_of_two_normal_samples():
    generator = np.random.default_rng(2)
    d = metrics.cohens_d(generator.normal(3, 2, 100_000), generator.normal(0, 2, 100_000))
    assert d == pytest.approx(1.5, abs=0.02)


def test_cohens_d_takes_tensors_of_any_float():
    a, b = torch.tensor([1.0, 2, 3, 6]), torch.tensor([0.0, 1, 5])
    expected = metrics.cohens_d(a.numpy(), b.numpy())
    assert metrics.cohens_d(a.bfloat16(), b.half().requires_grad_()) == expected


def test_cohens_d_with_one_constant_sample():
    assert metrics.cohens_d([1, 1, 1], [0, 2, 4]) == pytest.approx(-1 / math.sqrt(8 / 4))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [1, 2], r"a must be 1-D with at least 2 values, got shape \(0,\)"),
        ([1, 2], [3], r"b must be 1-D with at least 2 values, got shape \(1,\)"),
        ([[1, 2]], [1, 2], r"a must be 1-D with at least 2 values, got shape \(1, 2\)"),
        ([1, math.nan], [1, 2], "a must be finite, got 1 NaN or infinite values"),
        ([1, 2], [math.inf, -math.inf], "b must be finite, got 2 NaN or infinite values"),
        ([1, 1], [2, 2], "a and b must not both be constant, got only 1 and only 2"),
        # In float64 the deviation of three times 0.1 is 1.7e-17, not 0.
        ([0.1] * 3, [0.3] * 3, "must not both be constant"),
    ],
)
def test_wrong_samples(a, b, message):
    with pytest.raises(ValueError, match=message):
        metrics.cohens_d(a, b)


# ---- Wasserstein


def test_wasserstein_by_hand():
    assert metrics.wasserstein([0, 1], [2, 3]) == 2
    assert metrics.wasserstein([0], [3, 5]) == 4
    # Distribution functions 0, 1/3, 2/3, 1 at 0, 1, 2 against 1/2, 1 at 0, 2: |1/3-1/2| + |2/3-1/2|.
    assert metrics.wasserstein([0, 1, 2], [0, 2]) == pytest.approx(1 / 3, rel=1e-14)


def test_wasserstein_of_equal_sizes_is_the_mean_gap_of_the_sorted_values():
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=500), generator.exponential(size=500)
    expected = np.abs(np.sort(a) - np.sort(b)).mean()
    assert metrics.wasserstein(a, b) == pytest.approx(expected, rel=1e-12)
    assert metrics.wasserstein(torch.from_numpy(b), torch.from_numpy(a)) == pytest.approx(expected, rel=1e-12)


def test_wasserstein_shift_scale_and_zero():
    a = np.random.default_rng(4).normal(size=200)
    assert metrics.wasserstein(a, a) == 0
    assert metrics.wasserstein(a, a + 3) == pytest.approx(3, rel=1e-12)
    assert metrics.wasserstein(2 * a, 2 * a + 6) == pytest.approx(6, rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [1], r"a must be 1-D with at least 1 values, got shape \(0,\)"),
        ([1], [math.nan], "b must be finite, got 1 NaN or infinite values"),
    ],
)
def test_wrong_wasserstein(a, b, message):
    with pytest.raises(ValueError, match=message):
        metrics.wasserstein(a, b)


def test_the_import_is_light():
    heavy = {"sklearn", "scipy", "pandas"}
    code = "import sys, robust_lib.detection; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
