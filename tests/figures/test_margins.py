"""The figures of chapter 13 draw what they are given."""

import numpy as np
import pytest

from robust_lib.figures import margins
from tests.drawn import lines


def test_by_epoch_draws_medians():
    values = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 10.0]])
    ax = margins.by_epoch({"run": {"clean": values, "threshold": values - 1}}, "margin").axes[0]
    assert lines(ax)["right label"].tolist() == [[1, 2], [1, 3]]
    assert lines(ax)["threshold samples (extra class)"][1].tolist() == [0, 2]


def test_distributions_have_area_one_on_one_axis_and_mark_mean_and_threshold():
    generator = np.random.default_rng(0)
    groups = {"clean": generator.normal(3, 1, 900), "flipped": generator.normal(-2, 1, 100)}
    fig = margins.distributions(
        {"CE": groups, "wide": {n: 3 * v for n, v in groups.items()}}, {"CE": 1.5, "wide": 4}
    )
    for ax in fig.axes:
        stairs = [patch for patch in ax.patches if not patch.get_fill()]
        for patch in stairs:
            heights, edges, _ = patch.get_data()
            assert (heights * np.diff(edges)).sum() == pytest.approx(1)
    assert fig.axes[0].get_xlim() == fig.axes[1].get_xlim()
    at = [float(line.get_xdata()[0]) for line in fig.axes[0].lines if len(line.get_xdata()) == 2]
    assert at == pytest.approx([groups["clean"].mean(), groups["flipped"].mean(), 1.5])


def test_over_percentile_has_a_panel_a_title():
    fig = margins.over_percentile({"a": {"f1": [0.1, 0.5]}, "b": {"f1": [0.2, 0.3]}}, [50, 99])
    assert [lines(ax)["f1"].tolist() for ax in fig.axes] == [[[50, 99], [0.1, 0.5]], [[50, 99], [0.2, 0.3]]]


def test_over_rate_joins_means_of_seeds_and_takes_printed_ones():
    theirs = {"CE": {0.3: (0.9, 0.01), 0.1: (0.7, 0.02)}}
    fig = margins.over_rate({"paper": theirs, "ours": {"CE": {0.1: [0.4, 0.6]}}, "none": {}}, "F1")
    assert lines(fig.axes[0])["CE"].tolist() == [[0.1, 0.3], [0.7, 0.9]]
    assert lines(fig.axes[1])["CE"].tolist() == [[0.1], [0.5]]
    assert [text.get_text() for text in fig.axes[2].texts] == ["nothing recorded"]


def test_by_detector_leaves_out_what_is_not_there():
    cells = {"MNIST": {"ce()": {"CL": [0.8, 0.9], "AUM": [0.95]}, "mae()": {"CL": [0.5]}}}
    ax = margins.by_detector(cells, "F1").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ce()", "mae()"]
    assert lines(ax)["CL"][0] == pytest.approx([0.85, 0.5])
    assert lines(ax)["AUM"][0].tolist() == [0.95]
