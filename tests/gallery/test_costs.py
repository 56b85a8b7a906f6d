"""What is left to run: FLOP by another count, hours measured and estimated, devices told apart."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from robust_lib import sweeps
from robust_lib.gallery import costs, side_by_side, statements
from robust_lib.gallery.artefacts import ARTEFACTS
from robust_lib.training import models


@pytest.mark.parametrize("network", ["hs_mnist", "cv_cnn4"])
def test_flop_are_those_that_torch_counts(network):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        models.MODELS[network](10, channels=1, size=28).eval()(torch.zeros(1, 1, 28, 28))
    assert costs.image_flop(network, "mnist") == counter.get_total_flops()


def test_a_trial_costs_three_passes_for_each_network_that_sees_an_image():
    row = sweeps.SWEEPS["hs-table1-mnist"].trials("paper", seeds=1)[0].flat()
    forward = costs.image_flop("hs_mnist", "mnist")
    assert costs.flop(row) == 3 * forward * 60_000 * 10 * 4  # five folds, each without its own fifth
    assert costs.flop(row | {"detector": "aum"}) == 3 * forward * 60_000 * 10 * 2
    assert costs.flop(row | {"detector": "none", "recipe_epochs": 2}) == 3 * forward * 60_000 * 2
    assert costs.flop(row | {"size": "mini"}) == costs.flop(row) / 12
    assert costs.flop(row | {"samples": 6_000}) == costs.flop(row) / 10


def records(tmp_path, name, rows):
    tmp_path.mkdir(exist_ok=True)
    about = {"status": "done", "device": "a CPU", "threads": 2}
    text = "".join(json.dumps(about | row) + "\n" for row in rows)
    (tmp_path / f"{name}.jsonl").write_text(text)


def row(trial, **more):
    return {"key": trial.key} | trial.flat() | more


def test_a_kind_that_is_recorded_is_measured_and_others_go_by_the_nearest_network(tmp_path):
    mnist = sweeps.SWEEPS["hs-table1-mnist"].trials("paper", seeds=1)
    done = [
        row(mnist[0], seconds=100.0),
        row(mnist[1], seconds=300.0),
        row(mnist[2], seconds=10.0, threads=1),
    ]
    records(tmp_path, "hs-table1-mnist", done)
    rates = costs.rates(tmp_path)
    one, two = "a CPU, 1 thread", "a CPU, 2 threads"
    assert list(rates) == [costs.V100, one, two]
    assert costs.seconds(mnist[5].flat(), rates[two]) == (200.0, costs.MEASURED)
    longer = mnist[5].flat() | {"recipe_epochs": 20}
    assert costs.seconds(longer, rates[one]) == (pytest.approx(20.0), costs.ESTIMATED)
    left = {one.name: one for one in costs.remaining(tmp_path)}
    first = left["hs-table1-mnist"]
    assert (first.all, first.done) == (len(mnist) * 20, 3)
    assert first.cost(rates[one]) == costs.Cost(
        pytest.approx((len(mnist) * 20 - 3) * 10 / 3600), costs.MEASURED
    )
    assert left["hs-fig8"].all == 0  # its trials are Table 1's
    assert left["hs-fig11"].cost(rates[one]).how == costs.PARTLY
    text = costs.table([first, left["hs-fig11"]], rates)
    assert "| hours, a CPU, 1 thread |" in text.splitlines()[0]
    assert text.splitlines()[3].endswith(" + |")
    assert text.splitlines()[4].endswith(" + |")


def test_the_nearest_network_in_size_gives_the_pace():
    rate = costs.Rate({}, {"hs_mnist": 1e9, "cv_cnn8": 1e12}, {"hs_mnist": 24e6, "cv_cnn8": 267e6})
    large = sweeps.SWEEPS["cv-table2"].trials("paper", seeds=1)[0].flat()
    assert costs.seconds(large, rate) == (pytest.approx(costs.flop(large) / 1e12), costs.ESTIMATED)


def test_float32_gives_the_pace_where_it_is_recorded(tmp_path):
    plain = sweeps.SWEEPS["cv-table5"].trials("paper", seeds=1)[:2]
    fast = row(plain[0], seconds=1.0, recipe_precision="bf16")
    records(tmp_path, "cv-table5", [fast])
    alone = costs.rates(tmp_path)["a CPU, 2 threads"].pace["cv_cnn8"]
    assert alone == pytest.approx(costs.flop(plain[0].flat()))
    records(tmp_path, "cv-table5", [fast, row(plain[1], seconds=4.0)])
    assert costs.rates(tmp_path)["a CPU, 2 threads"].pace["cv_cnn8"] == pytest.approx(alone / 4)


def test_hs_states_its_own_minutes():
    rate = costs.rates()[costs.V100]
    stated = {"hs-table1-mnist": 300, "hs-table1-cifar10": 900, "hs-table4": 900, "hs-table6": 9000}
    for name, seconds in stated.items():
        first = sweeps.SWEEPS[name].trials("paper", seeds=1)[0].flat()
        assert costs.seconds(first, rate) == (seconds, costs.MEASURED), name


def test_the_page_has_every_artefact_and_statement_and_adds_up(tmp_path):
    found = statements.findings(tmp_path)
    text = side_by_side.page(found, costs.remaining(tmp_path), costs.rates(tmp_path), tmp_path)
    for name, artefact in ARTEFACTS.items():
        assert f"| {name} | {artefact.title} |" in text or f"[{name}]({artefact.slug}.md)" in text
    assert all(f"| `{key}` |" in text for key in statements.STATEMENTS)
    frame = side_by_side.summary(found)
    assert (frame.groupby("side").sum(numeric_only=True).sum(axis=1) == len(statements.STATEMENTS)).all()
    assert "**not testable here**, no case recorded yet" in text
    assert "side-by-side-numbers.png" not in text  # nothing to draw


def test_numbers_are_paired_with_the_printed_ones():
    frame = side_by_side.pairs()
    assert "alpha" not in set(frame["metric"])
    one = frame.query("artefact == 'HS Table 1' and scale == 'paper' and data == 'mnist' and loss == 'CE'")
    assert one["theirs"].iloc[0] == 0.969
    drawn = sum(len(pairs) for by_scale in side_by_side.points().values() for pairs in by_scale.values())
    assert drawn == len(frame)


def test_a_timed_step_gives_the_pace_of_a_network_that_no_trial_has(tmp_path):
    plain = sweeps.SWEEPS["cv-table5"].trials("paper", seeds=1)[0]
    records(tmp_path, "cv-table5", [row(plain, seconds=4.0)])
    before = costs.rates(tmp_path)["a CPU, 2 threads"].pace
    step = {"data": "cifar10", "precision": "fp32", "batch_size": 10, "ms": 500.0}
    steps = [
        step | {"key": "a", "network": "resnet34"},
        step | {"key": "b", "network": "cv_cnn8"},
        step | {"key": "c", "network": "fast_resnet", "precision": "bf16", "device": "in bf16 alone"},
        step | {"key": "d", "network": "resnet34", "device": "another"},
    ]
    records(tmp_path, "steps", steps)
    after = costs.rates(tmp_path)
    expected = 3 * costs.image_flop("resnet34", "cifar10") * 10 / 0.5
    assert after["a CPU, 2 threads"].pace == before | {"resnet34": pytest.approx(expected)}
    assert after["another, 2 threads"] == costs.Rate(
        {}, {"resnet34": pytest.approx(expected)}, {"resnet34": costs.image_flop("resnet34", "cifar10")}
    )
    assert list(after) == [costs.V100, "a CPU, 2 threads", "another, 2 threads"]


def test_a_trial_that_two_devices_have_run_tells_of_both(tmp_path):
    trial = sweeps.SWEEPS["hs-table1-mnist"].trials("paper", seeds=1)[0]
    records(tmp_path, "hs-table1-mnist", [row(trial, seconds=100.0)])
    records(tmp_path, "recipe", [row(trial, seconds=10.0, device="another")])
    rates = costs.rates(tmp_path)
    assert costs.seconds(trial.flat(), rates["a CPU, 2 threads"]) == (100.0, costs.MEASURED)
    assert costs.seconds(trial.flat(), rates["another, 2 threads"]) == (10.0, costs.MEASURED)


def test_a_gpu_goes_by_its_timed_steps_since_trials_share_the_card(tmp_path):
    trial = sweeps.SWEEPS["hs-table1-mnist"].trials("paper", seeds=1)[0]
    gpu = {"device": "a GPU", "tf32": True}
    records(tmp_path, "hs-table1-mnist", [row(trial, seconds=43.0, **gpu)])
    assert list(costs.rates(tmp_path)) == [costs.V100]
    step = {"key": "a", "data": "mnist", "network": "hs_mnist", "precision": "fp32", "batch_size": 128}
    records(tmp_path, "steps", [step | {"ms": 1.0} | gpu])
    rates = costs.rates(tmp_path)
    steps = 10 * 4 * 60_000 / 128  # ten epochs, five folds of four fifths
    assert costs.seconds(trial.flat(), rates["a GPU"]) == (pytest.approx(steps / 1000), costs.ESTIMATED)
