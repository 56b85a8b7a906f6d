"""Detectors against people: the runs behind chapter 15, their scores, and their record in results/verdicts/.

Scores need each image's position in a detector's ranking, 0 for the most suspicious, and what people said.
Of what people said a record holds scores, counts, and the votes on the few images it shows.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robust_lib import data, detection, losses, records, training
from robust_lib.data import noise, people
from robust_lib.detection import metrics
from robust_lib.training import Recorder, models

FOLDER = records.RESULTS / "verdicts"
# Ours: cross entropy; on one idle core of a CPU eight minutes for all of it.
RECIPES = {
    "mnist": training.Recipe(epochs=5, batch_size=128, schedule="cosine"),
    "cifar10": training.Recipe(epochs=4, batch_size=128, schedule="cosine"),
    "cifar10n": training.Recipe(epochs=4, batch_size=128),
}
CIFAR10N_IMAGES, FOLDS = 10_000, 3
NETWORK = "small_cnn"
TOP = (10, 30, 100)  # the lengths of list that a person might check
SHEET = 8  # images in each row of the contact sheet


@dataclass(frozen=True, eq=False)
class Record:
    """What was recorded of one test set of N images.

    labels int64 (N,).  positions: int64 (N,) by detector, each image's place in its ranking.  flagged: bool
    (N,) by detector.  sheet uint8 (n, C, H, W): the images of the contact sheet.  rest: scores, the sheet's
    rows and the provenance, as in the JSON file.
    """

    labels: np.ndarray
    positions: dict[str, np.ndarray]
    flagged: dict[str, np.ndarray]
    sheet: torch.Tensor
    rest: dict


def positions(found: detection.Detection) -> np.ndarray:
    """Each sample's place in the ranking, int64 (N,): 0 for the most suspicious."""
    place = np.empty(len(found.score), dtype=np.int64)
    place[found.ranking] = np.arange(len(place))
    return place


def ranking_scores(truth, position, judged=None, seed: int = 0) -> dict[str, float]:
    """How well a ranking finds the samples of mask `truth` (N,), `position` (N,) being 0 for the first.

    auroc: the probability that a wrong one stands before a right one, over the samples of mask `judged` (all
    when None); average_precision: the mean, over the wrong ones, of the precision of the list down to each,
    over all N, with its 5 % and 95 % quantiles over 200 bootstrap samples as ap_low and ap_high;
    precision_10, _30, _100: the share of wrong ones among the first so many.
    ValueError when truth marks none or all.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, position = np.asarray(truth, dtype=bool), np.asarray(position)
    if not truth.any() or truth.all():
        raise ValueError(f"truth must mark some samples and leave some, got {truth.sum()} of {len(truth)}")
    judged = np.ones(len(truth), dtype=bool) if judged is None else np.asarray(judged)
    precision = {f"precision_{k}": float(truth[position < k].mean()) for k in TOP}
    low, high = np.quantile(_drawn_again(truth, position, seed), [0.05, 0.95])
    return {
        "auroc": float(roc_auc_score(truth[judged], -position[judged])),
        "average_precision": float(average_precision_score(truth, -position)),
        "ap_low": float(low),
        "ap_high": float(high),
    } | precision


def _drawn_again(truth: np.ndarray, position: np.ndarray, seed: int, times: int = 200) -> list[float]:
    """The average precision of each bootstrap sample: scikit-learn's numbers, many times faster."""
    draw, order, found = np.random.default_rng(seed), np.argsort(position), []
    for _ in range(times):
        copies = np.bincount(draw.integers(len(truth), size=len(truth)), minlength=len(truth))[order]
        hits = copies * truth[order]
        precision = hits.cumsum() / copies.cumsum().clip(1)  # the copies of a sample share its place
        if hits.any():
            found.append((hits * precision).sum() / hits.sum())
    return found


def against_verdicts(position, errors: people.LabelErrors) -> dict[str, float]:
    """`ranking_scores` of a ranking of the whole test set, wrong being: judged by people and not upheld.

    auroc is over the M judged images; the other scores count an image without a verdict as right, so they are
    lower bounds, and favour whoever ranks like the network that proposed what to judge.
    """
    wrong, judged = np.zeros((2, len(position)), dtype=bool)
    wrong[errors.index[~errors.upheld]] = True
    judged[errors.index] = True
    return ranking_scores(wrong, position, judged)


def against_crowd(position, labels, soft: people.SoftLabels, bins: int = 20) -> dict:
    """A ranking of CIFAR-10's test set against the about 51 people who labelled every image of it.

    `ranking_scores`, wrong being: fewer than half the people chose the label; spearman: rank correlation of
    suspicion and the people's entropy; entropy: its mean in nats in each of `bins` equal parts of the
    ranking, the most suspicious first; agree: likewise, the share of people who chose the label.
    """
    from scipy.stats import spearmanr

    chose = agreement(labels, soft)
    parts = np.array_split(np.argsort(position), bins)
    return ranking_scores(chose < 0.5, position) | {
        "spearman": float(spearmanr(-np.asarray(position), soft.entropy).statistic),
        "entropy": [float(soft.entropy[part].mean()) for part in parts],
        "agree": [float(chose[part].mean()) for part in parts],
    }


