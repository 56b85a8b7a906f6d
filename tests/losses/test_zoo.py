"""Every registered loss against an independent evaluation, and the identities and limits it claims."""

import inspect
import math

import mpmath
import pytest
import sympy
import torch

from robust_lib import losses
from robust_lib.losses import algebra, get, ops, table, weights
from tests.losses.test_algebra import ALL_LOSSES, random_batch

LN = mpmath.log


def fl(p, gamma):
    return -((1 - p) ** gamma) * LN(p)


def floored(p):
    return [max(x, mpmath.mpf("1e-7")) for x in p]


def nnce(p, y):
    n = [LN(x) - LN(mpmath.mpf("1e-7")) for x in floored(p)]
    return 1 - n[y] / sum(n)


def nnfl(p, y, gamma):
    n = [fl(mpmath.mpf("1e-7"), gamma) - fl(x, gamma) for x in floored(p)]
    return 1 - n[y] / sum(n)


def nfl(p, y, gamma):
    return fl(p[y], gamma) / sum(fl(x, gamma) for x in p)


def nce(p, y):
    return LN(p[y]) / sum(LN(x) for x in p)


def margin_of(p, y):
    return LN(p[y]) - LN(sum(x for i, x in enumerate(p) if i != y))


def softmax(s):
    e = [mpmath.exp(x) for x in s]
    return [x / sum(e) for x in e]


PRIOR = (0.1, 0.2, 0.3, 0.4)
HALF, TENTH = mpmath.mpf("0.5"), mpmath.mpf("0.1")

# The papers' formulas once more, in mpmath: name, parameters, L(p, y, s) of probabilities p and scores s.
REFERENCE = [
    ("ce", {}, lambda p, y, s: -LN(p[y])),
    ("focal", {"gamma": 2.0}, lambda p, y, s: fl(p[y], 2)),
    ("focal", {"gamma": 0.5}, lambda p, y, s: fl(p[y], HALF)),
    ("mae", {}, lambda p, y, s: sum(abs((i == y) - x) for i, x in enumerate(p)) / 2),
    ("rce", {}, lambda p, y, s: -sum(x * (0 if i == y else LN(TENTH**4)) for i, x in enumerate(p))),
    ("gce", {"q": 0.5}, lambda p, y, s: (1 - mpmath.sqrt(p[y])) / HALF),
    ("sce", {"alpha": 0.5, "beta": 2.0}, lambda p, y, s: -HALF * LN(p[y]) - 2 * LN(TENTH**4) * (1 - p[y])),
    ("aul", {"a": 1.5, "q": 3.0}, lambda p, y, s: ((HALF * 3 - p[y]) ** 3 - HALF**3) / 3),
    ("agce", {"a": 6.0, "q": 1.5}, lambda p, y, s: (mpmath.mpf(7) ** 1.5 - (6 + p[y]) ** 1.5) / 1.5),
    ("ael", {"a": 2.5}, lambda p, y, s: mpmath.exp(-p[y] / 2.5)),
    ("tce", {"t": 5}, lambda p, y, s: sum((1 - p[y]) ** i / i for i in range(1, 6))),
    ("phuber_ce", {"tau": 8.0}, lambda p, y, s: -LN(p[y]) if p[y] > HALF**3 else -8 * p[y] + LN(8) + 1),
    ("blurry", {"gamma": 0.5}, lambda p, y, s: -mpmath.sqrt(p[y]) * LN(p[y])),
    ("piecewise_zero", {"c": 0.05}, lambda p, y, s: -LN(p[y]) if p[y] > 0.05 else mpmath.mpf(0)),
    ("logit_bias_mae", {"eps": 3.0}, lambda p, y, s: 1 - 1 / (1 + mpmath.exp(-margin_of(p, y) - 3))),
    ("mse", {}, lambda p, y, s: sum(((i == y) - x) ** 2 for i, x in enumerate(p))),
    ("nce", {}, lambda p, y, s: nce(p, y)),
    ("nfl", {"gamma": 0.5}, lambda p, y, s: nfl(p, y, HALF)),
    ("nfl", {"gamma": 2.0}, lambda p, y, s: nfl(p, y, 2)),
    ("nnce", {}, lambda p, y, s: nnce(p, y)),
    ("nnfl", {"gamma": 0.5}, lambda p, y, s: nnfl(p, y, HALF)),
    ("anl_ce", {"alpha": 10.0, "beta": 1.0}, lambda p, y, s: 10 * nce(p, y) + nnce(p, y)),
    ("anl_fl", {"alpha": 2.0, "beta": 3.0}, lambda p, y, s: 2 * nfl(p, y, HALF) + 3 * nnfl(p, y, HALF)),
    ("gls", {"alpha": -0.5}, lambda p, y, s: -sum((1.5 * (i == y) - 0.125) * LN(x) for i, x in enumerate(p))),
    ("cr", {"beta": 2.0}, lambda p, y, s: -LN(p[y]) + 2 * sum(LN(x) / 4 for x in p)),
    (
        "cr",
        {"beta": 0.5, "prior": PRIOR},
        lambda p, y, s: -LN(p[y]) + HALF * sum(w * LN(x) for w, x in zip(PRIOR, p, strict=True)),
    ),
    ("unhinged", {}, lambda p, y, s: sum(s) / 4 - s[y]),
    ("sgce", {"q": 0.5}, lambda p, y, s: (sum(mpmath.sqrt(x) for x in p) / 4 - mpmath.sqrt(p[y])) / HALF),
    ("alpha_mae", {"alpha": 0.25}, lambda p, y, s: 16 * (TENTH * 2.5 - softmax([x / 4 for x in s])[y])),
]
# Four classes: ordinary scores, equal scores, a label far above and far below the rest, and 1e4 apart.
POINTS = [[0.3, -1.2, 0.7, 0.1], [0.0, 0.0, 0.0, 0.0], [-2.0, 3.0, 1.0, -0.5], [5.0, -4.0, 2.0, 0.0]]
POINTS += [[30.0, 0.0, -30.0, 10.0], [-30.0, 0.0, 30.0, 10.0], [14.0, 15.0, -1.0, 0.0], [1e4, 0.0, -1e4, 5e3]]


