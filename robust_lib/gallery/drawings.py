"""Pictures of records: trials beside the papers' numbers, maps, curves, and what things cost."""

import numpy as np
import pandas as pd
import seaborn as sns

from robust_lib.figures import CLEAN, NOISY, legend_below, line_style, panels
from robust_lib.gallery.comparison import BLURRY, CV_NOISES, GRID, HS_LABELS, Cell, label
from robust_lib.papers import reported

METRICS = {
    "f1": "F1",
    "balanced_accuracy": "balanced accuracy",
    "test_accuracy": "test accuracy (%)",
    "train_accuracy": "training accuracy (%)",
    "diff": "change of accuracy by noise (points)",
    "snr": "snr",
    "alpha": r"$\alpha_t\cdot 10^4$",
    "cohens_d": "Cohen's d",
    "wasserstein": "Wasserstein distance",
}


def dots(found: list[Cell]):
    """The cells of a table: ours as dots, the paper's as open squares, with one standard deviation each.

    One row of panels for each data set and metric, one column for each noise; where there is one noise only,
    a row for each data set and a column for each metric. Losses from top to bottom. What would squeeze all
    others is a triangle at the left edge, with its number.
    """
    one_noise = len({(cell.noise, cell.rate) for cell in found}) == 1
    places = [
        (cell.data, cell.metric) if one_noise else ((cell.data, cell.metric), (cell.noise, cell.rate))
        for cell in found
    ]
    rows, columns = (list(dict.fromkeys(each)) for each in zip(*places, strict=True))
    names = list(dict.fromkeys(cell.loss for cell in found))
    options = {"sharey": True, "sharex": "none" if one_noise else "row"}
    fig, axes = panels(len(rows), len(columns), 3.0, 0.24 * len(names) + 1.1, **options)
    shared = places if one_noise else [row for row, _ in places]
    numbers: dict = {}  # of the panels that share an axis
    for cell, axis in zip(found, shared, strict=True):
        numbers.setdefault(axis, []).extend(side.mean for side in (cell.ours, cell.paper) if side)
    edges = {axis: _edge(values) for axis, values in numbers.items()}
    for cell, (row, column), axis in zip(found, places, shared, strict=True):
        ax = axes[rows.index(row), columns.index(column)]
        _pair(ax, cell, names.index(cell.loss), edges[axis])
        eta = "" if cell.rate is None else rf", $\eta={cell.rate:g}$"
        ax.set(title=f"{cell.data}, {cell.noise}{eta}", xlabel=METRICS.get(cell.metric, cell.metric))
    for line in axes:
        for ax in line:
            ax.grid(axis="x", linewidth=0.4)
            ax.set_visible(ax.has_data())
        next(ax for ax in line if ax.has_data()).tick_params(labelleft=True)
    axes[0, 0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    legend_below(fig, axes, 2)
    return fig


def _edge(values: list[float]) -> float:
    """Left of the numbers within Tukey's outer fence (three quartile ranges below the box); -inf: all are."""
    low, high = np.percentile(values, [25, 75])
    near = [value for value in values if value >= low - 3 * (high - low)]
    return min(near) - 0.06 * (max(near) - min(near)) if len(near) < len(values) else -np.inf


def _pair(ax, cell: Cell, y: int, edge: float) -> None:
    if cell.paper:
        style = {"fmt": "s", "fillstyle": "none", "color": NOISY, "label": "the paper", "markersize": 6}
        ax.errorbar(cell.paper.mean, y + 0.15, xerr=cell.paper.spread, **style)
    if cell.ours and cell.ours.mean < edge:
        ax.plot(edge, y - 0.15, "<", color=CLEAN, markersize=4)
        beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 7}
        ax.annotate(f"{cell.ours.mean:.3g}", (edge, y - 0.15), color=CLEAN, **beside)
    elif cell.ours:
        style = {"fmt": "o", "color": CLEAN, "label": "ours", "markersize": 4}
        ax.errorbar(cell.ours.mean, y - 0.15, xerr=cell.ours.spread, **style)


