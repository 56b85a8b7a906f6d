"""Every numbered figure and table of the three papers, and how much of each there is here.

    state(ARTEFACTS["SY Fig. 1"], Path("figures"))     State("cannot be had here", "Only the abstract …", ())

What is there is read off the figures' sidecars and the records whenever it is asked for; nothing in the list
says that something is done.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from robust_lib import sweeps
from robust_lib.gallery import comparison
from robust_lib.papers import Reported, reported

WORDS = ("paper scale", "taken over", "in part", "features scale", "reduced", "not yet", "cannot be had here")


@dataclass(frozen=True)
class Artefact:
    """One numbered figure or table.

    kind: "training" (results of runs), "formulas" (no training in it, so a figure of ours is at its scale) or
    "given" (values the authors picked, taken over as data). note: what ours lacks, or why there is none.
    page: the generated page under figures/ that has it. also: figures of ours that show it, though they are
    named after another. cannot: why nobody can recreate it from here.
    """

    name: str
    title: str
    kind: str = "training"
    note: str = ""
    page: str = ""
    also: tuple[str, ...] = ()
    cannot: str = ""

    @property
    def slug(self) -> str:
        """Part of file names: "HS Fig. 3" is hs-fig3, which the figure 02-hs-fig3-gradients recreates."""
        return self.name.lower().replace(" fig. ", "-fig").replace(" table ", "-table")


def _formulas(name: str, title: str, note: str = "", page: str = "") -> Artefact:
    return Artefact(name, title, "formulas", note, page)


WEB = "The images come on request or by form, for research only; a trial took the authors "
WEBVISION = "WebVision has 1,000 classes of web images, and a run is 250 epochs of ResNet-50."
ABSTRACT = "Only the abstract was available to us."
MARGINS = "The curves are exact; the initial margins are those of N(0, 1) scores, not of a network on CIFAR."
HEADS = "The curves are exact; the initial margins are those of fresh heads on features of CIFAR (chapter 09)"
HEADS += ", CV's those of a fresh network on its images."
DISTANCES = "Records hold the two distances, not the distributions."
LINEAR = "Of linear heads on features of all images; people's labels are drawn from their matrix."
TUNED = "The values are taken over as data; the search that found them is not repeated."
TAKEN_OVER = "Our other tables take its values over as data."
_LIST = (
    _formulas("HS Fig. 1", "what a loss makes of a wrong label"),
    _formulas("HS Fig. 2", "the two proposed losses"),
    Artefact("HS Fig. 3", "gradients by epoch, CIFAR-100"),
    Artefact("HS Fig. 4", "probabilities by epoch, CIFAR-100"),
    Artefact("HS Fig. 5", "F1 by parameter, Food-101N", cannot=WEB + "8 hours on a V100."),
    Artefact("HS Fig. 6", "distributions of the area under the margin, CIFAR-100", note=DISTANCES),
    Artefact("HS Fig. 7", "precision and recall, CIFAR-100"),
    Artefact("HS Fig. 8", "F1 over γ and c, MNIST and CIFAR-100"),
    Artefact("HS Fig. 9", "scores by parameter, Food-101N", cannot=WEB + "8 hours on a V100."),
    Artefact("HS Fig. 10", "scores by parameter, Clothing-1M", cannot=WEB + "13 hours on a V100."),
    Artefact("HS Fig. 11", "F1 by delay, CIFAR-100"),
    Artefact("HS Table 1", "F1 of label error detection, four data sets"),
    Artefact("HS Table 2", "balanced accuracy of the same", also=("12-hs-table1-quick",)),
    Artefact("HS Table 3", "F1 on CIFAR-100's cleaned test set"),
    Artefact("HS Table 4", "F1 with people's labels, CIFAR-N"),
    Artefact("HS Table 5", "Food-101N and Clothing-1M", cannot=WEB + "8 and 13 hours on a V100."),
    Artefact("HS Table 6", "F1 by the area under the margin, CIFAR-100"),
    Artefact("CV Fig. 1", "α_t by step, CIFAR-100"),
    _formulas("CV Fig. 2", "weight curves and initial margins", HEADS),
    Artefact("CV Fig. 3", "margins by epoch, CIFAR-10"),
    Artefact("CV Fig. 4", "learning curves at constant learning rates, MNIST"),
    _formulas("CV Fig. 5", "parameters of the weight curves", MARGINS),
    Artefact("CV Fig. 6", "simulated and real initial margins"),
    _formulas("CV Fig. 7", "shifted and scaled weight curves of MAE", HEADS),
    _formulas("CV Fig. 8", "weight curves of Table 5's losses"),
    Artefact("CV Fig. 9", "margins by epoch under other noise, CIFAR-10", note=LINEAR),
    Artefact("CV Fig. 10", "margins by epoch, other losses, CIFAR-10", note=LINEAR),
    _formulas("CV Table 1", "losses and their weights", page="losses.md"),
    Artefact("CV Table 2", "accuracy with clean labels, CIFAR-10 and CIFAR-100"),
    Artefact("CV Table 3", "shifted and scaled losses, CIFAR-100"),
    Artefact("CV Table 4", "shifted and scaled losses, WebVision", cannot=WEBVISION),
    Artefact("CV Table 5", "accuracy lost and weight ratio under noise, CIFAR-10"),
    _formulas("CV Table 6", "losses and their weights, more of them", page="losses.md"),
    _formulas("CV Table 7", "losses with a regulariser", page="losses.md"),
    Artefact("CV Table 8", "parameters tuned on CIFAR-100", "given", TUNED),
    Artefact("CV Table 9", "τ by noise, tuned on CIFAR-100", note=TAKEN_OVER),
    Artefact("CV Table 10", "shifted and scaled losses, more symmetric noise"),
    Artefact("CV Table 11", "shifted and scaled losses, more asymmetric noise"),
    Artefact("CV Table 12", "parameters of Table 5's losses", "given", "Picked by the authors."),
    Artefact("SY Fig. 1", "not known to us", cannot=ABSTRACT),
    *(Artefact(f"SY Table {n}", "not known to us", cannot=ABSTRACT) for n in range(1, 5)),
)
ARTEFACTS = {artefact.name: artefact for artefact in _LIST}


@dataclass(frozen=True)
class State:
    """word: one of WORDS. detail: what there is, what it lacks. files: paths under figures/ that show it."""

    word: str
    detail: str
    files: tuple[str, ...] = ()


def state(artefact: Artefact, figures: Path, results: Path | None = None) -> State:
    """What there is of an artefact, from the sidecars and pages in one folder and the records in the other.

    "paper scale" takes every printed number, from as many seeds, in the paper's setting; anything less is "in
    part". "taken over" is what the authors picked. "features scale" is the paper's data with heads on frozen
    features, "reduced" a small version or a quick figure.
    """
    drawn = sidecars(artefact, figures)
    pages = [
        page for page in (artefact.page, f"papers/{artefact.slug}.md") if page and (figures / page).exists()
    ]
    files = (*pages, *(f"{path.stem}.png" for path in drawn))
    if artefact.kind == "given":
        return State("taken over", artefact.note, files)
    if artefact.kind == "formulas":
        word = "reduced" if artefact.note else "paper scale"
        detail = artefact.note or "No training in it."
        return State(word, detail, files) if files else State("not yet", "")
    return _trained(artefact, drawn, files, results)


def _trained(artefact: Artefact, drawn: list[Path], files: tuple[str, ...], results: Path | None) -> State:
    complete, paper = recorded(artefact.name, "paper", results)
    _, features = recorded(artefact.name, "features", results)
    _, small = recorded(artefact.name, "small", results)
    runs = dict.fromkeys(_run(path) for path in drawn)
    less = [f"On frozen features: {features}"] * bool(features) + [f"Small version: {small}"] * bool(small)
    less += [f"Chapter's figure: {run}" for run in runs]
    missing = [text for text in (artefact.note, artefact.cannot) if text]
    if paper:
        return State(
            "paper scale" if complete and not missing else "in part",
            " ".join([paper, *less, *missing]),
            files,
        )
    if less:
        return State("features scale" if features else "reduced", " ".join(less + missing), files)
    return State("cannot be had here" if artefact.cannot else "not yet", " ".join(missing), files)


def sidecars(artefact: Artefact, figures: Path) -> list[Path]:
    """The JSON files of the notebooks' figures that recreate an artefact, by their names."""
    named = re.compile(rf"\d+-{artefact.slug}(-.*)?")
    found = sorted(figures.glob("*.json"))
    return [path for path in found if named.fullmatch(path.stem) or path.stem in artefact.also]


