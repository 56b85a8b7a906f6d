"""Recorded trials beside the papers' numbers: which belong together, how far apart they are, and as tables.

    cells("HS Table 1")              one Cell per number of the paper: theirs, and ours or a gap
    cells("HS Table 1", "small")     what the small version gave, beside the paper's number where there is one
    table(cells("HS Table 1"))       as Markdown

γ and c are chosen as HS did: for each cell the value with the best mean of the metric shown, biased upwards
as theirs. A gap stays a gap.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

from robust_lib import experiments, reported, training
from robust_lib.reported import Reported

GRID = {"blurry": ("gamma", "γ"), "piecewise_zero": ("c", "c")}  # whose parameter is chosen for each cell
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
CV_NOISES = HS_NOISES | {"uniform": "symmetric", "superclass": "asymmetric"}

# The papers' networks and recipes.
HS_SETTINGS = {
    "mnist": ("hs_mnist", "hs-mnist"),
    "fashion_mnist": ("hs_mnist", "hs-mnist"),
    "cifar10": ("resnet34_imagenet", "hs-cifar"),
    "cifar100": ("resnet34_imagenet", "hs-cifar"),
}
CV_CIFAR100 = ("resnet34", "cv-cifar100")
# Changes of a recipe that are the paper's own.
OWN_CHANGES = {("hs-cifar", "cifar100"): {"step_factor": 0.2}}

UNSTATED = (
    "HS does not state the batch size, the MNIST network's widths, the grids of γ and c, and which gradient "
    "Blurry Loss has; it used cleanlab 2.5.0."
)
BEST_OF = "The paper gives the best of five runs, ours is the mean over seeds."
ZHOU = "The paper took the rows CE, GCE, NCE and NCE+AUL from Zhou et al. (2021), which have no human noise."
RATES = "The figure's learning rates and number of epochs are not in the text we had; these are ours."
ALPHA = "The paper's α_t cannot be had from its definition (errata cv-4): compare ratios to CE, not values."


@dataclass(frozen=True)
class Source:
    """Where our side of an artefact comes from.

    sweeps: whose records count. columns: the paper's metric -> (record's column, factor to the paper's unit).
    settings: data set -> the paper's network and recipe. note: sentences that hold for every cell.
    """

    sweeps: tuple[str, ...]
    columns: dict[str, tuple[str, float]]
    settings: dict[str, tuple[str, str]]
    note: str = ""


TABLE1_SWEEPS = ("hs-table1-mnist", "hs-table1-fashion", "hs-table1-cifar10", "hs-table1-cifar100", "hs-fig8")
F1 = {"f1": ("f1", 1)}
TEST = {"test_accuracy": ("test_accuracy", 100)}
AUM = {"cifar100": ("resnet34", "hs-aum")}
SOURCES = {
    "HS Table 1": Source(TABLE1_SWEEPS, F1, HS_SETTINGS, UNSTATED),
    "HS Table 2": Source(
        TABLE1_SWEEPS, {"balanced_accuracy": ("balanced_accuracy", 1)}, HS_SETTINGS, UNSTATED
    ),
    "HS Table 3": Source(("hs-table3",), F1, HS_SETTINGS, UNSTATED),
    "HS Table 4": Source(("hs-table4",), F1, HS_SETTINGS, UNSTATED),
    "HS Table 6": Source(("hs-table6",), F1, AUM, UNSTATED),
    "HS Fig. 6": Source(
        ("hs-table6",), {"cohens_d": ("cohens_d", 1), "wasserstein": ("wasserstein", 1)}, AUM, UNSTATED
    ),
    "CV Table 2": Source(
        ("cv-table2",),
        TEST | {"train_accuracy": ("train_accuracy", 100), "alpha": ("alpha_t", 1e4)},
        {"cifar10": CV_CIFAR100, "cifar100": CV_CIFAR100},
        ALPHA,
    ),
    "CV Table 3": Source(("cv-table3",), TEST, {"cifar100": CV_CIFAR100}, ZHOU),
    "CV Table 5": Source(
        ("cv-table5",),
        TEST | {"diff": ("diff", 100), "snr": ("snr", 1)},
        {"cifar10": ("cv_cnn8", "cv-cifar10")},
        BEST_OF,
    ),
    "CV Table 10": Source(("cv-table3",), TEST, {"cifar100": CV_CIFAR100}, ZHOU),
    "CV Table 11": Source(("cv-table3",), TEST, {"cifar100": CV_CIFAR100}, ZHOU),
}
# Figures whose numbers the papers do not print.
CURVES = {
    "HS Fig. 8": Source(("hs-table1-mnist", "hs-table1-cifar100", "hs-fig8"), {}, HS_SETTINGS, UNSTATED),
    "HS Fig. 11": Source(("hs-fig11",), {}, HS_SETTINGS, UNSTATED),
    "CV Fig. 4": Source(("cv-fig4",), {}, {"mnist": ("cv_cnn4", "cv-mnist")}, RATES),
}


@dataclass(frozen=True)
class Ours:
    """Mean and sample standard deviation (None for one seed) over the seeds, in the paper's unit.

    parameter: the chosen one, such as "γ=0.4". differs: a sentence for each way in which the setting is not
    the paper's.
    """

    mean: float
    spread: float | None
    seeds: int
    parameter: str
    device: str
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One number of the paper (None: it has none here), ours (None: no record), and what both are of."""

    data: str
    noise: str
    rate: float | None
    loss: str
    metric: str
    paper: Reported | None
    ours: Ours | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return self.ours.mean - self.paper.mean if self.ours and self.paper else None


