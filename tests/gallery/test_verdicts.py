"""Statements of the papers: the rule on made-up numbers, the paper's own numbers, and records in a folder."""

import json

import pytest

from robust_lib import sweeps
from robust_lib.gallery import comparison, statements, verdicts
from robust_lib.gallery.artefacts import ARTEFACTS
from robust_lib.gallery.verdicts import Case, Side
from robust_lib.papers import reported

PRINTED = Side("printed")


def words(cases):
    return {one.where: one.verdict for one in cases}


@pytest.mark.parametrize(
    ("differences", "least", "word"),
    [
        ([0.1, 0.2], 1e-9, "holds"),
        ([-0.1, -0.2], 1e-9, "reversed"),
        ([0.1, -0.1], 1e-9, "mixed"),
        ([0.0, 0.2], 1e-9, "mixed"),  # a tie is neither
        ([3.0, 9.0], 5.0, "mixed"),  # the right sign, and less than was asked for
        ([6.0, 9.0], 5.0, "holds"),
        ([-0.1], 5.0, "reversed"),
    ],
)
def test_a_case_goes_by_every_seed(differences, least, word):
    found = verdicts.case("here", differences, least)
    assert (found.verdict, found.seeds) == (word, len(differences))


def test_a_run_must_fit_the_labels_before_it_can_fall():
    runs = [  # learning rate, test accuracies, agreement with the labels trained on
        (0.001, [0.5, 0.9, 0.9], 0.95),
        (0.01, [0.6, 0.9, 0.7], 0.9),
        (0.03, [0.6, 0.9, 0.7], 0.95),
        (0.03, [0.6, 0.9, 0.7], 0.89),  # another seed, which has not fitted its labels
        (0.1, [0.4, 0.1, 0.1], 0.1),
    ]

    class Records:
        def records(self, artefact):
            names = ("recipe_lr", "test_accuracy_curve", "train_accuracy")
            return [{"loss": "mae", "rate": 0.4} | dict(zip(names, run, strict=True)) for run in runs]

    found = verdicts.falls("mae", "fitted")(Records())
    assert [(one.where[-5:].split()[-1], one.verdict) for one in found] == [
        ("0.001", "reversed"),
        ("0.01", "holds"),
    ]
    assert [one.verdict for one in verdicts.falls("mae", "outer")(Records())] == ["holds", "reversed"]


@pytest.mark.parametrize(
    ("counts", "quantifier", "word"),
    [
        ((5, 0, 0), "all", "holds"),
        ((4, 0, 1), "all", "mixed"),
        ((4, 0, 1), "nearly all", "holds"),
        ((3, 2, 0), "nearly all", "mixed"),
        ((1, 0, 4), "nearly all", "reversed"),
        ((1, 0, 4), "some", "holds"),
        ((0, 1, 4), "some", "mixed"),
        ((0, 0, 5), "some", "reversed"),
        ((0, 0, 5), "all", "reversed"),
        ((0, 0, 0), "all", ""),
    ],
)
def test_a_statement_goes_by_the_share_of_its_cases(counts, quantifier, word):
    cases = [
        Case("", (), 1, verdict)
        for verdict, many in zip(verdicts.VERDICTS, counts, strict=True)
        for _ in range(many)
    ]
    assert verdicts.judge(cases, quantifier) == word


def test_evidence_counts_cases_and_seeds():
    cases = [verdicts.case("a", [0.1]), verdicts.case("b", [-0.1, -0.2]), verdicts.case("c", [0.1, 0.2])]
    assert verdicts.evidence(cases) == "2 of 3 hold, 1 reversed; 1 to 2 seeds"
    assert verdicts.evidence(cases[:1]) == "1 of 1 hold; 1 seed"
    assert verdicts.evidence([Case("a", (0.1,), 0, "mixed")]) == "0 of 1 hold, 1 mixed"


def test_the_papers_own_numbers_are_put_to_the_same_tests():
    best = statements.STATEMENTS["hs-table1-pz"].test(PRINTED)
    table = {}
    for row in reported.table("HS Table 1"):
        table.setdefault((row.data, row.rate), {})[row.loss] = row.mean
    behind = {
        f"{data}, uniform {rate:g}"
        for (data, rate), row in table.items()
        if row["PZ"] < max(row[name] for name in ("CE", "FL", "GCE", "ANL-CE", "ANL-FL"))
    }
    assert behind == {"fashion_mnist, uniform 0.1", "cifar100, uniform 0.1"}
    assert {where for where, word in words(best).items() if word != "holds"} == behind
    by_aum = statements.finding(statements.STATEMENTS["hs-aum"], PRINTED)
    assert by_aum.word == "mixed"  # errata hs-2
    assert len(by_aum.cases) == 8, "BL is one loss in print, though it has two gradients here"
    assert {one.seeds for one in by_aum.cases} == {0}
    moved = statements.finding(statements.STATEMENTS["cv-cures"], PRINTED)
    worse = {one.where.split(", test")[0] for one in moved.cases if one.verdict == "reversed"}
    assert "cifar100, symmetric 0.8, AGCE shift > AGCE" in worse  # 14.49 and 16.03
    twice = [
        one.differences for one in moved.cases if "cifar100, symmetric 0.4, MAE shift > MAE" in one.where
    ]
    assert twice == [(pytest.approx(49.95 - 1.29),), (pytest.approx(44.60 - 1.29),)], (
        "errata cv-8: both count"
    )


