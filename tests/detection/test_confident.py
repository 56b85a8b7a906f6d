import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from cleanlab.count import get_confident_thresholds, num_label_issues
from cleanlab.filter import find_label_issues, find_predicted_neq_given
from cleanlab.rank import get_normalized_margin_for_each_label

from robust_lib.data.noise import corrupt, uniform
from robust_lib.detection import confident

# Twelve samples in hundredths, so that the sums by hand are exact.
GIVEN = [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
HUNDREDTHS = [
    [80, 10, 10],
    [60, 30, 10],
    [50, 20, 30],
    [25, 70, 5],  # 3: looks like 1
    [15, 35, 50],  # 4: lowest p_0, but confident of nothing
    [10, 70, 20],
    [20, 60, 20],
    [47, 48, 5],  # 7: qualifies for 0 and for 1
    [70, 10, 20],  # 8: looks like 0
    [5, 5, 90],
    [10, 30, 60],  # 10: exactly at the threshold of class 2
    [10, 60, 30],  # 11: looks like 1
]
LABELS = np.array(GIVEN)
PROBS = np.array(HUNDREDTHS) / 100
THRESHOLDS = [Fraction(46, 100), Fraction(47, 100), Fraction(60, 100)]
# Row: given. Sample 4 counts nowhere; 7 counts for 1, its arg max; 10 counts for 2.
COUNTED = [[3, 1, 0], [1, 3, 0], [0, 1, 2]]
# Row 0 scaled from 4 to its 5 samples, [3.75, 1.25, 0], and rounded; the other rows count everyone.
CALIBRATED = [[4, 1, 0], [1, 3, 0], [0, 1, 2]]
# By class: lowest p_k, one of each (4, 8, 11).  By noise rate: largest p_1 - p_0 in class 0 is sample 3.
FLAGGED = {
    "prune_by_class": [4, 8, 11],
    "prune_by_noise_rate": [3, 8, 11],
    "both": [8, 11],
    "confident_learning": [3, 8, 11],
    "disagreement": [3, 4, 8, 11],
    # Three off the calibrated diagonal; p_y less the best other: -60 (8), -45 (3), -35 (4), -30 (11), 1 (7).
    "number": [3, 4, 8],
}


def noisy_predictions(samples=600, classes=5, rate=0.3, seed=0):
    """Labels with noise and probabilities that know the truth about as well as a fair model does."""
    generator = np.random.default_rng(seed)
    true = np.arange(samples) % classes
    logits = generator.normal(size=(samples, classes)) + 2.5 * np.eye(classes)[true]
    return corrupt(true, uniform(classes, rate), seed=seed), softmax(logits)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


# ---- by hand


def test_thresholds_by_hand():
    columns = range(3)
    sums = [sum(row[k] for row, given in zip(HUNDREDTHS, GIVEN, strict=True) if given == k) for k in columns]
    assert [Fraction(sums[k], 100 * GIVEN.count(k)) for k in columns] == THRESHOLDS
    np.testing.assert_allclose(
        get_confident_thresholds(LABELS, PROBS), [float(t) for t in THRESHOLDS], rtol=1e-15
    )


def test_confident_joint_by_hand():
    counted = np.zeros((3, 3), dtype=int)
    for given, row in zip(GIVEN, HUNDREDTHS, strict=True):
        qualify = [k for k in range(3) if Fraction(row[k], 100) >= THRESHOLDS[k]]
        if qualify:
            counted[given, max(qualify, key=row.__getitem__)] += 1
    assert counted.tolist() == COUNTED
    assert confident.confident_joint(LABELS, PROBS, calibrate=False).tolist() == COUNTED
    assert confident.confident_joint(LABELS, PROBS).tolist() == CALIBRATED


@pytest.mark.parametrize("method", confident.FILTERS)
def test_flags_by_hand(method):
    mask = confident.flag(LABELS, PROBS, method)
    assert mask.dtype == bool
    assert np.flatnonzero(mask).tolist() == FLAGGED[method]


def test_both_is_the_default_and_the_conjunction():
    corruption, probs = noisy_predictions()
    both = confident.flag(corruption.labels, probs)
    by_class, by_rate = (confident.flag(corruption.labels, probs, m) for m in confident.METHODS[1:3])
    assert (both == (by_class & by_rate)).all()
    assert 0 < both.sum() < by_class.sum()


def test_rank_by_hand():
    rivals = [max(p for k, p in enumerate(row) if k != y) for row, y in zip(HUNDREDTHS, GIVEN, strict=True)]
    own = [row[y] for row, y in zip(HUNDREDTHS, GIVEN, strict=True)]
    expected = [(mine - rival + 100) / 200 for mine, rival in zip(own, rivals, strict=True)]
    np.testing.assert_allclose(confident.rank(LABELS, PROBS), expected, rtol=1e-14)
    confidence = confident.rank(LABELS, PROBS, "self_confidence")
    np.testing.assert_allclose(confidence, [row[y] / 100 for row, y in zip(HUNDREDTHS, GIVEN, strict=True)])
    assert confidence.argmin() == 8
    assert confidence.dtype == np.float64


# ---- the whole method by hand


def label_sets():
    """Labels and probabilities of many kinds, with the name of each."""
    for classes, samples, rate in (
        (3, 90, 0.2),
        (3, 400, 0.5),
        (5, 600, 0.3),
        (10, 2000, 0.3),
        (2, 150, 0.1),
    ):
        corruption, probs = noisy_predictions(samples, classes, rate, seed=samples)
        yield f"K={classes}, N={samples}", corruption.labels.numpy(), probs
    generator = np.random.default_rng(7)
    sizes = np.array([300, 60, 12, 2, 1])
    labels = np.repeat(np.arange(5), sizes)
    logits = generator.normal(size=(375, 5)) + 1.5 * np.eye(5)[generator.permutation(labels)] + np.log(sizes)
    yield "imbalanced, one class of one", labels, softmax(logits)
    labels = np.arange(24) % 8
    yield "three samples a class, all of them doubtful", labels, softmax(generator.normal(size=(24, 8)))
    corruption, probs = noisy_predictions(500, 4, 0.3)
    shunned = probs * [1, 1, 1, 1e-3]
    yield "a class nobody predicts", corruption.labels.numpy(), shunned / shunned.sum(1, keepdims=True)
    coarse = probs.round(1) + 1e-3
    yield "many equal probabilities", corruption.labels.numpy(), coarse / coarse.sum(1, keepdims=True)
    yield "the same for everyone", np.arange(60) % 3, np.full((60, 3), 1 / 3)
    yield "a float32 softmax", corruption.labels.numpy(), torch.tensor(probs).float()
    kinds = np.repeat([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5]], [40, 30, 30], axis=0)
    jitter = generator.uniform(-3e-7, 3e-7, (100, 1)) * [1, -1, 0]
    yield "thresholds met to 1e-6 only", np.repeat([0, 1, 2], [30, 40, 30]), kinds + jitter
    yield "the twelve samples above", LABELS, PROBS


