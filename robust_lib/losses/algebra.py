"""The loss algebra and the registry: what a loss is, the operations the papers apply to losses, and the
decorators that turn a formula into one. The losses themselves are in zoo.py.

A loss of p_y alone is one plain expression l(p, log_p, **params) that tensors and sympy symbols share
(see ops.py); its value, gradient, weight curve and LaTeX all come from that line. A loss that sees all
classes is one expression L(log_p, log_probs, **params) of the label's log-probability and the whole row.
Both kinds add, multiply and transform.

Numerics: everything starts from log_softmax, in float32 at least; gradients are the true derivative
unless a parameter says stop_gradient=True.
"""

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from robust_lib.losses import ops
from robust_lib.losses.weights import check_batch, expected_margin, largest, margin

# p: log p_y. margin: Δ_y, exact where p_y rounds to 1. row: every log p_i. batch: other samples too.
SIGHT = ("p", "margin", "row", "batch")


class Loss:
    """A callable loss(logits (N, K), targets int64 (N,), reduction="mean"|"sum"|"none")."""

    sees = "row"  # what its value needs: one of SIGHT

    def of(self, log_p: Tensor, log_probs: Tensor) -> Tensor:
        """L for labels with the log-probabilities log_p (N, 1) or (N, K), in rows log_probs (N, K)."""
        raise NotImplementedError

    def at(self, delta: Tensor) -> Tensor:
        """l at the soft margin Δ, same shape; ValueError where the loss is not a function of p_y alone."""
        raise ValueError(f"{self} also depends on the other classes, so it has no curve l(p_y)")

    def values(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Per-sample losses L(s, y), shape (N,)."""
        if self.sees == "p":
            return self.of(-F.cross_entropy(logits, targets, reduction="none"), None)
        if self.sees == "margin":
            return self.at(margin(logits, targets))
        log_probs = torch.log_softmax(logits, 1)
        return self.of(log_probs.gather(1, targets.unsqueeze(1)), log_probs).squeeze(1)

    def table(self, logits: Tensor) -> Tensor:
        """L(s, i) for every possible label i, shape (N, K)."""
        log_probs = torch.log_softmax(logits, 1)
        return self.of(log_probs, log_probs)

    def weight_at(self, delta: Tensor) -> Tensor:
        """Sample weight w(Δ); ValueError where the loss is not a function of p_y alone."""
        raise ValueError(f"{self} also depends on the other classes, so it has no weight curve w(p_y)")

    def formula(self, p):
        """l(p) as a sympy expression of the sympy expression p."""
        raise ValueError(f"{self} also depends on the other classes, so it has no formula in p_y alone")

    def __call__(self, logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        check_batch(logits, targets)
        if SIGHT.index(self.sees) >= SIGHT.index("row"):
            _check_unmasked(self, logits)
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

    def __radd__(self, other) -> "Loss":
        """sum() begins with 0."""
        return self if isinstance(other, int) and other == 0 else Sum([*_terms(other), *_terms(self)])

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

    def peered(self) -> "Loss":
        """Peer loss L(s, y) - L(s_n, y_m) with a sample n and a label m drawn from the batch (CV A.5)."""
        return Peered(self)

    def delayed(self, epochs: int, first: "Loss | None" = None) -> "Loss":
        """HS Eq. 6: the loss `first` (default CE) up to and including this epoch, then this loss."""
        if not isinstance(epochs, int) or epochs < 0:
            raise ValueError(f"epochs must be an integer >= 0, got {epochs!r}")
        return Delayed(self, epochs, first or get("ce"))


class Formula(Loss):
    """A loss given by one expression and its parameters."""

    def __init__(self, name: str, expression: Callable, params: dict):
        self.name, self.expression, self.params = name, expression, params

    def __reduce__(self):
        # By name: the expression itself cannot be pickled, for its name now means the factory.
        return functools.partial(get, self.name, **self.params), ()

    def __repr__(self):
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.params.items())})"


class MarginLoss(Formula):
    """A loss of p_y alone, given by its expression l(p, log_p)."""

    sees = "p"

    def of(self, log_p, log_probs=None):
        return self.expression(torch.exp(log_p), log_p, **self.params)

    def at(self, delta):
        return self.of(F.logsigmoid(delta))

    def weight_at(self, delta):
        with torch.enable_grad():
            log_p = F.logsigmoid(delta.detach()).requires_grad_()
            (slope,) = torch.autograd.grad(self.of(log_p).sum(), log_p)
        return -slope * torch.sigmoid(-delta)

    def formula(self, p):
        import sympy

        try:
            return self.expression(p, sympy.log(p), **self.params)
        except TypeError as error:
            raise ValueError(f"{self} has no formula: write it in robust_lib.losses.ops ({error})") from error


class RowLoss(Formula):
    """A loss of all class probabilities, given by its expression L(log_p, log_probs)."""

    def of(self, log_p, log_probs):
        return self.expression(log_p, log_probs, **self.params)


class Sum(Loss):
    """Σ coefficient · loss."""

    def __init__(self, terms: list[tuple[float, Loss]]):
        for coefficient, _ in terms:
            if not isinstance(coefficient, int | float) or not math.isfinite(coefficient):
                raise ValueError(f"a loss can be multiplied by a finite number only, got {coefficient!r}")
        self.terms = terms
        self.sees = max((term.sees for _, term in terms), key=SIGHT.index)

    def _each(self, evaluate: Callable):
        return sum(coefficient * evaluate(term) for coefficient, term in self.terms)

    def of(self, log_p, log_probs):
        return self._each(lambda term: term.of(log_p, log_probs))

    def at(self, delta):
        return self._each(lambda term: term.at(delta))

    def values(self, logits, targets):
        if any(type(term).values is not Loss.values for _, term in self.terms):
            return self._each(lambda term: term.values(logits, targets))
        return super().values(logits, targets)  # one log_softmax for all

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

    sees = "margin"

    def __init__(self, loss: Loss, scale: float, shift: float, name: str):
        self.loss, self.scale, self.shift, self.name = loss, scale, shift, name

    def at(self, delta):
        return self.loss.at(self.scale * delta + self.shift) / self.scale

    def of(self, log_p, log_probs):
        return self.at(log_p - _log_rest(log_p, log_probs))

    def weight_at(self, delta):
        return self.loss.weight_at(self.scale * delta + self.shift)

    def formula(self, p):
        import sympy

        odds = (p / (1 - p)) ** self.scale * sympy.exp(self.shift)
        return self.loss.formula(odds / (1 + odds)) / self.scale

    def at_epoch(self, epoch):
        return Moved(self.loss.at_epoch(epoch), self.scale, self.shift, self.name)

    def __repr__(self):
        return f"{_bracketed(self.loss)}.{self.name}"


class Symmetrized(Loss):
    """L(s, y) - (1/K) Σ_i L(s, i)."""

    def __init__(self, loss: Loss):
        self.loss = loss

    def of(self, log_p, log_probs):
        return self.loss.of(log_p, log_probs) - self.loss.of(log_probs, log_probs).mean(1, keepdim=True)

    def at_epoch(self, epoch):
        return Symmetrized(self.loss.at_epoch(epoch))

    def __repr__(self):
        return f"{_bracketed(self.loss)}.symmetrized()"


class Peered(Loss):
    """L(s, y) minus the loss of a random pair: scores and labels of the batch, permuted independently.

    The permutations come from torch's default generator, as dropout's masks do, so torch.manual_seed
    repeats them; no sample has a loss of its own, hence no table over the labels.
    """

    sees = "batch"

    def __init__(self, loss: Loss):
        self.loss = loss

    def of(self, log_p, log_probs):
        raise ValueError(f"{self} compares samples of a batch, so it has no value for one row of scores")

    def values(self, logits, targets):
        n, m = (torch.randperm(len(logits), device=logits.device) for _ in range(2))
        return self.loss.values(logits, targets) - self.loss.values(logits, targets[m])[n]

    def at_epoch(self, epoch):
        return Peered(self.loss.at_epoch(epoch))

    def __repr__(self):
        return f"{_bracketed(self.loss)}.peered()"


class Delayed(Loss):
    """`first` in the epochs 1 … epochs, `loss` afterwards; it has a value only once an epoch is chosen."""

    def __init__(self, loss: Loss, epochs: int, first: Loss):
        self.loss, self.epochs, self.first = loss, epochs, first

    def at_epoch(self, epoch):
        if epoch < 1:
            raise ValueError(f"epoch must be >= 1, for epochs count from 1; got {epoch!r}")
        return (self.first if epoch <= self.epochs else self.loss).at_epoch(epoch)

    def of(self, log_p, log_probs):
        raise ValueError(f"{self} depends on the epoch: call loss.at_epoch(epoch) first")

    def at(self, delta):
        return self.of(delta, None)

    def weight_at(self, delta):
        return self.of(delta, None)

    def __repr__(self):
        first = "" if repr(self.first) == "ce()" else f", first={self.first}"
        return f"{_bracketed(self.loss)}.delayed({self.epochs}{first})"


def _terms(loss: Loss) -> list[tuple[float, Loss]]:
    if not isinstance(loss, Loss):
        raise TypeError(f"only losses add to losses, got {loss!r}")
    return loss.terms if isinstance(loss, Sum) else [(1.0, loss)]


def _bracketed(loss: Loss) -> str:
    return f"({loss})" if isinstance(loss, Sum) else str(loss)


def _check_unmasked(loss: Loss, logits: Tensor) -> None:
    """ValueError where a class is masked by a score of -inf among finite ones: its log p enters the sums over
    the classes. As in check_batch, an accelerator is not asked; there the result is not finite."""
    if logits.device.type == "cpu" and len(logits):
        masked = torch.isneginf(logits).any(1) & torch.isfinite(logits.amax(1))
        if masked.any():
            row = int(masked.nonzero()[0])
            raise ValueError(
                f"logits must be finite for {loss}, which sees all classes, got -inf in row {row}"
            )


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be > 0, got {number!r}")


def _log_rest(log_p: Tensor, log_probs: Tensor) -> Tensor:
    """log(1 - p) for labels with log_p (N, 1) or (N, K). Only the top class can have p > 1/2, where
    1 - p would cancel: its rest is summed from the other classes instead."""
    top, index = log_probs.max(1, keepdim=True)
    rest = log_probs.scatter(1, index, -math.inf).logsumexp(1, keepdim=True)
    small = log_p.clamp_max(-math.log(2))  # keeps the branch that is not taken finite
    return torch.where(log_p < top, torch.log1p(-torch.exp(small)), rest)


# --- the registry -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class About:
    """What is known of a registered loss; a loss registered without any of this works all the same.

    symmetric: True, False, or the parameters that make it so, as {"q": 1}; None where nobody has said.
    total(K, **params): the sum Σ_i L(s, i) that it claims for every s. asymmetric: the largest noise ratio
    r̃ (CV §3.1) under which it is asymmetric, in Markdown. latex, weight: formula and -∂L/∂s_y in LaTeX,
    for losses that sympy cannot derive. errata: keys into papers/errata.py.
    """

    symmetric: bool | dict | None = None
    total: Callable[..., float] | None = None
    asymmetric: str = ""
    limits: str = ""
    source: str = ""
    errata: tuple[str, ...] = ()
    latex: str = ""
    weight: str = ""


_FACTORIES: dict[str, Callable[..., Loss]] = {}


def get(name: str, **params) -> Loss:
    """The registered loss `name` with these parameters: get("gce", q=0.7). ValueError if unknown."""
    return factory(name)(**params)


def names() -> list[str]:
    """Names of all registered losses, in the order they were defined."""
    return list(_FACTORIES)


def about(name: str) -> About:
    """What is known of the registered loss `name`. ValueError if unknown."""
    return factory(name).about


def factory(name: str) -> Callable[..., Loss]:
    if name not in _FACTORIES:
        raise ValueError(f"no loss is called {name!r}; there are {', '.join(names())}")
    return _FACTORIES[name]


def register(kind: Callable[[str, Callable, dict], Loss], keywords: dict) -> Callable:
    """Decorator that makes a factory of kind(name, expression, params) and keeps it under the name."""
    known = {field.name for field in fields(About)}
    facts = About(**{k: v for k, v in keywords.items() if k in known})
    ranges = {k: v for k, v in keywords.items() if k not in known}

    def decorate(expression: Callable) -> Callable[..., Loss]:
        name = expression.__name__
        owner = getattr(_FACTORIES.get(name), "__module__", "")
        if owner.startswith("robust_lib.") and owner != expression.__module__:
            raise ValueError(f"a loss of the library is called {name!r}: records would mean that one")
        mine = [q for q in inspect.signature(expression).parameters.values() if q.name not in _INPUTS]
        signature = inspect.Signature(mine, return_annotation=Loss)
        if unknown := ranges.keys() - signature.parameters.keys():
            raise ValueError(f"{name} has no parameter {sorted(unknown)}, only {list(signature.parameters)}")

        def factory(*args, **kwargs) -> Loss:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                takes = ", ".join(signature.parameters) or "no parameters"
                raise TypeError(f"{name}() {error}; it takes {takes}") from None
            bound.apply_defaults()
            for parameter, interval in ranges.items():
                _check_range(f"{name}'s {parameter}", bound.arguments[parameter], interval)
            return kind(name, expression, dict(bound.arguments))

        factory.__name__, factory.__qualname__, factory.__doc__ = name, name, expression.__doc__
        factory.__signature__, factory.__module__ = signature, expression.__module__
        factory.about = facts
        _FACTORIES[name] = factory
        return factory

    return decorate


# What expressions are given besides their parameters.
_INPUTS = ("p", "log_p", "log_probs")


def margin_loss(**ranges_and_facts) -> Callable:
    """Decorator that registers a loss of p_y: f(p, log_p, **params) -> l, with each parameter's range.

        @margin_loss(q="(0, 1]")
        def my_loss(p, log_p, q=0.5):
            return 1 - p**q

    makes my_loss(q=0.5), get("my_loss"), its weight curve, its sympy formula and its LaTeX, and puts it
    into every figure, table and check that goes through names(). Fields of About may be given too.
    """
    return register(MarginLoss, ranges_and_facts)


def row_loss(**ranges_and_facts) -> Callable:
    """Decorator that registers a loss of all classes: f(log_p, log_probs, **params) -> L, where log_p
    (N, 1) or (N, K) holds the labels asked for, log_probs (N, K) the row; L has the shape of log_p.

        @row_loss()
        def my_loss(log_p, log_probs):
            return -log_p + log_probs.mean(1, keepdim=True)
    """
    return register(RowLoss, ranges_and_facts)


def composed(**ranges_and_facts) -> Callable:
    """Decorator that registers a function which builds its loss from others: f(**params) -> Loss."""
    return register(lambda name, build, params: build(**params), ranges_and_facts)


def _check_range(what: str, value, interval: str) -> None:
    """Raise ValueError unless value lies in the interval: "(0, 1]", "[0, inf)", "integer in [1, inf)"."""
    bounds = interval.removeprefix("integer in ")
    unfit = str | bool | float if bounds != interval else str | bool
    if isinstance(value, unfit):
        kind = "an integer" if bounds != interval else "a number"
        raise ValueError(f"{what} must be {kind} in {bounds}, got {value!r}")
    try:
        number = float(value)
    except TypeError:
        return  # a sympy symbol stands for any allowed value
    low, high = (float(end) for end in bounds[1:-1].split(","))
    above = number >= low if bounds[0] == "[" else number > low
    below = number <= high if bounds[-1] == "]" else number < high
    if not (above and below):
        raise ValueError(f"{what} must lie in {interval}, got {value!r}")
