"""Recorded trials beside the papers' numbers: which belong together, how far apart they are, and as tables.

    cells("HS Table 1")              one Cell per number of the paper: theirs, and ours or a gap
    cells("HS Table 1", "features")  what heads on frozen features gave, on the paper's own data
    cells("HS Table 1", "small")     what the small version gave, beside the paper's number where there is one
    table(cells("HS Table 1"))       as Markdown

Nothing of ours is picked on the score shown, unless cells are asked for the best. All losses under one noise
are of one setting: the paper's, or the one with the fewest differences from it. γ and c are the paper's where
they are recorded, otherwise the nearest that are. A gap stays a gap.
"""

import functools
import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from robust_lib import sweeps, training
from robust_lib.papers import Reported, reported
from robust_lib.records import SCALES

GRID = {"blurry": ("gamma", "γ"), "piecewise_zero": ("c", "c")}  # whose parameter HS picks for each cell
HS_LABELS = {
    "ce": "CE",
    "focal": "FL",
    "gce": "GCE",
    "anl_ce": "ANL-CE",
    "anl_fl": "ANL-FL",
    "piecewise_zero": "PZ",
}
BLURRY = {False: "BL, true gradient", True: "BL, stopped gradient"}  # HS does not say which one it used
CV_LABELS = {
    "ce": "CE",
    "cv_sce": "SCE",
    "gce": "GCE",
    "cv_nce_mae": "NCE+MAE",
    "aul": "AUL",
    "agce": "AGCE",
    "nce": "NCE",
    "mae": "MAE",
}
MOVES = {"": "", "shifted": " shift", "scaled": " scale"}
# A trial's noise in the paper's word.
HS_NOISES = {
    "uniform": "uniform",
    "human:cifar10n-aggregate": "human_aggregate",
    "human:cifar10n-worst": "human_worst",
    "human:cifar100n-fine": "human",
}
CV_NOISES = HS_NOISES | {kind: word for word, kind in sweeps.CV_KINDS.items()}

UNSTATED = (
    "HS does not state the batch size, the MNIST network's widths, the grids of γ and c, and which gradient "
    "Blurry Loss has; it used cleanlab 2.5.0."
)
BEST_OF = "The paper gives the best of five runs, ours is the mean over seeds."
ZHOU = "The paper took the rows CE, GCE, NCE and NCE+AUL from Zhou et al. (2021), which have no human noise."
RATES = "The figure's learning rates and number of epochs are not in the text we had; these are ours."
UNMOVED = "CE and the losses without a move are those of our Table 3."
RATELESS = (
    "Ours is the mean of ‖∂L/∂s‖₁ = 2|w| in every tenth of every epoch, without the learning rate that is in "
    "CV's α_t. NCE and its sum with MAE have no such weight."
)
ALPHA = "The paper's α_t cannot be had from its definition (errata cv-4): compare ratios to CE, not values."

# What was picked, by whom, and on which score.
HS_PICKED = (
    "HS tried a grid of γ and of c, whose sizes it does not state, and prints for every cell the best value "
    "by the very score of this table (criticism hs-4 of the errata): its numbers for BL and PZ are biased "
    "upwards. PZ's delay of one epoch, which we took over, is HS's best in its Fig. 11. "
)
HS_ONE = "HS has one γ and one c here for all noise rates, and does not say how it found them. "
NEAREST = (
    "Ours are not picked on a score: a row has HS's value where it is recorded, else the nearest that is "
    "(of two equally near the smaller); *recorded values* says how many there are to take from."
)
SGD = (
    "The recipe is ours, and one choice in it was made on the score shown: SGD in place of Adam, under which "
    "MAE underfits less (accuracy 0.24 against 0.03; tried once, not recorded)."
)
TABLE8 = (
    "CV tuned the losses' parameters on CIFAR-100 without noise (Table 8) and does not say on which images; "
    "ours are those, one value each, not tuned again. "
)
TABLE9 = (
    "CV tuned τ for each noise and rate for the best result there (Table 9) and does not say on which "
    "images; CE and MAE have nothing to tune. Ours are CV's values, one each, not tuned again. "
)
TABLE12 = (
    "CV chose the losses' parameters for the shapes of their weights (Table 12), not for the score, and "
    "prints the best of five runs. Ours are those parameters, one value each, and the mean over all runs."
)
EVERY_VALUE = (
    "Every γ and c that is recorded is shown. Bold is the best of a row by the score shown, as HS marks "
    "its own, and so it is biased upwards: it marks where the best lies, not how good it is."
)
EVERY_TAU = (
    "Every τ that is recorded is shown and none is picked; upright lines are at CV's, which it tuned for the "
    "best result (Table 9) and does not say on which images."
)
EVERY_DELAY = (
    "Delays and cut-offs are ours; every one that is recorded is shown and none is picked. HS took the "
    "best delay of its figure, one epoch, for all its tables."
)


