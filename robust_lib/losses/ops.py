"""Operations that tensors and sympy expressions share, so that a loss can be written once for both."""

import functools
import math

import torch
from torch import Tensor


@functools.cache
def _sympy():
    """sympy and a function f(x) = x whose derivative is zero: the stopped gradient in symbols."""
    import sympy

    class Frozen(sympy.Function):
        nargs = 1

        def fdiff(self, argindex=1):
            return sympy.Integer(0)

    return sympy, Frozen


def symbol_p():
    """The sympy symbol p for p_y."""
    return _sympy()[0].Symbol("p", positive=True)


def exp(x):
    if isinstance(x, int | float):
        return math.exp(x)
    if isinstance(x, Tensor):
        return torch.exp(x)
    sympy = _sympy()[0]
    return sympy.exp(x).rewrite(sympy.Pow)  # e^(q log p) is p^q


def log(x):
    """Natural logarithm of a parameter: a number or a sympy symbol."""
    return math.log(x) if isinstance(x, int | float) else _sympy()[0].log(x)


def where(condition, yes, no):
    if isinstance(yes, Tensor):
        return torch.where(condition, yes, no)
    return _sympy()[0].Piecewise((yes, condition), (no, True))


def constant(x):
    """x with its gradient stopped: the papers' ρ(·)."""
    return x.detach() if isinstance(x, Tensor) else _sympy()[1](x)


def release(expression):
    """The sympy expression with every stopped gradient opened again, once the derivative is taken."""
    return expression.replace(_sympy()[1], lambda x: x)


class _BoxCox(torch.autograd.Function):
    """(1 - p^q)/q as a function of log p; expm1 keeps the value exact near p = 1, and the gradient is
    -p^q itself: differentiating expm1 would round weights below 1e-7 away.

    Here and below, in-place steps halve the time on whole rows; they must wait where a second derivative
    is wanted, which is when autograd records the backward pass itself.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(log_p, q):
        return (q * log_p).expm1_().div_(-q)

    @staticmethod
    def setup_context(ctx, inputs, output):
        log_p, ctx.q = inputs
        ctx.save_for_backward(log_p)

    @staticmethod
    def backward(ctx, grad):
        (log_p,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return -torch.exp(ctx.q * log_p) * grad, None
        return (ctx.q * log_p).exp_().mul_(grad).neg_(), None


def box_cox(log_p, q):
    """Negative Box-Cox transformation (1 - p^q)/q, the GCE loss; q -> 0 gives -log p."""
    return _BoxCox.apply(log_p, q) if isinstance(log_p, Tensor) else (1 - exp(q * log_p)) / q


def one_minus(p, log_p):
    """1 - p. From log p, because p itself has rounded to 1 long before 1 - p is zero."""
    return box_cox(log_p, 1) if isinstance(p, Tensor) else 1 - p


class _RowPower(torch.autograd.Function):
    """p^q as a function of log p, by exp2, which took a third of exp's time where we measured; the product's
    rounding is no larger than the one that log p carries already."""

    generate_vmap_rule = True

    @staticmethod
    def forward(log_p, q):
        return (log_p * (q * math.log2(math.e))).exp2_()

    @staticmethod
    def setup_context(ctx, inputs, output):
        log_p, ctx.q = inputs
        ctx.save_for_backward(log_p, output)

    @staticmethod
    def backward(ctx, grad):
        log_p, power = ctx.saved_tensors
        if torch.is_grad_enabled():
            return row_power(log_p, ctx.q) * ctx.q * grad, None
        return (power * grad).mul_(ctx.q), None


def row_power(log_probs, q):
    """p^q for whole rows of log-probabilities. For 1 - p^q of one label use box_cox: it keeps the digits."""
    return _RowPower.apply(log_probs, q)


class _Faded(torch.autograd.Function):
    """(1-p)^γ log p as a function of log p; the gradient r^γ [1 + γ (log p - log p / r)], r = 1 - p > 0, has
    no 0/0 at p = 1, where autograd would meet 0 · inf. It costs little more, so forward computes both."""

    generate_vmap_rule = True

    @staticmethod
    def forward(log_p, gamma):
        r = torch.expm1(log_p).neg_().clamp_min_(torch.finfo(log_p.dtype).tiny)
        power = r**gamma
        value = power * log_p
        return value, power + gamma * (value - value / r)

    @staticmethod
    def setup_context(ctx, inputs, output):
        log_p, ctx.gamma = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(log_p, output[1])

    @staticmethod
    def backward(ctx, grad, _):
        log_p, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            slope = _faded_slope(log_p, ctx.gamma)
        return None if grad is None else slope * grad, None


def _faded_slope(log_p, gamma):
    """The gradient again, differentiable; below eps any finite r will do, for what it meets is r squared."""
    r = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).eps)
    return r**gamma * (1 + gamma * (log_p - log_p / r))


def faded_log(log_p, gamma):
    """(1-p)^γ log p: focal loss but for the sign; log p fades out as p -> 1."""
    return _Faded.apply(log_p, gamma)[0] if isinstance(log_p, Tensor) else (1 - exp(log_p)) ** gamma * log_p


class _TaylorLog(torch.autograd.Function):
    """Σ_{i=1..t} (1-p)^i/i as a function of log p, with the gradient's closed form -(1 - (1-p)^t)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(log_p, t):
        r = -torch.expm1(log_p)
        total = torch.full_like(r, 1 / t)
        for i in range(t - 1, 0, -1):  # Horner's scheme
            total.mul_(r).add_(1 / i)
        return total.mul_(r)

    @staticmethod
    def setup_context(ctx, inputs, output):
        log_p, ctx.t = inputs
        ctx.save_for_backward(log_p)

    @staticmethod
    def backward(ctx, grad):
        (log_p,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # log1p has no second derivative at p = 1
            return ((-torch.expm1(log_p)) ** ctx.t - 1) * grad, None
        return torch.expm1(ctx.t * torch.log1p(-torch.exp(log_p))) * grad, None


def taylor_log(log_p, t):
    """Σ_{i=1..t} (1-p)^i/i, the first t terms of -log p's series about p = 1 (t a positive integer)."""
    if isinstance(log_p, Tensor):
        return _TaylorLog.apply(log_p, t)
    sympy, i = _sympy()[0], _sympy()[0].Symbol("i", integer=True, positive=True)
    series = sympy.Sum((1 - exp(log_p)) ** i / i, (i, 1, t))
    return series.doit() if isinstance(t, int) else series
