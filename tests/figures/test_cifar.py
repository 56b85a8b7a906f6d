"""The figures of chapter 11 draw what they are given."""

import numpy as np
import pandas as pd
import pytest
import torch

from robust_lib import losses
from robust_lib.figures import CLEAN, NOISY, cifar
from tests.drawn import lines


def test_margins_under_noise_keep_right_and_wrong_labels_apart():
    delta = torch.tensor([[0.0] * 400, [5.0] * 200 + [-7.0] * 199 + [-90.0]])
    wrong = torch.arange(400) >= 200
    rows = {"a": ({"CE": (delta, 0.9)}, wrong), "b": ({"CE": (delta, 0.8)}, wrong)}
    axes = cifar.margins_under_noise(rows, {"CE": losses.ce()}).axes
    assert len(axes) == 2
    assert [ax.get_title() for ax in axes] == ["CE, test acc. 90.0%", "CE, test acc. 80.0%"]
    clean_last, clean_first, wrong_last, wrong_first = axes[0].patches
    assert clean_last.get_facecolor()[:3] == pytest.approx(matplotlib_rgb(CLEAN))
    assert wrong_last.get_facecolor()[:3] == pytest.approx(matplotlib_rgb(NOISY))
    heights, edges, _ = wrong_last.get_data()
    middles = (edges[1:] + edges[:-1]) / 2
    # What lies beyond the axis is in its outermost bar.
    assert middles[heights > 0] == pytest.approx([-7], abs=0.3)
    assert heights.max() == 1
    assert (clean_first.get_fill(), wrong_first.get_fill()) == (False, False)
    x, w = next(line.get_data() for line in axes[0].lines if len(line.get_xdata()) > 2)
    expected = losses.ce().weight_at(torch.as_tensor(x))
    np.testing.assert_allclose(w, expected / expected.max(), atol=1e-6)


def matplotlib_rgb(colour):
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def test_losses_are_joined_by_their_ratio():
    frame = pd.DataFrame(
        {
            "noise": ["a", "a", "b"],
            "loss": ["x", "y", "x"],
            "snr": [3.0, 0.5, 1.0],
            "diff": [-1.0, -9.0, -4.0],
        }
    )
    left, right = cifar.snr_and_diff({"one": frame, "two": frame}, {"a": "A", "b": "B"}).axes
    for ax in (left, right):
        np.testing.assert_array_equal(lines(ax)["A"], [[0.5, 3], [-9, -1]])
        np.testing.assert_array_equal(lines(ax)["B"], [[1], [-4]])
    assert left.get_xscale() == "log"


def test_numbers_of_images_are_written_out():
    share = {"CE": ([250, 5000], [1.0, 0.0])}
    panels = {"left": {"clean": ([250], [0.9]), "CE": ([250, 5000], [0.5, 0.9])}, "right": share}
    left, right = cifar.by_images(panels, {"left": "accuracy", "right": "share"}, 2570).axes
    np.testing.assert_array_equal(lines(left)["CE"], [[250, 5000], [0.5, 0.9]])
    assert [label.get_text() for label in right.get_xticklabels()] == ["250", "5,000"]
    assert (left.get_ylabel(), right.get_ylabel()) == ("accuracy", "share")
    looks = [next(line for line in ax.lines if line.get_label() == "CE") for ax in (left, right)]
    assert looks[0].get_color() == looks[1].get_color()
    assert any(list(line.get_xdata()) == [2570, 2570] for line in left.lines)


def test_a_label_has_one_look_in_both_panels():
    left, right = cifar.from_scratch({"CE, clean": [0.1, 0.2], "CE": [0.1, 0.3]}, {"CE": [0.0, 0.7]}).axes
    np.testing.assert_array_equal(lines(left)["CE"], [[1, 2], [0.1, 0.3]])
    np.testing.assert_array_equal(lines(right)["CE"], [[1, 2], [0.0, 0.7]])
    looks = [next(line for line in ax.lines if line.get_label() == "CE") for ax in (left, right)]
    assert looks[0].get_color() == looks[1].get_color()
    assert looks[0].get_linestyle() == looks[1].get_linestyle()
