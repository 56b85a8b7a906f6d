"""Training without a look at the device: every loss and network on torch's meta device, where a number that
is asked for does not exist; and the whole journey on the CPU and, where there is one, on a GPU."""

import contextlib
import threading

import numpy as np
import pytest
import torch

from robust_lib import data, detection, find, losses
from robust_lib.detection import aum
from robust_lib.training import capture, dynamics, heads, loop, models
from robust_lib.training.capture import Captured
from robust_lib.training.loop import Recipe

META = torch.device("meta")


@pytest.fixture(autouse=True)
def autocast_for_meta(monkeypatch):
    """There is no autocast for the meta device: there "bf16" goes the same way in float32."""
    original = loop.autocast

    def here(device, precision):
        return contextlib.nullcontext() if device == META else original(device, precision)

    monkeypatch.setattr(loop, "autocast", here)


NETWORKS = [name for name in models.MODELS if name != "resnet34_imagenet"]
RECIPES = {
    "plain": Recipe(epochs=1, batch_size=4, l1=1e-5),
    "augmented": Recipe(epochs=1, batch_size=4, augment="crop-flip", optimizer="sgd", lr=0.1),
    "bf16": Recipe(epochs=1, batch_size=4, precision="bf16", optimizer="sgd"),  # Adam fused refuses meta
}


def run_epoch(network, loss, recipe, classes=10, channels=1, size=28):
    """One epoch of fit's on nine samples without values; a read-back raises."""
    model = models.MODELS[network](classes, channels, size).to(META)
    images = torch.zeros(9, channels, size, size, device=META)
    labels = torch.zeros(9, dtype=torch.int64, device=META)
    recorder, area = dynamics.Recorder("train"), Area(9)
    for each in (recorder, area):
        each.start(1, 9, META)
    optimizer, _ = recipe.optimize(model.parameters())
    step = loop.Step(model, loss.at_epoch(1), optimizer, recipe)
    parts = loop.batches(torch.randperm(9, device=META), recipe.batch_size)
    return loop._epoch(step, images, labels, parts, 1, [recorder, area], Captured(META), threading.Event())


class Area:
    """The area under the margin as a recorder."""

    when = "train"

    def __init__(self, samples):
        self.area = aum.AreaUnderMargin(samples)

    def start(self, epochs, samples, device):
        pass

    def batch(self, epoch, indices, logits, targets):
        self.area.update(logits, targets, indices)


@pytest.mark.parametrize("name", losses.names())
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_no_loss_reads_back_within_an_epoch(name, recipe):
    total, correct, predicted, _ = run_epoch("small_cnn", losses.get(name), recipe)
    assert {one.device for one in (total, correct, predicted)} == {META}
    assert predicted.shape == (10,)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_no_network_reads_back_within_an_epoch(network, recipe):
    # One output more than classes, as with threshold samples.
    assert run_epoch(network, losses.gce(), recipe, 11, 3, 32)[2].shape == (11,)


def test_heads_that_are_trained_together_read_nothing_back_within_an_epoch():
    several = [losses.get(name) for name in losses.names()]
    several.sort(key=lambda loss: loss.sees != "p")
    plain, features = sum(loss.sees == "p" for loss in several), torch.zeros(9, 5, device=META)
    recorders = [dynamics.Recorder("train") for _ in several]
    for recorder in recorders:
        recorder.start(1, 9, META)
    team = [
        heads._Member(loop.Fit(torch.nn.Linear(5, 10, device=META)), loss, 1e-5 * (k % 2), [recorder])
        for k, (loss, recorder) in enumerate(zip(several, recorders, strict=True))
    ]
    joined = torch.nn.Linear(5, 10 * len(team), device=META)
    parts, labels = torch.arange(9, device=META).split(4), torch.zeros(9, dtype=torch.int64, device=META)
    optimizer = torch.optim.SGD(joined.parameters(), 0.1)
    captured = Captured(META)
    sums = heads._epoch(
        team, joined, plain, optimizer, features, labels, parts, 1, captured, threading.Event()
    )
    assert sums.predicted.shape == (len(team), 10)
    assert {sums.loss.device, sums.hits.device, sums.predicted.device} == {META}


