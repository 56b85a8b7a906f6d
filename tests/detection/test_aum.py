import random

import numpy as np
import pytest
import torch
from aum import AUMCalculator

from robust_lib.data.noise import corrupt, uniform
from robust_lib.detection import aum
from robust_lib.detection.metrics import detection_scores
from robust_lib.losses import weights


def epochs_of_batches(samples, epochs, batch, seed):
    """Shuffled index batches; a last batch of one is merged, since the package crashes there."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        batches = list(torch.randperm(samples, generator=generator).split(batch))
        if len(batches[-1]) == 1:
            batches[-2:] = [torch.cat(batches[-2:])]
        yield from batches


# ---- margin


def test_margin_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [-1.0, -1.0, -5.0], [0.0, 7.0, 7.0]])
    targets = torch.tensor([0, 1, 1, 2])
    assert weights.hard_margin(logits, targets).tolist() == [1, -2, 0, 0]


def test_margin_is_positive_exactly_where_the_label_leads():
    logits = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(1000) % 10
    assert (weights.hard_margin(logits, targets) > 0).equal(logits.argmax(1) == targets)


def test_margin_ignores_a_shift_and_scales_with_the_logits():
    logits = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(50) % 4
    expected = weights.hard_margin(logits, targets)
    torch.testing.assert_close(weights.hard_margin(logits + 100, targets), expected, rtol=0, atol=1e-12)
    assert weights.hard_margin(4 * logits, targets).equal(4 * expected)


def test_margin_leaves_the_logits_alone_and_takes_extreme_ones():
    logits = torch.tensor([[1e4, -1e4], [float("-inf"), 0.0], [3e38, -3e38]])
    before = logits.clone()
    assert weights.hard_margin(logits, torch.tensor([0, 1, 1])).tolist() == [2e4, float("inf"), float("-inf")]
    assert logits.equal(before)


def test_margin_has_a_gradient():
    logits = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    weights.hard_margin(logits, torch.tensor([1])).sum().backward()
    assert logits.grad.tolist() == [[-1, 1, 0]]


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ((4, 1), (4,), r"logits must have shape \(samples, 2 classes or more\), got \(4, 1\)"),
        ((4,), (4,), r"logits must have shape .* got \(4,\)"),
        ((4, 3), (5,), r"targets must have shape \(4,\) like logits, got \(5,\)"),
        ((4, 3), (4, 1), r"targets must have shape \(4,\) like logits, got \(4, 1\)"),
    ],
)
def test_wrong_margins(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        weights.hard_margin(torch.zeros(logits), torch.zeros(targets, dtype=torch.int64))


# ---- area


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("samples", "classes", "batch"), [(300, 10, 64), (193, 2, 64), (120, 101, 7)])
def test_equal_to_the_package_to_the_last_bit(tmp_path, dtype, samples, classes, batch):
    generator = torch.Generator().manual_seed(2)
    targets = torch.randint(classes, (samples,), generator=generator)
    package, ours = AUMCalculator(tmp_path), aum.AreaUnderMargin(samples)
    for indices in epochs_of_batches(samples, epochs=5, batch=batch, seed=3):
        logits = (torch.randn(len(indices), classes, generator=generator) * 10).to(dtype)
        records = package.update(logits, targets[indices], indices.tolist())
        margins = [records[index].margin for index in indices.tolist()]
        assert weights.hard_margin(logits, targets[indices]).tolist() == margins
        ours.update(logits, targets[indices], indices)
    expected = [package.sums[index] / package.counts[index] for index in range(samples)]
    assert ours.values().dtype == torch.float64
    assert ours.values().tolist() == expected
    assert ours.counts.tolist() == [5] * samples


def test_sums_are_kept_in_float64():
    ours = aum.AreaUnderMargin(1)
    for value in [1e8, *[1.0] * 100, -1e8]:
        ours.update(torch.tensor([[value, 0.0]]), torch.tensor([0]), torch.tensor([0]))
    assert ours.values().item() == 100 / 102  # float32 would lose every 1


def test_area_by_hand_with_samples_seen_unequally_often_and_a_batch_of_one():
    ours = aum.AreaUnderMargin(4)
    ours.update(torch.tensor([[3.0, 1.0], [0.0, 5.0]]), torch.tensor([0, 0]), torch.tensor([2, 0]))
    ours.update(torch.tensor([[1.0, 2.0]]), torch.tensor([0]), torch.tensor([2]))
    ours.update(torch.tensor([[4.0, 4.0], [0.0, 1.0]]), torch.tensor([1, 1]), torch.tensor([0, 3]))
    values = ours.values()
    assert values[[0, 2, 3]].tolist() == [-2.5, 0.5, 1]
    assert values.isnan().tolist() == [False, True, False, False]


def test_an_update_keeps_no_graph():
    ours = aum.AreaUnderMargin(2)
    logits = torch.ones(2, 3, requires_grad=True)
    ours.update(logits, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert not ours.values().requires_grad


def test_wrong_updates():
    ours = aum.AreaUnderMargin(5)
    with pytest.raises(ValueError, match=r"indices must have shape \(4,\) like targets, got \(3,\)"):
        ours.update(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), torch.arange(3))
    with pytest.raises(ValueError, match=r"targets must have shape \(4,\)"):
        ours.update(torch.zeros(4, 3), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    assert ours.counts.sum() == 0
    with pytest.raises(ValueError, match="samples must be an integer >= 1, got 0"):
        aum.AreaUnderMargin(0)


# ---- threshold samples


def test_threshold_samples_take_the_extra_class_and_nothing_else_changes():
    labels = torch.arange(1000) % 10
    relabelled, mask = aum.threshold_samples(labels, classes=10, seed=0)
    assert mask.sum() == 1000 // 11
    assert (relabelled[mask] == 10).all()
    assert relabelled[~mask].equal(labels[~mask])
    assert labels.equal(torch.arange(1000) % 10)


def test_the_default_makes_the_extra_class_as_large_as_the_others():
    counts = aum.threshold_samples(torch.arange(50_000) % 100, classes=100, seed=1)[0].bincount()
    assert counts[100] == 495
    assert counts.double().mean() == pytest.approx(495, abs=0.1)


def test_threshold_samples_are_chosen_evenly():
    labels = torch.arange(1000) % 10
    chosen = sum(aum.threshold_samples(labels, 10, seed, count=100)[1].double() for seed in range(400))
    # Each sample is in 40 of 400 draws on average, sd 6.
    assert chosen.sum() == 40_000
    assert (chosen - 40).abs().max() < 5 * 6
    assert chosen.std() == pytest.approx(6, rel=0.1)


def test_runs_take_disjoint_blocks_of_one_permutation():
    labels = torch.arange(103) % 10
    masks = [aum.threshold_samples(labels, 10, seed=2, count=20, run=r)[1] for r in range(5)]
    assert [int(mask.sum()) for mask in masks] == [20] * 5
    assert torch.stack(masks).sum(0).max() == 1
    twice = aum.threshold_samples(labels, 10, seed=2, count=40)[1]
    assert (masks[0] | masks[1]).equal(twice)
    assert masks[0].equal(aum.threshold_samples(labels, 10, seed=2, count=20)[1])
    for run in (5, -1, 0.5):
        with pytest.raises(ValueError, match=rf"run must be in 0\.\.4 for 20 of 103 samples, got {run}"):
            aum.threshold_samples(labels, 10, seed=2, count=20, run=run)


def test_threshold_samples_depend_on_the_seed_alone():
    labels = torch.arange(200) % 4
    torch.manual_seed(0)
    first = aum.threshold_samples(labels, 4, seed=5)
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = aum.threshold_samples(labels, 4, seed=5)
    assert first[0].equal(again[0])
    assert torch.get_rng_state().equal(state[0])
    assert (np.random.get_state()[1] == state[1]).all()
    assert not aum.threshold_samples(labels, 4, seed=6)[1].equal(first[1])


def test_recorded_threshold_samples():
    # Recorded once: a change of the stream changes published numbers.
    mask = aum.threshold_samples(torch.zeros(30, dtype=torch.int64), 2, seed=0, count=5)[1]
    assert mask.nonzero().flatten().tolist() == [4, 10, 15, 22, 27]


@pytest.mark.parametrize("count", [0, -1, 20, 21])
def test_wrong_counts(count):
    with pytest.raises(ValueError, match=rf"count must be in 1\.\.19 for 20 samples, got {count}"):
        aum.threshold_samples(torch.arange(20) % 2, 2, seed=0, count=count)


def test_too_few_samples_for_the_default_count():
    with pytest.raises(ValueError, match="for 10 samples, got 0"):
        aum.threshold_samples(torch.arange(10), 10, seed=0)


def test_wrong_threshold_labels():
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.8, got 0 to 9"):
        aum.threshold_samples(torch.arange(10), 9, seed=0, count=1)
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        aum.threshold_samples(torch.arange(10), 10, seed=-1, count=1)


# ---- judging


def test_threshold_is_the_percentile_of_the_threshold_samples():
    values = torch.cat([torch.arange(101.0), torch.tensor([1e6, -1e6])])
    mask = torch.arange(103) < 101
    assert aum.threshold(values, mask) == 99
    assert aum.threshold(values, mask, percentile=0) == 0
    assert aum.threshold(values, mask, percentile=100) == 100
    assert aum.threshold(values, mask, percentile=50.5) == 50.5


def test_one_run_from_end_to_end():
    """Samples pulled towards their true class: a linear model on clusters, a tenth of the labels wrong."""
    torch.manual_seed(0)
    true = torch.arange(1200) % 4
    features = 6 * torch.eye(4)[true] + torch.randn(1200, 4)
    corruption = corrupt(true, uniform(4, 0.1), seed=0)
    labels, mask = aum.threshold_samples(corruption.labels, 4, seed=0)
    weights, area = torch.zeros(4, 5, requires_grad=True), aum.AreaUnderMargin(1200)
    for indices in epochs_of_batches(1200, epochs=10, batch=100, seed=0):
        logits = features[indices] @ weights
        area.update(logits, labels[indices], indices)
        loss = torch.nn.functional.cross_entropy(logits, labels[indices])
        weights.data -= 0.5 * torch.autograd.grad(loss, weights)[0]
    judged = ~mask
    flagged = area.values() < aum.threshold(area.values(), mask)
    scores = detection_scores(corruption.mask[judged], flagged[judged])
    assert scores["f1"] > 0.95


@pytest.mark.parametrize(
    ("values", "mask", "percentile", "message"),
    [
        ([1.0, 2.0], [True, False, True], 99, r"must be \(samples,\), the mask bool, got \(2,\) and \(3,\)"),
        ([1.0, 2.0], [1, 0], 99, r"the mask bool, got .* of torch.int64"),
        ([1.0, 2.0], [False, False], 99, "threshold_mask must mark at least one sample, got none"),
        ([1.0, 2.0], [True, False], 101, r"percentile must be in 0\.\.100, got 101"),
        ([1.0, 2.0], [True, False], -0.5, r"percentile must be in 0\.\.100, got -0.5"),
        ([float("nan"), 2.0], [True, False], 99, "got NaN for 1 of 1 samples"),
    ],
)
def test_wrong_judgements(values, mask, percentile, message):
    with pytest.raises(ValueError, match=message):
        aum.threshold(torch.tensor(values), torch.tensor(mask), percentile)
