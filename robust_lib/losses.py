"""The loss algebra: every loss written once, and the operations the papers apply to losses.

A loss of p_y alone is one plain expression l(p, log_p, **params) that tensors and sympy symbols share
(see ops.py); its value, gradient, weight curve and LaTeX all come from that line. A loss that sees all
classes is one function of the rows of log-probabilities. Both kinds add, multiply and transform:

    loss = gce(q=0.7)                         loss(logits, targets, reduction="mean")
    0.3 * nce() + 0.7 * mae()                 sums and multiples
    mae().scaled(tau=2.6, classes=100)        CV's w*(Δ);  .shifted(...) is w+(Δ)
    ce().symmetrized()                        SY's symmetric component
    piecewise_zero(c=0.02).delayed(1)         HS Eq. 6: CE first;  loss.at_epoch(e) picks the part
    gce(q=0.7).unit_max()                     CV's normalisation: largest weight 1
    get("blurry", gamma=0.5), names()

Numerics: everything starts from log_softmax, in float32 at least; gradients are the true derivative
unless a parameter says stop_gradient=True.
"""

import inspect
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from robust_lib import ops
from robust_lib.weights import check_batch, expected_margin, largest, margin

RCE_A = -math.log(1e-4)  # reverse cross entropy's clamp of log 0 (Wang et al. 2019): 9.21034...


class Loss:
    """A callable loss(logits (N, K), targets int64 (N,), reduction="mean"|"sum"|"none")."""

    def values(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Per-sample losses L(s, y), shape (N,)."""
        return self.table(logits).gather(1, targets.unsqueeze(1)).squeeze(1)

    def table(self, logits: Tensor) -> Tensor:
        """L(s, i) for every possible label i, shape (N, K)."""
        raise NotImplementedError

    def weight_at(self, delta: Tensor) -> Tensor:
        """Sample weight w(Δ); ValueError where the loss is not a function of p_y alone."""
        raise ValueError(f"{self} also depends on the other classes, so it has no weight curve w(p_y)")

    def formula(self, p):
        """l(p) as a sympy expression of the sympy expression p."""
        raise ValueError(f"{self} also depends on the other classes, so it has no formula in p_y alone")

    def __call__(self, logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        check_batch(logits, targets)
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()  # sums over classes overflow half precision
        values = self.values(logits, targets)
        if reduction == "none":
            return values
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')
        return values.mean() if reduction == "mean" else values.sum()

    def weight(self, p: Tensor) -> Tensor:
        """Sample weight w at p_y = p in (0, 1), same shape. For p near 1 use weight_at(Δ)."""
        p = torch.as_tensor(p)
        if not p.is_floating_point() or bool(((p <= 0) | (p >= 1)).any()):
            raise ValueError("p must be floating and lie strictly between 0 and 1")
        return self.weight_at(torch.logit(p))

    def at_epoch(self, epoch: int) -> "Loss":
        """The loss to use in this epoch, counted from 1; itself unless it was delayed."""
        return self

    def latex(self) -> str:
        """l(p) in LaTeX."""
        import sympy

        return sympy.latex(ops.release(self.formula(ops.symbol_p())))

    def __add__(self, other: "Loss") -> "Loss":
        return Sum([*_terms(self), *_terms(other)])

    def __mul__(self, factor: float) -> "Loss":
        return Sum([(factor * c, term) for c, term in _terms(self)])

    __rmul__ = __mul__

    def unit_max(self) -> "Loss":
        """The loss divided by its largest sample weight (CV §5), so that learning rates compare."""
        return (1 / largest(self.weight_at)) * self

    def scaled(self, tau: float, classes: int) -> "Loss":
        """CV's w*(Δ) = w(aΔ), a = τ/|E[Δ]| for the given number of classes (§5.1.1).

        The loss is l(sigmoid(aΔ))/a: the division makes the weight w(aΔ) itself, not a w(aΔ).
        """
        _positive(tau=tau)
        return self._moved(tau / abs(expected_margin(classes)), 0.0, f"scaled(tau={tau}, classes={classes})")

    def shifted(self, tau: float, classes: int) -> "Loss":
        """CV's w+(Δ) = w(Δ + b), b = |E[Δ]| - τ for the given number of classes (§5.1.1)."""
        _positive(tau=tau)
        return self._moved(1.0, abs(expected_margin(classes)) - tau, f"shifted(tau={tau}, classes={classes})")

    def _moved(self, scale: float, shift: float, name: str) -> "Loss":
        self.weight_at(torch.zeros(1))  # the transformation is defined for losses of p_y alone
        return Moved(self, scale, shift, name)

    def symmetrized(self) -> "Loss":
        """The symmetric component L(s, y) - mean_i L(s, i) (SY): its sum over labels is zero."""
        return Symmetrized(self)

    def delayed(self, epochs: int, first: "Loss | None" = None) -> "Loss":
        """HS Eq. 6: the loss `first` (default CE) up to and including this epoch, then this loss."""
        if not isinstance(epochs, int) or epochs < 0:
            raise ValueError(f"epochs must be an integer >= 0, got {epochs!r}")
        return Delayed(self, epochs, first or ce())


class MarginLoss(Loss):
    """A loss of p_y alone, given by its expression l(p, log_p)."""

    def __init__(self, name: str, expression: Callable, params: dict):
        self.name, self.expression, self.params = name, expression, params

    def of(self, log_p: Tensor) -> Tensor:
        return self.expression(torch.exp(log_p), log_p, **self.params)

    def values(self, logits, targets):
        return self.of(-F.cross_entropy(logits, targets, reduction="none"))

    def table(self, logits):
        return self.of(torch.log_softmax(logits, 1))

    def weight_at(self, delta):
        with torch.enable_grad():
            log_p = F.logsigmoid(delta.detach()).requires_grad_()
            (slope,) = torch.autograd.grad(self.of(log_p).sum(), log_p)
        return -slope * torch.sigmoid(-delta)

    def formula(self, p):
        import sympy

        return self.expression(p, sympy.log(p), **self.params)

    def __repr__(self):
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.params.items())})"


