"""Networks trained together end where each alone would have ended."""

import pytest
import torch

from robust_lib import data, losses, training
from robust_lib.training import Recipe, dynamics, models, stacked
from robust_lib.training.stacked import Member


@pytest.fixture(scope="module")
def digits():
    mini = data.load("mnist", "train", size="mini")
    return data.to_float(mini.images[:400], mini.name), mini.labels[:400]


def parameters(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def make(digits, sizes, zoo, name="small_cnn", when="train"):
    images, labels = digits
    members = []
    for m, (size, loss) in enumerate(zip(sizes, zoo, strict=True)):
        indices = torch.randperm(400, generator=torch.Generator().manual_seed(m))[:size]
        model = models.build(name, images, 10, seed=m)
        members.append(Member(model, indices, labels[indices], loss, m, [dynamics.Recorder(when)]))
    return members


def alone(member, digits, recipe, name="small_cnn"):
    recorder = dynamics.Recorder("train")
    model = models.build(name, digits[0], 10, seed=member.seed)
    pair = digits[0][member.indices], member.labels
    run = training.fit(
        model, *pair, member.loss, recipe, recorders=[recorder], seed=member.seed, device="cpu"
    )
    return run, recorder


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=3, batch_size=64),
        Recipe(epochs=3, batch_size=64, optimizer="sgd", lr=0.05, weight_decay=1e-3, schedule="cosine"),
        Recipe(epochs=2, batch_size=64, l1=1e-4, schedule="step", step_epoch=1),
    ],
    ids=["adam", "sgd-cosine", "l1-step"],
)
def test_a_stack_equals_its_members_alone(digits, recipe):
    # Sizes that differ, as stratified folds do; losses and delays that differ, as grid points do.
    zoo = [losses.ce(), losses.gce(q=0.7), losses.piecewise_zero(c=0.02).delayed(1)]
    members = make(digits, [320, 319, 318], zoo)
    runs = stacked.fit(members, digits[0], recipe, device="cpu")
    for member, run in zip(members, runs, strict=True):
        single, recorder = alone(member, digits, recipe)
        torch.testing.assert_close(parameters(run.model), parameters(single.model), rtol=1e-3, atol=2e-4)
        torch.testing.assert_close(member.recorders[0].delta, recorder.delta, rtol=1e-3, atol=2e-3)
        for name in ("epoch", "lr", "state"):
            assert run.column(name) == single.column(name)
        assert run.column("loss") == pytest.approx(single.column("loss"), rel=1e-3)
        assert run.column("train_accuracy") == pytest.approx(single.column("train_accuracy"), abs=0.01)


def test_batch_norm_keeps_each_members_statistics(digits):
    recipe = Recipe(epochs=1, batch_size=64, optimizer="sgd", lr=0.01)
    members = make(digits, [128, 128], [losses.ce()] * 2, name="cv_cnn4")
    runs = stacked.fit(members, digits[0], recipe, device="cpu")
    for member, run in zip(members, runs, strict=True):
        single, _ = alone(member, digits, recipe, name="cv_cnn4")
        ours, theirs = (dict(fit.model.named_buffers()) for fit in (run, single))
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4)


def test_dropout_differs_between_members(digits):
    images, labels = digits
    same = [
        Member(models.build("hs_mnist", images, 10, 0), torch.arange(64), labels[:64], losses.ce(), 0)
        for _ in range(2)
    ]
    one, other = stacked.fit(same, images, Recipe(epochs=1, batch_size=64), device="cpu")
    assert not torch.equal(parameters(one.model), parameters(other.model))


def test_a_diverged_member_leaves_the_others_alone(digits):
    members = make(digits, [128, 128], [losses.ce(), 1e38 * losses.ce()])
    recipe = Recipe(epochs=2, batch_size=64, optimizer="sgd", lr=0.05)
    good, bad = stacked.fit(members, digits[0], recipe, device="cpu")
    assert (good.state, bad.state) == ("learning", "diverged")
    assert torch.isfinite(parameters(good.model)).all()


def test_wrong_members_are_named(digits):
    with pytest.raises(ValueError, match="at least one, got none"):
        stacked.fit([], digits[0], Recipe(epochs=1))
    with pytest.raises(ValueError, match=r"same number of batches, got sizes \[64, 320\]"):
        stacked.fit(make(digits, [320, 64], [losses.ce()] * 2), digits[0], Recipe(epochs=1))
    with pytest.raises(ValueError, match='recorders must be of when="train"'):
        stacked.fit(make(digits, [64], [losses.ce()], when="eval"), digits[0], Recipe(epochs=1))
    member = make(digits, [64], [losses.ce()])[0]
    short = Member(member.model, member.indices[:10], member.labels, member.loss, 0)
    with pytest.raises(ValueError, match="indices and labels must be equally long, got 10 and 64"):
        stacked.fit([short], digits[0], Recipe(epochs=1))


def test_folds_together_give_the_probabilities_of_folds_alone(digits):
    images, labels = digits
    recipe = Recipe(epochs=2, batch_size=64)

    def build(seed):
        return models.build("small_cnn", images, 10, seed)

    options = {"folds": 3, "seed": 5, "device": "cpu"}
    together = stacked.cross_validate(build, images, labels, losses.gce(), recipe, **options)
    apart = training.cross_validate(build, images, labels, losses.gce(), recipe, **options)
    assert torch.equal(together.fold, apart.fold)
    torch.testing.assert_close(together.probs, apart.probs, rtol=1e-3, atol=2e-4)