@dataclass(frozen=True)
class Source:
    """Where our side of an artefact comes from.

    sweeps: whose records count, and whose trials at the scale "paper" have the paper's settings. columns: the
    paper's metric -> (record's column, factor to the paper's unit), nothing for a figure whose numbers the
    paper does not print. note: sentences that hold for every cell. picked: what the paper picked on which
    score, and what we did. stand_ins: data or noise of a small version -> the paper's in whose place it
    stands. detector: only records of this one ("": of any). scales: whose records hold what it takes.
    """

    sweeps: tuple[str, ...]
    columns: dict[str, tuple[str, float]]
    note: str
    picked: str
    stand_ins: dict[str, str] = field(default_factory=dict)
    detector: str = ""
    scales: tuple[str, ...] = SCALES


TABLE1_SWEEPS = (
    *("hs-table1-mnist", "hs-table1-fashion", "hs-table1-cifar10", "hs-table1-cifar100"),
    *("hs-fig8", "detectors", "detectors-fashion"),
)
F1, BALANCED = {"f1": ("f1", 1)}, {"balanced_accuracy": ("balanced_accuracy", 1)}
AUM_MARGINS = {"cohens_d": ("cohens_d", 1), "wasserstein": ("wasserstein", 1)}
TEST = {"test_accuracy": ("test_accuracy", 100)}
UNDERFITTING = TEST | {"train_accuracy": ("train_accuracy", 100), "alpha": ("alpha_t", 1e4)}
RATIOS = TEST | {"diff": ("diff", 100), "snr": ("snr", 1)}
PAIRS = {"mnist_pairs": "cifar100"}
AUM_DATA = {"fashion_mnist": "cifar100"}
HUMAN_LIKE = {"human-like:cifar10n-worst": "human_worst"}
LOOK_ALIKES = {"fashion_mnist": "cifar10", "pair": "asymmetric"}
MOVED = Source(("cv-table3",), TEST, ZHOU, TABLE9 + SGD, PAIRS)
SOURCES = {
    "HS Table 1": Source(TABLE1_SWEEPS, F1, UNSTATED, HS_PICKED + NEAREST, PAIRS, "cl"),
    "HS Table 2": Source(TABLE1_SWEEPS, BALANCED, UNSTATED, HS_PICKED + NEAREST, PAIRS, "cl"),
    "HS Table 3": Source(("hs-table3",), F1, UNSTATED, HS_PICKED + NEAREST, PAIRS),
    "HS Table 4": Source(("hs-table4",), F1, UNSTATED, HS_PICKED + NEAREST, HUMAN_LIKE),
    "HS Table 6": Source(("hs-table6",), F1, UNSTATED, HS_ONE + NEAREST, AUM_DATA),
    "HS Fig. 6": Source(("hs-table6",), AUM_MARGINS, UNSTATED, HS_ONE + NEAREST, AUM_DATA),
    "CV Table 2": Source(("cv-table2",), UNDERFITTING, ALPHA, TABLE8 + SGD, PAIRS | {"mnist": "cifar10"}),
    "CV Table 3": MOVED,
    "CV Table 5": Source(("cv-table5",), RATIOS, BEST_OF, TABLE12, LOOK_ALIKES),
    "CV Table 10": MOVED,
    "CV Table 11": MOVED,
}
# Figures whose numbers the papers do not print.
CURVES = {
    "HS Fig. 8": Source(("hs-table1-mnist", "hs-table1-cifar100", "hs-fig8"), {}, UNSTATED, EVERY_VALUE),
    "HS Fig. 11": Source(("hs-fig11",), {}, UNSTATED, EVERY_DELAY),
    "CV Fig. 1": Source(("cv-table2",), {}, RATELESS, TABLE8.strip(), scales=("features",)),
    "CV Fig. 4": Source(("cv-fig4",), {}, RATES, "Every run is shown and none is picked."),
    "CV Table 9": Source(("cv-tau", "cv-table3"), {}, UNMOVED, EVERY_TAU, scales=("features",)),
}


