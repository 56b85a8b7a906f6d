"""Heads that are trained together against the same heads trained one by one."""

import math

import pytest
import torch
from torch import nn

from robust_lib import data, losses
from robust_lib.training import Recorder, fit, fit_together, models
from robust_lib.training.loop import Recipe, predict

# Of p_y, of the margin, of all classes, in sums, and with another loss at first.
SEVERAL = [
    losses.anl_ce(alpha=5.0, beta=5.0),
    losses.ce(),
    losses.mae().shifted(tau=2.0, classes=10),
    losses.blurry(gamma=0.3, stop_gradient=True),
    losses.piecewise_zero(c=0.1).delayed(1),
    losses.gce(q=0.3).unit_max(),
    0.3 * losses.ce() + 0.7 * losses.mae(),
]


@pytest.fixture(scope="module")
def pixels():
    mini = data.load("mnist", "train", size="mini")
    return data.to_float(mini.images[:600], mini.name).flatten(1), mini.labels[:600]


def heads(features, count=7):
    return [models.build("linear", features, 10, seed) for seed in range(count)]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=3, batch_size=64),
        Recipe(epochs=3, batch_size=64, optimizer="sgd", lr=0.05, schedule="cosine", weight_decay=1e-3),
    ],
    ids=["adam", "sgd"],
)
def test_together_is_one_by_one(pixels, recipe, device):
    features, labels = pixels
    recipes = [Recipe(**vars(recipe) | {"l1": 1e-4 * (k % 2)}) for k in range(len(SEVERAL))]
    several, single = ([Recorder() for _ in SEVERAL] for _ in range(2))
    options = {"test": pixels, "seed": 3, "device": device, "progress": False}
    together = fit_together(
        heads(features), features, labels, SEVERAL, recipes, recorders=[[r] for r in several], **options
    )
    for k, head in enumerate(heads(features)):
        alone = fit(head, features, labels, SEVERAL[k], recipes[k], recorders=[single[k]], **options)
        torch.testing.assert_close(together[k].model.weight, alone.model.weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(several[k].delta, single[k].delta, rtol=1e-3, atol=2e-3)
        torch.testing.assert_close(several[k].margin, single[k].margin, rtol=1e-3, atol=2e-3)
        assert together[k].column("loss") == pytest.approx(alone.column("loss"), rel=1e-3)
        for name in ("train_accuracy", "test_accuracy", "top_share"):
            assert together[k].column(name) == pytest.approx(alone.column(name), abs=0.01)
        for name in ("epoch", "lr", "state"):
            assert together[k].column(name) == alone.column(name)


def test_a_head_that_diverges_ends_and_leaves_the_others_alone(pixels):
    features, labels = pixels
    recipe, several = Recipe(epochs=3, batch_size=64), [losses.ce(), 1e38 * losses.ce(), losses.mae()]
    found = fit_together(heads(features, 3), features, labels, several, [recipe] * 3, progress=False)
    assert [run.state for run in found] == ["learning", "diverged", "learning"]
    assert [len(run.history) for run in found] == [3, 1, 3]
    alone = fit(heads(features, 3)[2], features, labels, several[2], recipe, progress=False)
    torch.testing.assert_close(found[2].model.weight, alone.model.weight, rtol=1e-3, atol=1e-4)


def test_a_loss_may_be_delayed_twice(pixels):
    """It sees p_y in the first and the last epoch, and all classes in between."""
    twice = losses.ce().delayed(2, first=losses.nce().delayed(1))
    assert [twice.at_epoch(epoch).name for epoch in (1, 2, 3)] == ["ce", "nce", "ce"]
    given = (*pixels, [losses.mae(), twice], [Recipe(epochs=3)] * 2)
    together = fit_together(heads(pixels[0], 2), *given, device="cpu")[1]
    alone = fit(heads(pixels[0], 2)[1], *pixels, twice, Recipe(epochs=3), device="cpu")
    assert [row["loss"] for row in together.history] == pytest.approx(
        [row["loss"] for row in alone.history], rel=1e-4
    )


def test_one_model_may_be_any_network(pixels):
    features, labels = pixels
    recipe = Recipe(epochs=1)
    arguments = (features, labels, [losses.gce()], [recipe])
    options = {"seed": 1, "device": "cpu"}
    (found,) = fit_together([models.build("mlp", features, 10, 0)], *arguments, **options, progress=False)
    alone = fit(models.build("mlp", features, 10, 0), features, labels, losses.gce(), recipe, **options)
    assert torch.equal(predict(found.model, features), predict(alone.model, features))


def test_heads_are_seeded_and_fresh(pixels):
    one, same, other = (models.build("linear", pixels[0], 7, seed) for seed in (1, 1, 2))
    assert one.weight.shape == (7, 784)
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)
    assert one.weight.abs().max() <= 1 / math.sqrt(784)
    with pytest.raises(ValueError, match="no model for features is called .small_cnn.; there are linear"):
        models.build("small_cnn", pixels[0], 10, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": SEVERAL[:1]}, "losses must be one for each head, got 1 for 2 heads"),
        ({"recipes": []}, "recipes must be one for each head, got 0 for 2 heads"),
        ({"recorders": [[]]}, "recorders must be one for each head, got 1 for 2 heads"),
        ({"recorders": [[Recorder("eval")], []]}, 'recorders must be of when="train"'),
        ({"recipes": [Recipe(epochs=1), Recipe(epochs=2)]}, "recipes must differ in l1 alone"),
        ({"heads": [nn.Linear(784, 10), nn.Linear(784, 9)]}, r"one shape \(K, D\), got \[\(9, 784\), \(10,"),
        ({"heads": [nn.Linear(784, 10), nn.ReLU()]}, r"heads must be linear .* got Linear, ReLU"),
        ({"heads": [nn.Linear(784, 10)] * 2}, "heads must be different networks, got one of them twice"),
        (
            {"heads": [nn.Linear(784, 10), nn.Linear(784, 10, bias=False)]},
            "must have a bias, got one without",
        ),
        ({"recipes": [Recipe(epochs=1, precision="bf16")] * 2}, "must have the precision 'fp32' for several"),
        (
            {"losses": [losses.ce(), nn.CrossEntropyLoss()]},
            r"loss must be a loss such as losses.gce\(\), with",
        ),
        ({"test": (torch.zeros(5, 784), torch.zeros(1).long())}, r"got \(5, 784\) and \(1,\)"),
        ({"heads": []}, "losses must be one for each head, got 2 for 0 heads"),
        ({"features": torch.zeros(600, 1, 28, 28)}, r"features \(N, D\), got Linear and features \(600, 1"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, "with one label each"),
    ],
)
def test_what_cannot_be_trained_together_is_named(pixels, change, message):
    given = {
        "heads": heads(pixels[0], 2),
        "features": pixels[0],
        "labels": pixels[1],
        "losses": SEVERAL[:2],
        "recipes": [Recipe(epochs=1)] * 2,
    }
    with pytest.raises(ValueError, match=message):
        fit_together(**given | change)