def _run(sidecar: Path) -> str:
    about = json.loads(sidecar.read_text(encoding="utf-8"))
    return f"{about['profile']} profile, seed {about['seed']}."


def recorded(name: str, scale: str, results: Path | None = None) -> tuple[bool, str]:
    """(whether nothing is missing, what is recorded in words); (False, "") where nothing is.

    Of a table the paper's own numbers are counted: one that it quotes need not be ours, one of BL is had if
    we have it with both gradients. At "small" ours are.
    """
    if name in comparison.CURVES:
        return _trials(name, scale, results)
    cells = comparison.cells(name, scale, results) if name in comparison.SOURCES else []
    paper = scale != "small"
    if paper:
        cells = [cell for cell in cells if _own(cell.paper)]
    ours = [cell.ours for cell in cells if cell.ours]
    if not ours:
        return False, ""
    columns = comparison.SOURCES[name].columns
    printed = {row for row in reported.table(name) if _own(row) and row.metric in columns}
    missing = printed - {cell.paper for cell in cells} | {cell.paper for cell in cells if not cell.ours}
    seeds = min(one.seeds for one in ours)
    wanted = max((cell.paper.trials or 0 for cell in cells if cell.paper), default=0)
    share = f"{len(printed - missing)} of {len(printed)}" if paper else str(len(cells))
    least = f"{seeds} of {wanted}" if paper and wanted > seeds else str(seeds)
    differs = dict.fromkeys(sentence for one in ours for sentence in one.differs)
    words = f"{share} numbers, at least {least} seed{'s' * (least != '1')}."
    complete = not missing and seeds >= wanted and not differs
    return complete, " ".join([words, *_changed(comparison.shown(cells)), *differs])


def _own(row: Reported | None) -> bool:
    """Whether a number is the paper's own, and not quoted by it."""
    return row is not None and not row.mark.startswith("from ")


def _changed(records: list[dict]) -> list[str]:
    changed = comparison.changed_trees(records).total()
    return [f"{changed} of {len(records)} records from a changed tree."] * bool(changed)


def _trials(name: str, scale: str, results: Path | None) -> tuple[bool, str]:
    source, records = comparison.CURVES[name], comparison.records_for(name, scale, results)
    if not records:
        return False, ""
    planned = [sweeps.SWEEPS[sweep] for sweep in source.sweeps]
    wanted = {trial.key for sweep in planned if scale in sweep.seeds for trial in sweep.trials(scale)}
    done = wanted & {record["key"] for record in records}
    others = [f"{len(records) - len(done)} with other settings or seeds."] * (len(records) > len(done))
    differs = dict.fromkeys(text for record in records for text in comparison.differences(record, source))
    words = f"{len(done)} of {len(wanted)} trials."
    return done == wanted and not differs, " ".join([words, *_changed(records), *others, *differs])
