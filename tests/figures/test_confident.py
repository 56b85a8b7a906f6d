"""The figures of chapter 12 draw what they are given, and mark the right places."""

import numpy as np
import pandas as pd
import pytest

from robust_lib.detection import metrics
from robust_lib.figures import confident
from tests.drawn import lines


def test_reliability_leaves_empty_bins_out():
    bins = (np.array([0.1, 0.0, 0.9]), np.array([0.2, 0.0, 0.7]), np.array([5, 0, 15]))
    ax = confident.reliability({"as trained": {"given labels": bins}}).axes[0]
    assert lines(ax)["given labels"].tolist() == [[0.1, 0.9], [0.2, 0.7]]
    small, large = ax.collections[0].get_sizes()
    assert (large - 2) / (small - 2) == pytest.approx(3)


def test_cuts_mark_the_best_of_each_score_and_the_rate():
    truth = np.isin(np.arange(12), [0, 4])  # two wrong labels, found first and fifth
    rows = [metrics.detection_scores(truth, np.arange(12) < n) for n in range(1, 13)]
    ax = confident.cuts({"toy": pd.DataFrame(rows)}).axes[0]
    alone = {line.get_marker(): line.get_data() for line in ax.lines if len(line.get_xdata()) == 1}
    # One flag: F1 = 2/(1 + 2). Five: balanced accuracy = (1 + 7/10)/2.
    assert [float(part[0]) for part in alone["o"]] == pytest.approx([1 / 12, 2 / 3])
    assert [float(part[0]) for part in alone["s"]] == pytest.approx([5 / 12, 0.85])
    assert lines(ax)["_child0"][0].tolist() == [2 / 12, 2 / 12]


def test_lines_of_equal_balanced_accuracy_know_the_rate():
    ax = confident.precision_recall(0.25, {}, {"mask": (0.8, 0.5)}).axes[0]
    contours = [c for c in ax.collections if hasattr(c, "levels")]
    for contour, score in zip(contours, (_f1, _balanced_accuracy), strict=True):
        for level, path in zip(contour.levels, contour.get_paths(), strict=True):
            for recall, precision in path.vertices[::7]:
                assert score(recall, precision) == pytest.approx(level, abs=2e-3)


def _f1(recall, precision):
    return 2 * recall * precision / (recall + precision)


def _balanced_accuracy(recall, precision):
    """From counts: 1,000 images, 250 of them wrong."""
    hits = 250 * recall
    return (recall + 1 - hits * (1 - precision) / precision / 750) / 2


def test_knobs_draw_a_panel_for_each_parameter_and_the_baseline_dotted():
    frame = pd.DataFrame(0.5, index=[0.1, 0.9], columns=list(confident.MEASURES))
    baseline = dict.fromkeys(confident.MEASURES, 0.25)
    for ax, label in zip(confident.knobs({"γ": frame, "c": frame}, baseline).axes, "γc", strict=True):
        assert ax.get_xlabel() == label
        assert lines(ax)["recall"].tolist() == [[0.1, 0.9], [0.5, 0.5]]
        dotted = [line for line in ax.lines if set(line.get_ydata()) == {0.25}]
        assert [line.get_linestyle() for line in dotted] == [":"] * 4


def test_along_temperature_writes_each_line_s_name_at_its_end():
    drawn = {"score": {"recall": [0.9, 0.8], "precision": pd.Series([0.6, 0.7])}}
    ax = confident.along_temperature([0.1, 10], drawn, {"fitted": 1.5}).axes[0]
    ends = {text.get_text().strip(): text.xy for text in ax.texts}
    assert ends["recall"] == (10, 0.8)
    assert ends["precision"] == (10, 0.7)
    assert ends["fitted"][0] == 1.5
