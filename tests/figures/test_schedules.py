"""The figures of chapter 10 draw what they are given."""

import numpy as np
import pytest

from robust_lib.figures import schedules
from tests.drawn import lines


def test_courses_draw_a_line_for_each_run_and_name_it_once():
    groups = {
        "a": {"MAE": ([1, 2], [[0.1, 0.2], [0.3, 0.4]]), "CE": ([1, 2], [0.5, 0.6])},
        "b": {"CE": ([3], [1])},
    }
    first, second = schedules.courses(groups, ["epoch", "rates"], "accuracy").axes
    assert [list(line.get_ydata()) for line in first.lines] == [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
    assert first.get_legend_handles_labels()[1] == ["MAE", "CE"]
    assert (first.get_xlabel(), second.get_xlabel(), first.get_xscale()) == ("epoch", "rates", "log")
    linear = schedules.courses(
        {"a": {"CE": ([1, 2], [0, 1])}}, ["epoch"], "accuracy", logarithmic=False
    ).axes[0]
    assert linear.get_xscale() == "linear"


def test_paths_draw_one_quantity_against_two():
    path, clock = ([0.7, 0.9], [0.1, 0.2]), ([1.0, 2.0], [0.1, 0.2])
    left, right = schedules.paths({"CE": path}, {"CE": clock}).axes
    np.testing.assert_array_equal(lines(left)["CE"], path)
    np.testing.assert_array_equal(lines(right)["CE"], clock)
    assert lines(left)["CE"][1].max() == pytest.approx(0.2)