class RowLoss(Loss):
    """A loss of all class probabilities, given as the table of L(·, i) from log-probabilities (N, K)."""

    def __init__(self, name: str, expression: Callable, params: dict):
        self.name, self.expression, self.params = name, expression, params

    def table(self, logits):
        return self.expression(torch.log_softmax(logits, 1), **self.params)

    __repr__ = MarginLoss.__repr__


class Sum(Loss):
    """Σ coefficient · loss."""

    def __init__(self, terms: list[tuple[float, Loss]]):
        for coefficient, _ in terms:
            if not isinstance(coefficient, int | float) or not math.isfinite(coefficient):
                raise ValueError(f"a loss can be multiplied by a finite number only, got {coefficient!r}")
        self.terms = terms

    def _each(self, evaluate: Callable):
        return sum(coefficient * evaluate(term) for coefficient, term in self.terms)

    def values(self, logits, targets):
        return self._each(lambda term: term.values(logits, targets))

    def table(self, logits):
        return self._each(lambda term: term.table(logits))

    def weight_at(self, delta):
        return self._each(lambda term: term.weight_at(delta))

    def formula(self, p):
        return self._each(lambda term: term.formula(p))

    def at_epoch(self, epoch):
        return Sum([(c, term.at_epoch(epoch)) for c, term in self.terms])

    def __repr__(self):
        return " + ".join(f"{c!r}*{term}" for c, term in self.terms)


