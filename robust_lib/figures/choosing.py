"""Choosing parameters: chapter 14."""

import numpy as np

from robust_lib.figures import COLOURS, draw_lines, legend_below, panels, side_legend

MARKERS = "osD^vP"


def expected_best(settings: int) -> float:
    """The expected largest of so many independent standard normal numbers: E = ∫ x G φ(x) Φ(x)^(G-1) dx.

    0 for one, 1/√π for two. settings >= 1, else ValueError.
    """
    from scipy.stats import norm

    if settings < 1:
        raise ValueError(f"settings must be >= 1, got {settings!r}")
    x = np.linspace(-10, 10, 20_001)
    return float(np.trapezoid(x * settings * norm.pdf(x) * norm.cdf(x) ** (settings - 1), x))


def lead_by_luck(settings: int, level: float = 0.95) -> float:
    """The level-quantile of (largest of so many independent standard normal numbers) minus another one.

    Solves ∫ φ(b) Φ(t + b)^G db = level for t. settings >= 1 and 0 < level < 1, else ValueError.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    if settings < 1 or not 0 < level < 1:
        raise ValueError(f"settings must be >= 1 and level between 0 and 1, got {settings!r} and {level!r}")
    b = np.linspace(-10, 10, 20_001)
    return float(
        brentq(lambda t: np.trapezoid(norm.pdf(b) * norm.cdf(t + b) ** settings, b) - level, -20, 20)
    )


def luck(spread: float, seeds: tuple[int, ...] = (1, 2, 5, 20), most: int = 20):
    """What the best of G equally good settings seems to gain on average: spread/√n · expected_best(G).

    spread: standard deviation of the score over seeds, in its unit; a line for each number of seeds n.
    """
    fig, axes = panels(1, 1, width=5.8, height=2.9)
    counts = np.arange(1, most + 1)
    best = np.array([expected_best(int(count)) for count in counts])
    names = {n: f"{n} seed{'s' * (n > 1)} a setting" for n in seeds}
    draw_lines(axes[0, 0], {name: (counts, spread / np.sqrt(n) * best) for n, name in names.items()})
    axes[0, 0].set(
        xlabel="settings tried", ylabel="mean gain by luck (score)", title=f"spread over seeds {spread:.3f}"
    )
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].locator_params(axis="x", integer=True)
    side_legend(fig)
    return fig


def margins(rows: dict[str, dict[str, float]], limits: dict[str, dict[str, float]]):
    """Reported margins, {row: {loss: margin}}, as dots, each on a bar of what luck could give.

    limits: {row: {loss: limit}}. A bar runs from 0 to the limit; a dot inside it could be luck.
    """
    fig, axes = panels(1, 1, width=6.2, height=0.23 * len(rows) + 1.0)
    ax = axes[0, 0]
    places = np.arange(len(rows))
    ax.axvline(0, color="0.4", linewidth=0.8)
    names = list(dict.fromkeys(name for margin in rows.values() for name in margin))
    height = 0.8 / len(names)
    for position, name in enumerate(names):
        at = places + height * (position - (len(names) - 1) / 2)
        bars = [limit[name] for limit in limits.values()]
        ax.barh(at, bars, color="0.8", height=height, label=None if position else "luck and rounding")
        style = {"color": COLOURS[position + 1], "marker": MARKERS[position], "markersize": 5}
        ax.plot([margin[name] for margin in rows.values()], at, linestyle="none", label=name, **style)
    ax.set(xlabel="F1 minus that of the best baseline", yticks=places, ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticklabels(rows)
    ax.grid(axis="x", linewidth=0.4)
    fig.legend(loc="outside lower center", ncols=len(names) + 1, frameon=False)
    return fig


def criteria(points: dict[tuple[str, str], list[dict]], score: str = "F1"):
    """What a criterion says of each setting, and how good the setting is: a panel per (row, column).

    points: rows of {"criterion", "score", "family", "seed", "chosen"}; the shape is the family, a filled
    marker seed 0, an open one any other. A ring marks the setting that the criterion chose for a seed, the
    dashed line the best score of any seed.
    """
    rows, columns = (list(dict.fromkeys(key[i] for key in points)) for i in (0, 1))
    fig, axes = panels(len(rows), len(columns), width=2.5, height=2.0, sharey="row")
    families = list(dict.fromkeys(p["family"] for group in points.values() for p in group))
    for (row, column), group in points.items():
        ax = axes[rows.index(row), columns.index(column)]
        for p in group:
            _point(ax, p, families.index(p["family"]))
        ax.locator_params(axis="x", nbins=4)
        ax.margins(0.1)
        ax.axhline(max(p["score"] for p in group), color="0.5", linestyle="--", linewidth=0.8)
    for ax, column in zip(axes[-1], columns, strict=True):
        ax.set_xlabel(column, fontsize=8)
    for ax, row in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(f"{row}\n{score}")
    legend_below(fig, axes)
    return fig


def _point(ax, p: dict, position: int) -> None:
    filled = p["seed"] == 0
    style = {"color": COLOURS[position], "marker": MARKERS[position], "markersize": 5, "linestyle": "none"}
    label = p["family"] if filled else None
    ax.plot(p["criterion"], p["score"], fillstyle="full" if filled else "none", label=label, **style)
    if p["chosen"]:
        ring = {"marker": "o", "markersize": 12, "fillstyle": "none", "color": "0.4", "linestyle": "none"}
        ax.plot(p["criterion"], p["score"], label="chosen", **ring)
