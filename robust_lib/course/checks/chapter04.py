"""Graders of chapter 04: losses that see all classes."""

import torch

from robust_lib.course.checks.grading import called, equal, grader

_ROWS = ([0.7, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.02, 0.98])


@grader("04.1")
def _nnce_as_equation_2(answer):
    for row in _ROWS:
        p = torch.tensor(row, dtype=torch.float64)
        gamma, epsilon = called(answer, p, 16.0)
        total, ce = -p.log().sum(), -p[0].log()
        if equal(gamma, 1 / total) and equal(epsilon, len(p) * ce / total):
            return "those are NCE's; here n_k = A + log p_k takes the place of -log p_k"
        n = 16.0 + p.log()
        if not equal(gamma, 1 / n.sum()):
            return "apply the quotient rule to n_y / N with N = Σ n_k; γ is what stands before ∇CE_y"
        if not equal(epsilon, len(p) * n[0] / n.sum()):
            return "γ is right; for ε write ∇N = Σ ∇log p_k as K ∇R and compare what stands before ∇R with γ"
    return ""


@grader("04.2")
def _where_eq_3_fails(answer):
    if equal(called(answer, 2), 0.75) and not equal(called(answer, 10), 0.55):
        return "right for K = 2; try K = 10, where the figure shows 0.55"
    right = all(equal(called(answer, K), (K + 1) / (2 * K)) for K in (2, 3, 10, 100, 1000))
    return "" if right else "put the exact norm for ε <= 1 above 2γ(1 + ε)(1 - p_y) and cancel"
