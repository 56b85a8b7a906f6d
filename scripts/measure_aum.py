"""Which threshold samples should the area under the margin take? Fills results/aum-threshold.jsonl.

    python scripts/measure_aum.py
    python scripts/measure_aum.py --table            # means of what is recorded, and what a choice costs

The trainings of `find` (its networks, recipes, folds and threshold runs) with N/(K + 1) threshold samples,
half of them and a quarter, each judged at several percentiles against labels that were made wrong. The rule
of `find` was chosen on seed 0; then seed 1 was looked at. It can be stopped; the same command goes on.
"""

import itertools

import check_find
import numpy as np
import recording
import torch

from robust_lib import data, detection, records
from robust_lib.data import noise, people
from robust_lib.detection import metrics
from robust_lib.find import search
from robust_lib.training import models

FILE = records.path_of("aum-threshold")
SEEDS = range(2)
SETS = {  # data and network: images
    "cifar10 linear": 2000,
    "cifar100 linear": 5000,
    "fashion_mnist stride_cnn": 1000,
    "mnist stride_cnn": 1000,
    "cifar10 mlp": 2000,
}
NOISE = ("uniform .1", "uniform .3", "pair .2", "one-way .3", "people's")
LOSSES = ("ce", "gce")
PARTS, PERCENTILES = (1, 2, 4), (50, 60, 70, 75, 80, 90, 95, 99)


def matrix(kind: str, classes: int) -> torch.Tensor:
    if kind == "people's":
        return people.transition_matrix("cifar10n-worst" if classes == 10 else "cifar100n-fine")
    name, rate = kind.split()
    named = {"uniform": noise.uniform, "pair": noise.pair, "one-way": check_find.one_way}
    return named[name](classes, float(rate))


def inputs_of(name: str, network: str, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    if network == "stride_cnn":
        pack = data.load(name, "train", size="mini")
        return search.standardised(pack.images[:images]), pack.labels[:images]
    pack = data.load_features(name, "train")
    return pack.features[:images], pack.labels[:images]


def measure(run: dict) -> dict:
    inputs, true = inputs_of(run["data"], run["network"], run["images"])
    classes = int(true.max()) + 1
    given = noise.corrupt(true, matrix(run["noise"], classes), run["seed"])
    recipes = {
        "linear": search.FEATURES,
        "mlp": search.mlp_recipe(len(true) * 4 // 5),
        "stride_cnn": search.IMAGES,
    }
    options = {"seed": run["seed"], "device": "cpu", "progress": False}

    def build(seed: int, more: int = 0):
        return models.build(run["network"], inputs, classes + more, seed)

    rows = []
    for loss in LOSSES:
        arguments = (inputs, given.labels, search.LOSSES[loss], recipes[run["network"]])
        folds = detection.cross_validate(build, *arguments, folds=search.FOLDS, **options)
        by_folds = detection.confident_learning(given.labels, folds.probs).flagged
        for part in PARTS:
            more = {"classes": classes, "count": max(2, len(true) // (classes + 1) // part)}
            runs = list(
                detection.threshold_runs(
                    lambda seed: build(seed, 1), *arguments, runs=search.THRESHOLD_RUNS, **more, **options
                )
            )
            rows += [{"loss": loss, "part": part} | row for row in judged(given, runs, by_folds)]
    return {"realised_rate": given.mask.double().mean().item(), "rows": rows}


def judged(given, runs, by_folds: np.ndarray) -> list[dict]:
    """For each percentile F1 of the margins' flags, and of those on which confident learning agrees."""
    rows = []
    for percentile in PERCENTILES:
        flagged = detection.area_under_margin(given.labels, runs, percentile=percentile).flagged
        f1 = {
            name: round(metrics.detection_scores(given.mask, one)["f1"], 4)
            for name, one in (("aum", flagged), ("both", flagged & by_folds))
        }
        rows.append({"percentile": percentile, **f1})
    return rows


def table() -> str:
    """The mean F1 over sets, noises and losses; "lost": what a set and loss misses, at worst, of its own best
    choice of part and percentile."""
    import pandas as pd

    frame = pd.DataFrame(row | one for row in records.read("aum-threshold") for one in row["rows"])
    choice = ["part", "percentile"]
    f1s = frame.melt(["seed", "set", "loss", *choice], ["aum", "both"], "detector", "f1")
    parts = []
    for (seed, detector), rows in f1s.groupby(["seed", "detector"]):
        of_set = rows.groupby(["set", "loss", *choice])["f1"].mean()
        lost = of_set.groupby(["set", "loss"]).transform("max") - of_set
        scores = {"mean": of_set.groupby(choice).mean(), "lost": lost.groupby(choice).max()}
        text = pd.concat(scores, axis=1).unstack("percentile").round(3).to_string()
        parts.append(f"{detector}, F1, seed {seed}\n{text}")
    return "\n\n".join(parts)


def main() -> None:
    runs = {}
    for seed, (name, images), kind in itertools.product(SEEDS, SETS.items(), NOISE):
        about = {"set": name, "data": name.split()[0], "network": name.split()[1], "images": images}
        runs[f"{name} {kind} {seed}"] = about | {"noise": kind, "seed": seed}
    recording.main(__doc__, FILE, runs, measure, table)


if __name__ == "__main__":
    main()
