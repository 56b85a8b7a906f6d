"""The figures of chapter 09 draw what they are given."""

import numpy as np
import pytest
import torch

from robust_lib.figures import CLEAN, NOISY, underfitting
from tests.drawn import lines


def test_fresh_margins_have_area_one_and_lie_where_they_were_measured():
    draw = torch.Generator().manual_seed(0)
    measured, simulated = torch.randn(5000, generator=draw) - 5, torch.randn(5000, generator=draw) - 2
    ax = underfitting.fresh_margins({"a": (measured, {"N(0, 1)": simulated})}).axes[0]
    (bars,) = ax.patches
    heights, edges, _ = bars.get_data()
    assert (heights * np.diff(edges)).sum() == pytest.approx(1)
    x, density = lines(ax)["N(0, 1)"]
    assert np.trapezoid(density, x) == pytest.approx(1, abs=0.02)
    assert np.average(x, weights=density) == pytest.approx(-2, abs=0.1)


def test_a_class_below_five_percent_is_marked_as_lost():
    margin, recall = torch.tensor([-5.0, -4.8, -4.5]), torch.tensor([0.0, 0.049, 0.05])
    path = {"MAE": ([-4.5, 1.0, 2.0], [-4.9, -5.0, -5.0]), "scaled": ([-4.5, 2.0], [-4.9, 1.0])}
    left, right = underfitting.classes_at_start({"MAE": (margin, recall)}, path).axes
    drawn = {line.get_label(): line for line in left.lines}
    assert list(drawn["class lost"].get_xdata()) == pytest.approx([-5.0, -4.8])
    assert list(drawn["class kept"].get_xdata()) == [-4.5]
    assert (drawn["class kept"].get_color(), drawn["class lost"].get_color()) == (CLEAN, NOISY)
    np.testing.assert_array_equal(lines(right)["MAE, kept"], [[0, 1, 2], [-4.5, 1.0, 2.0]])
    looks = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in right.lines[:4]}
    assert looks["MAE, lost"] == (NOISY, "-")
    assert looks["scaled, kept"] == (CLEAN, "--")


def test_update_sizes_join_the_means_of_several_runs_and_mark_their_range():
    groups = {"one": {"CE": ([1, 2], [2.0, 1.0])}, "many": {"CE": ([1, 2], [[2.0, 1.0], [4.0, 2.0]])}}
    one, many = underfitting.update_sizes(groups, logarithmic=("one",)).axes
    assert list(lines(one)["CE"][1]) == [2, 1]
    assert list(lines(many)["CE"][1]) == [3, 1.5]
    assert (one.get_yscale(), many.get_yscale()) == ("log", "linear")
    assert [len(ax.collections) for ax in (one, many)] == [0, 1]
    band = many.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1
    assert band[:, 1].max() == 4


def test_over_tau_joins_the_means_and_draws_losses_without_tau_as_levels():
    groups = {"no wrong label": {"MAE shift": {4.0: [60.0], 2.0: [70.0, 72.0]}}}
    ax = underfitting.over_tau(groups, {"no wrong label": {"CE": 71.2}}).axes[0]
    np.testing.assert_array_equal(lines(ax)["MAE shift"], [[2, 4], [71, 60]])
    assert set(lines(ax)["CE"][1]) == {71.2}
    dots = [y for line in ax.lines if line.get_marker() == "." for y in line.get_ydata()]
    assert sorted(dots) == [60, 70, 72]