@dataclass(frozen=True)
class Ours:
    """Our side of a cell, in the paper's unit.

    values: seed -> value. parameter: the one shown, such as "γ=0.4". recorded: how many values of it are
    recorded in this setting. records: those behind the values. differs: a sentence for each way in which the
    setting is not the paper's.
    """

    values: dict[int, float]
    parameter: str
    recorded: int
    records: tuple[dict, ...]
    differs: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.values.values())

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over the seeds, None for one seed."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def seeds(self) -> int:
        """How many."""
        return len(self.values)

    @property
    def device(self) -> str:
        """Where it ran."""
        return ", ".join(sorted({record["device"] for record in self.records}))


@dataclass(frozen=True)
class Cell:
    """One number of the paper (None: it has none here), ours (None: no record), and what both are of.

    beside: the paper's number of the same loss on the data and noise in whose place ours stand; where nothing
    stands in for anything it is `paper`.
    """

    data: str
    noise: str
    rate: float | None
    loss: str
    metric: str
    paper: Reported | None
    ours: Ours | None
    beside: Reported | None = None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return self.ours.mean - self.paper.mean if self.ours and self.paper else None


def cells(artefact: str, scale: str = "paper", folder: Path | None = None, best: bool = False) -> list[Cell]:
    """The artefact's numbers matched with the records in the folder (default results/), in printed order.

    At the scale "paper" every printed number has a cell (HS's BL two, one for each gradient), and so has what
    we recorded for the same data and noise beyond it; at the others only what is recorded has one, in the
    order of data, noise, loss and metric. best: of several recorded γ or c the one with the best mean is
    ours, picked on the score shown.
    ValueError for an artefact that no sweep is for, and for an unknown scale.
    """
    if artefact not in SOURCES:
        raise ValueError(f"artefact must be one of {', '.join(SOURCES)}; got {artefact!r}")
    source, printed = SOURCES[artefact], _printed(artefact)
    groups = _groups(artefact, source, scale, folder)
    keys = list(dict.fromkeys([*(key for key, _ in printed), *groups]))
    places, losses = (list(dict.fromkeys(part)) for part in ((k[:3] for k in keys), (k[3] for k in keys)))
    if scale != "paper":
        keys = sorted(groups, key=lambda key: (places.index(key[:3]), losses.index(key[3])))
    else:
        printed_places = {key[:3] for key, _ in printed}
        keys = [key for key in keys if key[:3] in printed_places]
    found = []
    for key in keys:
        theirs = (source.stand_ins.get(key[0], key[0]), source.stand_ins.get(key[1], key[1]), *key[2:])
        for metric in source.columns:
            paper, beside = printed.get((key, metric)), printed.get((theirs, metric))
            ours = _ours(groups.get(key, []), metric, source, beside.value if beside else None, best)
            if ours or (paper and scale == "paper"):
                found.append(Cell(*key, metric, paper, ours, beside))
    return found


def _printed(artefact: str) -> dict[tuple[tuple, str], Reported]:
    """The printed numbers by key (data, noise, rate, loss) and metric; BL's two times, for each gradient."""
    return {
        ((row.data, row.noise, rate(row.noise, row.rate), loss), row.metric): row
        for row in reported.table(artefact)
        for loss in (BLURRY.values() if row.loss == "BL" else (row.loss,))
    }


def records_of(names: tuple[str, ...], scale: str, folder: Path | None) -> list[dict]:
    """The finished records of some sweeps, each trial once."""
    lines = [record for name in names for record in sweeps.read(name, scale, folder)]
    return list({record["key"]: record for record in lines if record["status"] == "done"}.values())


