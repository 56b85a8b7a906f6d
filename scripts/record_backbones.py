"""Record what chapter 16 compares beside the sweeps: F1 under CIFAR-10N's labels, in results/backbones.jsonl.

    python scripts/record_backbones.py published cifar10n_backbones.npz
    python scripts/record_backbones.py neighbours
    python scripts/record_backbones.py planted

published: five fine-tuned networks, from the probabilities that cleanlab/label-error-detection-benchmarks
publishes. The file has arrays WHO_given and WHO_true, integers (50,000,), and WHO_NAME, probabilities
(50,000, 10), WHO being aggregate or worst. Its licence (AGPL-3.0) keeps the file out of this repository.
neighbours: detectors that train nothing. planted: heads on frozen features, with flips planted on top.
The last two need the files of CIFAR-N.
What is recorded is not run again; a stopped run goes on where it was.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from robust_lib import data, detection, losses, records, sweeps, training
from robust_lib.data import noise, people
from robust_lib.detection import confident, metrics
from robust_lib.sweeps.trials import OTHER_FILTERS, PLANT_SEED
from robust_lib.training import models

NETWORKS = ("resnet18", "resnet50d", "efficientnet_b1", "twins_pcpvt_base", "swin_base_patch4_window7_224")
FILTERS = ("both", *OTHER_FILTERS)
WHO = ("aggregate", "worst")
ANL = {"alpha": 5, "beta": 5}
L1 = 5e-5  # of the weights, with ANL: as HS
LOSSES = [
    losses.ce(),
    losses.focal(gamma=2.0),
    losses.gce(q=0.7),
    losses.anl_ce(**ANL),
    *(losses.blurry(gamma=gamma, stop_gradient=True) for gamma in (0.5, 0.9)),
    *(losses.piecewise_zero(c=c).delayed(1) for c in (0.04, 0.15)),
]
PLANTED, PLANTED_SEEDS = 0.1, 2


def scores(given, true, probs) -> dict:
    """The columns of a trial's record that its filters give; "both" has the plain name."""
    wrong = given != true
    row = {"realised_rate": float(wrong.mean()), "heldout_accuracy": float((probs.argmax(1) == true).mean())}
    row["given_accuracy"] = float((probs.argmax(1) == given).mean())
    row["estimated_rate"] = confident.estimated_rate(given, probs)
    for method in FILTERS:
        found = metrics.detection_scores(wrong, confident.flag(given, probs, method))
        row[_column("f1", method)] = found["f1"]
        row[_column("precision", method)], row[_column("recall", method)] = (
            found["precision"],
            found["recall"],
        )
    return row


def _column(score: str, method: str) -> str:
    return score if method == "both" else f"{score}_{method}"


def published(recorded, path: str) -> Iterator[dict]:
    """Fine-tuned networks: a row for each network and set of labels."""
    with np.load(path) as file:
        for who in WHO:
            given, true = (file[f"{who}_{kind}"].astype(np.int64) for kind in ("given", "true"))
            for name in NETWORKS:
                row = {
                    "part": "published",
                    "backbone": name,
                    "loss": "AutoGluon's default",
                    "noise": f"human:cifar10n-{who}",
                }
                if _key(row) not in recorded:
                    yield row | {"images": len(given)} | scores(given, true, file[f"{who}_{name}"])


def neighbours(recorded) -> Iterator[dict]:
    """Votes and prototypes in the packed features: a trial for each set of labels."""
    free = {"network": "none", "recipe": "none", "loss": "none", "size": "features", "seed": 0}
    for who in (*(f"cifar10n-{who}" for who in WHO), "cifar100n-fine"):
        for detector in ("knn", "prototype"):
            trial = sweeps.Trial(**free, data=who.split("n-")[0], detector=detector, noise=f"human:{who}")
            if trial.key not in recorded:
                yield {"part": "neighbours"} | sweeps.run(trial, "cpu")


def planted(recorded) -> Iterator[dict]:
    """Heads on all features, with people's labels of which a share is flipped once more: what a chooser sees
    (r, the share of plants that is flagged, and q, of all others) beside F1 on the others."""
    train = data.load_features("cifar10", "train")
    for seed in range(PLANTED_SEEDS):
        for who in WHO:
            given = _given(who)
            more = noise.corrupt(given, noise.uniform(10, PLANTED), seed=PLANT_SEED + seed)
            row = {
                "part": "planted",
                "backbone": data.BACKBONE,
                "noise": f"human:cifar10n-{who}",
                "seed": seed,
            }
            rows = [row | {"loss": str(loss), "planted": PLANTED} for loss in LOSSES]
            if any(_key(row) not in recorded for row in rows):
                runs = _heads(train.features, more.labels, seed)
                for row, run in zip(rows, runs, strict=True):
                    yield row | _chooser(more, given, train.labels, run.probs)


def _chooser(more, given, true, probs) -> dict:
    """r, q and f1 of each filter, f1 being that of the samples without a plant."""
    plants, wrong = more.mask.numpy(), (given != true).numpy()
    row = {"given_accuracy": float((probs.argmax(1) == more.labels).double().mean())}
    row["estimated_rate"] = confident.estimated_rate(more.labels, probs)
    for method in FILTERS:
        flagged = confident.flag(more.labels, probs, method)
        row[_column("planted_recall", method)] = float(flagged[plants].mean())
        row[_column("rest_flagged", method)] = float(flagged[~plants].mean())
        row[_column("rest_f1", method)] = metrics.detection_scores(wrong[~plants], flagged[~plants])["f1"]
    return row


def _heads(features, given, seed: int) -> list[detection.CrossValidation]:
    """A linear head for each of LOSSES."""
    base = training.RECIPES["features"]
    recipes = [replace(base, l1=L1 if str(loss).startswith("anl") else 0.0) for loss in LOSSES]
    return detection.cross_validate_together(
        lambda number: models.build("linear", features, 10, number),
        features, given, LOSSES, recipes, folds=5, seed=seed, device="cpu", progress=False,
    )  # fmt: skip


def _given(who: str) -> torch.Tensor:
    return torch.from_numpy(people.load_human_labels("cifar10n").noisy[who])


def _key(row: dict) -> str:
    return " ".join(str(row[name]) for name in ("part", "backbone", "loss", "noise", "seed") if name in row)


PARTS = {"published": published, "neighbours": neighbours, "planted": planted}


def main(part: str, *paths: str) -> None:
    torch.set_num_threads(1)
    with records.appending(records.path_of("backbones")) as (recorded, append):
        for row in PARTS[part](recorded, *paths):
            about = records.provenance(torch.device("cpu"))
            row = {"key": _key(row), "status": "done"} | row
            if row["key"] not in recorded:
                append(row | about)
                print(row["key"], row.get("f1", row.get("rest_f1")), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
