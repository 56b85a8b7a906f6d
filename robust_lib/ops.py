"""Operations that tensors and sympy expressions share, so that a loss can be written once for both."""

import functools

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
    return torch.exp(x) if isinstance(x, Tensor) else _sympy()[0].exp(x)


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


def power(x, exponent):
    """x ** exponent for x >= 0, with the derivative's limit 0 instead of inf · 0 at x = 0."""
    if isinstance(x, Tensor):
        # The smallest normal number: below it the product with the vanishing log p is zero in any case.
        x = x.clamp_min(torch.finfo(x.dtype).tiny)
    return x**exponent


class _BoxCox(torch.autograd.Function):
    """(1 - p^q)/q as a function of log p; expm1 keeps the value exact near p = 1, and the gradient is
    -p^q itself: differentiating expm1 would round weights below 1e-7 away."""

    generate_vmap_rule = True

    @staticmethod
    def forward(log_p, q):
        return -torch.expm1(q * log_p) / q

    @staticmethod
    def setup_context(ctx, inputs, output):
        log_p, ctx.q = inputs
        ctx.save_for_backward(log_p)

    @staticmethod
    def backward(ctx, grad):
        (log_p,) = ctx.saved_tensors
        return -torch.exp(ctx.q * log_p) * grad, None


def box_cox(log_p, q):
    """Negative Box-Cox transformation (1 - p^q)/q, the GCE loss; q -> 0 gives -log p."""
    return _BoxCox.apply(log_p, q) if isinstance(log_p, Tensor) else (1 - exp(q * log_p)) / q


def one_minus(p, log_p):
    """1 - p. From log p, because p itself has rounded to 1 long before 1 - p is zero."""
    return box_cox(log_p, 1) if isinstance(p, Tensor) else 1 - p
