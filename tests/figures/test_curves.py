"""Weight and loss curves, margins by epoch, counts and scores: the lines and numbers that are drawn."""

import math

import numpy as np
import pytest
import torch

from robust_lib import losses
from robust_lib.figures import COLOURS, DASHES, curves, dynamics, finds, line_style


def test_weight_curves_draw_the_losses_weights():
    ax = curves.weight_curves({"g": {"GCE": losses.gce(q=0.7)}}, {"start": torch.randn(500) - 2}).axes[0]
    line = next(line for line in ax.lines if line.get_label() == "GCE")
    delta, weight = (torch.as_tensor(np.asarray(part)) for part in line.get_data())
    torch.testing.assert_close(weight, losses.gce(q=0.7).weight_at(delta))
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_loss_curves_draw_the_losses_values():
    line = curves.loss_curves({"g": {"PZ": losses.piecewise_zero(c=0.1)}}).axes[0].lines[0]
    p, value = line.get_data()
    expected = torch.where(torch.as_tensor(p) > 0.1, -torch.as_tensor(p).log(), 0.0)
    torch.testing.assert_close(torch.as_tensor(np.asarray(value)), expected)


def test_the_loss_curve_of_a_small_gamma_rises_from_zero_at_the_left_edge():
    line = curves.loss_curves({"g": {"BL": losses.blurry(gamma=0.1)}}).axes[0].lines[0]
    p, value = (np.asarray(part) for part in line.get_data())
    assert (value[0] < 1e-5, p[0] < 1e-4) == (True, True)
    assert value.max() == pytest.approx(10 / math.e, rel=1e-3)  # 1/(γ e), reached at e^(-1/γ)
    assert math.log(p[value.argmax()]) == pytest.approx(-10, abs=0.5)


def test_lines_differ_by_more_than_colour():
    styles = [line_style(n) for n in range(len(COLOURS))]
    assert len({str(style["linestyle"]) for style in styles}) == len(DASHES) == len(COLOURS)


def test_dynamics_figures_have_a_panel_per_run_and_epoch():
    delta, flipped = torch.randn(4, 60), torch.arange(60) < 20
    runs = {"CE": (delta, losses.ce(), 0.9), "MAE": (delta, losses.mae(), 0.8)}
    assert len(dynamics.margin_histograms(runs, flipped, [1, 4]).axes) == 4
    boxes = dynamics.epoch_boxes({"CE": delta, "MAE": delta}, flipped, "p", symlog=True)
    assert [ax.get_yscale() for ax in boxes.axes] == ["symlog", "symlog"]
    curve = dynamics.learning_curves({"CE": [0.1, 0.5]}).axes[0].lines[0]
    assert list(curve.get_ydata()) == [0.1, 0.5]


def test_detection_figures_show_what_they_are_given():
    counts = np.arange(9).reshape(3, 3)
    written = {text.get_text() for text in finds.counts_matrix(counts, ["a", "b", "c"], "t").axes[0].texts}
    assert written == {"1", "2", "3", "5", "6", "7"}
    ax = finds.score_dots({"CE": {"f1": [0.5, 0.7]}}, {"f1": "F1"}).axes[0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.5, 0.7], [0.6]]
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    sheet = finds.contact_sheet(images, ["x", "y", "z"], [True, False, True], columns=2)
    frames = [ax.spines["left"].get_linestyle() for ax in sheet.axes[:3]]
    assert frames == ["-", "--", "-"]
