"""Symmetric and asymmetric losses, and a linear model on digits: chapters 05 and 06."""

import numpy as np
import torch

from robust_lib import losses
from robust_lib.figures import COLOURS, draw_lines, legend_below, line_style, panel_row, panels, side_legend
from robust_lib.losses import weights

LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.95)  # noise ratios at which the regions are cut


def risk_scatter(risks: dict, slopes: dict[float, float]):
    """Noisy risk against clean risk, one panel a loss: {title: (clean (M,), {rate: noisy (M,)})}.

    slopes: {rate: the theorem's slope}. Each panel gets the theorem's line through its first classifier, so
    that the other points lie on it only if the theorem holds.
    """
    fig, members = panel_row(risks, 3.2, 3.0, "risk on noisy labels")
    for ax, (clean, by_rate) in members:
        ends = torch.stack([clean.min(), clean.max()])
        for position, (rate, noisy) in enumerate(by_rate.items()):
            style = line_style(position + 1)
            dots = {"color": style["color"], "markersize": 3, "alpha": 0.6, "label": f"η = {rate:g}"}
            ax.plot(clean, noisy, "osD^v"[position % 5], **dots)
            ax.plot(ends, noisy[0] + slopes[rate] * (ends - clean[0]), linewidth=0.9, **style)
        ax.set_xlabel("risk on true labels")
    legend_below(fig)
    return fig


def certainty(groups: dict, ratio: float):
    """The expected loss l(p) + r̃ l(1 - p) of one image as its true label's probability p goes from 0 to 1.

    groups: {panel title: {line label: loss of p_y}}; a second label is r̃ = ratio times as frequent as the
    true one. Every curve is scaled to run from 0 to 1; a dot marks its minimum.
    """
    width, ylabel = 3.8 if len(groups) > 1 else 5.0, f"expected loss, scaled (r̃ = {ratio:g})"
    fig, members = panel_row(groups, width, 3.0, ylabel, sharey=True)
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    delta = torch.logit(p)
    for ax, group in members:
        for position, (label, loss) in enumerate(group.items()):
            risk = loss.at(delta) + ratio * loss.at(-delta)
            scaled = (risk - risk.min()) / (risk.max() - risk.min())
            ax.plot(p, scaled, label=label, **line_style(position))
            lowest = int(scaled.argmin())
            ax.plot(p[lowest], 0, "o", color=COLOURS[position % len(COLOURS)], clip_on=False)
        ax.set(xlabel="probability p given to the true label", ylim=(0, 1))
        ax.legend(fontsize=7, frameon=False)
    return fig


def asymmetry_regions(marks: dict[str, list[tuple[float, float]]], size: int = 31):
    """Largest noise ratio r̃ of AUL and AGCE over (a, q) and of AEL over a, by brute force and by formula.

    marks: {"AUL": [(a, q), ...], "AGCE": [...]}, parameters to point out. Solid contours: the infimum over a
    grid of (p_i, p_j). Dashed white contours: the closed form, at the same levels.
    """
    fig, axes = panels(1, 3, width=3.9, height=3.3)
    maps = {
        "AUL": (losses.aul, (1.02, 6.0), (0.1, 6.0), lambda a, q: (1 - 1 / a) ** np.maximum(q - 1, 0)),
        "AGCE": (losses.agce, (0.02, 4.0), (0.05, 4.5), lambda a, q: (1 + 1 / a) ** np.minimum(q - 1, 0)),
    }
    for ax, (name, (factory, a_range, q_range, formula)) in zip(axes[0], maps.items(), strict=False):
        a, q = (np.linspace(*ends, size) for ends in (a_range, q_range))
        ratio = np.array([[weights.asymmetry_ratio(factory(a=x, q=y), 100) for x in a] for y in q])
        ratio = ratio.clip(max=1)  # 1 + 1e-16 would lie outside the last level
        filled = ax.contourf(a, q, ratio, (0, *LEVELS, 1), cmap="cividis")
        ax.contour(a, q, ratio, LEVELS, colors="black", linewidths=0.8)
        ax.contour(a, q, formula(*np.meshgrid(a, q)), LEVELS, colors="white", linewidths=0.8, linestyles="--")
        for x, y in marks[name]:
            ax.plot(x, y, "o", color="white", markeredgecolor="black", clip_on=False)
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            ax.annotate(f"{x:g}, {y:g}", (x, y), (7, 6), textcoords="offset points", fontsize=7, bbox=box)
        ax.axhline(1, color="white", linewidth=1, linestyle=":")
        ax.set(title=name, xlabel="a", ylabel="q")
    fig.colorbar(filled, ax=list(axes[0, :2]), label="largest noise ratio r̃", ticks=(0, *LEVELS, 1))
    _ael_ratio(axes[0, 2])
    return fig


def _ael_ratio(ax):
    a = np.linspace(0.1, 6, 60)
    ratio = [weights.asymmetry_ratio(losses.ael(a=x), 100) for x in a]
    draw_lines(ax, {"brute force": (a, ratio), r"$e^{-1/a}$": (a, np.exp(-1 / a))}, first=1)
    ax.set(title="AEL", xlabel="a", ylabel="largest noise ratio r̃", ylim=(0, 1))
    ax.legend(fontsize=7, frameon=False)


