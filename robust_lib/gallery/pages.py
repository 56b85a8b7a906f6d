"""figures/README.md and the pages it leads to: what there is of the papers, every figure with its words."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from robust_lib import data, records, sweeps, training
from robust_lib.figures import rendered
from robust_lib.figures import side_by_side as pictures
from robust_lib.gallery import artefacts, comparison, costs, drawings, orderings, side_by_side, statements
from robust_lib.losses import table
from robust_lib.papers import ERRATA
from robust_lib.sweeps import growth

HEADER = """# Gallery

Written by `make refresh` and `make figures`; do not edit. Each figure lies here as PNG and SVG, with a JSON
sidecar that says what ran, where and from which commit. "quick" means the quick profile: mini packs, small
networks, one seed. A quick figure shows a mechanism; it is never the paper's experiment.

Two tables made from the library: [every loss](losses.md) with its weight, limits, symmetry and source, and
the [errata](errata.md) of the papers, each with its check's verdict. One made from our records: [every loss
with every detector](detectors.md).
"""
DETECTORS = """# Every loss with every detector

F1 of label error detection, mean ± standard deviation over the seeds (their number in brackets):
{images:,} images, uniform noise of rate {rate:g}, the quick profile's network, recipe and {folds} folds.
*cl*: confident learning, `both`; *aum*: two threshold runs, 99th percentile; *mean_loss*: a mixture of two
Gaussians. This is our small scale, not the paper's experiment; chapters 12 and 13 say which of its orderings
hold here.

{provenance}{lacking}

γ and c are those that HS picked for MNIST at this rate, on the score of its Table 1; one value each, not
picked again.
"""
DETECTORS_FEATURES = """# Every loss with every detector, on frozen features

F1 of label error detection, mean ± standard deviation over the seeds (their number in brackets), for every
way to turn what a detector saw into flags. *cl*: confident learning on the probabilities of {folds} folds;
*knn*: the same on the label shares of the nearest neighbours; both with five filters on one evidence. *aum*
({runs} threshold runs), *mean_loss* (a mixture of two Gaussians) and *prototype* have a
threshold of their own. *average precision* is of the ranking, before any filter. knn and prototype train
nothing: a head is worth its training if it beats them. With people's labels seeds differ in training alone.

{provenance}

{frozen}
γ and c are those that HS picked for the data set at a rate of 0.3, on the score of its Table 1; one value
each, not picked again, and not picked for people's labels. Nothing else was picked.
"""
FILTERS = {
    "f1": "both",
    "f1_prune_by_class": "prune by class",
    "f1_prune_by_noise_rate": "prune by noise rate",
    "f1_disagreement": "arg max differs",
    "f1_number": "number of errors by rank",
    "own": "own threshold",
    "average_precision": "average precision",
}
ROBUST = """## Other features and heads: CIFAR-10N's worst labels

Does the loss matter where a head can memorise: all of the network's features in place of the pack's principal
components ("features-224": from pictures of 224 px), a hidden layer ("mlp"), more epochs? cl alone.
"""
LACKING = " {lacking} of the {all} records for *cl* lack `estimated_rate`; no number here needs it."
LINK = """The same with [heads on frozen features](detectors-features.md), with people's labels too, and
beside detectors that train nothing.
"""
STATES = """## The papers' figures and tables

What there is of each, read off the files here and the records in `results/`. *paper scale*: every printed
number has one of ours, from as many seeds, in the paper's setting, or there is no training in it. *taken
over*: values that the authors picked. *in part*: some of paper scale. *features scale*: the paper's images,
classes and noise, but heads on frozen features in place of its networks. *reduced*: at a small scale of ours
only. *From a changed tree*: the code that ran differed from the commit which the record names. The pages in
`papers/` have both sides' numbers, and say what was picked on which score. One page has [all of them, side by
side](papers/side-by-side.md): what the papers state, whether it holds, and what is still to be run.
"""
COST = """## What it costs

