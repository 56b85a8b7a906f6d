"""Label errors in one's own data: read, train, detect, rank, and write pages to look at.

    found = find("photos/")                  # photos/cat/*.jpg, photos/dog/*.jpg, …
    found.table.head(20)                     # the most suspicious labels; found.out / "index.html" shows them

Every fold and threshold run is stored as it ends, so that the same call goes on where one was stopped.
"""

import hashlib
import io
import itertools
import json
import math
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from robust_lib import detection, losses, records, training
from robust_lib.data.noise import check_seed, one_of
from robust_lib.detection import Detection, ThresholdRun
from robust_lib.find import backbones, calibration, neighbours, pages, probabilities, reading
from robust_lib.find.backbones import Backbone
from robust_lib.find.cells import defused
from robust_lib.find.findings import Findings
from robust_lib.find.labels import no_label
from robust_lib.find.listing import as_path, many, refuse_inside, shown
from robust_lib.find.reading import OwnData
from robust_lib.training import models

# With HS's parameters: its fixed ones, for ANL those of CIFAR-10 without the L1 term; γ and c from the middle
# of Table 1. Blurry has its gradient stopped, the variant that trains from the first epoch.
LOSSES = {
    "ce": losses.ce(),
    "focal": losses.focal(gamma=2.0),
    "gce": losses.gce(q=0.7),
    "anl_ce": losses.anl_ce(alpha=5.0, beta=5.0),
    "anl_fl": losses.anl_fl(alpha=5.0, beta=5.0, gamma=0.5),
    "blurry": losses.blurry(gamma=0.4, stop_gradient=True),
    "piecewise_zero": losses.piecewise_zero(c=0.02).delayed(1),
}
TOOL = "robust_lib find"  # how run.json says whose it is
DETECTORS = ("cl", "aum", "both")
FOLDS, THRESHOLD_RUNS = 5, 2
PERCENTILE = 95  # of N // (K + 1) threshold samples, by results/aum-threshold.jsonl; Pleiss et al. take 99
SEEN = "features"  # the folder in parts/ for what the backbone saw
LITTLE = 0.5  # agreement out of sample below which the flags are mostly the networks' own mistakes
MANY_BY_AUM = 0.25  # the share of flags of aum from which its threshold is likely too loose (chapter 17)
OF_THE_REST = 0.25  # and the share of what the largest class leaves open that the networks must get right
IMAGES = training.Recipe(epochs=8, batch_size=64)
FEATURES = training.Recipe(epochs=10, batch_size=64)
# To which few samples get more epochs in the mlp; a linear head would learn them by heart.
FEATURE_STEPS = 600
# From so many samples on batches are as large as in the sweeps on features: half the time.
MANY, MANY_FEATURES = 20_000, training.RECIPES["features"]
HOW_TO_READ = {
    "cl": "cl: label quality by Confident Learning, 0 … 1; the lower, the more suspicious.",
    "aum": "aum: area under the margin above the threshold samples' "
    f"{PERCENTILE}th percentile; flagged below 0.",
}


