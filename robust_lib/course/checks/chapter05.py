"""Graders of chapter 05: what symmetry proves."""

from robust_lib.course.checks.grading import called, equal, grader


@grader("05.1")
def _largest_rate_of_agce(answer):
    ratio = (0.6 / 1.6) ** 0.4
    if equal(called(answer, 0.6, 0.6, 10), ratio):
        return "that is the noise ratio r̃; the rate follows from r̃ = (η/(K-1)) / (1-η)"
    if equal(called(answer, 0.6, 0.6, 10), ratio / (1 + ratio)):
        return "right for K = 2; with K classes η is shared by K - 1 wrong labels"
    for a, q, K in ((0.6, 0.6, 10), (0.1, 0.1, 10), (2.0, 0.5, 100), (1.0, 0.9, 2)):
        odds = (K - 1) * (1 + 1 / a) ** (q - 1)
        if not equal(called(answer, a, q, K), odds / (1 + odds)):
            return "take r̃ = (1 + 1/a)^(q-1) and solve r̃ = (η/(K-1)) / (1-η) for η"
    return ""