One epoch of the quick profile's network in each of {folds} folds, then confident learning, on one thread of
the CPU or one GPU: `python -m robust_lib bench growth`, drawn from `results/growth.jsonl`. "Stacked" trains
all networks at once, as one; that is meant for a GPU which one small network leaves idle, and on a CPU it
only takes memory and time. Images are Fashion-MNIST's, repeated. "Heads" are linear, on the features of a
CIFAR set; "together" trains those of all losses as one product.
"""
NO_GRID = """A map over γ and c needs two values of one of them under one noise rate. Nothing recorded has
them yet, so there is no figure; this is what there is:
"""
PLAIN = {"alpha": "α_t · 10⁴"}  # metrics whose name on an axis is TeX
NOTATION = "CV, HS, SY and the symbols: [notation and glossary](../notebooks/notation_and_glossary.md)."
HEADINGS = {
    "paper": "At the paper's scale",
    "features": "The paper's data, on frozen features",
    "small": "Small version",
}
FROZEN = (
    "What differs from the paper: a head on {backbone}'s frozen features ({pixels} px, principal components; "
    "{recipes}) takes the place of the network that the paper trains. Images ({images}), classes and noise "
    "are the paper's; seeds are as counted. The features were chosen on scores like those here: {pixels} px "
    "in place of 128, and 256 components in place of 128, by accuracy and F1 with CIFAR-10N's labels on "
    "10,000 images. The recipes were not tuned.\n"
)
BEST = (
    "γ and c are the best that are recorded here, by the mean of the very score shown, as HS's are, and so "
    "these numbers are biased upwards. Below them, the orderings when all of ours are picked in this way.\n"
)
BAND = "; bands from the lowest to the highest seed"
# What is drawn of an artefact without printed numbers, by a function of drawings.py, and in words.
DRAWINGS = {
    "HS Fig. 8": ("heat_maps", "F1 by noise rate, and by loss, γ and c, as maps with the numbers in them"),
    "HS Fig. 11": (
        "delay_curves",
        "F1 against the delay of Piecewise-zero Loss, a panel for each noise rate, a line for each c" + BAND,
    ),
    "CV Fig. 1": (
        "alpha_curves",
        "Mean weight ‖∂L/∂s‖₁ by epoch on logarithmic axes, as a share of its largest value and as it is, a "
        "line for each loss († with CV's inferior hyperparameters)" + BAND,
    ),
    "CV Table 9": (
        "tau_curves",
        "Test accuracy against τ, a panel for each noise and loss, a line for each move, CV's τ upright"
        + BAND,
    ),
    "CV Fig. 4": (
        "learning_curves",
        "Test accuracy by epoch, a panel for each loss and noise rate, a line for each learning rate" + BAND,
    ),
}


def write(folder: Path, results: Path | None = None) -> None:
    """README.md from the folder's sidecars and the records in results (default: results/), and the tables."""
    (folder / "losses.md").write_text(losses_page())
    (folder / "errata.md").write_text(errata_page())
    (folder / "detectors.md").write_text(detectors_page(results))
    header = HEADER
    if on_features := detectors_on_features(results):
        (folder / "detectors-features.md").write_text(on_features)
        header += LINK
    parts = [header, STATES, states_table(folder, results), *_cost(results)]
    parts.append("## Figures of the chapters\n")
    for sidecar in sorted(folder.glob("*.json")):
        about = json.loads(sidecar.read_text())
        run = f"profile {about['profile']}, seed {about['seed']}, {about['device']}, torch {about['torch']}"
        picture = f"![{about['alt']}]({sidecar.stem}.png)"
        parts.append(f"### {sidecar.stem}\n\n{picture}\n\n{about['alt']}\n\n*{run}*\n")
    (folder / "README.md").write_text("\n".join(parts))