@pytest.mark.parametrize(
    ("name", "params", "formula"), REFERENCE, ids=lambda x: "" if callable(x) or x == {} else str(x)
)
def test_value_gradient_and_weight_agree_with_fifty_digits(name, params, formula):
    loss = get(name, **params)
    logits = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 0, 0, 0, 1, 0])
    values = loss(logits, targets, reduction="none")
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    values = values.detach()
    with mpmath.workdps(50):
        for i, (point, y) in enumerate(zip(POINTS, targets.tolist(), strict=True)):

            def at(*s, y=y):
                return formula(softmax(s), y, s)

            assert float(values[i]) == pytest.approx(float(at(*map(mpmath.mpf, point))), rel=1e-9, abs=1e-14)
            for j in range(4):
                order = tuple(int(k == j) for k in range(4))
                exact = float(mpmath.diff(at, tuple(map(mpmath.mpf, point)), order))
                assert float(gradient[i, j]) == pytest.approx(exact, rel=1e-8, abs=1e-13), (i, j)
    torch.testing.assert_close(weights.from_autograd(loss, logits, targets), -gradient[range(8), targets])


def test_the_reference_covers_the_registry():
    assert {name for name, *_ in REFERENCE} == set(losses.names()) - {"peer"}


ONE_OF_EACH = [get(name) for name in losses.names()]
ROWS = [loss for loss in ONE_OF_EACH if loss.sees == "row"]
OF_P = [loss for loss in ONE_OF_EACH if loss.sees == "p"]


COMPOSED = [loss for loss in ALL_LOSSES if not isinstance(loss, algebra.Formula)]
EDGES = [get("focal", gamma=0.5), get("nfl", gamma=0.0), get("tce", t=300)]


