"""Margins and sample weights: three routes that must agree, and the papers' numbers."""

import math

import pytest
import torch

from robust_lib import losses
from robust_lib.losses import weights
from tests.losses.test_algebra import MARGIN_LOSSES, random_batch

ONE_OF_EACH = [losses.get(name) for name in losses.names()]
OF_P = {repr(loss): loss for loss in [*MARGIN_LOSSES, *ONE_OF_EACH] if loss.sees in ("p", "margin")}


@pytest.mark.parametrize("loss", OF_P.values(), ids=OF_P)
def test_three_routes_to_the_weight_agree(loss):
    delta = torch.linspace(-25, 25, 501, dtype=torch.float64)
    closed = loss.weight_at(delta)
    logits, targets = weights.logits_at(delta, classes=12)
    for other in (weights.from_autograd(loss, logits, targets), weights.from_sympy(loss, delta)):
        torch.testing.assert_close(other, closed, rtol=0, atol=1e-9)


def test_margin_is_the_logit_of_p_and_bounds_the_hard_margin():
    logits, targets = random_batch()
    delta = weights.margin(logits, targets)
    p = logits.softmax(1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(torch.sigmoid(delta), p)
    others = logits.scatter(1, targets[:, None], -math.inf).amax(1)
    hard = logits.gather(1, targets[:, None]).squeeze(1) - others
    assert bool((delta <= hard).all())
    assert bool((delta >= hard - math.log(9)).all())


def test_margin_stays_exact_where_p_rounds_to_one():
    logits = torch.tensor([[200.0, 0.0, 0.0]])
    torch.testing.assert_close(weights.margin(logits, torch.tensor([0])), torch.tensor([200 - math.log(2)]))


def test_margin_gradient_has_l1_norm_two():
    logits, targets = random_batch()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(weights.margin(logits, targets).sum(), logits)
    torch.testing.assert_close(gradient.abs().sum(1), torch.full((64,), 2.0, dtype=torch.float64))


@pytest.mark.parametrize(("classes", "formula"), [(10, -2.601), (100, -5.086)])
def test_expected_margin_is_eq_4_and_close_to_simulation(classes, formula):
    assert weights.expected_margin(classes) == pytest.approx(formula, abs=2e-3)
    scores = torch.randn(20_000, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    simulated = float(weights.margin(scores, torch.zeros(20_000, dtype=torch.int64)).mean())
    assert weights.expected_margin(classes) == pytest.approx(simulated, abs=0.04)


def test_logits_at_has_the_margins_asked_for():
    delta = torch.tensor([-30.0, 0.0, 2.5], dtype=torch.float64)
    for classes in (2, 5, 100):
        torch.testing.assert_close(weights.margin(*weights.logits_at(delta, classes)), delta)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="classes must be >= 2 and sigma >= 0, got 1 and 1.0"):
        weights.expected_margin(1)
    with pytest.raises(ValueError, match="no weight curve"):
        losses.nce().weight_at(torch.zeros(2))
