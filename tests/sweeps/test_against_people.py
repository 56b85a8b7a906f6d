"""Scores of detectors against people: by hand on a few images; the record against what it was made from."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from robust_lib import data, detection, training
from robust_lib.data import people
from robust_lib.sweeps import against_people

N = 200
ERRORS = people.LabelErrors(
    "mnist",
    index=np.array([3, 8, 20, 50, 120]),
    given=np.array([1, 2, 3, 4, 5]),
    guessed=np.array([2, 3, 4, 5, 6]),
    votes_given=np.array([0, 5, 2, 3, 1]),
    votes_guessed=np.array([5, 0, 2, 1, 0]),
    votes_neither=np.array([0, 0, 1, 1, 4]),
    votes_both=np.array([0, 0, 0, 0, 0]),
    predicted=np.zeros(N, dtype=np.int64),
    probs=None,
)  # wrong: 3, 20, 120; upheld: 8, 50


def ranking(*first: int) -> np.ndarray:
    """Positions of N images when `first` lead and the rest follow in their order."""
    order = [*first, *(n for n in range(N) if n not in first)]
    return np.argsort(order)


def test_positions_turn_a_ranking_around():
    one = detection.Detection(np.zeros(4, dtype=bool), np.array([0.5, math.inf, 0.1, 0.5]))
    assert one.ranking.tolist() == [2, 0, 3, 1]
    assert against_people.positions(one).tolist() == [1, 3, 0, 2]


def test_a_perfect_ranking():
    scores = against_people.against_verdicts(ranking(20, 3, 120, 50, 8), ERRORS)
    assert scores["auroc"] == scores["average_precision"] == 1
    assert scores["precision_10"] == pytest.approx(0.3)
    assert scores["precision_100"] == pytest.approx(0.03)
    assert 0 < scores["ap_low"] <= scores["ap_high"] <= 1


def test_scores_by_hand():
    # Places 1, 3 and 11 of the list hold the wrong ones; the upheld ones are at places 2 and 4.
    scores = against_people.against_verdicts(ranking(3, 8, 20, 50, 1, 2, 4, 5, 6, 7, 120), ERRORS)
    assert scores["average_precision"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 11) / 3)
    # Pairs (wrong, upheld) in the right order: 3 before 8 and 50, 20 before 50, 120 before none: 3 of 6.
    assert scores["auroc"] == pytest.approx(3 / 6)
    assert scores["precision_10"] == pytest.approx(2 / 10)


def test_a_random_ranking_finds_by_chance():
    random = np.random.default_rng(0)
    truth = np.arange(2000) < 200
    runs = [against_people.ranking_scores(truth, random.permutation(2000), seed=n) for n in range(5)]
    assert np.mean([run["auroc"] for run in runs]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([run["average_precision"] for run in runs]) == pytest.approx(0.1, abs=0.02)
    assert all(run["ap_low"] < run["average_precision"] < run["ap_high"] for run in runs)


def test_samples_drawn_again_score_as_scikit_learn_says():
    random = np.random.default_rng(1)
    truth, position = random.random(300) < 0.2, random.permutation(300)
    draw, expected = np.random.default_rng(7), []
    for _ in range(5):
        chosen = draw.integers(300, size=300)
        expected.append(average_precision_score(truth[chosen], -position[chosen]))
    found = against_people._drawn_again(truth, position, seed=7, times=5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    rare = against_people._drawn_again(np.arange(4) == 2, np.arange(4), seed=0, times=50)
    assert 0 < len(rare) < 50, "a draw without a hit has no average precision"


def test_truth_needs_both_kinds():
    with pytest.raises(ValueError, match="truth must mark some samples and leave some, got 0 of 3"):
        against_people.ranking_scores([False] * 3, [0, 1, 2])


def test_scores_against_a_crowd():
    probs = np.full((N, 10), 0.05)
    probs[:, 0] = np.linspace(1, 0.1, N)  # agreement falls from image to image
    probs[:, 1:] = (1 - probs[:, :1]) / 9
    soft = people.SoftLabels(counts=np.round(probs * 50).astype(int), probs=probs)
    labels = np.zeros(N, dtype=int)
    best, worst = np.arange(N)[::-1], np.arange(N)  # the image of least agreement first, and last
    scores = against_people.against_crowd(best, labels, soft, bins=4)
    assert against_people.agreement(labels, soft).tolist() == probs[:, 0].tolist()
    assert scores["auroc"] == scores["average_precision"] == 1
    assert scores["spearman"] == pytest.approx(1, abs=1e-6)
    assert scores["entropy"] == sorted(scores["entropy"], reverse=True)
    assert scores["agree"] == sorted(scores["agree"])
    assert scores["agree"][0] == pytest.approx(probs[-50:, 0].mean())
    assert against_people.against_crowd(worst, labels, soft)["spearman"] == pytest.approx(-1, abs=1e-6)


def test_flags_are_counted_by_verdict():
    flagged = np.zeros(N, dtype=bool)
    flagged[[3, 8, 20, 77, 78, 79]] = True
    assert against_people.by_verdict(flagged, ERRORS) == {"wrong": 2, "upheld": 1, "not judged": 3}


def test_rows_of_the_contact_sheet():
    rows = against_people.sheet_rows(ranking(20, 8, 3, 50), ERRORS, count=2)
    assert [(row["row"], row["index"]) for row in rows] == [
        ("first wrong", 20), ("first wrong", 3), ("first upheld", 8), ("first upheld", 50),
        ("last wrong", 120),
    ]  # fmt: skip
    assert rows[0] == {
        "row": "first wrong", "index": 20, "place": 0, "given": 3, "guessed": 4,
        "votes_given": 2, "votes_guessed": 2, "votes_neither": 1, "votes_both": 0,
    }  # fmt: skip
    last = against_people.sheet_rows(ranking(20, 8, 3, 50), ERRORS, count=1)[-1]
    assert (last["row"], last["index"], last["place"]) == ("last wrong", 120, 120)


TRAIN, TEST, PLANTED = 1500, 300, 30


@pytest.fixture
def small(monkeypatch):
    """The first images of the mini packs in place of the full sets, the test set with planted flips."""

    def load(name, split, size="mini", load=data.load):
        pack = load(name, split)
        labels = pack.labels.clone()
        if split == "test":
            labels[:PLANTED] = (labels[:PLANTED] + 3) % 10
        count = TRAIN if split == "train" else TEST
        return dataclasses.replace(pack, images=pack.images[:count], labels=labels[:count])

    monkeypatch.setattr(data, "load", load)
    brief = {name: training.Recipe(epochs=3, batch_size=100, lr=3e-3) for name in against_people.RECIPES}
    monkeypatch.setattr(against_people, "RECIPES", brief)
    probs = np.random.default_rng(0).dirichlet(np.ones(10), TEST).astype(np.float32)
    errors = dataclasses.replace(ERRORS, probs=probs)
    monkeypatch.setattr(people, "load_label_errors", lambda name: errors)


def test_detectors_find_what_was_planted_and_the_record_is_read_as_written(small, tmp_path):
    found = against_people.detect("mnist", device="cpu")
    assert list(found) == ["confident learning", "area under the margin", "mean loss"]
    for who, one in found.items():
        assert one.score.shape == (TEST,)
        assert np.isfinite(one.score).all(), "two threshold runs judge every image"
        place = against_people.positions(one)
        assert against_people.ranking_scores(np.arange(TEST) < PLANTED, place)["auroc"] > 0.85, who
    against_people.write("mnist", found, tmp_path, "cpu")
    record, test = against_people.read("mnist", tmp_path), data.load("mnist", "test")
    assert record.labels.tolist() == test.labels.tolist()
    assert list(record.positions) == ["published probabilities", *found]
    for who, one in found.items():
        assert record.positions[who].tolist() == against_people.positions(one).tolist()
        assert record.flagged[who].tolist() == one.flagged.tolist()
    rows = record.rest["sheet"]
    assert torch.equal(record.sheet, test.images[[row["index"] for row in rows]])
    places = record.positions["mean loss"][ERRORS.index[~ERRORS.upheld]]
    assert record.rest["wrong at"]["mean loss"] == sorted(places.tolist())
    assert record.rest["provenance"]["device"]


@pytest.mark.parametrize("kind", ["drawn", "uniform"])
def test_human_noise_has_the_recorded_rate(small, kind):
    row = against_people.human_noise(kind, "worst", count=TRAIN, device="cpu")
    assert (row["noise"], row["kind"]) == ("worst", kind)
    assert row["rate"] == pytest.approx(0.402, abs=0.04)
    assert 0.5 < row["auroc"] < 0.9


# --- the record in the repository ------------------------------------------------------------------


@pytest.mark.parametrize(("name", "wrong", "count"), [("mnist", 15, 87), ("cifar10", 54, 275)])
def test_the_record_is_whole(name, wrong, count):
    record = against_people.read(name)
    assert (record.rest["wrong"], record.rest["judged"]) == (wrong, count)
    for who, position in record.positions.items():
        assert sorted(position.tolist()) == list(range(10_000)), who
        places = np.array(record.rest["wrong at"][who])
        precision = np.arange(1, wrong + 1) / (places + 1)
        assert record.rest["verdicts"][who]["average_precision"] == pytest.approx(precision.mean())
        flags = record.rest["flags"][who]
        assert sum(flags.values()) == record.flagged[who].sum()
    rows = record.rest["sheet"]
    assert (
        len(record.sheet)
        == len(rows)
        == 2 * against_people.SHEET + min(against_people.SHEET, wrong - against_people.SHEET)
    )
    pack = data.load(name, "test")
    inside = [n for n, row in enumerate(rows) if row["index"] in pack.index.tolist()]
    places = [pack.index.tolist().index(rows[n]["index"]) for n in inside]
    assert torch.equal(record.sheet[inside], pack.images[places]), "the images are the test set's"
    assert [rows[n]["given"] for n in inside] == pack.labels[places].tolist()


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_record_agrees_with_the_verdicts(name, monkeypatch, tmp_path):
    monkeypatch.setattr("robust_lib.data.downloads.cache_folder", lambda: tmp_path)
    if not people.have("label-errors", "cifar-10h"):
        pytest.skip("label-errors and cifar-10h are not in ROBUST_DATA")
    record, errors = against_people.read(name), people.load_label_errors(name)
    again = against_people.scores(record.labels, record.positions, record.flagged, errors)
    assert {key: record.rest[key] for key in again} == again


def test_the_recorded_human_noise():
    rows = against_people.read_human_noise()
    assert [(row["noise"], row["kind"]) for row in rows] == [
        (who, kind) for who in ("aggregate", "worst") for kind in ("real", "drawn", "uniform")
    ]
    for row in rows:
        assert row["rate"] == pytest.approx({"aggregate": 0.09, "worst": 0.402}[row["noise"]], abs=0.01)
