"""The papers' networks: layers and parameter counts from other sources, image sizes, ImageNet weights."""

import pickle
from dataclasses import replace
from urllib.error import URLError

import pytest
import torch
from torch import nn

from robust_lib import data, losses, training
from robust_lib.data import DataError
from robust_lib.training import models


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


def conv(inputs, outputs):
    return 9 * inputs * outputs + outputs + 2 * outputs  # weights, biases, batch normalisation


def linear(inputs, outputs):
    return inputs * outputs + outputs


def build(name, channels, size, classes=10, seed=0):
    return models.build(name, torch.zeros(1, channels, size, size), classes, seed)


def test_cvs_networks_have_the_layers_the_paper_counts():
    eight = build("cv_cnn8", 3, 32)
    widths = [3, 64, 64, 128, 128, 196, 196]
    by_hand = sum(map(conv, widths, widths[1:])) + linear(196 * 4 * 4, 256) + 2 * 256 + linear(256, 10)
    assert count(eight) == by_hand == 1_639_794
    four = build("cv_cnn4", 1, 28)
    by_hand = conv(1, 32) + conv(32, 64) + linear(64 * 7 * 7, 128) + 2 * 128 + linear(128, 10)
    assert count(four) == by_hand == 422_090
    for network, layers in ((eight, 8), (four, 4)):
        assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network) == layers


def test_resnet_is_torchvisions_but_for_the_stem_and_the_head():
    # torchvision publishes 21,797,672 for 1000 classes; the kernel (49 places or 9) and the head differ.
    expected = 21_797_672 - 64 * 3 * (49 - 9) - 513 * 1000 + 513 * 10
    network = build("resnet34", 3, 32)
    assert count(network) == expected == 21_282_122
    sizes = []
    hooks = [
        getattr(network, f"layer{n}").register_forward_hook(lambda *a: sizes.append(a[2].shape[2:]))
        for n in (1, 4)
    ]
    network.eval()(torch.zeros(1, 3, 32, 32))
    assert sizes == [(32, 32), (4, 4)]  # spatial resolution is preserved up to the first block
    assert hooks


@pytest.mark.parametrize("p", [0.25, 0.5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_from_bytes_drops_its_share_and_repeats_itself(p, layout):
    x = torch.rand(16, 8, 25, 25).add(1).to(memory_format=layout).requires_grad_()
    layer = models.ByteDropout(p)
    torch.manual_seed(3)
    out = layer(x)
    out.sum().backward()
    kept = out != 0
    share = 1 - float(kept.double().mean())
    assert abs(share - p) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    # Places beside each other in memory share a draw; they must not share their fate.
    both = float((kept[:, 1:] & kept[:, :-1]).double().mean())
    assert abs(both - (1 - p) ** 2) < 0.01
    torch.testing.assert_close(out[kept], x[kept] / (1 - p))
    torch.testing.assert_close(x.grad, kept / (1 - p))
    torch.manual_seed(3)
    assert torch.equal(layer(x), out)
    assert not torch.equal(layer(x), out)
    assert torch.equal(layer.eval()(x), x)


def test_dropout_from_bytes_takes_tensors_with_gaps_and_wrong_shares_are_refused():
    gaps = torch.ones(1000, 20)[:, ::2]
    torch.manual_seed(0)
    assert 0.4 < float((models.ByteDropout(0.5)(gaps) == 0).double().mean()) < 0.6
    for p in (0.1, 1.0, -0.25):
        with pytest.raises(ValueError, match=r"p must be a multiple of 1/256 in \[0, 1\), got"):
            models.ByteDropout(p)


def test_fast_resnet_has_the_layers_that_its_docstring_counts():
    network = build("fast_resnet", 3, 32)
    kernels = [4 * 3 * 24] + [9 * w * v for w, v in ((24, 64), (64, 64), (64, 128), (128, 128))]
    kernels += [9 * 128 * 256, 9 * 256 * 256]
    normalised = 2 * sum((24, 64, 64, 128, 128, 256, 256))
    assert count(network) == sum(kernels) + normalised + linear(256, 10) == 1_161_306
    sizes = []
    for layer in network:
        if isinstance(layer, models.Residual):
            layer.register_forward_hook(lambda *given: sizes.append(tuple(given[2].shape[1:])))
    network.eval()(torch.zeros(1, 3, 32, 32))
    assert sizes == [(64, 15, 15), (128, 7, 7), (256, 3, 3)]
    with pytest.raises(RuntimeError, match="too small"):
        build("fast_resnet", 3, 8).eval()(torch.zeros(1, 3, 8, 8))


def test_a_residual_part_is_added_to_what_it_is_given():
    x = torch.rand(2, 3)
    torch.testing.assert_close(models.Residual(nn.Linear(3, 3, bias=False))(0 * x), 0 * x)
    silent = models.Residual(nn.Linear(3, 3))
    nn.init.zeros_(silent.part.weight)
    nn.init.ones_(silent.part.bias)
    torch.testing.assert_close(silent(x), x + 1)


def test_logits_of_a_fresh_fast_resnet_are_a_ninth_of_the_heads():
    network, heads = build("fast_resnet", 3, 32).eval(), []
    network[-1].register_forward_hook(lambda *given: heads.append(given[2]))
    x = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(9 * network(x), heads[0])


@pytest.mark.parametrize("name", ["cv_cnn4", "cv_cnn8", "fast_resnet", "resnet34"])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 64)])
def test_other_image_sizes_and_class_counts(name, channels, size):
    network = build(name, channels, size, classes=7).eval()
    assert network(torch.rand(2, channels, size, size)).shape == (2, 7)