def heat_maps(records: list[dict]):
    """HS Fig. 8: mean F1 over the seeds by noise rate (row) and loss or parameter (column), a line of panels
    for each data set, number of images and network: baselines, Blurry with either gradient, Piecewise-zero.
    The best of a row is bold.
    """
    scores = grid_scores(records)
    blocks = scores.columns.unique("block")
    settings = scores.index.unique("setting")
    widths = [len(scores[block].columns) for block in blocks]
    width = max(0.42 * sum(widths) / len(widths) + 0.6, 2.2)
    options = {"gridspec_kw": {"width_ratios": widths}}
    fig, axes = panels(len(settings), len(blocks), width, 2.4, **options)
    for line, setting in zip(axes, settings, strict=True):
        rows = scores.loc[setting].sort_index()
        for ax, block in zip(line, blocks, strict=True):
            _heat(ax, rows[block].to_numpy(), rows.max(axis=1).to_numpy(), rows.min(axis=None))
            ax.set(title=block, ylabel=(f"{setting}\n\n" if ax is line[0] else "") + r"noise rate $\eta$")
            ax.set_xticklabels(rows[block].columns, rotation=90)
            ax.set_yticklabels([f"{rate:g}" for rate in rows.index], rotation=0)
    return fig


def _heat(ax, values: np.ndarray, best: np.ndarray, low: float) -> None:
    """A block of scores, written into their cells; NaN stays white."""
    sns.heatmap(values, ax=ax, cmap="cividis", vmin=low, vmax=1, cbar=False, linewidths=0.5)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            style = {"ha": "center", "va": "center", "fontsize": 6}
            style["fontweight"] = "bold" if value == best[i] else "normal"
            style["color"] = "white" if value < (1 + low) / 2 else "black"
            ax.text(j + 0.5, i + 0.5, f"{value:.2f}", **style)


def grid_scores(records: list[dict]) -> pd.DataFrame:
    """Mean F1 over the seeds: a row for each (setting, rate), a column for each (block, name).

    The first block has the baselines, as HS lists them; each of the others a loss, with the values of its
    parameter by size. NaN: not recorded.
    """
    rows = []
    for record in records:
        block, name = "baselines", label("HS", record)
        if record["loss"] in GRID:
            parameter, symbol = GRID[record["loss"]]
            block, name = f"{name}, {symbol}", f"{record[f'loss_{parameter}']:g}"
        setting = f"{record['data']}\n{record['images']:,} images\n{record['network']}"
        rows.append((setting, record["rate"], block, name, record["f1"]))
    frame = pd.DataFrame(rows, columns=["setting", "rate", "block", "name", "f1"])
    scores = frame.pivot_table("f1", ["setting", "rate"], ["block", "name"], sort=False)
    blocks = ["baselines", *(f"{name}, γ" for name in BLURRY.values()), "PZ, c"]
    losses = list(HS_LABELS.values())

    def place(column: tuple[str, str]) -> tuple[int, float]:
        block, name = column
        return blocks.index(block), losses.index(name) if block == "baselines" else float(name)

    return scores[sorted(scores.columns, key=place)]


def delay_curves(records: list[dict]):
    """HS Fig. 11: F1 against the delay of Piecewise-zero; a panel per data set and rate, a line per c."""
    points = [
        (rf"{row['data']}, $\eta={row['rate']:g}$", f"c = {row['loss_c']:g}", row["delay"], row["f1"])
        for row in records
    ]
    return _curves(points, "delay d (epochs of cross entropy)", "F1")


def learning_curves(records: list[dict]):
    """CV Fig. 4: test accuracy after each epoch at constant learning rates; a panel per loss and rate."""
    points = [
        (rf"{label('CV', row)}, $\eta={row['rate']:g}$", f"learning rate {row['recipe_lr']:g}", epoch, y)
        for row in records
        for epoch, y in enumerate(row["test_accuracy_curve"], start=1)
    ]
    return _curves(points, "epoch", "test accuracy")


def alpha_curves(records: list[dict]):
    """CV Fig. 1: mean 2|w| by tenths of epochs, as a share of its maximum and as it is, on logarithmic axes;
    a row per data set, a line per loss. Losses without such a weight are left out."""
    points = []
    for row in records:
        curve = np.array(row.get("alpha_curve") or [])
        epochs = np.arange(1, len(curve) + 1) / 10
        for words, y in (("share of its maximum", curve / max(curve, default=1)), ("as it is", curve)):
            places = zip(epochs, y, strict=True)
            points += [(f"{row['data']}: {words}", label("CV Table 2", row), *place) for place in places]
    fig = _curves(points, "epoch", "mean of 2|w|", 2)
    fig.axes[0].set_yscale("log")
    return fig


