"""The area under the margin: chapter 11."""

import numpy as np

from robust_lib.figures import CLEAN, NOISY, line_style, panels

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
    fig, axes = panels(1, len(panels_of), width=3.4, height=2.8, sharey=True)
    for ax, (title, groups) in zip(axes[0], panels_of.items(), strict=True):
        for group, values in groups.items():
            low, middle, high = np.percentile(values, [25, 50, 75], axis=1)
            epochs = np.arange(1, len(middle) + 1)
            ax.fill_between(epochs, low, high, color=LOOK[group]["color"], alpha=0.15, linewidth=0)
            ax.plot(epochs, middle, label=NAMES[group], linewidth=1.8, **LOOK[group])
        ax.axhline(0, color="0.6", linewidth=0.5)
        ax.set(title=title, xlabel="epoch")
    axes[0, 0].set_ylabel(ylabel)
    _legend(fig, axes[0, 0])
    return fig


def distributions(panels_of: dict, thresholds: dict | None = None):
    """HS Fig. 6: densities of the AUM, a panel per title: {title: {group: values (n,)}}, groups as in LOOK.

    Every density has area 1, though there are fewer flipped samples than clean ones. Vertical lines at the
    means; thresholds: {title: AUM} adds a solid one. One axis for all; the outermost bars hold what lies
    beyond it.
    """
    everything = np.concatenate([values for groups in panels_of.values() for values in groups.values()])
    edges = np.linspace(*np.percentile(everything, [0.1, 99.9]), 81)
    fig, axes = panels(1, len(panels_of), width=3.4, height=2.8, sharex=True)
    for ax, (title, groups) in zip(axes[0], panels_of.items(), strict=True):
        for group, values in groups.items():
            bins = edges if len(values) > 200 else edges[::4]  # a few dozen samples make no fine histogram
            heights, _ = np.histogram(np.clip(values, bins[0], bins[-1]), bins, density=True)
            ax.stairs(heights, bins, label=NAMES[group], linewidth=1.3, **LOOK[group])
            if group != "threshold":
                ax.stairs(heights, bins, fill=True, color=LOOK[group]["color"], alpha=0.3)
            ax.axvline(float(np.mean(values)), linewidth=0.9, **LOOK[group])
        if thresholds:
            ax.axvline(thresholds[title], color="0.35", linewidth=2.2)
        ax.set(title=title, xlabel="area under the margin (logits)", yticks=[])
    axes[0, 0].set_ylabel("density")
    _legend(fig, axes[0, 0], thresholds is not None)
    return fig


def over_percentile(panels_of: dict, percentiles, marked: float = 99):
    """Scores against the percentile: {title: {label: values like percentiles}}; a thin line at `marked`."""
    fig, axes = panels(1, len(panels_of), width=3.2, height=2.8, sharex=True, sharey=True)
    for ax, (title, curves) in zip(axes[0], panels_of.items(), strict=True):
        for position, (label, values) in enumerate(curves.items()):
            ax.plot(percentiles, values, label=label, **line_style(position))
        ax.axvline(marked, color="0.6", linewidth=0.8)
        ax.set(title=title, xlabel="percentile of the threshold samples")
        ax.grid(axis="y", linewidth=0.4)
    axes[0, 0].set_ylabel("score")
    _legend(fig, axes[0, 0])
    return fig


def over_rate(panels_of: dict, ylabel: str):
    """Scores against the noise rate: {title: {label: {rate: one value per seed, or (mean, spread)}}}.

    Lines join the means. A tuple is drawn as mean and bar, a list as its mean with a dot for every seed.
    A panel without curves says that nothing is recorded.
    """
    fig, axes = panels(1, len(panels_of), width=3.4, height=2.9, sharex=True)
    for ax, (title, curves) in zip(axes[0], panels_of.items(), strict=True):
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
        ax.set(title=title, xlabel="noise rate η", xticks=rates)
        ax.grid(axis="y", linewidth=0.4)
    axes[0, 0].set_ylabel(ylabel)
    _legend(fig, axes[0, 0])
    return fig


def by_detector(panels_of: dict, xlabel: str):
    """Dots of several detectors side by side: {title: {row: {detector: one value per seed}}}.

    Large open markers are means, small dots the seeds. A row may lack a detector.
    """
    markers = "osD^v"
    rows = list(next(iter(panels_of.values())))
    detectors = list(dict.fromkeys(d for cells in panels_of.values() for row in cells.values() for d in row))
    fig, axes = panels(1, len(panels_of), width=4.4, height=0.42 * len(rows) + 1.2, sharey=True)
    for ax, (title, cells) in zip(axes[0], panels_of.items(), strict=True):
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
        ax.set(title=title, xlabel=xlabel, yticks=range(len(rows)))
        ax.set_yticklabels(rows)
        ax.grid(axis="x", linewidth=0.4)
    axes[0, 0].invert_yaxis()
    _legend(fig, axes[0, 0])
    return fig


def _legend(fig, ax, threshold: bool = False) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if threshold:
        handles.append(ax.plot([], [], color="0.35", linewidth=2.2)[0])
        labels.append("threshold")
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
