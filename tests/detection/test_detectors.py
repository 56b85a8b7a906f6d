"""Detectors: masks and scores by hand, against the modules they rest on, and on real digits."""

from functools import cache

import numpy as np
import pytest
import torch

from robust_lib import data, detection, losses
from robust_lib.data import noise
from robust_lib.detection import Detection, ThresholdRun, aum, confident
from robust_lib.detection.metrics import detection_scores
from robust_lib.losses import weights
from robust_lib.training import Recipe, Recorder, fit, models

LABELS = np.arange(8) % 2


def threshold_run(margins, threshold_samples):
    mask = torch.zeros(8, dtype=torch.bool)
    mask[threshold_samples] = True
    return ThresholdRun(torch.tensor(margins), mask)


# Epochs × samples. Samples 0 and 1 are threshold samples of the first run, 2 and 3 of the second.
FIRST = threshold_run([[9.0] * 8, [-4, -2, 1, 5, -3, 2, 7, 8], [-2, 0, 1, 5, -5, 2, 7, 8]], [0, 1])
SECOND = threshold_run([[9.0] * 8, [3, 4, -1, -1, -2, 0, 6, -9], [3, 4, -1, 1, 0, 0, 6, -9]], [2, 3])


@cache
def digits():
    mini = data.load("mnist", "train", size="mini")
    images, labels = data.to_float(mini.images[:1000], mini.name), mini.labels[:1000]
    return images, noise.corrupt(labels, noise.uniform(10, 0.2), seed=0)


def network(seed, outputs=11):
    return models.build("small_cnn", torch.zeros(1, 1, 28, 28), outputs, seed)


def train(runs=1, samples=1000, epochs=8, **options):
    images, noisy = digits()
    recipe = Recipe(epochs=epochs, batch_size=32)
    arguments = network, images[:samples], noisy.labels[:samples], losses.ce(), recipe
    return list(detection.threshold_runs(*arguments, classes=10, runs=runs, **options))


# ---- what a detector returns


def test_the_ranking_is_stable_and_puts_what_could_not_be_judged_last():
    found = Detection(np.zeros(5, dtype=bool), np.array([0.5, np.inf, -2, 0.5, -np.inf]))
    assert found.ranking.tolist() == [4, 2, 0, 3, 1]
    assert found.ranking.dtype == np.int64


def test_confident_learning_is_cleanlabs_mask_and_margin():
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]] * 2)
    found = detection.confident_learning(LABELS, probs, "prune_by_class")
    assert (found.flagged == confident.flag(LABELS, probs, "prune_by_class")).all()
    assert found.flagged.any()
    assert found.score == pytest.approx([0.9, 0.6, 0.2, 0.7] * 2)
    default = detection.confident_learning(LABELS, probs)
    assert (default.flagged == confident.flag(LABELS, probs, "both")).all()


# ---- area under the margin


def test_one_run_by_hand():
    # AUM after the first epoch: -3, -1, 1, 5, -4, 2, 7, 8; the larger threshold sample has -1.
    found = detection.area_under_margin(LABELS, [FIRST], percentile=100, skip=1)
    assert found.score.tolist() == [np.inf, np.inf, 2, 6, -3, 3, 8, 9]
    assert found.flagged.tolist() == [n == 4 for n in range(8)]
    # The median of -3 and -1 is -2, at percentile 50; at percentile 0 the threshold is -3.
    assert detection.area_under_margin(LABELS, [FIRST], percentile=50, skip=1).score[4] == -2
    assert detection.area_under_margin(LABELS, [FIRST], percentile=0, skip=1).score[4] == -1


def test_two_runs_by_hand():
    # Second run: 3, 4, -1, 0, -1, 0, 6, -9 with threshold 0; 0 and 1 are judged by it alone, 2 and 3 not.
    found = detection.area_under_margin(LABELS, [FIRST, SECOND], percentile=100, skip=1)
    assert found.score.tolist() == [3, 4, 2, 6, (-3 - 1) / 2, (3 + 0) / 2, (8 + 6) / 2, (9 - 9) / 2]
    assert found.flagged.tolist() == [n == 4 for n in range(8)]


def test_skip_leaves_out_the_first_epochs():
    all_epochs = detection.area_under_margin(LABELS, [FIRST], percentile=100)
    assert all_epochs.score[4] == pytest.approx((9 - 8) / 3 - (9 - 2) / 3)
    last = ThresholdRun(FIRST.margins[2:], FIRST.mask)
    expected = detection.area_under_margin(LABELS, [last])
    assert (detection.area_under_margin(LABELS, [FIRST], skip=2).score == expected.score).all()