def test_the_meta_device_would_notice_a_read_back():
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(torch.zeros((), device=META))
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.bincount(torch.zeros(3, dtype=torch.int64, device=META))


# --- on every device that is here ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    mini = data.load("mnist", "train", size="mini")
    return data.to_float(mini.images[:600], mini.name), mini.labels[:600]


def build(seed, classes=10):
    return models.build("small_cnn", torch.zeros(1, 1, 28, 28), classes, seed)


def test_fit_and_recorders(digits, device):
    images, labels = digits
    kinds = [dynamics.Recorder("train"), dynamics.Recorder("eval")]
    recipe = Recipe(epochs=6, batch_size=32)
    runs = [
        loop.fit(build(0), images, labels, losses.gce(), recipe, recorders=kinds, test=digits, device=device)
        for _ in range(2)
    ]
    assert runs[0].column("loss") == runs[1].column("loss")  # the same seed, the same bits
    assert runs[0].column("test_accuracy")[-1] > 0.9
    assert all(recorder.delta.device.type == "cpu" for recorder in kinds)
    assert all(torch.isfinite(recorder.delta).all() for recorder in kinds)


STEPS = {
    "dropout and Adam": ("hs_mnist", Recipe(epochs=3, batch_size=32)),
    "L1": ("small_cnn", Recipe(epochs=3, batch_size=32, l1=1e-5)),
    "augmented, SGD, a schedule": (
        "cv_cnn4",
        Recipe(epochs=3, batch_size=32, augment="crop-flip", optimizer="sgd", lr=0.01, schedule="cosine"),
    ),
    "bf16": ("small_cnn", Recipe(epochs=3, batch_size=32, precision="bf16")),
}


@pytest.mark.parametrize(("network", "recipe"), STEPS.values(), ids=STEPS)
def test_captured_steps_are_the_steps_themselves(digits, device, network, recipe, monkeypatch):
    images, labels = digits[0][:590], digits[1][:590]  # the last batch is smaller
    loss = losses.blurry(gamma=0.3).delayed(1)  # the second epoch has another loss

    def histories(loss):
        recorder, model = dynamics.Recorder("train"), models.build(network, images, 10, 0)
        run = loop.fit(model, images, labels, loss, recipe, recorders=[recorder], device=device)
        return run.column("loss"), run.column("train_accuracy"), recorder.delta

    captured = histories(loss)
    monkeypatch.setattr(capture.Captured, "__call__", lambda self, indices: self.work(indices))
    for one, other in zip(captured, histories(loss), strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_can_be_captured(digits, device, name):
    recipe = Recipe(epochs=2, batch_size=32)
    run = loop.fit(build(0), *digits, losses.get(name), recipe, device=device)
    assert len(run.history) == 2


def test_cross_validation_takes_images_and_labels_from_any_device(digits, device):
    images, labels = digits
    options = {"folds": 2, "device": device}
    for given in (labels, labels.to(device)):
        found = detection.cross_validate(build, images, given, losses.ce(), Recipe(epochs=1), **options)
        assert found.probs.device.type == "cpu"
        torch.testing.assert_close(found.probs.sum(1), torch.ones(600))


def test_threshold_runs_and_the_area_under_the_margin(digits, device):
    images, labels = digits
    options = {"classes": 10, "runs": 2, "device": device}
    extra = lambda seed: build(seed, 11)  # noqa: E731
    runs = list(detection.threshold_runs(extra, images, labels, losses.ce(), Recipe(epochs=2), **options))
    assert np.isfinite(detection.area_under_margin(labels, runs).score).all()
    values, mask = runs[0].margins.mean(0).to(device), runs[0].mask  # values there, the mask here
    assert aum.threshold(values, mask) == pytest.approx(aum.threshold(values.cpu(), mask))


def test_find(tmp_path, device):
    mini = data.load("mnist", "train", size="mini")
    np.savez(tmp_path / "some.npz", images=mini.images[:300].numpy(), labels=mini.labels[:300].numpy())
    found = find.find(tmp_path / "some.npz", tmp_path / "out", epochs=1, device=device, backbone="none")
    assert sorted(found.ranking) == list(range(300))
    assert (tmp_path / "out" / "index.html").exists()