def agreement(labels, soft: people.SoftLabels) -> np.ndarray:
    """The share of people who chose the label, in [0, 1], for each of N images: float64 (N,)."""
    return soft.probs[np.arange(len(labels)), labels]


def detect(name: str, seed: int = 0, device: str = "auto") -> dict[str, detection.Detection]:
    """Our three detectors on the test set of "mnist" or "cifar10", with cross entropy and `NETWORK`.

    Confident learning: a network trained on the training set predicts the test set.  AUM (two threshold runs)
    and the mean loss follow the training itself, so there the test set is trained on too.
    """
    train, test = (data.load(name, split, size="full") for split in ("train", "test"))
    here = {"seed": seed, "device": device}
    recipe, loss, part = RECIPES[name], losses.ce(), slice(len(train.labels), None)
    images = data.to_float(torch.cat([train.images, test.images]), name)
    labels = torch.cat([train.labels, test.labels])

    def build(number: int, classes: int = 10):
        return models.build(NETWORK, images, classes, number)

    run = training.fit(build(seed), images[: part.start], labels[: part.start], loss, recipe, **here)
    probs = training.predict(run.model, images[part].to(training.pick_device(device))).softmax(1).cpu()
    recorder = Recorder("train")
    training.fit(build(seed), images, labels, loss, recipe, recorders=[recorder], **here)
    runs = detection.threshold_runs(
        lambda number: build(number, 11), images, labels, loss, recipe, classes=10, runs=2, **here
    )
    every = {
        "area under the margin": detection.area_under_margin(labels, runs, skip=1),
        "mean loss": detection.mean_loss(labels, recorder.log_p, skip=1),
    }
    cut = {who: detection.Detection(d.flagged[part], d.score[part]) for who, d in every.items()}
    return {"confident learning": detection.confident_learning(test.labels, probs)} | cut


def human_noise(
    kind: str, who: str, count: int = CIFAR10N_IMAGES, seed: int = 0, device: str = "auto"
) -> dict:
    """Confident learning on the first `count` images of CIFAR-10 under one of three noises of the same rate.

    kind "real": CIFAR-10N's own labels; "drawn": drawn from their transition matrix; "uniform".  `who` is
    "aggregate" or "worst".  Returns what `cross_validated` returns, with both names.
    """
    train = data.load("cifar10", "train", size="full")
    images, clean = data.to_float(train.images[:count], "cifar10"), train.labels[:count]
    matrix = people.transition_matrix(f"cifar10n-{who}")
    if kind == "real":
        given = torch.from_numpy(people.load_human_labels("cifar10n").noisy[who])[:count]
    else:
        even = noise.uniform(10, 1 - matrix.diagonal().mean().item())
        given = noise.corrupt(clean, matrix if kind == "drawn" else even, seed).labels
    return {"noise": who, "kind": kind} | cross_validated(
        images, clean, given, RECIPES["cifar10n"], seed, device
    )


def cross_validated(images, clean, given, recipe, seed: int, device: str) -> dict[str, float]:
    """Confident learning with cross entropy and `NETWORK` on `FOLDS` folds, scored against the clean labels.

    Returns the realised noise rate, the accuracy of the out-of-sample predictions (against clean), and
    `metrics.detection_scores` of the flags and `ranking_scores` of the ranking.
    """
    run = detection.cross_validate(
        lambda number: models.build(NETWORK, images, 10, number),
        images, given, losses.ce(), recipe, folds=FOLDS, seed=seed, device=device,
    )  # fmt: skip
    found, wrong = detection.confident_learning(given, run.probs), given != clean
    accuracy = (run.probs.argmax(1) == clean).double().mean().item()
    scores = metrics.detection_scores(wrong, found.flagged) | ranking_scores(wrong, positions(found))
    return {"rate": wrong.double().mean().item(), "accuracy": accuracy} | scores


# --- the record ------------------------------------------------------------------------------------


def read(name: str, folder: Path = FOLDER) -> Record:
    """The record of "mnist" or "cifar10".  FileNotFoundError where the repository's results/ is not."""
    from PIL import Image

    rest = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        labels = arrays["labels"].astype(np.int64)
        places = {who: arrays[f"position {who}"].astype(np.int64) for who in rest["verdicts"]}
        flagged = {who: np.unpackbits(arrays[f"flagged {who}"]).astype(bool) for who in rest["verdicts"]}
    pixels = torch.from_numpy(np.array(Image.open(folder / f"{name}.png")))
    channels, height, width = data.SETS[name].shape
    sheet = pixels.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    return Record(labels, places, {who: mask[: len(labels)] for who, mask in flagged.items()}, sheet, rest)