@pytest.mark.filterwarnings("ignore:May not flag all label issues")
@pytest.mark.parametrize("method", confident.METHODS)
@pytest.mark.parametrize(("labels", "probs"), [pytest.param(*rest, id=name) for name, *rest in label_sets()])
def test_by_hand_equals_cleanlab(labels, probs, method):
    assert confident.by_hand(labels, probs, method).tolist() == confident.flag(labels, probs, method).tolist()


@pytest.mark.filterwarnings("ignore:May not flag all label issues")
def test_the_label_sets_reach_the_rules_that_matter():
    sets = {name: (labels, np.asarray(probs)) for name, labels, probs in label_sets()}
    flags = [confident.flag(*pair).sum() for pair in sets.values()]
    assert sum(count > 0 for count in flags) >= len(sets) - 1
    labels, probs = sets["three samples a class, all of them doubtful"]
    assert confident.confident_joint(labels, probs).diagonal().min() == 0
    labels, probs = sets["a class nobody predicts"]
    assert 3 not in probs.argmax(1)
    labels, probs = sets["K=10, N=2000"]
    joint = confident.confident_joint(labels, probs, calibrate=False)
    sizes = np.bincount(labels)[:, None]
    one_by_one = np.rint(joint / joint.sum(1, keepdims=True) * sizes)
    assert (one_by_one != confident.confident_joint(labels, probs)).any()  # rounding to row sums matters


