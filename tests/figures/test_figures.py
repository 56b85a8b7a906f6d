"""The figures of chapters 03 to 07 draw what they are given, and the learner's own loss too."""

import math

import numpy as np
import pytest
import torch

from robust_lib import losses
from robust_lib.figures import collapse, symmetry, zoo
from robust_lib.losses import algebra
from tests.drawn import lines

# --- chapters 03 and 04 --------------------------------------------------------------------------------


def test_a_loss_of_ones_own_gets_its_panel(monkeypatch):
    monkeypatch.setattr(algebra, "_FACTORIES", dict(algebra._FACTORIES))

    @losses.margin_loss(k="[1, 8]")
    def mine(p, log_p, k=2.0):
        return (1 - p) ** k

    assert set(zoo.sweep("mine")["k"]) == {1.0, 2.0, 4.0, 8.0}  # what it refuses is left out
    ax = next(ax for ax in zoo.parameter_curves(names=["ce", "mine"]).axes if ax.get_title() == "mine: k")
    delta, w = lines(ax)["4"]
    expected = losses.get("mine", k=4.0).weight_at(torch.as_tensor(delta))
    np.testing.assert_allclose(w, expected / expected.max(), atol=1e-3)


def test_only_losses_of_p_have_curves():
    assert [zoo.has_curve(losses.get(name)) for name in ("ce", "nce", "peer")] == [True, False, False]
    assert zoo.has_curve(losses.mae().shifted(tau=2.0, classes=10))


def test_nce_passes_the_printed_bound_and_keeps_the_corrected_one():
    ax = zoo.nce_bounds(classes=(2,)).axes[0]
    delta, printed = lines(ax)["of Eq. 3 as printed"]
    assert printed.max() == pytest.approx(1.261, abs=1e-3)
    assert lines(ax)["of the corrected bound"][1].max() <= 1 + 1e-12
    # It begins at p_y = (K + 1) / (2K) = 3/4.
    assert delta[printed > 1 + 1e-6][0] == pytest.approx(math.log(3), abs=0.03)


def test_row_weights_draw_losses_of_all_classes():
    ax = zoo.row_weights({"g": {"nce": losses.nce()}}, classes=(10,)).axes[0]
    delta, w = lines(ax)["nce"]
    k = int(np.argmin(np.abs(delta + math.log(9))))  # equal scores: p = 1/K, so w = (1 - 1/K) / (K ln K)
    assert w[k] == pytest.approx(0.9 / (10 * math.log(10)), rel=0.02)


def test_training_traces_have_a_panel_a_quantity():
    fig = zoo.training_traces({"CE": {"a": [1, 2], "b": [3, 4]}}, {"a": "first", "b": "second"})
    assert [list(lines(ax)["CE"][1]) for ax in fig.axes] == [[1, 2], [3, 4]]
    assert [ax.get_ylabel() for ax in fig.axes] == ["first", "second"]


# --- chapters 05 and 06 --------------------------------------------------------------------------------


def test_certainty_marks_where_the_expected_loss_is_smallest():
    ax = symmetry.certainty({"g": {"CE": losses.ce(), "MAE": losses.mae()}}, ratio=0.5).axes[0]
    dots = [float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]
    # CE is smallest at p = 1/(1 + r̃), the true posterior; MAE is linear, so at the end.
    assert dots == pytest.approx([2 / 3, 0.999], abs=2e-3)


def test_risk_scatter_draws_the_theorems_line_through_the_first_point():
    clean = torch.tensor([0.2, 0.4, 0.6])
    fig = symmetry.risk_scatter({"MAE": (clean, {0.4: 0.3 + 0.5 * clean})}, {0.4: 0.5})
    straight = next(line for line in fig.axes[0].lines if line.get_linestyle() not in ("None", ""))
    x, y = (np.asarray(part, dtype=float) for part in straight.get_data())
    np.testing.assert_allclose(y, 0.3 + 0.5 * x, atol=1e-6)


def test_decomposition_adds_up():
    ax = symmetry.decomposition({"GCE": losses.gce(q=0.5)}).axes[0]
    whole, *parts = (line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 201)
    np.testing.assert_allclose(np.asarray(whole), np.sum(parts, axis=0), atol=1e-12)


# --- chapter 07 ---------------------------------------------------------------------------------------


def test_outcome_maps_write_letter_and_accuracy():
    cells = {(2, 0.1): ("learns", 0.98), (2, 0.5): ("collapses", 0.0), (10, 0.1): ("stalls", 0.1)}
    cells[10, 0.5] = ("partly", 0.55)
    fig = collapse.outcome_maps({("d = 0", "η = 0"): cells}, "classes K", "γ")
    written = [text.get_text() for text in fig.axes[0].texts]
    assert sorted(written) == ["C\n0", "L\n98", "P\n55", "S\n10"]


def test_learning_draws_every_seed_and_names_it_once():
    two = {"stopped": [[0.9, 0.95], [0.8, 0.85]], "Equation 4": [[0.5, 0.1]]}
    fig = collapse.learning({("γ = 0.3", "one recipe"): two, ("γ = 0.5", "one recipe"): two}, chance=0.1)
    drawn = [[float(y) for y in line.get_ydata()] for line in fig.axes[0].lines]
    assert drawn == [[0.1, 0.1], [0.9, 0.95], [0.8, 0.85], [0.5, 0.1]]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["stopped", "Equation 4"]
    assert [ax.get_title() for ax in fig.axes] == ["γ = 0.3", "γ = 0.5"]


def test_starts_says_which_share_lies_below_the_edge():
    margins = torch.tensor([-3.0, -3.0, -3.0, 0.0])
    ax = collapse.starts(losses.blurry(gamma=0.5), {"K = 10": margins}, math.exp(-2)).axes[0]
    assert "75" in ax.get_title()


def test_scans_and_gaps_draw_their_points():
    ax = collapse.scans({"K = 5": ([0.4, 1.0], [1.0, 0.3])}, "accuracy").axes[0]
    assert [list(part) for part in lines(ax)["K = 5"]] == [[0.4, 1.0], [1.0, 0.3]]
    ax = collapse.gaps({"MNIST": [(0.7, 0.001, 0.002)]}, special=0.7).axes[0]
    points = ax.containers[0].lines[0].get_data()
    assert [float(part[0]) for part in points] == pytest.approx([0.7, 0.001])


def test_gaps_say_that_points_are_shifted_and_the_axis_is_partly_logarithmic():
    ax = collapse.gaps({name: [(0.7, 0.001, 0.002)] for name in "abc"}, special=0.7).axes[0]
    drawn = [float(bars.lines[0].get_xdata()[0]) for bars in ax.containers]
    assert drawn == pytest.approx([0.7 - collapse.SHIFT, 0.7, 0.7 + collapse.SHIFT])
    assert "side by side" in ax.get_xlabel()
    assert "logarithmic beyond" in ax.get_ylabel()
    heights = ax.transData.transform([(0, y) for y in (0, 0.001, 0.002, 0.004, 0.04)])[:, 1]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0])  # linear where the label says
    assert heights[4] - heights[3] < 9 * (heights[1] - heights[0])  # not beyond
