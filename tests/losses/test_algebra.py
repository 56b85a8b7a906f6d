"""The loss algebra: golden values by other routes, limits, identities, extremes, wrong inputs."""

import copy
import io
import math
import pickle

import mpmath
import numpy as np
import pytest
import sympy
import torch
import torch.nn.functional as F

from robust_lib import losses
from robust_lib.losses import algebra, ops, weights

MARGIN_LOSSES = [
    losses.ce(),
    losses.focal(gamma=0.5),
    losses.focal(gamma=2.0),
    losses.mae(),
    losses.gce(q=0.3),
    losses.gce(q=0.7),
    losses.sce(alpha=0.1, beta=1.0),
    losses.blurry(gamma=0.5),
    losses.blurry(gamma=0.5, stop_gradient=True),
    losses.piecewise_zero(c=0.02),
    losses.gce(q=0.7).unit_max(),
    losses.mae().scaled(tau=2.6, classes=100),
    losses.mae().shifted(tau=2.6, classes=100),
    0.3 * losses.ce() + 0.7 * losses.mae(),
]
ALL_LOSSES = [*MARGIN_LOSSES, losses.nce(), losses.gce(q=0.7).symmetrized(), losses.nce() + 2 * losses.mae()]

# l(p) and w(p), written out again in mpmath from the papers' formulas, to 50 digits.
GOLDEN = {
    "ce()": (lambda p: -mpmath.log(p), lambda p: 1 - p),
    "focal(gamma=2.0)": (
        lambda p: -((1 - p) ** 2) * mpmath.log(p),
        lambda p: (1 - p) ** 2 * ((1 - p) - 2 * p * mpmath.log(p)),
    ),
    "mae()": (lambda p: 1 - p, lambda p: p * (1 - p)),
    "gce(q=0.7)": (lambda p: (1 - p ** mpmath.mpf("0.7")) / mpmath.mpf("0.7"), None),
    "sce(alpha=0.1, beta=1.0)": (
        lambda p: -mpmath.mpf("0.1") * mpmath.log(p) - mpmath.log(mpmath.mpf("1e-4")) * (1 - p),
        lambda p: (mpmath.mpf("0.1") - mpmath.log(mpmath.mpf("1e-4")) * p) * (1 - p),
    ),
    "blurry(gamma=0.5, stop_gradient=False)": (
        lambda p: -mpmath.sqrt(p) * mpmath.log(p),
        lambda p: mpmath.sqrt(p) * (1 - p) * (1 + mpmath.log(p) / 2),
    ),
    "blurry(gamma=0.5, stop_gradient=True)": (
        lambda p: -mpmath.sqrt(p) * mpmath.log(p),
        lambda p: mpmath.sqrt(p) * (1 - p),
    ),
    "piecewise_zero(c=0.02)": (
        lambda p: -mpmath.log(p) if p > 0.02 else mpmath.mpf(0),
        lambda p: 1 - p if p > 0.02 else mpmath.mpf(0),
    ),
}
GOLDEN["gce(q=0.7)"] = (GOLDEN["gce(q=0.7)"][0], lambda p: p ** mpmath.mpf("0.7") * (1 - p))
DELTAS = [-40.0, -7.3, -3.9, -3.8, -1.0, 0.0, 0.4, 5.5, 40.0]