def detectors_page(results: Path | None = None) -> str:
    """The small records of the sweeps "detectors" and "detectors-fashion": one table for each data set."""
    rows = [row for name in ("detectors", "detectors-fashion") for row in sweeps.read(name, "small", results)]
    done = [row for row in rows if row["status"] == "done"]
    if not done:
        return "# Every loss with every detector\n\nNothing is recorded yet.\n"
    by_cl = [row for row in done if row["detector"] == "cl"]
    lacking = sum("estimated_rate" not in row for row in by_cl)
    words = LACKING.format(lacking=lacking, all=len(by_cl)) if lacking else ""
    parts = [DETECTORS.format(**done[0] | {"provenance": _provenance(done), "lacking": words})]
    found_by = ("cl", "aum", "mean_loss")
    for name, own in pd.DataFrame(done).groupby("data", sort=False):
        f1 = own.groupby(["label", "detector"], sort=False)["f1"].agg(_mean_and_spread)
        scores = f1.unstack(fill_value="").reindex(columns=found_by, fill_value="")
        lines = [("loss", *found_by), *scores.itertuples(name=None)]
        parts += [f"## {data.SETS[name].title}\n", comparison.markdown(lines)]
    return "\n".join(parts)


def detectors_on_features(results: Path | None = None) -> str:
    """The records of the sweep "detectors-features": a table for each data set and noise, with a row for each
    loss and detector and a column for each filter; "" where nothing is recorded."""
    done = comparison.records_of(("detectors-features",), "features", results)
    if not done:
        return ""
    about = done[0] | {"provenance": _provenance(done), "frozen": _frozen(done)}
    parts = [DETECTORS_FEATURES.format(**about)]
    for (name, noise, rate), own in pd.DataFrame(done).groupby(["data", "noise", "rate"], sort=False):
        parts.append(f"## {data.SETS[name].title}, {noise}{f' {rate:g}' * bool(rate)}\n")
        parts.append(_filters_table(own, {"label": "loss", "detector": "detector"}))
    if others := comparison.records_of(("features-robust",), "features", results):
        parts += [ROBUST, _provenance(others) + "\n"]
        by = {"size": "features", "network": "head", "recipe_epochs": "epochs", "label": "loss"}
        parts.append(_filters_table(pd.DataFrame(others), by))
    return "\n".join(parts)


def _filters_table(rows: pd.DataFrame, by: dict[str, str]) -> str:
    """Markdown: a row for each group of records (column -> its name here), F1 of each filter, precision."""
    several = rows["f1_disagreement"].notna()
    rows = rows.assign(own=rows["f1"].mask(several), f1=rows["f1"].where(several))
    scores = rows.groupby(list(by), sort=False)[list(FILTERS)].agg(_mean_and_spread)
    lines = [tuple(map(str, line)) for line in scores.reset_index().to_numpy()]
    return comparison.markdown([(*by.values(), *FILTERS.values()), *lines])


def _by_device(results: Path | None) -> dict[str, list[dict]]:
    """The records of growth.run."""
    rows: dict[str, list[dict]] = {}
    for record in records.read("growth", folder=results):
        rows.setdefault(record["device"], []).append(record)
    return rows


def _cost(results: Path | None) -> list[str]:
    parts = [COST.format(folds=growth.FOLDS)]
    for device, rows in _by_device(results).items():
        stem = _cost_stem(device)
        alt = f"Seconds and peak memory against images and losses to try on {device}, {len(rows)} points"
        parts.append(f"![{alt}](papers/{stem}.png)\n\n*{device}, {rows[-1]['date']}*\n")
    return parts if len(parts) > 1 else []


def _cost_stem(device: str) -> str:
    return "cost-" + re.sub(r"\W+", "-", device.lower()).strip("-")


def _mean_and_spread(scores: pd.Series) -> str:
    scores = scores.dropna()
    if scores.empty:
        return ""
    spread = scores.std() if len(scores) > 1 else None
    return f"{comparison.number(scores.mean(), spread, 3)} ({len(scores)})"


