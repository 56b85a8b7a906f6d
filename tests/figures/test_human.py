"""Figures of chapter 15: what is drawn is what was given."""

import numpy as np
import pytest

from robust_lib.data import people
from robust_lib.figures import human


def test_matrices_are_in_per_cent_on_one_scale():
    one = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.0, 1.0]])
    two = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    fig = human.noise_matrices({"one": one, "two": two}, ["a", "b", "c"])
    first, second = fig.axes[:2]
    assert [ax.get_title() for ax in (first, second)] == ["one", "two"]
    assert [text.get_text() for text in first.texts] == ["10", "0", "20", "10", "0", "0"], "no diagonal"
    assert first.collections[0].get_clim() == second.collections[0].get_clim() == (0, 25)


def test_a_grouped_matrix_is_sorted_and_cut_between_groups():
    matrix = np.eye(4) * 0.6 + 0.1
    matrix[0, 2] = 0.25
    fig = human.grouped_matrix(matrix, np.array([1, 0, 1, 0]), "title")
    picture = fig.axes[0].images[0].get_array()
    # Sorted by group the classes are 1, 3, 0, 2; the picture shows square roots of per cent.
    assert picture[2, 3] == pytest.approx(5)
    assert np.isnan(np.diagonal(picture.filled(np.nan))).all()
    vertical = fig.axes[0].collections[0].get_segments()
    assert [segment[0][0] for segment in vertical] == [1.5]


def test_kinds_puts_each_noise_on_its_line():
    rows = [
        {"noise": noise, "kind": kind, "auroc": value}
        for noise, values in {"low": (0.5, 0.6), "high": (0.7, 0.9)}.items()
        for kind, value in zip(("real", "uniform"), values, strict=True)
    ]
    (ax,) = human.kinds(rows, {"auroc": "AUROC"}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in ax.lines} == {
        "low": [0.5, 0.6],
        "high": [0.7, 0.9],
    }
    assert ax.get_ylabel() == "AUROC"


def test_curves_rise_by_one_at_each_error():
    fig = human.found_curves({"set": {"detector": [0, 4, 99]}})
    steps = fig.axes[0].lines[0]
    assert steps.get_xdata().tolist() == [1, 1, 5, 100, 10_000]
    assert steps.get_ydata().tolist() == [0, 1, 2, 3, 3]
    chance = fig.axes[0].lines[-1]
    assert chance.get_ydata()[-1] == pytest.approx(3)


def test_the_crowd_is_drawn_over_the_middle_of_each_part():
    fig = human.crowd_by_place({"detector": {"entropy": [0.4, 0.1], "agree": [0.5, 0.9]}})
    entropy, agree = (ax.lines[0] for ax in fig.axes[:2])
    assert entropy.get_xdata().tolist() == [25, 75]
    assert entropy.get_ydata().tolist() == [0.4, 0.1]
    np.testing.assert_allclose(agree.get_ydata(), [50, 90])


def test_the_recorded_matrices_can_be_drawn():
    matrix = people.transition_matrix("cifar10n-worst")
    fig = human.noise_matrices({"Worst": matrix}, list(range(10)))
    assert len(fig.axes[0].texts) == 90