@pytest.mark.parametrize("loss", [*ONE_OF_EACH, *COMPOSED, *EDGES], ids=repr)
@pytest.mark.parametrize(
    ("classes", "dtype"),
    [
        (2, torch.float32),
        (10, torch.float16),
        (10, torch.bfloat16),
        (10, torch.float64),
        (1000, torch.float32),
    ],
)
def test_finite_for_extreme_logits(loss, classes, dtype):
    corners = torch.zeros(7, classes, dtype=dtype)
    corners[0, 0], corners[1, 0], corners[2, 1], corners[3, :2] = 1e4, -1e4, 1e4, 1e4
    corners[4], corners[5], corners[6, 0] = 1e4, torch.linspace(-1e4, 1e4, classes), 17.0
    corners.requires_grad_()
    values = loss(corners, torch.zeros(7, dtype=torch.int64), reduction="none")
    (gradient,) = torch.autograd.grad(values.sum(), corners)
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [loss for loss in ONE_OF_EACH if loss.sees != "batch"], ids=repr)
def test_float32_agrees_with_float64(loss):
    logits, targets = random_batch(256, 10, scale=8.0, dtype=torch.float32)
    single, double = logits.requires_grad_(), logits.detach().double().requires_grad_()
    (a,) = torch.autograd.grad(loss(single, targets, reduction="sum"), single)
    (b,) = torch.autograd.grad(loss(double, targets, reduction="sum"), double)
    torch.testing.assert_close(loss(single, targets).double(), loss(double, targets), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [*ROWS, *OF_P], ids=repr)
def test_first_and_second_derivatives(loss):
    if loss.sees == "p" and loss.params.get("c"):
        pytest.skip("discontinuous")
    logits, targets = random_batch(1, 3, scale=2.0)

    def values(s):
        return loss(s, targets, reduction="none")

    assert torch.autograd.gradcheck(values, logits.requires_grad_())
    assert torch.autograd.gradgradcheck(values, logits)


@pytest.mark.parametrize("loss", ROWS, ids=repr)
def test_row_losses_under_shifts_permutations_and_as_tables(loss):
    logits, targets = random_batch()
    values = loss(logits, targets, reduction="none")
    torch.testing.assert_close(loss(logits + 5, targets, reduction="none"), values)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(logits[:, order], order.argsort()[targets], reduction="none"), values)
    torch.testing.assert_close(loss.table(logits).gather(1, targets[:, None]).squeeze(1), values)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("ce", "1-p"),
        ("mae", "p*(1-p)"),
        ("gce", "p**q*(1-p)"),
        ("blurry", "p**gamma*(1-p)*(1+gamma*log(p))"),
        ("focal", "(1-p)**gamma*(1-p-gamma*p*log(p))"),
        ("rce", "-log(1e-4)*p*(1-p)"),
        ("aul", "p*(1-p)*(a-p)**(q-1)"),
        ("agce", "p*(1-p)*(a+p)**(q-1)"),
        ("ael", "p*(1-p)*exp(-p/a)/a"),
        ("sce", "(alpha-log(1e-4)*beta*p)*(1-p)"),
        ("logit_bias_mae", "p*(1-p)*exp(epsilon)/(1-p+p*exp(epsilon))**2"),
        ("phuber_ce", "Piecewise((1-p, p > 1/tau), (tau*p*(1-p), True))"),
    ],
)
def test_symbolic_weights_with_symbolic_parameters(name, weight):
    loss = table.symbolic(name)
    symbols = {str(s): s for s in (*loss.formula(ops.symbol_p()).free_symbols, ops.symbol_p())}
    difference = weights.symbolic(loss) - sympy.sympify(weight, locals=symbols)
    at = {
        symbol: sympy.Rational(k + 3, 2 * k + 9) for k, symbol in enumerate(sorted(symbols.values(), key=str))
    }
    at |= {symbols[name]: sympy.Rational(5, 2) for name in ("a", "tau") if name in symbols}
    assert abs(float(difference.subs(at))) < 1e-12


@pytest.mark.parametrize("t", [1, 2, 3, 7])
def test_taylor_weight_in_closed_form(t):
    p = ops.symbol_p()
    assert sympy.expand(weights.symbolic(losses.tce(t=t)) - (1 - p) * (1 - (1 - p) ** t)) == 0


