"""Sample weights: a loss of p_y is a curve w(Δ_y), and this module reads it off in three ways.

Notation: logits s, K classes, given label y, p = softmax(s), soft margin
Δ_y = s_y - log Σ_{i≠y} exp(s_i), so p_y = sigmoid(Δ_y). The sample weight is
w = -dl/dΔ_y = -∂L/∂s_y: positive w pulls the labelled class up. The curriculum paper (CV, Eq. 1)
writes the same curve with the opposite sign.
"""

import math

import torch
from torch import Tensor

from robust_lib import ops


def check_batch(logits: Tensor, targets: Tensor) -> None:
    """Raise ValueError unless logits are floating (N, K) with K >= 2 and targets int64 (N,) in [0, K)."""
    if logits.ndim != 2 or logits.shape[1] < 2 or not logits.is_floating_point():
        raise ValueError(
            f"logits must be a floating (N, K) tensor with K >= 2, got {tuple(logits.shape)} {logits.dtype}"
        )
    if targets.dtype != torch.int64 or targets.shape != logits.shape[:1]:
        raise ValueError(
            f"targets must be int64 of shape ({len(logits)},), got {tuple(targets.shape)} {targets.dtype}"
        )
    # On an accelerator this look would stop the queue; there the kernel's own assertion answers instead.
    if targets.device.type == "cpu" and len(targets):
        low, high = targets.aminmax()
        if low < 0 or high >= logits.shape[1]:
            raise ValueError(f"targets must lie in [0, {logits.shape[1]}), got [{low}, {high}]")


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Soft margin Δ_y = s_y - log Σ_{i≠y} exp(s_i) (CV §4), in score units, shape (N,).

    Raises ValueError for wrong shapes, types or labels (see check_batch).
    """
    check_batch(logits, targets)
    column = targets.unsqueeze(1)
    others = logits.scatter(1, column, -math.inf).logsumexp(1)
    return logits.gather(1, column).squeeze(1) - others


def expected_margin(classes: int, sigma: float = 1.0) -> float:
    """E[Δ_y] of a fresh network with i.i.d. scores N(μ, σ²): CV Eq. 4.

    -log(K-1) - σ²/2 + (exp(σ²) - 1) / (2(K-1)). Raises ValueError unless classes >= 2, sigma >= 0.
    """
    if classes < 2 or sigma < 0:
        raise ValueError(f"classes must be >= 2 and sigma >= 0, got {classes} and {sigma}")
    return -math.log(classes - 1) - sigma**2 / 2 + math.expm1(sigma**2) / (2 * (classes - 1))


def from_definition(loss, delta: Tensor) -> Tensor:
    """w(Δ) = -(dl/d log p)(1 - p): the chain rule applied to the loss's one-line definition.

    delta: any shape, floating. Returns the same shape. The factor 1 - p is sigmoid(-Δ), exact where
    p rounds to 1. Raises ValueError for a loss that is not a function of p_y alone.
    """
    return loss.weight_at(delta)


def from_autograd(loss, logits: Tensor, targets: Tensor) -> Tensor:
    """w = -∂L/∂s_y, by back-propagating the loss to its logits; works for every loss. Shape (N,)."""
    leaf = logits.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, targets, reduction="sum"), leaf)
    return -gradient.gather(1, targets.unsqueeze(1)).squeeze(1)


def symbolic(loss):
    """w as a sympy expression in p: -(dl/dp) p (1 - p), simplified; a stopped gradient stays stopped."""
    import sympy

    p = ops.symbol_p()
    slope = ops.release(sympy.diff(loss.formula(p), p))
    return sympy.simplify(-slope * p * (1 - p))


def from_sympy(loss, delta: Tensor) -> Tensor:
    """w(Δ) from the symbolic derivative, evaluated in float64 at p = sigmoid(Δ)."""
    import sympy

    evaluate = sympy.lambdify(ops.symbol_p(), symbolic(loss), "numpy")
    p = torch.sigmoid(delta.double())
    return torch.as_tensor(evaluate(p.numpy()), dtype=torch.float64).expand(p.shape)


def logits_at(delta: Tensor, classes: int = 2) -> tuple[Tensor, Tensor]:
    """Logits (N, K) whose label 0 has the margin delta (N,), the other scores equal; and the targets."""
    logits = torch.zeros(len(delta), classes, dtype=delta.dtype)
    logits[:, 0] = delta + math.log(classes - 1)
    return logits, torch.zeros(len(delta), dtype=torch.int64)


def largest(weight_at, reach: float = 200.0) -> float:
    """max |w(Δ)| over |Δ| <= reach, by zooming into a grid (w may jump, as Piecewise-zero's does)."""
    low, high = -reach, reach
    for _ in range(6):
        grid = torch.linspace(low, high, 20_001, dtype=torch.float64)
        size = weight_at(grid).abs()
        best = int(size.argmax())
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    return float(size.max())
