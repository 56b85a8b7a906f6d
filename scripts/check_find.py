"""Check what `find` says of noisy data against the truth, beside Datalab: results/check_find.jsonl.

    python scripts/check_find.py                     # cleanlab's Datalab needs datasets: pip install datasets
    python scripts/check_find.py --table             # means over seeds of what is recorded

The first IMAGES training images of CIFAR-10 and CIFAR-100 as packed features. Their labels are made wrong by
four kinds of noise; "people's" are human noise as it is, the labels of CIFAR-N (python -m robust_lib data
cifar-n). How `find` estimates was settled on other images, 25,000 to 49,999, with other rates and seeds.
Datalab gets the same features and scikit-learn's logistic regression on them, in five folds. It can be
stopped; the same command goes on.
"""

import contextlib
import io
import itertools
import time
from pathlib import Path

import numpy as np
import recording
import torch
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict

from robust_lib import data, find, records
from robust_lib.data import noise, people
from robust_lib.detection import metrics
from robust_lib.find import calibration

IMAGES, SEEDS = 4000, 2
FILE = records.RESULTS / "check_find.jsonl"
FOLDER = Path(__file__).parents[1] / "build" / "check-find"
SETS = {"cifar10": 10, "cifar100": 100}
NOISE = ("uniform .2", "pair .2", "one-way .3", "people's")
# One person's label for each image: of CIFAR-10 another person's with every seed, CIFAR-100 has one alone.
WHO = {"cifar10": ("random1", "random2", "random3"), "cifar100": ("fine",)}
BINS = np.linspace(0, 1, 11)


def one_way(classes: int, rate: float) -> torch.Tensor:
    """Of every ten classes three lose a share to a class that loses none."""
    matrix = torch.eye(classes, dtype=torch.float64)
    for true in range(classes):
        if true % 10 in (3, 5, 7):
            given = true + (1 if true % 10 != 7 else -1)
            matrix[true, [true, given]] = torch.tensor([1 - rate, rate], dtype=torch.float64)
    return matrix


def given_labels(name: str, kind: str, true: torch.Tensor, seed: int) -> torch.Tensor:
    if kind == "people's":
        who = WHO[name][seed % len(WHO[name])]
        return torch.from_numpy(people.load_human_labels(f"{name}n").noisy[who])[: len(true)]
    classes = SETS[name]
    matrix = {
        "uniform .2": noise.uniform(classes, 0.2),
        "pair .2": noise.pair(classes, 0.2),
        "one-way .3": one_way(classes, 0.3),
    }[kind]
    return noise.corrupt(true, matrix, seed).labels


def of_calibration(found, wrong: np.ndarray) -> dict:
    """How the probabilities and the curve compare with the truth."""
    estimate, table = found.wrong, found.expected
    inside = np.digitize(estimate.probability, BINS[1:-1])
    bins = [inside == k for k in range(len(BINS) - 1)]
    held, first = wrong[found.ranking].cumsum(), table["first"].to_numpy()
    covered = (table.low <= held[first - 1]) & (held[first - 1] <= table.high)
    stop = calibration.stop(table)
    row = {
        "estimated_rate": estimate.probability.mean(),
        "low_rate": estimate.low.mean(),
        "high_rate": estimate.high.mean(),
        "ece": error(estimate.probability, wrong),
        "ece_planted": error(by_plants(estimate.planted), wrong[found.detections["cl"].ranking]),
        "bin_counts": [int(one.sum()) for one in bins],
        "bin_probabilities": [float(estimate.probability[one].mean()) for one in bins],
        "bin_shares": [float(wrong[one].mean()) for one in bins],
        "coverage": covered[first >= 50].mean(),
        "stop": stop,
        "recall_at_stop": held[stop - 1] / held[-1] if stop else 0.0,
        "planted_at_stop": estimate.planted[:stop].sum(),
        "share_wrong_after_stop": wrong[found.ranking[stop : stop + calibration.WINDOW]].mean(),
    }
    for n in (*calibration.LOOKS, len(wrong)):
        at = table[table["first"] == n].iloc[0]
        row |= {f"{name}_{n}": float(at[name]) for name in ("expected", "low", "high")}
        row[f"wrong_{n}"] = int(held[n - 1])
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}


