"""Chapter 18: all verdicts at a glance, and our numbers against the printed ones."""

from robust_lib.figures import COLOURS, legend_below, panels

LOOKS = {"holds": ("H", "#0072B2"), "mixed": ("M", "#E69F00"), "reversed": ("R", "#D55E00")}
MARKS = {"paper": "s", "features": "o", "small": "^"}


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
