"""Loss and weight curves: chapters 01 to 07."""

import torch

from robust_lib.figures import draw_lines, panel_row


def weight_curves(groups: dict, backgrounds: dict | None = None, reach: float = 8.0):
    """CV Fig. 2: w(Δ) of the losses in each group, one panel a group.

    groups: {panel title: {line label: loss}}. backgrounds: {label: Δ samples}, drawn as grey histograms
    scaled to the panel's height (CV's "initial Δ_y distributions").
    """
    width, ylabel = 3.8 if len(groups) > 1 else 5.4, r"sample weight $w(\Delta_y)$"
    fig, members = panel_row(groups, width, 3.0, ylabel, sharey=True)
    delta = torch.linspace(-reach, reach, 801, dtype=torch.float64)
    for ax, group in members:
        for shade, (label, samples) in zip(("0.85", "0.7"), (backgrounds or {}).items(), strict=False):
            heights, edges = torch.histogram(samples.double().cpu(), 40, range=(-reach, reach))
            ax.stairs(heights / heights.max(), edges, fill=True, color=shade, label=label)
        draw_lines(ax, {label: (delta, loss.weight_at(delta)) for label, loss in group.items()})
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.set_xlabel(r"soft margin $\Delta_y$ (score units)")
        ax.legend(fontsize=7, frameon=False)
    return fig


def loss_curves(groups: dict, ceiling: float = 4.0):
    """HS Fig. 2: the loss against p_y, one panel a group {panel title: {line label: loss}}.

    A line begins at p_y = 1e-80, where Blurry Loss is 0 for every γ >= 0.1; the rise lies on the left edge.
    """
    fig, members = panel_row(groups, 4.2, 3.0, "loss (nats)", sharey=True)
    # Dense near 0, where Piecewise-zero's small cut-offs and Blurry's maxima e^(-1/γ) lie.
    powers = torch.cat([torch.linspace(-80, -4, 200), torch.linspace(-4, -1, 400)[1:-1]]).double()
    p = torch.cat([10**powers, torch.linspace(0.1, 1, 400, dtype=torch.float64)[1:-1]])
    logits = torch.stack([torch.logit(p), torch.zeros_like(p)], 1)
    labels = torch.zeros(len(p), dtype=torch.int64)
    for ax, group in members:
        draw_lines(ax, {name: (p, loss(logits, labels, reduction="none")) for name, loss in group.items()})
        ax.set(xlabel=r"probability of the given label, $p_y$", ylim=(-0.05, ceiling))
        ax.legend(fontsize=7, frameon=False)
    return fig