@pytest.mark.parametrize(
    ("loss", "largest"),
    [
        (losses.aul(a=1.1, q=5), 0.105740),
        (losses.aul(a=3, q=0.7), 0.190086),
        (losses.aul(a=2, q=2), 0.384900),
        (losses.agce(a=0.1, q=0.1), 0.482540),
        (losses.agce(a=1.6, q=2), 0.532242),
        (losses.agce(a=3, q=4), 11.197440),
        (losses.rce(), 9.210340 / 4),
    ],
    ids=repr,
)
def test_unit_maximum_constants(loss, largest):
    assert weights.largest(loss.weight_at) == pytest.approx(largest, abs=6e-7)


# --- limits and identities ----------------------------------------------------------------------------


def same(a, b, tolerance=1e-9):
    logits, targets = random_batch()
    a, b = (x(logits, targets, reduction="none") for x in (a, b))
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("one", "other", "tolerance"),
    [
        (losses.rce(), math.log(1e4) * losses.mae(), 1e-12),
        (losses.aul(a=2.2, q=1.0), losses.mae(), 1e-12),
        (losses.agce(a=2.2, q=1.0), losses.mae(), 1e-12),
        (losses.agce(a=1e-12, q=0.4), losses.gce(q=0.4), 1e-4),
        (1e-8 * losses.agce(a=1e8, q=2.0), losses.mae(), 1e-6),
        (1e-8 * losses.aul(a=1e8, q=2.0), losses.mae(), 1e-6),
        (losses.tce(t=1), losses.mae(), 1e-12),
        (losses.phuber_ce(tau=1.0), losses.mae(), 1e-12),
        (losses.phuber_ce(tau=1e12), losses.ce(), 1e-12),
        (losses.logit_bias_mae(eps=0.0), losses.mae(), 1e-12),
        (losses.nfl(gamma=0.0), losses.nce(), 1e-12),
        (losses.nnfl(gamma=0.0), losses.nnce(), 1e-9),
        (losses.anl_ce(alpha=3.0, beta=0.0), 3 * losses.nce(), 1e-12),
        (losses.anl_ce(alpha=10.0, beta=1.0), 10 * losses.nce() + losses.nnce(), 1e-12),
        (losses.anl_fl(alpha=2.0, beta=3.0, gamma=2.0), 2 * losses.nfl(2.0) + 3 * losses.nnfl(2.0), 1e-12),
        (losses.anl_fl(gamma=0.0), losses.anl_ce(), 1e-9),
        (losses.gls(alpha=0.0), losses.ce(), 1e-12),
        (losses.gls(alpha=-0.4), losses.ce() + 0.4 * losses.unhinged(), 1e-12),
        (losses.cr(beta=0.0), losses.ce(), 1e-12),
        (losses.cr(beta=1.0), losses.unhinged(), 1e-12),
        (losses.cr(beta=0.3, prior=(0.1,) * 10), losses.cr(beta=0.3), 1e-12),
        (losses.unhinged(), losses.ce().symmetrized(), 1e-12),
        (losses.sgce(q=0.6), losses.gce(q=0.6).symmetrized(), 1e-12),
        (losses.sgce(q=1e-7), losses.unhinged(), 1e-5),
        (losses.sgce(q=1.0), losses.mae().symmetrized(), 1e-12),
        (losses.alpha_mae(alpha=1e-7), losses.unhinged(), 1e-5),
        (losses.alpha_mae(alpha=1.0), (10 * losses.mae()).symmetrized(), 1e-12),
    ],
    ids=lambda x: repr(x),
)
def test_limits_and_equalities(one, other, tolerance):
    same(one, other, tolerance)


@pytest.mark.parametrize("name", ["nfl", "nnfl", "anl_fl"])
def test_focal_rows_take_many_gradients_at_once(name):
    logits, targets = random_batch()
    values = losses.get(name)(logits.requires_grad_(), targets, reduction="none")
    directions = torch.eye(len(values), dtype=values.dtype)
    (together,) = torch.autograd.grad(values, logits, directions, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(values, logits, d, retain_graph=True)[0] for d in directions]
    torch.testing.assert_close(together, torch.stack(each))


