"""Recorded trials at the papers' scale, beside the papers' numbers where they printed any."""

import statistics
from collections.abc import Callable

import numpy as np
import seaborn as sns

from robust_lib.figures import CLEAN, NOISY, legend_below, line_style, panels
from robust_lib.gallery.comparison import BLURRY, GRID, HS_LABELS, Cell, label

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
    a row for each data set and a column for each metric. Losses from top to bottom.
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
    for cell, (row, column) in zip(found, places, strict=True):
        ax = axes[rows.index(row), columns.index(column)]
        _pair(ax, cell, names.index(cell.loss))
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


def _pair(ax, cell: Cell, y: int) -> None:
    if cell.paper:
        style = {"fmt": "s", "fillstyle": "none", "color": NOISY, "label": "the paper", "markersize": 6}
        ax.errorbar(cell.paper.mean, y + 0.15, xerr=cell.paper.spread, **style)
    if cell.ours:
        style = {"fmt": "o", "color": CLEAN, "label": "ours", "markersize": 4}
        ax.errorbar(cell.ours.mean, y - 0.15, xerr=cell.ours.spread, **style)


def heat_maps(records: list[dict]):
    """HS Fig. 8: mean F1 over the seeds by noise rate (row) and loss or parameter (column), a line of panels
    for each data set, number of images and network: baselines, Blurry with either gradient, Piecewise-zero.
    The best of a row is bold.
    """
    grids = grid_scores(records)
    blocks = _columns(grids)
    widths = [len(columns) for columns in blocks.values()]
    options = {"gridspec_kw": {"width_ratios": widths}}
    fig, axes = panels(
        len(grids), len(blocks), max(0.42 * sum(widths) / len(widths) + 0.6, 2.2), 2.4, **options
    )
    for line, (setting, scores) in zip(axes, grids.items(), strict=True):
        rates = sorted({rate for block in scores.values() for rate, _ in block})
        best = [max(v for b in scores.values() for (r, _), v in b.items() if r == rate) for rate in rates]
        low = min(value for block in scores.values() for value in block.values())
        for ax, (name, columns) in zip(line, blocks.items(), strict=True):
            block = scores.get(name, {})
            values = np.array([[block.get((rate, column), np.nan) for column in columns] for rate in rates])
            _heat(ax, values, best, low)
            ax.set(title=name, ylabel=(f"{setting}\n\n" if ax is line[0] else "") + r"noise rate $\eta$")
            ax.set_xticklabels(columns, rotation=90)
            ax.set_yticklabels([f"{rate:g}" for rate in rates], rotation=0)
    return fig


def _heat(ax, values: np.ndarray, best: list[float], low: float) -> None:
    """A block of scores, written into their cells; NaN stays white."""
    sns.heatmap(values, ax=ax, cmap="cividis", vmin=low, vmax=1, cbar=False, linewidths=0.5)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            style = {"ha": "center", "va": "center", "fontsize": 6}
            style["fontweight"] = "bold" if value == best[i] else "normal"
            style["color"] = "white" if value < (1 + low) / 2 else "black"
            ax.text(j + 0.5, i + 0.5, f"{value:.2f}", **style)


def grid_scores(records: list[dict]) -> dict[str, dict[str, dict[tuple[float, str], float]]]:
    """{setting: {block: {(rate, column): mean F1 over the seeds}}}; a block is the baselines, or a loss with
    its parameter's values as columns."""
    values: dict[tuple, list[float]] = {}
    for record in records:
        name, block = label("HS", record), "baselines"
        if record["loss"] in GRID:
            parameter, symbol = GRID[record["loss"]]
            name, block = f"{record[f'loss_{parameter}']:g}", f"{name}, {symbol}"
        setting = f"{record['data']}\n{record['images']:,} images\n{record['network']}"
        values.setdefault((setting, block, record["rate"], name), []).append(record["f1"])
    grids: dict[str, dict[str, dict[tuple[float, str], float]]] = {}
    for (setting, block, rate, column), members in values.items():
        grids.setdefault(setting, {}).setdefault(block, {})[rate, column] = statistics.fmean(members)
    return grids


def _columns(grids: dict[str, dict[str, dict]]) -> dict[str, list[str]]:
    """Every block's columns over all data sets, in order: losses as HS lists them, numbers by size."""
    columns: dict[str, dict[str, None]] = {}
    for blocks in grids.values():
        for name, block in blocks.items():
            columns.setdefault(name, {}).update((column, None) for _, column in block)
    losses = list(HS_LABELS.values())
    found = {"baselines": sorted(columns.pop("baselines", {}), key=losses.index)}
    for name in (*(f"{one}, γ" for one in BLURRY.values()), "PZ, c"):
        found[name] = sorted(columns.get(name, {}), key=float)
    return {name: own for name, own in found.items() if own}


def delay_curves(records: list[dict]):
    """HS Fig. 11: F1 against the delay of Piecewise-zero; a panel per data set and rate, a line per c."""
    return _curves(
        records,
        panel=lambda record: rf"{record['data']}, $\eta={record['rate']:g}$",
        line=lambda record: f"c = {record['loss_c']:g}",
        points=lambda record: [(record["delay"], record["f1"])],
        axes_labels={"xlabel": "delay d (epochs of cross entropy)", "ylabel": "F1"},
    )


def learning_curves(records: list[dict]):
    """CV Fig. 4: test accuracy after each epoch at constant learning rates; a panel per loss and rate."""
    return _curves(
        records,
        panel=lambda record: rf"{label('CV', record)}, $\eta={record['rate']:g}$",
        line=lambda record: rf"learning rate {record['recipe_lr']:g}",
        points=lambda record: list(enumerate(record["test_accuracy_curve"], start=1)),
        axes_labels={"xlabel": "epoch", "ylabel": "test accuracy"},
    )


def _curves(records: list[dict], panel: Callable, line: Callable, points: Callable, axes_labels: dict):
    """Mean over the seeds, and the range between the lowest and the highest, of y against x in each panel."""
    values: dict[str, dict[str, dict[float, list[float]]]] = {}
    for record in records:
        own = values.setdefault(panel(record), {}).setdefault(line(record), {})
        for x, y in points(record):
            own.setdefault(x, []).append(y)
    names = list(dict.fromkeys(name for lines in values.values() for name in lines))
    columns = min(len(values), 4)
    fig, axes = panels(-(-len(values) // columns), columns, 3.0, 2.5, sharex=True, sharey=True)
    for ax, (title, lines) in zip(axes.flat, values.items(), strict=False):
        for name, own in lines.items():
            x = sorted(own)
            style = line_style(names.index(name))
            ax.plot(x, [statistics.fmean(own[at]) for at in x], label=name, **style)
            low, high = [min(own[at]) for at in x], [max(own[at]) for at in x]
            ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
        ax.set(title=title, **axes_labels)
    for ax in axes.flat[len(values) :]:
        ax.axis("off")
    legend_below(fig, axes, min(4, len(names)))
    return fig
