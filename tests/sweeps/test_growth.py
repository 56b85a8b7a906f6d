"""Cost against images, classes and losses: measured once, both ways agree, drawn."""

import pytest
import torch

from robust_lib import records, sweeps
from robust_lib.gallery import cost as drawings
from robust_lib.gallery import pages
from robust_lib.sweeps import growth

SMALL = [growth.Point(3000), growth.Point(200, grid=2), growth.Point(200, grid=8, way="stacked")]


def test_both_ways_train_the_same_networks_on_every_class():
    point = growth.Point(300, classes=20, grid=2)
    images, labels = growth._pictures(point)
    assert images.shape == (300, 1, 28, 28)
    assert len(labels.unique()) == 20
    alone = growth._train(point, images, labels, "cpu")
    together = growth._train(growth.Point(300, 20, 2, "stacked"), images, labels, "cpu")
    assert [p.shape for p in alone] == [(300, 20)] * 2
    assert not torch.equal(*alone)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_hundred_classes_have_enough_images_for_the_folds():
    for samples in (1000, 5000):
        _, labels = growth._pictures(growth.Point(samples, classes=100))
        assert labels.bincount(minlength=100).min() >= growth.FOLDS


def test_points_are_measured_once_and_drawn(tmp_path):
    lines = []
    growth.run(SMALL, "cpu", tmp_path, lines.append)
    rows = records.read("growth", folder=tmp_path)
    assert len(lines) == len(rows) == 3
    assert all(row["seconds_training"] > 0 and row["seconds_detection"] > 0 for row in rows)
    images = 3000 * 28 * 28 * 4 / growth.MIB
    assert images < rows[0]["peak_mib"] < 100 * images
    assert rows[2]["peak_mib"] > rows[1]["peak_mib"] + 50, "forty networks at once take more than two by two"
    growth.run(SMALL, "cpu", tmp_path, lines.append)
    assert len(lines) == 3, "nothing is measured again"
    fig = drawings.growth(rows)
    seconds = fig.axes[1].lines[0].get_ydata()
    assert list(seconds) == [rows[1]["seconds_training"]]
    assert pages._cost(tmp_path / "nothing") == []
    (picture,) = pages._cost(tmp_path)[1:]
    assert f"3 points](papers/{pages._cost_stem(rows[0]['device'])}.png)" in picture


def test_wrong_points_are_refused():
    with pytest.raises(ValueError, match="way must be one of one by one, stacked, got 'both'"):
        growth.Point(10, way="both")
    with pytest.raises(ValueError, match="classes must be a multiple of 10, got 15"):
        growth.Point(100, classes=15)


def test_no_sweep_is_called_growth():
    assert "growth" not in sweeps.SWEEPS, "its records would share a file"
