"""Figures of chapter 08: what is drawn is what was given."""

import numpy as np
import pytest
import torch
from scipy import stats

from robust_lib.data import noise as kinds
from robust_lib.figures import noise
from tests.drawn import lines


def test_matrices_share_one_scale_and_have_no_diagonal():
    shown = {"pair": kinds.pair(3, 0.36), "uniform": kinds.uniform(3, 0.08)}
    fig = noise.matrices(shown, ["a", "b", "c"], columns=3)
    pair, uniform, rest = fig.axes[:3]
    assert [ax.get_title() for ax in (pair, uniform)] == ["pair", "uniform"]
    assert not rest.get_visible()
    table = pair.images[0].get_array().filled(np.nan)
    assert np.isnan(table.diagonal()).all()
    assert table[0, 1] == pytest.approx(0.6), "the square root"
    assert pair.images[0].get_clim() == uniform.images[0].get_clim() == pytest.approx((0, 0.6))
    assert shown["pair"][0, 0] == 0.64, "the matrix given is left as it was"


def test_realised_rates_have_the_binomial_curve():
    rates = np.linspace(0.3, 0.5, 50)
    fig = noise.realised_rates(0.4, {100: rates}, {"exact": ([0, 1], [0, 1]), "half": ([0, 1], [0, 0.5])})
    x, density = fig.axes[0].lines[0].get_data()
    np.testing.assert_allclose(density, stats.norm.pdf(x, 0.4, 0.0489898), rtol=1e-5)
    bars = [bar.get_height() * bar.get_width() for bar in fig.axes[0].patches]
    assert sum(bars) == pytest.approx(1)
    assert {name: list(y) for name, (_, y) in lines(fig.axes[1]).items()} == {
        "exact": [0, 1],
        "half": [0, 0.5],
    }


def test_heads_stand_at_their_rate_to_the_side_of_their_noise():
    chances = {"uniform": ([1, 10], [0.6, 1]), "pair": ([1, 10], [0.6, 0.7])}
    accuracy = {"uniform": ([0, 0.4], [0.9, 0.8]), "pair": ([0, 0.4], [0.9, 0.5])}
    fig = noise.votes(chances, accuracy, {"CE": {"uniform": (0.4, 0.85), "pair": (0.4, 0.6)}}, {"pair": 0.5})
    left, right = fig.axes
    assert list(lines(left)["pair"][1]) == [0.6, 0.7]
    assert list(lines(right)["vote, pair"][1]) == [0.9, 0.5]
    marks = [line.get_data() for line in right.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [(round(float(x[0]), 3), y[0]) for x, y in marks] == [(0.38, 0.85), (0.42, 0.6)]
    assert [line.get_xdata()[0] for line in right.lines if line.get_linestyle() == ":"] == [0.5]


def test_estimates_have_a_row_for_each_noise_the_first_on_top():
    fig = noise.estimates({"joint": {"a": 0.1, "b": 0.3}}, {"a": 0.02, "b": 0.4})
    (ax,) = fig.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    drawn = lines(ax)
    assert [list(part) for part in drawn["joint"]] == [[0.1, 0.3], [1, 0]]
    assert [list(part) for part in drawn["uniform guess"]] == [[0.02, 0.4], [1, 0]]
    assert ax.get_xlim()[0] < 0.02


def test_trusted_draws_marks_and_lines_of_one_label():
    fig = noise.trusted({"T": ([1, 10], [0.5, 0.2])}, {"T": ([1, 10], [0.6, 0.19])}, {"joint": 0.1})
    drawn = lines(fig.axes[0])
    assert list(drawn["T"][1]) == [0.5, 0.2]
    assert list(drawn["T, formula"][1]) == [0.6, 0.19]
    assert [text.get_text() for text in fig.axes[0].texts] == ["joint"]


def test_a_tensor_with_gradients_off_and_an_array_are_drawn_alike():
    matrix = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    one, other = (noise.matrices({"T": given}).axes[0] for given in (matrix, matrix.numpy()))
    np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())
