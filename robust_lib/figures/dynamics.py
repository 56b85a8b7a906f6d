"""Training as seen by its samples: chapters 06 to 09."""

import numpy as np
import torch

from robust_lib.figures import CLEAN, NOISY, line_style, panels


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
    handles = [axes[0, 0].plot([], [], color=c, linewidth=6, alpha=0.6)[0] for c in (CLEAN, NOISY)]
    handles.append(axes[0, 0].plot([], [], color="black", linewidth=0.9)[0])
    labels = ["clean samples", "flipped samples", r"$w(\Delta_y)$, largest size 1"]
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return fig


def epoch_boxes(runs: dict, flipped: torch.Tensor, ylabel: str, symlog: bool = False):
    """HS Fig. 3 and 4: a box per epoch for clean and for flipped samples, one column a run.

    runs: {title: values (epochs, N)}; epochs of NaN stay empty. Boxes span the quartiles, whiskers reach the
    last value within 1.5 box lengths, outliers are not drawn. symlog: an axis linear within ±1 and
    logarithmic beyond, for gradients.
    """
    fig, axes = panels(1, len(runs), width=2.5, height=2.6, sharex=True, sharey=True)
    for ax, (title, values) in zip(axes[0], runs.items(), strict=True):
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
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("epoch")
    axes[0, 0].set_ylabel(ylabel)
    _legend(fig, axes[0, 0])
    return fig


def _legend(fig, ax) -> None:
    handles = [ax.plot([], [], color=colour, linewidth=6, alpha=0.7)[0] for colour in (CLEAN, NOISY)]
    labels = ["clean samples", "flipped samples"]
    fig.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def learning_curves(runs: dict, ylabel: str = "accuracy on clean test images"):
    """One line a run: {label: values per epoch}."""
    fig, axes = panels(1, 1, width=5.2, height=3.2)
    for position, (label, values) in enumerate(runs.items()):
        epochs = range(1, len(values) + 1)
        axes[0, 0].plot(epochs, values, label=label, marker=".", **line_style(position))
    axes[0, 0].set(xlabel="epoch", ylabel=ylabel)
    fig.legend(loc="outside right center", frameon=False, fontsize=8)
    return fig
