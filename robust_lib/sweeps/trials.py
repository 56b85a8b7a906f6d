"""One trial: a frozen description with a stable key, and its answer as one flat record.

Trials on features that differ in their loss alone are trained together: see `companies`.
"""

import functools
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby, islice

import numpy as np
import torch
from torch import Tensor

from robust_lib import data, detection, losses, records, training
from robust_lib.data import noise, people
from robust_lib.detection import confident, metrics
from robust_lib.training import dynamics, models

NOISES = ("none", "uniform", "pair", "asymmetric", "superclass")
TRAINING_FREE = ("knn", "prototype")
DETECTORS = ("cl", "cl_test", "aum", "mean_loss", "none", *TRAINING_FREE)
# Pairs of digits with the same left one are a super-class: superclass noise changes the right one.
SUPERCLASSES = {
    "cifar100": data.cifar100_superclasses,
    data.PAIRS: lambda: tuple(pair // 10 for pair in range(100)),
}
# CV Table 1 mixes with weights 1 - q and q, and with MAE where Wang et al. have RCE.
COMBINED = {
    "cv_sce": lambda q: (1 - q) * losses.ce() + q * losses.mae(),
    "cv_nce_mae": lambda q: (1 - q) * losses.nce() + q * losses.mae(),
}

OTHER_FILTERS = ("prune_by_class", "prune_by_noise_rate", "disagreement", "number")  # than "both"
PLANT_SEED = 1_000_000
FEATURES = "features"  # a size that begins so has no images
COMPANY = 40  # heads that are trained together at most
_TURN = threading.Lock()

Pairs = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Trial:
    """What is to be run. The key is a hash of the fields that differ from their defaults, so a new field with
    a default leaves old keys as they are. A default, once records exist, is never changed.

    data, size: as data.load; size "features" is the pack of data.load_features, "features-224" all features
    at 224 pixels. noise: one of NOISES, or a name N of people.transition_matrix as "human-like:N", noise
    drawn from people's matrix, or "human:N", people's own labels; rate in [0, 1), 0 for none and the last
    two. loss: registered or in COMBINED; params: its parameters; then, in this order, move "scaled" or
    "shifted" with tau, unit_max, and delay (epochs of cross entropy first). recipe: a name in
    training.RECIPES, with changes to its fields. detector: cl (confident learning on `folds` folds), cl_test
    (train on the training set, look for errors in the test set), aum (`runs` threshold runs), mean_loss, none
    (train and test); knn and prototype train nothing: their network, recipe and loss are "none". samples:
    only the first so many training images (0: all), to see how cost and scores grow. planted (for cl): the
    probability with which a label, noise or no, is flipped once more, uniformly and known to whoever tunes.
    params and changes may be given as a mapping.
    """

    data: str
    size: str
    network: str
    recipe: str
    loss: str
    detector: str
    seed: int
    noise: str = "none"
    rate: float = 0.0
    params: Pairs | Mapping = ()
    move: str = ""
    tau: float = 0.0
    unit_max: bool = False
    delay: int = 0
    changes: Pairs | Mapping = ()
    folds: int = 5
    runs: int = 2
    samples: int = 0
    planted: float = 0.0

    def __post_init__(self):
        for name in ("params", "changes"):
            object.__setattr__(self, name, tuple(sorted(dict(getattr(self, name)).items())))
        noise.check_seed(self.seed)
        noise.one_of("detector", self.detector, DETECTORS)
        kind, _, who = self.noise.partition(":")
        if not (self.noise in NOISES or (kind in ("human-like", "human") and who)):
            raise ValueError(
                f"noise must be one of {', '.join(NOISES)}, human-like:NAME, human:NAME, got {self.noise!r}"
            )
        if self.rate and (who or kind == "none"):
            raise ValueError(f"rate must be 0 for noise {self.noise!r}, which has its own, got {self.rate!r}")
        if self.planted and self.detector != "cl":
            raise ValueError(f"planted must be 0 for detector {self.detector!r}, got {self.planted!r}")
        if self.move not in ("", "scaled", "shifted"):
            raise ValueError(f"move must be scaled, shifted or empty, got {self.move!r}")
        if self.tau and not self.move:
            raise ValueError(f"tau must be 0 without a move, got {self.tau!r}")
        if self.samples < 0:
            raise ValueError(f"samples must be 0 (all) or more, got {self.samples!r}")
        if not re.fullmatch(rf"mini|full|{FEATURES}(-[1-9]\d*)?", self.size):
            raise ValueError(f"size must be mini, full, {FEATURES} or {FEATURES}-PIXELS, got {self.size!r}")

    @functools.cached_property
    def key(self) -> str:
        """16 hexadecimal digits: of the same trial in every process and on every machine the same."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        told |= {name: dict(told[name]) for name in ("params", "changes") if name in told}
        text = json.dumps(_canonical(told), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def flat(self) -> dict:
        """The fields as JSON scalars; parameter gamma becomes loss_gamma, a change of l1 recipe_l1."""
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("params", "changes")}
        row |= {f"loss_{name}": value for name, value in self.params}
        return row | {f"recipe_{name}": value for name, value in self.changes}

    def __str__(self):
        words = ", ".join(f"{name}={value}" for name, value in self.params)
        moved = f".{self.move}({self.tau})" if self.move else ""
        loss = f"{self.loss}({words}){moved}" + (f".delayed({self.delay})" if self.delay else "")
        share = f" {self.rate:g}" if self.rate else ""
        return f"{self.data} {self.noise}{share} {loss} {self.detector} seed {self.seed}"


def _canonical(value):
    """The same JSON for 2 and 2.0."""
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def obstacles(trial: Trial) -> list[str]:
    """What this copy of the library lacks to run the trial, in words; data that can be downloaded aside."""
    human, packed = trial.noise.startswith("human:"), trial.size.startswith(FEATURES)
    trained = trial.detector not in TRAINING_FREE
    lacks = {
        f"no mini pack of {trial.data}": trial.size == "mini"
        and trial.data not in (*data.MINI_MD5, data.PAIRS),
        f"no features of {trial.data}": packed and trial.data not in data.PACK_MD5,
        f"no network {trial.network}": trained
        and trial.network not in (models.HEADS if packed else models.MODELS),
        f"no recipe {trial.recipe}": trained and trial.recipe not in training.RECIPES,
        f"no features for {trial.detector}": not trained and not packed,
        "no files of cifar-n": human and not _have("cifar-n"),
        "no files of label-errors": trial.detector == "cl_test"
        and _judged(trial)
        and not _have("label-errors"),
    }
    return [what for what, lacking in lacks.items() if lacking]


def _judged(trial: Trial) -> bool:
    """Whether people have judged the test set's labels; they have not seen pairs of digits."""
    return trial.data != data.PAIRS


@functools.cache
def _have(collection: str) -> bool:
    return people.have(collection)


def run(trial: Trial, device: str = "auto") -> dict:
    """Runs the trial: its fields, its key, what came out, and provenance, as one flat record.

    results/README.md names the columns. The same trial on the same device and number of threads gives the
    same numbers, except seconds. ValueError: what the description asks for does not exist (see `obstacles`);
    errors of the training and of the detectors pass through.
    """
    return run_together([trial], device)[0]


def run_together(trials: Sequence[Trial], device: str = "auto") -> list[dict]:
    """`run` for trials of one company: the numbers of each are those that it has alone, to rounding.

    seconds: each one's share of the time that all took.
    """
    for trial in trials:
        if lacks := obstacles(trial):
            raise ValueError(f"cannot run {trial}: {'; '.join(lacks)}")
    start = time.perf_counter()
    tasks = [Task.of(trial, device) for trial in trials]
    found = {"cl": _cl, "cl_test": _cl_test, "aum": _aum, "mean_loss": _mean_loss, "none": _none}
    found |= {"knn": _knn, "prototype": _prototype}
    scores = found[trials[0].detector](tasks)
    spent = {"seconds": round((time.perf_counter() - start) / len(tasks), 3)}
    if len(tasks) > 1:
        spent["trained_together"] = len(tasks)
    return [_record(task, own, spent) for task, own in zip(tasks, scores, strict=True)]


def _record(task: "Task", scores: dict, spent: dict) -> dict:
    trial = task.trial
    head = {"key": trial.key, "status": "done"} | trial.flat() | {"label": str(task.loss or "none")}
    size = {"images": len(task.labels), "classes": task.classes, "realised_rate": _share(task.wrong)}
    if trial.size.startswith(FEATURES):
        size |= {"backbone": data.BACKBONE}
    if trial.size == FEATURES:
        size |= {"pack_md5": data.PACK_MD5[trial.data]}
    return head | size | scores | spent | records.provenance(task.device)


def companies(trials: Iterable[Trial]) -> list[list[Trial]]:
    """The trials in groups that `run_together` takes: neighbours in the list that are linear heads and differ
    in the loss and its L1 penalty alone, COMPANY at most, and every other trial by itself."""
    alike = {"loss": "", "params": (), "move": "", "tau": 0.0, "unit_max": False, "delay": 0}

    def common(trial: Trial) -> Trial:
        changes = {name: value for name, value in trial.changes if name != "l1"}
        return replace(trial, **alike, changes=changes) if trial.network == "linear" else trial

    groups = [list(group) for _, group in groupby(trials, common)]
    return [group[k : k + COMPANY] for group in groups for k in range(0, len(group), COMPANY)]


def attempt(trials: Sequence[Trial], device: str = "auto") -> list[dict]:
    """`run_together`, but an error becomes a record with status "failed" and the error's text.

    After an error of several trials each is run alone. Raises the errors that spoil the process
    (`spoils_process`): all later trials would fail by them. Threads take turns: seeding is a matter of the
    whole process.
    """
    with _TURN:
        return _attempt(trials, device)


def _attempt(trials: Sequence[Trial], device: str) -> list[dict]:
    start = time.perf_counter()
    try:
        return run_together(trials, device)
    except Exception as error:
        if spoils_process(error):
            raise
        if len(trials) > 1:
            return [record for trial in trials for record in _attempt([trial], device)]
        (trial,) = trials
        spent = {"seconds": round(time.perf_counter() - start, 3)}
        head = {"key": trial.key, "status": "failed", "error": f"{type(error).__name__}: {error}"}
        return [head | trial.flat() | spent | records.provenance(training.pick_device(device))]


def spoils_process(error: BaseException) -> bool:
    """Whether this is a CUDA error after which the process cannot use the GPU; a lack of memory is none."""
    memory = ("out of memory", "ALLOC_FAILED")
    return "CUDA error" in str(error) and not any(sign in str(error) for sign in memory)


@functools.lru_cache(maxsize=4)
def load(name: str, split: str, size: str) -> data.ImageSet | data.FeatureSet:
    """As data.load, or data.load_features for the size "features" or "features-PIXELS"."""
    if size.startswith(FEATURES):
        pixels = size.removeprefix(FEATURES).removeprefix("-")
        return data.load_features(name, split, int(pixels) if pixels else None)
    # Images are kept as bytes, and not on the device: four times smaller than what is trained on.
    return data.load(name, split, size=size)


def images_of(name: str, split: str, size: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Float images or features on the device, labels, and their places in the full split."""
    found = load(name, split, size)
    if size.startswith(FEATURES):
        return found.features.to(device), found.labels, found.index
    return data.to_float(found.images.to(device), name), found.labels, found.index


@dataclass(frozen=True, eq=False)
class Task:
    """A trial with its images: given labels, which of them are wrong or planted (bool), and all that training
    takes."""

    trial: Trial
    device: torch.device
    images: Tensor
    labels: Tensor
    true: Tensor
    wrong: Tensor
    planted: Tensor
    matrix: Tensor | None
    classes: int
    loss: losses.Loss | None
    recipe: training.Recipe | None

    @classmethod
    def of(cls, trial: Trial, device: str) -> "Task":
        place = training.pick_device(device)
        images, true, index = images_of(trial.data, "train", trial.size, place)
        first = slice(trial.samples or None)
        images, true, index = images[first], true[first], index[first]
        classes = len(data.SETS[trial.data].classes)
        labels, matrix = _corrupted(trial, true, index, classes)
        # Another seed than the noise's: the same draws would flip the flipped again.
        more = noise.corrupt(labels, noise.uniform(classes, trial.planted), seed=PLANT_SEED + trial.seed)
        labels, planted = more.labels, more.mask
        loss = recipe = None
        if trial.detector not in TRAINING_FREE:
            recipe = replace(training.RECIPES[trial.recipe], **dict(trial.changes))
            loss = build_loss(trial, classes)
        wrong = labels != true
        return cls(trial, place, images, labels, true, wrong, planted, matrix, classes, loss, recipe)

    def build(self, seed: int, extra: int = 0):
        return models.build(self.trial.network, self.images, self.classes + extra, seed)

    def settings(self) -> dict:
        return {"seed": self.trial.seed, "device": str(self.device), "progress": False}


def _fits(tasks: Sequence[Task], **more) -> list[training.Fit]:
    """A network for every task, trained on all of its images."""
    first, each = tasks[0], (zip(*((task.loss, task.recipe) for task in tasks), strict=True))
    built = [task.build(task.trial.seed) for task in tasks]
    return training.fit_together(built, first.images, first.labels, *each, **first.settings(), **more)


def build_loss(trial: Trial, classes: int) -> losses.Loss:
    """The trial's loss for so many classes; ValueError as losses.get."""
    params = dict(trial.params)
    known = trial.loss in COMBINED
    loss = COMBINED[trial.loss](**params) if known else losses.get(trial.loss, **params)
    if trial.move:
        loss = getattr(loss, trial.move)(trial.tau, classes)
    if trial.unit_max:
        loss = loss.unit_max()
    return loss.delayed(trial.delay) if trial.delay else loss


def _corrupted(trial: Trial, true: Tensor, index: Tensor, classes: int) -> tuple[Tensor, Tensor | None]:
    """(given labels, transition matrix); the matrix is None where people gave the labels."""
    kind, _, who = trial.noise.partition(":")
    if kind == "human":
        name, _, whose = who.partition("-")
        return torch.from_numpy(people.load_human_labels(name).noisy[whose])[index], None
    matrix = transition_matrix(trial, classes)
    return noise.corrupt(true, matrix, trial.seed).labels, matrix


def transition_matrix(trial: Trial, classes: int) -> Tensor:
    """Float64 (K, K) of a trial whose noise is drawn; ValueError for noise that its data do not have."""
    kind, _, who = trial.noise.partition(":")
    if kind == "human-like":
        return people.transition_matrix(who)
    if kind == "none":
        return torch.eye(classes, dtype=torch.float64)
    if kind in ("uniform", "pair"):
        return getattr(noise, kind)(classes, trial.rate)
    if kind == "superclass" and trial.data in SUPERCLASSES:
        return noise.superclass(SUPERCLASSES[trial.data](), trial.rate)
    if (kind, trial.data) != ("asymmetric", "cifar10"):
        raise ValueError(f"{kind} noise must go with its own data set, got {trial.data}")
    return noise.class_dependent(data.cifar10_look_alikes(), trial.rate)


# --- detectors ----------------------------------------------------------------------------------------


def _cl(tasks: Sequence[Task]) -> list[dict]:
    first = tasks[0]
    settings = first.settings() | {"folds": first.trial.folds}
    runs = detection.cross_validate_together(*_arguments(tasks), **settings)
    return [_cl_found(task, run) for task, run in zip(tasks, runs, strict=True)]


def _arguments(tasks: Sequence[Task], extra: int = 0) -> tuple:
    """What the evidence of detectors is made from: (build, images, labels, losses, recipes)."""
    first, build = tasks[0], functools.partial(tasks[0].build, extra=extra)
    each = [task.loss for task in tasks], [task.recipe for task in tasks]
    return build, first.images, first.labels, *each


def _cl_found(task: Task, run: detection.CrossValidation) -> dict:
    states = ",".join(fit.state for fit in run.fits)
    scores = _cl_scores(task.labels, task.true, run.probs) | _planted_scores(task, run.probs)
    return scores | {"states": states}


def _cl_test(tasks: Sequence[Task]) -> list[dict]:
    """HS Table 3: trained on the whole training set, judged on the test set, which is corrupted in the same
    way once its human-verified errors are out, where people have looked for any. That the training set is
    corrupted as well is our reading; HS §6.1 calls it "non-cleaned"."""
    trial, device = tasks[0].trial, tasks[0].device
    images, true, index = images_of(trial.data, "test", trial.size, device)
    keep = torch.ones(len(index), dtype=torch.bool)
    if _judged(trial):
        judged = people.load_label_errors(trial.data)
        keep = ~torch.isin(index, torch.from_numpy(judged.index[~judged.upheld]))
    labels = noise.corrupt(true[keep], tasks[0].matrix, trial.seed + 1).labels
    rows = []
    for fit in _fits(tasks):
        probs = training.predict(fit.model, images[keep.to(device)]).float().softmax(1).cpu()
        rows.append(_cl_scores(labels, true[keep], probs) | {"states": fit.state})
    return rows


def _cl_scores(labels: Tensor, true: Tensor, probs: Tensor) -> dict:
    """Every filter's from one set of probabilities; the paper's, "both", has the plain names."""
    wrong = labels != true
    both = detection.confident_learning(labels, probs)
    scores = _scores(wrong, both) | {"heldout_accuracy": _share(probs.argmax(1) == true)}
    scores |= _without_truth(labels, probs)
    for method in OTHER_FILTERS:
        flagged = confident.flag(labels, probs, method)
        scores[f"f1_{method}"] = metrics.detection_scores(wrong, flagged)["f1"]
    return scores


def _without_truth(labels: Tensor, probs: Tensor) -> dict:
    """What anybody can compute: accuracy against the given labels, and the share of wrong ones among them as
    the confident joint estimates it."""
    estimated = confident.estimated_rate(labels, probs)
    return {"given_accuracy": _share(probs.argmax(1) == labels), "estimated_rate": estimated}


def _planted_scores(task: Task, probs: Tensor) -> dict:
    """The share of the planted flips that is flagged; of the other samples, the flagged share and F1."""
    if not task.planted.any():
        return {}
    flagged = torch.from_numpy(detection.confident_learning(task.labels, probs).flagged)
    rest = ~task.planted
    found = metrics.detection_scores(task.wrong[rest], flagged[rest])
    return {"planted_recall": _share(flagged[task.planted]), "rest_flagged": found["flagged"]} | {
        f"rest_{name}": found[name] for name in ("precision", "recall", "f1")
    }


def _aum(tasks: Sequence[Task]) -> list[dict]:
    first = tasks[0]
    settings = first.settings() | {"classes": first.classes, "runs": first.trial.runs}
    runs = detection.threshold_runs_together(*_arguments(tasks, extra=1), **settings)
    rows = []
    for task, own in zip(tasks, zip(*runs, strict=True), strict=True):
        found = detection.area_under_margin(task.labels, own)
        rows.append(_scores(task.wrong, found) | _distances(task.wrong, found.score))
    return rows


def _mean_loss(tasks: Sequence[Task]) -> list[dict]:
    recorders, rows = [dynamics.Recorder("train") for _ in tasks], []
    fits = _fits(tasks, recorders=[[recorder] for recorder in recorders])
    for task, recorder, fit in zip(tasks, recorders, fits, strict=True):
        found = detection.mean_loss(task.labels, recorder.log_p)
        scores = _scores(task.wrong, found) | _distances(task.wrong, found.score)
        rows.append(scores | {"states": fit.state})
    return rows


def _knn(tasks: Sequence[Task]) -> list[dict]:
    shares = [detection.neighbours.vote_shares(task.labels, task.images) for task in tasks]
    return [_cl_scores(task.labels, task.true, probs) for task, probs in zip(tasks, shares, strict=True)]


def _prototype(tasks: Sequence[Task]) -> list[dict]:
    found = [detection.neighbours.prototype_margin(task.labels, task.images) for task in tasks]
    return [_scores(task.wrong, one) for task, one in zip(tasks, found, strict=True)]


def _scores(wrong: Tensor, found: detection.Detection) -> dict:
    """How well the mask and, in ranking quality, the score find the wrong labels."""
    from scipy.stats import rankdata
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores = metrics.detection_scores(wrong, found.flagged)
    ranking = {"auroc": None, "average_precision": None}
    if wrong.any() and not wrong.all():
        suspicion = rankdata(-found.score)  # ranks, for a score may be infinite
        ranking["auroc"] = float(roc_auc_score(wrong.numpy(), suspicion))
        ranking["average_precision"] = float(average_precision_score(wrong.numpy(), suspicion))
    return scores | ranking


def _distances(wrong: Tensor, score: np.ndarray) -> dict:
    """HS Fig. 6: how far the scores of clean samples lie above those of wrong ones."""
    judged = np.isfinite(score)
    clean, bad = score[judged & ~wrong.numpy()], score[judged & wrong.numpy()]
    if min(len(clean), len(bad)) < 2:
        return {"cohens_d": None, "wasserstein": None}
    return {"cohens_d": metrics.cohens_d(clean, bad), "wasserstein": metrics.wasserstein(clean, bad)}


def _none(tasks: Sequence[Task]) -> list[dict]:
    trial = tasks[0].trial
    images, true, _ = images_of(trial.data, "test", trial.size, tasks[0].device)
    recorders = [dynamics.Recorder("train") for _ in tasks]
    fits = _fits(tasks, recorders=[[recorder] for recorder in recorders], test=(images, true))
    return [_tested(*each) for each in zip(tasks, recorders, fits, strict=True)]


def _tested(task: Task, recorder: dynamics.Recorder, fit: training.Fit) -> dict:
    curve = fit.column("test_accuracy")
    row = {"test_accuracy": curve[-1], "best_test_accuracy": max(curve), "test_accuracy_curve": curve}
    row |= {"train_accuracy": fit.history[-1]["train_accuracy"], "states": fit.state}
    return row | _margins(task, recorder, fit) | _weights(task, recorder, fit)


def _margins(task: Task, recorder: dynamics.Recorder, fit: training.Fit) -> dict:
    """Mean Δ_y in the last epoch's training pass, for right and for wrong labels."""
    last = recorder.delta[len(fit.history) - 1]
    sides = {"margin_clean": ~task.wrong, "margin_wrong": task.wrong}
    return {name: float(last[side].mean()) if side.any() else None for name, side in sides.items()}


def _weights(task: Task, recorder: dynamics.Recorder, fit: training.Fit) -> dict:
    """snr of CV Table 5, and α_t of CV Table 2: the mean of ‖∂L/∂s‖₁ = 2|w| under the learning rates."""
    row = {"snr": None, "alpha_t": None}
    try:
        weights = dynamics.run_weights(task.loss, recorder.delta[: len(fit.history)])
    except ValueError:  # the loss sees other classes too, and has no such weight
        return row
    rates = torch.tensor(fit.column("lr"))
    row["alpha_t"] = float(2 * (rates @ weights.abs().mean(1)) / rates.sum())
    if task.trial.size.startswith(FEATURES):
        row["alpha_curve"] = _alpha_curve(weights, task.trial.seed)
    if task.wrong.any() and not task.wrong.all():
        row["snr"] = dynamics.snr(weights, ~task.wrong, rates)
    return row


def _alpha_curve(weights: Tensor, seed: int) -> list[float]:
    """α_t without its learning rate, CV Fig. 1: the mean of 2|w| in every tenth of every epoch (E, N), with
    the weights that the samples had when their batch came."""
    samples = weights.shape[1] // 10 * 10  # all but the last few
    orders = islice(training.orders(weights.shape[1], seed), len(weights))
    shuffled = torch.stack([row[order[:samples]] for row, order in zip(weights, orders, strict=True)])
    return [float(f"{mean:.4g}") for mean in 2 * shuffled.abs().view(-1, samples // 10).mean(1)]


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
