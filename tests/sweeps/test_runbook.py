"""results/GPU.md: its commands exist, FLOP and hours are those of the plans, and each sweep runs, tiny."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robust_lib import records, sweeps
from robust_lib.gallery import costs

RUNBOOK = Path(__file__).parents[2] / "results" / "GPU.md"
ROW = re.compile(
    r"^\| `python -m robust_lib sweep ([\w-]+)` \| ([\d,]+) \| ([\d,.]+) \| ([\d,.]+) \| ([\d,.]+) \|", re.M
)
ROWS = {name: numbers for name, *numbers in ROW.findall(RUNBOOK.read_text("utf-8"))}
SMALL = ("hs_mnist", "cv_cnn4")
STEPS = {row["network"]: row for row in records.read("steps") if "H100" in row["device"]}


def pace(card: str, network: str) -> float:
    """FLOP/s: on an H100 that of timed steps, on a T4 the assumed share of its peak in float32."""
    if card == "T4":
        return 8.1e12 * (0.25 if network in SMALL else 0.5)
    return costs.step_pace(STEPS[network.removesuffix("_imagenet")])


def test_trials_flop_and_hours_are_those_of_the_plans():
    seen: set[str] = set()
    order = ["recipe", "blurry-gradient", "hs-table1-mnist", "hs-table1-fashion", "hs-table1-cifar10",
             "hs-table1-cifar100"]  # fmt: skip
    for name in [*order, *(name for name in ROWS if name not in order)]:
        trials = [trial for trial in sweeps.SWEEPS[name].trials("paper") if trial.key not in seen]
        seen |= {trial.key for trial in trials}
        work = dict.fromkeys({trial.network for trial in trials}, 0.0)
        for trial in trials:
            work[trial.network] += costs.flop(trial.flat())
        hours = [sum(work[n] / pace(card, n) for n in work) / 3600 for card in ("H100", "T4")]
        told = [float(number.replace(",", "")) for number in ROWS[name]]
        assert told == pytest.approx([len(trials), sum(work.values()) / 1e15, *hours], abs=0.051), name


def tiny(trial: sweeps.Trial) -> sweeps.Trial:
    """The trial on 200 images of a pack, in one epoch; other images where there is no pack of its own."""
    name = "cifar10" if trial.data.startswith("cifar") else trial.data
    noise = {"noise": "uniform", "rate": 0.2} if trial.noise != "none" else {}
    networks = {"resnet34": "fast_resnet", "resnet34_imagenet": "fast_resnet"}  # without weights, and quick
    changes = dict(trial.changes) | {"epochs": 1, "batch_size": 50, "precision": "fp32"}
    detector = "none" if trial.detector == "cl_test" else trial.detector  # its verdicts are a download
    small = {"data": name, "size": "mini", "samples": 200, "folds": 2, "changes": changes, "delay": 0}
    network = networks.get(trial.network, trial.network)
    return replace(trial, **small, **noise, network=network, detector=detector)


@pytest.mark.parametrize("name", ROWS)
def test_a_dry_run_of_every_command(name):
    torch.set_num_threads(1)
    record = sweeps.run(tiny(sweeps.SWEEPS[name].trials("paper", seeds=1)[0]), "cpu")
    assert record["images"] == 200