def states_table(folder: Path, results: Path | None = None) -> str:
    """One row for every numbered figure and table of the papers, with its state."""
    lines = ["| artefact | shows | state | what there is | where |", "|---|---|---|---|---|"]
    for artefact in artefacts.ARTEFACTS.values():
        found = artefacts.state(artefact, folder, results)
        links = ", ".join(f"[{file.removesuffix('.png')}]({file})" for file in found.files)
        lines.append(f"| {' | '.join((artefact.name, artefact.title, found.word, found.detail, links))} |")
    return "\n".join(lines) + "\n"


def draw(folder: Path, results: Path | None = None) -> None:
    """folder/papers/: a page for every artefact that has a sweep, with a figure for each scale recorded.

    What lay there before is removed, so that no figure outlives its records.
    """
    papers = folder / "papers"
    papers.mkdir(parents=True, exist_ok=True)
    for old in papers.iterdir():
        old.unlink()
    for name in comparison.SOURCES | comparison.CURVES:
        _draw_page(artefacts.ARTEFACTS[name], papers, results)
    for device, rows in _by_device(results).items():
        _save(drawings.growth(rows), papers, _cost_stem(device))
    _draw_side_by_side(papers, results)


def _draw_side_by_side(papers: Path, results: Path | None) -> None:
    found = statements.findings(results)
    words = {key: {side: one.word for side, one in by_side.items()} for key, by_side in found.items()}
    _save(pictures.verdict_grid(words, side_by_side.SIDES), papers, "side-by-side-verdicts")
    if points := side_by_side.points(results):
        _save(pictures.against(points, side_by_side.SIDES), papers, "side-by-side-numbers")
    text = side_by_side.page(found, costs.remaining(results), costs.rates(results), results)
    (papers / "side-by-side.md").write_text(text)


def _save(fig, folder: Path, stem: str) -> None:
    for kind in ("png", "svg"):
        (folder / f"{stem}.{kind}").write_bytes(rendered(fig, kind))
    plt.close(fig)


def _draw_page(artefact: artefacts.Artefact, papers: Path, results: Path | None) -> None:
    """One page and its figures; a curve of which nothing is recorded has none, for it would be empty."""
    source = (comparison.SOURCES | comparison.CURVES)[artefact.name]
    parts = [
        f"# {artefact.name}: {artefact.title}\n",
        f"Written by `make figures`; do not edit. {source.note}\n",
        f"**What was picked.** {source.picked}\n",
    ]
    opening = len(parts)
    for scale, heading in HEADINGS.items():
        found = comparison.records_for(artefact.name, scale, results)
        if source.columns:
            cells = comparison.cells(artefact.name, scale, results)
            body = _of_cells(artefact, scale, cells, found, papers) if cells else []
            body += _of_best(artefact, results) if scale == "features" else []
        else:
            body = _of_curves(artefact, scale, found, papers) if found else []
        about = [_frozen(found)] if scale == "features" and body else []
        parts += [f"## {heading}\n", *about, *body] if body else []
    if len(parts) > opening:
        (papers / f"{artefact.slug}.md").write_text("\n".join(parts))


def _of_cells(artefact, scale: str, cells: list, found: list[dict], papers: Path) -> list[str]:
    """What a page has at one scale of a table: where ours are from, picture, numbers, orderings."""
    shown = comparison.shown(cells)
    if not shown:
        return ["Nothing is recorded.\n", comparison.table(cells)]
    # Only ratios of α_t can be compared (errata cv-4). Tables share records: each draws the noises it prints.
    printed = {(cell.noise, cell.rate) for cell in cells if cell.paper}
    drawn = [cell for cell in cells if cell.ours and cell.metric != "alpha"]
    ours = [cell for cell in drawn if (cell.noise, cell.rate) in printed] or drawn
    parts = [_provenance(shown) + _left_out(len(shown), len(found)) + "\n"]
    parts += [_picture(artefact, scale, "dots", ours, shown, papers, _alt(ours)), comparison.table(cells)]
    told = orderings.orderings(cells)
    if told:
        parts += ["### Do the paper's orderings hold?\n", orderings.rule(told), orderings.table(told)]
    ratios = orderings.ratios_table(cells, "alpha")
    return [*parts, "### Ratios to CE\n", ratios] if ratios else parts


