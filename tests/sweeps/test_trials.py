"""One trial: its key, what it is made of, and its record against the steps by hand."""

import dataclasses
import hashlib
import json
import platform

import numpy as np
import pytest
import torch

from robust_lib import data, detection, losses, training
from robust_lib.data import noise, people
from robust_lib.detection import confident, metrics
from robust_lib.sweeps import trials
from robust_lib.sweeps.plans import Trial, obstacles, run
from robust_lib.training import dynamics, models

FEW = {"data": "mnist", "size": "mini", "network": "small_cnn", "recipe": "quick", "samples": 300, "folds": 2}
NOISY = {"noise": "uniform", "rate": 0.3}


def few(detector="mean_loss", seed=0, loss="ce", **more):
    return Trial(**FEW | NOISY | {"loss": loss, "detector": detector, "seed": seed} | more)


def numbers(record):
    """What must repeat: everything but the time it took and when and where."""
    return {
        name: value for name, value in record.items() if name not in ("seconds", "date", "modified", "commit")
    }


# --- keys ---------------------------------------------------------------------------------------------


def test_key_is_the_hash_of_the_told_fields_as_json():
    trial = few("cl", seed=3, loss="gce", params={"q": 0.7}, samples=0, folds=5)
    told = (
        '{"data":"mnist","detector":"cl","loss":"gce","network":"small_cnn","noise":"uniform",'
        '"params":{"q":0.7},"rate":0.3,"recipe":"quick","seed":3.0,"size":"mini"}'
    )
    assert trial.key == hashlib.sha256(told.encode()).hexdigest()[:16] == "eedd9b824c2dce70"


def test_key_does_not_see_order_or_kind_of_number():
    trial = few(
        loss="anl_fl", params={"alpha": 1, "beta": 1, "gamma": 0.5}, changes={"l1": 1e-6, "epochs": 2}
    )
    other = few(
        loss="anl_fl", params={"gamma": 0.5, "beta": 1.0, "alpha": 1.0}, changes={"epochs": 2, "l1": 1e-6}
    )
    assert trial.key == other.key
    assert len({trial, few(loss="anl_fl", params=trial.params, changes=trial.changes)}) == 1


def test_a_new_field_with_a_default_leaves_keys_alone():
    Later = dataclasses.make_dataclass("Later", [("augment", str, "")], bases=(Trial,), frozen=True)
    told = {f.name: getattr(few(), f.name) for f in dataclasses.fields(Trial)}
    assert Later(**told).key == few().key != Later(**told, augment="crop").key