def records_for(artefact: str, scale: str, folder: Path | None) -> list[dict]:
    """The finished records of the artefact's sweeps, without other detectors' and without kinds of noise that
    other tables of the sweep have and this one has not; [] where the artefact does not have the scale."""
    source = (SOURCES | CURVES)[artefact]
    if scale not in source.scales and scale in SCALES:
        return []
    theirs = {row.noise for row in reported.table(artefact)} if artefact in SOURCES else set()
    foreign = {"symmetric", "asymmetric"} - theirs if theirs & {"symmetric", "asymmetric"} else set()
    return [
        record
        for record in records_of(source.sweeps, scale, folder)
        if CV_NOISES.get(record["noise"], record["noise"]) not in foreign
        and source.detector in ("", record["detector"])
    ]


def _groups(artefact: str, source: Source, scale: str, folder: Path | None) -> dict[tuple, list[dict]]:
    """Records by data, noise and rate in the paper's words, and the loss as the paper prints it.

    Those of one data set, noise and rate are of one setting, the same for all losses, so that what differs
    between two losses is the loss: the paper's setting, otherwise the one with the fewest differences from
    it, then with the most losses, images, records.
    """
    records = records_for(artefact, scale, folder)
    if not records:
        return {}
    if "diff" in source.columns:
        records = _with_diff(records)
    words = HS_NOISES if artefact.startswith("HS") else CV_NOISES
    noises = [words.get(record["noise"], record["noise"]) for record in records]
    frame = pd.DataFrame({"record": records, "loss": [label(artefact, record) for record in records]})
    frame["place"] = [
        (record["data"], noise, rate(noise, record["rate"]))
        for record, noise in zip(records, noises, strict=True)
    ]
    frame["differs"] = [differences(record, source) for record in records]
    frame["images"] = [record["images"] for record in records]
    frame["fewest"] = -frame["differs"].map(len)
    setting = frame.groupby(["place", "differs"])["loss"]
    frame["losses"], frame["trials"] = setting.transform("nunique"), setting.transform("size")
    best = frame.sort_values(["fewest", "losses", "images", "trials"], ascending=False, kind="stable")
    kept = frame.merge(best.drop_duplicates("place")[["place", "differs"]])
    groups = kept.groupby(["place", "loss"], sort=False)["record"]
    return {(*place, loss): list(members) for (place, loss), members in groups}


def rate(noise: str, rate: float | None) -> float | None:
    """People's labels have the rate they have: a trial does not name it, and the papers round it."""
    return None if noise.startswith("human") else rate


def _with_diff(records: list[dict]) -> list[dict]:
    """The records with CV's diff: test accuracy minus that of the same loss and seed with clean labels."""
    same = ("data", "size", "label", "seed", "network", "recipe")
    accuracy = {
        tuple(record[name] for name in same): record["test_accuracy"]
        for record in records
        if record["noise"] == "none"
    }
    found = []
    for record in records:
        clean = accuracy.get(tuple(record[name] for name in same))
        noisy = record["noise"] != "none" and clean is not None
        found.append(record | {"diff": record["test_accuracy"] - clean if noisy else None})
    return found


def label(artefact: str, record: dict) -> str:
    """A record's loss as the artefact prints it; losses that it does not have keep their own names."""
    loss = record["loss"]
    if artefact.startswith("HS"):
        return (
            BLURRY[bool(record.get("loss_stop_gradient"))] if loss == "blurry" else HS_LABELS.get(loss, loss)
        )
    name = CV_LABELS.get(loss, loss)
    inferior = {row.metric: row.mean for row in reported.table("CV Table 8") if row.loss == f"{name}†"}
    given = {parameter: record.get(f"loss_{parameter}") for parameter in inferior}
    return name + ("†" if inferior and given == inferior else "") + MOVES[record["move"]]