def tau_curves(records: list[dict]):
    """CV Table 9: test accuracy against τ; a panel per noise and loss, a line per move, an upright in its
    style at CV's τ. CE and the loss without a move have no τ: they are level lines."""
    frame = pd.DataFrame(records)
    frame["noise"] = frame["noise"].map(CV_NOISES)
    frame[["loss", "move"]] = [label("CV Table 3", row).partition(" ")[::2] for row in records]
    points, uprights = [], {}
    for (noise, rate, loss), own in frame[frame["move"] != ""].groupby(["noise", "rate", "loss"], sort=False):
        panel = rf"{loss}, {noise}, $\eta={rate:g}$"
        points += [(panel, row.move, row.tau, row.test_accuracy) for row in own.itertuples()]
        level = frame.query("move == '' and noise == @noise and rate == @rate and loss in [@loss, 'CE']")
        for row in level.itertuples():
            line = "CE" if row.loss == "CE" else "no move"
            points += [(panel, line, tau, row.test_accuracy) for tau in (own["tau"].min(), own["tau"].max())]
        for cell in reported.table("CV Table 9"):
            if (cell.noise, cell.rate) == (noise, rate) and cell.loss.startswith(loss):
                uprights[panel, cell.loss.removeprefix(f"{loss} ")] = cell.mean
    fig = _curves(points, "τ", "test accuracy", 2)
    for ax in fig.axes:
        for line in list(ax.lines):
            if tau := uprights.get((ax.get_title(), line.get_label())):
                ax.axvline(tau, color=line.get_color(), linestyle=line.get_linestyle(), linewidth=0.8)
    return fig


def _curves(points: list[tuple[str, str, float, float]], xlabel: str, ylabel: str, columns: int = 4):
    """Mean over the seeds, and the range between the lowest and the highest; a point is panel, line, x, y."""
    frame = pd.DataFrame(points, columns=["panel", "line", "x", "y"])
    titles, names = frame["panel"].unique(), list(frame["line"].unique())
    columns = min(len(titles), columns)
    fig, axes = panels(-(-len(titles) // columns), columns, 3.0, 2.5, sharex=True, sharey=True)
    for ax, title in zip(axes.flat, titles, strict=False):
        for name, own in frame[frame["panel"] == title].groupby("line", sort=False):
            y = own.groupby("x")["y"].agg(["mean", "min", "max"])
            style = line_style(names.index(name))
            ax.plot(y.index, y["mean"], label=name, **style)
            ax.fill_between(y.index, y["min"], y["max"], color=style["color"], alpha=0.15, linewidth=0)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    for ax in axes.flat[len(titles) :]:
        ax.axis("off")
    legend_below(fig, axes, min(4, len(names)))
    return fig


def growth(rows: list[dict]):
    """What results/growth.jsonl says of cost. Rows: seconds, peak memory. Columns: by images, a line for
    each number of classes; by losses to try, a line for each way to train their networks."""
    frame = pd.DataFrame(rows)
    fig, axes = panels(2, 2, width=3.9, height=2.8)
    fewest = frame["samples"].min()
    single = frame[frame["way"].str.endswith("one by one") & (frame["grid"] == 1)]
    few = frame[(frame["samples"] == fewest) & (frame["classes"] == 10)]

    def draw(ax, own: pd.DataFrame, x: str, y: str, position: int, name: str) -> None:
        own = own.sort_values(x)
        ax.plot(own[x], own[y], marker="o", markersize=4, label=name, **line_style(position))

    for n, ((way, classes), own) in enumerate(single.groupby(["way", "classes"], sort=False)):
        what = "a head" if way.startswith("heads") else "a network"
        draw(axes[0, 0], own, "samples", "seconds_training", 2 * n, f"{what}, {classes} classes")
        draw(axes[1, 0], own, "samples", "peak_mib", 2 * n, f"{what}, {classes} classes")
        if what == "a network":
            name = f"confident learning, {classes} classes"
            draw(axes[0, 0], own, "samples", "seconds_detection", 2 * n + 1, name)
    for n, way in enumerate(frame["way"].unique()):
        own = few[few["way"] == way]
        draw(axes[0, 1], own, "grid", "seconds_training", n, way)
        draw(axes[1, 1], own, "grid", "peak_mib", n, way)
    for (by_images, by_losses), words in zip(axes, ("seconds", "peak memory (MiB)"), strict=True):
        by_images.set(xlabel="images", ylabel=words)
        by_losses.set(xlabel="losses to try", title=f"{fewest:,} images, 10 classes")
    for ax in axes.flat:
        ax.set(xlim=(0, None), ylim=(0, None))
        ax.legend(frameon=False, fontsize=7)
    return fig
