"""Graders of chapter 13: the area under the margin."""

from robust_lib.course.checks.grading import called, equal, grader, some_of


@grader("13.1")
def _f1_of_one_run(answer):
    if equal(called(answer, 10, shape=()), 10 / 11):
        return "that is the recall; F1 is the harmonic mean of it and the precision, which is 1"
    right = all(equal(called(answer, K), 2 * K / (2 * K + 1)) for K in (2, 10, 100))
    return "" if right else (
        "which flips can the run not find?",
        "a share 1/(K+1) of the flips are threshold samples: recall is K/(K+1), and precision is 1",
        "F1 is 2 recall/(1 + recall) here",
    )  # fmt: skip


@grader("13.2")
def _as_rare_as_a_flip(answer):
    cases = ((5000, 10, 0.1), (5000, 10, 0.4), (50_000, 100, 0.3), (1000, 3, 0.5))
    given = [float(called(answer, *case, shape=())) for case in cases]
    if all(abs(value - N * eta / (K - 1)) < 0.6 for value, (N, K, eta) in zip(given, cases, strict=True)):
        return "close at small η; but the extra class also takes its share from the wrong labels"
    if all(abs(value - N / (K + 1)) <= 1 for value, (N, K, _) in zip(given, cases, strict=True)):
        return "that makes it as large as the other classes; asked is: as rare as one wrong label"
    exact = [N * eta / (K - 1 + eta) for N, K, eta in cases]
    right = all(abs(value - wanted) < 1 for value, wanted in zip(given, exact, strict=True))
    return "" if right else (
        "let s be the share of images in the extra class; how common is one wrong label then?",
        "of the other 1 - s, a single wrong class has (1 - s) η/(K - 1)",
        "solve s = (1 - s) η/(K - 1), and multiply by the number of images",
    )  # fmt: skip


@grader("13.3")
def _what_doubling_changes(answer):
    names = {"AUM", "threshold", "flags", "Cohen's d", "Wasserstein", "AUROC"}
    if hint := some_of(answer, names):
        return hint
    if "flags" in answer or "AUROC" in answer:
        return "every AUM doubles and so does the threshold: no comparison comes out differently"
    if "Cohen's d" in answer:
        return "the difference of the means doubles, but so does the standard deviation it is divided by"
    missing = {"AUM", "threshold", "Wasserstein"} - answer
    return (
        "which of the six are in logits?",
        "an AUM is a mean of margins, and a margin is a difference of logits",
        f"think again of: {min(missing)}",
    ) if missing else ""  # fmt: skip
