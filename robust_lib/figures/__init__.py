"""One function per figure, each returning a matplotlib Figure; the look they share is here."""

import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

CLEAN, NOISY = "#0072B2", "#D55E00"  # blue and vermilion of Okabe & Ito: told apart by every kind of eye
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 1, 2))]


def panels(rows: int, columns: int, width: float = 3.4, height: float = 2.7, **options):
    """A figure with a grid of axes (rows, columns), always two-dimensional."""
    import seaborn as sns  # with pandas and scipy: seconds that only a drawing is to cost

    sns.set_theme(style="ticks", context="notebook", font_scale=0.8)
    size = (width * columns, height * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    for ax in axes.flat:
        sns.despine(ax=ax)
    return fig, axes


def panel_row(groups: dict, width: float, height: float, ylabel: str = "", **options):
    """A panel for each group, side by side under its title: the figure, and its pairs of axes and group."""
    fig, axes = panels(1, len(groups), width, height, **options)
    for ax, title in zip(axes[0], groups, strict=True):
        ax.set_title(title)
    axes[0, 0].set_ylabel(ylabel)
    return fig, list(zip(axes[0], groups.values(), strict=True))


def draw_lines(ax, lines: dict, first: int = 0, **options) -> None:
    """{label: (x, y)} as lines, no two of one colour or dash; `first`: whose look the first line has."""
    for position, (label, (x, y)) in enumerate(lines.items(), first):
        ax.plot(x, y, label=label, **line_style(position) | options)


def line_style(position: int) -> dict:
    """Colour and dash of the n-th line, so that no two lines differ by colour alone."""
    return {"color": COLOURS[position % len(COLOURS)], "linestyle": DASHES[position % len(DASHES)]}


def legend_below(fig, axes=None, columns: int | None = None, **options) -> None:
    """One entry for each label that occurs in the axes (default: the first panel's), in so many columns
    (default: one row)."""
    axes = fig.axes[:1] if axes is None else list(np.ravel(axes))
    handles = {text: h for ax in axes for h, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    columns = len(handles) if columns is None else columns
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=columns, frameon=False, **options)


def side_legend(fig) -> None:
    """One entry for each label of the first panel, to the right of all."""
    entries = fig.axes[0].get_legend_handles_labels()
    fig.legend(*entries, loc="outside right center", frameon=False, fontsize=8)


def rendered(fig, kind: str) -> bytes:
    """The figure as the bytes of a "png" or "svg" file, the same for the same figure."""
    buffer = io.BytesIO()
    # No dates and no random ids inside: the same figure is the same file.
    metadata = {"Software": None} if kind == "png" else {"Date": None}
    with matplotlib.rc_context({"svg.hashsalt": "robust-losses-course"}):
        fig.savefig(buffer, format=kind, dpi=100, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()
