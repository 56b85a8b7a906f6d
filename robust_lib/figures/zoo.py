"""The figures of chapters 03 and 04. They go through the registry, so a loss of your own appears in them."""

import matplotlib.pyplot as plt
import torch

from robust_lib import losses, papers
from robust_lib.figures import draw_lines, line_style, panel_row, panels
from robust_lib.losses import weights

# Values that show what a parameter does. A loss that is not named here gets multiples of its default.
VALUES = {
    ("focal", "gamma"): (0.0, 0.5, 1.0, 2.0, 5.0),
    ("gce", "q"): (0.1, 0.3, 0.5, 0.7, 1.0),
    ("sce", "alpha"): (0.0, 0.1, 1.0, 6.0, 30.0),
    ("sce", "beta"): (0.0, 0.003, 0.01, 0.1, 1.0),
    ("aul", "a"): (1.01, 1.1, 1.5, 3.0, 10.0),
    ("aul", "q"): (0.2, 1.0, 2.0, 5.0, 10.0),
    ("agce", "a"): (0.01, 0.1, 0.5, 2.0, 10.0),
    ("agce", "q"): (0.1, 0.5, 1.0, 2.0, 5.0),
    ("ael", "a"): (0.1, 0.2, 0.5, 1.0, 2.5),
    ("tce", "t"): (1, 2, 5, 20, 100),
    ("phuber_ce", "tau"): (1.0, 2.0, 10.0, 50.0, 200.0),
    ("blurry", "gamma"): (0.0, 0.1, 0.3, 0.5, 0.7),
    ("piecewise_zero", "c"): (0.0, 0.005, 0.02, 0.1, 0.3),
    ("logit_bias_mae", "eps"): (-2.0, 0.0, 1.5, 3.0, 5.0),
}
PLAIN = "no parameter"
MULTIPLES = (0.25, 0.5, 1, 2, 4)
REACH = (-10.0, 12.0)


def has_curve(loss) -> bool:
    """Whether the loss is a function of p_y alone, and so has a weight curve."""
    return loss.sees in ("p", "margin")


def sweep(name: str) -> dict[str, dict]:
    """{parameter: {value: loss}} of a registered loss, its other parameters at their defaults.

    Empty for a loss without parameters. Values that the loss refuses are left out.
    """
    found = {}
    for parameter, default in getattr(losses.get(name), "params", {}).items():
        accepted = {}
        for value in VALUES.get((name, parameter)) or _around(default):
            try:
                accepted[value] = losses.get(name, **{parameter: value})
            except ValueError:
                continue
        if accepted:
            found[parameter] = accepted
    return found


def _around(default) -> tuple:
    if isinstance(default, bool):
        return (False, True)
    if not isinstance(default, int | float):
        return ()
    values = {type(default)((default or 1) * factor) for factor in MULTIPLES} | {default}
    return tuple(sorted(values))


def unit_curve(loss, delta):
    """w(Δ) divided by its largest size over all Δ."""
    return loss.weight_at(delta) / weights.largest(loss.weight_at)


