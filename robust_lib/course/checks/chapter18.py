"""Graders of chapter 18: the papers and the records, side by side."""

from robust_lib.course.checks.grading import called, equal, grader, some_of

FIELDS = {"data", "size", "network", "recipe", "noise", "rate", "detector", "folds", "loss", "seed"}
DIFFER = {"size", "network", "recipe"}  # hs-table1-cifar10, the paper's scale and features


@grader("18.1")
def _what_differs(answer):
    if hint := some_of(answer, FIELDS):
        return hint
    if answer - DIFFER:
        name = min(answer - DIFFER)
        return f"{name} is the same in both plans: print it for a trial of each"
    hints = {
        "network": "what is trained is not the same: a ResNet-34 here, one layer there",
        "recipe": "another network is trained in another way: print recipe",
        "size": "the images are the same, but not what the network sees of them: print size",
    }
    return next((hint for name, hint in hints.items() if name not in answer), "")


@grader("18.2")
def _verdict(answer):
    cases = {(0.1, 0.2): "holds", (-0.1, -0.2): "reversed", (0.1, -0.2): "mixed"}
    for differences, word in cases.items():
        if called(answer, list(differences)) != word:
            return f"for the differences {list(differences)} the word is {word!r}"
    if called(answer, [0.0, 0.3]) != "mixed" or called(answer, [0.0, -0.3]) != "mixed":
        return "a tie speaks for neither: with a 0 among the differences the word is 'mixed'"
    few = called(answer, [0.5]) == "holds" and called(answer, [-0.3, 0.1, -0.2]) == "mixed"
    return "" if few else "every seed must agree, however many there are; the mean does not count"


@grader("18.3")
def _decided_by_luck(answer):
    if equal(called(answer, 3), 0.5**3):
        return "that is 'holds' alone; 'reversed' is as likely"
    if equal(called(answer, 1), 0.5):
        return "with one seed there is one difference, and it has a sign: the word is never 'mixed'"
    right = all(equal(called(answer, n), 2 * 0.5**n) for n in (1, 2, 5))
    return "" if right else "all n differences positive: 1/2 each. All negative: the same again"


@grader("18.4")
def _table_6(answer):
    right = {"BL > CE": "holds", "PZ > CE": "mixed", "PZ > BL": "mixed"}
    if not (isinstance(answer, dict) and answer.keys() == right.keys()):
        return f"give a dict with the keys {', '.join(right)}"
    if wrong := [pair for pair, word in right.items() if answer[pair] != word]:
        pair = wrong[0]
        if answer[pair] == "holds":
            return f"{pair}: go through all four rates; the first is not the last"
        return f"{pair}: four rates are four cases; 'holds' takes all of them, 'reversed' none"
    return ""


@grader("18.5")
def _flop_of_a_trial(answer):
    found = called(answer, 2.0, 50, 10, 5)
    if equal(found, 2.0 * 50 * 10 * 4):
        return "that is the forward pass alone; with the backward pass it is three times as much"
    if equal(found, 3 * 2.0 * 50 * 10 * 5):
        return "no network sees its own fold: each trains on (folds - 1)/folds of the images"
    if equal(found, 3 * 2.0 * 50 * 4):
        return "that is one epoch"
    cases = ((2.0, 50, 10, 5), (1.0, 60, 1, 3))
    right = all(equal(called(answer, f, n, e, k), 3 * f * n * e * (k - 1)) for f, n, e, k in cases)
    return "" if right else "passes over an image: epochs, times the networks that see it, times three"
