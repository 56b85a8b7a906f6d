"""Confident learning's probabilities and what its scores reward: chapter 12."""

import numpy as np

from robust_lib.figures import NOISY, draw_lines, line_style, panel_row, panels

# Scores by their names in metrics.detection_scores, in the order of their lines.
MEASURES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "balanced_accuracy": "balanced accuracy",
}
MARKS = {"precision": "^", "recall": "v", "f1": "o", "balanced_accuracy": "s"}


def reliability(curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]):
    """Reliability diagrams, one panel each: {panel: {line: (confidence, share right, images) per bin}}.

    Empty bins are left out; a point's area grows with its images.
    """
    ylabel = "share of images for which the guess is right"
    fig, members = panel_row(curves, 3.6, 3.3, ylabel, sharey=True)
    for ax, lines in members:
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for position, (label, (confidence, share, images)) in enumerate(lines.items()):
            filled, style = images > 0, line_style(position + 1)
            x, y, sizes = confidence[filled], share[filled], 2 + 80 * images[filled] / images.sum()
            ax.plot(x, y, label=label, **style)
            ax.scatter(x, y, s=sizes, c=style["color"])
        ax.set(xlabel="confidence: largest probability", xlim=(0, 1.02), ylim=(0, 1.02))
        ax.legend(fontsize=7, loc="upper left")
    return fig


def along_temperature(temperatures, lines: dict[str, dict[str, list[float]]], marks: dict[str, float]):
    """Quantities against the temperature, one panel each: {axis label: {line: values}}; marks: {label: T}."""
    fig, axes = panels(1, len(lines), width=3.6, height=3.0)
    for ax, (label, drawn) in zip(axes[0], lines.items(), strict=True):
        for position, (name, values) in enumerate(drawn.items()):
            style, end = line_style(position), (temperatures[-1], np.asarray(values)[-1])
            ax.semilogx(temperatures, values, **style)
            ax.annotate(f" {name}", end, fontsize=7, va="center", color=style["color"])
        for name, at in marks.items():
            ax.axvline(at, color="0.6", linewidth=0.8)
            style = {"rotation": 90, "fontsize": 7, "ha": "right"}
            ax.annotate(name, (at, 0.02), xycoords=("data", "axes fraction"), **style)
        ax.set(xlabel="temperature", ylabel=label)
    return fig


def knobs(scores: dict, baseline):
    """Mean scores against a loss's parameter, one panel each, with a baseline's as thin dotted lines.

    scores: {axis label: frame, its index the parameter, its columns MEASURES}; baseline: one such row.
    """
    fig, axes = panels(1, len(scores), width=3.9, height=3.2, sharey=True)
    for ax, (label, frame) in zip(axes[0], scores.items(), strict=True):
        for position, (measure, name) in enumerate(MEASURES.items()):
            style = line_style(position)
            ax.plot(frame.index, frame[measure], MARKS[measure], markersize=4, label=name, **style)
            ax.axhline(baseline[measure], color=style["color"], linewidth=0.9, linestyle=":")
        ax.set(xlabel=label)
    axes[0, 0].set_ylabel("score")
    axes[0, 0].legend(fontsize=7)
    return fig


def cuts(scores: dict):
    """Scores of the first n of a ranking, one panel each, against the share flagged.

    scores: {panel: frame of MEASURES and flagged, a row for each n}. Marks: the best F1 and the best balanced
    accuracy; a thin line at the rate of wrong labels, where precision and recall are equal.
    """
    fig, members = panel_row(scores, 3.9, 3.2, "score", sharey=True)
    for ax, frame in members:
        rate = frame["flagged"][(frame["precision"] <= frame["recall"]).idxmax()]
        ax.axvline(rate, color="0.6", linewidth=0.8)
        for position, (measure, label) in enumerate(MEASURES.items()):
            style, top = line_style(position), frame[measure].idxmax()
            ax.plot(frame["flagged"], frame[measure], label=label, **style)
            if measure in ("f1", "balanced_accuracy"):
                at = (frame["flagged"][top], frame[measure][top])
                ax.plot(*at, MARKS[measure], color=style["color"], markersize=7)
        ax.set(xlabel="share of the images that is flagged", xlim=(0, 0.75), ylim=(0, 1.02))
    members[0][0].legend(fontsize=7)
    return fig


def precision_recall(rate: float, rankings: dict, points: dict, least: float = 0.5):
    """Precision against recall, lines of equal F1 (grey, solid) and of equal balanced accuracy (dashed).

    rate: share of wrong labels, on which the latter depend. rankings: {label: (recall, precision)} along a
    ranking; points: {label: (recall, precision)} of masks. Axes from `least` to 1.
    """
    fig, axes = panels(1, 1, width=5.2, height=4.4)
    ax = axes[0, 0]
    recall, precision = np.meshgrid(*2 * [np.linspace(least, 1, 101)])
    false_alarms = recall * (1 / precision - 1) * rate / (1 - rate)
    equal = (
        (2 * recall * precision / (recall + precision), {"colors": "0.6", "linestyles": "-"}),
        ((recall + 1 - false_alarms) / 2, {"colors": NOISY, "linestyles": "--"}),
    )
    for values, style in equal:
        levels = np.arange(0.5, 1, 0.03)
        ax.clabel(ax.contour(recall, precision, values, levels, linewidths=0.6, **style), fontsize=6)
    draw_lines(ax, rankings)
    for marker, (label, (x, y)) in zip("osD^vP*X", points.items(), strict=False):
        ax.plot(x, y, marker, markersize=8, label=label, markeredgecolor="white", color="black")
    ax.set(xlabel="recall", ylabel="precision", xlim=(least, 1), ylim=(least, 1))
    ax.legend(fontsize=7, loc="lower left")
    return fig