def read_human_noise(folder: Path = FOLDER) -> list[dict]:
    """The rows of `human_noise` that were recorded.  FileNotFoundError as `read`."""
    return json.loads((folder / "cifar10n.json").read_text())["rows"]


def record(folder: Path = FOLDER, device: str = "auto", progress=print) -> None:
    """Runs everything and writes the record; needs MNIST, CIFAR-10 and all of `people.COLLECTIONS`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("mnist", "cifar10"):
        progress(f"{name}: three detectors")
        write(name, detect(name, device=device), folder, device)
    rows = []
    for who in ("aggregate", "worst"):
        for kind in ("real", "drawn", "uniform"):
            progress(f"CIFAR-10N {who}: {kind}")
            rows.append(human_noise(kind, who, device=device))
    about = {"images": CIFAR10N_IMAGES, "folds": FOLDS, "network": NETWORK, "rows": rows}
    _write_json(folder / "cifar10n.json", about | _provenance("cifar10n", device))


def write(name: str, found: dict[str, detection.Detection], folder: Path, device: str) -> None:
    """One test set's record: arrays, scores, and the images of the contact sheet."""
    from PIL import Image

    errors, test = people.load_label_errors(name), data.load(name, "test", size="full")
    labels = test.labels.numpy()
    published = detection.confident_learning(labels, errors.probs)
    found = {"published probabilities": published} | found
    places = {who: positions(one) for who, one in found.items()}
    flagged = {who: one.flagged for who, one in found.items()}
    rest = scores(labels, places, flagged, errors)
    pixels = test.images[[row["index"] for row in rest["sheet"]]].permute(0, 2, 3, 1)
    pixels = pixels.reshape(-1, *pixels.shape[2:]).squeeze(-1)
    Image.fromarray(pixels.numpy()).save(folder / f"{name}.png", optimize=True)
    arrays = {f"position {who}": place.astype(np.uint16) for who, place in places.items()}
    arrays |= {f"flagged {who}": np.packbits(mask) for who, mask in flagged.items()}
    np.savez_compressed(folder / f"{name}.npz", labels=labels.astype(np.uint8), **arrays)
    _write_json(folder / f"{name}.json", rest | _provenance(name, device))


def scores(labels, places: dict, flagged: dict, errors: people.LabelErrors) -> dict:
    """What is recorded of each detector: `against_verdicts`, where in its ranking the wrong images stand,
    what its flags hit, and on CIFAR-10 `against_crowd` and what the verdicts are on the images of which fewer
    than half of the crowd chose the label; also the rows of the contact sheet.
    """
    wrong = errors.index[~errors.upheld]
    rest = {
        "judged": len(errors.index),
        "wrong": len(wrong),
        "verdicts": {who: against_verdicts(place, errors) for who, place in places.items()},
        "wrong at": {who: np.sort(place[wrong]).tolist() for who, place in places.items()},
        "flags": {who: by_verdict(mask, errors) for who, mask in flagged.items()},
        "sheet": sheet_rows(places["confident learning"], errors),
        "network": NETWORK,
    }
    if errors.name == "cifar10":
        soft = people.load_soft_labels()
        rest["crowd"] = {who: against_crowd(place, labels, soft) for who, place in places.items()}
        rest["crowd wrong"] = by_verdict(agreement(labels, soft) < 0.5, errors)
    return rest


def by_verdict(mask: np.ndarray, errors: people.LabelErrors) -> dict[str, int]:
    """Of the images of a mask (N,): how many are judged wrong, upheld, and not judged."""
    judged = mask[errors.index]
    wrong, right = int((judged & ~errors.upheld).sum()), int((judged & errors.upheld).sum())
    return {"wrong": wrong, "upheld": right, "not judged": int(mask.sum()) - wrong - right}


def sheet_rows(position: np.ndarray, errors: people.LabelErrors, count: int = SHEET) -> list[dict]:
    """Three rows of images: the wrong ones that the ranking puts first, the upheld ones that it puts first,
    and of the other wrong ones those that it puts last.
    """
    place = position[errors.index]
    order = np.argsort(place)
    wrong, right = order[~errors.upheld[order]], order[errors.upheld[order]]
    chosen = {
        "first wrong": wrong[:count],
        "first upheld": right[:count],
        "last wrong": wrong[count:][-count:],
    }
    columns = ("given", "guessed", "votes_given", "votes_guessed", "votes_neither", "votes_both")
    return [
        {"row": row, "index": int(errors.index[n]), "place": int(place[n])}
        | {column: int(getattr(errors, column)[n]) for column in columns}
        for row, members in chosen.items()
        for n in members
    ]


def _provenance(name: str, device: str) -> dict:
    from dataclasses import asdict

    run = records.provenance(training.pick_device(device))
    return {"recipe": asdict(RECIPES[name]), "seed": 0, "provenance": run}


def _write_json(path: Path, content: dict) -> None:
    records.atomically(path, json.dumps(content, indent=1) + "\n")