@pytest.mark.parametrize(
    "loss",
    [
        losses.nfl() + losses.rce(),
        2 * losses.anl_fl(gamma=1.0) + 0.5 * losses.gce() + (-1) * losses.mae(),
        losses.nfl() + losses.nce() + losses.mae(),
        losses.nfl() + losses.nnfl() + losses.ce(),
    ],
    ids=repr,
)
def test_sums_with_focal_rows_are_the_sums_of_their_terms(loss):
    logits, targets = random_batch()
    logits.requires_grad_()
    whole = loss(logits, targets)
    parts = sum(c * term(logits, targets) for c, term in loss.terms)
    gradients = [torch.autograd.grad(value, logits, create_graph=True)[0] for value in (whole, parts)]
    curvatures = [torch.autograd.grad(g.square().sum(), logits)[0] for g in gradients]
    for mine, theirs in ((whole, parts), gradients, curvatures):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_exponential_loss_tends_to_a_line():
    logits, targets = random_batch()
    a = 1e4
    line = 1 - 1 / a + losses.mae()(logits, targets, reduction="none") / a
    torch.testing.assert_close(losses.ael(a=a)(logits, targets, reduction="none"), line, rtol=0, atol=1e-8)


def test_taylor_series_tends_to_cross_entropy():
    delta = torch.linspace(-4, 20, 49, dtype=torch.float64)
    torch.testing.assert_close(losses.tce(t=2000).at(delta), losses.ce().at(delta), rtol=1e-9, atol=1e-12)
    curves = [losses.tce(t=2000).weight_at(delta), losses.ce().weight_at(delta)]
    torch.testing.assert_close(*curves, rtol=1e-9, atol=1e-12)


def test_mse_is_two_mae_and_a_regulariser():
    logits, targets = random_batch()
    regulariser = logits.softmax(1).square().sum(1)
    ours = losses.mse()(logits, targets, reduction="none")
    mae = losses.mae()(logits, targets, reduction="none")
    torch.testing.assert_close(ours, 2 * (mae + regulariser / 2) - 1)
    torch.testing.assert_close(weights.from_autograd(losses.mse(), logits, targets), 2 * (1 - mae) * ours)


@pytest.mark.parametrize(("classes", "tau"), [(10, 2.0), (100, 2.6), (100, 4.0)])
def test_logit_bias_is_cvs_shift(classes, tau):
    eps = abs(weights.expected_margin(classes)) - tau
    shifted = losses.mae().shifted(tau=tau, classes=classes)
    same(losses.logit_bias_mae(eps=eps), shifted, 1e-12)
    delta = torch.linspace(-40, 40, 401, dtype=torch.float64)
    torch.testing.assert_close(losses.logit_bias_mae(eps=eps).weight_at(delta), shifted.weight_at(delta))


# --- symmetry -----------------------------------------------------------------------------------------


def totals(loss, classes):
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(40, classes, generator=generator, dtype=torch.float64)
    logits *= torch.linspace(0.1, 60, 40).unsqueeze(1)
    return loss.table(logits).sum(1)


@pytest.mark.parametrize("name", [n for n in losses.names() if losses.about(n).total])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_sums_over_labels_are_what_each_loss_claims(name, classes):
    loss, claimed = get(name), losses.about(name).total
    wanted = set(inspect.signature(claimed).parameters) - {"K"}
    total = totals(loss, classes)
    expected = claimed(classes, **{k: v for k, v in loss.params.items() if k in wanted})
    torch.testing.assert_close(total, torch.full_like(total, expected), rtol=1e-9, atol=1e-9)
    assert losses.about(name).symmetric is True