def cells(artefact: str, scale: str = "paper", folder: Path | None = None) -> list[Cell]:
    """The artefact's numbers matched with the records in the folder (default results/), in printed order.

    At the scale "paper" every printed number has a cell (HS's BL two, one for each gradient), and so has what
    we recorded for the same data and noise beyond it; at "small" only what is recorded has one.
    ValueError for an artefact that no sweep is for, and for an unknown scale.
    """
    source = _source(artefact)
    groups = _groups(artefact, source, scale, folder)
    found, used = [], set()
    for row in reported.table(artefact):
        for loss in BLURRY.values() if row.loss == "BL" else (row.loss,):
            key = (row.data, row.noise, _rate(row.noise, row.rate), loss)
            records = groups.get(key, [])
            used.add((key, row.metric))
            if records or scale == "paper":
                ours = _ours(records, row.metric, source)
                found.append(Cell(row.data, row.noise, row.rate, loss, row.metric, row, ours))
    places = {key[:3] for key, _ in used}
    for key, records in groups.items():
        for metric in source.columns:
            if (key, metric) not in used and (scale == "small" or key[:3] in places):
                ours = _ours(records, metric, source)
                found += [Cell(*key, metric, None, ours)] if ours else []
    return found


def _source(artefact: str) -> Source:
    if artefact not in SOURCES:
        raise ValueError(f"artefact must be one of {', '.join(SOURCES)}; got {artefact!r}")
    return SOURCES[artefact]


def records_of(sweeps: tuple[str, ...], scale: str, folder: Path | None) -> list[dict]:
    """The finished records of some sweeps, each trial once."""
    lines = [record for name in sweeps for record in experiments.read(name, scale, folder)]
    return list({record["key"]: record for record in lines if record["status"] == "done"}.values())


def records_for(artefact: str, scale: str, folder: Path | None) -> list[dict]:
    """The finished records of the artefact's sweeps, without kinds of noise that other tables of the sweep
    have and this one has not."""
    records = records_of((SOURCES | CURVES)[artefact].sweeps, scale, folder)
    theirs = {row.noise for row in reported.table(artefact)} if artefact in SOURCES else set()
    foreign = {"symmetric", "asymmetric"} - theirs if theirs & {"symmetric", "asymmetric"} else set()
    return [record for record in records if CV_NOISES.get(record["noise"], record["noise"]) not in foreign]


def _groups(artefact: str, source: Source, scale: str, folder: Path | None) -> dict[tuple, list[dict]]:
    """Records by data, noise and rate in the paper's words, and the loss as the paper prints it."""
    records = records_for(artefact, scale, folder)
    if "diff" in source.columns:
        records = [record | {"diff": _drop(record, records)} for record in records]
    groups: dict[tuple, list[dict]] = {}
    for record in records:
        noise = (HS_NOISES if artefact.startswith("HS") else CV_NOISES).get(record["noise"], record["noise"])
        key = (record["data"], noise, _rate(noise, record["rate"]), label(artefact, record))
        groups.setdefault(key, []).append(record)
    return groups


def _rate(noise: str, rate: float | None) -> float | None:
    """People's labels have the rate they have: a trial does not name it, and the papers round it."""
    return None if noise.startswith("human") else rate


def _drop(record: dict, records: list[dict]) -> float | None:
    """CV's diff: test accuracy minus that of the same loss and seed with clean labels."""
    if record["noise"] == "none":
        return None
    same = ("data", "size", "loss", "seed", "network", "recipe")
    parameters = {name: value for name, value in record.items() if name.startswith("loss_")}
    for other in records:
        mine = {name: value for name, value in other.items() if name.startswith("loss_")}
        if other["noise"] == "none" and mine == parameters and all(other[k] == record[k] for k in same):
            return record["test_accuracy"] - other["test_accuracy"]
    return None


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


def _ours(records: list[dict], metric: str, source: Source) -> Ours | None:
    """The best of the settings recorded: the paper's own before others, then, for a loss whose parameter is
    chosen, the highest mean, then the most seeds."""
    column, factor = source.columns.get(metric, ("", 1))
    settings: dict[tuple, list[dict]] = {}
    for record in records:
        if record.get(column) is not None:
            differs = differences(record, source) + changes(record)
            settings.setdefault((_parameter(record), differs), []).append(record)
    if not settings:
        return None

    def rank(item: tuple[tuple, list[dict]]) -> tuple:
        (_, differs), members = item
        mean = statistics.fmean(member[column] for member in members)
        return -len(differs), mean if members[0]["loss"] in GRID else 0.0, len(members)

    (parameter, differs), members = max(settings.items(), key=rank)
    values = [factor * member[column] for member in members]
    spread = statistics.stdev(values) if len(values) > 1 else None
    device = ", ".join(sorted({member["device"] for member in members}))
    return Ours(statistics.fmean(values), spread, len(values), parameter, device, differs)


