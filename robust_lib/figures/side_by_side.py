"""Chapter 18: how a verdict comes about, all verdicts at a glance, our numbers against the printed ones."""

from robust_lib.figures import COLOURS, legend_below, panels

LOOKS = {"holds": ("H", "#0072B2"), "mixed": ("M", "#E69F00"), "reversed": ("R", "#D55E00")}
MARKS = {"paper": "s", "features": "o", "small": "^"}
BOXES = {
    "a paper's table\nreported.csv": (0.0, 0.72),
    "our trials, three scales\nresults/*.jsonl": (0.0, 0.12),
    "cells\ntheirs beside ours": (0.27, 0.42),
    "orderings\ntwo losses, one noise": (0.53, 0.72),
    "distances\nours minus theirs": (0.53, 0.12),
    "statements\nholds, mixed, reversed,\nnot testable here": (0.80, 0.72),
    "hours\nof what is not recorded": (0.80, 0.12),
}
ARROWS = ((0, 2), (1, 2), (2, 3), (2, 4), (3, 5), (1, 6))
BELOW = (1, 6)  # this arrow passes below the distances
BOX = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": COLOURS[1]}


def schematic():
    """From a printed table and recorded trials to verdicts and hours, as boxes and arrows."""
    fig, axes = panels(1, 1, width=9.5, height=2.6)
    ax = axes[0, 0]
    ax.set(xlim=(-0.1, 0.92), ylim=(-0.15, 1))
    ax.axis("off")
    style = {"ha": "center", "va": "center", "fontsize": 9, "bbox": BOX, "zorder": 2}
    boxes = [ax.text(x, y, words, **style) for words, (x, y) in BOXES.items()]
    for start, end in ARROWS:
        one, other = boxes[start], boxes[end]
        arrow = {"arrowstyle": "-|>", "color": "0.3", "patchA": one.get_bbox_patch(), "shrinkA": 3}
        arrow |= {"patchB": other.get_bbox_patch(), "shrinkB": 3}
        arrow |= {"connectionstyle": f"arc3,rad={0.16 if (start, end) == BELOW else 0}"}
        ax.annotate("", other.get_position(), one.get_position(), arrowprops=arrow, zorder=1)
    return fig


def verdict_grid(rows: dict[str, dict[str, str]], sides: dict[str, str]):
    """A square for each statement (row) and side (column): {key: {side: verdict or ""}}, {side: name}."""
    fig, axes = panels(1, 1, width=5.2, height=0.2 * len(rows) + 1.0)
    ax = axes[0, 0]
    for y, words in enumerate(rows.values()):
        for x, side in enumerate(sides):
            if words[side]:
                letter, colour = LOOKS[words[side]]
                ax.barh(y, 0.94, left=x - 0.47, height=0.86, color=colour)
                style = {
                    "ha": "center",
                    "va": "center",
                    "fontsize": 7,
                    "color": "white",
                    "fontweight": "bold",
                }
                ax.text(x, y, letter, **style)
    ax.set(xlim=(-0.5, len(sides) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(sides)), sides.values(), fontsize=8)
    ax.set_yticks(range(len(rows)), rows, fontsize=7)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    return fig


def against(points: dict[str, dict[str, list[tuple[float, float]]]], names: dict[str, str]):
    """Ours over theirs: {metric: {scale: [(theirs, ours), ...]}} with a mark for each scale, and the line of
    equality; names: of the scales."""
    columns = min(4, len(points))
    lines = -(-len(points) // columns)
    fig, axes = panels(lines, columns, 2.6, 2.6)
    for ax in axes.flat[len(points) :]:
        ax.set_visible(False)
    for ax, (metric, by_scale) in zip(axes.flat, points.items(), strict=False):
        for n, (scale, pairs) in enumerate(by_scale.items()):
            x, y = zip(*pairs, strict=True)
            look = {"marker": MARKS[scale], "color": COLOURS[1 + list(MARKS).index(scale)], "alpha": 0.7}
            ax.plot(
                x, y, linestyle="none", markersize=4, fillstyle="none", label=names[scale], zorder=n, **look
            )
        ends = [*ax.get_xlim(), *ax.get_ylim()]
        ax.axline((min(ends), min(ends)), slope=1, color="0.6", linewidth=0.8)
        ax.set(title=metric, xlabel="the paper", ylabel="ours")
    legend_below(fig, list(axes.flat[: len(points)]))
    return fig