@pytest.mark.parametrize("name", [n for n in losses.names() if n != "peer"])
def test_symmetric_exactly_where_claimed(name):
    claim = losses.about(name).symmetric
    when = claim if isinstance(claim, dict) else {}
    spread = totals(get(name, **when), 10).std()
    assert (spread < 1e-8) == (claim is not False)
    if isinstance(claim, dict) and get(name).params != get(name, **when).params:
        assert totals(get(name), 10).std() > 1e-3


def test_gradient_at_equal_scores_is_the_unhinged_losses():
    """SY: every symmetric loss is unhinged to first order there. So is any other loss that treats the classes
    alike, CE too: the statement is about permutation invariance as much as about symmetry."""
    scores = torch.full((1, 7), 0.3, dtype=torch.float64)
    linear = torch.full((7,), 1 / 7, dtype=torch.float64)
    linear[2] -= 1
    for loss in ONE_OF_EACH:
        if loss.sees == "batch":
            continue
        leaf = scores.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, torch.tensor([2])), leaf)
        torch.testing.assert_close(gradient[0], gradient[0, 2] / linear[2] * linear, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "ratio"),
    [
        (losses.mae(), 1.0),
        (losses.ce(), 0.0),
        (losses.gce(q=0.7), 0.0),
        (losses.gce(q=1.0), 1.0),
        (losses.focal(), 0.0),
        (losses.sce(), 0.0),
        (losses.blurry(), 0.0),
        (losses.piecewise_zero(), 0.0),
        (losses.aul(a=1.1, q=5.0), (1 - 1 / 1.1) ** 4),
        (losses.aul(a=3.0, q=2.5), (2 / 3) ** 1.5),
        (losses.aul(a=3.0, q=0.7), 1.0),
        (losses.agce(a=0.6, q=0.6), (1 + 1 / 0.6) ** -0.4),
        (losses.agce(a=3.0, q=4.0), 1.0),
        (losses.ael(a=2.5), math.exp(-1 / 2.5)),
        (losses.tce(t=6), 1 / 6),
        (losses.phuber_ce(tau=10.0), 0.1),
        (losses.logit_bias_mae(eps=1.5), math.exp(-3.0)),
        (losses.logit_bias_mae(eps=-1.5), 1.0),
    ],
    ids=repr,
)
def test_asymmetry_ratios(loss, ratio):
    assert weights.asymmetry_ratio(loss) == pytest.approx(ratio, rel=1e-6, abs=1e-15)


# --- SY's losses: smoothness --------------------------------------------------------------------------


def test_hessian_norm_against_ces_closed_form():
    logits, targets = random_batch(20, 5)
    p = logits.softmax(1)
    exact = torch.linalg.matrix_norm(torch.diag_embed(p) - p[:, :, None] * p[:, None, :], ord=2)
    torch.testing.assert_close(weights.hessian_norm(losses.ce(), logits, targets), exact)
    p_y = (1 + torch.tensor([-1.0, 1.0], dtype=torch.float64) / 3**0.5) / 2  # MAE curves down, then up
    mae = weights.hessian_norm(losses.mae(), *weights.logits_at(torch.logit(p_y)))
    torch.testing.assert_close(mae, torch.full((2,), 1 / 27**0.5, dtype=torch.float64))


@pytest.mark.parametrize(("alpha", "classes"), [(0.1, 2), (0.5, 3), (0.1, 10), (1.0, 10)])
def test_alpha_mae_is_as_smooth_as_stated_and_no_smoother(alpha, classes):
    bound = losses.alpha_mae_smoothness(alpha, classes)
    assert bound == pytest.approx(alpha * classes * 0.192450, rel=1e-5)
    measured = weights.measured_smoothness(losses.alpha_mae(alpha=alpha), classes)
    assert 0.99 * bound < measured <= bound * (1 + 1e-9)


