"""What people said, and detectors against it: chapter 15."""

import numpy as np
import seaborn as sns

from robust_lib.figures import draw_lines, legend_below, line_style, panel_row, panels


def noise_matrices(matrices: dict, classes):
    """Transition matrices (K, K) side by side, in per cent, diagonals left white, on one colour scale."""
    shown = {title: 100 * np.asarray(matrix) for title, matrix in matrices.items()}
    fig, axes = panels(1, len(shown), width=4.4, height=3.9)
    diagonal = np.eye(len(classes), dtype=bool)
    top = max(table[~diagonal].max() for table in shown.values())
    for ax, (title, table) in zip(axes[0], shown.items(), strict=True):
        sns.heatmap(
            table, mask=diagonal, annot=True, fmt=".0f", cmap="cividis", vmin=0, vmax=top, square=True, ax=ax,
            xticklabels=classes, yticklabels=classes, annot_kws={"fontsize": 7}, cbar=ax is axes[0, -1],
            cbar_kws={"label": "% of the row"},
        )  # fmt: skip
        ax.set(title=title, xlabel="label people gave", ylabel="CIFAR-10's label")
    return fig


def grouped_matrix(matrix, groups, title: str):
    """A transition matrix (K, K), diagonal left white, classes sorted by group (K,), lines between groups."""
    order = np.argsort(groups, kind="stable")
    table = 100 * np.asarray(matrix)[np.ix_(order, order)]
    np.fill_diagonal(table, np.nan)
    fig, axes = panels(1, 1, width=5.2, height=4.4)
    picture = axes[0, 0].imshow(np.sqrt(table), cmap="cividis")
    edges = np.flatnonzero(np.diff(np.asarray(groups)[order])) + 0.5
    axes[0, 0].vlines(edges, -0.5, len(order) - 0.5, color="white", linewidth=0.4)
    axes[0, 0].hlines(edges, -0.5, len(order) - 0.5, color="white", linewidth=0.4)
    axes[0, 0].set(title=title, xlabel="label people gave, by group", ylabel="CIFAR-100's label, by group")
    axes[0, 0].set(xticks=[], yticks=[])
    bar = fig.colorbar(picture, label="% of the row (square root scale)")
    bar.set_ticks([0, 1, 2, 3, 4, 5], labels=["0", "1", "4", "9", "16", "25"])
    return fig


def kinds(rows: list[dict], quantities: dict[str, str]):
    """Scores under noises of one rate: a panel per quantity, a line per noise, a position per kind of noise.

    rows: dicts with noise, kind and the quantities; quantities: {key: axis label}.
    """
    fig, axes = panels(1, len(quantities), width=3.4, height=2.6)
    names = list(dict.fromkeys(row["kind"] for row in rows))
    for ax, (key, label) in zip(axes[0], quantities.items(), strict=True):
        for n, noise in enumerate(dict.fromkeys(row["noise"] for row in rows)):
            values = [
                row[key] for kind in names for row in rows if (row["noise"], row["kind"]) == (noise, kind)
            ]
            ax.plot(names, values, **line_style(n + 1), marker="os"[n % 2], markersize=5, label=noise)
        ax.set(ylabel=label, xlabel="kind of noise", xlim=(-0.3, len(names) - 0.7))
        ax.grid(axis="y", linewidth=0.4)
    axes[0, -1].legend(title="rate as in", frameon=False)
    return fig


def found_curves(places: dict[str, dict[str, list[int]]]):
    """Errors found against images looked at, in the order of each ranking; a panel per data set.

    places: {title: {detector: sorted places of the known errors, 0 for the first}}.
    """
    fig, members = panel_row(places, 4.2, 3.2)
    for ax, by_detector in members:
        for n, (who, at) in enumerate(by_detector.items()):
            x = np.concatenate([[1], np.sort(at) + 1, [10_000]])
            y = np.concatenate([[0], np.arange(1, len(at) + 1), [len(at)]])
            ax.step(x, y, where="post", label=who, **line_style(n))
        looked = np.geomspace(1, 10_000, 200)
        ax.plot(looked, len(at) * looked / 10_000, color="0.6", linewidth=1, label="by chance")
        ax.set(xscale="log", xlabel="test images looked at", ylabel="known errors among them")
        ax.set(ylim=(0, 1.05 * len(at)), xlim=(1, 10_000))
    legend_below(fig, ax, 3, fontsize=8)
    return fig


def crowd_by_place(crowd: dict[str, dict[str, list[float]]]):
    """Mean entropy of people's labels, and their agreement with the label, along each detector's ranking."""
    labels = {"entropy": "entropy of people's labels (nats)", "agree": "people who chose the label (%)"}
    fig, axes = panels(1, 2, width=3.9, height=3.0)
    for ax, (key, label) in zip(axes[0], labels.items(), strict=True):
        scale = 100 if key == "agree" else 1
        curves = {who: scale * np.array(values[key]) for who, values in crowd.items()}
        draw_lines(ax, {who: (100 * (np.arange(len(y)) + 0.5) / len(y), y) for who, y in curves.items()})
        ax.set(xlabel="place in the ranking (%), suspicious first", ylabel=label)
    legend_below(fig, ax, 4, fontsize=8)
    return fig
