"""Networks, recipes, fit, cross-validation and recorders, on real images."""

import math
import os
import signal
import sys

import pytest
import torch

from robust_lib import data, losses
from robust_lib.data import noise
from robust_lib.losses import weights
from robust_lib.training import dynamics, loop, models
from robust_lib.training.loop import Recipe, accuracy, fit


@pytest.fixture(scope="module")
def digits():
    mini = data.load("mnist", "train", size="mini")
    keep = slice(0, 1000)
    return data.to_float(mini.images[keep], mini.name), mini.labels[keep]


def small(images, seed=0):
    return models.build("small_cnn", images, 10, seed)


def parameters(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# --- networks -----------------------------------------------------------------------------------------


def test_hs_network_has_the_papers_size():
    model = models.build("hs_mnist", torch.zeros(1, 1, 28, 28), 10, seed=0)
    assert sum(p.numel() for p in model.parameters()) == 1_199_882


@pytest.mark.parametrize("name", [name for name in models.MODELS if "imagenet" not in name])
@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (3, 3, 32, 32)])
def test_networks_take_both_image_shapes(name, shape):
    model = models.build(name, torch.zeros(shape), 7, seed=0)
    assert model(torch.zeros(shape)).shape == (3, 7)


def test_build_is_seeded_and_leaves_the_global_state_alone():
    images = torch.zeros(1, 1, 28, 28)
    before = torch.random.get_rng_state()
    one, same, other = (parameters(models.build("small_cnn", images, 10, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_build_names_what_is_wrong():
    with pytest.raises(ValueError, match="no model for images is called 'resnet'; there are hs_mnist"):
        models.build("resnet", torch.zeros(1, 1, 28, 28), 10, 0)
    with pytest.raises(ValueError, match=r"images must be \(N, C, S, S\), got \(1, 28, 32\)"):
        models.build("small_cnn", torch.zeros(1, 28, 32), 10, 0)


# --- fit ----------------------------------------------------------------------------------------------


class Look:
    """A recorder that calls a function at every batch."""

    when = "train"

    def __init__(self, look):
        self.look, self.seen = look, []

    def start(self, epochs, samples, device):
        pass

    def batch(self, epoch, indices, logits, targets):
        self.seen.append(self.look())

    def finish(self):
        pass


def denormals_left():
    """How many of numbers below 1e-38 are not zero, over all threads that torch computes with."""
    return int(torch.count_nonzero(torch.full((2**20,), 1e-38) * 1e-3))


def test_denormals_are_zero_in_every_thread_of_fit_and_as_before_outside(digits):
    if not torch.set_flush_denormal(True) or sys.platform != "linux":
        pytest.skip("this processor cannot flush denormals, or its helper threads are another system's")
    torch.set_flush_denormal(False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = denormals_left()  # which also starts torch's helper threads, without the setting
        look = Look(denormals_left)
        fit(small(digits[0]), digits[0][:64], digits[1][:64], losses.ce(), Recipe(epochs=1), recorders=[look])
        assert (before, look.seen, denormals_left()) == (2**20, [0], 2**20)
    finally:
        torch.set_num_threads(threads)


def test_fit_keeps_the_number_of_threads(digits):
    threads = torch.get_num_threads()
    look = Look(torch.get_num_threads)
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            fit(
                small(digits[0]),
                digits[0][:64],
                digits[1][:64],
                losses.ce(),
                Recipe(epochs=1),
                recorders=[look],
            )
    finally:
        torch.set_num_threads(threads)
    assert look.seen == [1, 2]


def test_ctrl_c_ends_a_run(digits):
    def press():
        if len(look.seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    look = Look(press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs us with &
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(small(digits[0]), *digits, losses.ce(), Recipe(epochs=100, batch_size=100), recorders=[look])
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(look.seen) < 1000


def test_an_error_of_the_loss_reaches_the_caller(digits):
    with pytest.raises(ValueError, match="depends on the epoch|boom"):
        fit(small(digits[0]), *digits, Broken(), Recipe(epochs=1))


class Broken:
    def at_epoch(self, epoch):
        raise ValueError("boom")


def test_no_other_generator_is_seeded_and_cudnn_repeats_itself(digits, monkeypatch):
    def refuse(seed):
        raise AssertionError("every GPU of the process would be seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    look = Look(lambda: torch.backends.cudnn.deterministic)
    before = torch.get_rng_state(), torch.backends.cudnn.deterministic
    fit(small(digits[0]), digits[0][:64], digits[1][:64], losses.ce(), Recipe(epochs=1), recorders=[look])
    models.mlp(4, 2, seed=0)
    assert look.seen == [True]
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.backends.cudnn.deterministic


def test_same_seed_same_bits_other_seed_other_bits(digits):
    images, labels = digits
    recipe = Recipe(epochs=1, batch_size=64)

    def trained(seed):
        model = models.build("hs_mnist", images, 10, 0)  # its dropout draws from the seed too
        return parameters(fit(model, images[:128], labels[:128], losses.ce(), recipe, seed=seed).model)

    first = trained(3)
    torch.rand(7)  # what other code draws must not matter
    assert torch.equal(first, trained(3))
    assert not torch.equal(first, trained(4))


def test_one_step_of_fit_is_the_textbook_step(digits):
    images, labels = digits[0][:32], digits[1][:32]
    recipe = Recipe(epochs=1, batch_size=32, optimizer="sgd", lr=0.1, momentum=0.0, weight_decay=0.01)
    by_hand = small(images)
    losses.gce()(by_hand(images), labels).backward()
    expected = [p.detach() - 0.1 * (p.grad + 0.01 * p.detach()) for p in by_hand.parameters()]
    run = fit(small(images), images, labels, losses.gce(), recipe, device="cpu")
    for ours, theirs in zip(run.model.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_l1_adds_its_gradient_to_every_parameter(digits):
    images, labels = digits[0][:32], digits[1][:32]
    recipe = Recipe(epochs=1, batch_size=32, optimizer="sgd", lr=0.1, momentum=0.0, l1=0.05)
    by_hand = small(images)
    penalty = sum(p.abs().sum() for p in by_hand.parameters())
    (losses.ce()(by_hand(images), labels) + 0.05 * penalty).backward()
    expected = [p.detach() - 0.1 * p.grad for p in by_hand.parameters()]
    run = fit(small(images), images, labels, losses.ce(), recipe, device="cpu")
    for ours, theirs in zip(run.model.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_l1_leaves_frozen_layers_alone(digits):
    images, labels = digits[0][:32], digits[1][:32]
    model = small(images)
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    before = [p.clone() for p in model.parameters()]
    fit(model, images, labels, losses.ce(), Recipe(epochs=1, batch_size=32, l1=0.05), device="cpu")
    changed = [not torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True)]
    assert changed == [False, False] + [True] * (len(before) - 2)


def test_fit_learns_digits_and_says_so(digits):
    images, labels = digits
    run = fit(small(images), images[:800], labels[:800], losses.ce(), Recipe(epochs=6, batch_size=32),
              test=(images[800:], labels[800:]), device="cpu")  # fmt: skip
    assert run.state == "learning"
    assert run.column("epoch") == [1, 2, 3, 4, 5, 6]
    assert run.column("train_accuracy")[-1] > 0.95
    assert run.column("test_accuracy")[-1] > 0.85
    assert loop.accuracy(run.model, images[800:], labels[800:]) == run.column("test_accuracy")[-1]


def test_features_train_like_images(digits):
    images, labels = digits
    features = images.flatten(1)
    run = fit(torch.nn.Linear(784, 10), features, labels, losses.ce(), Recipe(epochs=5, batch_size=32))
    assert run.column("train_accuracy")[-1] > 0.9
    with pytest.raises(ValueError, match=r"floating \(N, C, H, W\) or \(N, D\) .* got \(1000, 28, 28\)"):
        fit(torch.nn.Linear(784, 10), images.squeeze(1), labels, losses.ce(), Recipe(epochs=1))
    with pytest.raises(ValueError, match="augment must be 'none' for features"):
        fit(torch.nn.Linear(784, 10), features, labels, losses.ce(), Recipe(epochs=1, augment="crop-flip"))


def test_crop_flip_moves_and_mirrors():
    images = torch.arange(1.0, 1 + 500 * 2 * 6 * 5).view(500, 2, 6, 5)
    moved = loop.crop_flip(images, padding=1)
    assert moved.shape == images.shape
    mirrored, places = 0, set()
    for before, after in zip(images, moved, strict=True):
        padded = torch.nn.functional.pad(before, (1, 1, 1, 1))
        found = [
            (flip, top, left)
            for flip in (False, True)
            for top in range(3)
            for left in range(3)
            if torch.equal(padded[:, top : top + 6, left : left + 5], after.flip(2) if flip else after)
        ]
        assert len(found) == 1
        mirrored += found[0][0]
        places.add(found[0][1:])
    assert len(places) == 9
    assert 200 < mirrored < 300  # 4.5 standard deviations of 500 fair coins


def test_augmentation_changes_what_the_network_sees_under_the_seed(digits):
    images, labels = digits[0][:200], digits[1][:200]
    plain, augmented = Recipe(epochs=1), Recipe(epochs=1, augment="crop-flip")
    runs = [fit(small(images), images, labels, losses.ce(), recipe, seed=2) for recipe in (plain, augmented)]
    again = fit(small(images), images, labels, losses.ce(), augmented, seed=2)
    assert torch.equal(parameters(runs[1].model), parameters(again.model))
    assert not torch.equal(parameters(runs[0].model), parameters(again.model))


def test_bf16_learns_as_float32_does(digits):
    images, labels = digits
    test = images[800:], labels[800:]
    ends = [
        fit(small(images), images[:800], labels[:800], losses.gce(), recipe, test=test)
        for recipe in (Recipe(epochs=2, batch_size=32), Recipe(epochs=2, batch_size=32, precision="bf16"))
    ]
    assert all(p.dtype == torch.float32 for p in ends[1].model.parameters())
    assert ends[1].column("loss") != ends[0].column("loss")
    assert abs(ends[1].column("test_accuracy")[-1] - ends[0].column("test_accuracy")[-1]) <= 0.08
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, got 'fp16'"):
        Recipe(epochs=1, precision="fp16")


def test_batch_norm_survives_a_last_batch_of_one(digits):
    images, labels = digits[0][:65], digits[1][:65]
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10), torch.nn.BatchNorm1d(10))
    recorder = dynamics.Recorder("train")
    fit(model, images, labels, losses.ce(), Recipe(epochs=1, batch_size=64), recorders=[recorder])
    assert torch.isfinite(recorder.delta).all()


def test_blurry_with_the_true_gradient_collapses_and_is_named(digits):
    run = fit(small(digits[0]), *digits, losses.blurry(gamma=0.7), Recipe(epochs=3, batch_size=32))
    assert run.state == "collapsed"
    assert run.column("top_share")[-1] > 0.99


class NextClass:
    """Cross entropy; after `right` epochs towards the class behind the label's."""

    def __init__(self, right):
        self.right = right

    def at_epoch(self, epoch):
        ce = losses.ce()
        return ce if epoch <= self.right else lambda logits, targets: ce(logits, (targets + 1) % 10)


def test_a_network_that_loses_what_it_had_learned_is_named(digits):
    run = fit(small(digits[0]), *digits, NextClass(2), Recipe(epochs=5, batch_size=32))
    assert run.column("state")[:2] == ["learning", "learning"]
    assert run.column("train_accuracy")[1] > 0.6
    assert run.column("top_share")[-1] < 0.5
    assert run.state == "unlearned"


def test_a_network_that_never_learned_but_avoids_the_labels_is_named(digits):
    run = fit(small(digits[0]), *digits, NextClass(0), Recipe(epochs=4, batch_size=32))
    assert run.best_accuracy() < 0.15
    assert run.state == "unlearned"


EVEN, SKEWED = torch.full((10,), 0.1), torch.tensor([0.995, 0.005])


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ((True, 0.3, 0.60, 0.61, EVEN, 1000), "learning"),
        ((True, 0.9, 0.20, 0.61, EVEN, 1000), "unlearned"),  # seen on another processor: top share .905
        ((True, 0.3, 0.31, 0.61, EVEN, 1000), "learning"),  # half of the best is the border
        ((True, 0.3, 0.02, 0.02, EVEN, 1000), "unlearned"),  # guessing gets a tenth
        ((True, 0.3, 0.06, 0.06, EVEN, 1000), "learning"),
        ((True, 0.3, 0.05, 0.15, EVEN, 20), "learning"),  # one hit of 20 instead of three is chance
        ((True, 0.99, 0.10, 0.61, EVEN, 1000), "collapsed"),
        ((True, 0.995, 0.995, 0.995, SKEWED, 1000), "learning"),  # nearly all samples have that label
        ((True, 0.995, 0.0, 0.995, SKEWED, 1000), "unlearned"),
        ((False, 0.99, 0.10, 0.61, EVEN, 1000), "diverged"),
    ],
)
def test_states_at_their_borders(told, state):
    assert loop._state(*told) == state


def test_a_training_set_of_one_class_is_no_collapse(digits):
    images = digits[0][:200]
    run = fit(small(images), images, torch.zeros(200, dtype=torch.int64), losses.ce(), Recipe(epochs=3))
    assert run.column("top_share")[-1] > 0.99
    assert run.state == "learning"


def test_divergence_stops_the_run_and_is_named(digits):
    recorder = dynamics.Recorder()
    recipe = Recipe(epochs=5, optimizer="sgd", lr=1e30)
    run = fit(small(digits[0]), *digits, losses.ce(), recipe, recorders=[recorder])
    assert run.state == "diverged"
    assert len(run.history) < 5
    assert torch.isnan(recorder.delta[-1]).all()


def test_schedules():
    def rates(**options):
        weight = torch.zeros(1, requires_grad=True)
        optimizer, schedule = Recipe(epochs=4, lr=1.0, **options).optimize([weight])
        seen = []
        for _ in range(4):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return seen

    assert rates() == [1, 1, 1, 1]
    assert rates(schedule="step", step_epoch=2, step_factor=0.5) == [1, 1, 0.5, 0.5]
    assert rates(schedule="cosine") == pytest.approx([(1 + math.cos(math.pi * e / 4)) / 2 for e in range(4)])


def test_a_delayed_loss_switches_after_its_delay(digits):
    images, labels = digits[0][:200], digits[1][:200]
    late = losses.gce(q=0.7).delayed(2)
    run = {n: fit(small(images), images, labels, late, Recipe(epochs=n)).model for n in (2, 3)}
    ce = {n: fit(small(images), images, labels, losses.ce(), Recipe(epochs=n)).model for n in (2, 3)}
    assert torch.equal(parameters(run[2]), parameters(ce[2]))
    assert not torch.equal(parameters(run[3]), parameters(ce[3]))


ROWS, LABELS = torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Recipe(epochs=0), "epochs must be an integer of at least 1, got 0"),
        (lambda: Recipe(epochs=True), "epochs must be an integer of at least 1, got True"),
        (lambda: loop.pick_device(None), "device must be auto, cpu, cuda or cuda:N, got None"),
        (lambda: Recipe(epochs=1, batch_size=0.5), "batch_size must be an integer of at least 1, got 0.5"),
        (lambda: Recipe(epochs=1, l1=-1.0), "l1 must be >= 0, got -1.0"),
        (lambda: Recipe(epochs=1, lr=-1.0), "lr must be > 0, got -1.0"),
        (lambda: Recipe(epochs=1, optimizer="lion"), "optimizer must be one of adam, sgd, got 'lion'"),
        (lambda: Recipe(epochs=1, schedule="linear"), "schedule must be one of constant, cosine, step"),
        (lambda: fit(None, ROWS, torch.zeros(3).long(), losses.ce(), None), "one label each"),
        (lambda: fit(None, ROWS.byte(), LABELS, losses.ce(), None), "floating"),
        (lambda: fit(None, ROWS, LABELS.float(), losses.ce(), None), "labels must be an int64 tensor"),
        (lambda: fit(None, ROWS, LABELS, losses.gce, None), "with its brackets; got <function gce"),
        (
            lambda: fit(None, ROWS, LABELS, losses.ce(), Recipe(epochs=1), test=(ROWS, LABELS[:, None])),
            r"must be \(N, ...\) and \(N,\), N >= 1; got \(2, 1, 8, 8\) and \(2, 1\)",
        ),
        (lambda: accuracy(None, ROWS, LABELS[:1]), r"got \(2, 1, 8, 8\) and \(1,\)"),
        (lambda: accuracy(None, ROWS[:0], LABELS[:0]), r"got \(0, 1, 8, 8\) and \(0,\)"),
        (lambda: dynamics.Recorder("test"), 'when must be "train" or "eval", got \'test\''),
        (lambda: dynamics.snr(torch.ones(1, 2), torch.tensor([True, True]), torch.ones(1)), "got 2 of 2"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- recorders ----------------------------------------------------------------------------------------


def test_recorders_keep_every_samples_margins(digits):
    images, labels = digits[0][:200], digits[1][:200]
    train, evaluation = dynamics.Recorder("train"), dynamics.Recorder("eval")
    recipe, options = Recipe(epochs=3), {"recorders": [train, evaluation], "device": "cpu"}
    run = fit(small(images), images, labels, losses.ce(), recipe, **options)
    assert train.delta.shape == evaluation.margin.shape == (3, 200)
    assert torch.isfinite(train.delta).all()
    logits = loop.predict(run.model, images)
    torch.testing.assert_close(evaluation.delta[-1], weights.margin(logits, labels))
    top, second = logits.topk(2, dim=1).values.T
    right = logits.argmax(1) == labels
    torch.testing.assert_close(evaluation.margin[-1][right], (top - second)[right])
    assert not torch.equal(train.delta, evaluation.delta)
    log_p = logits.log_softmax(1).gather(1, labels[:, None]).squeeze(1)
    torch.testing.assert_close(evaluation.log_p[-1], log_p, rtol=1e-4, atol=1e-6)


def test_training_pass_recorder_sees_the_weights_before_the_step(digits):
    images, labels = digits[0][:64], digits[1][:64]
    recorder = dynamics.Recorder("train")
    model = small(images)
    before = weights.margin(model(images).detach(), labels)
    recipe = Recipe(epochs=1, batch_size=64)
    fit(model, images, labels, losses.ce(), recipe, recorders=[recorder], device="cpu")
    torch.testing.assert_close(recorder.delta[0], before)


def test_slope_is_the_derivative_by_p():
    p = torch.tensor([0.01, 0.3, 0.9], dtype=torch.float64)
    torch.testing.assert_close(dynamics.slope(losses.ce(), torch.logit(p)), -1 / p)
    torch.testing.assert_close(dynamics.slope(losses.gce(q=0.7), torch.logit(p)), -(p**-0.3))
    torch.testing.assert_close(
        dynamics.slope(losses.blurry(gamma=0.5), torch.logit(p)), -(p**-0.5) * (1 + 0.5 * p.log())
    )


def test_run_weights_follow_the_delay():
    delta = torch.tensor([[0.0], [0.0]])
    w = dynamics.run_weights(losses.mae().delayed(1), delta)
    torch.testing.assert_close(w, torch.tensor([[0.5], [0.25]]))


def test_snr_by_hand():
    w = torch.tensor([[1.0, 3.0, 2.0], [4.0, 0.0, 1.0]])
    clean = torch.tensor([True, True, False])
    # lr 1 then 0.5: clean (1 + 3 + 0.5·4 + 0)/(2 + 2·0.5) = 2, noisy (2 + 0.5·1)/(1 + 0.5) = 5/3.
    assert dynamics.snr(w, clean, torch.tensor([1.0, 0.5])) == pytest.approx(2 / (5 / 3))


def test_noise_lowers_the_margin_of_flipped_samples(digits):
    images, labels = digits
    noisy = noise.corrupt(labels, noise.uniform(10, 0.3), seed=0)
    recorder = dynamics.Recorder("train")
    fit(
        small(images),
        images,
        noisy.labels,
        losses.gce(),
        Recipe(epochs=5, batch_size=32),
        recorders=[recorder],
    )
    last = recorder.delta[-1]
    assert last[noisy.mask].mean() < last[~noisy.mask].mean() - 2
