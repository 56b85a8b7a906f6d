"""One function per figure, each returning a matplotlib Figure; the look they share is here."""

import io

import matplotlib
import matplotlib.pyplot as plt
import seaborn as sns

CLEAN, NOISY = "#0072B2", "#D55E00"  # blue and vermilion of Okabe & Ito: told apart by every kind of eye
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 1, 2))]


def panels(rows: int, columns: int, width: float = 3.4, height: float = 2.7, **options):
    """A figure with a grid of axes (rows, columns), always two-dimensional."""
    sns.set_theme(style="ticks", context="notebook", font_scale=0.8)
    size = (width * columns, height * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    for ax in axes.flat:
        sns.despine(ax=ax)
    return fig, axes


def line_style(position: int) -> dict:
    """Colour and dash of the n-th line, so that no two lines differ by colour alone."""
    return {"color": COLOURS[position % len(COLOURS)], "linestyle": DASHES[position % len(DASHES)]}


def legend_below(fig, axes, columns: int | None = None) -> None:
    """One entry for each label that occurs in any panel, in so many columns (default: one row)."""
    handles = {text: h for ax in axes.flat for h, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    columns = len(handles) if columns is None else columns
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=columns, frameon=False)


def rendered(fig, kind: str) -> bytes:
    """The figure as the bytes of a "png" or "svg" file, the same for the same figure."""
    buffer = io.BytesIO()
    # No dates and no random ids inside: the same figure is the same file.
    metadata = {"Software": None} if kind == "png" else {"Date": None}
    with matplotlib.rc_context({"svg.hashsalt": "robust-losses-course"}):
        fig.savefig(buffer, format=kind, dpi=100, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()
