"""Where a loss backs off too far: chapter 07."""

import math

import numpy as np
import torch

from robust_lib.figures import (
    CLEAN,
    COLOURS,
    NOISY,
    draw_lines,
    legend_below,
    line_style,
    panel_row,
    panels,
    side_legend,
)

# A letter beside each colour, so that no two outcomes differ by colour alone.
OUTCOMES = {
    "learns": ("L", "#8EC9F0"),
    "partly": ("P", "#F5E78A"),
    "stalls": ("S", "#C9C9C9"),
    "collapses": ("C", "#F0A070"),
}
SHIFT, LINEAR = 0.011, 0.004  # of `gaps`


def starts(loss, margins: dict, edge: float, reach: float = 9.0):
    """w(Δ) of one loss over the margins Δ of fresh networks, {title: Δ samples}, a panel each.

    edge: the probability below which the weight is negative; that side is hatched, and the title says which
    share of the samples lies there.
    """
    fig, members = panel_row(margins, 3.4 if len(margins) > 1 else 5.0, 2.8, "weight", sharey=True)
    grid = torch.linspace(-reach, reach / 3, 601, dtype=torch.float64)
    border = math.log(edge) - math.log1p(-edge) if 0 < edge < 1 else -math.inf
    for ax, samples in members:
        heights, edges = torch.histogram(samples.double().cpu(), 80, range=(-reach, reach / 3))
        tallest = heights.max().clamp_min(1)
        ax.stairs(0.9 * heights / tallest, edges, fill=True, color="0.8", label="fresh samples (scaled)")
        ax.plot(grid, loss.weight_at(grid), color=CLEAN, label=r"weight $w(\Delta_y)$")
        ax.axhline(0, color="0.5", linewidth=0.6)
        if border > -reach:
            style = {"facecolor": "none", "edgecolor": NOISY, "hatch": "///", "alpha": 0.35, "linewidth": 0}
            ax.axvspan(-reach, border, **style)
            ax.axvline(border, color=NOISY, linestyle="--", linewidth=1.2, label=r"$p_y=e^{-1/\gamma}$")
        pushed = float((loss.weight_at(samples.double()) < 0).double().mean())
        title = f"{ax.get_title()}: {pushed:.0%} pushed away"
        ax.set(title=title, xlabel=r"soft margin $\Delta_y$ (score units)")
    legend_below(fig, columns=3)
    return fig


def scans(lines: dict, ylabel: str):
    """One line a network, {label: (values of γ ln K, y)}; at γ ln K = 1 the edge e^(-1/γ) is p_y = 1/K."""
    fig, axes = panels(1, 1, width=5.6, height=3.2)
    ax = axes[0, 0]
    ax.axvline(1, color="0.4", linewidth=1.0)
    ax.text(1, 1.04, r"$\gamma=1/\ln K$", ha="center", va="bottom", fontsize=8)
    draw_lines(ax, lines, marker=".")
    ax.set(xlabel=r"$\gamma\,\ln K$ (no unit)", ylabel=ylabel, ylim=(-0.03, 1.03))
    side_legend(fig)
    return fig


def outcome_maps(maps: dict, row_label: str, column_label: str, boundary=None):
    """The outcome of each run, {(top title, side title): {(row, column): (outcome, accuracy)}}, as panels.

    Cells show the outcome's letter and the accuracy in percent. boundary(row) -> column value, if given:
    a black bar parts the columns below it from those above.
    """
    tops, sides = (list(dict.fromkeys(key[i] for key in maps)) for i in (0, 1))
    rows, columns = (list(dict.fromkeys(key[i] for key in next(iter(maps.values())))) for i in (0, 1))
    size = {"width": max(0.36 * len(columns) + 0.5, 3), "height": 0.38 * len(rows) + 0.6}
    fig, axes = panels(len(sides), len(tops), **size, sharex=True, sharey=True)
    for (top, side), cells in maps.items():
        ax = axes[sides.index(side), tops.index(top)]
        _cells(ax, cells, rows, columns)
        for i, row in enumerate(rows if boundary else []):
            below = sum(column < boundary(row) for column in columns)
            if below < len(columns):
                ax.plot([below - 0.5] * 2, [i - 0.5, i + 0.5], color="black", linewidth=2.5)
    for ax, top in zip(axes[0], tops, strict=True):
        ax.set_title(top, fontsize=9)
    for ax, side in zip(axes[:, 0], sides, strict=True):
        ax.set_ylabel(f"{side}\n{row_label}".strip())
    for ax in axes[-1]:
        ax.set_xlabel(column_label)
    _legend(fig, {outcome for cells in maps.values() for outcome, _ in cells.values()}, boundary)
    return fig