def _parameter(record: dict) -> str:
    if record["loss"] in GRID:
        name, symbol = GRID[record["loss"]]
        return f"{symbol}={record[f'loss_{name}']:g}"
    return f"τ={record['tau']:g}" if record["move"] else ""


def differences(record: dict, source: Source) -> tuple[str, ...]:
    """A sentence for each way in which a record's setting is not the paper's, its recipe's fields aside."""
    network, recipe = source.settings.get(record["data"], (record["network"], record["recipe"]))
    elsewhere = record["data"] not in source.settings
    scratch = (record["network"], network) == ("resnet34", "resnet34_imagenet")
    told = {
        f"Not the paper's data; network {record['network']}, recipe {record['recipe']}.": elsewhere,
        f"{record['images']:,} training images of the mini pack, not the full set.": record["size"] == "mini",
        f"The first {record['samples']:,} training images only.": record["samples"]
        and record["size"] == "full",
        "ResNet-34 from scratch; the paper's is pretrained on ImageNet.": scratch,
        f"Network {record['network']}, not {network}.": record["network"] != network and not scratch,
        f"Recipe {record['recipe']}, not {recipe}.": record["recipe"] != recipe,
        f"{record['folds']} folds, not 5.": record["detector"] == "cl" and record["folds"] != 5,
    }
    return tuple(sentence for sentence, applies in told.items() if applies)


def changes(record: dict) -> tuple[str, ...]:
    """A sentence for each field of its recipe that a record has changed and the paper has not."""
    changed = {name.removeprefix("recipe_"): v for name, v in record.items() if name.startswith("recipe_")}
    own = OWN_CHANGES.get((record["recipe"], record["data"]), {})
    if record["loss"].startswith("anl"):
        own = own | {"l1": changed.get("l1", 0.0)}  # δ belongs to the loss
    usual = vars(training.RECIPES[record["recipe"]]) if record["recipe"] in training.RECIPES else {}
    told = []
    for name in sorted(changed.keys() | own.keys()):
        given, wanted = ({**usual, **one}.get(name) for one in (changed, own))
        told += [f"{name} {given}, not {wanted}."] if given != wanted else []
    return tuple(told)


# --- Markdown -----------------------------------------------------------------------------------------

COLUMNS = (
    "data", "noise", "η", "loss", "metric", "ours", "seeds", "parameter",
    "reported", "parameter there", "difference", "device", "setting",
)  # fmt: skip
SYMBOLS = {"gamma": "γ", "c": "c", "tau": "τ"}


def table(found: list[Cell]) -> str:
    """The cells as a Markdown table: gaps stay empty, and letters lead to the sentences below it."""
    letters: dict[str, str] = {}
    for sentence in (sentence for cell in found if cell.ours for sentence in cell.ours.differs):
        letters.setdefault(sentence, _letter(len(letters)))
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_line(cell, letters) for cell in found)]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return text + "".join(f"\n{letter}: {sentence}\n" for sentence, letter in letters.items())


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
        seeds,
        ours.parameter if ours else "",
        number(paper.mean, paper.spread, digits) if paper else "",
        f"{SYMBOLS[paper.parameter]}={paper.value:g}" if paper and paper.parameter else "",
        "" if cell.difference is None else f"{cell.difference:+.{digits}f}",
        ours.device if ours else "",
        " ".join(letters[sentence] for sentence in ours.differs) if ours else "",
    )


def number(mean: float, spread: float | None, digits: int) -> str:
    """Such as "0.937 ± 0.005", or "0.937" without a spread."""
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


# --- how much of an artefact there is -----------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """What of an artefact is recorded at one scale: cells with a number of ours, cells in all, the fewest
    seeds of any of ours, the paper's number of trials (0 if unknown), and how the settings differ."""

    cells: int
    all_cells: int
    seeds: int
    paper_seeds: int
    differs: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Every printed number has ours, from as many seeds, in the paper's setting."""
        return self.cells == self.all_cells and self.seeds >= self.paper_seeds and not self.differs


def coverage(artefact: str, scale: str = "paper", folder: Path | None = None) -> Coverage:
    """Of the paper's own numbers at scale "paper" (those it quotes need not be ours), of what is recorded at
    "small". Raises like cells."""
    every = cells(artefact, scale, folder)
    found = [c for c in every if scale == "small" or (c.paper and not c.paper.mark.startswith("from "))]
    ours = [cell.ours for cell in found if cell.ours]
    seeds = min((one.seeds for one in ours), default=0)
    trials = max((cell.paper.trials or 0 for cell in found if cell.paper), default=0)
    differs = dict.fromkeys(sentence for one in ours for sentence in one.differs)
    return Coverage(len(ours), len(found), seeds, trials, tuple(differs))