# ---- the filters that do without cleanlab's masks


@pytest.mark.parametrize(("labels", "probs"), [pytest.param(*rest, id=name) for name, *rest in label_sets()])
def test_disagreement_and_number_equal_cleanlabs_parts(labels, probs):
    probs = np.asarray(probs, dtype=np.float64)
    led = probs.max(1) > probs[np.arange(len(labels)), labels] + 1e-6
    assert (confident.flag(labels, probs, "disagreement") == led).all()
    assert (led <= find_predicted_neq_given(labels, probs)).all()
    count = num_label_issues(labels, probs, estimation_method="off_diagonal_calibrated")
    margins = get_normalized_margin_for_each_label(labels, probs)
    expected = np.zeros(len(labels), dtype=bool)
    expected[np.lexsort([np.arange(len(labels)), margins])[:count]] = True
    assert (confident.flag(labels, probs, "number") == (expected & led)).all()


def test_number_is_the_estimated_number_unless_fewer_disagree():
    corruption, probs = noisy_predictions(2000)
    joint = confident.confident_joint(corruption.labels, probs)
    mask = confident.flag(corruption.labels, probs, "number")
    assert mask.sum() == joint.sum() - joint.trace()
    quality = confident.rank(corruption.labels, probs)
    assert quality[mask].max() <= quality[~mask].min()
    # Thresholds .51625 and .525: the joint counts [[2, 2], [3, 1]], but only four samples disagree.
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    p_0 = np.array([0.1, 0.505, 0.51, 0.95, 0.6, 0.6, 0.6, 0.1])
    probs = np.stack([p_0, 1 - p_0], axis=1)
    assert confident.confident_joint(labels, probs).tolist() == [[2, 2], [3, 1]]
    assert np.flatnonzero(confident.flag(labels, probs, "number")).tolist() == [0, 4, 5, 6]


def test_disagreement_asks_for_no_sample_of_every_class():
    labels, probs = [0, 0, 2], np.array([[0.6, 0.4, 0], [0.3, 0.7, 0], [0.1, 0.1, 0.8]])
    assert confident.flag(labels, probs, "disagreement").tolist() == [False, True, False]
    with pytest.raises(ValueError, match="got no sample of class 1: drop"):
        confident.flag(labels, probs, "number")


# ---- what cleanlab does, recorded


@pytest.mark.parametrize("method", confident.FILTERS)
@pytest.mark.parametrize("seed", range(5))
def test_a_sample_whose_arg_max_is_its_label_is_never_flagged(method, seed):
    corruption, probs = noisy_predictions(seed=seed)
    mask = confident.flag(corruption.labels, probs, method)
    assert mask.sum() > 20
    assert (probs.argmax(1)[mask] != corruption.labels.numpy()[mask]).all()


def test_that_rule_cuts_the_number_the_joint_asks_for():
    # Thresholds .51625 and .525: of class 0, sample 0 counts for 1, sample 3 for 0, the middle two nowhere.
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    p_0 = np.array([0.1, 0.505, 0.51, 0.95, 0.6, 0.6, 0.6, 0.1])
    probs = np.stack([p_0, 1 - p_0], axis=1)
    assert confident.confident_joint(labels, probs, calibrate=False)[0].tolist() == [1, 1]
    assert confident.confident_joint(labels, probs)[0].tolist() == [2, 2]
    # It asks for the two lowest p_0, but .505 leads its row.
    assert confident.flag(labels, probs, "prune_by_class")[:4].tolist() == [True, False, False, False]


