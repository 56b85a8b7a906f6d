"""Training as seen by its samples: chapters 02 to 11."""

import numpy as np
import torch

from robust_lib.figures import CLEAN, NOISY, draw_lines, legend_below, panel_row, panels, side_legend


def margin_histograms(runs: dict, flipped: torch.Tensor, epochs: list[int]):
    """CV Fig. 3: histograms of Δ_y at a few epochs, clean and flipped samples apart, one column a run.

    runs: {title: (delta (epochs, N), loss, accuracy)}; flipped bool (N,). As in CV every panel is scaled to
    its own peak; the line is w(Δ_y) of the loss in use at that epoch, scaled to its largest size. Every
    column has the axis its own margins need; the outermost bars hold what lies beyond.
    """
    fig, axes = panels(len(epochs), len(runs), width=2.1, height=1.25, sharex="col", sharey=True)
    for column, (title, (delta, loss, accuracy)) in enumerate(runs.items()):
        reach = max(10.0, float(delta[-1].abs().quantile(0.99)))
        grid = torch.linspace(-reach, reach, 401, dtype=torch.float64)
        for row, epoch in enumerate(epochs):
            ax = axes[row, column]
            values = delta[epoch - 1].clamp(-reach, reach)
            counts = [torch.histogram(values[m], 60, range=(-reach, reach)) for m in (~flipped, flipped)]
            peak = max(float(heights.max()) for heights, _ in counts)
            for (heights, edges), colour in zip(counts, (CLEAN, NOISY), strict=True):
                ax.stairs(heights / peak, edges, fill=True, color=colour, alpha=0.6)
            w = loss.at_epoch(epoch).weight_at(grid)
            ax.plot(grid, w / w.abs().max(), color="black", linewidth=0.9)
            ax.axhline(0, color="0.6", linewidth=0.5)
            ax.set(yticks=[])
            if column == 0:
                ax.set_ylabel(f"epoch {epoch}")
        axes[0, column].set_title(f"{title}\ntest acc. {accuracy:.0%}", fontsize=8)
        axes[-1, column].set_xlabel(r"$\Delta_y$")
    for name, colour in (("clean samples", CLEAN), ("flipped samples", NOISY)):
        axes[0, 0].plot([], [], color=colour, linewidth=6, alpha=0.6, label=name)
    axes[0, 0].plot([], [], color="black", linewidth=0.9, label=r"$w(\Delta_y)$, largest size 1")
    legend_below(fig)
    return fig


def epoch_boxes(runs: dict, flipped: torch.Tensor, ylabel: str, symlog: bool = False):
    """HS Fig. 3 and 4: a box per epoch for clean and for flipped samples, one column a run.

    runs: {title: values (epochs, N)}; epochs of NaN stay empty. Boxes span the quartiles, whiskers reach the
    last value within 1.5 box lengths, outliers are not drawn. symlog: an axis linear within ±1 and
    logarithmic beyond, for gradients.
    """
    fig, members = panel_row(runs, 2.5, 2.6, ylabel, sharex=True, sharey=True)
    for ax, values in members:
        for side, mask, colour in ((-0.2, ~flipped, CLEAN), (0.2, flipped, NOISY)):
            boxes = ax.boxplot(
                values[:, mask].T.numpy(), positions=np.arange(1, len(values) + 1) + side, widths=0.35,
                showfliers=False, patch_artist=True, medianprops={"color": "black"},
                whiskerprops={"linewidth": 0.7}, capprops={"linewidth": 0.7}, manage_ticks=False,
            )  # fmt: skip
            for box in boxes["boxes"]:
                box.set(facecolor=colour, alpha=0.7, linewidth=0.5)
        ax.axhline(0, color="0.6", linewidth=0.5)
        if symlog:
            ax.set_yscale("symlog", linthresh=1)
        ax.set_title(ax.get_title(), fontsize=9)
        ax.set_xlabel("epoch")
    for name, colour in (("clean samples", CLEAN), ("flipped samples", NOISY)):
        members[0][0].plot([], [], color=colour, linewidth=6, alpha=0.7, label=name)
    legend_below(fig)
    return fig


def learning_curves(runs: dict, ylabel: str = "accuracy on clean test images"):
    """One line a run: {label: values per epoch}."""
    fig, axes = panels(1, 1, width=5.2, height=3.2)
    lines = {label: (range(1, len(values) + 1), values) for label, values in runs.items()}
    draw_lines(axes[0, 0], lines, marker=".")
    axes[0, 0].set(xlabel="epoch", ylabel=ylabel)
    side_legend(fig)
    return fig
