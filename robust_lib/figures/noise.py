"""Kinds of label noise, their rates, and estimates of their transition matrices: chapter 08."""

import numpy as np
from matplotlib.ticker import NullFormatter
from scipy.stats import norm

from robust_lib.figures import COLOURS, draw_lines, legend_below, line_style, panels


def matrices(shown: dict, classes=(), columns: int = 3, ylabel: str = "true class"):
    """Transition matrices (K, K), a panel under each title; colour is the square root of the probability.

    The diagonal, far brighter than the rest, is left white. classes: names for the axes, or none.
    """
    rows = -(-len(shown) // columns)
    fig, axes = panels(rows, columns, width=2.9, height=2.9, sharex=True, sharey=True)
    tables = {title: np.asarray(matrix).astype(float) for title, matrix in shown.items()}
    for table in tables.values():
        np.fill_diagonal(table, np.nan)
    top = np.sqrt(max(np.nanmax(table) for table in tables.values()))
    for ax in axes.flat:
        ax.set_visible(False)
    for ax, (title, table) in zip(axes.flat, tables.items(), strict=False):
        ax.set_visible(True)
        picture = ax.imshow(np.sqrt(table), cmap="cividis", vmin=0, vmax=top)
        ax.set_title(title, fontsize=9)
        ax.set(xticks=range(len(classes)), yticks=range(len(classes)))
        ax.set_xticklabels(classes, rotation=90)
        ax.set_yticklabels(classes)
        ax.tick_params(labelsize=7, length=0)
    fig.supxlabel("given label", fontsize=9)
    fig.supylabel(ylabel, fontsize=9)
    ticks = np.array([tick for tick in (0, 0.01, 0.05, 0.1, 0.2, 0.4) if np.sqrt(tick) <= top])
    bar = fig.colorbar(picture, ax=axes, shrink=0.7, label="probability (square root scale)")
    bar.set_ticks(np.sqrt(ticks), labels=[f"{tick:g}" for tick in ticks])
    return fig


def realised_rates(rate: float, drawn: dict[int, np.ndarray], generators: dict):
    """Left: realised rates of many draws, a histogram for each N, with the binomial spread as a line.

    drawn: {N: rates}. Right: realised against nominal rate, {generator: (nominal, realised)}.
    """
    fig, axes = panels(1, 2, width=4.4, height=3.2)
    ax = axes[0, 0]
    for position, (samples, rates) in enumerate(drawn.items(), 1):
        spread, colour = np.sqrt(rate * (1 - rate) / samples), COLOURS[position]
        x = np.linspace(rate - 4 * spread, rate + 4 * spread, 200)
        ax.hist(rates, bins=15, density=True, alpha=0.35, color=colour, label=f"N = {samples:,}")
        ax.plot(x, norm.pdf(x, rate, spread), **line_style(position))
    ax.set(xlabel="realised rate", ylabel="density", yscale="log", ylim=(1, None))
    ax.legend(fontsize=7)
    draw_lines(axes[0, 1], generators, linewidth=1.4)
    axes[0, 1].set(xlabel="nominal rate", ylabel="realised rate", xlim=(0, None), ylim=(0, None))
    axes[0, 1].legend(fontsize=7)
    return fig


def votes(chances: dict, accuracy: dict, heads: dict, edges: dict[str, float]):
    """Left: {label: (voters, probability that the right label wins)}. Right: accuracy against the noise rate.

    accuracy: {label: (rates, accuracies)} of neighbours' votes, in the order of `chances`; heads:
    {loss: {label: (rate, accuracy)}}, as marks moved a little sideways; edges: {label: rate} at which the
    right label ties with a wrong one.
    """
    fig, axes = panels(1, 2, width=4.6, height=3.4)
    draw_lines(axes[0, 0], chances, first=1)
    axes[0, 0].set(xlabel="labels that vote", ylabel="probability that the right one wins", xscale="log")
    axes[0, 0].legend(fontsize=7)
    ax, places = axes[0, 1], {label: n for n, label in enumerate(accuracy, 1)}
    draw_lines(ax, {f"vote, {label}": line for label, line in accuracy.items()}, first=1)
    for label, at in edges.items():
        ax.axvline(at, color=COLOURS[places[label]], linewidth=0.8, linestyle=":")
    for marker, (loss, points) in zip("osD^", heads.items(), strict=False):
        for label, (x, y) in points.items():
            aside = 0.02 * (2 * places[label] - 3)  # marks at one rate would hide each other
            ax.plot(x + aside, y, marker, color=COLOURS[places[label]], markersize=5, markeredgecolor="white")
        ax.plot([], [], marker, color="0.4", label=f"head, {loss}")
    ax.set(xlabel="noise rate", ylabel="accuracy on test images", ylim=(0, 1))
    legend_below(fig, ax, 5, fontsize=7)
    return fig


def estimates(errors: dict[str, dict[str, float]], guess: dict[str, float]):
    """How far off each estimate of T is: {estimate: {noise: error}}, a row for each noise, a mark each.

    guess: {noise: error of the uniform matrix of the right rate}, drawn as a short grey line.
    """
    fig, axes = panels(1, 1, width=6.4, height=3.4)
    ax, names = axes[0, 0], list(guess)
    rows = np.arange(len(names))[::-1]
    ax.hlines(rows, 0, 1, color="0.92", linewidth=1)
    ax.plot([guess[name] for name in names], rows, "|", color="0.4", markersize=14, label="uniform guess")
    for position, (marker, (label, row)) in enumerate(zip("os^DvP", errors.items(), strict=False), 1):
        style = {"color": COLOURS[position], "markersize": 6, "markeredgecolor": "white"}
        ax.plot([row[name] for name in names], rows, marker, label=label, **style)
    ax.set(yticks=rows, yticklabels=names, xscale="log", xlabel="misplaced share of a row")
    _plain(ax.xaxis)
    ax.set_xlim(0.8 * min(min(row.values()) for row in (guess, *errors.values())), 0.7)
    legend_below(fig, ax, 3, fontsize=7)
    return fig


def trusted(measured: dict, theory: dict, levels: dict[str, float]):
    """Misplaced share of a row against trusted images for each class: {label: (images, error)} as marks and,
    of the same labels, as lines; levels: {estimate: error}, as dotted lines."""
    fig, axes = panels(1, 1, width=5.4, height=3.3)
    ax = axes[0, 0]
    for position, label in enumerate(measured, 1):
        style = line_style(position)
        ax.plot(*theory[label], **style, label=f"{label}, formula")
        ax.plot(*measured[label], "os"[position % 2], color=style["color"], markersize=5, label=label)
    for label, level in levels.items():
        ax.axhline(level, color="0.5", linewidth=0.9, linestyle=":")
        at = {"xy": (0.99, level), "xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        ax.annotate(label, **at, fontsize=7)
    ax.set(
        xscale="log", yscale="log", xlabel="checked images of each class", ylabel="misplaced share of a row"
    )
    _plain(ax.yaxis)
    ax.legend(fontsize=7, loc="lower left")
    return fig


def _plain(axis) -> None:
    """Shares on a logarithmic axis, written out."""
    axis.set_ticks([0.02, 0.05, 0.1, 0.2, 0.5], labels=["0.02", "0.05", "0.1", "0.2", "0.5"])
    axis.set_minor_formatter(NullFormatter())