def test_the_number_flagged_is_not_the_number_estimated():
    corruption, probs = noisy_predictions()
    labels = corruption.labels.numpy()
    counts = {method: int(confident.flag(labels, probs, method).sum()) for method in confident.METHODS}
    joint = confident.confident_joint(labels, probs)
    assert counts["confident_learning"] == num_label_issues(labels, probs)
    assert counts["both"] != num_label_issues(labels, probs)
    assert counts["both"] <= joint.sum() - np.trace(joint)


def test_where_several_classes_qualify_the_arg_max_over_all_classes_counts():
    # Thresholds .3, .3, .9.  The last sample qualifies for 0 and 1; the paper counts 1, cleanlab 2.
    labels = np.array([0, 1, 2, 0])
    probs = np.array([[0.33, 0.27, 0.4], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9], [0.27, 0.33, 0.4]])
    np.testing.assert_allclose(get_confident_thresholds(labels, probs), [0.3, 0.3, 0.9])
    labels, probs = np.append(labels, 1), np.vstack([probs, [0.31, 0.3, 0.39]])
    np.testing.assert_allclose(get_confident_thresholds(labels, probs), [0.3, 0.3, 0.9])
    joint = confident.confident_joint(labels, probs, calibrate=False)
    assert joint[1].tolist() == [0, 1, 2]


def test_a_diagonal_entry_is_at_least_one():
    labels, probs = np.array([0, 0, 1, 1]), np.array([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]])
    assert confident.confident_joint(labels, probs, calibrate=False).diagonal().min() >= 1


@pytest.mark.parametrize("samples", [40, 601])
def test_the_calibrated_joint_keeps_the_class_sizes(samples):
    corruption, probs = noisy_predictions(samples)
    joint = confident.confident_joint(corruption.labels, probs)
    assert joint.sum(1).tolist() == corruption.labels.bincount().tolist()


def test_one_sample_of_a_class_is_kept_with_a_warning():
    labels, probs = np.array([0, 0, 0, 1, 1, 1, 2]), np.eye(3)[[0, 0, 1, 1, 1, 0, 0]] * 0.94 + 0.02
    with pytest.warns(UserWarning, match="May not flag all label issues in class: 2"):
        mask = confident.flag(labels, probs, "prune_by_class")
    assert mask.tolist() == [False, False, True, False, False, True, False]


def test_a_class_without_samples_would_hide_its_errors():
    # 30 samples of a class 2 that nobody used as a label, given label 0 instead.
    labels = np.repeat([0, 1, 0], 30)
    probs = np.eye(3)[np.repeat([0, 1, 2], 30)] * 0.94 + 0.02
    assert not find_label_issues(labels, probs, filter_by="confident_learning", n_jobs=1).any()
    with pytest.raises(
        ValueError, match="labels must hold every class of probs, got no sample of class 2: drop"
    ):
        confident.flag(labels, probs)
    with pytest.raises(ValueError, match="got no sample of class 2, 4: drop"):
        confident.confident_joint([0, 1, 3], np.full((3, 5), 0.2))
    labels[60] = 2  # one sample suffices
    assert confident.flag(labels, probs, "confident_learning").tolist() == [False] * 61 + [True] * 29
    assert len(confident.rank([0, 1, 3], np.full((3, 5), 0.2))) == 3


def test_flagging_finds_most_of_the_noise():
    corruption, probs = noisy_predictions(samples=2000, rate=0.2)
    mask = confident.flag(corruption.labels, probs)
    truth = corruption.mask.numpy()
    assert (mask & truth).sum() / truth.sum() > 0.6
    assert (mask & truth).sum() / mask.sum() > 0.7


# ---- invariances and kinds of input