def test_one_run_compares_the_running_means_with_the_threshold():
    generator = torch.Generator().manual_seed(0)
    labels, mask = aum.threshold_samples(torch.arange(500) % 10, 10, seed=1)
    area, rows = aum.AreaUnderMargin(500), []
    for _ in range(6):
        logits = torch.randn(500, 11, generator=generator) + 2 * torch.eye(11)[labels]
        area.update(logits, labels, torch.arange(500))
        rows.append(weights.hard_margin(logits, labels))
    found = detection.area_under_margin(torch.arange(500) % 10, [ThresholdRun(torch.stack(rows), mask)])
    expected = area.values() - aum.threshold(area.values(), mask)
    assert found.flagged.tolist() == ((expected < 0) & ~mask).tolist()
    assert 50 < found.flagged.sum() < 455
    np.testing.assert_allclose(found.score[~mask.numpy()], expected[~mask], atol=1e-12)


def test_runs_average_out_what_one_run_gets_wrong():
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(4000, generator=generator) < 0.3
    labels, runs = torch.arange(4000) % 10, []
    for r in range(2):
        _, mask = aum.threshold_samples(labels, 10, seed=0, run=r)
        margins = torch.randn(3, 4000, generator=generator) - 3.0 * (truth | mask)
        runs.append(ThresholdRun(margins, mask))
    one, two = (detection.area_under_margin(labels, runs[:n], percentile=90) for n in (1, 2))
    better, worse = (detection_scores(truth, found.flagged)["f1"] for found in (two, one))
    assert better > worse + 0.03
    assert np.isinf(one.score).sum() == 4000 // 11
    assert np.isfinite(two.score).all()


@pytest.mark.parametrize(
    ("labels", "runs", "settings", "message"),
    [
        (LABELS, [], {}, "runs must hold at least one ThresholdRun, got none"),
        (LABELS[:5], [FIRST], {}, r"margins must have shape \(epochs, 5\), got \(3, 8\)"),
        (LABELS, [FIRST], {"skip": 3}, r"skip must be in 0\.\.2 for 3 epochs, got 3"),
        (LABELS, [FIRST], {"skip": -1}, r"skip must be in 0\.\.2 for 3 epochs, got -1"),
        (LABELS, [FIRST], {"percentile": 101}, r"percentile must be in 0\.\.100, got 101"),
        (LABELS, [ThresholdRun(FIRST.margins * np.nan, FIRST.mask)], {}, "got NaN or infinity for 8 of 8"),
        (LABELS, [ThresholdRun(FIRST.margins, FIRST.mask & False)], {}, "must mark at least one sample"),
        (LABELS / 2, [FIRST], {}, "labels must be integers, got float64"),
    ],
)
def test_wrong_margins_are_named(labels, runs, settings, message):
    with pytest.raises(ValueError, match=message):
        detection.area_under_margin(labels, runs, **settings)


# ---- mean loss


def test_mean_loss_by_hand():
    p = torch.tensor([[0.5] * 8, [0.8, 0.9, 0.85, 0.9, 0.8, 0.02, 0.04, 0.03]], dtype=torch.float64)
    found = detection.mean_loss(LABELS, p.log())
    np.testing.assert_allclose(found.score, p.mean(0))
    assert found.flagged.tolist() == [False] * 5 + [True] * 3
    skipped = detection.mean_loss(LABELS, p.log(), skip=1)
    np.testing.assert_allclose(skipped.score, p[1])
    assert skipped.ranking[:3].tolist() == [5, 7, 6]


def test_a_sample_easier_than_the_rest_is_not_flagged():
    generator = np.random.default_rng(0)
    loss = np.concatenate([[0.0], generator.normal(1, 0.01, 300), generator.normal(1.5, 0.6, 100).clip(1.1)])
    flagged = detection.mean_loss(np.zeros(401, dtype=int), torch.tensor(-loss)[None]).flagged
    assert not flagged[0]  # the wide component of the hard ones would claim it
    assert not flagged[1:301].any()
    assert flagged[301:].mean() > 0.9


def test_equal_losses_flag_nothing_and_order_does_not_matter():
    same = torch.full((2, 8), -0.3)
    assert not detection.mean_loss(LABELS, same).flagged.any()
    log_p = torch.randn(3, 100, generator=torch.Generator().manual_seed(0)).abs().neg()
    labels, order = np.zeros(100, dtype=int), np.random.default_rng(0).permutation(100)
    expected = detection.mean_loss(labels, log_p)
    shuffled = detection.mean_loss(labels, log_p[:, order])
    np.testing.assert_array_equal(shuffled.score, expected.score[order])
    assert (shuffled.flagged == expected.flagged[order]).all()


