"""Which of `find`'s two rankings sees which kind of error? Fills results/outliers.jsonl.

    python scripts/measure_outliers.py
    python scripts/measure_outliers.py --table       # means over seeds of what is recorded

Of a mini pack five classes stay, drawn anew for each seed. STRANGERS are pictures of the other five, under a
label of the five; of the rest one label in ten is wrong. `find` looks at all of them with its defaults. It
can be stopped; the same command goes on.
"""

import contextlib
import io
import itertools
from pathlib import Path

import numpy as np
import recording
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from robust_lib import data, find, records
from robust_lib.data import noise

FILE = records.path_of("outliers")
FOLDER = Path(__file__).parents[1] / "build" / "measure-outliers"
SETS, SEEDS = ("mnist", "fashion_mnist", "cifar10"), range(3)
CLASSES, MEMBERS, STRANGERS, RATE = 5, 1250, 50, 0.1
COUNTS = (1, 5, 10, 20, 50, 100)  # of neighbours; `find` takes 10
FIRST = 50


def made(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (N, H, W[, 3]), labels, who is a stranger, and whose label was made wrong."""
    pack, generator = data.load(name, "train", size="mini"), np.random.default_rng(seed)
    kept = generator.permutation(10)[:CLASSES]
    within = np.isin(pack.labels, kept)
    members = generator.choice(np.flatnonzero(within), MEMBERS, replace=False)
    strangers = generator.choice(np.flatnonzero(~within), STRANGERS, replace=False)
    number = np.zeros(10, dtype=np.int64)
    number[kept] = np.arange(CLASSES)
    flips = noise.corrupt(number[pack.labels[members]], noise.uniform(CLASSES, RATE), seed)
    labels = np.concatenate([flips.labels.numpy(), generator.integers(CLASSES, size=STRANGERS)])
    pixels = pack.images[np.concatenate([members, strangers])].permute(0, 2, 3, 1).squeeze(-1).numpy()
    strange = np.arange(len(labels)) >= MEMBERS
    return pixels, labels, strange, np.concatenate([flips.mask.numpy(), np.zeros(STRANGERS, dtype=bool)])


def measure(run: dict) -> dict:
    pixels, labels, strange, wrong = made(run["data"], run["seed"])
    FOLDER.mkdir(parents=True, exist_ok=True)
    source = FOLDER / f"{run['data']}-{run['seed']}.npz"
    np.savez(source, images=pixels, labels=labels)
    with contextlib.redirect_stdout(io.StringIO()):
        found = find.find(source, FOLDER / source.stem, device="cpu", progress=False)
    strange, wrong = strange[found.data.index], wrong[found.data.index]
    result = {"samples": len(strange), "strangers": int(strange.sum()), "wrong": int(wrong.sum())}
    for name, ranking in {"ranked": found.ranking, "outliers": found.neighbours.ranking}.items():
        first = ranking[:FIRST]
        result |= {f"strangers_{name}": int(strange[first].sum()), f"wrong_{name}": int(wrong[first].sum())}
    apart, _ = NearestNeighbors(n_neighbors=max(COUNTS)).fit(found.data.features).kneighbors()
    return result | {f"auroc_{k}": float(roc_auc_score(strange, apart[:, :k].mean(1))) for k in COUNTS}


def table() -> str:
    import pandas as pd

    frame = pd.DataFrame(records.read(FILE.stem))
    columns = [name for name in frame if name.startswith(("strangers_", "wrong_", "auroc"))]
    means = frame.groupby("data")[columns].mean()
    return pd.concat([means, means.mean().to_frame("mean").T]).round(2).to_string()


def main() -> None:
    runs = [{"data": name, "seed": seed} for seed, name in itertools.product(SEEDS, SETS)]
    recording.main(__doc__, FILE, {f"{run['data']} {run['seed']}": run for run in runs}, measure, table)


if __name__ == "__main__":
    main()
