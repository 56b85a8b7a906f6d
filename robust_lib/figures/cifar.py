"""Noisy CIFAR, with a backbone that can memorise and one that cannot: chapter 11."""

import torch
from torch import Tensor

from robust_lib.figures import CLEAN, COLOURS, NOISY, draw_lines, legend_below, line_style, panels


def margins_under_noise(rows: dict[str, tuple[dict, Tensor]], losses: dict):
    """CV Fig. 9 and 10: margins Δ_y in the last epoch, a row for each noise, a column for each loss.

    rows: {noise: ({loss: (delta (epochs, N), test accuracy)}, wrong (N,) bool)}; losses: {name: Loss}.
    Filled: the last epoch, right and wrong labels apart; outlines: the first. Every histogram is scaled to
    its own peak; the line is w(Δ_y), scaled to its largest value. A column has one axis, that of 99 % of its
    margins; the outermost bars hold what lies beyond.
    """
    fig, axes = panels(len(rows), len(losses), 2.5, 1.5, sharex="col")
    reach = {
        name: max(float(runs[name][0][[0, -1]].abs().quantile(0.99)) for runs, _ in rows.values())
        for name in losses
    }
    for row, (noise, (runs, wrong)) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(noise, fontsize=8)
        for ax, (name, loss) in zip(row, losses.items(), strict=True):
            delta, accuracy = runs[name]
            _two_histograms(ax, delta, wrong, loss, reach[name])
            ax.set_title(f"{name}, test acc. {accuracy:.1%}", fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel(r"$\Delta_y$")
    for label, colour in (("right label", CLEAN), ("wrong label", NOISY)):
        axes[0, 0].plot([], [], color=colour, linewidth=6, alpha=0.6, label=f"{label}, last epoch")
        axes[0, 0].plot([], [], color=colour, linewidth=1, label=f"{label}, first epoch")
    axes[0, 0].plot([], [], color="black", linewidth=0.9, label=r"$w(\Delta_y)$")
    legend_below(fig, columns=5, fontsize=8)
    return fig


def _two_histograms(ax, delta: Tensor, wrong: Tensor, loss, reach: float) -> None:
    """A colour has one scale for both epochs: as many labels in the first as in the last."""
    looks = {"fill": True, "alpha": 0.6}, {"linewidth": 1}
    for mask, colour in ((~wrong, CLEAN), (wrong, NOISY)):
        ends = [delta[epoch][mask].clamp(-reach, reach) for epoch in (-1, 0)]
        counts = [torch.histogram(values, 60, range=(-reach, reach)) for values in ends]
        top = max(float(heights.max()) for heights, _ in counts)
        for (heights, edges), look in zip(counts, looks, strict=True):
            ax.stairs(heights / top, edges, color=colour, **look)
    grid = torch.linspace(-reach, reach, 401, dtype=torch.float64)
    w = loss.weight_at(grid)
    ax.plot(grid, w / w.max(), color="black", linewidth=0.9)
    ax.set(yticks=[])


def snr_and_diff(sources: dict, noises: dict[str, str]):
    """CV Table 5: accuracy lost against the weight ratio, a panel for each source, one scale for both.

    sources: {title: frame with columns noise, loss, snr, diff}; noises: {noise: its label}. A mark is a loss,
    CE's and AGCE's with their names; the line joins the losses of a noise by their ratio.
    """
    fig, axes = panels(1, len(sources), 3.9, 3.2, sharex=True, sharey=True)
    for ax, (title, frame) in zip(axes[0], sources.items(), strict=True):
        for position, (noise, label) in enumerate(noises.items(), 1):
            part = frame[frame["noise"] == noise].sort_values("snr")
            draw_lines(ax, {label: (part["snr"], part["diff"])}, first=position, marker="o", markersize=4)
            for row in part[part["loss"].isin(["CE", "AGCE"])].itertuples():
                place = {"xytext": (3, 3), "textcoords": "offset points", "color": COLOURS[position]}
                ax.annotate(row.loss, (row.snr, row.diff), fontsize=6, **place)
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.set_title(title, fontsize=9)
        ax.set(xlabel="snr", xscale="log", xticks=[0.3, 1, 3], xticklabels=["0.3", "1", "3"])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("accuracy lost under noise (points)")
    legend_below(fig)
    return fig


def _looks(panels_of: dict[str, dict]) -> dict[str, dict]:
    """A label has one colour and dash in all panels."""
    labels = dict.fromkeys(label for lines in panels_of.values() for label in lines)
    return {label: line_style(position) for position, label in enumerate(labels)}


def by_images(panels_of: dict[str, dict[str, tuple]], ylabels: dict[str, str], mark: float):
    """Against the number of training images: {title: {line label: (images, values)}}, ylabels by title.

    mark: the number of the head's parameters, drawn as a thin line.
    """
    fig, axes = panels(1, len(panels_of), 3.9, 3.1, sharex=True)
    looks = _looks(panels_of)
    for ax, (title, lines) in zip(axes[0], panels_of.items(), strict=True):
        for label, (x, y) in lines.items():
            ax.plot(x, y, label=label, marker="o", markersize=4, **looks[label])
        ax.axvline(mark, color="0.6", linewidth=0.8, linestyle=":")
        ax.set_title(title, fontsize=9)
        ax.set(xlabel="training images", ylabel=ylabels[title], xscale="log", ylim=(0, 1.02))
        ticks = sorted({int(n) for images, _ in lines.values() for n in images})
        ax.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=30)
        ax.minorticks_off()
    legend_below(fig)
    return fig


def from_scratch(accuracy: dict, learned: dict):
    """A network by epochs: accuracy on clean test images, {label: values}, and the share of the wrong labels
    that it gives back, {label: values}. A label has one look in both panels."""
    fig, axes = panels(1, 2, 3.9, 3.0)
    parts = {"accuracy on clean test images": accuracy, "share of wrong labels learned": learned}
    looks = _looks(parts)
    for ax, (ylabel, lines) in zip(axes[0], parts.items(), strict=True):
        for label, values in lines.items():
            ax.plot(range(1, len(values) + 1), values, label=label, marker=".", **looks[label])
        ax.set(xlabel="epoch", ylabel=ylabel, ylim=(0, None))
    legend_below(fig)
    return fig
