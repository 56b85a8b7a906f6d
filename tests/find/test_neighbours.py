"""Distances by hand on a line, and against all pairs."""

import numpy as np
import pytest

from robust_lib.find import neighbours


def on_a_line(*places):
    return np.array(places, dtype=np.float32)[:, None]


def test_distances_on_a_line(monkeypatch):
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 2)
    found = neighbours.search(on_a_line(0, 1, 3, 4, 10), np.zeros(5, dtype=int))
    means = np.array([(1 + 3) / 2, (1 + 2) / 2, (1 + 2) / 2, (1 + 3) / 2, (6 + 7) / 2])
    np.testing.assert_allclose(found.distance, means / 2)
    assert found.ranking.tolist() == [4, 0, 3, 1, 2]
    assert found.pairs.shape == (0, 2)


def test_near_duplicates_with_different_labels_come_first():
    """The nearest are 0.1, 0.2 and 0.3 apart, and four pairs 5: half of the median is 2.5."""
    places = on_a_line(0, 0.1, 100, 100.2, 200, 200.3, 300, 305, 400, 405, 500, 505, 600, 605)
    labels = np.array([0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1])
    found = neighbours.search(places, labels)
    assert found.pairs.tolist() == [[4, 5], [0, 1], [2, 3]]
    np.testing.assert_allclose(found.gap / found.gap[1], [3, 1, 2], rtol=1e-3)


def test_against_all_pairs():
    values = np.random.default_rng(0).normal(size=(60, 5))
    apart = np.linalg.norm(values[:, None] - values, axis=2)
    means = np.sort(apart, axis=1)[:, 1:11].mean(1)
    found = neighbours.search(values, np.zeros(60, dtype=int))
    np.testing.assert_allclose(found.distance, means / np.median(means))
    np.testing.assert_allclose(np.median(found.distance), 1)


@pytest.mark.parametrize("count", [2, 5, 11, 12])
def test_few_samples_and_copies(count):
    found = neighbours.search(np.ones((count, 3)), np.arange(count))
    assert np.isfinite(found.distance).all()
    assert (found.gap == 0).all()
    assert len(found.pairs) == count * (count - 1) // 2 or count > neighbours.NEIGHBOURS
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs)
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all()


def test_without_features_there_is_nothing():
    assert not len(neighbours.NONE.ranking)