def _cells(ax, cells: dict, rows: list, columns: list) -> None:
    from matplotlib.patches import Rectangle

    for (row, column), (outcome, accuracy) in cells.items():
        letter, colour = OUTCOMES[outcome]
        x, y = columns.index(column), rows.index(row)
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
        ax.text(x, y, f"{letter}\n{100 * accuracy:.0f}", ha="center", va="center", fontsize=6.5)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), [f"{column:g}" for column in columns])
    ax.set_yticks(range(len(rows)), [f"{row:g}" for row in rows])
    ax.tick_params(length=0)


def _legend(fig, seen: set, boundary) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries = [(outcome, *OUTCOMES[outcome]) for outcome in OUTCOMES if outcome in seen]
    handles = [Patch(color=colour, label=f"{letter} {outcome}") for outcome, letter, colour in entries]
    if boundary:
        handles.append(Line2D([], [], color="black", linewidth=2.5, label=r"$\gamma=1/\ln K$"))
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def learning(curves: dict, chance: float):
    """Accuracy by epoch, {(top title, side title): {line label: curves of several seeds}}, a panel each.

    The grey line is at chance. All panels have the lines of the first, and share their axes.
    """
    tops, sides = (list(dict.fromkeys(key[i] for key in curves)) for i in (0, 1))
    fig, axes = panels(len(sides), len(tops), 2.1, 2.0, sharex=True, sharey=True)
    for (top, side), lines in curves.items():
        ax = axes[sides.index(side), tops.index(top)]
        ax.axhline(chance, color="0.7", linewidth=0.8)
        for position, (label, seeds) in enumerate(lines.items()):
            for n, values in enumerate(seeds):
                style = line_style(position) | {"marker": ".", "markersize": 4, "linewidth": 1.2}
                ax.plot(range(1, len(values) + 1), values, label="" if n else label, **style)
    for ax, top in zip(axes[0], tops, strict=True):
        ax.set_title(top, fontsize=9)
    for ax, side in zip(axes[:, 0], sides, strict=True):
        ax.set(ylabel=f"{side}\ntest accuracy", ylim=(0, 1.03))
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
        ax.locator_params(axis="x", integer=True)
    legend_below(fig)
    return fig


def gaps(groups: dict, special: float):
    """Reported score minus a baseline's against the best γ: {label: rows of (γ, difference, σ)}.

    The bar is one σ either way. Points of one γ stand side by side, SHIFT apart; the column at γ = special is
    grey. Between -LINEAR and LINEAR the vertical axis is linear, beyond logarithmic. Both axes say so.
    """
    fig, axes = panels(1, 1, width=6.6, height=3.4)
    ax = axes[0, 0]
    ax.axvspan(special - 0.05, special + 0.05, color="0.92", linewidth=0)
    ax.axhline(0, color="0.6", linewidth=0.8)
    for position, (label, rows) in enumerate(groups.items()):
        gamma, gap, sigma = np.array(rows).T
        x = gamma + SHIFT * (position - (len(groups) - 1) / 2)
        style = {"color": COLOURS[position % len(COLOURS)], "marker": "osD^vP*X"[position % 8]}
        ax.errorbar(x, gap, sigma, linestyle="none", markersize=5, elinewidth=0.7, label=label, **style)
    ax.set_yscale("symlog", linthresh=LINEAR, linscale=1.5)
    ticks = [-0.004, -0.002, 0, 0.002, 0.004, 0.01, 0.03, 0.1]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel(r"best $\gamma$, as reported (points of one $\gamma$ are set side by side)")
    ax.set_ylabel(f"Blurry − GCE (score; linear within ±{LINEAR:g},\nlogarithmic beyond)")
    side_legend(fig)
    return fig
