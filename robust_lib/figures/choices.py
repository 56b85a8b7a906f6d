"""Backbone, loss or filter: chapter 16."""

from itertools import combinations

import numpy as np

from robust_lib.figures import COLOURS, draw_lines, legend_below, panel_row, panels

MARKERS = "osD^vPX*"
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "++")


def variance_shares(table, score: str, factors: list[str]) -> dict[str, float]:
    """How much of a score's variance each factor explains, and each combination of them: shares of 1.

    table: a DataFrame with a column for each factor and equally many rows, at least one, in every combination
    of their levels. The keys are the factors, then their products ("loss x filter", ...), then "seeds": what
    is left between rows of one combination. With m_g the mean of the rows that agree in the factors g, and m
    the mean of all, SS(g) = sum over rows (m_g - m)^2 - sum over the proper parts h of g of SS(h), which is
    the analysis of variance of a balanced table (Fisher 1925); a share is SS over sum (score - m)^2.
    ValueError: a table that is not balanced in its finite scores, or whose scores are all equal.
    """
    _check(table, score, factors)
    values = table[score].to_numpy(dtype=float)
    mean, shares = values.mean(), {}
    total = ((values - mean) ** 2).sum()
    groups = [group for size in range(1, len(factors) + 1) for group in combinations(factors, size)]
    for group in groups:
        own = table.groupby(list(group))[score].transform("mean").to_numpy(dtype=float)
        inside = sum(share for part, share in shares.items() if set(part) < set(group))
        shares[group] = float(((own - mean) ** 2).sum() / total - inside)
    named = {" x ".join(group): share for group, share in shares.items()}
    return named | {"seeds": float(((values - own) ** 2).sum() / total)}


def _check(table, score: str, factors: list[str]) -> None:
    finite = table[np.isfinite(table[score].to_numpy(dtype=float))]
    counts = finite.groupby(factors)[score].count()
    cells = int(np.prod([table[factor].nunique() for factor in factors]))
    if len(counts) != cells or counts.nunique() != 1 or len(table) != counts.sum():
        raise ValueError(
            f"table must have equally many rows with a finite {score} in each of the {cells} combinations of "
            f"{', '.join(factors)}, got {len(counts)} combinations with {counts.min()} to {counts.max()} rows"
        )
    if not np.ptp(table[score].to_numpy(dtype=float)) > 0:
        raise ValueError(f"table must have different values of {score}, got only {table[score].iloc[0]}")


def shares(designs: dict[str, dict[str, float]]):
    """Stacked bars of variance shares, one for each design: {title: {part: share}}, as `variance_shares`
    of the factors backbone, loss and filter."""
    fig, axes = panels(1, 1, width=7.6, height=0.42 * len(designs) + 1.5)
    ax = axes[0, 0]
    parts = list(dict.fromkeys(part for own in designs.values() for part in own))
    # A product of factors looks alike whichever they are.
    looks = {"backbone": 0, "loss": 1, "filter": 2, "seeds": 6}
    looks |= {part: 3 + part.count(" x ") for part in parts if " x " in part}
    for row, own in enumerate(designs.values()):
        left = 0.0
        for part, share in own.items():
            look = looks[part]
            style = {"color": COLOURS[look + 1], "hatch": HATCHES[look], "edgecolor": "white"}
            ax.barh(row, share, left=left, height=0.7, label=_legend(part), **style)
            if share >= 0.06:
                box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
                ax.text(left + share / 2, row, f"{share:.0%}", ha="center", va="center", fontsize=8, bbox=box)
            left += share
    ax.set(xlim=(0, 1), yticks=range(len(designs)), xlabel="share of F1's variance in the table")
    ax.set_yticklabels(designs)
    ax.invert_yaxis()
    handles = {text: handle for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    inside = {_legend(part): look for part, look in looks.items()}
    order = sorted(handles, key=inside.__getitem__)
    fig.legend([handles[text] for text in order], order, loc="outside lower center", ncols=6, frameon=False)
    return fig


def _legend(part: str) -> str:
    """One entry for all products of two factors, one for those of three."""
    count = part.count(" x ")
    return {0: part, 1: "two together", 2: "three together"}[count]


def by_filter(rows: dict[str, dict[str, dict[str, list[float]]]], filters: list[str]):
    """F1 over the filters: {row: {panel: {line: one F1 per filter}}}; each row has a legend of its own."""
    fig, axes = panels(len(rows), max(map(len, rows.values())), 3.5, 2.6, sharex=True)
    places = np.arange(len(filters))
    for members, (title, own) in zip(axes, rows.items(), strict=True):
        for ax, (who, lines) in zip(members, own.items(), strict=True):
            drawn = {name: (places, values) for name, values in lines.items()}
            draw_lines(ax, drawn, marker="o", markersize=4)
            ax.set(title=f"{title}: {who}", ylabel="F1")
            ax.set_xticks(places, filters, rotation=30, ha="right", rotation_mode="anchor")
            ax.grid(axis="y", linewidth=0.4)
        members[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
    return fig


def orders(panels_of: dict[str, dict[str, list[float]]], kinds: list[str]):
    """F1 of each loss under kinds of noise, and its place in their order beside each end of its line.

    panels_of: {title: {loss: one F1 per kind}}; scores are shown minus the mean of their kind.
    """
    fig, members = panel_row(panels_of, 3.6, 3.4, "F1 minus the mean of the column", sharey=True)
    for ax, lines in members:
        mean = np.mean(list(lines.values()), axis=0)
        places = np.arange(len(kinds))
        moved = {name: (places, np.array(values) - mean) for name, values in lines.items()}
        draw_lines(ax, moved, marker="o", markersize=4)
        ax.set_xticks(places, kinds)
        ax.set_xlim(-0.2, len(kinds) - 0.8)
        ax.axhline(0, color="0.7", linewidth=0.8)
    legend_below(fig, fig.axes, 4, fontsize=8)
    return fig


def by_accuracy(points: dict[str, list[tuple[float, float]]], rates: dict[str, float]):
    """F1 against accuracy: {group: [(accuracy, F1), ...]}, and f(accuracy) = 2η/(2η + (1-η)(1-accuracy)),
    the F1 of who flags every wrong label, and a right one where the network is wrong; a line for each η."""
    fig, axes = panels(1, 1, width=6.6, height=3.8)
    ax, grid = axes[0, 0], np.linspace(0.8, 1, 200)
    lines = {f"formula, {who}": (grid, expected_f1(rate, grid)) for who, rate in rates.items()}
    draw_lines(ax, lines, linewidth=1)
    for n, (name, pairs) in enumerate(points.items()):
        x, y = np.array(pairs).T
        colour = COLOURS[(len(rates) + n) % len(COLOURS)]
        style = {"color": colour, "marker": MARKERS[n % len(MARKERS)], "markersize": 6}
        ax.plot(x, y, linestyle="none", label=name, alpha=0.8, **style)
    ax.set(xlabel="held-out accuracy against CIFAR's labels", ylabel="F1 of disagreement", xlim=(0.8, 1))
    legend_below(fig, ax, 3, fontsize=8)
    return fig


def expected_f1(rate: float, accuracy):
    """F1 of flagging where the network disagrees with the label, if it disagrees with every wrong label, and
    with a right one in the share 1 - accuracy: 2η/(2η + (1 - η)(1 - accuracy))."""
    return 2 * rate / (2 * rate + (1 - rate) * (1 - accuracy))
