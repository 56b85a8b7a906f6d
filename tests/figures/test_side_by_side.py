"""Chapter 18's figures draw what they are given."""

from robust_lib.figures import side_by_side

SIDES = {"printed": "its own numbers", "small": "ours, small"}


def test_the_grid_has_a_letter_for_each_verdict_and_none_for_a_gap():
    rows = {"a": {"printed": "holds", "small": "reversed"}, "b": {"printed": "", "small": "mixed"}}
    ax = side_by_side.verdict_grid(rows, SIDES).axes[0]
    found = {text.get_text(): text.get_position() for text in ax.texts}
    assert found == {"H": (0, 0), "R": (1, 0), "M": (1, 1)}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


def test_numbers_lie_where_they_are_with_a_mark_for_each_scale():
    points = {"F1": {"paper": [(0.9, 0.8)], "small": [(0.7, 0.6), (0.5, 0.4)]}, "snr": {"small": [(1, 2)]}}
    fig = side_by_side.against(points, SIDES | {"paper": "ours, its scale"})
    drawn = [line for line in fig.axes[0].lines if line.get_linestyle() == "None"]
    assert [list(line.get_ydata()) for line in drawn] == [[0.8], [0.6, 0.4]]
    assert len({line.get_marker() for line in drawn}) == 2
    assert [ax.get_title() for ax in fig.axes if ax.get_visible()] == ["F1", "snr"]
