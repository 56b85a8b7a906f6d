"""The bench command's arithmetic and its text; nothing here depends on how fast the machine is."""

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from robust_lib import data, losses
from robust_lib.__main__ import main
from robust_lib.sweeps import bench
from robust_lib.training import models


def few(pictures, count):
    parts = {name: getattr(pictures, name)[:count] for name in ("images", "labels", "index")}
    return replace(pictures, **parts)


def test_ratios_are_seconds_over_those_of_cross_entropy(monkeypatch):
    clock = iter(range(10**6))  # an epoch takes one tick with cross entropy, k with the k-th loss
    order = ["warm up"] + ["ce", *losses.names()] * 2 * len(bench.SETTINGS)
    trained = []

    def fit(model, images, labels, loss, recipe, **options):
        assert torch.get_num_threads() == 1
        trained.append((loss.name if hasattr(loss, "name") else "peer", recipe.batch_size))
        for _ in range(losses.names().index(trained[-1][0]) if len(trained) > 1 else 0):
            next(clock)

    threads = torch.get_num_threads()
    monkeypatch.setattr(bench.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(bench.training, "fit", fit)
    ratios = bench.loss_ratios(few(data.load("mnist", "train"), 64), rounds=2)
    assert torch.get_num_threads() == threads
    assert len(trained) == len(order)
    assert list(ratios) == [("hs_mnist", 64), ("hs_mnist", 128), ("small_cnn", 64), ("small_cnn", 128)]
    for column in ratios.values():
        assert column == {name: k + 1 for k, name in enumerate(losses.names())}


def test_the_table_marks_what_is_over_the_limit():
    lines = bench.table({("a", 64): {"fast": 1.2, "slow": 1.51}, ("b", 1): {"fast": 1.5, "slow": 1}})
    assert [line.split() for line in lines.splitlines()] == [
        ["loss", "a", "64", "b", "1"],
        ["fast", "1.20", "1.50"],
        ["slow", "1.51", "1.00", "over"],
    ]


def test_the_command_prints_one_line_a_loss(monkeypatch):
    monkeypatch.setattr(bench, "loss_ratios", lambda pictures: {("a", len(pictures.labels)): {"gce": 1.0}})
    result = CliRunner().invoke(main, ["bench", "losses"])
    assert result.exit_code == 0
    assert result.output.split() == ["loss", "a", "1024", "gce", "1.00"]


def test_the_textbooks_network_is_the_same_function():
    network = models.build("hs_mnist", torch.zeros(1, 1, 28, 28), 10, 0).eval()
    plain = bench.textbook(network).eval()
    kinds = [type(layer).__name__ for layer in plain]
    assert kinds[:6] == ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout"]
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain(images), network(images), rtol=1e-5, atol=1e-6)
    assert plain[0].weight.data_ptr() != network[0].weight.data_ptr()


def test_training_is_compared_with_the_plain_loop_on_real_images(device, monkeypatch):
    monkeypatch.setattr(bench, "_in_hardware", lambda *_: True)
    pictures, test = (data.load("mnist", split) for split in ("train", "test"))
    some = few(pictures, 256), few(test, 256)
    rates = bench.training_rates(*some, "small_cnn", epochs=4, seeds=1, device=device)
    assert list(rates) == ["plain loop", "fit", "fit bf16"]
    for row in rates.values():
        assert row["rate"] > 0
        assert 0.4 < row["accuracy"][0] <= 1  # each of the three really trains


@pytest.mark.parametrize("faster", [True, False])
def test_bfloat16_is_timed_where_it_is_faster(faster, monkeypatch):
    monkeypatch.setattr(bench, "gemm_rate", lambda precision, *_: faster if precision == "bf16" else 0.5)
    monkeypatch.setattr(bench, "WAYS", {"fit": "fp32", "fit bf16": "bf16"})
    some = few(data.load("mnist"), 64)
    rates = bench.training_rates(some, some, "small_cnn", seeds=1)
    assert list(rates) == ["fit", "fit bf16"][: 1 + faster]


def test_flops_are_those_of_the_layers():
    forward = 2 * (16 * 14**2 * 25 + 32 * 7**2 * 16 * 25 + 32 * 49 * 128 + 128 * 10)
    first = 2 * 16 * 14**2 * 25  # the first layer's input needs no gradient
    assert bench.flops_per_image("small_cnn", torch.zeros(1, 1, 28, 28), 10) == 3 * forward - first


def test_the_training_table_has_a_line_per_way(monkeypatch):
    ways = {"plain loop": (100.0, [0.9]), "fit": (150.0, [0.91]), "fit bf16": (250.0, [0.905])}
    rates = {way: {"rate": rate, "accuracy": accuracy} for way, (rate, accuracy) in ways.items()}
    monkeypatch.setattr(bench, "training_rates", lambda *_: rates)
    monkeypatch.setattr(bench, "gemm_rate", lambda *_: 1e10)
    lines = bench.training_table(data.load("mnist"), None, epochs=1).splitlines()
    assert [line.split()[-4] for line in lines[1:]] == ["1.00", "1.50", "2.50"]
    assert lines[3].endswith("0.9050")


def test_aum_is_compared_with_the_package_on_the_same_updates():
    found = bench.aum_seconds(samples=300, classes=3, batch=128)
    assert found["equal"]
    assert found["aum package"] > 0 < found["ours"]
