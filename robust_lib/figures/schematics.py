"""Schematics, one at the beginning of each chapter: what is about to happen, before any measurement.

Where a schematic holds numbers they are computed from what it is given; nothing is drawn by eye.
"""

from itertools import pairwise

import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch, Rectangle

from robust_lib.figures import CLEAN, COLOURS, NOISY, draw_lines, panels
from robust_lib.losses import weights

ARROW = {"arrowstyle": "-|>", "color": "0.35", "linewidth": 1.3, "shrinkA": 2, "shrinkB": 2}
WIDTH = 1.55  # of a box


def _bare(ax, width: float, height: float) -> None:
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")


def _boxes(ax, placed: dict, arrows, marked: tuple[str, ...], height: float) -> None:
    """Boxes {title: (left, bottom, text)}; arrows (from, to, words) lead from a right side to a left one."""
    for title, (x, y, text) in placed.items():
        face, edge = ("#E8F1F8", CLEAN) if title in marked else ("white", "0.5")
        ax.add_patch(FancyBboxPatch((x, y), WIDTH, height, boxstyle="round,pad=0.03", fc=face, ec=edge))
        middle = {"ha": "center", "va": "center"}
        ax.text(x + WIDTH / 2, y + height - 0.22, title, weight="bold", fontsize=9, **middle)
        ax.text(x + WIDTH / 2, y + height / 2 - 0.17, text, fontsize=8, **middle)
        for source, _, words in (arrow for arrow in arrows if arrow[1] == title):
            from_x, from_y, _ = placed[source]
            end, start = (x - 0.03, y + height / 2), (from_x + WIDTH + 0.03, from_y + height / 2)
            ax.annotate("", end, start, arrowprops=ARROW)
            if words:
                half = ((end[0] + start[0]) / 2, (end[1] + start[1]) / 2)
                ax.text(*half, words, fontsize=8, bbox={"fc": "white", "ec": "none", "pad": 1}, **middle)


def plan(placed: dict[str, tuple[float, float, str]], arrows, marked: tuple[str, ...] = ()):
    """Boxes in columns and rows with arrows to the right: {title: (column, row, text)}, both from 0, row 0 on
    top. arrows: (title, title) or (title, title, words). Text breaks at its newlines. marked: as in flow.
    """
    columns, rows = (1 + max(place[k] for place in placed.values()) for k in (0, 1))
    fig, axes = panels(1, 1, width=1.9 * columns + 0.3 * (columns - 1), height=1.15 * rows + 0.2)
    ax, top = axes[0, 0], 1.15 * (rows - 1)
    _bare(ax, 2.3 * columns - 0.4, 1.15 * rows)
    corners = {title: (2.3 * x + 0.1, top - 1.15 * y + 0.1, text) for title, (x, y, text) in placed.items()}
    _boxes(ax, corners, [(*arrow, "")[:3] for arrow in arrows], marked, height=0.9)
    return fig


def flow(steps: dict[str, str], back: str = "", to: str = "", marked: tuple[str, ...] = ()):
    """Boxes from left to right with arrows between them, {title: what happens there, in a few words}.

    back: words on an arrow from the last box back to the box `to` (default: the first), none where empty.
    marked: titles of the boxes that the chapter is about. The text of a box breaks at its newlines.
    """
    fig, axes = panels(1, 1, width=1.9 * len(steps), height=1.9 if back else 1.5)
    ax = axes[0, 0]
    _bare(ax, 2 * len(steps), 1.9 if back else 1.4)
    low, titles = 0.6 if back else 0.1, list(steps)
    placed = {title: (2 * i + 0.1, low, text) for i, (title, text) in enumerate(steps.items())}
    _boxes(ax, placed, [(*pair, "") for pair in pairwise(titles)], marked, height=1.2)
    if back:
        last, first = (2 * titles.index(title) + 0.875 for title in (titles[-1], to or titles[0]))
        ax.plot([last, last, first, first], [low - 0.05, 0.25, 0.25, 0.3], color="0.35", linewidth=1.3)
        ax.annotate("", (first, low - 0.03), (first, 0.25), arrowprops=ARROW | {"shrinkA": 0})
        ax.text((last + first) / 2, 0.13, back, ha="center", va="center", fontsize=8)
    return fig


