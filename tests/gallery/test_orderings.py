"""Verdicts on the papers' orderings: the rule on made-up numbers, and what the committed records say."""

from dataclasses import replace

import pytest

from robust_lib import sweeps
from robust_lib.gallery import comparison, orderings
from robust_lib.gallery.comparison import Cell, Ours
from robust_lib.papers import reported

PAPER = next(row for row in reported.table("HS Table 1") if row.spread == 0.002)


def cell(loss, theirs, ours, spread=0.01, data="mnist"):
    beside = replace(PAPER, mean=theirs, spread=spread, decimals=2)
    values = dict(enumerate(ours)) if isinstance(ours, list) else ours
    return Cell(data, "uniform", 0.1, loss, "f1", None, Ours(values, "", 1, (), ()), beside)


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([0.5, 0.6], [0.4, 0.5], "holds"),
        ([0.4, 0.5], [0.5, 0.6], "reversed"),
        ([0.5, 0.5], [0.4, 0.6], "mixed"),
        ([0.5, 0.6], [0.4, 0.6], "mixed"),  # a tie is neither
        ([0.3, 0.3], [0.1 + 0.2, 0.1 + 0.2], "mixed"),  # and so is one but for rounding
        ([0.1 + 0.2, 0.1 + 0.2], [0.3, 0.3], "mixed"),
        ({0: 0.5, 1: 0.6}, {1: 0.5, 2: 0.9}, "holds"),  # seed by seed, where both have one
    ],
)
def test_verdicts_go_by_the_sign_in_every_seed(a, b, verdict):
    (one,) = orderings.orderings([cell("B", 0.8, b), cell("A", 0.9, a)])
    assert (one.larger, one.smaller, one.verdict) == ("A", "B", verdict)


@pytest.mark.parametrize(
    ("gap", "spreads", "apart"),
    [
        (0.02, (0.01, 0.01), True),
        (0.02, (0.01, 0.02), False),
        (0.02, (None, None), True),
        (0.0, (None, None), False),
    ],
)
def test_only_what_the_paper_tells_apart_is_compared(gap, spreads, apart):
    pair = [cell(n, m, [0.5], s) for n, m, s in zip("AB", (0.80 + gap, 0.80), spreads, strict=True)]
    assert bool(orderings.orderings(pair)) is apart


def test_places_are_not_mixed_and_gaps_are_left_out():
    gap = replace(cell("B", 0.8, [0.5]), ours=None)
    none = replace(cell("B", 0.8, [0.5]), beside=None)
    assert (
        orderings.orderings([cell("A", 0.9, [0.6]), gap, none, cell("B", 0.8, [0.5], data="cifar10")]) == []
    )


def test_the_table_counts_and_names_them():
    found = [cell("A", 0.9, [0.3, 0.6]), cell("B", 0.8, [0.4, 0.5]), cell("C", 0.7, [0.5, 0.7])]
    told = orderings.orderings(found)
    last = orderings.table(told).splitlines()[-1]
    assert last == "| mnist | uniform | 0.1 |  | f1 | 3 | 0 | 1 | 2 | A > B | A > C; B > C |"
    assert "from 2 seeds 50% of the time" in orderings.rule(told)


def of(artefact, **wanted):
    """Verdicts of the small version by (larger, smaller)."""
    told = orderings.orderings(comparison.cells(artefact, "small"))
    kept = [one for one in told if all(getattr(one, name) == value for name, value in wanted.items())]
    return {(one.larger, one.smaller): one.verdict for one in kept}


def test_cvs_orderings_that_are_reversed_here_are_called_so():
    clean = of("CV Table 3", noise="none")
    assert clean["MAE scale", "MAE shift"] == "reversed"  # CV 70.97 and 68.57, ours 56.7 and 79.1
    assert clean["CE", "MAE"] == "holds"
    lost = of("CV Table 5", rate=0.8, metric="diff")
    assert lost["MAE", "AUL"] == lost["MAE", "SCE"] == "reversed"  # MAE is CV's best, ours is at chance
    assert of("CV Table 2", data="mnist_pairs", metric="alpha")["CE", "SCE"] == "reversed"


def test_ratios_to_ce_are_cvs_and_ours():
    text = orderings.ratios_table(comparison.cells("CV Table 2", "small"), "alpha")
    assert "| mnist | cifar10 | SCE | 0.431 | 1.07 |" in text
    assert "| mnist_pairs | cifar100 | SCE | 0.353 | 1.11 |" in text
    assert orderings.ratios_table(comparison.cells("CV Table 3", "small"), "alpha") == ""


def test_falls_are_told_from_the_curves():
    curves = {
        ("ce", 0.001): [[0.5, 0.9], [0.5, 0.9]],
        ("ce", 0.01): [[0.9, 0.8], [0.9, 0.86]],  # the second by less than five points
        ("ce", 0.1): [[0.9, 0.5], [0.9, 0.5]],
        ("mae", 0.01): [[0.9, 0.9], [0.9, 0.9]],
        ("mae", 0.1): [[0.9, 0.5], [0.9, 0.5]],
    }
    short = {("ce", 0.001), ("mae", 0.01)}  # CE is not expected to fall there
    records = [
        {"loss": loss, "recipe_lr": lr, "rate": 0.4, "move": "", "test_accuracy_curve": curve}
        | {"train_accuracy": 0.6 if (loss, lr) in short and not n else 0.9}
        for (loss, lr), runs in curves.items()
        for n, curve in enumerate(runs)
    ]
    lines = orderings.falls_table(records).splitlines()[2:]
    assert [line.split(" | ")[-4:] for line in lines] == [
        ["0.750", "0 of 2", "does not fall", "holds |"],
        ["0.900", "1 of 2", "falls", "mixed |"],
        ["0.900", "2 of 2", "does not fall", "reversed |"],
        ["0.750", "0 of 2", "falls", "too short |"],
        ["0.900", "2 of 2", "falls", "holds |"],
    ]
    recorded = orderings.falls_table(sweeps.read("cv-fig4", "small"))
    assert "| CE | 0.4 | 0.1 | 0.907 | 0.636 | 0.996 | 2 of 2 | does not fall | reversed |" in recorded