def error(probability: np.ndarray, wrong: np.ndarray) -> float:
    """The expected calibration error over BINS of equal width."""
    inside, gaps = np.digitize(probability, BINS[1:-1]), probability - wrong
    return float(np.abs(np.bincount(inside, gaps, minlength=len(BINS) - 1)).sum() / len(wrong))


def by_plants(planted: np.ndarray) -> np.ndarray:
    """Probabilities by planted flips alone, in the order of the ranking: eta r / q of chapter 14.

    The share eta of wrong labels is the largest for which no probability exceeds 1 among the first ones.
    """
    places = np.arange(1, len(planted) + 1)
    ratio = (len(planted) * planted.cumsum() / places)[calibration.WINDOW - 1 :].max()
    density = IsotonicRegression(increasing=False).fit_transform(places, len(planted) * planted)
    return np.minimum(density / ratio, 1)


def of_ranking(order: np.ndarray, score: np.ndarray, flagged: np.ndarray, wrong: np.ndarray) -> dict:
    found = metrics.detection_scores(wrong, flagged)
    row = {f"precision_at_{n}": float(wrong[order[:n]].mean()) for n in (50, 200)}
    row["average_precision"] = float(average_precision_score(wrong, -score))
    return row | {name: found[name] for name in ("precision", "recall", "f1")}


def by_datalab(features: np.ndarray, given: np.ndarray, wrong: np.ndarray) -> dict:
    """The user's steps: a model, its cross-validation, a Datalab, its search, its table of label issues."""
    from cleanlab import Datalab

    start = time.process_time()
    model = LogisticRegression(max_iter=1000)
    probs = cross_val_predict(model, features, given, cv=5, method="predict_proba")
    lab = Datalab(data={"label": given}, label_name="label", task="classification")
    lab.find_issues(pred_probs=probs, features=features)
    issues = lab.get_issues("label")
    seconds = time.process_time() - start
    score = issues["label_score"].to_numpy()
    flagged = issues["is_label_issue"].to_numpy()
    return of_ranking(np.argsort(score, kind="stable"), score, flagged, wrong) | {"cpu_seconds": seconds}


def measure(run: dict) -> dict:
    """find and Datalab on the same features and labels, one after the other."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    pack = data.load_features(run["data"], "train")
    features, true = pack.features[:IMAGES].numpy(), pack.labels[:IMAGES]
    given = given_labels(run["data"], run["noise"], true, run["seed"]).numpy()
    source = FOLDER / "set.npz"
    np.savez(source, features=features, labels=given)
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        found = find.find(source, FOLDER / "find", device="cpu", progress=False, seed=run["seed"])
    seconds = time.process_time() - start
    wrong = given != true.numpy()
    assert len(found.data.index) == len(wrong)
    ours = of_ranking(found.ranking, found.detections["aum"].score, found.flagged, wrong)
    by_probability = of_ranking(
        np.argsort(-found.wrong.probability), -found.wrong.probability, found.flagged, wrong
    )
    row = {"samples": len(wrong), "realised_rate": float(wrong.mean()), "cpu_seconds": seconds} | ours
    row["average_precision_probability"] = by_probability["average_precision"]
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = by_datalab(features, given, wrong)
    return row | of_calibration(found, wrong) | {f"datalab_{name}": value for name, value in theirs.items()}


def table() -> str:
    import pandas as pd

    frame = pd.DataFrame(records.read(FILE.stem))
    means = frame.groupby(["data", "noise"], sort=False)
    calibrated = [
        "realised_rate",
        "estimated_rate",
        "low_rate",
        "high_rate",
        "ece",
        "ece_planted",
        "coverage",
    ]
    calibrated += ["stop", "recall_at_stop", "planted_at_stop", "share_wrong_after_stop"]
    scores = [
        "precision_at_50",
        "precision_at_200",
        "recall",
        "precision",
        "average_precision",
        "cpu_seconds",
    ]
    beside = [name for score in scores for name in (score, f"datalab_{score}")]
    parts = (means[columns].mean().round(3).to_string() for columns in (calibrated, beside))
    return "\n\n".join([*parts, means.size().rename("seeds").to_string()])


def main() -> None:
    runs = {
        f"{name} {kind} {seed}": {"data": name, "noise": kind, "seed": seed}
        for seed, name, kind in itertools.product(range(SEEDS), SETS, NOISE)
    }
    recording.main(__doc__, FILE, runs, measure, table)


if __name__ == "__main__":
    main()
