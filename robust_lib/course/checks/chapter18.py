"""Graders of chapter 18: the papers and the records, side by side."""

from robust_lib.course.checks.grading import called, equal, grader, one_of, some_of

FIELDS = {"data", "size", "network", "recipe", "noise", "rate", "detector", "folds", "loss", "seed"}
DIFFER = {"size", "network", "recipe"}  # hs-table1-cifar10, the paper's scale and features


@grader("18.1")
def _what_differs(answer):
    if hint := some_of(answer, FIELDS):
        return hint
    if more := answer - DIFFER:
        return f"{min(more)} is the same in both plans: print it for a trial of each"
    missing = DIFFER - answer
    return (
        "what the papers ask is the same at both scales; what is trained, and how, is not",
        'print sweeps.SWEEPS["hs-table1-cifar10"].trials(scale, seeds=1)[0].flat() for both scales',
        f"print {min(missing)} of a trial of each",
    ) if missing else ""  # fmt: skip


@grader("18.2")
def _verdict(answer):
    cases = {(0.1, 0.2): "holds", (-0.1, -0.2): "reversed", (0.1, -0.2): "mixed", (0.5,): "holds"}
    words = {differences: called(answer, list(differences)) for differences in cases}
    if strange := [word for word in words.values() if one_of(word, ("holds", "mixed", "reversed"))]:
        return f"the answer must be 'holds', 'mixed' or 'reversed'; yours is {strange[0]!r}"
    if called(answer, [-0.3, 0.5, -0.1]) != "mixed":
        return "every seed must agree; neither the mean nor the majority counts"
    if called(answer, [0.0, 0.3]) != "mixed" or called(answer, [0.0, -0.3]) != "mixed":
        return "a tie speaks for neither: with a 0 among the differences the word is 'mixed'"
    wrong = next((differences for differences in cases if words[differences] != cases[differences]), None)
    return (
        "what do the smallest and the largest difference say about all the others?",
        "if the smallest is above 0, all are; if the largest is below 0, all are",
        f"for the differences {list(wrong)} the word is {cases[wrong]!r}",
    ) if wrong else ""  # fmt: skip


@grader("18.3")
def _decided_by_luck(answer):
    if equal(called(answer, 3, shape=()), 0.5**3):
        return "that is 'holds' alone; 'reversed' is as likely"
    if equal(called(answer, 1), 0.5):
        return "with one seed there is one difference, and it has a sign: the word is never 'mixed'"
    right = all(equal(called(answer, n), 2 * 0.5**n) for n in (1, 2, 5))
    return "" if right else (
        "how likely is one difference of two equally good losses to be positive?",
        "one half, and seeds are independent: how likely are n positive ones?",
        "n positive ones have probability 0.5^n; n negative ones are decided as well",
    )  # fmt: skip


@grader("18.4")
def _table_6(answer):
    right = {"BL > CE": "holds", "PZ > CE": "mixed", "PZ > BL": "mixed"}
    if not (isinstance(answer, dict) and answer.keys() == right.keys()):
        return f"give a dict with the keys {', '.join(right)}"
    wrong = [pair for pair, word in right.items() if answer[pair] != word]
    return (
        f"not right yet: {len(wrong)} of the three; each rate is a case",
        "go through all four columns: 'holds' takes all four cases, 'reversed' none that holds",
        f"look at {wrong[0]} again, at the first rate and at the last",
    ) if wrong else ""  # fmt: skip


@grader("18.5")
def _flop_of_a_trial(answer):
    found = called(answer, 2.0, 50, 10, 5, shape=())
    if equal(found, 2.0 * 50 * 10 * 4):
        return "that is the forward pass alone; with the backward pass it is three times as much"
    if equal(found, 3 * 2.0 * 50 * 10 * 5):
        return "no network sees its own fold: each trains on (folds - 1)/folds of the images"
    if equal(found, 3 * 2.0 * 50 * 4):
        return "that is one epoch"
    cases = ((2.0, 50, 10, 5), (1.0, 60, 1, 3))
    right = all(equal(called(answer, f, n, e, k), 3 * f * n * e * (k - 1)) for f, n, e, k in cases)
    return "" if right else (
        "count first how often an image passes through a network in one epoch of all trainings",
        "folds networks, and each sees (folds - 1)/folds of the images: folds - 1 passes over all images",
        "passes times images times epochs times three: backward costs twice the forward pass",
    )  # fmt: skip
