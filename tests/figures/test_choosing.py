"""The figures of chapter 14 draw what they are given; the luck of a maximum agrees with known values."""

import math

import numpy as np
import pytest

from robust_lib.figures import choosing


def test_expected_best_agrees_with_closed_forms_and_draws():
    # E of the largest of 1, 2 and 3 standard normals (Jones 1948).
    for count, exact in {1: 0.0, 2: 1 / math.sqrt(math.pi), 3: 1.5 / math.sqrt(math.pi)}.items():
        assert choosing.expected_best(count) == pytest.approx(exact, abs=1e-9)
    drawn = np.random.default_rng(0).standard_normal((100_000, 9)).max(1)
    assert choosing.expected_best(9) == pytest.approx(drawn.mean(), abs=4 * drawn.std() / math.sqrt(1e5))
    with pytest.raises(ValueError, match="settings must be >= 1, got 0"):
        choosing.expected_best(0)


def test_lead_by_luck_agrees_with_a_closed_form_and_draws():
    # One against one: a difference of two normals, of variance 2.
    assert choosing.lead_by_luck(1) == pytest.approx(math.sqrt(2) * 1.6448536, abs=1e-6)
    assert choosing.lead_by_luck(1, 0.5) == pytest.approx(0, abs=1e-9)
    normal = np.random.default_rng(0).standard_normal((100_000, 10))
    beyond = (normal[:, :9].max(1) - normal[:, 9] > choosing.lead_by_luck(9)).mean()
    assert beyond == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 1e5))
    assert choosing.lead_by_luck(9) / math.sqrt(20) == pytest.approx(0.76, abs=0.01)  # HS's Table 1
    for settings, level in ((0, 0.95), (9, 1.0)):
        with pytest.raises(ValueError, match="settings must be >= 1 and level between 0 and 1"):
            choosing.lead_by_luck(settings, level)


def test_luck_shrinks_with_the_root_of_the_seeds_and_vanishes_for_one_setting():
    ax = choosing.luck(0.02, seeds=(1, 4), most=3).axes[0]
    one, four = (np.asarray(line.get_ydata()) for line in ax.lines)
    np.testing.assert_allclose(one, 2 * four)
    np.testing.assert_allclose(one[:2], [0, 0.02 / math.sqrt(math.pi)], atol=1e-9)
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == [
        "1 seed a setting",
        "4 seeds a setting",
    ]


def test_margins_stand_beside_their_limits():
    rows = {"first": {"BL": 0.01, "PZ": -0.02}, "second": {"BL": 0.001, "PZ": 0.002}}
    limits = {"first": {"BL": 0.003, "PZ": 0.005}, "second": {"BL": 0.004, "PZ": 0.006}}
    ax = choosing.margins(rows, limits).axes[0]
    dots = {line.get_label(): list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2}
    assert (dots["BL"], dots["PZ"]) == ([0.01, 0.001], [-0.02, 0.002])
    bars = {line.get_label(): ax.containers[n] for n, line in enumerate(ax.lines[1:])}
    for name, dot in ((line.get_label(), line) for line in ax.lines[1:]):
        assert [bar.get_width() for bar in bars[name]] == [limits[row][name] for row in rows]
        middles = [bar.get_y() + bar.get_height() / 2 for bar in bars[name]]
        np.testing.assert_allclose(middles, dot.get_ydata())  # each dot lies on its own bar
    assert [text.get_text() for text in ax.get_yticklabels()] == ["first", "second"]
    assert ax.yaxis_inverted()


def test_criteria_ring_the_chosen_and_mark_the_best():
    point = {"criterion": 1.0, "score": 0.7, "family": "CE", "seed": 0, "chosen": True}
    other = point | {"criterion": 2.0, "score": 0.9, "family": "PZ", "seed": 1, "chosen": False}
    fig = choosing.criteria({("noise", "one"): [point, other], ("noise", "two"): [point]})
    first, second = fig.axes
    rings = [tuple(line.get_xydata()[0]) for line in first.lines if line.get_label() == "chosen"]
    assert rings == [(1.0, 0.7)]
    dashed = [line.get_ydata()[0] for line in first.lines if line.get_linestyle() == "--"]
    assert dashed == [0.9]
    assert [line.get_fillstyle() for line in first.lines if line.get_marker() in ("o", "s")][:3] == [
        "full",
        "none",
        "none",
    ]
    assert (first.get_xlabel(), second.get_xlabel(), first.get_ylabel()) == ("one", "two", "noise\nF1")
