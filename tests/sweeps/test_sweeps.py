"""Trials, records, executors and the named sweeps; trials are real ones on a few hundred packed images."""

import dataclasses
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from robust_lib import __main__ as cli
from robust_lib import data, detection, losses, training
from robust_lib.data import noise, people
from robust_lib.detection import confident, metrics
from robust_lib.papers import reported
from robust_lib.sweeps import executors, plans, trials
from robust_lib.sweeps.plans import SWEEPS, Trial, obstacles, read, run
from robust_lib.training import dynamics, models

FEW = {"data": "mnist", "size": "mini", "network": "small_cnn", "recipe": "quick", "samples": 300, "folds": 2}
NOISY = {"noise": "uniform", "rate": 0.3}


def few(detector="mean_loss", seed=0, loss="ce", **more):
    return Trial(**FEW | NOISY | {"loss": loss, "detector": detector, "seed": seed} | more)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    assert dataclasses.replace(few("cl"), **change).key != few("cl").key


def test_a_trial_says_what_is_wrong_with_it():
    with pytest.raises(
        ValueError, match="detector must be one of cl, cl_test, aum, mean_loss, none, got 'CL'"
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
    monkeypatch.setattr(
        detection, "cross_validate", lambda build, images, labels, *_, **__: stub_run(labels, true)
    )
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
    record = trials.attempt(few(params={"beta": 1}), "cpu")
    assert record["status"] == "failed"
    assert record["error"].startswith("TypeError: ")
    assert record["key"] == few(params={"beta": 1}).key
    assert record["device"]


# --- the named sweeps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_list_distinct_trials_and_small_ones_can_run(name):
    sweep = SWEEPS[name]
    listed = sweep.trials("paper", seeds=2)
    assert len(listed) == 2 * len(sweep.trials("paper", seeds=1)) == len({t.key for t in listed})
    cells = {}
    for trial in listed:
        cells.setdefault(dataclasses.replace(trial, seed=0).key, []).append(trial.seed)
    assert set(map(tuple, cells.values())) == {(0, 1)}
    lacks = {reason for trial in listed for reason in obstacles(trial)}
    assert lacks <= {"no files of cifar-n", "no files of label-errors"}
    small = sweep.trials("small")
    assert [t for t in small if obstacles(t)] == []
    assert {t.size for t in small} == {"mini"}
    for trial in {t.loss: t for t in small}.values():
        trials.Task.of(trial, "cpu")  # data, noise, loss and recipe go together


def test_unknown_scale_is_named():
    with pytest.raises(ValueError, match="scale must be one of paper, small, got 'tiny'"):
        SWEEPS["hs-fig8"].trials("tiny")


def test_detectors_sweep_is_complete():
    small = SWEEPS["detectors"].trials("small")
    assert len(small) == 8 * 3 * 5
    labels = {(t.loss, t.params) for t in small}
    assert ("blurry", (("gamma", 0.4), ("stop_gradient", False))) in labels
    assert ("blurry", (("gamma", 0.4), ("stop_gradient", True))) in labels
    assert {t.changes for t in small if t.loss.startswith("anl")} == {(("l1", 1e-6),)}
    assert {(t.delay, t.params) for t in small if t.loss == "piecewise_zero"} == {(1, (("c", 0.02),))}


@pytest.mark.parametrize("name", ["mnist", "fashion", "cifar10", "cifar100"])
def test_grids_hold_every_value_that_the_paper_reports(name):
    """Each cell of HS Table 1 and 2 has its trials: γ in both gradients, c with a delay of one epoch."""
    listed = SWEEPS[f"hs-table1-{name}"].trials("paper", seeds=1)
    have = {(t.rate, t.loss, dict(t.params).get("gamma", dict(t.params).get("c"))) for t in listed}
    data_name = listed[0].data
    cells = [
        c for table in ("HS Table 1", "HS Table 2") for c in reported.table(table) if c.data == data_name
    ]
    assert len(cells) == 56
    loss_of = {"CE": "ce", "FL": "focal", "GCE": "gce", "ANL-CE": "anl_ce", "ANL-FL": "anl_fl"}
    loss_of |= {"BL": "blurry", "PZ": "piecewise_zero"}
    value = {"focal": 2.0, "anl_fl": 0.5}
    wanted = {(c.rate, loss_of[c.loss], c.value or value.get(loss_of[c.loss])) for c in cells}
    assert wanted - have == set()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_what_the_paper_prints_runs_before_its_grid(name):
    sweep = SWEEPS["hs-table1-" + name.removesuffix("_mnist")]
    listed = sweep.trials("paper")
    cells = [c for c in reported.table("HS Table 1") if c.data == name]
    best = {(c.rate, c.parameter): c.value for c in cells if c.parameter}

    def is_printed(trial):
        params = dict(trial.params)
        if trial.loss == "blurry":
            return params["gamma"] == best[trial.rate, "gamma"]
        return trial.loss != "piecewise_zero" or params["c"] == best[trial.rate, "c"]

    for seed in (0, 1):
        block = listed[32 * seed : 32 * seed + 32]  # seven losses, Blurry with both gradients, four rates
        assert {trial.seed for trial in block} == {seed}
        assert all(map(is_printed, block))
    assert len({trial.key for trial in listed}) == len(listed) == 20 * 4 * len(plans._grid(name))
    assert [trial.seed for trial in listed[64:]] == sorted(trial.seed for trial in listed[64:])


def test_both_readings_of_the_recipe_differ_as_stated():
    ours, theirs = (training.RECIPES[name] for name in plans.RECIPES)
    assert (ours.batch_size, ours.lr, ours.epochs) == (128, 1e-3, 10)
    assert (theirs.batch_size, theirs.lr, theirs.epochs) == (64, 1e-4, 10)
    assert len(SWEEPS["recipe"].trials()) == 2 * 2 * 4
    runs = SWEEPS["blurry-gradient"].trials()
    assert len(runs) == 2**6
    assert {(t.delay, dict(t.params)["stop_gradient"]) for t in runs} == {
        (d, s) for d in (0, 1) for s in (False, True)
    }


def test_cv_tables_have_every_reported_cell():
    listed = SWEEPS["cv-table3"].trials("paper", seeds=1)
    taus = {(t.noise, t.rate, t.loss, t.move): t.tau for t in listed if t.move}
    assert len(taus) == 40
    assert taus["uniform", 0.8, "mae", "scaled"] == 4.0
    assert taus["human:cifar100n-fine", 0.0, "agce", "shifted"] == 4.0
    assert all(t.unit_max for t in listed)
    params = [dict(t.params) for t in SWEEPS["cv-table2"].trials("paper", seeds=1) if t.data == "cifar100"]
    printed = {(c.loss, c.metric): c.mean for c in reported.table("CV Table 8")}
    for (loss, name), mean in printed.items():
        assert any(row.get(name) == mean for row in params), (loss, name)


def test_fig8_shares_its_trials_with_table1():
    fig8 = {t.key for t in SWEEPS["hs-fig8"].trials("paper", seeds=1)}
    table1 = {
        t.key for name in ("mnist", "cifar100") for t in SWEEPS[f"hs-table1-{name}"].trials("paper", seeds=1)
    }
    assert fig8 == table1


# --- files of records ---------------------------------------------------------------------------------


# --- running a sweep ----------------------------------------------------------------------------------


def stand_in(trial, device):
    """In place of `attempt`, where a test is about what happens around it."""
    if trial.seed == 99:
        return {"key": trial.key, "status": "failed", "error": "ValueError: no", "seconds": 0.0}
    return {"key": trial.key, "status": "done", "seconds": 0.1, "f1": trial.seed / 10, "device": device}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.jsonl"


def recorded(path):
    return {record["key"]: record for record in read(path.stem, folder=path.parent)}


def keys(path):
    return [json.loads(text)["key"] for text in path.read_text().splitlines()]


def test_a_sweep_resumes_where_it_stopped(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed, said = [few(seed=seed) for seed in range(5)], []
    assert executors.run_sweep(listed, path, limit=2, report=said.append) == {
        "done": 2,
        "failed": 0,
        "left out": 0,
    }
    assert executors.run_sweep(listed, path, report=said.append)["done"] == 3
    assert executors.run_sweep(listed, path, report=said.append)["done"] == 0
    assert keys(path) == [trial.key for trial in listed]
    assert said[0].endswith("0 of 5 trials recorded, 5 to run")
    line_of_first = " ".join(said[1].split())
    assert line_of_first == "1/2 0.1 s mnist uniform 0.3 ce() mean_loss seed 0 f1 0.000 left 00:00"
    assert said[3].endswith("2 of 5 trials recorded, 3 to run")
    assert said[-1].endswith("5 of 5 trials recorded, 0 to run")


def test_failed_trials_are_recorded_and_run_again_only_on_request(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed, said = [few(seed=1), few(seed=99), few(seed=2)], []
    assert executors.run_sweep(listed, path, report=said.append) == {"done": 2, "failed": 1, "left out": 0}
    assert "FAILED ValueError: no" in said[2]
    assert executors.run_sweep(listed, path, report=said.append)["failed"] == 0
    monkeypatch.setattr(
        executors, "attempt", lambda trial, device: stand_in(trial, device) | {"status": "done", "f1": 1.0}
    )
    assert executors.run_sweep(listed, path, report=said.append, retry_failed=True)["done"] == 1
    assert [r["status"] for r in recorded(path).values()] == ["done"] * 3


def test_ctrl_c_keeps_what_has_finished_and_frees_the_file(path, monkeypatch):
    def interrupted(trial, device):
        if trial.seed == 2:
            raise KeyboardInterrupt
        return stand_in(trial, device)

    monkeypatch.setattr(executors, "attempt", interrupted)
    listed = [few(seed=seed) for seed in range(4)]
    with pytest.raises(KeyboardInterrupt):
        executors.run_sweep(listed, path, report=str)
    assert keys(path) == [trial.key for trial in listed[:2]]
    monkeypatch.setattr(executors, "attempt", stand_in)
    assert executors.run_sweep(listed, path, report=str)["done"] == 2


class Answering(Executor):
    """An executor whose futures fail by its own fault."""

    def __init__(self, error):
        self.error = error

    def submit(self, function, trial, device):
        future = Future()
        future.set_exception(self.error) if trial.seed == 1 else future.set_result(stand_in(trial, device))
        return future


def test_a_dead_worker_stops_the_sweep_with_what_to_do(path, monkeypatch):
    monkeypatch.setattr(executors, "InProcess", lambda: Answering(BrokenProcessPool("died")))
    with pytest.raises(RuntimeError, match="a worker process died .* the same command goes on"):
        executors.run_sweep([few(seed=seed) for seed in range(3)], path, report=str)
    assert keys(path) == [few(seed=0).key]


def test_a_task_that_its_cluster_gives_up_is_recorded_as_failed(path, monkeypatch):
    monkeypatch.setattr(executors, "InProcess", lambda: Answering(OSError("four workers died")))
    counts = executors.run_sweep([few(seed=seed) for seed in range(3)], path, report=str)
    assert counts == {"done": 2, "failed": 1, "left out": 0}
    assert recorded(path)[few(seed=1).key]["error"] == "OSError: four workers died"


def test_an_error_that_spoils_the_gpu_stops_the_sweep_once(path, monkeypatch):
    def broken(trial, device="auto"):
        if trial.seed == 1:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return stand_in(trial, device)

    monkeypatch.setattr(trials, "run", broken)
    listed = [few(seed=seed) for seed in range(3)]
    with pytest.raises(RuntimeError, match="a GPU error has spoiled the process .* with the other trials"):
        executors.run_sweep(listed, path, report=str)
    assert [r["status"] for r in recorded(path).values()] == ["done", "failed"]
    assert executors.run_sweep(listed, path, report=str)["done"] == 1  # the third, not the culprit again


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
        "q must be",
    ],
)
def test_other_errors_are_the_trials_own(text, monkeypatch):
    def broken(trial, device):
        raise RuntimeError(text)

    monkeypatch.setattr(trials, "run", broken)
    assert trials.attempt(few())["status"] == "failed"


def test_a_finished_sweep_asks_for_no_data(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed = [few(seed=seed) for seed in range(2)]
    executors.run_sweep(listed, path, report=str)

    def gone(*arguments):
        raise AssertionError("data were asked for")

    monkeypatch.setattr(executors, "_refused", gone)
    assert executors.run_sweep(listed, path, report=str) == {"done": 0, "failed": 0, "left out": 0}


def test_data_for_a_cluster_are_not_looked_for_here(path, monkeypatch):
    @contextmanager
    def cluster(where):
        yield executors.InProcess(), None

    monkeypatch.setattr(executors, "attempt", stand_in)
    monkeypatch.setattr(executors, "executor", cluster)
    monkeypatch.setattr(executors, "_refused", lambda *arguments: "not here")
    assert executors.run_sweep([few()], path, "dask:tcp://a", report=str)["done"] == 1
    assert executors.run_sweep([few(seed=1)], path, "local", report=str)["left out"] == 1


def test_one_float_copy_of_the_images_is_made_for_a_trial():
    one = trials.images_of("mnist", "train", "mini", torch.device("cpu"))[0]
    other = trials.images_of("mnist", "train", "mini", torch.device("cpu"))[0]
    assert one.data_ptr() != other.data_ptr()  # nothing keeps it beyond the trial
    assert torch.equal(one, other)
    assert trials._loaded("mnist", "train", size="mini").images.dtype == torch.uint8


def test_trials_that_lack_something_are_left_out_and_counted(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)

    def absent(name, split="train", size="mini"):
        if size == "full":
            raise data.DataError(f"{name} cannot be had")

    monkeypatch.setattr(data, "load", absent)
    executors._refused.cache_clear()
    listed, said = [few(), few(network="vgg"), few(size="full"), few(size="full", seed=1)], []
    assert executors.run_sweep(listed, path, report=said.append) == {"done": 1, "failed": 0, "left out": 3}
    assert said[:2] == ["left out, no network vgg: 1 trials", "left out, mnist cannot be had: 2 trials"]
    executors._refused.cache_clear()


def test_what_another_sweep_recorded_is_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    make = lambda seeds, scale: [few(seed=seed) for seed in range(seeds)]  # noqa: E731
    monkeypatch.setitem(SWEEPS, "one", plans.Sweep("one", "", {"small": 3}, make))
    monkeypatch.setitem(SWEEPS, "two", plans.Sweep("two", "", {"small": 4}, make))
    options = {"folder": tmp_path, "report": str}
    assert executors.run_named("one", "small", **options)["done"] == 3
    monkeypatch.setattr(executors, "attempt", lambda trial, device: stand_in(trial, device) | {"f1": -1.0})
    assert executors.run_named("two", "small", **options)["done"] == 1
    assert [r["f1"] for r in read("two", "small", tmp_path)] == [0.0, 0.1, 0.2, -1.0]
    assert executors.run_named("two", "small", seeds=2, network="hs_mnist", **options)["done"] == 2
    monkeypatch.setattr(executors, "SWEEPS", {"two": SWEEPS["two"]})
    assert executors.run_named("two", "small", **options)["done"] == 0


def test_executors_are_named():
    for wrong in ("threads", "processes:0", "processes:many", "dask:", "local:2"):
        with (
            pytest.raises(ValueError, match='executor must be "local", "processes"'),
            executors.executor(wrong),
        ):
            pass


def test_cards_follow_cuda_visible_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert executors._cards() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert executors._cards() == []


# --- real processes -----------------------------------------------------------------------------------

DRIVER = """
import json, sys
from multiprocessing import active_children
from pathlib import Path
from robust_lib.sweeps import executors
from robust_lib.sweeps import Trial

def report(text):
    print(json.dumps([child.pid for child in active_children()]), text, flush=True)
    if "1/3" in text:
        sys.stdin.read()  # until the kill, which so comes in time on any machine

if __name__ == "__main__":
    listed = [Trial(**told) for told in json.loads(sys.argv[1])]
    executors.run_sweep(listed, Path(sys.argv[2]), sys.argv[3], report=report)
"""


def alive(pid):
    """Whether the process runs; a zombie, which waits for init to notice it, does not."""
    try:
        os.kill(pid, 0)
        return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout[
            :1
        ] not in ("", "Z")
    except ProcessLookupError:
        return False


def start_driver(tmp_path, listed, path, where):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    told = json.dumps([{f.name: getattr(t, f.name) for f in dataclasses.fields(t)} for t in listed])
    here = str(Path(executors.__file__).parents[2])
    search = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": search, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), told, str(path), where]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def test_kill_9_then_resume_equals_an_uninterrupted_run(tmp_path):
    """A real sweep in worker processes, killed after its first record: nothing recorded is lost, the workers
    end, and the resumed file has the same keys and numbers as one that was never interrupted."""
    path, other = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    listed = [few("none", seed=seed) for seed in range(3)]
    process = start_driver(tmp_path, listed, path, "processes:1")
    for text in process.stdout:
        workers, words = json.loads(text.partition("]")[0] + "]"), text.split()
        if "1/3" in words:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    done = keys(path)
    assert 1 <= len(done) < 3
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not any(map(alive, workers))

    counts = executors.run_sweep(listed, path, device="cpu", report=str)
    assert counts == {"done": 3 - len(done), "failed": 0, "left out": 0}
    executors.run_sweep(listed, other, device="cpu", report=str)
    killed, whole = (recorded(p) for p in (path, other))
    assert list(killed) == keys(path) == [trial.key for trial in listed]
    assert {k: numbers(r) for k, r in killed.items()} == {k: numbers(r) for k, r in whole.items()}


def test_a_dask_cluster_that_loses_a_worker_records_every_trial_once(tmp_path):
    listed, path = [few(seed=seed) for seed in range(6)], tmp_path / "dask.jsonl"
    here = str(Path(executors.__file__).parents[2])
    search = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    where = tmp_path / "scheduler.json"
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--scheduler-file", str(where), "--no-dashboard"]
    dask = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_scheduler", *options, "--port", "0"]
    started = [subprocess.Popen(dask, **quiet)]
    try:
        while not where.exists():
            assert started[0].poll() is None, "the scheduler ended at once"
            time.sleep(0.05)
        command = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_worker", *options]
        command += ["--nthreads", "1", "--no-nanny"]
        started += [subprocess.Popen(command, **quiet) for _ in range(2)]
        address = json.loads(where.read_text())["address"]
        assert address.startswith("tcp://")

        def report(text):
            if text.startswith("2/6"):
                started[1].kill()

        counts = executors.run_sweep(listed, path, f"dask:{address}", device="cpu", report=report)
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert counts == {"done": 6, "failed": 0, "left out": 0}
    assert sorted(keys(path)) == sorted(trial.key for trial in listed)


# --- the command --------------------------------------------------------------------------------------


def command(*words):
    return CliRunner().invoke(cli.main, ["sweep", *words])


def test_command_lists_runs_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed = command("--list")
    assert (listed.exception, [text.split()[0] for text in listed.output.splitlines()[1:]]) == (
        None,
        list(SWEEPS),
    )
    done = command("hs-table6", "--small", "--limit", "3", "--results", str(tmp_path))
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "3 done, 0 failed, 0 left out")
    assert len(keys(tmp_path / "small" / "hs-table6.jsonl")) == 3
    rows = [text.split() for text in command("--status", "--results", str(tmp_path)).output.splitlines()]
    assert rows[0] == ["sweep", "scale", "done", "failed", "all", "beside", "s/trial", "device"]
    assert ["hs-table6", "small", "3", "0", "36", "0", "0.1", "auto"] in rows
    assert ["hs-table6", "paper", "0", "0", "48", "0"] in rows


def test_command_refuses_clearly(tmp_path):
    refused = command("hs-table7")
    assert (refused.exit_code, "name must be one of detectors, " in refused.output) == (
        1,
        True,
    )
    refused = command("hs-table6", "--small", "--executor", "cloud", "--results", str(tmp_path))
    assert (refused.exit_code, "executor must be" in refused.output) == (1, True)


def test_metrics_of_the_record_are_those_of_metrics():
    """The plain names belong to prune method "both"."""
    found = run(few("cl"), "cpu")
    assert metrics.detection_scores(torch.ones(2).bool(), torch.ones(2).bool()).keys() <= found.keys()
