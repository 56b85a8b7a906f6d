"""The figures of chapter 17 draw what they are given."""

import numpy as np
import pandas as pd
import torch

from robust_lib.figures import finds, own_data
from tests.drawn import lines


def test_yield_counts_the_finds_down_each_ranking():
    wrong = np.array([False, True, True, False, False, True])
    rankings = {"good": np.array([2, 1, 5, 0, 3, 4]), "bad": np.array([0, 3, 4, 1, 2, 5])}
    ax = own_data.yield_curves(rankings, wrong, reach=4).axes[0]
    assert lines(ax)["good"].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 3]]
    assert lines(ax)["bad"][1].tolist() == [0, 0, 0, 0, 1]
    dotted = [line.get_ydata().tolist() for line in ax.lines if line.get_linestyle() == ":"]
    assert dotted == [[0, 1, 2, 3, 3], [0, 0.5, 1, 1.5, 2]]


def test_ladders_mark_the_best_baseline():
    scores = {"CE": ("baseline", 0.5), "GCE": ("baseline", 0.6), "PZ": ("Piecewise-zero", 0.7)}
    fig = own_data.loss_ladders({"here": scores, "there": scores}, "F1")
    for ax in fig.axes[:2]:
        assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [0.6]
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == list(scores)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["baseline", "Piecewise-zero"]


def test_one_way_errors_draw_both_shares_of_each_loss():
    wrong, right = {"GCE": [0.8, 0.0], "CE": [0.9, 0.1]}, {"GCE": [0.1, 1.0], "CE": [0.0, 0.5]}
    drawn = lines(own_data.one_way_errors([0.1, 0.9], wrong, right).axes[0])
    for loss in wrong:
        assert drawn[f"wrong labels, {loss}"].tolist() == [[0.1, 0.9], wrong[loss]]
        assert drawn[f"right labels, {loss}"].tolist() == [[0.1, 0.9], right[loss]]


def test_names_of_classes_are_plain_text():
    names = ["$\\bad$", "$5-$10", "a_b"]
    finds.counts_matrix(np.eye(3, k=1, dtype=int), names, "counts").canvas.draw()
    fig = finds.contact_sheet(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), names, [True] * 3, columns=3)
    fig.canvas.draw()
    assert [ax.get_title() for ax in fig.axes] == names


def test_before_and_after_draw_means_and_ranges_of_each_loss():
    rows = [
        {"noise": noise, "way": way, "loss": loss, "score": base + run}
        for noise in ("few", "many")
        for way, base in (("as is", 0.2), ("mended", 0.6))
        for loss, run in (("CE", 0.0), ("CE", 0.1), ("GCE", 0.2))
    ]
    fig = own_data.before_and_after(pd.DataFrame(rows), {"few": 0.9, "many": 0.8}, "accuracy")
    for ax, limit in zip(fig.axes, (0.9, 0.8), strict=True):
        ce, gce = ax.containers
        assert [ce.get_label(), gce.get_label()] == ["CE", "GCE"]
        np.testing.assert_allclose(ce.lines[0].get_xdata(orig=False), [0.25, 0.65])
        np.testing.assert_allclose(gce.lines[0].get_xdata(orig=False), [0.4, 0.8])
        ends = [list(bar[:, 0]) for bar in ce.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, [[0.2, 0.3], [0.6, 0.7]])
        assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [limit]
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["as is", "mended"]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["CE", "GCE"]