def parameter_curves(backgrounds: dict | None = None, names: list[str] | None = None):
    """CV Fig. 5: a panel per parameter of every registered loss of p_y, the losses without one in the first.

    Each curve has largest size 1. backgrounds: {label: Δ samples}, drawn as grey histograms. names: the
    losses to draw, all registered ones by default.
    """
    groups = _parameter_groups(names or losses.names())
    rows = -(-len(groups) // 4)
    fig, axes = panels(rows, 4, width=2.5, height=1.75, sharex=True)
    for ax, (title, group) in zip(axes.flat, groups.items(), strict=False):
        hills = _hills(ax, backgrounds)
        lowest = _curves(ax, group, ordered=title != PLAIN)
        ax.set_ylim(min(-0.05, 1.1 * lowest), 1.05)
        ax.set_title(title, fontsize=9)
        ax.legend(fontsize=7, frameon=False, loc="upper right", labelspacing=0.1, handlelength=1.6)
    for ax in axes.flat[len(groups) :]:
        ax.axis("off")
    for ax in axes[:, 0]:
        ax.set_ylabel(r"$w$, largest size 1")
    for column in range(min(4, len(groups))):  # the lowest panel in use
        lowest_panel = axes[(len(groups) - 1 - column) // 4, column]
        lowest_panel.set_xlabel(r"soft margin $\Delta_y$ (score units)")
        lowest_panel.tick_params(labelbottom=True)
    if backgrounds:
        fig.legend(hills, backgrounds, loc="outside lower center", ncols=2, frameon=False)
    return fig


def _parameter_groups(names: list[str]) -> dict[str, dict]:
    curved = {name: losses.get(name) for name in names if has_curve(losses.get(name))}
    plain = {name: loss for name, loss in curved.items() if not sweep(name)}
    groups = {PLAIN: plain} if plain else {}
    for name in curved:
        for parameter, members in sweep(name).items():
            groups[f"{name}: {parameter}"] = {_text(value): loss for value, loss in members.items()}
    return groups


def _text(value) -> str:
    return str(value) if isinstance(value, bool) else f"{value:g}"


def _hills(ax, backgrounds) -> list:
    drawn = []
    for shade, samples in zip(("0.88", "0.75"), (backgrounds or {}).values(), strict=False):
        heights, edges = torch.histogram(samples.double().cpu(), 45, range=REACH)
        drawn.append(ax.stairs(heights / heights.max(), edges, fill=True, color=shade))
    return drawn


def _curves(ax, group: dict, ordered: bool) -> float:
    """Draw; ordered values get colours from light to dark, names get colours that differ. The lowest w."""
    delta = torch.linspace(*REACH, 881, dtype=torch.float64)
    shades = plt.get_cmap("viridis_r")(torch.linspace(0.15, 1, len(group)).numpy())
    lowest = 0.0
    for position, (label, loss) in enumerate(group.items()):
        style = line_style(position) | ({"color": shades[position]} if ordered else {})
        w = unit_curve(loss, delta)
        ax.plot(delta, w, label=label, linewidth=1.2, **style)
        lowest = min(lowest, float(w.min()))
    ax.axhline(0, color="0.6", linewidth=0.5)
    return lowest


def nce_bounds(classes: tuple[int, ...] = (2, 10, 100)):
    """‖∇L_NCE‖₁ as a share of CV's Eq. 3 and of the corrected bound, the other classes being equal.

    Shaded: where the gradient is larger than Eq. 3 allows; the p_y at which that begins is written there.
    """
    ylabel = r"$\|\nabla L_\mathrm{NCE}\|_1$ as a share"
    fig, members = panel_row({f"K = {number}": number for number in classes}, 3.3, 2.8, ylabel, sharey=True)
    delta = torch.linspace(-6, 14, 1001, dtype=torch.float64)
    for ax, number in members:
        norm, printed, correct = papers.nce_gradient_norms(*weights.logits_at(delta, number))
        broken = norm > printed * (1 + 1e-9)
        first = delta[broken][0]
        ax.fill_between(delta, 1, norm / printed, where=broken, color="0.8")
        ax.plot(delta, norm / printed, label="of Eq. 3 as printed", **line_style(2))
        ax.plot(delta, norm / correct, label="of the corrected bound", **line_style(1))
        ax.axhline(1, color="black", linewidth=0.7)
        ax.axvline(float(first), color="0.5", linewidth=0.7)
        ax.text(float(first) + 0.4, 0.06, f"$p_y$ = {torch.sigmoid(first):.2f}", fontsize=8)
        ax.set(xlabel=r"soft margin $\Delta_y$ (score units)", ylim=(0, 1.35))
    members[0][0].legend(fontsize=8, frameon=False, loc="center right")
    return fig


def row_weights(groups: dict, classes: tuple[int, ...] = (10, 100), reach: tuple = (-10.0, 12.0), floor=None):
    """w = -∂L/∂s_y against Δ_y where all other scores are equal: rows are groups, columns numbers of classes.

    groups: {title: {line label: loss}}, of any losses. floor: where a logarithmic axis begins; None: linear.
    """
    fig, axes = panels(len(groups), len(classes), width=4.2, height=2.9, sharex=True, sharey="row")
    delta = torch.linspace(*reach, 1001, dtype=torch.float64)
    for row, (title, group) in zip(axes, groups.items(), strict=True):
        for ax, number in zip(row, classes, strict=True):
            scores = weights.logits_at(delta, number)
            curves = {name: weights.from_autograd(loss, *scores) for name, loss in group.items()}
            draw_lines(ax, {name: (delta, w) for name, w in curves.items()})
            ax.axhline(0, color="0.6", linewidth=0.5)
            if floor:
                ax.set(yscale="log", ylim=(floor, None))
            ax.set_title(f"{title}, K = {number}", fontsize=9)
        row[0].set_ylabel(r"$w=-\partial L/\partial s_y$")
        row[-1].legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    for ax in axes[-1]:
        ax.set_xlabel(r"soft margin $\Delta_y$ (score units)")
    return fig


def training_traces(runs: dict, quantities: dict[str, str]):
    """{run label: {quantity: a value per epoch}} as lines, one panel a quantity {name: axis label}."""
    fig, axes = panels(1, len(quantities), width=3.2, height=2.8)
    for ax, (quantity, label) in zip(axes[0], quantities.items(), strict=True):
        values = {name: trace[quantity] for name, trace in runs.items()}
        draw_lines(ax, {name: (range(1, len(y) + 1), y) for name, y in values.items()})
        ax.set(xlabel="epoch", ylabel=label, ylim=(0, None))
    axes[0, -1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return fig