@pytest.mark.parametrize(
    "change",
    [
        {"data": "cifar10"},
        {"size": "full"},
        {"network": "hs_mnist"},
        {"recipe": "hs-mnist"},
        {"loss": "mae"},
        {"detector": "none"},
        {"seed": 1},
        {"noise": "pair"},
        {"rate": 0.2},
        {"params": {"q": 0.7}},
        {"move": "scaled"},
        {"tau": 2.0},
        {"unit_max": True},
        {"delay": 1},
        {"changes": {"l1": 1e-6}},
        {"folds": 3},
        {"runs": 1},
        {"samples": 0},
        {"planted": 0.1, "detector": "cl"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_is_part_of_the_key(change):
    before = few("cl", move="shifted" * ("tau" in change))
    assert dataclasses.replace(before, **change).key != before.key


def test_a_trial_says_what_is_wrong_with_it():
    with pytest.raises(
        ValueError, match="detector must be one of cl, cl_test, aum, mean_loss, none, knn, .*, got 'CL'"
    ):
        few("CL")
    with pytest.raises(ValueError, match="noise must be one of none, uniform, .* got 'gaussian'"):
        few(noise="gaussian")
    with pytest.raises(
        ValueError, match="rate must be 0 for noise 'human:cifar10n-worst', which has its own"
    ):
        few(noise="human:cifar10n-worst")
    with pytest.raises(ValueError, match="move must be scaled, shifted or empty, got 'turned'"):
        few(move="turned")
    with pytest.raises(ValueError, match="seed must be an integer >= 0, got -1"):
        few(seed=-1)
    with pytest.raises(ValueError, match="planted must be 0 for detector 'aum', got 0.1"):
        few("aum", planted=0.1)
    with pytest.raises(ValueError, match="tau must be 0 without a move, got 2.0"):
        few(tau=2.0)
    with pytest.raises(ValueError, match=r"samples must be 0 \(all\) or more, got -5"):
        few(samples=-5)
    for size in ("big", "features-0", "features-7x"):
        with pytest.raises(
            ValueError, match=f"size must be mini, full, features or features-PIXELS, got '{size}'"
        ):
            few(size=size)


# --- what a trial is made of --------------------------------------------------------------------------


def test_losses_are_built_in_the_stated_order():
    delta = torch.linspace(-6, 6, 400)
    moved = few(loss="mae", move="scaled", tau=2.6, unit_max=True, delay=2)
    loss = trials.build_loss(moved, 100)
    assert str(loss.at_epoch(2)) == "ce()"
    torch.testing.assert_close(
        loss.at_epoch(3).weight_at(delta), 4 * losses.mae().scaled(2.6, 100).weight_at(delta)
    )
    mixed = trials.build_loss(few(loss="cv_sce", params={"q": 0.7}), 10)
    p = torch.sigmoid(delta)
    torch.testing.assert_close(mixed.weight_at(delta), (0.3 + 0.7 * p) * (1 - p))  # CV Table 1
    with pytest.raises(ValueError, match="no loss is called 'hinge'"):
        trials.build_loss(few(loss="hinge"), 10)


def test_superclass_noise_of_pairs_changes_the_right_digit():
    matrix = trials.transition_matrix(few(data="mnist_pairs", noise="superclass", rate=0.4), 100)
    for pair in (0, 42, 79):
        flipped = pair // 10 * 10 + (pair + 1) % 10
        assert matrix[pair].nonzero().flatten().tolist() == sorted([pair, flipped])
        assert matrix[pair, flipped] == 0.4


def test_asymmetric_noise_is_patrinis():
    trial = few(data="cifar10", noise="asymmetric", rate=0.2)
    matrix = trials.transition_matrix(trial, 10)
    flips = {(i, j): float(matrix[i, j]) for i in range(10) for j in range(10) if i != j and matrix[i, j]}
    truck, car, bird, plane, deer, horse, cat, dog = 9, 1, 2, 0, 4, 7, 3, 5
    assert flips == dict.fromkeys([(truck, car), (bird, plane), (deer, horse), (cat, dog), (dog, cat)], 0.2)
    torch.testing.assert_close(matrix.sum(1), torch.ones(10, dtype=torch.float64))
    with pytest.raises(ValueError, match="asymmetric noise must go with its own data set, got mnist"):
        trials.transition_matrix(few(noise="asymmetric"), 10)


def test_human_like_noise_comes_from_the_recorded_matrix():
    trial = Trial("cifar10", "mini", "small_cnn", "quick", "ce", "cl", 0, noise="human-like:cifar10n-worst")
    task = trials.Task.of(trial, "cpu")
    torch.testing.assert_close(task.matrix, people.transition_matrix("cifar10n-worst"))
    assert 0.38 < task.wrong.double().mean() < 0.43  # Wei et al.: 0.4021
    with pytest.raises(ValueError, match="cifar10n-worst"):
        trials.transition_matrix(dataclasses.replace(trial, noise="human-like:cifar10n-best"), 10)


def test_changes_reach_the_recipe():
    task = trials.Task.of(few(changes={"l1": 1e-6, "epochs": 2}), "cpu")
    assert task.recipe == dataclasses.replace(training.RECIPES["quick"], l1=1e-6, epochs=2)


# --- records of real trials ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    """The first 300 digits, and their labels under the noise of `few`, by the library's own functions."""
    mini = data.load("mnist")
    noisy = noise.corrupt(mini.labels[:300], noise.uniform(10, 0.3), seed=0)
    return data.to_float(mini.images[:300], "mnist"), mini.labels[:300], noisy


def build(images, extra=0):
    return lambda seed: models.build("small_cnn", images, 10 + extra, seed)


def test_confident_learning_trial_equals_the_steps_by_hand(images):
    pixels, true, noisy = images
    recipe = training.RECIPES["quick"]
    options = {"folds": 2, "seed": 0, "device": "cpu", "progress": False}
    probs = detection.cross_validate(
        build(pixels), pixels, noisy.labels, losses.ce(), recipe, **options
    ).probs
    found = run(few("cl"), "cpu")
    for suffix, method in {"": "both", "_prune_by_class": "prune_by_class"}.items():
        flagged = confident.flag(noisy.labels, probs, method)
        hits = (flagged & noisy.mask.numpy()).sum()
        assert found[f"f1{suffix}"] == pytest.approx(2 * hits / (flagged.sum() + noisy.mask.sum()))
    assert found["recall"] == pytest.approx(
        (confident.flag(noisy.labels, probs) & noisy.mask.numpy()).sum() / noisy.mask.sum()
    )
    assert found["heldout_accuracy"] == pytest.approx(float((probs.argmax(1) == true).double().mean()))
    # AUROC is the share of pairs (wrong, right) in which the wrong one scores lower.
    quality = confident.rank(noisy.labels, probs)
    bad, good = quality[noisy.mask.numpy()], quality[~noisy.mask.numpy()]
    pairs = (bad[:, None] < good).mean() + 0.5 * (bad[:, None] == good).mean()
    assert found["auroc"] == pytest.approx(pairs)
    assert found["states"] == "learning,learning"
    assert found["realised_rate"] == pytest.approx(noisy.rate)


def test_planted_flips_are_scored_apart(images, monkeypatch):
    _, true, noisy = images
    stub = lambda build, images, labels, *_, **__: [stub_run(labels, true)]  # noqa: E731
    monkeypatch.setattr(detection, "cross_validate_together", stub)
    found = run(few("cl", planted=0.2), "cpu")
    more = noise.corrupt(noisy.labels, noise.uniform(10, 0.2), seed=trials.PLANT_SEED)
    planted, wrong = more.mask.numpy(), (more.labels != true).numpy()
    assert 40 < planted.sum() < 80
    assert 0.1 < noisy.mask.numpy()[planted].mean() < 0.5  # not the draws of the noise again
    probs = stub_run(more.labels, true).probs
    flagged = confident.flag(more.labels, probs)
    assert found["planted_recall"] == pytest.approx(flagged[planted].mean())
    assert found["rest_flagged"] == pytest.approx(flagged[~planted].mean())
    hits = (flagged & wrong & ~planted).sum()
    expected = 2 * hits / (flagged[~planted].sum() + wrong[~planted].sum())
    assert found["rest_f1"] == pytest.approx(expected)
    assert found["given_accuracy"] == pytest.approx((probs.argmax(1) == more.labels).double().mean())
    joint = confident.confident_joint(more.labels, probs)
    assert found["estimated_rate"] == pytest.approx((joint.sum() - joint.trace()) / len(true))
    assert "planted_recall" not in run(few("cl"), "cpu")


def stub_run(labels, true):
    """Probabilities of a network that is mostly right about the true labels, in place of a trained one."""
    logits = torch.randn(len(true), 10, generator=torch.Generator().manual_seed(0))
    logits[torch.arange(len(true)), true] += 3
    return detection.CrossValidation(logits.softmax(1), torch.zeros(len(true)), [])


def test_training_trial_equals_the_steps_by_hand(images):
    pixels, _, noisy = images
    test = data.load("mnist", "test")
    recorder = dynamics.Recorder("train")
    fit = training.fit(
        build(pixels)(0),
        pixels,
        noisy.labels,
        losses.mae(),
        training.RECIPES["quick"],
        recorders=[recorder],
        test=(data.to_float(test.images, "mnist"), test.labels),
        device="cpu",
        progress=False,
    )
    found = run(few("none", loss="mae"), "cpu")
    assert found["test_accuracy_curve"] == fit.column("test_accuracy")
    assert found["best_test_accuracy"] == max(found["test_accuracy_curve"])
    assert found["test_accuracy"] == found["test_accuracy_curve"][-1]
    assert found["margin_wrong"] == pytest.approx(float(recorder.delta[-1, noisy.mask].mean()))
    p = torch.sigmoid(recorder.delta)  # MAE's weight is p(1-p), and the learning rate is constant
    weights = p * (1 - p)
    assert found["alpha_t"] == pytest.approx(float(2 * weights.mean()), rel=1e-4)
    assert found["snr"] == pytest.approx(
        float(weights[:, ~noisy.mask].mean() / weights[:, noisy.mask].mean()), rel=1e-4
    )


@pytest.mark.parametrize("detector", ["aum", "mean_loss"])
def test_scores_in_training_find_the_errors_and_lie_apart(detector):
    found = run(few(detector), "cpu")
    assert found["auroc"] > 0.8
    assert found["average_precision"] > found["realised_rate"] + 0.3
    assert found["cohens_d"] > 1
    assert found["wasserstein"] > 0


def test_records_are_flat_repeatable_and_name_no_host():
    trial = few(loss="piecewise_zero", params={"c": 0.02}, delay=1, changes={"l1": 1e-6})
    one, again = run(trial, "cpu"), run(trial, "cpu")
    assert numbers(one) == numbers(again)
    assert [k for k, v in one.items() if not isinstance(v, str | int | float | bool | None)] == []
    assert one["key"] == trial.key
    assert one | {"status": "done", "loss_c": 0.02, "recipe_l1": 1e-6, "delay": 1, "images": 300} == one
    assert one["label"] == "piecewise_zero(c=0.02).delayed(1)"
    assert one["threads"] == 1
    assert one["torch"] == torch.__version__.partition("+")[0] or one["torch"] == torch.__version__
    assert json.loads(json.dumps(one, allow_nan=False)) == one
    host = platform.node()
    assert len(host) < 4 or host not in json.dumps(one)


def test_without_wrong_labels_nothing_can_be_ranked():
    found = run(few("mean_loss", noise="none", rate=0.0), "cpu")
    assert found["realised_rate"] == 0
    assert {found[name] for name in ("auroc", "average_precision", "cohens_d", "wasserstein")} == {None}
    found = run(few("none", noise="none", rate=0.0, loss="nce"), "cpu")
    assert {found[name] for name in ("snr", "alpha_t", "margin_wrong")} == {None}


def test_errors_of_a_test_set_are_looked_for_in_the_test_set(monkeypatch):
    """With the verdicts' files faked: 40 of the mini pack's test images are said to be mislabelled."""
    places = data.load("mnist", "test").index[:40].numpy()
    said = people.LabelErrors("mnist", places, *[np.zeros(40, int)] * 6, np.zeros(0, int), None)
    monkeypatch.setattr(people, "load_label_errors", lambda name: said)
    monkeypatch.setattr(trials, "_have", lambda collection: True)
    seen = []
    real = trials._cl_scores
    monkeypatch.setattr(trials, "_cl_scores", lambda *given: seen.append(given) or real(*given))
    found = run(few("cl_test", samples=1000), "cpu")
    labels, true, probs = seen[0]
    assert len(labels) == len(true) == len(probs) == 960
    assert 0.2 < (labels != true).double().mean() < 0.4
    assert found["heldout_accuracy"] > 0.7
    assert found["f1"] > 0.6


def test_test_sets_that_nobody_judged_keep_all_images(monkeypatch):
    seen = []
    real = trials._cl_scores
    monkeypatch.setattr(trials, "_cl_scores", lambda *given: seen.append(given) or real(*given))
    monkeypatch.setattr(trials, "_have", lambda collection: False)
    trial = few("cl_test", data="mnist_pairs")
    assert obstacles(trial) == []
    run(trial, "cpu")
    labels, true, probs = seen[0]
    assert probs.shape == (1000, 100)
    assert 0.2 < (labels != true).double().mean() < 0.4


# --- what is missing ----------------------------------------------------------------------------------


def test_obstacles_are_all_named():
    trial = Trial("cifar100", "mini", "vgg", "slow", "ce", "cl", 0)
    assert obstacles(trial) == ["no mini pack of cifar100", "no network vgg", "no recipe slow"]
    with pytest.raises(
        ValueError, match="cannot run cifar100 none ce.*: no mini pack of cifar100; no network"
    ):
        run(trial)
    assert obstacles(few()) == []


def test_human_labels_and_verdicts_need_their_files(monkeypatch):
    monkeypatch.setattr(trials, "_have", lambda collection: False)
    human = Trial("cifar10", "full", "small_cnn", "quick", "ce", "cl", 0, noise="human:cifar10n-worst")
    assert obstacles(human) == ["no files of cifar-n"]
    assert obstacles(few("cl_test")) == ["no files of label-errors"]


def test_attempt_records_the_error():
    (record,) = trials.attempt([few(params={"beta": 1})], "cpu")
    assert record["status"] == "failed"
    assert record["error"].startswith("TypeError: ")
    assert record["key"] == few(params={"beta": 1}).key
    assert record["device"]


def test_one_float_copy_of_the_images_is_made_for_a_trial():
    one = trials.images_of("mnist", "train", "mini", torch.device("cpu"))[0]
    other = trials.images_of("mnist", "train", "mini", torch.device("cpu"))[0]
    assert one.data_ptr() != other.data_ptr()  # nothing keeps it beyond the trial
    assert torch.equal(one, other)
    assert trials.load("mnist", "train", "mini").images.dtype == torch.uint8


def test_metrics_of_the_record_are_those_of_metrics():
    """The plain names belong to prune method "both"."""
    found = run(few("cl"), "cpu")
    assert metrics.detection_scores(torch.ones(2).bool(), torch.ones(2).bool()).keys() <= found.keys()


# --- trials on features, many at once -----------------------------------------------------------------

HEADS = {"data": "cifar10", "size": "features", "network": "linear", "recipe": "features", "samples": 1000}


def head(loss="ce", detector="cl", seed=0, **more):
    return Trial(**HEADS | NOISY | {"loss": loss, "detector": detector, "seed": seed, "folds": 2} | more)


def test_neighbours_in_a_list_form_companies():
    alike = [
        head(),
        head("mae", move="shifted", tau=2.0),
        head("anl_ce", changes={"l1": 1e-6}),
        head(delay=1),
    ]
    others = [head(seed=1), head("mae", detector="aum"), head(changes={"epochs": 2}), few(), few(loss="mae")]
    listed = [*alike, *others, head("gce")]
    groups = trials.companies(listed)
    assert [len(group) for group in groups] == [4, 1, 1, 1, 1, 1, 1]
    assert [trial for group in groups for trial in group] == listed
    many = [head("gce", params={"q": k / 100}) for k in range(1, 95)]
    assert [len(group) for group in trials.companies(many)] == [40, 40, 14]


@pytest.mark.parametrize("detector", ["cl", "cl_test", "aum", "mean_loss", "none"])
def test_each_of_a_company_has_its_own_numbers(detector, monkeypatch):
    monkeypatch.setattr(trials, "_judged", lambda trial: False)
    company = [head("ce", detector), head("mae", detector), head("anl_ce", detector, changes={"l1": 1e-4})]
    together = trials.run_together(company, "cpu")
    for trial, found in zip(company, together, strict=True):
        alone = run(trial, "cpu")
        assert found.keys() - alone.keys() == {"trained_together"}
        assert found["trained_together"] == 3
        assert (found["backbone"], found["pack_md5"]) == (data.BACKBONE, data.PACK_MD5["cifar10"])
        for name, value in numbers(alone).items():
            numeric = isinstance(value, float | list)
            assert found[name] == (pytest.approx(value, abs=0.02, rel=0.02) if numeric else value), name
    names = {"aum": "auroc", "mean_loss": "auroc", "none": "test_accuracy"}
    assert len({record[names.get(detector, "f1")] for record in together}) == 3


def test_the_failed_of_a_company_is_recorded_and_the_others_run(monkeypatch):
    company = [head("ce"), head("gce", params={"q": -1.0}), head("mae")]
    records = trials.attempt(company, "cpu")
    assert [record["status"] for record in records] == ["done", "failed", "done"]
    assert [record["key"] for record in records] == [trial.key for trial in company]
    assert "q must lie" in records[1]["error"]


def test_alpha_curve_is_the_mean_weight_as_the_batches_came():
    trial = head("mae", "none")
    task, seen = trials.Task.of(trial, "cpu"), []

    class Arriving(dynamics.Recorder):
        def batch(self, epoch, indices, logits, targets):
            super().batch(epoch, indices, logits, targets)
            p = torch.softmax(logits.detach(), 1)[torch.arange(len(targets)), targets]
            seen.append(2 * p * (1 - p))

    fit = training.fit(
        task.build(0), task.images, task.labels, task.loss, task.recipe, recorders=[Arriving()], device="cpu"
    )
    expected = torch.cat(seen).view(10 * len(fit.history), 100).mean(1)
    assert run(trial, "cpu")["alpha_curve"] == pytest.approx(expected.tolist(), rel=1e-3)


@pytest.mark.parametrize("detector", trials.TRAINING_FREE)
def test_detectors_that_train_nothing_beat_chance_on_features(detector):
    trial = head("none", detector, network="none", recipe="none")
    found = run(trial, "cpu")
    assert found["auroc"] > 0.8
    assert (found["loss"], found["label"]) == ("none", "none")
    assert ("f1_disagreement" in found) == (detector == "knn")
    assert obstacles(dataclasses.replace(trial, size="mini")) == [f"no features for {detector}"]