def _of_best(artefact, results: Path | None) -> list[str]:
    """The same numbers with the best of what was tried on features, where several values were."""
    best = comparison.cells(artefact.name, "features", results, best=True)
    tried = [cell for cell in best if cell.ours.recorded > 1]
    if not tried:
        return []
    told = orderings.orderings(best)
    return [
        *("### With the best γ and c, picked on the score shown\n", BEST, comparison.table(tried)),
        *([orderings.table(told)] if told else []),
    ]


def _frozen(rows: list[dict]) -> str:
    """What records at the scale "features" have in place of the paper's network."""
    images = sorted({f"{row['images']:,}" for row in rows})
    used = {row["recipe"]: training.RECIPES[row["recipe"]] for row in rows if row["recipe"] != "none"}
    recipes = "; ".join(
        f"recipe {name}: {recipe.epochs} epochs of {recipe.optimizer}, learning rate {recipe.lr:g}"
        for name, recipe in used.items()
    )
    backbones = ", ".join(sorted({row["backbone"] for row in rows}))
    words = {"backbone": backbones, "pixels": data.PACK_PIXELS, "images": ", ".join(images)}
    return FROZEN.format(recipes=recipes, **words)


def _of_curves(artefact, scale: str, found: list[dict], papers: Path) -> list[str]:
    """The same of a figure whose numbers the paper does not print."""
    function, words = DRAWINGS[artefact.name]
    if artefact.name == "CV Table 9" and not (found := comparison.of_taus(found)):
        return []
    drawn = comparison.of_grids(found) if artefact.name == "HS Fig. 8" else found
    if not drawn:
        return [_provenance(found) + "\n", NO_GRID, _listed(found)]
    where = dict.fromkeys(f"{data.SETS[row['data']].title}, {row['images']:,} images" for row in drawn)
    alt = f"{words}; {' and '.join(where)}."
    parts = [_provenance(drawn) + _left_out(len(drawn), len(found)) + _row_sizes(artefact, drawn) + "\n"]
    parts.append(_picture(artefact, scale, function, drawn, drawn, papers, alt))
    if artefact.name == "CV Fig. 4":
        parts += ["### Does what CV says hold?\n", orderings.FALLS, orderings.falls_table(found)]
    return parts


def _provenance(rows: list[dict]) -> str:
    """How many trials, where and when they ran, and how many of them no commit has the code of."""
    devices = ", ".join(sorted({row["device"] for row in rows}))
    dates = sorted({row["date"] for row in rows})
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    count = f"{len(rows)} trial{'s' * (len(rows) > 1)}"
    seeds = len({row["seed"] for row in rows})
    seeds = f"up to {seeds} seeds" if seeds > 1 else "one seed"
    return f"{count}, {seeds}, {devices}, {when}.{_changed(rows)}"


def _changed(rows: list[dict]) -> str:
    """A sentence on the records from a changed tree, with the commits that they name."""
    commits = comparison.changed_trees(rows)
    if not commits:
        return ""
    listed = ", ".join(f"{commit} ({number})" for commit, number in commits.most_common())
    number = f"{commits.total()} of {len(rows)}"
    return f" {number} from a changed tree, one that differs from the commit named: {listed}."


def _left_out(shown: int, recorded: int) -> str:
    if shown == recorded:
        return ""
    return f" {recorded - shown} more are recorded in other settings or with other values of γ and c."