def test_initial_weights_are_hes_and_glorots():
    network = build("cv_cnn8", 3, 32)
    convolution = [layer for layer in network if isinstance(layer, nn.Conv2d)][3]  # 128 -> 128
    hidden = next(layer for layer in network if isinstance(layer, nn.Linear))
    assert float(convolution.weight.detach().std()) == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert float(hidden.weight.detach().std()) == pytest.approx((2 / (3136 + 256)) ** 0.5, rel=0.02)


def test_imagenet_weights_go_everywhere_but_into_stem_and_head(monkeypatch, tmp_path):
    from torchvision.models import resnet34

    state, asked = resnet34().state_dict(), []

    def load(url, folder, **options):
        asked.append((url, folder, options["check_hash"], options["weights_only"]))
        return dict(state)

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    monkeypatch.delenv("ROBUST_DATA", raising=False)
    network = build("resnet34_imagenet", 3, 32, classes=100).state_dict()
    scratch = build("resnet34", 3, 32, classes=100).state_dict()
    for name, value in network.items():
        own = name.startswith(("conv1.", "fc."))
        torch.testing.assert_close(value, (scratch if own else state)[name], rtol=0, atol=0)
    (tmp_path / "resnet34-b627a593.pth").touch()
    monkeypatch.setenv("ROBUST_DATA", str(tmp_path))
    models.imagenet_weights()
    url = "https://download.pytorch.org/models/resnet34-b627a593.pth"
    assert asked == [(url, None, True, True), (url, str(tmp_path), True, True)]


@pytest.mark.parametrize(
    "error", [URLError("no network"), RuntimeError("bad hash"), pickle.UnpicklingError("cut")]
)
def test_missing_imagenet_weights_are_never_passed_over(monkeypatch, error):
    def load(*args, **options):
        raise error

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    with pytest.raises(DataError, match=r"cannot be had .*Put resnet34-b627a593.pth into .* ROBUST_DATA"):
        build("resnet34_imagenet", 3, 32)


def test_one_epoch_on_real_images_beats_chance_and_repeats_itself():
    images = data.load("cifar10", "train")
    x, labels = data.to_float(images.images[:2000], "cifar10"), images.labels[:2000]
    recipe = replace(training.RECIPES["quick"], epochs=1, batch_size=50)

    def train(samples, seed=0):
        network, part = models.build("fast_resnet", x, 10, seed), (x[:samples], labels[:samples])
        return training.fit(network, *part, losses.ce(), recipe, seed=seed, device="cpu")

    whole = train(2000)
    assert whole.state == "learning"
    # Chance has 0.1, give or take 0.007.
    assert training.accuracy(whole.model, x, labels) > 0.2
    one, again, other = train(128), train(128), train(128, seed=1)
    weights = [
        torch.cat([p.detach().flatten() for p in run.model.parameters()]) for run in (one, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
