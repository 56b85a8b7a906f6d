"""Cost against images, classes and losses to try, from results/growth.jsonl."""

from robust_lib.figures import line_style, panels

SECONDS, MEMORY = "seconds_training", "peak_mib"


def growth(rows: list[dict]):
    """Rows: seconds, peak memory. Columns: by images, a line per number of classes; by losses to try, a line
    for each way to train their networks."""
    fig, axes = panels(2, 2, width=3.9, height=2.8)
    fewest = min(row["samples"] for row in rows)
    plain = [row for row in rows if row["way"] == "one by one"]
    for classes in sorted({row["classes"] for row in plain}):
        own = [row for row in plain if row["classes"] == classes and row["grid"] == 1]
        position = len(axes[0, 0].lines)
        for ax, quantity in ((axes[0, 0], SECONDS), (axes[1, 0], MEMORY)):
            _line(ax, own, "samples", quantity, position, f"training, {classes} classes")
        name = f"confident learning, {classes} classes"
        _line(axes[0, 0], own, "samples", "seconds_detection", position + 1, name)
    for position, way in enumerate(dict.fromkeys(row["way"] for row in rows)):
        own = [r for r in rows if r["way"] == way and r["samples"] == fewest and r["classes"] == 10]
        for ax, quantity in ((axes[0, 1], SECONDS), (axes[1, 1], MEMORY)):
            _line(ax, own, "grid", quantity, position, way)
    for row, words in enumerate(("seconds", "peak memory (MiB)")):
        axes[row, 0].set(xlabel="images", ylabel=words)
        axes[row, 1].set(xlabel="losses to try", title=f"{fewest:,} images, 10 classes")
    for ax in axes.flat:
        ax.set(xlim=(0, None), ylim=(0, None))
        ax.legend(frameon=False, fontsize=7)
    return fig


def _line(ax, rows: list[dict], x: str, quantity: str, position: int, name: str) -> None:
    rows = sorted(rows, key=lambda row: row[x])
    values = [row[quantity] for row in rows]
    ax.plot([row[x] for row in rows], values, marker="o", markersize=4, label=name, **line_style(position))
