"""Schematics show the numbers that they are given, and every word of them."""

import pytest
import torch

from robust_lib import losses
from robust_lib.data import noise
from robust_lib.figures import rendered, schematics
from tests.drawn import lines


def words(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts if text.get_text()]


def test_flow_has_every_box_in_order_and_the_way_back():
    fig = schematics.flow(
        {"fold": "train", "evidence": "p", "filter": "flags"}, back="again", marked=("filter",)
    )
    assert words(fig) == ["fold", "train", "evidence", "p", "filter", "flags", "again"]
    boxes = fig.axes[0].patches
    assert [box.get_x() for box in boxes] == sorted(box.get_x() for box in boxes)
    assert boxes[2].get_edgecolor() != boxes[0].get_edgecolor() == boxes[1].get_edgecolor()
    assert "again" not in words(schematics.flow({"fold": "train"}))


def test_flow_leads_back_to_the_box_that_is_named():
    steps = dict.fromkeys(("images", "network", "weight"), "")
    axes = [schematics.flow(steps, "again", to).axes[0] for to in ("", "images", "network")]
    ends = [ax.lines[0].get_xdata()[-1] for ax in axes]
    first, second, _ = (box.get_x() + box.get_width() / 2 for box in axes[0].patches)
    assert ends == pytest.approx([first, first, second])


def test_plan_has_boxes_in_their_places_and_every_arrow_with_its_words():
    placed = {"a": (0, 0.5, "one"), "b": (1, 0, "two"), "c": (1, 1, "three")}
    fig = schematics.plan(placed, [("a", "b", "yes"), ("a", "c")], marked=("c",))
    ax = fig.axes[0]
    boxes = dict(zip(placed, boxes_of(ax), strict=True))
    assert boxes["a"].get_x() < boxes["b"].get_x() == boxes["c"].get_x()
    assert boxes["b"].get_y() > boxes["a"].get_y() > boxes["c"].get_y()
    assert boxes["c"].get_edgecolor() != boxes["a"].get_edgecolor() == boxes["b"].get_edgecolor()
    assert sorted(words(fig)) == sorted(["a", "one", "b", "two", "yes", "c", "three"])
    ends = [text.xy for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert [y for _, y in ends] == pytest.approx([middle(boxes[title]) for title in ("b", "c")])
    inside = ax.viewLim
    assert all(inside.contains(box.get_x(), box.get_y()) for box in boxes.values())


def boxes_of(ax):
    return [patch for patch in ax.patches if hasattr(patch, "get_boxstyle")]


def middle(box):
    return box.get_y() + box.get_height() / 2


def test_margin_and_weights_are_those_of_the_scores():
    fig = schematics.score_margin_weight([-2.0, 5.0, 0.0, 0.0], 0, {"CE": losses.ce(), "MAE": losses.mae()})
    left, _, right = fig.axes
    assert [bar.get_height() for bar in left.patches] == [-2, 5, 0, 0]
    delta = -2 - torch.tensor([5.0, 0.0, 0.0], dtype=torch.float64).logsumexp(0)
    assert f"= {delta:.1f}" in words(fig)[0]
    p = torch.sigmoid(delta)
    dots = [line.get_xydata()[0] for line in right.lines if len(line.get_xdata()) == 1]
    assert dots[0].tolist() == pytest.approx([float(delta), float(1 - p)])
    assert dots[1].tolist() == pytest.approx([float(delta), float(p * (1 - p))])
    assert set(lines(right)) >= {"CE", "MAE"}


def test_transition_prints_the_matrix_row_by_row():
    fig = schematics.transition(noise.pair(3, 0.3), ["cat", "dog", "elk"])
    assert words(fig) == ["0.7", "0.3", "0", "0", "0.7", "0.3", "0.3", "0", "0.7"]
    ax = fig.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cat", "dog", "elk"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first true class on top


def test_tables_print_a_loss_and_its_parts_with_their_signs():
    loss = losses.ce().table(torch.tensor([[2.0, 0.5, -1.0]], dtype=torch.float64))
    parts = {"L": loss, "S": loss - loss.mean(), "I": loss.mean().expand_as(loss)}
    shown = words(schematics.tables(parts, ("=", "+")))
    assert shown == ["0.24", "1.74", "3.24", "=", "-1.50", "0.00", "1.50", "+", "1.74", "1.74", "1.74"]


def test_knobs_draw_each_curve_in_parts_of_its_largest_size():
    fig = schematics.knobs(
        {"lift": {"MAE": losses.mae(), "CE": losses.ce()}, "reverse": {"b": losses.blurry()}}
    )
    assert [ax.get_title() for ax in fig.axes] == ["lift", "reverse"]
    drawn = lines(fig.axes[0])
    assert [max(drawn[name][1]) for name in ("MAE", "CE")] == pytest.approx([1, 1], abs=1e-3)
    assert min(lines(fig.axes[1])["b"][1]) < 0


def test_number_line_is_cut_at_the_edge():
    fig = schematics.number_line(0.135, {"K = 10": 0.1}, "pushed", "pulled")
    assert words(fig) == ["pushed", "pulled", "K = 10"]
    ax = fig.axes[0]
    assert ax.get_xscale() == "log"
    assert [line.get_xdata()[0] for line in ax.lines] == [0.135, 0.1]


def test_a_schematic_is_an_svg_and_the_same_each_time():
    once, again = (rendered(schematics.flow({"a": "b"}), "svg") for _ in range(2))
    assert once == again
    assert b"<svg" in once
