"""Cost against images, classes and losses: measured once, drawn."""

import pytest

from robust_lib import records, sweeps
from robust_lib.gallery import drawings, pages
from robust_lib.sweeps import growth

SMALL = [growth.Point(3000), growth.Point(200, classes=20, grid=2), growth.Point(3000, way=growth.TOGETHER)]


def test_a_hundred_classes_have_enough_images_for_the_folds():
    for samples in (1000, 5000):
        for way in growth.WAYS:
            _, labels = growth._pictures(growth.Point(samples, classes=100, way=way))
            assert labels.bincount(minlength=100).min() >= growth.FOLDS


def test_points_are_measured_once_and_drawn(tmp_path):
    lines = []
    growth.run(SMALL, "cpu", tmp_path, lines.append)
    rows = records.read("growth", folder=tmp_path)
    assert len(lines) == len(rows) == 3
    assert rows[0]["key"].startswith("Point(samples=3000, classes=10, grid=1, way='one by one') ")
    assert all(row["seconds_training"] > 0 and row["seconds_detection"] > 0 for row in rows)
    assert rows[0]["peak_mib"] > 3000 * 28 * 28 * 4 / growth.MIB, "the images themselves"
    growth.run(SMALL, "cpu", tmp_path, lines.append)
    assert len(lines) == 3, "nothing is measured again"
    fig = drawings.growth(rows)
    assert [list(line.get_ydata()) for line in fig.axes[0].lines[::2]] == [[rows[0]["seconds_training"]]]
    assert pages._cost(tmp_path / "nothing") == []
    (picture,) = pages._cost(tmp_path)[1:]
    assert f"3 points](papers/{pages._cost_stem(rows[0]['device'])}.png)" in picture


def test_recorded_points_are_known_again():
    keys = {row["key"] for row in records.read("growth")}
    networks = [point for point in growth.POINTS if point.way == growth.NETWORKS]
    assert keys >= {point.key(row["device"]) for row in records.read("growth")[:1] for point in networks}


def test_wrong_points_are_refused():
    with pytest.raises(ValueError, match="classes must be a multiple of 10, got 15"):
        growth.Point(100, classes=15)
    with pytest.raises(ValueError, match="way must be one of one by one, heads one by one, heads together"):
        growth.Point(100, way="stacked")


def test_no_sweep_is_called_growth():
    assert "growth" not in sweeps.SWEEPS, "its records would share a file"