@pytest.mark.parametrize("classes", [2, 10])
def test_sgce_stays_below_its_bound_and_flattens_with_q_on_bounded_scores(classes):
    for q in (0.05, 0.7):
        measured = weights.measured_smoothness(losses.sgce(q=q), classes)
        assert 0 < measured <= losses.sgce_smoothness(q, classes)
    bounded = [weights.measured_smoothness(losses.sgce(q=q), classes, spread=3.0) for q in (0.01, 0.1)]
    limits = [losses.sgce_smoothness(q, classes, spread=3.0) for q in (0.01, 0.1)]
    assert all(a <= b for a, b in zip(bounded, limits, strict=True))
    assert bounded[0] < 0.02 < 3 * bounded[0] < bounded[1]
    if classes == 10:  # unbounded scores: no flattening, the norm tends to (1 - 2/K)/2
        free = weights.measured_smoothness(losses.sgce(q=0.02), classes)
        assert free == pytest.approx(0.4, rel=0.06)


def test_the_unhinged_loss_is_linear_hence_convex_and_perfectly_smooth():
    logits, targets = random_batch(20, 6)
    assert float(weights.hessian_norm(losses.unhinged(), logits, targets).max()) < 1e-12
    torch.testing.assert_close(
        losses.unhinged()(3 * logits, targets), 3 * losses.unhinged()(logits, targets), rtol=1e-12, atol=0
    )


def test_measured_smoothness_rejects_nonsense():
    with pytest.raises(ValueError, match="classes must be >= 2 and spread > 0, got 1 and 1000.0"):
        weights.measured_smoothness(losses.mae(), 1)


# --- peer loss ----------------------------------------------------------------------------------------


def test_peer_loss_is_cr_with_the_labels_frequencies_in_expectation():
    logits, targets = random_batch(60, 5)
    prior = tuple((torch.bincount(targets, minlength=5) / 60).tolist())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        draws = torch.stack([losses.peer()(logits, targets) for _ in range(400)])
    expected = losses.cr(beta=1.0, prior=prior)(logits, targets)
    assert abs(float(draws.mean() - expected)) < 5 * float(draws.std()) / 20
    assert float(draws.std()) > 0.01


