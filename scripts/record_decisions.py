"""Decisions on noisy labels by a scripted reader, for chapter 17: results/decisions.jsonl.

    python scripts/record_decisions.py

The first 2,000 training images of CIFAR-10 as packed features, their labels made wrong in three ways, five
seeds each. `find` ranks them with its defaults. The reader is that of scripts/find_tour.py without a browser:
down the ranking, it knows the true class, errs in one case of twenty, and stops after a page on which it
changed at most one label. `mend` takes its decisions.csv. It can be stopped; the same command goes on.
"""

import contextlib
import csv
import io
import shutil
from pathlib import Path

import numpy as np
import torch
from find_tour import MISTAKES, PER_PAGE, choose

from robust_lib import data, find, records
from robust_lib.data import noise, people

IMAGES, SEEDS = 2000, 5
FILE = records.RESULTS / "decisions.jsonl"
BUILD = Path(__file__).parents[1] / "build" / "decisions"
WORDS = {"k": "keep", "s": "suggestion", "c": "class", "u": "unsure"}
NOISE = {
    "uniform 0.1": noise.uniform(10, 0.1),
    "uniform 0.4": noise.uniform(10, 0.4),
    "people's matrix": people.transition_matrix("cifar10n-worst"),  # 0.4 of the labels are wrong
}


def read(found, truth: np.ndarray, seed: int) -> tuple[list[int], str]:
    """Positions in the order of reading, and the key pressed for each."""
    draw, given = np.random.default_rng(seed), found.data.labels
    looked, keys = [], ""
    for page in np.array_split(found.ranking, range(PER_PAGE, len(given), PER_PAGE)):
        errs = draw.random(len(page)) < MISTAKES
        pressed = [
            choose(given[n], found.suggested[n], truth[n], err) for n, err in zip(page, errs, strict=True)
        ]
        looked, keys = looked + page.tolist(), keys + "".join(pressed)
        if sum(key in "sc" for key in pressed) <= 1:
            break
    return looked, keys


def write(file: Path, found, decided: dict[int, tuple[str, int]]) -> None:
    """decisions.csv, as the page saves it; decided: {position: (key, label, -1 for none)}."""
    names = found.data.classes
    with open(file, "w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["run", "index", "path", "given", "decision", "label"])
        for n, (key, label) in decided.items():
            name = "" if label < 0 else names[label]
            about = (found.key, found.data.index[n], found.data.paths[n], names[found.data.labels[n]])
            writer.writerow([*about, WORDS[key], name])


def measure(run: dict) -> dict:
    pack = data.load_features("cifar10", "train")
    features, true = pack.features[:IMAGES].numpy(), pack.labels[:IMAGES].numpy()
    given = noise.corrupt(true, NOISE[run["noise"]], run["seed"]).labels.numpy()
    out, file = BUILD / "find", BUILD / "decisions.csv"
    shutil.rmtree(out, ignore_errors=True)
    np.savez(BUILD / "set.npz", features=features, labels=given)
    with contextlib.redirect_stdout(io.StringIO()):
        found = find.find(BUILD / "set.npz", out, device="cpu", progress=False)
    assert len(found.data.index) == IMAGES
    looked, keys = read(found, true, run["seed"])
    by_key = {"k": given, "s": found.suggested, "c": true, "u": np.full(IMAGES, -1)}
    labels = [int(by_key[key][n]) for n, key in zip(looked, keys, strict=True)]
    write(file, found, dict(zip(looked, zip(keys, labels, strict=True), strict=True)))
    told = find.mend(out, file)
    mended = np.load(told.out)["labels"]
    return {
        "samples": IMAGES,
        "planted": int((given != true).sum()),
        "flagged": np.flatnonzero(found.flagged).tolist(),
        "looked": looked,
        "keys": keys,
        "labels": labels,
        "changed": told.changed,
        "errors_after": int((mended != true).sum()),
    }


def main() -> None:
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    runs = {f"{name} {seed}": {"noise": name, "seed": seed} for name in NOISE for seed in range(SEEDS)}
    records.fill(FILE, runs, measure)


if __name__ == "__main__":
    main()
