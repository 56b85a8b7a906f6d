"""Graders of chapter 04: losses that see all classes."""

import torch

from robust_lib.course.checks.grading import called, equal, grader, numbers
from robust_lib.papers import nce_gradient_norms

_ROWS = ([0.7, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.02, 0.98])


@grader("04.1")
def _nnce_as_equation_2(answer):
    for row in _ROWS:
        p = torch.tensor(row, dtype=torch.float64)
        gamma, epsilon = called(answer, p, 16.0, shape=(2,))
        total, ce = -p.log().sum(), -p[0].log()
        if equal(gamma, 1 / total) and equal(epsilon, len(p) * ce / total):
            return "those are NCE's; here n_k = A + log p_k takes the place of -log p_k"
        n = 16.0 + p.log()
        if equal([epsilon, gamma], [1 / n.sum(), len(p) * n[0] / n.sum()]):
            return "both numbers are right; give γ first"
        if not equal(gamma, 1 / n.sum()):
            return (
                "do with NNCE what section 2 does with NCE: differentiate n_y / N, N = Σ n_k",
                "the quotient rule has two terms; γ is what stands before ∇CE_y",
                "∇n_y = -∇CE_y, and L = 1 - n_y / N: the first term is ∇CE_y / N",
            )
        if not equal(epsilon, len(p) * n[0] / n.sum()):
            return (
                "γ is right; the second term of the quotient rule has ∇N: write it with ∇R",
                "∇N = Σ ∇log p_k = K ∇R; compare what stands before ∇R with γ",
                "γ ε = K n_y / N², so ε is that divided by γ = 1/N",
            )
    return ""


@grader("04.2")
def _where_eq_3_fails(answer):
    if equal(called(answer, 2, shape=()), 0.75) and not equal(called(answer, 10), 0.55):
        return "right for K = 2; try K = 10, where the figure shows 0.55"
    right = all(equal(called(answer, K), (K + 1) / (2 * K)) for K in (2, 3, 10, 100, 1000))
    return "" if right else (
        "where do the exact norm of this section and the bound of Equation 3 meet?",
        "both have the factor 2γ; without it, compare (1-p) + ε(p - 1/K) with (1 + ε)(1 - p)",
        "1 - p drops out on both sides, then ε: p - 1/K > 1 - p is left",
    )  # fmt: skip


@grader("04.3")
def _break_equation_3(answer):
    p = numbers(answer, (10,))
    if not (bool((p > 0).all()) and equal(p.sum(), 1.0)):
        return "ten probabilities are positive and add up to 1"
    norm, printed, _ = nce_gradient_norms(p.log()[None], torch.zeros(1, dtype=torch.int64))
    if norm[0] > printed[0] * (1 + 1e-9):
        return ""
    share = (
        f"the gradient has {float(norm[0] / printed[0]):.2f} of the bound, and must have more than all of it"
    )
    return (
        f"{share}; which samples broke it for two classes, learned ones or hopeless ones?",
        f"{share}; raise the label's probability, p[0], and keep the others alike",
        f"{share}; the figure shows the border for ten classes: p[0] above 0.55",
    )