def score_margin_weight(scores, label: int, named: dict):
    """Scores of one sample, its soft margin, and the weight that each loss of {name: loss} gives it there.

    scores (K,). Left: a bar a class, the labelled one in colour. Middle: how the margin comes from them.
    Right: the weight curves, a dot at this sample's margin.
    """
    scores = torch.as_tensor(scores, dtype=torch.float64)
    delta = weights.margin(scores[None], torch.tensor([label]))
    rest = float(torch.cat([scores[:label], scores[label + 1 :]]).logsumexp(0))
    fig, axes = panels(1, 3, width=2.9, height=2.5)
    left, middle, right = axes[0]
    left.bar(
        range(len(scores)),
        scores.tolist(),
        color=[NOISY if k == label else "0.75" for k in range(len(scores))],
    )
    left.axhline(0, color="0.5", linewidth=0.7)
    left.set(title="1. scores $s$", xlabel="class (its label in colour)", xticks=range(len(scores)))
    middle.bar([0, 1], [float(scores[label]), rest], color=[NOISY, "0.75"], width=0.5)
    middle.axhline(0, color="0.5", linewidth=0.7)
    middle.set_xticks([0, 1], ["$s_y$", "soft maximum\nof the others"])
    between = {"arrowstyle": "<->", "color": "black", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    middle.annotate("", (0.5, float(scores[label])), (0.5, rest), arrowprops=between)
    words = {"ha": "left", "va": "center", "fontsize": 9, "bbox": {"fc": "white", "ec": "none", "pad": 1}}
    middle.text(0.55, (float(scores[label]) + rest) / 2, rf"$\Delta_y$ = {float(delta):.1f}", **words)
    middle.set(title=r"2. soft margin $\Delta_y$", xlim=(-0.5, 1.6))
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    draw_lines(right, {name: (axis, loss.weight_at(axis)) for name, loss in named.items()})
    for position, loss in enumerate(named.values()):
        right.plot(float(delta), float(loss.weight_at(delta)), "o", color=COLOURS[position])
    right.axvline(float(delta), color=NOISY, linewidth=0.8)
    right.set(title=r"3. weight $w(\Delta_y)$", xlabel=r"soft margin $\Delta_y$")
    right.legend(fontsize=8, frameon=False)
    return fig


def transition(matrix, names=None):
    """A transition matrix (K, K) as numbers: rows true classes, columns given labels."""
    matrix = np.asarray(matrix, dtype=float)
    classes = len(matrix)
    names = [str(k) for k in range(classes)] if names is None else list(names)
    fig, axes = panels(1, 1, width=0.8 * classes + 1.6, height=0.62 * classes + 0.9)
    ax = axes[0, 0]
    for true in range(classes):
        for given in range(classes):
            colour = CLEAN if true == given else NOISY
            alpha = 0.12 + 0.6 * matrix[true, given] if matrix[true, given] else 0
            ax.add_patch(Rectangle((given, true), 1, 1, facecolor=colour, alpha=alpha))
            text = f"{matrix[true, given]:.2g}"
            ax.text(given + 0.5, true + 0.5, text, ha="center", va="center", fontsize=9)
    ax.set(xlim=(0, classes), ylim=(classes, 0), xlabel="given label", ylabel="true class")
    ax.set_xticks(np.arange(classes) + 0.5, names)
    ax.set_yticks(np.arange(classes) + 0.5, names)
    ax.tick_params(length=0)
    ax.set_title("each row adds up to 1", fontsize=9)
    return fig


def tables(shown: dict, between: tuple[str, ...], names: tuple[str, str] = ("label", "sample")):
    """Tables of numbers side by side with a sign between two of them: {title: (rows, columns)}.

    A loss over samples and labels and the parts it is made of: between=("=", "+"). names: of the columns and
    of the rows. Blue is below 0, vermilion above, in parts of the largest size of all.
    """
    arrays = {title: np.asarray(table, dtype=float) for title, table in shown.items()}
    top = max(np.abs(array).max() for array in arrays.values())
    rows, columns = next(iter(arrays.values())).shape
    fig, axes = panels(1, len(arrays), width=0.62 * columns + 0.9, height=0.5 * rows + 1.0)
    for ax, (title, array), sign in zip(axes[0], arrays.items(), (*between, ""), strict=True):
        for (row, column), value in np.ndenumerate(array):
            colour, alpha = NOISY if value > 0 else CLEAN, 0.7 * abs(value) / top
            ax.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=alpha))
            ax.text(column + 0.5, row + 0.5, f"{value + 0.0:.2f}", ha="center", va="center", fontsize=8)
        ax.set(xlim=(0, columns), ylim=(rows, 0), xlabel=names[0], title=title)
        ax.set_xticks(np.arange(columns) + 0.5, range(columns))
        ax.set_yticks(np.arange(rows) + 0.5, range(1, rows + 1))
        ax.tick_params(length=0)
        ax.text(1.1, 0.5, sign, transform=ax.transAxes, ha="center", va="center", fontsize=16)
    axes[0, 0].set_ylabel(names[1])
    return fig


def knobs(kinds: dict):
    """What can be done to a weight curve, a panel {what: {label: loss}}; each has the largest size 1."""
    fig, axes = panels(1, len(kinds), width=2.1, height=1.9, sharey=True)
    delta = torch.linspace(-8, 8, 401, dtype=torch.float64)
    for ax, (title, named) in zip(axes[0], kinds.items(), strict=True):
        lines = {}
        for label, loss in named.items():
            w = loss.weight_at(delta)
            lines[label] = (delta, w / w.abs().max())
        draw_lines(ax, lines)
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.set(title=title, xlabel=r"$\Delta_y$", yticks=[0, 1], ylim=(-0.7, 1.75))
        ax.legend(fontsize=7, frameon=False, loc="upper right")
    axes[0, 0].set_ylabel("weight, largest size 1")
    return fig


def number_line(edge: float, starts: dict[str, float], below: str, above: str):
    """The probability p_y on a logarithmic line, cut at an edge: what happens below it and above.

    starts: {label: p_y}, points to compare with the edge, such as 1/K of a fresh network.
    """
    fig, axes = panels(1, 1, width=6.4, height=1.7)
    ax = axes[0, 0]
    ax.axvspan(1e-3, edge, color=NOISY, alpha=0.15)
    ax.axvspan(edge, 1, color=CLEAN, alpha=0.15)
    ax.axvline(edge, color="black", linewidth=1)
    words = {"ha": "center", "va": "center", "fontsize": 9}
    ax.text((1e-3 * edge) ** 0.5, 0.8, below, color=NOISY, **words)
    ax.text(edge**0.5, 0.8, above, color=CLEAN, **words)
    for label, p in starts.items():
        ax.plot(p, 0.25, "o", color="black")
        ax.text(p, 0.45, label, **words | {"ha": "right" if p < edge else "center"})
    ax.set(
        xscale="log", xlim=(1e-3, 1), ylim=(0, 1), yticks=[], xlabel="$p_y$, probability of the given label"
    )
    ax.spines["left"].set_visible(False)
    return fig
