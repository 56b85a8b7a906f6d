"""Folds and threshold runs, one at a time: each as if it were trained alone."""

import pytest
import torch

from robust_lib import data, detection, losses, training
from robust_lib.training import Recipe, models


@pytest.fixture(scope="module")
def digits():
    mini = data.load("mnist", "train", size="mini")
    return data.to_float(mini.images[:300], mini.name), mini.labels[:300]


def small(images, seed=0, classes=10):
    return models.build("small_cnn", images, classes, seed)


def test_cross_validation_predicts_every_sample_once_from_a_model_that_never_saw_it(digits):
    images, labels = digits[0][:300], digits[1][:300]
    options = {"recipe": Recipe(epochs=2, batch_size=32), "device": "cpu"}

    def build(seed):
        return small(images, seed)

    result = detection.cross_validate(build, images, labels, losses.ce(), folds=3, seed=5, **options)
    assert result.probs.shape == (300, 10)
    torch.testing.assert_close(result.probs.sum(1), torch.ones(300))
    assert torch.bincount(result.fold).tolist() == [100, 100, 100]
    for k in range(3):
        held = result.fold == k
        counts = torch.bincount(labels[held], minlength=10) / torch.bincount(labels, minlength=10)
        assert bool(((counts - 1 / 3).abs() < 0.05).all())  # stratified
        # The same fold trained on its own gives the same bits: nothing leaks from one fold to the next.
        alone = training.fit(build(15 + k), images[~held], labels[~held], losses.ce(), seed=15 + k, **options)
        probs = training.predict(alone.model, images[held]).softmax(1)
        torch.testing.assert_close(probs, result.probs[held])


def test_a_network_that_has_seen_the_other_folds_is_refused(digits):
    images, labels = digits[0][:100], digits[1][:100]
    model = small(images)
    given = (lambda seed: model, images, labels, losses.ce(), Recipe(epochs=1))
    with pytest.raises(ValueError, match="build must make a new network for every training, got the same"):
        detection.cross_validate(*given, folds=2)
    model = small(images, classes=11)
    with pytest.raises(ValueError, match="build must make a new network for every training, got the same"):
        list(detection.threshold_runs(*given, classes=10, runs=2))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (slice(60), slice(50), r"with one label each, got \(60, 1, 28, 28\) torch.float32 and 50 labels"),
        (slice(40), slice(50), r"with one label each, got \(40, 1, 28, 28\) torch.float32 and 50 labels"),
        (slice(50), "numpy", r"labels must be an int64 tensor \(N,\), got ndarray"),
        (slice(50), "float", r"labels must be an int64 tensor \(N,\), got torch.float32 \(50,\)"),
    ],
)
def test_every_image_has_a_label(digits, images, labels, message):
    few = digits[1][:50]
    given = {"numpy": few.numpy(), "float": few.float()}.get(labels) if isinstance(labels, str) else few
    with pytest.raises(ValueError, match=message):
        detection.cross_validate(small, digits[0][images], given, losses.ce(), Recipe(epochs=1), folds=2)


def test_cross_validation_names_too_many_folds(digits):
    labels = torch.tensor([0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="labels must be 0 or more, got -1: leave out what has none"):
        detection.split(torch.tensor([0, -1, 0, 1, 1]), 2, 0)
    with pytest.raises(ValueError, match=r"folds must be in 2 … 2 \(the smallest class's samples\), got 3"):
        detection.cross_validate(None, digits[0][:5], labels, losses.ce(), Recipe(epochs=1), folds=3)


def test_some_folds_alone_are_the_same_as_among_all(digits):
    arguments = (lambda seed: small(digits[0], seed), *digits, losses.ce(), Recipe(epochs=1))
    every = list(detection.folds(*arguments, folds=3, device="cpu"))
    some = list(detection.folds(*arguments, folds=3, only=(2, 0), device="cpu"))
    assert [fold.number for fold in every] == [0, 1, 2]
    assert [fold.number for fold in some] == [0, 2]
    for fold in some:
        assert torch.equal(fold.held, every[fold.number].held)
        assert torch.equal(fold.probs, every[fold.number].probs)


def test_a_fold_is_there_before_the_next_is_trained(digits):
    built = []

    def build(seed):
        built.append(seed)
        return small(digits[0], seed)

    folds = detection.folds(build, *digits, losses.ce(), Recipe(epochs=1), folds=3, seed=4, device="cpu")
    assert built == []
    next(folds)
    assert built == [12]


def test_the_second_threshold_run_alone_is_the_second_of_two(digits):
    arguments = (lambda seed: small(digits[0], seed, 11), *digits, losses.ce(), Recipe(epochs=1))
    options = {"classes": 10, "runs": 2, "device": "cpu"}
    second = list(detection.threshold_runs(*arguments, **options))[1]
    (alone,) = detection.threshold_runs(*arguments, **options, only=(1,))
    assert alone.number == 1
    assert torch.equal(alone.mask, second.mask)
    assert torch.equal(alone.margins, second.margins)


def test_cross_validation_trains_every_fold(digits):
    with pytest.raises(TypeError, match="only"):
        detection.cross_validate(None, *digits, losses.ce(), Recipe(epochs=1), only=[0])


def test_several_losses_together_are_each_alone(digits):
    features, labels = digits[0].flatten(1), digits[1]
    several, recipes = [losses.ce(), losses.gce(), losses.nce()], [Recipe(epochs=2, batch_size=64)] * 3
    build = lambda seed, outputs=10: models.build("linear", features, outputs, seed)  # noqa: E731
    options = {"folds": 3, "seed": 2}
    together = detection.cross_validate_together(build, features, labels, several, recipes, **options)
    runs = detection.threshold_runs_together(
        lambda seed: build(seed, 11), features, labels, several, recipes, classes=10, runs=2, seed=2
    )
    runs = list(runs)
    assert [len(run) for run in runs] == [3, 3]
    for k, loss in enumerate(several):
        alone = detection.cross_validate(build, features, labels, loss, recipes[0], **options)
        torch.testing.assert_close(together[k].probs, alone.probs, rtol=1e-3, atol=1e-4)
        assert torch.equal(together[k].fold, alone.fold)
        single = detection.threshold_runs(
            lambda seed: build(seed, 11), features, labels, loss, recipes[0], classes=10, runs=2, seed=2
        )
        for run, one in zip(runs, single, strict=True):
            torch.testing.assert_close(run[k].margins, one.margins, rtol=1e-3, atol=2e-3)
            assert torch.equal(run[k].mask, one.mask)
