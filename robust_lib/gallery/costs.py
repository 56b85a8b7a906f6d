"""What the papers' tables would still take at their own scale, in hours of each device that has records.

    by_device = rates()            {device: Rate}, and HS's V100 at the pace that HS reports
    table(by_device)               Markdown: a row for each sweep

Where trials of the same kind are recorded on a CPU, an hour is measured: their mean. Elsewhere it is
estimated from FLOP: those of the trial, at the pace at which the device trains the network that is nearest
in FLOP for an image, among those in recorded trials or timed steps (results/steps.jsonl). Trials recorded
on a GPU ran beside others on the same card, so a GPU has the pace of its timed steps alone. The pace of a
small network says little about a large one, and that in bfloat16 is too high for float32, so an estimate
may be wrong by a factor of several.
"""

import functools
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from robust_lib import data, records, sweeps
from robust_lib.gallery.comparison import markdown, records_of
from robust_lib.papers import reported
from robust_lib.training import RECIPES, models

TRAINING_IMAGES = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000}
PACK_IMAGES = 5_000
V100 = "V100, as HS reports"
TINY = ("small_cnn", "stride_cnn")  # ours, for the mini packs; their pace says little about the papers'
MEASURED, ESTIMATED, PARTLY = "measured", "estimated from FLOP", "partly estimated from FLOP"
# Forward and backward: three times the FLOP of a forward pass. Held-out predictions are left out, a fortieth.
PASSES = 3
DECIDES_COST = ("data", "size", "network", "recipe", "detector", "folds", "runs", "samples")
DECIDES_COST += ("recipe_epochs", "recipe_batch_size", "recipe_precision")


@dataclass(frozen=True)
class Rate:
    """How fast a device is. measured: kind of trial -> mean seconds; pace: network -> FLOP per second; sizes:
    network -> FLOP of a forward pass of one image."""

    measured: dict[tuple, float]
    pace: dict[str, float]
    sizes: dict[str, float]


@dataclass(frozen=True)
class Cost:
    """Of one sweep on one device: hours of what is not recorded yet, and how they are known."""

    hours: float
    how: str


def kind(row: dict) -> tuple:
    """What decides how long a trial takes: of a record, or of a trial's flat description."""
    return tuple(row.get(name) for name in DECIDES_COST)


@functools.cache
def image_flop(network: str, name: str) -> int:
    """FLOP of a forward pass of one image of a data set through convolutions and linear layers, two for each
    multiplication with its addition."""
    channels, size, _ = data.SETS[name].shape
    plain = "resnet34" if network == "resnet34_imagenet" else network  # the same network, without weights
    with models.seeded_weights(0), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = models.MODELS[plain](len(data.SETS[name].classes), channels=channels, size=size).eval()
        model(torch.zeros(1, channels, size, size))
    return counter.get_total_flops()


def flop(row: dict) -> float:
    """Of the trainings of one trial: images, epochs, and networks (cl: every fold without its own part)."""
    images = row["samples"] or (PACK_IMAGES if row["size"] == "mini" else TRAINING_IMAGES[row["data"]])
    epochs = row.get("recipe_epochs") or RECIPES[row["recipe"]].epochs
    trained = {"cl": row["folds"] - 1, "aum": row["runs"]}.get(row["detector"], 1)
    return PASSES * image_flop(row["network"], row["data"]) * images * epochs * trained


def rates(folder: Path | None = None) -> dict[str, Rate]:
    """Of HS's V100, of every CPU (with its threads) that has trained networks on images in a recorded sweep,
    those of TINY aside, and of every device whose steps in float32 are timed. Of a network that a CPU has
    trained it has the pace of these trials, otherwise that of the timed step."""
    rows: dict[str, dict[str, dict]] = {}  # a trial may be recorded on several devices
    for scale in ("paper", "small"):
        for name, sweep in sweeps.SWEEPS.items():
            for row in records_of((name,), scale, folder) if scale in sweep.seeds else ():
                if row["network"] in models.MODELS and row["network"] not in TINY and "tf32" not in row:
                    rows.setdefault(_device(row), {})[row["key"]] = row
    found = {device: _rate(list(own.values())) for device, own in rows.items()}
    for row in records.read("steps", "paper", folder):
        rate = found.setdefault(_device(row), Rate({}, {}, {})) if row["precision"] == "fp32" else None
        if rate and row["network"] not in rate.pace:
            rate.sizes[row["network"]] = image_flop(row["network"], row["data"])
            rate.pace[row["network"]] = step_pace(row)
    return {V100: _hs_rate()} | dict(sorted(found.items()))


def step_pace(row: dict) -> float:
    """FLOP per second of a training step of results/steps.jsonl."""
    return PASSES * image_flop(row["network"], row["data"]) * row["batch_size"] / (row["ms"] / 1000)


def _device(row: dict) -> str:
    """GPUs by name; a CPU with the number of threads, which its records differ in."""
    threads = f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
    return row["device"] if "tf32" in row else f"{row['device']}, {threads}"


