"""Votes and prototypes: by hand, against scikit-learn and plain loops, and what must not change them."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from robust_lib import detection
from robust_lib.data import noise
from robust_lib.detection import confident, neighbours
from robust_lib.detection.metrics import detection_scores

# Angles in degrees on a circle; the third sample is labelled 1 and lies among those labelled 0.
ANGLES = np.radians([0, 10, 21, 100, 113, 127])
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * np.array([[1, 5, 0.2, 3, 1, 7]]).T
GIVEN = np.array([0, 0, 1, 1, 1, 1])

DETECTORS = [detection.neighbour_vote, detection.prototype_margin]


def clouds(samples=300, classes=5, dimensions=8, rate=0.2, seed=0, spread=0.6):
    """(noisy labels, features): a cloud of points around a random centre for each class."""
    generator = np.random.default_rng(seed)
    true = np.arange(samples) % classes
    centres = 2 * generator.normal(size=(classes, dimensions))
    features = centres[true] + spread * generator.normal(size=(samples, dimensions))
    return noise.corrupt(true, noise.uniform(classes, rate), seed=seed), features


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


# ---- votes


def test_votes_by_hand():
    # The two nearest others, by angle: 10 and 21; 0 and 21; 0 and 10; 113 and 127; 100 and 127; 100 and 113.
    shares = neighbours.vote_shares(GIVEN, CIRCLE, k=2)
    assert shares.tolist() == [[0.5, 0.5], [0.5, 0.5], [1, 0], [0, 1], [0, 1], [0, 1]]
    assert shares.dtype == np.float64
    found = detection.neighbour_vote(GIVEN, CIRCLE, k=2)
    assert found.flagged.tolist() == [False, False, True, False, False, False]  # a tie is no flag
    assert found.score.tolist() == [0.5, 0.5, 0, 1, 1, 1]
    assert found.ranking[0] == 2


@pytest.mark.parametrize("k", [1, 4, 10])
def test_votes_equal_leaving_one_out_with_scikit_learn(k):
    noisy, features = clouds()
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
    expected = cross_val_predict(
        model, features, noisy.labels.numpy(), cv=LeaveOneOut(), method="predict_proba"
    )
    np.testing.assert_allclose(neighbours.vote_shares(noisy.labels, features, k), expected, atol=1e-12)


def test_votes_equal_a_plain_loop_on_more_rows_than_one_block():
    noisy, features = clouds(1500, 4)
    labels, rows = noisy.labels.numpy(), features / np.linalg.norm(features, axis=1)[:, None]
    shares = neighbours.vote_shares(labels, features)
    for n in range(0, 1500, 97):
        order = np.argsort(-(rows @ rows[n]))
        nearest = labels[order[order != n][:10]]
        assert shares[n].tolist() == [(nearest == j).sum() / 10 for j in range(4)]


def test_all_others_vote_where_k_is_as_large_as_can_be():
    counts = np.bincount(GIVEN)
    expected = (counts - np.eye(2)[GIVEN]) / 5
    np.testing.assert_allclose(neighbours.vote_shares(GIVEN, CIRCLE, k=5), expected)


def test_a_sample_never_votes_for_itself_even_among_its_doubles():
    features = np.repeat(CIRCLE[[0, 3]], 8, axis=0)
    labels = np.repeat([0, 1], 8)
    labels[0] = 1
    shares = neighbours.vote_shares(labels, features, k=7)
    assert shares[0].tolist() == [1, 0]
    np.testing.assert_allclose(shares[1:8], [[6 / 7, 1 / 7]] * 7)
    assert shares[8:].tolist() == [[0, 1]] * 8


def test_shares_are_probabilities_that_every_filter_takes():
    noisy, features = clouds()
    shares = neighbours.vote_shares(noisy.labels, features)
    np.testing.assert_allclose(shares.sum(1), 1)
    for method in confident.FILTERS:
        found = detection.confident_learning(noisy.labels, shares, method)
        assert detection_scores(noisy.mask, found.flagged)["f1"] > 0.9
    vote = detection.neighbour_vote(noisy.labels, features)
    assert (vote.flagged == confident.flag(noisy.labels, shares, "disagreement")).all()
    assert (vote.score == confident.rank(noisy.labels, shares)).all()


def test_a_class_without_samples_gets_no_votes():
    shares = neighbours.vote_shares(2 * GIVEN, CIRCLE, k=2)
    assert shares.shape == (6, 3)
    assert (shares[:, 1] == 0).all()
    found = detection.neighbour_vote(2 * GIVEN, CIRCLE, k=2)
    assert (found.score == detection.neighbour_vote(GIVEN, CIRCLE, k=2).score).all()


# ---- prototypes


def test_prototypes_by_hand():
    # Unit vectors: class 0 east and east, class 1 north and north; the last one is labelled 0 and lies north.
    features = np.array([[2.0, 0], [1, 0], [0, 3], [0, 1], [0, 5]])
    found = detection.prototype_margin([0, 0, 1, 1, 0], features)
    # The first's class without it: east + north, at 45 degrees.  The last's: east, and class 1 points north.
    np.testing.assert_allclose(found.score, [0.5**0.5] * 2 + [1 - 0.2**0.5] * 2 + [-1], atol=1e-6)
    assert found.flagged.tolist() == [False] * 4 + [True]


def test_prototypes_equal_a_plain_loop():
    noisy, features = clouds(60, 4)
    labels, rows = noisy.labels.numpy(), features / np.linalg.norm(features, axis=1)[:, None]
    expected = []
    for n, row in enumerate(rows):
        others = np.arange(60) != n
        means = [rows[others & (labels == j)].mean(0) for j in range(4)]
        near = [cosine(row, mean) for mean in means]
        expected.append(near[labels[n]] - max(near[j] for j in range(4) if j != labels[n]))
    found = detection.prototype_margin(labels, features)
    np.testing.assert_allclose(found.score, expected, atol=1e-6)
    assert (found.flagged == (np.array(expected) < 0)).all()
    assert found.score.dtype == np.float64


def test_the_only_sample_of_a_class_is_not_judged_and_still_draws_others():
    features = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    found = detection.prototype_margin([0, 0, 1, 0], features)
    assert found.score[2] == np.inf
    assert found.flagged.tolist() == [False, False, False, True]
    assert found.ranking[-1] == 2


def test_a_prototype_of_length_0_is_near_to_none():
    found = detection.prototype_margin([0, 0, 1, 1], np.array([[1.0, 0], [-1, 0], [0, 1], [0, 1]]))
    np.testing.assert_allclose(found.score, [-1, -1, 1, 1])


def test_a_class_without_samples_has_no_prototype():
    features = np.array([[1.0, 0.2], [1, -0.2], [-1, 0.2], [-1, -0.2]])
    found = detection.prototype_margin([0, 0, 2, 2], features)  # both cosines to the other class are negative
    assert (found.score == detection.prototype_margin([0, 0, 1, 1], features).score).all()
    assert (found.score > 1.5).all()


# ---- what must not change either


@pytest.mark.parametrize("detector", DETECTORS)
def test_length_and_rotation_of_features_do_not_matter(detector):
    noisy, features = clouds()
    generator = np.random.default_rng(1)
    lengths = 10.0 ** generator.uniform(-15, 15, (300, 1))
    rotation = np.linalg.qr(generator.normal(size=(8, 8)))[0]
    expected = detector(noisy.labels, features)
    for changed in (features * lengths, 1e-30 * features, features @ rotation):
        found = detector(noisy.labels, changed)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
        assert (found.flagged == expected.flagged).all()


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_order_of_samples_and_the_names_of_classes_do_not_matter(detector):
    noisy, features = clouds()
    labels, expected = noisy.labels.numpy(), detector(noisy.labels, features)
    generator = np.random.default_rng(2)
    order, names = generator.permutation(300), generator.permutation(5)
    for found, same in (
        (detector(labels[order], features[order]), order),
        (detector(names[labels], features), slice(None)),
    ):
        np.testing.assert_allclose(found.score, expected.score[same], atol=1e-6)
        assert (found.flagged == expected.flagged[same]).all()


@pytest.mark.parametrize("detector", DETECTORS)
def test_kinds_of_arrays_agree_and_stay_as_they_are(detector):
    noisy, features = clouds()
    halves = torch.from_numpy(features).half()
    before = halves.clone()
    expected = detector(noisy.labels, halves.double().numpy())
    for given in (halves, halves.numpy(), halves.float().requires_grad_(), halves.double().tolist()):
        assert (detector(noisy.labels.tolist(), given).score == expected.score).all()
    assert torch.equal(halves, before)
    bytes_ = (20 * features).round().clip(-127, 127).astype(np.int8)
    assert (detector(noisy.labels, bytes_).score == detector(noisy.labels, bytes_ / 1.0).score).all()


@pytest.mark.parametrize("detector", DETECTORS)
def test_they_find_flips_where_classes_lie_apart(detector):
    noisy, features = clouds(1000, 10, 16, rate=0.3)
    found = detector(noisy.labels, features)
    assert detection_scores(noisy.mask, found.flagged)["f1"] > 0.95
    assert noisy.mask[found.ranking[:200]].double().mean() > 0.99


# ---- wrong input


@pytest.mark.parametrize("call", [neighbours.vote_shares, *DETECTORS])
@pytest.mark.parametrize(
    ("labels", "features", "message"),
    [
        ([1] * 6, CIRCLE, "labels must hold at least 2 classes, got only class 1"),
        (GIVEN / 1.0, CIRCLE, "labels must be integers, got float64"),
        (GIVEN - 1, CIRCLE, "labels must be >= 0, got -1 to 0"),
        ([], CIRCLE, r"labels must be 1-D and not empty, got shape \(0,\)"),
        (GIVEN, CIRCLE[:5], r"features must have shape \(6, 1 or more\), got \(5, 2\)"),
        (GIVEN, CIRCLE[:, 0], r"features must have shape \(6, 1 or more\), got \(6,\)"),
        (GIVEN, CIRCLE[:, :0], r"features must have shape \(6, 1 or more\), got \(6, 0\)"),
        (
            GIVEN,
            CIRCLE * [[1], [0], [1], [0], [1], [1]],
            "direction, got only zeros in 2 of 6 rows, first row 1",
        ),
        (
            GIVEN,
            CIRCLE + [[0], [0], [np.nan], [0], [0], [0]],
            "got NaN or infinity in 1 of 6 rows, first row 2",
        ),
        (
            GIVEN,
            CIRCLE - [[0], [0], [0], [np.inf], [0], [0]],
            "features must be finite, got NaN or infinity in 1",
        ),
    ],
)
def test_wrong_inputs_are_named(call, labels, features, message):
    with pytest.raises(ValueError, match=message):
        call(labels, features)


@pytest.mark.parametrize("k", [0, 6, -1, True, 2.0, "all"])
@pytest.mark.parametrize("call", [neighbours.vote_shares, detection.neighbour_vote])
def test_a_wrong_k_is_named(call, k):
    with pytest.raises(ValueError, match=rf"k must be an integer in 1\.\.5 for 6 samples, got {k!r}"):
        call(GIVEN, CIRCLE, k)
