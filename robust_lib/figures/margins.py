"""The area under the margin: chapter 13."""

import numpy as np

from robust_lib.figures import CLEAN, NOISY, draw_lines, legend_below, line_style, panel_row

THRESHOLD = "#000000"  # threshold samples: drawn as an outline, so that no colour is needed
LOOK = {
    "clean": {"color": CLEAN, "linestyle": "-"},
    "flipped": {"color": NOISY, "linestyle": "--"},
    "threshold": {"color": THRESHOLD, "linestyle": ":"},
}
NAMES = {"clean": "right label", "flipped": "flipped label", "threshold": "threshold samples (extra class)"}


def by_epoch(panels_of: dict, ylabel: str):
    """Margins in training: a panel per title, {title: {group: values (epochs, n)}}, groups as in LOOK.

    Lines are medians, bands the quartiles.
    """
    fig, members = panel_row(panels_of, 3.4, 2.8, ylabel, sharey=True)
    for ax, groups in members:
        for group, values in groups.items():
            low, middle, high = np.percentile(values, [25, 50, 75], axis=1)
            epochs = np.arange(1, len(middle) + 1)
            ax.fill_between(epochs, low, high, color=LOOK[group]["color"], alpha=0.15, linewidth=0)
            ax.plot(epochs, middle, label=NAMES[group], linewidth=1.8, **LOOK[group])
        ax.axhline(0, color="0.6", linewidth=0.5)
        ax.set_xlabel("epoch")
    legend_below(fig)
    return fig


def distributions(panels_of: dict, thresholds: dict | None = None):
    """HS Fig. 6: densities of the AUM, a panel per title: {title: {group: values (n,)}}, groups as in LOOK.

    Every density has area 1, though there are fewer flipped samples than clean ones. Vertical lines at the
    means; thresholds: {title: AUM} adds a solid one. The panels share both axes; the outermost bars hold what
    lies beyond.
    """
    everything = np.concatenate([values for groups in panels_of.values() for values in groups.values()])
    edges = np.linspace(*np.percentile(everything, [0.1, 99.9]), 81)
    fig, members = panel_row(panels_of, 3.4, 2.8, "density", sharex=True, sharey=True)
    for ax, groups in members:
        for group, values in groups.items():
            bins = edges if len(values) > 200 else edges[::4]  # a few dozen samples make no fine histogram
            heights, _ = np.histogram(np.clip(values, bins[0], bins[-1]), bins, density=True)
            ax.stairs(heights, bins, label=NAMES[group], linewidth=1.3, **LOOK[group])
            if group != "threshold":
                ax.stairs(heights, bins, fill=True, color=LOOK[group]["color"], alpha=0.3)
            ax.axvline(float(np.mean(values)), linewidth=0.9, **LOOK[group])
        if thresholds:
            ax.axvline(thresholds[ax.get_title()], color="0.35", linewidth=2.2)
        ax.set(xlabel="area under the margin (logits)", yticks=[])
    if thresholds:
        members[0][0].plot([], [], color="0.35", linewidth=2.2, label="threshold")
    legend_below(fig)
    return fig


def over_percentile(panels_of: dict, percentiles, marked: float = 99):
    """Scores against the percentile: {title: {label: values like percentiles}}; a thin line at `marked`."""
    fig, members = panel_row(panels_of, 3.2, 2.8, "score", sharex=True, sharey=True)
    for ax, curves in members:
        draw_lines(ax, {label: (percentiles, values) for label, values in curves.items()})
        ax.axvline(marked, color="0.6", linewidth=0.8)
        ax.set_xlabel("percentile of the threshold samples")
        ax.grid(axis="y", linewidth=0.4)
    legend_below(fig)
    return fig


def over_rate(panels_of: dict, ylabel: str):
    """Scores against the noise rate: {title: {label: {rate: one value per seed, or (mean, spread)}}}.

    Lines join the means. A tuple is drawn as mean and bar, a list as its mean with a dot for every seed.
    A panel without curves says that nothing is recorded.
    """
    fig, members = panel_row(panels_of, 3.4, 2.9, ylabel, sharex=True, sharey=True)
    for ax, curves in members:
        for position, (label, cells) in enumerate(curves.items()):
            style = line_style(position)
            means = {rate: v[0] if isinstance(v, tuple) else np.mean(v) for rate, v in sorted(cells.items())}
            ax.plot(*zip(*means.items(), strict=True), label=label, marker="o", fillstyle="none", **style)
            for rate, values in cells.items():
                if isinstance(values, tuple):
                    ax.errorbar(rate, *values, color=style["color"], linewidth=0.9, capsize=2)
                else:
                    ax.plot([rate] * len(values), values, ".", color=style["color"], markersize=4)
        if not curves:
            ax.text(0.5, 0.5, "nothing recorded", transform=ax.transAxes, ha="center")
        rates = sorted({rate for cells in curves.values() for rate in cells})
        ax.set(xlabel="noise rate η", xticks=rates)
        ax.grid(axis="y", linewidth=0.4)
    legend_below(fig)
    return fig


def by_detector(panels_of: dict, xlabel: str):
    """Dots of several detectors side by side: {title: {row: {detector: one value per seed}}}.

    Large open markers are means, small dots the seeds. A row may lack a detector.
    """
    markers = "osD^v"
    rows = list(next(iter(panels_of.values())))
    detectors = list(dict.fromkeys(d for cells in panels_of.values() for row in cells.values() for d in row))
    fig, members = panel_row(panels_of, 4.4, 0.42 * len(rows) + 1.2, sharex=True, sharey=True)
    for ax, cells in members:
        for position, detector in enumerate(detectors):
            colour = line_style(position)["color"]
            shift = 0.24 * (position - (len(detectors) - 1) / 2)
            found = {n: cells[row][detector] for n, row in enumerate(rows) if detector in cells.get(row, {})}
            for n, values in found.items():
                ax.plot(values, [n + shift] * len(values), ".", color=colour, markersize=3.5)
            ax.plot(
                [np.mean(values) for values in found.values()], [n + shift for n in found],
                markers[position], color=colour, fillstyle="none", markersize=6, linestyle="", label=detector,
            )  # fmt: skip
        ax.set(xlabel=xlabel, yticks=range(len(rows)))
        ax.set_yticklabels(rows)
        ax.grid(axis="x", linewidth=0.4)
    ax.invert_yaxis()
    legend_below(fig)
    return fig