def _rate(rows: list[dict]) -> Rate:
    """A network's pace is that in float32, as in the papers' sweeps, or else in bfloat16, which is faster."""
    by_kind: dict[tuple, list[float]] = {}
    work: dict[str, dict[str, list[tuple[float, float]]]] = {}
    sizes = {}
    for row in rows:
        by_kind.setdefault(kind(row), []).append(row["seconds"])
        precision = row.get("recipe_precision", "fp32")
        work.setdefault(row["network"], {}).setdefault(precision, []).append((flop(row), row["seconds"]))
        sizes[row["network"]] = image_flop(row["network"], row["data"])
    pace = {}
    for network, by_precision in work.items():
        done, spent = zip(*by_precision.get("fp32", by_precision.get("bf16", [])), strict=True)
        pace[network] = sum(done) / sum(spent)
    return Rate({key: statistics.fmean(own) for key, own in by_kind.items()}, pace, sizes)


def _hs_rate() -> Rate:
    """HS A.1: minutes for a loss and a parameter, by data set, five folds of ten epochs; and of AUM."""
    printed = {(row.metric, row.data): 60 * row.mean for row in reported.table("HS A.1")}
    rows = [
        _first(f"hs-table1-{name.removesuffix('_mnist')}").flat() | {"seconds": printed["minutes", name]}
        for name in TRAINING_IMAGES
    ]
    rate = _rate(rows)
    rate.measured[kind(_first("hs-table6").flat())] = printed["aum_minutes", "cifar100"]
    return rate


def _first(name: str) -> sweeps.Trial:
    return sweeps.SWEEPS[name].trials("paper", seeds=1)[0]


def seconds(row: dict, rate: Rate) -> tuple[float, str]:
    """(seconds of a trial on a device, MEASURED or ESTIMATED)."""
    if (known := rate.measured.get(kind(row))) is not None:
        return known, MEASURED
    own = image_flop(row["network"], row["data"])
    nearest = min(rate.pace, key=lambda name: abs(math.log(own / rate.sizes[name])))
    return flop(row) / rate.pace[nearest], ESTIMATED


@dataclass(frozen=True)
class Remaining:
    """Of one sweep at the paper's scale: all trials, those recorded on any device, and how many of each kind
    are still to be run, each with the description of one of them."""

    name: str
    artefact: str
    all: int
    done: int
    groups: tuple[tuple[dict, int], ...]

    def cost(self, rate: Rate) -> Cost:
        """What is left, on a device of this rate."""
        parts = [(count, *seconds(row, rate)) for row, count in self.groups]
        words = {how for _, _, how in parts}
        how = words.pop() if len(words) == 1 else PARTLY if words else ""
        return Cost(sum(count * spent for count, spent, _ in parts) / 3600, how)


@functools.cache
def _planned() -> dict[str, tuple[tuple[str, dict], ...]]:
    """By sweep the key and the description of every trial at the paper's scale; what two sweeps share belongs
    to the first."""
    seen: set[str] = set()
    found = {}
    for name, sweep in sweeps.SWEEPS.items():
        if "paper" in sweep.seeds and name.startswith(("hs-", "cv-")):
            trials = [trial for trial in sweep.trials("paper") if trial.key not in seen]
            found[name] = tuple((trial.key, trial.flat()) for trial in trials)
            seen |= {trial.key for trial in trials}
    return found


def remaining(folder: Path | None = None) -> list[Remaining]:
    """The sweeps behind the papers' tables and figures, with what is not recorded at the paper's scale. A
    trial that two sweeps share belongs to the first."""
    done = {row["key"] for row in records_of(tuple(sweeps.SWEEPS), "paper", folder)}
    found = []
    for name, trials in _planned().items():
        groups: dict[tuple, list[dict]] = {}
        for key, row in trials:
            if key not in done:
                groups.setdefault(kind(row), []).append(row)
        left = tuple((rows[0], len(rows)) for rows in groups.values())
        recorded = len(trials) - sum(count for _, count in left)
        found.append(Remaining(name, sweeps.SWEEPS[name].artefact, len(trials), recorded, left))
    return found


def table(left: list[Remaining], by_device: dict[str, Rate]) -> str:
    """Markdown: trials, recorded ones, hours of what is left on every device; "*" where from FLOP alone, "+"
    where in part."""
    lines = [("sweep", "for", "trials", "recorded", *(f"hours, {device}" for device in by_device))]
    marks = {ESTIMATED: " *", PARTLY: " +"}
    totals, known = dict.fromkeys(by_device, 0.0), dict.fromkeys(by_device, True)
    for one in left:
        costs = {device: one.cost(rate) for device, rate in by_device.items()}
        for device, cost in costs.items():
            totals[device] += cost.hours
            known[device] &= cost.how not in marks
        hours = (f"{cost.hours:,.0f}{marks.get(cost.how, '')}" for cost in costs.values())
        lines.append((one.name, one.artefact, f"{one.all:,}", f"{one.done:,}", *hours))
    sums = (f"{sum(getattr(one, name) for one in left):,}" for name in ("all", "done"))
    every = (f"{hours:,.0f}{'' if known[device] else ' +'}" for device, hours in totals.items())
    lines.append(("**all**", "", *sums, *every))
    return markdown(lines)