@dataclass(frozen=True, eq=False)
class Job:
    """One kind of training on all of the data, cut into parts that can be done and stored one by one."""

    inputs: Tensor
    labels: Tensor
    classes: int
    network: str
    loss: Callable
    recipe: training.Recipe
    seed: int
    device: str
    progress: bool | None
    backbone: str

    def parts(self, detector: str) -> list[str]:
        """The names of the trainings that the detector needs."""
        folds = [_fold_name(k) for k in range(FOLDS) if detector != "aum"]
        return folds + [_run_name(r) for r in range(THRESHOLD_RUNS) if detector != "cl"]

    def train(self, names: list[str]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """The named parts, each yielded with its arrays as soon as it is trained. ValueError where these are
        not finite: no detector could use them."""
        arguments = (self.inputs, self.labels, self.loss, self.recipe)
        options = {"seed": self.seed, "device": self.device, "progress": self.progress}
        folds = [k for k in range(FOLDS) if _fold_name(k) in names]
        for fold in detection.folds(self.build, *arguments, folds=FOLDS, only=folds, **options):
            arrays = {"held": fold.held.numpy(), "probs": fold.probs.numpy()}
            yield _fold_name(fold.number), self._checked(fold.fit, arrays)
        runs = [r for r in range(THRESHOLD_RUNS) if _run_name(r) in names]
        options |= {"classes": self.classes, "runs": THRESHOLD_RUNS, "only": runs}
        for run in detection.threshold_runs(lambda seed: self.build(seed, 1), *arguments, **options):
            probs = self._probs(run.fit.model)
            arrays = {"margins": run.margins.numpy(), "mask": run.mask.numpy(), "probs": probs}
            yield _run_name(run.number), self._checked(run.fit, arrays)

    def _probs(self, model: nn.Module) -> np.ndarray:
        """Of the real classes, for all samples; their copy on the device ends with this call."""
        logits = training.predict(model, self.inputs.to(training.pick_device(self.device)))
        return logits[:, : self.classes].softmax(1).cpu().numpy()

    def build(self, seed: int, more: int = 0) -> nn.Module:
        """A network with fresh weights and an output for every class, and `more`."""
        return models.build(self.network, self.inputs, self.classes + more, seed)

    def seconds_per_sample(self) -> float:
        """Of one epoch, measured on a few batches."""
        few = slice(8 * self.recipe.batch_size)
        inputs, labels, recipe = self.inputs[few], self.labels[few], replace(self.recipe, epochs=1)
        for _ in range(2):  # the first one warms up
            start = time.perf_counter()
            training.fit(self.build(0), inputs, labels, self.loss, recipe, device=self.device, progress=False)
        return (time.perf_counter() - start) / len(labels)

    def _checked(self, fit: training.Fit, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not all(np.isfinite(array).all() for array in arrays.values()):
            other = "gce" if str(self.loss) == str(LOSSES["ce"]) else "ce"
            raise ValueError(f"training with {self.loss} {fit.state}: take another loss, such as {other}")
        return arrays | {"state": fit.state}


def _fold_name(k: int) -> str:
    return f"fold {k + 1} of {FOLDS}"


def _run_name(r: int) -> str:
    return f"threshold run {r + 1} of {THRESHOLD_RUNS}"


def find(
    source,
    out=None,
    *,
    loss="gce",
    detector: str = "both",
    backbone: str | None = None,
    weights=None,
    epochs: int | None = None,
    device: str = "auto",
    features=None,
    probs=None,
    paths=None,
    missing=None,
    seed: int = 0,
    progress: bool | None = None,
) -> Findings:
    """Searches a data set for wrong labels and writes what it finds to the folder `out`.

    source, features, probs, paths, missing: as reading.read. With probs nothing is trained, and Confident
    Learning judges them; features then serve the lists of outliers and duplicates alone. out: by default
    find-NAME in the working directory; holds ranked.csv, index.html, noise_matrix.csv, .png and .svg,
    problems.csv, run.json and parts/, from which the same call goes on after an interruption; but for the
    detector "aum" also expected.csv, and with features outliers.csv and duplicates.csv.
    backbone: a network of timm, on whose frozen features of the images a linear head is trained, or "none",
    to train networks from scratch; by default data.BACKBONE, or "none" where timm or its weights are missing,
    which is said. weights: a file of the backbone's, in place of its own. loss: one of LOSSES or a loss.
    detector: "cl" (Confident Learning, five folds), "aum" (two threshold runs), or "both". epochs: by default
    8 from scratch and 10 on a backbone's features; on given ones as many as a fold's FEATURE_STEPS batches
    take, but at least 10. progress: as training.fit; the backbone's bar is shown unless it is False. Never
    writes to the input.
    Raises ValueError for unknown names, an input that cannot be used, an `out` that is something else, or a
    training whose outputs are not finite; and what backbones.load raises.
    """
    began = time.perf_counter()
    source = as_path("source", source)
    loss, device, epochs, seed = _options(loss, detector, epochs, seed, device)
    out = _output_folder(out, source)
    asked = weights is not None or backbone is not None
    own = features is not None or probs is not None
    if own:  # before the backbone, whose weights may not be there
        _refuse_what_trains(backbone, weights, detector, epochs, probs is not None)
    eyes, remark = backbones.load(backbone, weights) if asked else (None, "")
    data = reading.read(source, features, FOLDS, paths, missing, probs)
    pages.rehearse(data.classes)  # what cannot be drawn fails now rather than after hours of training
    if data.features is not None or data.probs is not None:
        _refuse_what_trains(backbone, weights, detector, epochs, data.probs is not None)
    elif not asked:
        eyes, remark = backbones.load()
    summary = [_data_line(data), *data.notes, *_formula_note(data), *filter(None, [remark])]
    if data.decided.any():
        use = "they count as right" if data.probs is not None else "training sees them"
        before = many(data.decided.sum(), "sample")
        summary.append(f"{before} decided before: {use}, the page shows the others")
    marks = _marks(data, (str(eyes), str(loss), epochs, seed, detector), own, missing)
    _begin(out, data, detector, summary, marks)
    if data.probs is not None:
        return _judge(data, out, summary, marks, began)
    data = _seen(eyes, data, out, device, progress) if eyes else data
    job = _job(data, loss, epochs, seed, str(device), progress, eyes)
    return _search(job, data, detector, out, summary, marks, began)


def _options(loss, detector: str, epochs: int | None, seed: int, device: str) -> tuple:
    """Loss, device, epochs and seed. ValueError for options that would fail only once the input is read."""
    one_of("detector", detector, DETECTORS)
    if isinstance(loss, str):
        one_of("loss", loss, LOSSES)
        loss = LOSSES[loss]
    if not isinstance(loss, losses.Loss):
        allowed = f"one of {', '.join(LOSSES)}, or a loss of robust_lib.losses"
        raise ValueError(f"loss must be {allowed}, got {type(loss).__name__}")
    if epochs is not None:
        epochs = replace(IMAGES, epochs=epochs).epochs  # a recipe says what is wrong
    return loss, training.pick_device(device), epochs, check_seed(seed)


def _marks(data: OwnData, settings: tuple, own_features: bool, missing) -> dict:
    """What run.json says for `mend`: which run this is, and by what a changed input is known."""
    run, rows = [shown(data.source.resolve()), data.signature, *settings], data.rows
    return {
        "key": hashlib.md5(json.dumps(run).encode(), usedforsecurity=False).hexdigest(),
        "input": data.stamp,
        "own_features": own_features,
        "missing": None if missing is None else sorted(no_label(missing)),
        "rows": None if rows is None or (rows == np.arange(len(rows))).all() else rows.tolist(),
        "copies": sorted(data.copies.items()),
    }


def _refuse_what_trains(backbone, weights, detector: str, epochs: int | None, has_probs: bool) -> None:
    what = "probs" if has_probs else "features"
    for name, given in {"backbone": backbone, "weights": weights}.items():
        if given is not None and given != backbones.NONE:
            raise ValueError(f"{name} must be left out where {what} are given, got {given}")
    if has_probs and detector == "aum":
        raise ValueError("detector must be 'cl' or 'both' where probs are given, got 'aum', which trains")
    if has_probs and epochs is not None:
        raise ValueError(f"epochs must be left out where probs are given, got {epochs}")


def _begin(out: Path, data: OwnData, detector: str, summary: list[str], marks: dict) -> None:
    (out / "parts").mkdir(parents=True, exist_ok=True)
    _write_run(out, data, detector, status="unfinished", **marks)
    _say(*summary)


def _seen(eyes: Backbone, data: OwnData, out: Path, device: torch.device, progress: bool | None) -> OwnData:
    """The data with their pictures' features."""
    folder = out / "parts" / SEEN
    less = ", less what an earlier run has stored" if folder.exists() else ""
    about = _duration(eyes.seconds(data, device))
    _say(f"{len(data.labels):,} pictures to go through {eyes}, about {about}{less}")
    return eyes.see(data, folder, device, progress is not False)


def _search(
    job: Job, data: OwnData, detector: str, out: Path, summary: list[str], marks: dict, began: float
) -> Findings:
    """Trains what is not stored yet, judges, and writes the pages."""
    settings, line = _settings(job, data), _job_line(job, detector)
    _say(line)
    with _threads(job):
        evidence = _evidence(job, out / "parts", settings, detector)
    detections, probs = _detections(data.labels, job.classes, evidence)
    states = [str(part["state"]) for part in evidence.values()]
    found = _findings(data, out, detections, probs, states, [*summary, line])
    return _written(found, detector, marks | settings, len(summary) + 1, began)


def _judge(data: OwnData, out: Path, summary: list[str], marks: dict, began: float) -> Findings:
    """Confident Learning on the probabilities that were given."""
    remarks = probabilities.remarks(data.labels, data.probs)
    detections = {"cl": detection.confident_learning(data.labels, data.probs)}
    found = _findings(data, out, detections, data.probs, [], [*summary, *remarks])
    settings = {"data_md5": data.signature, "library_md5": records.library_md5()}
    return _written(found, "cl", marks | settings, len(summary), began)


def _written(found: Findings, detector: str, settings: dict, said: int, began: float) -> Findings:
    """The findings, after the pages are written. said: how many lines of the summary are on the terminal."""
    found = replace(found, key=settings["key"])
    pages.write(found)
    _write_expected(found)
    seconds = round(time.perf_counter() - began, 1)
    _write_run(found.out, found.data, detector, status="finished", seconds=seconds, **settings)
    _say(*found.summary[said:], f"look at {found.out / 'index.html'}")
    return found


def _write_expected(found: Findings) -> None:
    path = found.out / "expected.csv"
    if found.expected is None:
        path.unlink(missing_ok=True)  # of an earlier run with other detectors
    else:
        text = found.expected.to_csv(index=False, float_format="%.4g", lineterminator="\n")
        records.atomically(path, text)


def _say(*lines: str) -> None:
    """Prints lines, with ? for what a narrow terminal lacks; a terminal that is gone does not end the run."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        try:
            print(line.encode(encoding, "replace").decode(encoding), flush=True)
        except (OSError, ValueError):  # a closed pipe, a closed file
            return


def _output_folder(out, source: Path) -> Path:
    """out, or find-NAME; ValueError if it is inside the input or holds other things than an earlier run."""
    source, here = source.resolve(), Path.cwd()
    if out is None:  # not inside the input, if that is where we are
        here = source.parent if source in (here, *here.parents) else here
        name = f"find-{source.stem if source.is_file() else source.name}"
        places = (here / name if n < 2 else here / f"{name}-{n}" for n in itertools.count(1))
        own = ("", shown(source), None)  # the first that is free, or this source's; None is refused below
        out = next(place for place in places if _source_before(place) in own)
    out = Path(out)
    refuse_inside(source, out)
    before = _source_before(out)
    if before is None:
        raise ValueError(f"out must be a new folder or one of an earlier run, got {out}")
    if before not in ("", shown(source)):
        raise ValueError(
            f"out must be a new folder, got {out}, which holds the results for {before}: name another"
        )
    return out


def _source_before(out: Path) -> str | None:
    """The source of an earlier run into this folder; "" if a run may begin here, None if it may not.

    A run that is stopped before its first record leaves parts/, and run.json empty or cut short.
    """
    try:
        content = (out / "run.json").read_bytes()
        run = json.loads(content)
    except FileNotFoundError:
        run = {"tool": TOOL}
    except OSError:
        return None
    except ValueError:
        run = {"tool": TOOL} if not content.strip(b"\0 \r\n") or (out / "parts").is_dir() else None
    if not isinstance(run, dict) or run.get("tool") != TOOL:
        return None
    if run.get("source") is not None:
        return str(run["source"])
    names = {path.name for path in out.glob("*") if not path.name.lstrip(".").startswith("run.json")}
    parts = [path.name for path in (out / "parts").glob("*")]
    return "" if names <= {"parts"} and all(".npz" in name or name == SEEN for name in parts) else None


def _job(
    data: OwnData, loss, epochs: int | None, seed: int, device: str, progress, eyes: Backbone | None = None
) -> Job:
    labels = torch.from_numpy(data.labels)
    if data.features is None:
        network, recipe, inputs = "stride_cnn", IMAGES, standardised(data.images)
    elif eyes:
        network, recipe, inputs = "linear", FEATURES, data.features
    else:
        fewest = min(len(train) for train, _ in detection.split(labels, FOLDS, seed))
        network, recipe, inputs = "mlp", mlp_recipe(fewest), data.features
    recipe = replace(recipe, epochs=recipe.epochs if epochs is None else epochs)
    device, backbone = str(training.pick_device(device)), str(eyes or backbones.NONE)
    return Job(inputs, labels, len(data.classes), network, loss, recipe, seed, device, progress, backbone)


def standardised(images: Tensor) -> Tensor:
    """Mean 0 and deviation 1 for each channel; in place, as they may be large."""
    inputs = images.float().div_(255)
    inputs.sub_(inputs.mean((0, 2, 3), keepdim=True))
    return inputs.div_(inputs.std((0, 2, 3), keepdim=True).clamp(min=1e-6))


def mlp_recipe(samples: int) -> training.Recipe:
    """It needs a number of steps: few samples to train on are seen in more epochs."""
    recipe = FEATURES if samples < MANY else MANY_FEATURES
    batches = math.ceil(samples / recipe.batch_size)
    return replace(recipe, epochs=max(recipe.epochs, math.ceil(FEATURE_STEPS / batches)))


def _settings(job: Job, data: OwnData) -> dict:
    """All that a part depends on; a stored part of other settings is made anew."""
    return {
        "data_md5": data.signature,
        "backbone": job.backbone,
        "network": job.network,
        "loss": str(job.loss),
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "folds": FOLDS,
        "device": job.device,
        "library_md5": records.library_md5(),  # parts made by other code are not mixed with ours
        **{package: version(package) for package in ("torch", "numpy", "scikit-learn")},
    }


@contextmanager
def _threads(job: Job) -> Iterator[None]:
    """One thread for a head: its steps are too small to be shared. Two took 2.5 times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if job.inputs.ndim == 4 else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _evidence(job: Job, folder: Path, settings: dict, detector: str) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of every part by name: what is stored, and what is trained now and stored at once."""
    names, key = job.parts(detector), json.dumps(settings, sort_keys=True)
    evidence = {name: _stored(folder, name, key) for name in names}
    missing = [name for name in names if evidence[name] is None]
    if missing:
        share = (FOLDS - 1) / FOLDS
        epochs = sum(share if name.startswith("fold") else 1 for name in missing) * job.recipe.epochs
        seconds = job.seconds_per_sample() * len(job.labels) * epochs
        _say(f"{len(missing)} of {len(names)} parts to train, about {_duration(seconds)}")
    start = time.perf_counter()
    for name, arrays in job.train(missing):
        evidence[name] = arrays
        _store(folder, name, key, arrays)
        _say(f"{name}: {_duration(time.perf_counter() - start)}")
        start = time.perf_counter()
    return evidence


def _stored(folder: Path, name: str, key: str) -> dict[str, np.ndarray] | None:
    path = folder / f"{name.replace(' ', '-')}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as pack:
            return {k: pack[k] for k in pack.files} if str(pack["key"]) == key else None
    except Exception:  # not there, cut short, or something else: all the same, it is made anew
        return None


def _store(folder: Path, name: str, key: str, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, key=key, **arrays)
    records.atomically(folder / f"{name.replace(' ', '-')}.npz", buffer.getvalue())


def _detections(labels: np.ndarray, classes: int, evidence: dict) -> tuple[dict[str, Detection], np.ndarray]:
    """What each detector says, and probabilities (N, K): out of sample where folds were trained."""
    folds = [part for name, part in evidence.items() if name.startswith("fold")]
    runs = [part for name, part in evidence.items() if name.startswith("threshold")]
    detections, probs = {}, np.mean([part["probs"] for part in runs], axis=0) if runs else None
    if folds:
        probs = np.empty((len(labels), classes), dtype=np.float32)
        for part in folds:
            probs[part["held"]] = part["probs"]
        detections["cl"] = detection.confident_learning(labels, probs)
    if runs:
        pairs = [ThresholdRun(*(torch.from_numpy(part[key]) for key in ("margins", "mask"))) for part in runs]
        detections["aum"] = detection.area_under_margin(labels, pairs, PERCENTILE)
    return detections, probs


def _findings(
    data: OwnData, out: Path, detections: dict, probs: np.ndarray, states: list[str], summary: list[str]
) -> Findings:
    """states: as _verdict."""
    labels, out_of_sample = data.labels, "cl" in detections
    flagged = np.logical_and.reduce([one.flagged for one in detections.values()]) & ~data.decided
    ranking = detections.get("aum", detections.get("cl")).ranking
    ranking = ranking[np.argsort(data.decided[ranking], kind="stable")]  # what was decided before comes last
    others = probs.copy()
    others[np.arange(len(labels)), labels] = -1
    verdict = _verdict(detections, flagged, states)
    if out_of_sample:
        verdict.insert(0, _agreement_line(probs, labels))
    found = Findings(
        data=data,
        out=out,
        detections=detections,
        flagged=flagged,
        ranking=ranking,
        suggested=np.where(flagged, others.argmax(1), probs.argmax(1)),
        probs=probs,
        summary=summary + verdict,
        neighbours=neighbours.NONE
        if data.features is None
        else neighbours.search(data.features.numpy(), labels),
        wrong=_estimate(data, probs) if out_of_sample else None,
    )
    found.summary.extend([*_expected_lines(found), *_neighbours_lines(found)])
    return found


def _estimate(data: OwnData, probs: np.ndarray) -> calibration.Estimate:
    """What was decided before is right."""
    wrong, still = calibration.estimate(data.labels, probs), ~data.decided
    return replace(wrong, **{name: getattr(wrong, name) * still for name in ("probability", "low", "high")})


def _verdict(detections: dict[str, Detection], flagged: np.ndarray, states: list[str]) -> list[str]:
    """The lines that say what was found, and how to read the scores. states: how each training ended."""
    each = ", ".join(f"{name} flags {found.flagged.sum():,}" for name, found in detections.items())
    share = f"{100 * flagged.mean():.1f} %"
    lines = [f"{flagged.sum():,} of {many(len(flagged), 'label')} flagged, {share}"]
    if len(detections) > 1:
        lines[0] += f": both detectors agree on them ({each}); the ranking is that of aum"
    failed = Counter(state for state in states if state != "learning")
    if failed:
        ended = ", ".join(f"{count} {state}" for state, count in sorted(failed.items()))
        lines.append(
            f"{failed.total()} of {len(states)} trainings failed ({ended}): do not trust the scores, try "
            "another loss (ce) or more epochs"
        )
    lines += [HOW_TO_READ[name] for name in detections]
    loose = "aum" in detections and detections["aum"].flagged.mean()
    if loose > MANY_BY_AUM:
        lines.append(
            f"aum flags {100 * loose:.0f} % of the labels. That is no alarm: unless so many are wrong, its "
            "threshold was too loose here. Go by the ranking"
        )
    return lines


def _expected_lines(found: Findings) -> list[str]:
    """How many labels are wrong, how many of them the top holds, and where to stop looking."""
    table = found.expected
    if table is None:
        return []
    if not _learned(found.probs, found.data.labels):
        return ["how many labels are wrong cannot be estimated from networks that learned little"]

    def among(n: int) -> str:
        row = table.iloc[np.searchsorted(table["first"], n)]
        which = "all" if n == len(found.ranking) else "the first"
        return f"{row.expected:,.0f} ({row.low:,.0f} … {row.high:,.0f}) of {which} {n:,}"

    looks = [n for n in calibration.LOOKS if n < len(found.ranking)]
    last = calibration.stop(table)
    lines = [f"labels expected to be wrong: {'; '.join(map(among, [*looks, len(found.ranking)]))}"]
    window = calibration.window(len(found.ranking))
    few = f"among the next {window} fewer than {math.ceil(window * calibration.STOP_AT)} are expected to be"
    if last == 0:
        return [*lines, f"from the start, {few} wrong: few labels are, or none"]
    held = 100 * np.interp(last, table["first"], table.planted)
    return [
        *lines,
        f"a place to stop: after the first {last:,}, {few} wrong; {held:.0f} % of flips planted among "
        "trusted samples would lie above it",
    ]


def _neighbours_lines(found: Findings) -> list[str]:
    if not len(found.neighbours.distance):
        return []
    pairs = found.duplicates
    differ = f"{pairs.conflict.sum():,} of them with different labels"
    return [
        f"outliers.csv begins with what is farthest from its {neighbours.NEIGHBOURS} nearest neighbours: "
        "what belongs to no class here lies there",
        f"near duplicates: {many(len(pairs), 'pair')}, {differ}, in duplicates.csv",
    ]


def _agreement_line(probs: np.ndarray, labels: np.ndarray) -> str:
    agreement, largest = _agreement(probs, labels)
    line = (
        f"out of sample, the networks give {100 * agreement:.0f} % of the samples their given label; always "
        f"naming the largest class would give {100 * largest:.0f} %"
    )
    if _learned(probs, labels):
        return line
    return line + ": they learned little, trust the top of the ranking rather than the flags"


def _agreement(probs: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The share of samples for which the networks name the given label, and that of the largest class."""
    return (probs.argmax(1) == labels).mean(), np.bincount(labels).max() / len(labels)


def _learned(probs: np.ndarray, labels: np.ndarray) -> bool:
    agreement, largest = _agreement(probs, labels)
    return agreement >= max(LITTLE, largest + OF_THE_REST * (1 - largest))


def _data_line(data: OwnData) -> str:
    what = "samples" if data.images is None else "images"
    if data.features is not None:
        what = f"features of {data.features.shape[1]} numbers"
    found = many(len(data.problems), "problem") if data.problems else "no problem"
    return f"{len(data.labels):,} {what}, {len(data.classes)} classes, {found} in {data.source.name}"


def _formula_note(data: OwnData) -> list[str]:
    """Names that a spreadsheet program would compute."""
    names = [*data.classes, *data.paths, *(path for path, _ in data.problems)]
    odd = [name for name in names if defused(name) != name]
    what = "class names or paths could be formulas to spreadsheet programs: CSVs have them with a ' before"
    return [f"{what}, the first is {odd[0]}"] if odd else []


def _job_line(job: Job, detector: str) -> str:
    trainings = {"cl": f"{FOLDS} folds", "aum": f"{THRESHOLD_RUNS} threshold runs"}
    wanted = " and ".join(text for name, text in trainings.items() if detector in (name, "both"))
    return f"{job.network}, {job.loss}, {job.recipe.epochs} epochs on {job.device}: {wanted}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _write_run(out: Path, data: OwnData, detector: str, **more) -> None:
    run = {
        "tool": TOOL,
        "source": shown(data.source.resolve()),
        "samples": len(data.labels),
        "classes": list(data.classes),
        "detector": detector,
        **more,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "pillow": version("pillow")} | records.versions(),
    }
    records.atomically(out / "run.json", json.dumps(run, indent=1, ensure_ascii=False) + "\n")