def _ours(records: list[dict], metric: str, source: Source, wanted: float | None, best: bool) -> Ours | None:
    """The records (of one loss, in one setting) whose parameter is the wanted one, or the nearest to it, the
    smaller of two equally near; without a wanted one the smallest. That with the best score only if best.

    ValueError if two of them are of one seed, for then they are not of one setting.
    """
    column, factor = source.columns.get(metric, ("", 1))
    by_value: dict[float, list[dict]] = {}
    for record in records:
        if record.get(column) is not None:
            by_value.setdefault(value_of(record), []).append(record)
    if not by_value:
        return None
    near = 0.0 if wanted is None else wanted
    chosen = min(by_value, key=lambda value: (round(abs(value - near), 9), value))
    if best:
        chosen = max(by_value, key=lambda value: statistics.fmean(row[column] for row in by_value[value]))
    members = by_value[chosen]
    values = {member["seed"]: factor * member[column] for member in members}
    if len(values) < len(members):
        keys = ", ".join(member["key"] for member in members)
        raise ValueError(f"records of one cell must differ in their seeds, got two of one seed among {keys}")
    differs = differences(members[0], source)
    return Ours(values, _parameter(members[0]), len(by_value), tuple(members), differs)


def value_of(record: dict) -> float:
    """The parameter of the loss that a paper picks for each cell; 0 where there is none."""
    return record[f"loss_{GRID[record['loss']][0]}"] if record["loss"] in GRID else record["tau"]


def _parameter(record: dict) -> str:
    symbol = GRID[record["loss"]][1] if record["loss"] in GRID else "τ" if record["move"] else ""
    return f"{symbol}={value_of(record):g}" if symbol else ""


@functools.cache
def paper_settings(names: tuple[str, ...]) -> dict[str, tuple[str, str, dict]]:
    """Data set -> the paper's network, recipe and changes of it, which the sweeps have at the paper's scale.

    ANL's are left out: it has a penalty δ of its own, which belongs to the loss.
    """
    known = [sweeps.SWEEPS[name] for name in names if "paper" in sweeps.SWEEPS[name].seeds]
    trials = [trial for sweep in known for trial in sweep.trials("paper", seeds=1)]
    usual = [trial for trial in trials if not trial.loss.startswith("anl")]
    return {trial.data: (trial.network, trial.recipe, dict(trial.changes)) for trial in usual}


def differences(record: dict, source: Source) -> tuple[str, ...]:
    """A sentence for each way in which a record's setting is not the paper's: first data, network, recipe and
    folds, then the fields of its recipe (of a table only: the runs of a curve differ in them)."""
    settings = paper_settings(source.sweeps)
    network, recipe, changes = settings.get(record["data"], (record["network"], record["recipe"], {}))
    elsewhere = record["data"] not in settings
    frozen = record["size"] == "features"
    few = record["samples"] and record["size"] == "full"
    scratch = (record["network"], network) == ("resnet34", "resnet34_imagenet")
    sentences = {
        f"A {record['network']} head on frozen features, recipe {record['recipe']}, in place of {network}, "
        f"all of which the paper trains.": frozen,
        f"Not the paper's data; network {record['network']}, recipe {record['recipe']}.": elsewhere,
        f"{record['images']:,} training images of the mini pack, not the full set.": record["size"] == "mini",
        f"The first {record['samples']:,} training images only.": few,
        "ResNet-34 from scratch; the paper's is pretrained on ImageNet.": scratch,
        f"Network {record['network']}, not {network}.": record["network"] != network
        and not scratch
        and not frozen,
        f"Recipe {record['recipe']}, not {recipe}.": record["recipe"] != recipe and not frozen,
        f"{record['folds']} folds, not 5.": record["detector"] == "cl" and record["folds"] != 5,
    }
    about_setting = tuple(sentence for sentence, applies in sentences.items() if applies)
    papers_own = changes if record["recipe"] == recipe else {}
    return about_setting + (_changed_fields(record, papers_own) if source.columns else ())


def _changed_fields(record: dict, papers_own: dict) -> tuple[str, ...]:
    """A sentence for each field of its recipe that a record has changed otherwise than the paper."""
    changed = {name.removeprefix("recipe_"): v for name, v in record.items() if name.startswith("recipe_")}
    if record["loss"].startswith("anl"):
        changed.pop("l1", None)  # δ belongs to the loss
    usual = vars(training.RECIPES[record["recipe"]]) if record["recipe"] in training.RECIPES else {}
    given, wanted = usual | changed, usual | papers_own
    names = sorted(changed.keys() | papers_own.keys())
    return tuple(
        f"{name} {given.get(name)}, not {wanted.get(name)}."
        for name in names
        if given.get(name) != wanted.get(name)
    )