@pytest.mark.parametrize("method", confident.FILTERS)
def test_the_order_of_samples_and_classes_does_not_matter(method):
    corruption, probs = noisy_predictions()
    labels = corruption.labels.numpy()
    expected = confident.flag(labels, probs, method)
    generator = np.random.default_rng(1)
    order, classes = generator.permutation(600), generator.permutation(5)
    assert (confident.flag(labels[order], probs[order], method) == expected[order]).all()
    renamed = np.argsort(classes)[labels]
    assert (confident.flag(renamed, probs[:, classes], method) == expected).all()


def test_tensors_arrays_and_lists_agree():
    corruption, probs = noisy_predictions()
    labels, expected = corruption.labels, confident.flag(corruption.labels, probs)
    assert (confident.flag(labels.numpy(), torch.from_numpy(probs).requires_grad_()) == expected).all()
    assert (confident.flag(labels.to(torch.uint8).tolist(), probs.tolist()) == expected).all()
    assert (confident.rank(labels, torch.from_numpy(probs)) == confident.rank(labels, probs)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_softmax_of_lower_precision_is_accepted(dtype):
    logits = 3 * torch.randn(400, 100, generator=torch.Generator().manual_seed(0))
    probs = logits.softmax(1).to(dtype)
    labels = torch.arange(400) % 100
    before = probs.clone()
    assert confident.flag(labels, probs).shape == (400,)
    assert probs.equal(before)


# ---- wrong input


@pytest.mark.parametrize(
    "call", [confident.flag, confident.by_hand, confident.confident_joint, confident.rank]
)
@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        ([0, 1], [[0.9, 0.2], [0.5, 0.5]], "probs rows must sum to 1, got 1.1 in row 0"),
        ([0, 1], [[0.9, 0.1], [0.5, 0.4]], "probs rows must sum to 1, got 0.9 in row 1"),
        ([0, 1], [[0.9, 0.1], [2.0, -1.0]], r"probs must lie in \[0, 1\], got -1 to 2 in row 1"),
        ([0, 1], [[0.9, 0.1], [np.nan, 0.5]], r"probs must lie in \[0, 1\], got nan to nan in row 1"),
        ([0, 1], [[-0.1, -2.3], [-1.2, -0.4]], r"probs must lie in \[0, 1\], got -2.3 to -0.1 in row 0"),
        ([0, 1], [0.9, 0.1], r"probs must have shape \(samples, 2 classes or more\), got \(2,\)"),
        ([0, 0], [[1.0], [1.0]], r"probs must have shape \(samples, 2 classes or more\), got \(2, 1\)"),
        ([0, 1, 1], [[0.9, 0.1], [0.5, 0.5]], "labels and probs must be equally long, got 3 and 2"),
        ([0, 2], [[0.9, 0.1], [0.5, 0.5]], r"labels must be in 0\.\.1, got 0 to 2"),
        ([-1, 1], [[0.9, 0.1], [0.5, 0.5]], r"labels must be in 0\.\.1, got -1 to 1"),
        ([0.0, 1.0], [[0.9, 0.1], [0.5, 0.5]], "labels must be integers, got float64"),
    ],
)
def test_wrong_inputs(call, labels, probs, message):
    with pytest.raises(ValueError, match=message):
        call(labels, probs)


def test_wrong_methods():
    with pytest.raises(ValueError, match=r"method must be one of both, .*, disagreement, number, got 'pbc'"):
        confident.flag(LABELS, PROBS, "pbc")
    with pytest.raises(ValueError, match="method must be one of both, .*, confident_learning, got 'number'"):
        confident.by_hand(LABELS, PROBS, "number")
    with pytest.raises(
        ValueError, match="method must be one of normalized_margin, self_confidence, got 'entropy'"
    ):
        confident.rank(LABELS, PROBS, "entropy")


def test_the_import_is_light():
    heavy = {"cleanlab", "sklearn", "pandas"}
    code = "import sys, robust_lib.detection; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
