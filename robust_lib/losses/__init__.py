"""Every loss as a curve of sample weights.

Read, in this order: ops (what tensors and sympy share), weights (the two margins, the weight curve by three
routes), algebra (what a loss is: sums, shifts, the registry), zoo (every loss's formula), table (all of
them).

    loss = losses.gce(q=0.7)
    loss(logits, targets).backward()
    loss.weight(torch.tensor([0.02, 0.5]))  # the sample weight at p_y
"""

from robust_lib.losses import ops, table, weights
from robust_lib.losses.algebra import Loss, about, composed, get, margin_loss, names, row_loss
from robust_lib.losses.zoo import (
    ael,
    agce,
    alpha_mae,
    alpha_mae_smoothness,
    anl_ce,
    anl_fl,
    aul,
    blurry,
    ce,
    cr,
    focal,
    gce,
    gls,
    logit_bias_mae,
    mae,
    mse,
    nce,
    nfl,
    nnce,
    nnfl,
    peer,
    phuber_ce,
    piecewise_zero,
    rce,
    sce,
    sgce,
    sgce_smoothness,
    tce,
    unhinged,
)