def of_grids(records: list[dict]) -> list[dict]:
    """Those of the records whose data set, number of images and network have two values of one loss's γ or c
    under one noise rate: what a map over γ and c can be drawn from."""
    values: dict[tuple, set[float]] = {}
    for record in records:
        if record["loss"] in GRID:
            line = (*_scene(record), record["rate"], label("HS", record))
            values.setdefault(line, set()).add(value_of(record))
    mapped = {line[:3] for line, several in values.items() if len(several) > 1}
    return [record for record in records if _scene(record) in mapped]


def of_taus(records: list[dict]) -> list[dict]:
    """Those of the records under whose noise a loss was moved by several τ, in one way."""
    values: dict[tuple, set[float]] = {}
    for record in records:
        if record["move"]:
            line = (record["noise"], record["rate"], record["loss"], record["move"])
            values.setdefault(line, set()).add(record["tau"])
    noises = {line[:2] for line, several in values.items() if len(several) > 1}
    return [record for record in records if (record["noise"], record["rate"]) in noises]


def _scene(record: dict) -> tuple:
    return record["data"], record["images"], record["network"]


# --- Markdown -----------------------------------------------------------------------------------------

COLUMNS = (
    "data", "noise", "η", "loss", "metric", "ours", "reported", "difference", "seeds", "parameter",
    "recorded values", "parameter there", "device", "setting",
)  # fmt: skip
SYMBOLS = {"gamma": "γ", "c": "c", "tau": "τ"}


def table(found: list[Cell]) -> str:
    """The cells as a Markdown table: gaps stay empty, and letters lead to the sentences below it."""
    letters: dict[str, str] = {}
    for sentence in (sentence for cell in found if cell.ours for sentence in cell.ours.differs):
        letters.setdefault(sentence, _letter(len(letters)))
    text = markdown([COLUMNS, *(_line(cell, letters) for cell in found)])
    return text + "".join(f"\n{letter}: {sentence}\n" for sentence, letter in letters.items())


def markdown(lines: list[tuple[str, ...]]) -> str:
    """A table whose first line is its head."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (lines[0], ("---",) * len(lines[0]), *lines[1:]))


def _letter(n: int) -> str:
    return chr(ord("a") + n % 26) * (1 + n // 26)


def _line(cell: Cell, letters: dict[str, str]) -> tuple[str, ...]:
    paper, ours = cell.paper, cell.ours
    digits = paper.decimals if paper else 3
    seeds = (f"{ours.seeds} of {paper.trials}" if paper and paper.trials else str(ours.seeds)) if ours else ""
    return (
        cell.data,
        cell.noise,
        "" if cell.rate is None else f"{cell.rate:g}",
        cell.loss,
        cell.metric,
        number(ours.mean, ours.spread, digits) if ours else "",
        number(paper.mean, paper.spread, digits) if paper else "",
        "" if cell.difference is None else f"{cell.difference:+.{digits}f}",
        seeds,
        ours.parameter if ours else "",
        str(ours.recorded) if ours and ours.parameter else "",
        f"{SYMBOLS[paper.parameter]}={paper.value:g}" if paper and paper.parameter else "",
        ours.device if ours else "",
        " ".join(letters[sentence] for sentence in ours.differs) if ours else "",
    )


def number(mean: float, spread: float | None, digits: int) -> str:
    """Such as "0.937 ± 0.005", or "0.937" without a spread."""
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


# --- how much of an artefact there is -----------------------------------------------------------------


def shown(found: list[Cell]) -> list[dict]:
    """The records behind the cells, each once."""
    every = (record for cell in found if cell.ours for record in cell.ours.records)
    return list({record["key"]: record for record in every}.values())


def changed_trees(records: list[dict]) -> Counter[str]:
    """By commit, how many of the records were made by code that differed from the commit they name."""
    return Counter(str(record["commit"])[:7] for record in records if record.get("modified"))