def random_batch(samples=64, classes=10, scale=3.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(samples, classes, generator=generator, dtype=dtype)
    return logits, torch.randint(classes, (samples,), generator=generator)


@pytest.mark.parametrize("name", GOLDEN)
def test_value_and_weight_agree_with_fifty_digit_arithmetic(name):
    loss = next(loss for loss in MARGIN_LOSSES if repr(loss) == name)
    value, weight = GOLDEN[name]
    logits, targets = weights.logits_at(torch.tensor(DELTAS, dtype=torch.float64), classes=7)
    ours = loss(logits, targets, reduction="none")
    curve = loss.weight_at(torch.tensor(DELTAS, dtype=torch.float64))
    with mpmath.workdps(50):
        p = [1 / (1 + mpmath.exp(-mpmath.mpf(d))) for d in DELTAS]
        golden_values = [float(value(x)) for x in p]
        golden_weights = [float(weight(x)) for x in p]
    np.testing.assert_allclose(ours, golden_values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(curve, golden_weights, rtol=1e-12, atol=1e-25)


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_gradient_is_the_derivative_of_the_value(loss):
    if "stop_gradient=True" in repr(loss):
        pytest.skip("its gradient is not the derivative of its value, on purpose")
    logits, targets = random_batch(2, 3)
    assert torch.autograd.gradcheck(lambda s: loss(s, targets, reduction="none"), logits.requires_grad_())


@pytest.mark.parametrize("loss", MARGIN_LOSSES, ids=repr)
def test_gradient_row_is_weight_times_the_margin_gradient(loss):
    logits, targets = random_batch()
    logits.requires_grad_()
    (row,) = torch.autograd.grad(loss(logits, targets, reduction="sum"), logits)
    p = logits.detach().softmax(1)
    p_y = p.gather(1, targets[:, None])
    expected = p / (1 - p_y)
    expected.scatter_(1, targets[:, None], -1.0)
    w = loss.weight_at(weights.margin(logits.detach(), targets))
    torch.testing.assert_close(row, w[:, None] * expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(row.abs().sum(1), 2 * w.abs(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_invariances_and_reductions(loss):
    logits, targets = random_batch()
    values = loss(logits, targets, reduction="none")
    torch.testing.assert_close(loss(logits + 5, targets, reduction="none"), values)
    torch.testing.assert_close(values.mean(), loss(logits, targets))
    torch.testing.assert_close(values.sum(), loss(logits, targets, reduction="sum"))
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    relabelled = loss(logits[:, order], order.argsort()[targets], reduction="none")
    torch.testing.assert_close(relabelled, values)
    torch.testing.assert_close(loss.table(logits).gather(1, targets[:, None]).squeeze(1), values)


def test_ce_is_torchs_cross_entropy_in_value_and_gradient():
    logits, targets = random_batch(dtype=torch.float32)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    losses.ce()(ours, targets).backward()
    F.cross_entropy(theirs, targets).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_limits_and_equalities_between_losses():
    logits, targets = random_batch()

    def close(a, b, tolerance=1e-9):
        a, b = (x(logits, targets, reduction="none") for x in (a, b))
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)

    close(losses.gce(q=1e-9), losses.ce(), 1e-6)
    close(losses.gce(q=1.0), losses.mae())
    close(losses.focal(gamma=0.0), losses.ce())
    close(losses.blurry(gamma=0.0), losses.ce())
    close(losses.piecewise_zero(c=0.0), losses.ce())
    close(losses.sce(alpha=1.0, beta=0.0), losses.ce())
    close(losses.sce(alpha=0.0, beta=1.0), math.log(1e4) * losses.mae())
    close(losses.ce().scaled(tau=weights.expected_margin(10) * -1, classes=10), losses.ce())
    close(losses.ce().shifted(tau=weights.expected_margin(10) * -1, classes=10), losses.ce())


def test_blurry_with_a_stopped_gradient_has_gces_gradient_to_the_last_bit():
    delta = torch.linspace(-60, 60, 4001)
    blurry, gce = losses.blurry(gamma=0.7, stop_gradient=True), losses.gce(q=0.7)
    assert torch.equal(blurry.weight_at(delta), gce.weight_at(delta))
    assert not torch.equal(losses.blurry(gamma=0.7).weight_at(delta), gce.weight_at(delta))


def test_blurry_reverses_its_gradient_below_exp_minus_one_over_gamma():
    edge = math.exp(-1 / 0.5)
    below, above = losses.blurry(gamma=0.5).weight(torch.tensor([edge * 0.999, edge * 1.001]))
    assert below < 0 < above


def test_small_gce_weights_survive_in_float32():
    delta = torch.tensor([-60.0])  # p^0.7 is 6e-19: 1 + expm1(...) would have rounded it to zero
    torch.testing.assert_close(losses.gce(q=0.7).weight_at(delta), torch.exp(0.7 * delta), rtol=1e-5, atol=0)


def test_nce_against_its_formula_and_sum_over_labels():
    logits, targets = random_batch()
    p = logits.softmax(1).numpy()
    by_hand = -np.log(p[np.arange(64), targets]) / -np.log(p).sum(1)
    np.testing.assert_allclose(losses.nce()(logits, targets, reduction="none"), by_hand, rtol=1e-12)
    torch.testing.assert_close(losses.nce().table(logits).sum(1), torch.ones(64, dtype=torch.float64))


def test_symmetric_components_sum_to_zero_and_ce_becomes_linear():
    logits, targets = random_batch()
    for loss in (losses.ce(), losses.gce(q=0.4), losses.nce(), losses.mae().shifted(tau=1.0, classes=10)):
        total = loss.symmetrized().table(logits).sum(1)
        torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-12, rtol=0)
    linear = logits.mean(1) - logits.gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(losses.ce().symmetrized()(logits, targets, reduction="none"), linear)
    # MAE is symmetric already: only its constant goes.
    difference = losses.mae().table(logits) - losses.mae().symmetrized().table(logits)
    torch.testing.assert_close(difference, torch.full_like(difference, 0.9))


@pytest.mark.parametrize(
    ("loss", "largest"),
    [(losses.ce(), 1.0), (losses.mae(), 0.25), (losses.gce(q=0.3), 0.495462), (losses.gce(q=0.7), 0.316086)]
    + [(0.3 * losses.ce() + 0.7 * losses.mae(), 0.357143), (losses.piecewise_zero(c=0.02), 0.98)],
    ids=repr,
)
def test_unit_max_divides_by_the_largest_weight(loss, largest):
    assert weights.largest(loss.weight_at) == pytest.approx(largest, abs=5e-7)
    grid = torch.linspace(-50, 50, 100_001, dtype=torch.float64)
    assert float(loss.unit_max().weight_at(grid).abs().max()) == pytest.approx(1, abs=1e-4)


def test_scaled_and_shifted_move_the_weight_curve():
    delta = torch.linspace(-20, 20, 101, dtype=torch.float64)
    e = abs(weights.expected_margin(100))
    base, tau = losses.gce(q=0.7), 2.6
    scaled, shifted = base.scaled(tau, 100), base.shifted(tau, 100)
    torch.testing.assert_close(scaled.weight_at(delta), base.weight_at(delta * tau / e))
    torch.testing.assert_close(shifted.weight_at(delta), base.weight_at(delta + e - tau))
    at_start = torch.tensor([-e], dtype=torch.float64)
    torch.testing.assert_close(scaled.weight_at(at_start), shifted.weight_at(at_start))


def test_delay_uses_ce_up_to_and_including_epoch_d():
    loss = losses.piecewise_zero(c=0.04).delayed(2)
    assert [repr(loss.at_epoch(e)) for e in (1, 2, 3)] == ["ce()", "ce()", "piecewise_zero(c=0.04)"]
    both = 2 * loss + losses.nce()
    assert repr(both.at_epoch(1)) == "2.0*ce() + 1.0*nce()"
    with pytest.raises(ValueError, match=r"call loss.at_epoch\(epoch\) first"):
        loss(*random_batch())
    assert losses.gce().delayed(0).at_epoch(1).name == "gce"
    late = losses.gce().delayed(1)
    assert [repr(late.peered().at_epoch(e)) for e in (1, 2)] == ["ce().peered()", "gce(q=0.7).peered()"]
    assert repr(late.symmetrized().at_epoch(2)) == "gce(q=0.7).symmetrized()"
    moved = losses.mae().scaled(2.0, classes=10)
    assert repr(moved.at_epoch(2)) == repr(moved)
    with pytest.raises(ValueError, match="epochs count from 1; got 0"):
        loss.at_epoch(0)


def test_registry_finds_and_extends(monkeypatch):
    monkeypatch.setattr(algebra, "_FACTORIES", dict(algebra._FACTORIES))
    assert repr(losses.get("gce", q=0.3)) == repr(losses.gce(0.3)) == "gce(q=0.3)"

    @losses.margin_loss(a="(0, 5]")
    def mine(p, log_p, a=2.0):
        return (1 - p) ** a

    assert "mine" in losses.names()
    p = torch.tensor([0.2, 0.9], dtype=torch.float64)
    torch.testing.assert_close(losses.get("mine").weight(p), 2 * (1 - p) ** 2 * p)
    assert sympy.simplify(weights.symbolic(mine(a=2)) - 2 * ops.symbol_p() * (1 - ops.symbol_p()) ** 2) == 0
    with pytest.raises(ValueError, match=r"mine's a must lie in \(0, 5\], got 6"):
        mine(a=6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.gce(q=0), r"gce's q must lie in \(0, 1\], got 0"),
        (lambda: losses.gce(q=1.01), r"gce's q must lie in \(0, 1\], got 1.01"),
        (lambda: losses.focal(gamma=float("nan")), r"focal's gamma must lie in \[0, inf\), got nan"),
        (
            lambda: losses.piecewise_zero(c="0.1"),
            r"must be a number in \[0, 1\), got '0.1'",
        ),
        (lambda: losses.get("gcee"), "no loss is called 'gcee'; there are ce, focal"),
        (lambda: losses.ce().scaled(tau=0, classes=10), "tau must be > 0, got 0"),
        (lambda: losses.nce().shifted(tau=1, classes=10), "no weight curve"),
        (lambda: losses.nce().unit_max(), "no weight curve"),
        (lambda: losses.nce().latex(), "no formula in p_y alone"),
        (lambda: losses.ce().delayed(-1), "epochs must be an integer >= 0, got -1"),
        (lambda: float("nan") * losses.ce(), "finite number only, got nan"),
        (lambda: losses.ce().weight(torch.tensor([1.0])), "strictly between 0 and 1"),
        (lambda: losses.ce()(torch.zeros(3), torch.zeros(3).long()), r"logits must be a floating \(N, K\)"),
        (lambda: losses.ce()(torch.zeros(1, 3), [0]), "targets must be a tensor, got list"),
        (
            lambda: losses.ce()(np.zeros((1, 3)), torch.zeros(1).long()),
            "logits must be a tensor, got ndarray",
        ),
        (lambda: losses.ce()(torch.zeros(3, 1), torch.zeros(3).long()), "K >= 2"),
        (lambda: losses.ce()(torch.zeros(3, 2), torch.zeros(3)), r"targets must be int64 of shape \(3,\)"),
        (
            lambda: losses.ce()(torch.zeros(1, 2), torch.tensor([2])),
            r"lie in \[0, 2\), got \[2, 2\]",
        ),
        (lambda: losses.ce()(*random_batch(), reduction="avg"), "reduction must be"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_only_losses_add_to_losses():
    for wrong in (lambda: losses.ce() + 3, lambda: 3 + losses.ce()):
        with pytest.raises(TypeError, match="only losses add to losses, got 3"):
            wrong()
    assert str(sum([losses.ce(), losses.mae()])) == str(losses.ce() + losses.mae())


def test_a_parameter_that_a_loss_lacks_is_named_with_what_it_takes():
    with pytest.raises(TypeError, match=r"^gce\(\) got an unexpected keyword argument 'p'; it takes q$"):
        losses.gce(p=0.7)
    with pytest.raises(TypeError, match=r"^ce\(\) too many positional arguments; it takes no parameters$"):
        losses.ce(1)


# --- copies, and classes that are masked --------------------------------------------------------------

COMPOUNDS = [
    0.3 * losses.nce() + 0.7 * losses.mae(),
    losses.mae().scaled(tau=2.6, classes=10),
    losses.gce(q=0.3).symmetrized(),
    losses.piecewise_zero(c=0.05).delayed(1),
    losses.blurry(gamma=0.2, stop_gradient=True).unit_max(),
]


@pytest.mark.parametrize("loss", [losses.get(name) for name in losses.names()] + COMPOUNDS, ids=repr)
def test_losses_can_be_pickled_and_copied(loss):
    draw = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(6, 5, generator=draw), torch.randint(5, (6,), generator=draw)

    def values(one):
        torch.manual_seed(0)  # peer loss draws
        return one.at_epoch(3)(logits, targets, reduction="none")

    saved = io.BytesIO()
    torch.save(torch.nn.ModuleDict({"head": Head(loss)}), saved)
    saved.seek(0)
    loaded = torch.load(saved, weights_only=False)["head"].loss
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), loaded):
        assert repr(twin) == repr(loss)
        assert torch.equal(values(twin), values(loss))


class Head(torch.nn.Module):
    """A module that holds its loss, as Lightning's do."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss


@pytest.mark.parametrize("loss", [losses.get(name) for name in losses.names()] + COMPOUNDS, ids=repr)
def test_masked_classes_are_no_obstacle_or_an_error(loss):
    loss = loss.at_epoch(3)
    logits = torch.tensor([[0.5, -0.2, 1.0], [0.1, 0.3, -math.inf]], requires_grad=True)
    targets = torch.tensor([2, 0])
    if loss.sees in ("row", "batch"):
        with pytest.raises(
            ValueError, match=r"logits must be finite for .* sees all classes, got -inf in row 1"
        ):
            loss(logits, targets)
        return
    values = loss(logits, targets, reduction="none")
    values.sum().backward()
    two = logits.detach()[1:, :2].requires_grad_()  # as if the class were not there
    alone = loss(two, targets[1:], reduction="none")
    alone.sum().backward()
    torch.testing.assert_close(values[1:], alone)
    torch.testing.assert_close(logits.grad[1], torch.cat([two.grad[0], torch.zeros(1)]))


def test_a_network_that_diverges_is_not_taken_for_a_masked_one():
    for row in ([math.inf, 0.0, -math.inf], [-math.inf] * 3, [math.nan, -math.inf, 0.0]):
        assert not torch.isfinite(losses.nce()(torch.tensor([row]), torch.tensor([0])))


def test_a_loss_of_the_library_keeps_its_name():
    def ce(p, log_p):
        return 1 - p

    with pytest.raises(ValueError, match="a loss of the library is called 'ce'"):
        losses.margin_loss()(ce)
    assert losses.get("ce")(torch.zeros(1, 2), torch.tensor([0])) == pytest.approx(math.log(2))