def test_peer_loss_repeats_under_a_seed_and_pairs_independently():
    logits, targets = random_batch(50, 5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = losses.peer()(logits, targets, reduction="none")
        torch.manual_seed(3)
        torch.testing.assert_close(losses.peer()(logits, targets, reduction="none"), first, rtol=0, atol=0)
        n, m = (torch.manual_seed(3) and torch.randperm(50), torch.randperm(50))
    ce = losses.ce()
    pairs = ce(logits[n], targets[m[n]], reduction="none")
    torch.testing.assert_close(first, ce(logits, targets, reduction="none") - pairs)


def test_peer_loss_has_no_value_for_one_row():
    with pytest.raises(ValueError, match="compares samples of a batch"):
        losses.peer().table(torch.zeros(2, 3))
    logits, targets = random_batch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        total = (losses.nce() + 2 * losses.mae().peered())(logits, targets)
    assert torch.isfinite(total)


# --- moved losses, the registry, the table ------------------------------------------------------------


def test_moved_losses_as_tables_and_in_sums():
    logits, targets = random_batch(scale=30.0)  # several p_y round to 1
    moved = losses.gce(q=0.7).scaled(tau=2.0, classes=10)
    values = moved(logits, targets, reduction="none")
    torch.testing.assert_close(moved.table(logits).gather(1, targets[:, None]).squeeze(1), values)
    both = (losses.nce() + moved)(logits, targets, reduction="none")
    torch.testing.assert_close(both, values + losses.nce()(logits, targets, reduction="none"))
    twice = moved.shifted(tau=1.0, classes=10).weight_at(torch.zeros(1))
    shift = abs(weights.expected_margin(10)) - 1.0
    torch.testing.assert_close(twice, moved.weight_at(torch.full((1,), shift)))


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(algebra, "_FACTORIES", dict(algebra._FACTORIES))


def test_a_learners_three_lines_reach_every_table_and_check(registry):
    @losses.margin_loss(a="(0, inf)")
    def mine(p, log_p, a=2.0):
        return (1 - p) ** a / a

    @losses.row_loss()
    def hers(log_p, log_probs):
        return -log_p + log_probs.mean(1, keepdim=True)

    @losses.composed(share="[0, 1]")
    def theirs(share=0.5):
        return share * losses.nce() + (1 - share) * losses.mae()

    same(get("hers"), losses.unhinged(), 1e-12)
    same(get("theirs", share=0.25), 0.25 * losses.nce() + 0.75 * losses.mae(), 1e-12)
    assert weights.asymmetry_ratio(get("mine")) == pytest.approx(0, abs=1e-12)
    assert losses.about("mine").source == ""
    text = table.markdown()
    assert (
        "| `mine` | $L=\\frac{\\left(1 - p_y\\right)^{a}}{a}$ | $p_y \\left(1 - p_y\\right)^{a}$ | — |"
        in text
    )
    assert "| `hers` | — | — | — |" in text
    assert "| `theirs` | — |" in text


def test_a_loss_written_without_ops_says_so(registry):
    @losses.margin_loss()
    def torchy(p, log_p):
        return torch.exp(-p)

    torch.testing.assert_close(torchy().weight(torch.tensor([0.5])), torch.tensor([0.25 * math.exp(-0.5)]))
    with pytest.raises(ValueError, match=r"torchy\(\) has no formula: write it in robust_lib.losses.ops"):
        torchy().latex()
    assert "| `torchy` | — | — |" in table.markdown()


def test_the_table_has_a_full_row_for_every_loss():
    lines = table.markdown().splitlines()
    assert lines[0].count("|") == lines[1].count("|") == len(table.HEADER) + 1
    assert [line.split("`")[1] for line in lines[2:]] == losses.names()
    for line in lines[2:]:
        cells = line.strip("| ").split(" | ")
        assert len(cells) == len(table.HEADER), line
        assert cells[1] != "—", line
        assert cells[2] != "—", line
        assert cells[6] != "—", line


def test_derived_formulas_read_as_in_the_papers():
    cells = {name: table.row(name)[1:3] for name in ("gce", "agce", "blurry", "tce", "rce")}
    assert cells["gce"] == (r"$L=\frac{1 - p_y^{q}}{q}$", r"$p_y^{q} \left(1 - p_y\right)$")
    assert cells["agce"][1] == r"$p_y \left(a + p_y\right)^{q - 1} \left(1 - p_y\right)$"
    assert cells["blurry"][0] == r"$L=- p_y^{\gamma} \log p_y$"
    assert cells["tce"][0] == r"$L=\sum_{i=1}^{t} \frac{\left(1 - p_y\right)^{i}}{i}$"
    assert cells["rce"] == ("$L=A - A p_y$", r"$A p_y \left(1 - p_y\right)$")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.aul(a=1.0), r"aul's a must lie in \(1, inf\), got 1.0"),
        (lambda: losses.agce(q=0), r"agce's q must lie in \(0, inf\), got 0"),
        (lambda: losses.tce(t=2.0), r"tce's t must be an integer in \[1, inf\), got 2.0"),
        (lambda: losses.tce(t=0), r"tce's t must lie in integer in \[1, inf\), got 0"),
        (lambda: losses.phuber_ce(tau=0.5), r"phuber_ce's tau must lie in \[1, inf\), got 0.5"),
        (lambda: losses.gls(alpha=1.5), r"gls's alpha must lie in \(-inf, 1\], got 1.5"),
        (lambda: losses.alpha_mae(alpha=0), r"alpha_mae's alpha must lie in \(0, 1\], got 0"),
        (lambda: losses.about("gcee"), "no loss is called 'gcee'"),
        (lambda: losses.nnce().weight(torch.tensor([0.5])), "no weight curve"),
        (lambda: losses.nnce().at(torch.zeros(1)), r"no curve l\(p_y\)"),
        (lambda: losses.cr(prior=(0.5, 0.5))(*random_batch()), "cr's prior must be 10 probabilities"),
        (lambda: losses.cr(prior=(0.2,) * 10)(*random_batch()), "that sum to 1"),
        (lambda: losses.cr(prior=(-0.5, 1.5) + (0.0,) * 8)(*random_batch()), "that sum to 1"),
        (lambda: losses.margin_loss(limit="x")(lambda p, log_p: p), r"has no parameter \['limit'\]"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
