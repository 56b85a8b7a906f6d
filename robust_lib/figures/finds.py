"""Finding label errors: chapters 12 to 17."""

import numpy as np
import seaborn as sns

from robust_lib.figures import CLEAN, NOISY, panels


def counts_matrix(counts: np.ndarray, classes: list[str], title: str):
    """A matrix of counts, given label (row) by guessed true label (column), diagonal left white."""
    fig, axes = panels(1, 1, width=4.6, height=4.0)
    diagonal = np.eye(len(classes), dtype=bool)
    names = [name.replace("$", r"\$") for name in classes]  # not the beginning of a formula
    sns.heatmap(
        counts, mask=diagonal, annot=True, fmt="d", cmap="cividis", square=True, ax=axes[0, 0],
        xticklabels=names, yticklabels=names, annot_kws={"fontsize": 7},
        cbar_kws={"label": "images"},
    )  # fmt: skip
    axes[0, 0].set(title=title, xlabel="guessed true label", ylabel="given label")
    return fig


def score_dots(scores: dict[str, dict[str, list[float]]], metrics: dict[str, str]):
    """Scores of each loss: {loss: {metric: one value per seed}}; rings are means, dots are the seeds.

    metrics: {metric: axis label}, one panel each. Dots, not bars: the axis does not begin at 0.
    """
    fig, axes = panels(1, len(metrics), width=3.6, height=0.3 * len(scores) + 1.2, sharey=True)
    for ax, (metric, label) in zip(axes[0], metrics.items(), strict=True):
        for row, values in enumerate(by_metric[metric] for by_metric in scores.values()):
            ax.plot(values, [row] * len(values), ".", color=CLEAN, markersize=5)
            ax.plot(np.mean(values), row, "o", markersize=9, fillstyle="none", color="black")
        ax.set(xlabel=label, yticks=range(len(scores)))
        ax.set_yticklabels(scores)
        ax.grid(axis="x", linewidth=0.4)
    axes[0, 0].invert_yaxis()
    return fig


def contact_sheet(images, captions: list[str], correct, columns: int = 10):
    """Small pictures with captions; a blue frame where the detector was right, vermilion where not.

    images uint8 (N, C, H, W); correct bool (N,).
    """
    rows = -(-len(images) // columns)
    fig, axes = panels(rows, columns, width=1.0, height=1.25)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, caption, right in zip(axes.flat, images, captions, correct, strict=False):
        ax.axis("on")
        ax.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(visible=True, color=CLEAN if right else NOISY, linewidth=2)
            spine.set_linestyle("-" if right else "--")
        ax.set_title(caption, fontsize=7, parse_math=False)
    return fig