@pytest.mark.parametrize(
    ("log_p", "skip", "message"),
    [
        (torch.zeros(3, 7), 0, r"log_p must have shape \(epochs, 8\), got \(3, 7\)"),
        (torch.zeros(8), 0, r"log_p must have shape \(epochs, 8\), got \(8,\)"),
        (torch.zeros(3, 8), True, r"skip must be in 0\.\.2 for 3 epochs, got True"),
        (torch.full((2, 8), -np.inf), 0, "got NaN or infinity for 8 of 8 samples: a run that diverged"),
    ],
)
def test_wrong_losses_are_named(log_p, skip, message):
    with pytest.raises(ValueError, match=message):
        detection.mean_loss(LABELS, log_p, skip)


# ---- training with threshold samples


def test_the_first_of_two_runs_is_the_only_run_and_the_blocks_are_disjoint():
    one, two = train(1, 300, epochs=2, seed=3), train(2, 300, epochs=2, seed=3)
    assert [len(one), len(two)] == [1, 2]
    assert torch.equal(one[0].margins, two[0].margins)
    assert torch.equal(one[0].mask, two[0].mask)
    assert not (two[0].mask & two[1].mask).any()
    assert two[0].mask.sum() == two[1].mask.sum() == 300 // 11
    assert not torch.equal(two[0].margins, two[1].margins)
    other = train(1, 300, epochs=2, seed=4)[0]
    assert not torch.equal(other.mask, one[0].mask)
    assert not any(torch.equal(other.margins, run.margins) for run in two)  # seeds share no network


def test_a_run_is_fit_on_the_relabelled_samples():
    images, noisy = digits()
    for when in ("train", "eval"):
        run = train(1, 200, epochs=2, seed=1, when=when)[0]
        given, mask = aum.threshold_samples(noisy.labels[:200], 10, seed=1)
        recorder = Recorder(when)
        fit(network(2), images[:200], given, losses.ce(), Recipe(epochs=2, batch_size=32), seed=2,
            recorders=[recorder])  # fmt: skip
        assert torch.equal(run.margins, recorder.margin)
        assert torch.equal(run.mask, mask)


def test_count_is_the_number_of_threshold_samples():
    _, noisy = digits()
    runs = train(2, 200, epochs=1, seed=1, count=5)
    masks = [aum.threshold_samples(noisy.labels[:200], 10, seed=1, count=5, run=r)[1] for r in (0, 1)]
    for run, mask in zip(runs, masks, strict=True):
        assert run.mask.sum() == 5
        assert torch.equal(run.mask, mask)
    default, plain = (train(1, 200, epochs=1, count=count)[0] for count in (200 // 11, None))
    assert torch.equal(default.margins, plain.margins)


def test_every_detector_finds_flipped_digits():
    images, noisy = digits()
    recorder = Recorder("train")
    recipe = Recipe(epochs=8, batch_size=32)
    fit(network(0, 10), images, noisy.labels, losses.ce(), recipe, recorders=[recorder])
    margin = detection.area_under_margin(noisy.labels, train(1), percentile=90)
    mean_loss = detection.mean_loss(noisy.labels, recorder.log_p)
    for found, least in ((margin, 0.7), (mean_loss, 0.8)):
        assert detection_scores(noisy.mask, found.flagged)["f1"] > least
        assert noisy.mask[found.ranking[:100]].double().mean() > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 3}, "runs must be 1 or 2, got 3"),
        ({"runs": 0}, "runs must be 1 or 2, got 0"),
        ({"when": "test"}, 'when must be "train" or "eval", got \'test\''),
        ({"classes": 11}, r"build must make networks of classes \+ 1 = 12 outputs, got 11"),
        ({"classes": 5}, r"labels must be in 0\.\.4"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
        ({"count": 50}, r"count must be in 1\.\.49 for 50 samples, got 50"),
        ({"count": 0}, r"count must be in 1\.\.49 for 50 samples, got 0"),
    ],
)
def test_wrong_runs_are_named(options, message):
    images, noisy = digits()
    arguments = network, images[:50], noisy.labels[:50], losses.ce(), Recipe(epochs=1)
    with pytest.raises(ValueError, match=message):
        list(detection.threshold_runs(*arguments, **{"classes": 10} | options))
