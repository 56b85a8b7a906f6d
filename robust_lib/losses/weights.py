"""Sample weights: a loss of p_y is a curve w(Δ_y), and this module reads it off in three ways.

Notation: logits s, K classes, given label y, p = softmax(s), soft margin
Δ_y = s_y - log Σ_{i≠y} exp(s_i), so p_y = sigmoid(Δ_y). The sample weight is
w = -dl/dΔ_y = -∂L/∂s_y: positive w pulls the labelled class up. The curriculum paper (CV, Eq. 1)
writes the same curve with the opposite sign.
"""

import math

import torch
from torch import Tensor

from robust_lib.losses import ops


def check_batch(logits: Tensor, targets: Tensor) -> None:
    """Raise ValueError unless logits are floating (N, K) with K >= 2 and targets int64 (N,) in [0, K)."""
    for name, given in (("logits", logits), ("targets", targets)):
        if not isinstance(given, Tensor):
            raise ValueError(f"{name} must be a tensor, got {type(given).__name__}")
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


class _Margin(torch.autograd.Function):
    """Δ_y, with its gradient e_y - softmax over the other classes written out: half autograd's time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits, column):
        others = logits.scatter(1, column, -math.inf)
        top = others.amax(1, keepdim=True)
        rest = others.sub_(top).exp_().sum(1, keepdim=True).log_().add_(top)
        return (logits.gather(1, column) - rest).squeeze(1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        logits, column = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        others = torch.softmax(logits.scatter(1, column, -math.inf), 1)
        return (others * -grad).scatter(1, column, grad), None


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Soft margin Δ_y = s_y - log Σ_{i≠y} exp(s_i) (CV §4), in score units, shape (N,).

    Raises ValueError for wrong shapes, types or labels (see check_batch).
    """
    check_batch(logits, targets)
    return _Margin.apply(logits, targets.unsqueeze(1))


def hard_margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Hard margin M_y = s_y - max_{k≠y} s_k (Pleiss et al. 2020), (N,); positive if the given label leads.

    logits: (N, K), K >= 2; targets y: int64 (N,).  Equal to the last bit to the package aum 1.0.2.
    ValueError for wrong shapes.  Targets outside 0..K-1 are not checked: that would wait for the device.
    """
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits must have shape (samples, 2 classes or more), got {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must have shape ({len(logits)},) like logits, got {tuple(targets.shape)}")
    given = targets.unsqueeze(1)
    others = logits.scatter(1, given, float("-inf"))
    return logits.gather(1, given).squeeze(1) - others.amax(dim=1)


def expected_margin(classes: int, sigma: float = 1.0) -> float:
    """E[Δ_y] of a fresh network with i.i.d. scores N(μ, σ²): CV Eq. 4.

    -log(K-1) - σ²/2 + (exp(σ²) - 1) / (2(K-1)). Raises ValueError unless classes >= 2, sigma >= 0.
    """
    if classes < 2 or sigma < 0:
        raise ValueError(f"classes must be >= 2 and sigma >= 0, got {classes} and {sigma}")
    return -math.log(classes - 1) - sigma**2 / 2 + math.expm1(sigma**2) / (2 * (classes - 1))


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


def asymmetry_ratio(loss, steps: int = 400) -> float:
    """The largest noise ratio r̃ under which a loss of p_y is asymmetric (CV §3.1, Zhou et al. 2021):

    inf [l(p_i) - l(p_i + p_j)] / [l(0) - l(p_j)] over p_i, p_j >= 0 with p_i + p_j <= 1, on a grid of
    `steps`, with the limit p_j -> 0 from the slopes. 0 where l rises somewhere or falls infinitely fast at 0.
    Raises ValueError for a loss that is not a function of p_y alone.
    """
    delta = torch.logit(torch.linspace(0, 1, steps + 1, dtype=torch.float64))
    delta[0], delta[-1] = -700.0, 40.0  # p = 1e-304 and, to the last bit, 1
    values = loss.at(delta)
    slopes = -loss.weight_at(delta) / (torch.sigmoid(delta) * torch.sigmoid(-delta))
    ratios = [slopes.max() / slopes[0]]
    for j in range(1, steps + 1):
        ratios.append((values[: steps + 1 - j] - values[j:]).min() / (values[0] - values[j]))
    falls = bool((slopes < 0).all()) and bool((values[1:] < values[0]).all())
    return max(0.0, float(torch.stack(ratios).min())) if falls else 0.0


def hessian_norm(loss, logits: Tensor, targets: Tensor) -> Tensor:
    """Largest absolute eigenvalue of the Hessian of L(s, y) with respect to the scores s, shape (N,)."""
    leaf = logits.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, targets, reduction="sum"), leaf, create_graph=True)
    if not gradient.requires_grad:  # linear in the scores
        return torch.zeros(len(logits), dtype=logits.dtype)
    rows = [torch.autograd.grad(g.sum(), leaf, retain_graph=True)[0] for g in gradient.unbind(1)]
    return torch.linalg.eigvalsh(torch.stack(rows, 1)).abs().amax(1)


def measured_smoothness(loss, classes: int, spread: float = 1000.0, seed: int = 0) -> float:
    """The largest hessian_norm found among scores with max - min <= spread: a lower bound on β, the
    Lipschitz constant of the gradient. Looks at 200 random scores and along two-class faces, the other
    classes at the bottom, where p_y-losses bend most. Raises ValueError unless classes >= 2, spread > 0.
    """
    if classes < 2 or not spread > 0:
        raise ValueError(f"classes must be >= 2 and spread > 0, got {classes} and {spread}")
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(200, classes, generator=draw, dtype=torch.float64)
    scores *= torch.linspace(-2, 2, 200, dtype=torch.float64).exp().unsqueeze(1)
    scores -= scores.amax(1, keepdim=True)
    gaps = torch.linspace(math.log(0.01), math.log(spread), 120, dtype=torch.float64).exp()
    faces = torch.full((240, classes), -math.inf, dtype=torch.float64)
    faces[:, 0], faces[:, 1] = torch.cat([gaps, -gaps]), 0.0
    faces -= faces.amax(1, keepdim=True)
    scores = torch.cat([scores, faces]).clamp_min(-spread)
    labels = [torch.full((len(scores),), label) for label in range(min(classes, 3))]
    return max(float(hessian_norm(loss, scores, label).max()) for label in labels)
