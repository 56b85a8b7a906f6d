"""One's own data: chapter 17."""

import numpy as np

from robust_lib.figures import (
    CLEAN,
    COLOURS,
    DASHES,
    NOISY,
    draw_lines,
    legend_below,
    panel_row,
    panels,
    side_legend,
)

FAMILIES = {"baseline": ("s", "#E69F00"), "Blurry": ("o", CLEAN), "Piecewise-zero": ("^", "#009E73")}


def yield_curves(rankings: dict[str, np.ndarray], wrong: np.ndarray, reach: int):
    """Wrong labels found against labels looked at, down each ranking {name: positions}, up to `reach`.

    wrong: bool (N,). Dotted: what a perfect ranking and one by chance would find.
    """
    fig, axes = panels(1, 1, width=5.4, height=3.4)
    looked = np.arange(reach + 1)
    hits = {name: wrong[ranking[:reach]].cumsum() for name, ranking in rankings.items()}
    draw_lines(axes[0, 0], {name: (looked, np.append(0, found)) for name, found in hits.items()})
    limits = {"perfect": np.minimum(looked, wrong.sum()), "by chance": looked * wrong.mean()}
    for name, found in limits.items():
        axes[0, 0].plot(looked, found, color="0.6", linestyle=":", linewidth=1)
        axes[0, 0].annotate(name, (reach, found[-1]), fontsize=8, color="0.4", ha="right", va="bottom")
    axes[0, 0].set(xlabel="labels looked at", ylabel="wrong labels found")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return fig


def loss_ladders(columns: dict[str, dict[str, tuple[str, float]]], xlabel: str):
    """HS Fig. 5, 9 and 10: a score for each loss and setting, one panel a column.

    columns: {title: {loss: (family, score)}}, families as in FAMILIES. Dashed: the best baseline. Dots, not
    HS's bars: the axis does not begin at 0.
    """
    fig, members = panel_row(columns, 3.6, 3.4, sharey=True)
    for ax, scores in members:
        for row, (family, score) in enumerate(scores.values()):
            marker, colour = FAMILIES[family]
            ax.plot(score, row, marker, color=colour, markersize=6)
        best = max(score for family, score in scores.values() if family == "baseline")
        ax.axvline(best, color=NOISY, linestyle="--", linewidth=1)
        ax.set(xlabel=xlabel, yticks=range(len(scores)))
        ax.set_yticklabels(scores)
        ax.grid(axis="x", linewidth=0.4)
    ax.invert_yaxis()
    used = {family for scores in columns.values() for family, _ in scores.values()}
    for name, (marker, colour) in FAMILIES.items():
        if name in used:
            members[0][0].plot([], [], marker, color=colour, label=name)
    legend_below(fig, columns=3)
    return fig


def before_and_after(scores, limits: dict[str, float], xlabel: str):
    """What was done to wrong labels, and how well a head learns from them: a panel for each kind of noise.

    scores: a DataFrame with columns noise, way, loss and score, one row a run. A mark is the mean over runs,
    its bar the range; limits: {noise: score}, dotted: what the true labels give.
    """
    ways, looks = list(scores["way"].unique()), list(scores["loss"].unique())
    fig, members = panel_row(
        dict(list(scores.groupby("noise", sort=False))), 3.1, 2.8, sharex=True, sharey=True
    )
    for ax, part in members:
        ax.axvline(limits[part["noise"].iloc[0]], color="0.5", linestyle=":")
        for position, loss in enumerate(looks):
            runs = part[part["loss"] == loss].groupby("way", sort=False)["score"]
            rows = np.arange(len(ways)) + 0.2 * (position - (len(looks) - 1) / 2)
            mean, low, high = (getattr(runs, name)().loc[ways] for name in ("mean", "min", "max"))
            look = {"color": COLOURS[position], "marker": "osD^"[position % 4], "linestyle": "none"}
            ax.errorbar(mean, rows, xerr=[mean - low, high - mean], label=loss, capsize=2, **look)
        ax.set(xlabel=xlabel, yticks=range(len(ways)))
        ax.set_yticklabels(ways)
        ax.grid(axis="x", linewidth=0.4)
    ax.invert_yaxis()
    legend_below(fig)
    return fig


def one_way_errors(rates: list[float], wrong: dict[str, list[float]], right: dict[str, list[float]]):
    """Share of labels flagged, {loss: share at each rate}, wrong and right ones of one class, against the
    share of it that is wrong: vermilion and blue, the losses by dash and marker."""
    fig, axes = panels(1, 1, width=5.6, height=3.2)
    ax = axes[0, 0]
    for position, loss in enumerate(wrong):
        look = {"linestyle": DASHES[position], "marker": "osD^"[position % 4]}
        ax.plot(rates, wrong[loss], color=NOISY, label=f"wrong labels, {loss}", **look)
        ax.plot(rates, right[loss], color=CLEAN, fillstyle="none", label=f"right labels, {loss}", **look)
    ax.axvline(0.5, color="0.6", linewidth=0.6)
    ax.set(xlabel="share of the class with the same wrong label", ylabel="share flagged", ylim=(-0.03, 1.03))
    side_legend(fig)
    return fig