def decomposition(chosen: dict, classes: int = 3, reach: float = 4.0):
    """A loss and its two parts against the labelled class's score, the other scores 0; one panel a loss."""
    fig, members = panel_row(chosen, 3.1, 2.9, "loss (its own units)")
    score = torch.linspace(-reach, reach, 201, dtype=torch.float64)
    rows = torch.zeros(len(score), classes, dtype=torch.float64)
    rows[:, 0] = score
    for ax, loss in members:
        table = loss.table(rows)
        rest = table.mean(1)
        parts = {"loss": table[:, 0], "symmetric part": table[:, 0] - rest, "label-blind part": rest}
        draw_lines(ax, {label: (score, values) for label, values in parts.items()})
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.set_xlabel("score of the labelled class")
    legend_below(fig)
    return fig


def between(families: dict, classes: int = 10, reach: float = 8.0):
    """Losses against the labelled class's lead over the others (all equal): {title: {line label: loss}}."""
    fig, members = panel_row(families, 4.2, 3.2, "loss", sharey=True)
    lead = torch.linspace(-reach, reach, 401, dtype=torch.float64)
    rows = torch.zeros(len(lead), classes, dtype=torch.float64)
    rows[:, 0] = lead
    labels = torch.zeros(len(lead), dtype=torch.int64)
    for ax, family in members:
        draw_lines(ax, {name: (lead, loss(rows, labels, reduction="none")) for name, loss in family.items()})
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.set_xlabel("lead of the labelled score over the others (equal)")
        ax.legend(fontsize=7, frameon=False)
    return fig


def smoothness(groups: dict):
    """β against a parameter: {panel title: (parameter's name, grid, {line label: (measured, bound)})}.

    Markers are measured, lines of the same colour are bounds.
    """
    fig, members = panel_row(groups, 3.6, 3.0, "smoothness β", sharey=True)
    for ax, (parameter, grid, lines) in members:
        for position, (label, (measured, bound)) in enumerate(lines.items()):
            style = line_style(position + 1)
            ax.plot(grid, bound, label=f"{label}, bound", linewidth=1.2, **style)
            dots = {"color": style["color"], "markersize": 4, "label": f"{label}, measured"}
            ax.plot(grid, measured, "osD"[position], **dots)
        ax.set(xlabel=parameter, ylim=(0, None))
        ax.legend(fontsize=7, frameon=False)
    return fig


def class_images(rows: dict[str, torch.Tensor], side: int):
    """Linear classifiers as pictures: {row label: weights (side², K)}; white raises a class's score, black
    lowers it; every row has its own scale."""
    classes = next(iter(rows.values())).shape[1]
    fig, axes = panels(len(rows), classes, width=0.85, height=0.95)
    for line, (label, matrix) in zip(axes, rows.items(), strict=True):
        limit = float(matrix.abs().max())
        for k, ax in enumerate(line):
            image = matrix[:, k].reshape(side, side).cpu().numpy()
            ax.imshow(image, cmap="gray", vmin=-limit, vmax=limit)
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    for k, ax in enumerate(axes[0]):
        ax.set_title(f"class {k}", fontsize=8)
    return fig


def training_paths(runs: dict[str, dict], every: int):
    """Accuracy and confidence on clean test digits against the step: {label: {"accuracy": [...], ...}}."""
    titles = {"accuracy": "accuracy", "confidence": "mean largest probability"}
    fig, axes = panels(1, 2, width=4.0, height=3.0, sharey=True)
    for ax, (key, title) in zip(axes[0], titles.items(), strict=True):
        for position, (label, run) in enumerate(runs.items()):
            steps = every * np.arange(1, len(run[key]) + 1)
            # The first line is wide, so that one which repeats it stays visible on top.
            width = 3.5 if position == 0 else 1.4
            ax.plot(steps, run[key], label=label, linewidth=width, **line_style(position))
        ax.set(title=title, xlabel="gradient steps", ylim=(0, 1))
    axes[0, 0].set_ylabel("on clean test digits")
    side_legend(fig)
    return fig


def accuracy_by_rate(groups: dict, limit: float):
    """Accuracy against noise rate: {panel title: {label: {rate: accuracy}}}; limit: the theorem's (K-1)/K."""
    fig, members = panel_row(groups, 4.0, 3.0, "accuracy on clean test digits", sharey=True)
    for ax, lines in members:
        for position, (label, points) in enumerate(lines.items()):
            look = {"marker": "osD^"[position % 4], "markersize": 4} | line_style(position)
            ax.plot(points.keys(), points.values(), label=label, **look)
        ax.axvline(limit, color="0.5", linewidth=0.8, linestyle=":")
        beside = {"xytext": (3, 0), "textcoords": "offset points", "rotation": 90, "va": "center"}
        ax.annotate("(K-1)/K", (limit, 0.8), fontsize=7, color="0.3", **beside)
        ax.set(xlabel="rate of uniform noise η", ylim=(-0.02, 1))
        ax.legend(fontsize=7, frameon=False, loc="lower left")
    return fig
