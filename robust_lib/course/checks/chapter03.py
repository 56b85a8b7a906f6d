"""Graders of chapter 03: the zoo."""

from robust_lib.course.checks.grading import called, equal, grader


@grader("03.1")
def _sce_in_one_parameter(answer):
    if equal(called(answer, 0.1, 1.0), 1 / 1.1):
        return "RCE is not MAE but A times MAE, A = -ln 1e-4"
    A = 9.210340371976182
    pairs = ((0.1, 1.0), (6.0, 0.1), (0.01, 1.0), (10.0, 1.0))
    right = all(equal(called(answer, a, b), A * b / (a + A * b)) for a, b in pairs)
    return "" if right else "write α CE + β A MAE as c [(1-q) CE + q MAE]: c is the two coefficients' sum"