def _row_sizes(artefact, drawn: list[dict]) -> str:
    if artefact.name != "HS Fig. 8":
        return ""
    rows = pd.DataFrame(drawn).groupby(["data", "images", "network", "rate"])
    sizes = sorted(set(rows["label"].nunique()))
    return f" The best of a row is the best of {' or '.join(map(str, sizes))}."


def _listed(rows: list[dict]) -> str:
    """One line for each setting with its mean F1."""
    settings = pd.DataFrame(rows).groupby(["data", "images", "rate", "label"], sort=False)["f1"]
    return "".join(
        f"- {data.SETS[name].title}, {images:,} images, η = {rate:g}, {label}: F1 {_mean_and_spread(f1)}\n"
        for (name, images, rate, label), f1 in settings
    )


def _alt(ours: list[comparison.Cell]) -> str:
    """What the dots of these cells show, in words."""
    metrics = ", ".join(dict.fromkeys(PLAIN.get(c.metric) or drawings.METRICS[c.metric] for c in ours))
    sets = ", ".join(dict.fromkeys(data.SETS[cell.data].title for cell in ours))
    losses = len({cell.loss for cell in ours})
    squares = ", the paper's numbers as squares" * any(cell.paper is not None for cell in ours)
    spreads = [side.spread for cell in ours for side in (cell.ours, cell.paper) if side]
    bars = ", with bars of one standard deviation" * any(spread is not None for spread in spreads)
    what = f"{losses} loss{'es' * (losses > 1)} on {sets}"
    return f"{metrics[0].upper()}{metrics[1:]} of {what}: ours as dots{squares}{bars}."


def _picture(artefact, scale: str, function: str, drawn: list, rows: list, papers: Path, alt: str) -> str:
    """Draws PNG, SVG and sidecar; returns the picture in Markdown."""
    stem = artefact.slug + ("" if scale == "paper" else f"-{scale}")
    _save(getattr(drawings, function)(drawn), papers, stem)
    about = {"alt": alt, "scale": scale, "trials": len(rows)}
    ran = ("device", "date", "commit", "torch", *(("backbone", "pack_md5") if scale == "features" else ()))
    about |= {name: sorted({str(row[name]) for row in rows}) for name in ran}
    about["modified"] = sum(bool(row.get("modified")) for row in rows)
    (papers / f"{stem}.json").write_text(json.dumps(about, indent=1) + "\n")
    return f"![{alt}]({stem}.png)\n"


ERRATA_HEADINGS = {
    "error": ("## Errors\n", ("printed", "correct")),
    "criticism": (
        "## Criticisms\n\nNothing printed is wrong here; what it is taken to show does not follow.\n",
        ("printed", "what to mind"),
    ),
}


def losses_page() -> str:
    """The table of the registry's losses."""
    return f"# Every loss\n\nMade from `robust_lib/losses/zoo.py`. {NOTATION}\n\n{table.markdown()}"


def errata_page() -> str:
    """The errata, each run: what is printed, what is right, whether the check confirmed it; then what is
    criticised though nothing printed is wrong."""
    parts = [
        "# Errata of the papers\n",
        f"Made from `robust_lib/papers/errata.py`; the tests run every check. {NOTATION}\n",
    ]
    for kind, (heading, columns) in ERRATA_HEADINGS.items():
        lines = [("key", "where", *columns, "check")]
        for erratum in ERRATA.values():
            if erratum.kind == kind:
                verdict = "confirmed" if erratum.check()["confirmed"] else "not confirmed"
                place = f'<a id="{erratum.key}"></a>{erratum.key}'  # chapters link to it
                cells = (place, erratum.where, erratum.printed, erratum.correct, verdict)
                lines.append(tuple(cell.replace("|", "&#124;") for cell in cells))
        parts += [heading, comparison.markdown(lines)]
    return "\n".join(parts)
