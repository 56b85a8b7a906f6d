"""Compare what `find` sees with and which loss it trains: one line per run in results/find.jsonl.

    python scripts/compare_find.py                     # frozen features, every loss; then from scratch
    python scripts/compare_find.py --table             # means over seeds of what is recorded

The first IMAGES training images of each mini pack, with labels that are wrong on purpose. It can be stopped;
the same command goes on. Features are made once for a set, in build/compare-find; a record says if they were.
"""

import contextlib
import io
import itertools
import time
from pathlib import Path

import numpy as np
import recording
import torch
from sklearn.metrics import average_precision_score

from robust_lib import data, find, records
from robust_lib.data import noise, people
from robust_lib.detection import metrics
from robust_lib.find.search import LOSSES

IMAGES, SEEDS, PERCENT = 1000, 3, 0.3
FILE = records.RESULTS / "find.jsonl"
FOLDER = Path(__file__).parents[1] / "build" / "compare-find"
# From which class to which three careless sources mistake 30 %: 4 → 9, 7 → 1, 3 → 5; sneaker → sandal, coat →
# pullover, shirt → T-shirt; cat → dog, truck → automobile, deer → horse.
ONE_WAY = {
    "mnist": [(4, 9), (7, 1), (3, 5)],
    "fashion_mnist": [(7, 5), (4, 2), (6, 0)],
    "cifar10": [(3, 5), (9, 1), (4, 7)],
}


def matrices(name: str) -> dict[str, torch.Tensor]:
    """The transition matrices by name; people's is known for CIFAR-10 alone."""
    one_way = torch.eye(10, dtype=torch.float64)
    for true, given in ONE_WAY[name]:
        one_way[true, [true, given]] = torch.tensor([1 - PERCENT, PERCENT], dtype=torch.float64)
    rates = {
        "uniform .1": noise.uniform(10, 0.1),
        "uniform .3": noise.uniform(10, 0.3),
        "one-way .3": one_way,
    }
    return rates | ({"human": people.transition_matrix("cifar10n-worst")} if name == "cifar10" else {})


def plan() -> list[dict]:
    """Every run, seed by seed: on features each loss, from scratch the two usual ones."""
    runs = []
    for seed, backbone in itertools.product(range(SEEDS), (data.BACKBONE, "none")):
        for name, loss in itertools.product(ONE_WAY, LOSSES if backbone != "none" else ("gce", "ce")):
            runs += [
                {"data": name, "noise": kind, "seed": seed, "backbone": backbone, "loss": loss}
                for kind in matrices(name)
            ]
    return runs


def scores(found, wrong: np.ndarray) -> dict[str, float]:
    """Of the ranking, and of the flags; then the same of each detector."""
    one = metrics.detection_scores(wrong, found.flagged)
    result = {name: one[name] for name in ("precision", "recall", "f1")}
    for name, detection in found.detections.items():
        result |= {
            f"precision_at_50_{name}": float(wrong[detection.ranking[:50]].mean()),
            f"average_precision_{name}": float(average_precision_score(wrong, -detection.score)),
            f"f1_{name}": metrics.detection_scores(wrong, detection.flagged)["f1"],
        }
    result["precision_at_50"] = float(wrong[found.ranking[:50]].mean())
    return result | {"flagged": int(found.flagged.sum())}


def measure(run: dict) -> dict:
    """One call of find on an .npz, whose folder keeps the set's features from one run to the next."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    images = data.load(run["data"], "train", size="mini")
    flips = noise.corrupt(images.labels[:IMAGES], matrices(run["data"])[run["noise"]], run["seed"])
    pixels = images.images[:IMAGES].permute(0, 2, 3, 1).numpy()
    source, out = FOLDER / f"{run['data']}.npz", FOLDER / f"find-{run['data']}"
    np.savez(source, images=pixels, labels=flips.labels.numpy())
    options = {name: run[name] for name in ("backbone", "loss", "seed")}
    fresh, start = not (out / "parts" / "features").exists(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        found = find.find(source, out, device="cpu", progress=False, **options)
    wrong = flips.mask.numpy()[found.data.index]
    seconds = {"seconds": time.perf_counter() - start, "features_made": fresh and run["backbone"] != "none"}
    return {"samples": len(wrong), "realised_rate": flips.rate} | scores(found, wrong) | seconds


def table() -> str:
    import pandas as pd

    frame = pd.DataFrame(records.read(FILE.stem))
    columns = ["precision_at_50", "average_precision_cl", "average_precision_aum", "f1", "f1_cl", "recall"]
    made = frame[~frame.features_made].groupby(["backbone", "loss", "data", "noise"])
    return made[columns + ["seconds"]].mean().assign(seeds=made.size()).round(2).to_string()


def main() -> None:
    recording.main(__doc__, FILE, {" ".join(map(str, run.values())): run for run in plan()}, measure, table)


if __name__ == "__main__":
    main()
