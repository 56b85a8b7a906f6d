"""Chapter 16: shares of variance agree with least squares; the figures draw what they are given."""

import numpy as np
import pandas as pd
import pytest

from robust_lib.figures import choices


def table(seeds=2):
    """A score that depends on two factors, on both together, and on chance."""
    draw = np.random.default_rng(0)
    rows = [
        {"loss": loss, "filter": name, "f1": 0.1 * a - 0.05 * b + 0.03 * a * b + draw.normal(0, 0.02)}
        for a, loss in enumerate(("ce", "gce", "anl"))
        for b, name in enumerate(("both", "by class", "disagreement", "number"))
        for _ in range(seeds)
    ]
    return pd.DataFrame(rows)


def unexplained(frame, *factors):
    """Sum of squares that least squares on dummy variables leaves: another route."""
    columns = [np.ones((len(frame), 1))]
    columns += [pd.get_dummies(frame[list(f)].agg(" ".join, axis=1)).to_numpy(float) for f in factors]
    design, y = np.hstack(columns), frame["f1"].to_numpy()
    return ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum()


def test_shares_are_what_least_squares_explains():
    frame = table().sample(frac=1, random_state=0)  # in no order
    found = choices.variance_shares(frame, "f1", ["loss", "filter"])
    total = unexplained(frame)
    by_loss, additive = unexplained(frame, ["loss"]), unexplained(frame, ["loss"], ["filter"])
    full = unexplained(frame, ["loss", "filter"])
    assert found["loss"] == pytest.approx(1 - by_loss / total)
    assert found["filter"] == pytest.approx((by_loss - additive) / total)
    assert found["loss x filter"] == pytest.approx((additive - full) / total)
    assert found["seeds"] == pytest.approx(full / total)
    assert sum(found.values()) == pytest.approx(1)


def test_three_factors_add_up_and_a_pure_product_has_no_part_of_its_factors():
    signs = [-1, 1]
    rows = [{"a": i, "b": j, "c": k, "f1": i * j * k + 3} for i in signs for j in signs for k in signs]
    found = choices.variance_shares(pd.DataFrame(rows), "f1", ["a", "b", "c"])
    assert found == pytest.approx(dict.fromkeys(found, 0) | {"a x b x c": 1})
    assert list(found) == ["a", "b", "c", "a x b", "a x c", "b x c", "a x b x c", "seeds"]


def test_a_table_that_is_not_balanced_is_refused():
    message = "equally many rows with a finite f1 in each of the 12 combinations of loss, filter"
    with_gap, half, infinite = table(), table(), table()
    with_gap.loc[0, "f1"], infinite.loc[0, "f1"] = np.nan, np.inf
    half.loc[::2, "f1"] = np.nan  # one of the two rows of each combination
    for frame in (table().drop(index=[0, 1]), table().drop(index=0), with_gap, half, infinite):
        with pytest.raises(ValueError, match=message):
            choices.variance_shares(frame, "f1", ["loss", "filter"])
    with pytest.raises(ValueError, match="different values of f1, got only 1"):
        choices.variance_shares(table().assign(f1=1.0), "f1", ["loss"])


def test_bars_are_as_long_as_the_shares():
    own = {"backbone": 0.5, "filter": 0.3, "backbone x filter": 0.2, "seeds": 0.0}
    ax = choices.shares({"one": own, "two": {"loss": 0.9, "seeds": 0.1}}).axes[0]
    widths = [bar.get_width() for container in ax.containers for bar in container]
    assert widths == pytest.approx([0.5, 0.3, 0.2, 0.0, 0.9, 0.1])
    assert [bar.get_x() for bar in ax.patches] == pytest.approx([0, 0.5, 0.8, 1.0, 0, 0.9])
    assert [text.get_text() for text in ax.texts] == ["50%", "30%", "20%", "90%", "10%"]
    names = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert names == ["backbone", "loss", "filter", "two together", "seeds"]


def test_lines_over_filters_and_over_kinds():
    rows = {"heads": {"worst": {"CE": [0.8, 0.9], "GCE": [0.85, 0.88]}}}
    ax = choices.by_filter(rows, ["both", "number"]).axes[0]
    assert ax.get_title() == "heads: worst"
    assert {line.get_label(): list(line.get_ydata()) for line in ax.lines} == {
        "CE": [0.8, 0.9],
        "GCE": [0.85, 0.88],
    }
    ax = choices.orders({"worst": {"CE": [0.9, 0.8], "GCE": [0.8, 0.9]}}, ["uniform", "people"]).axes[0]
    assert list(ax.lines[0].get_ydata()) == pytest.approx([0.05, -0.05])
    assert list(ax.lines[1].get_ydata()) == pytest.approx([-0.05, 0.05])


def test_the_formula_is_the_f1_of_counts_and_the_figure_draws_it():
    wrong, right, accuracy = 90, 910, 0.9
    alarms = right * (1 - accuracy)
    assert choices.expected_f1(0.09, accuracy) == pytest.approx(2 * wrong / (2 * wrong + alarms))
    assert choices.expected_f1(0.3, 1.0) == 1
    ax = choices.by_accuracy({"CE": [(0.9, 0.6), (0.95, 0.8)]}, {"aggregate": 0.09}).axes[0]
    curve, dots = ax.lines
    assert curve.get_ydata()[0] == pytest.approx(choices.expected_f1(0.09, 0.8))
    assert (list(dots.get_xdata()), list(dots.get_ydata())) == ([0.9, 0.95], [0.6, 0.8])
