"""Graders of chapter 03: the zoo."""

import torch

from robust_lib.course.checks.grading import Misfit, called, equal, grader


@grader("03.1")
def _sce_in_one_parameter(answer):
    if equal(called(answer, 0.1, 1.0, shape=()), 1 / 1.1):
        return "RCE is not MAE but A times MAE, A = -ln 1e-4"
    A = 9.210340371976182
    pairs = ((0.1, 1.0), (6.0, 0.1), (0.01, 1.0), (10.0, 1.0))
    right = all(equal(called(answer, a, b), A * b / (a + A * b), 1e-4) for a, b in pairs)
    return "" if right else (
        "write both losses with CE and MAE alone: what is RCE in parts of MAE?",
        "α CE + β A MAE must be c times [(1-q) CE + q MAE], for some factor c",
        "c is the sum of the two coefficients, α + A β; q is MAE's share of it",
    )  # fmt: skip


@grader("03.2")
def _loss_with_its_peak_at(answer):
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    for asked in (0.2, 0.3, 0.4):
        loss = called(answer, asked)
        if not hasattr(loss, "weight_at"):
            raise Misfit("the answer must be a loss of p_y of the library, such as losses.gce(q=0.5)")
        found = float(p[loss.weight_at(torch.logit(p)).argmax()])
        if abs(found - 0.5) < 0.002:
            return "this weight peaks at p_y = 0.5 whatever is asked; MAE's does"
        if abs(found - asked) > 0.002:
            return (
                "which knob of section 2 slides a bell? One family of chapter 01 has its peak left of 1/2",
                "GCE's weight is p^q (1-p); exercise 2 of chapter 01 asked for its peak",
                "the peak is at q / (1 + q); solve for q",
            )
    return ""
