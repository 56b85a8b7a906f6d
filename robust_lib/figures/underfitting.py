"""Underfitting with many classes: chapter 09."""

import numpy as np
from torch import Tensor

from robust_lib.figures import CLEAN, DASHES, NOISY, draw_lines, legend_below, line_style, panel_row, panels


def fresh_margins(networks: dict[str, tuple[Tensor, dict[str, Tensor]]], bins: int = 40):
    """CV Fig. 6: margins of fresh networks as histograms, simulated ones as curves, one panel a network.

    networks: {title: (margins (n,), {line label: simulated margins (m,)})}. Every histogram and curve has
    the area 1; a curve joins the tops of a histogram.
    """
    fig, members = panel_row(networks, 3.0, 2.6, r"density $f(\Delta_y)$")
    for ax, (measured, simulated) in members:
        heights, edges = np.histogram(measured.numpy(), bins, density=True)
        ax.stairs(heights, edges, fill=True, color="0.8", label="measured")
        curves = {}
        for label, margins in simulated.items():
            tops, ends = np.histogram(margins.numpy(), bins, density=True)
            curves[label] = (ends[:-1] + ends[1:]) / 2, tops
        draw_lines(ax, curves, first=1)
        ax.set_title(ax.get_title(), fontsize=9)
        ax.set(xlabel=r"soft margin $\Delta_y$", yticks=[])
    legend_below(fig)
    return fig


def classes_at_start(groups: dict[str, tuple[Tensor, Tensor]], over_epochs: dict[str, tuple]):
    """What became of every class: recall against the fresh margin, and margins over the epochs.

    groups: {title: (mean fresh margin, recall)}, each (K,), one panel a loss, a vermilion cross where the
    recall is below 0.05. over_epochs: {loss: (margins of the kept classes, of the lost ones)}, each the mean
    at the start and after each epoch; at most two losses, in the last panel.
    """
    titles = {**groups, "mean margin in training": None}
    fig, members = panel_row(titles, 3.3, 2.8, "recall on test images")
    for ax, group in members[:-1]:
        margin, recall = (values.numpy() for values in group)
        lost = recall < 0.05
        ax.plot(margin[~lost], recall[~lost], "o", color=CLEAN, markersize=4, label="class kept")
        ax.plot(margin[lost], recall[lost], "x", color=NOISY, markersize=5, label="class lost")
        ax.set(xlabel=r"mean $\Delta_y$ of the class, fresh head", ylim=(-0.03, 1.03))
        ax.locator_params(axis="x", nbins=5)
    last = members[-1][0]
    for (loss, rows), dash in zip(over_epochs.items(), DASHES, strict=False):
        for row, colour, side in zip(rows, (CLEAN, NOISY), ("kept", "lost"), strict=True):
            style = {"color": colour, "linestyle": dash, "marker": "."}
            last.plot(range(len(row)), row, label=f"{loss}, {side}", **style)
    last.axhline(0, color="0.6", linewidth=0.6)
    last.set(xlabel="epoch", ylabel=r"mean $\Delta_y$")
    last.locator_params(axis="x", integer=True)
    last.legend(fontsize=7, framealpha=1, edgecolor="none", loc="center right")  # over the line of zero
    legend_below(fig)
    return fig


def update_sizes(groups: dict[str, dict[str, tuple]], logarithmic: tuple[str, ...] = ()):
    """CV Fig. 1: the mean size of an update by training step, {panel title: {line label: (steps, sizes)}}.

    sizes: (steps,), or (runs, steps) for a line through the mean and a band from smallest to largest.
    logarithmic: titles of the panels with a logarithmic axis.
    """
    fig, members = panel_row(groups, 3.5, 2.8)
    for ax, lines in members:
        for position, (label, (steps, sizes)) in enumerate(lines.items()):
            runs, style = np.atleast_2d(np.asarray(sizes)), line_style(position)
            ax.plot(steps, runs.mean(0), label=label, **style)
            if len(runs) > 1:
                ax.fill_between(steps, runs.min(0), runs.max(0), color=style["color"], alpha=0.2, linewidth=0)
        ax.set_title(ax.get_title(), fontsize=9)
        ax.set_xlabel("step")
        if ax.get_title() in logarithmic:
            ax.set(yscale="log", ylabel=r"$\alpha_t$, logarithmic")
        else:
            ax.set(ylim=(0, None), ylabel=r"$\alpha_t$")
        ax.legend(fontsize=7, frameon=False)
    return fig


def over_tau(groups: dict[str, dict[str, dict[float, list[float]]]], levels: dict[str, dict[str, float]]):
    """Test accuracy against τ, {panel title: {line label: {tau: one value per seed}}}.

    Lines join the means, dots are seeds. levels: {panel title: {label: accuracy}}, horizontal lines of
    losses without τ.
    """
    fig, axes = panels(1, len(groups), 3.5, 3.0, sharey=True)
    for ax, (title, curves) in zip(axes[0], groups.items(), strict=True):
        for position, (label, cells) in enumerate(curves.items()):
            style = line_style(position + 1)
            taus = sorted(cells)
            ax.plot(taus, [np.mean(cells[tau]) for tau in taus], label=label, **style)
            for tau in taus:
                ax.plot([tau] * len(cells[tau]), cells[tau], ".", color=style["color"], markersize=5)
        for shade, (label, level) in zip(("0.2", "0.6"), levels[title].items(), strict=False):
            ax.axhline(level, color=shade, linewidth=0.9, label=label)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel(r"$\tau$")
        ax.grid(axis="y", linewidth=0.4)
    axes[0, 0].set_ylabel("accuracy on clean test images (%)")
    legend_below(fig, axes)
    return fig