def test_correlations_are_spearmans():
    (one,) = statements.STATEMENTS["cv-alpha"].test(PRINTED)
    by_loss = {}
    for row in reported.table("CV Table 2"):
        if row.data == "cifar100":
            by_loss.setdefault(row.loss, {})[row.metric] = row.mean
    pairs = [(m["alpha"], m["train_accuracy"]) for m in by_loss.values() if "alpha" in m]
    ranks = [
        [sorted(column).index(value) for value in column] for column in zip(*pairs, strict=True)
    ]  # no ties but CE's and SCE's accuracy
    n = len(pairs)
    plain = 1 - 6 * sum((a - b) ** 2 for a, b in zip(*ranks, strict=True)) / (n * (n * n - 1))
    assert one.differences[0] == pytest.approx(plain, abs=0.02)


def write(folder, name, scale, records):
    (folder / scale).mkdir(exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / scale / f"{name}.jsonl").write_text(text)


def made(trial, **results):
    about = {"images": 50_000, "classes": 10, "seconds": 1.0, "device": "a CPU", "date": "2026-11-26"}
    about |= {"commit": "c0ffee", "threads": 1, "label": trial.loss, "backbone": "lite0"}
    return {"key": trial.key, "status": "done"} | trial.flat() | about | results


def test_ours_are_read_by_seed_and_need_every_rival(tmp_path):
    trials = sweeps.SWEEPS["hs-table4"].trials("features", seeds=2)
    wanted = [trial for trial in trials if trial.noise == "human:cifar10n-worst"]
    f1 = {"ce": 0.5, "focal": 0.5, "gce": 0.5, "anl_ce": 0.5, "anl_fl": 0.5, "piecewise_zero": 0.6}
    records = [made(t, f1=f1[t.loss] + 0.01 * t.seed, balanced_accuracy=0.5) for t in wanted if t.loss in f1]
    write(tmp_path, "hs-table4", "features", records)
    side = Side("features", tmp_path)
    (one,) = statements.STATEMENTS["hs-table4-pz"].test(side)
    assert (one.where, one.verdict, one.seeds) == ("cifar10, human_worst", "holds", 2)
    assert one.differences == pytest.approx((0.1, 0.1))
    assert statements.STATEMENTS["hs-table4-bl-true"].test(side) == []  # no BL is recorded
    write(tmp_path, "hs-table4", "features", [row for row in records if row["loss"] != "anl_fl"])
    assert statements.STATEMENTS["hs-table4-pz"].test(Side("features", tmp_path)) == []


def test_the_best_parameter_is_compared_over_the_values_that_both_rates_have():
    high = {0.1: {0: 0.7}, 0.3: {0: 0.8}, 0.5: {0: 0.9}}
    grids = {("set", "PZ"): {0.1: {0.1: {0: 0.9}, 0.3: {0: 0.8}, 0.5: {0: 0.7}, 0.9: {0: 1.0}}, 0.4: high}}
    (one,) = verdicts.rises(lambda side: grids)(Side("small"))
    assert one.differences == pytest.approx((0.4,))  # 0.5 - 0.1: no run has 0.9 at the high rate
    few = {("set", "PZ"): {0.1: {0.1: {0: 0.9}, 0.3: {0: 0.8}}, 0.4: high}}
    assert verdicts.rises(lambda side: few)(Side("small")) == []


def test_a_delay_is_judged_by_the_best_cutoff():
    by_delay = {0: {0.02: 0.80, 0.1: 0.30}, 1: {0.02: 0.79, 0.1: 0.85}, 4: {0.02: 0.84, 0.1: 0.90}}
    assert verdicts.gain_of_one_epoch(by_delay) == pytest.approx(0.05)
    assert verdicts.lead_of_one_epoch(by_delay) == pytest.approx(-0.05)
    assert verdicts.gain_of_one_epoch({1: {0.1: 0.8}}) is None


def test_stand_ins_are_never_compared_across_tables(tmp_path):
    by_name = words(statements.STATEMENTS["hs-table3-cleaned"].test(Side("small")))
    assert by_name == {}  # pairs of digits have no cleaned test set


def test_every_statement_says_what_it_is_about_and_is_tested_or_says_why_not():
    for key, one in statements.STATEMENTS.items():
        assert key == one.key
        assert one.paper in ("HS", "CV", "SY")
        assert bool(one.lacks) == (one.test is None)
        assert bool(one.reading) == (one.test is not None)
        assert one.quantifier in verdicts.SHARES
        assert set(one.artefacts) <= ARTEFACTS.keys()
        assert one.artefacts or one.paper == "SY" or key == "hs-no-delay"
    about = {name for one in statements.STATEMENTS.values() for name in one.artefacts}
    assert comparison.SOURCES.keys() <= about


def test_with_nothing_recorded_only_print_and_algebra_have_verdicts(tmp_path):
    found = statements.findings(tmp_path)
    for key, by_side in found.items():
        one = statements.STATEMENTS[key]
        assert not any(by_side[scale].word for scale in ("paper", "features", "small"))
        expected = "holds" if one.computed else statements.UNTESTED
        assert statements.overall(one, by_side) == expected


def test_scales_that_disagree_make_a_verdict_mixed():
    one = statements.STATEMENTS["hs-table4"]
    finding = statements.Finding

    def overall(**by_scale):
        sides = dict.fromkeys(("printed", "paper", "features", "small"), finding("", ()))
        return statements.overall(one, sides | {side: finding(word, ()) for side, word in by_scale.items()})

    assert overall(features="holds", small="holds") == "holds"
    assert overall(features="holds", small="reversed") == "mixed"
    assert overall(features="reversed") == "reversed"
    assert overall(printed="holds") == statements.UNTESTED  # its own numbers are no test of ours
