"""Learning rates, schedules and early stopping: chapter 10."""

import numpy as np

from robust_lib.figures import draw_lines, legend_below, line_style, panel_row


def courses(groups: dict[str, dict[str, tuple]], xlabels: list[str], ylabel: str, logarithmic: bool = True):
    """What happens in runs, {panel title: {line label: (x, y)}}, one panel a group with its own x label.

    x: (points,), y: (points,), or (runs, points) for a thin line each. logarithmic: of the x axes.
    """
    fig, members = panel_row(groups, 3.6 if len(groups) < 3 else 2.7, 2.9, ylabel, sharey=True)
    for (ax, curves), xlabel in zip(members, xlabels, strict=True):
        for position, (label, (x, y)) in enumerate(curves.items()):
            runs = np.atleast_2d(np.asarray(y))
            wide = 1.5 if len(runs) == 1 else 0.8
            for number, run in enumerate(runs):
                ax.plot(x, run, label=None if number else label, linewidth=wide, **line_style(position))
        ax.set_title(ax.get_title(), fontsize=9)
        ax.set(xlabel=xlabel, xscale="log" if logarithmic else "linear")
    legend_below(fig, columns=4)
    return fig


def paths(runs: dict[str, tuple], clocks: dict[str, tuple]):
    """Wrong labels learned: left against the right labels learned, one path a run, {label: (x, y)}; right
    against what the schedule has spent, in the same styles. Both x (points,), y (points,), shares."""
    groups = {"the path": runs, "the clock": clocks}
    fig, members = panel_row(groups, 3.8, 3.0, "share of the wrong labels learned", sharey=True)
    for (ax, curves), xlabel in zip(
        members, ("share of the right labels learned", r"$\sum_t \eta_t \bar w_t$"), strict=True
    ):
        draw_lines(ax, curves)
        ax.set(xlabel=xlabel)
    fig.axes[0].set(xlim=(0.6, 1.005))
    legend_below(fig)
    return fig
