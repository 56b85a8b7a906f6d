"""Errata as data: every check confirms what it says, and the printed numbers are internally consistent."""

from dataclasses import replace

import pytest
import sympy
import torch

from robust_lib import losses
from robust_lib.gallery import pages
from robust_lib.losses import ops, table, weights
from robust_lib.papers import ERRATA, HS_CELLS, nce_gradient_norms, reported


@pytest.fixture(scope="module")
def evidence():
    return {key: erratum.check() for key, erratum in ERRATA.items()}


def test_every_erratum_is_confirmed_with_evidence(evidence):
    assert len(ERRATA) == 22
    kinds = {key: erratum.kind for key, erratum in ERRATA.items()}
    assert {key for key, kind in kinds.items() if kind == "criticism"} == {"hs-4", "hs-5"}
    assert set(kinds.values()) == {"error", "criticism"}
    for key, erratum in ERRATA.items():
        assert erratum.key == key
        assert erratum.paper in ("CV", "HS")
        assert all((erratum.where, erratum.printed, erratum.correct))
        assert evidence[key]["confirmed"] is True, (key, evidence[key])
        assert len(evidence[key]) > 1, key


def test_every_key_in_the_registry_exists():
    used = {key for name in losses.names() for key in losses.about(name).errata}
    assert used <= ERRATA.keys()
    assert {"cv-1", "cv-2", "cv-3", "cv-5"} <= used


def test_the_numbers_of_single_errata(evidence):
    assert evidence["cv-2"]["1/r needed, a=1.1 q=5"] == pytest.approx(14641)
    assert evidence["cv-2"]["1/r needed, a=1.1 q=0.5"] == pytest.approx(1)
    assert evidence["cv-3"]["worst ratio to Eq. 3, others equal, K=2"] == pytest.approx(1.2614, abs=2e-4)
    assert evidence["cv-6"]["correct"] == pytest.approx(0.0691, abs=1e-4)
    assert evidence["cv-7"]["Eq. 4, K=10"] == pytest.approx(-2.602, abs=1e-3)
    # The mean of -log Σ exp over 10⁷ draws elsewhere: -2.6157 and -5.0863.
    assert evidence["cv-7"]["simulated, K=10"] == pytest.approx(-2.6157, abs=0.006)
    assert evidence["cv-7"]["simulated, K=100"] == pytest.approx(-5.0863, abs=0.002)
    # The caption's 5.097 is Eq. 4's for σ = 1.0108, which gives 2.609 for ten classes and not 2.717.
    assert weights.expected_margin(100, 1.0108) == pytest.approx(-5.097, abs=1e-4)
    assert evidence["cv-7"]["σ for 5.097 at K=100, Eq. 4"] == pytest.approx(1.0108, abs=1e-4)
    assert evidence["cv-7"]["K=10 at that σ, Eq. 4"] == pytest.approx(-2.6093, abs=1e-3)
    assert evidence["cv-16"]["r̃, η=.8 K=10"] == pytest.approx(4 / 9)
    assert evidence["cv-16"]["share of clean samples"] == pytest.approx(0.2)
    assert evidence["cv-16"]["at p=1 of another class"] == pytest.approx(1 - 0.8 / 9)
    assert evidence["cv-9"]["printed value at p=1, a=6 q=1.5"] == pytest.approx(-7.68, abs=1e-3)
    assert [*evidence["hs-2"].values()][1:] == [0.1365, 0.0265, -0.0105, -0.0341]
    assert evidence["hs-3"]["relative"] == pytest.approx(0.183, abs=1e-3)
    assert [*evidence["hs-5"].values()] == [True, 32, 8, 2]  # cells, gaps below σ, behind the best baseline


@pytest.mark.parametrize("classes", [2, 3, 10, 50])
def test_the_corrected_bound_on_nces_gradient_holds_and_is_attained(classes):
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(3000, classes, generator=generator, dtype=torch.float64)
    targets = torch.randint(classes, (3000,), generator=generator)
    norm, _, correct = nce_gradient_norms(logits, targets)
    assert bool((norm <= correct * (1 + 1e-9)).all())
    norm, _, correct = nce_gradient_norms(*weights.logits_at(torch.tensor([12.0]).double(), classes))
    assert float(norm / correct) == pytest.approx(1, abs=1e-4)