class Moved(Loss):
    """l(sigmoid(aΔ + b))/a, whose sample weight is w(aΔ + b)."""

    def __init__(self, loss: Loss, scale: float, shift: float, name: str):
        self.loss, self.scale, self.shift, self.name = loss, scale, shift, name

    def values(self, logits, targets):
        moved = self.scale * margin(logits, targets) + self.shift
        # The logits (moved, 0) of two classes have exactly this margin, so the loss needs no second form.
        pair = torch.stack([moved, torch.zeros_like(moved)], 1)
        return self.loss.values(pair, torch.zeros_like(targets)) / self.scale

    def table(self, logits):
        labels = torch.arange(logits.shape[1], device=logits.device)
        return torch.stack([self.values(logits, label.expand(len(logits))) for label in labels], 1)

    def weight_at(self, delta):
        return self.loss.weight_at(self.scale * delta + self.shift)

    def formula(self, p):
        import sympy

        odds = (p / (1 - p)) ** self.scale * sympy.exp(self.shift)
        return self.loss.formula(odds / (1 + odds)) / self.scale

    def __repr__(self):
        return f"{_bracketed(self.loss)}.{self.name}"


class Symmetrized(Loss):
    """L(s, y) - (1/K) Σ_i L(s, i)."""

    def __init__(self, loss: Loss):
        self.loss = loss

    def table(self, logits):
        table = self.loss.table(logits)
        return table - table.mean(1, keepdim=True)

    def __repr__(self):
        return f"{_bracketed(self.loss)}.symmetrized()"


class Delayed(Loss):
    """`first` in the epochs 1 … epochs, `loss` afterwards; it has a value only once an epoch is chosen."""

    def __init__(self, loss: Loss, epochs: int, first: Loss):
        self.loss, self.epochs, self.first = loss, epochs, first

    def at_epoch(self, epoch):
        return (self.first if epoch <= self.epochs else self.loss).at_epoch(epoch)

    def table(self, logits):
        raise ValueError(f"{self} depends on the epoch: call loss.at_epoch(epoch) first")

    def values(self, logits, targets):
        return self.table(logits)

    def weight_at(self, delta):
        return self.table(delta)

    def __repr__(self):
        first = "" if repr(self.first) == "ce()" else f", first={self.first}"
        return f"{_bracketed(self.loss)}.delayed({self.epochs}{first})"


def _terms(loss: Loss) -> list[tuple[float, Loss]]:
    if not isinstance(loss, Loss):
        raise TypeError(f"only losses add to losses, got {loss!r}")
    return loss.terms if isinstance(loss, Sum) else [(1.0, loss)]


def _bracketed(loss: Loss) -> str:
    return f"({loss})" if isinstance(loss, Sum) else str(loss)


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be > 0, got {number!r}")


# --- the registry -------------------------------------------------------------------------------------

_FACTORIES: dict[str, Callable[..., Loss]] = {}


def get(name: str, **params) -> Loss:
    """The registered loss `name` with these parameters: get("gce", q=0.7). ValueError if unknown."""
    if name not in _FACTORIES:
        raise ValueError(f"no loss is called {name!r}; there are {', '.join(names())}")
    return _FACTORIES[name](**params)


def names() -> list[str]:
    """Names of all registered losses, in the order they were defined."""
    return list(_FACTORIES)


def _register(kind: type, ranges: dict[str, str]) -> Callable:
    def decorate(expression: Callable) -> Callable[..., Loss]:
        name = expression.__name__
        known = [q for q in inspect.signature(expression).parameters.values() if q.name not in _INPUTS]
        signature = inspect.Signature(known, return_annotation=Loss)

        def factory(*args, **kwargs) -> Loss:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            for parameter, interval in ranges.items():
                _check_range(f"{name}'s {parameter}", bound.arguments[parameter], interval)
            return kind(name, expression, dict(bound.arguments))

        factory.__name__, factory.__qualname__, factory.__doc__ = name, name, expression.__doc__
        factory.__signature__, factory.__module__ = signature, expression.__module__
        _FACTORIES[name] = factory
        return factory

    return decorate


_INPUTS = ("p", "log_p", "log_probs")