def test_the_other_rows_of_table_6_are_right():
    p, q = ops.symbol_p(), sympy.Symbol("q", positive=True)
    log = sympy.log(p)
    printed = {
        losses.ce(): 1 - p,
        losses.focal(gamma=q): (1 - p) ** q * (1 - p - q * p * log),
        losses.mae(): p * (1 - p),
        losses.ael(a=q): p * (1 - p) * sympy.exp(-p / q) / q,
        losses.gce(q=q): p**q * (1 - p),
        losses.tce(t=4): p * sum((1 - p) ** i for i in range(1, 5)),
    }
    for loss, weight in printed.items():
        assert sympy.simplify(weights.symbolic(loss) - weight) == 0, loss


def test_table_7_up_to_constants():
    logits = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.arange(20) % 6
    mean_log = torch.log_softmax(logits, 1).mean(1)
    ce = losses.ce()(logits, targets, reduction="none")
    gls = losses.gls(alpha=0.3)(logits, targets, reduction="none")
    torch.testing.assert_close(gls / 0.7, ce - 0.3 / 0.7 * mean_log)
    # NCE = γ CE + γ ε R has NCE's gradient when γ and ε are constants.
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(losses.nce()(leaf, targets, reduction="sum"), leaf)
    log_probs = torch.log_softmax(leaf, 1)
    gamma, eps = (-1 / log_probs.sum(1)).detach(), (ce / -log_probs.mean(1)).detach()
    rewritten = gamma * losses.ce()(leaf, targets, reduction="none") + gamma * eps * log_probs.mean(1)
    torch.testing.assert_close(torch.autograd.grad(rewritten.sum(), leaf)[0], gradient)


def test_hs_cells_are_complete_and_show_the_neighbourhood_of_gce():
    tables = [cell[0] for cell in HS_CELLS]
    assert [tables.count(n) for n in (1, 2, 4)] == [16, 16, 3]
    for cell in HS_CELLS:
        assert all(0.4 < score < 1 for score in (cell[3], cell[5], cell[6], cell[9]))
        assert cell[5] <= cell[3]  # GCE is one of the baselines
    at = [cell for cell in HS_CELLS if cell[8] == 0.7]
    assert len(at) == 8
    assert all(abs(cell[6] - cell[5]) < 0.0011 for cell in at)


def test_cv_7_needs_more_than_a_sign(monkeypatch):
    """Sizes that are those of N(0, 1), or of one other σ, would be no erratum but for the sign."""
    for sigma in (1.0, 1.2):
        rows = [
            replace(row, mean=-weights.expected_margin({"cifar10": 10, "cifar100": 100}[row.data], sigma))
            for row in reported.table("CV Table 9")
            if row.metric == "expected_margin"
        ]
        monkeypatch.setattr(reported, "table", lambda name, rows=rows: rows)
        assert ERRATA["cv-7"].check()["confirmed"] is False


def test_the_page_lists_criticisms_apart(monkeypatch, evidence):
    for key, erratum in ERRATA.items():  # each check runs once for all tests here
        monkeypatch.setitem(ERRATA, key, replace(erratum, check=lambda key=key: evidence[key]))
    errors, criticisms = pages.errata_page().split("## Criticisms")
    assert [f'<a id="{key}"></a>{key} |' in criticisms for key in ("hs-4", "hs-5")] == [True, True]
    assert [f'<a id="{key}"></a>{key} |' in errors for key in ("hs-4", "hs-5")] == [False, False]
    assert errors.count("| confirmed |") == 20
    assert criticisms.count("| confirmed |") == 2


def test_errata_appear_in_the_table_of_losses():
    assert table.row("aul")[-1] == "cv-1, cv-2"