def margin_loss(**ranges: str) -> Callable:
    """Decorator that registers a loss of p_y: f(p, log_p, **params) -> l, with each parameter's range.

        @margin_loss(q="(0, 1]")
        def my_loss(p, log_p, q=0.5):
            return 1 - p**q

    makes my_loss(q=0.5), get("my_loss"), its weight curve, its sympy formula and its LaTeX.
    """
    return _register(MarginLoss, ranges)


def row_loss(**ranges: str) -> Callable:
    """Decorator that registers a loss of all classes: f(log_probs (N, K), **params) -> L(·, i) (N, K)."""
    return _register(RowLoss, ranges)


def _check_range(what: str, value, interval: str) -> None:
    """Raise ValueError unless value lies in the interval, written as "(0, 1]" or "[0, inf)"."""
    if isinstance(value, str | bool):
        raise ValueError(f"{what} must be a number in {interval}, got {value!r}")
    try:
        number = float(value)
    except TypeError:
        return  # a sympy symbol stands for any allowed value
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = number >= low if interval[0] == "[" else number > low
    below = number <= high if interval[-1] == "]" else number < high
    if not (above and below):
        raise ValueError(f"{what} must lie in {interval}, got {value!r}")


# --- losses of p_y alone ------------------------------------------------------------------------------


@margin_loss()
def ce(p, log_p):
    """Cross entropy -log p. Weight 1 - p."""
    return -log_p


@margin_loss(gamma="[0, inf)")
def focal(p, log_p, gamma=2.0):
    """Focal loss -(1 - p)^γ log p (Lin et al. 2017; HS uses γ = 2).

    Weight (1-p)^γ (1 - p - γ p log p). Peers' code stops the gradient of (1-p)^γ; this one does not.
    """
    return -ops.power(ops.one_minus(p, log_p), gamma) * log_p


@margin_loss()
def mae(p, log_p):
    """Mean absolute error 1 - p (Ghosh et al. 2017; half of Σ|e_y - p|). Weight p(1 - p)."""
    return ops.one_minus(p, log_p)


@margin_loss(q="(0, 1]")
def gce(p, log_p, q=0.7):
    """Generalized cross entropy (1 - p^q)/q (Zhang & Sabuncu 2018). Weight p^q (1 - p).

    q -> 0 is CE, q = 1 is MAE.
    """
    return ops.box_cox(log_p, q)


@margin_loss(alpha="[0, inf)", beta="[0, inf)")
def sce(p, log_p, alpha=0.1, beta=1.0):
    """Symmetric cross entropy α CE + β A (1 - p), A = -ln 1e-4 (Wang et al. 2019).

    Weight (α + β A p)(1 - p). CV writes (1-q) CE + q MAE: (1 - q) * ce() + q * mae().
    """
    return -alpha * log_p + beta * RCE_A * ops.one_minus(p, log_p)


@margin_loss(gamma="[0, inf)")
def blurry(p, log_p, gamma=0.5, stop_gradient=False):
    """Blurry loss -p^γ log p (HS Eq. 4). Weight p^γ (1 - p)(1 + γ log p), negative for p < e^(-1/γ).

    stop_gradient=True treats the factor p^γ as a constant when differentiating; the weight is then
    p^γ (1 - p), which is GCE's with q = γ.
    """
    factor = ops.exp(gamma * log_p)
    return -(ops.constant(factor) if stop_gradient else factor) * log_p


@margin_loss(c="[0, 1)")
def piecewise_zero(p, log_p, c=0.02):
    """Piecewise-zero loss: 0 if p <= c, else -log p (HS Eq. 5). Weight (1 - p) for p > c, else 0."""
    return ops.where(p > c, -log_p, 0 * log_p)


# --- losses of all classes ----------------------------------------------------------------------------


@row_loss()
def nce(log_probs):
    """Normalised cross entropy -log p_y / Σ_k (-log p_k) (Ma et al. 2020). Sums to 1 over the labels."""
    return log_probs / log_probs.sum(1, keepdim=True)
