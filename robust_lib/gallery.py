"""figures/README.md and the pages it leads to: what there is of the papers, every figure with its words."""

import json
import re
import statistics
from pathlib import Path

from robust_lib import artefacts, comparison, data, experiments, growth, records

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
{images:,} images, uniform noise of rate {rate:g}, the quick profile's network, recipe and {folds} folds;
recorded on {device}. The losses have HS's parameters for MNIST at this rate. *cl*: confident learning,
`both`; *aum*: two threshold runs, 99th percentile; *mean_loss*: a mixture of two Gaussians. This is our small
scale, not the paper's experiment; chapters 10 and 11 say which of its orderings hold here.
"""
STATES = """## The papers' figures and tables

What there is of each, read off the files here and the records in `results/`. *paper scale*: every printed
number has one of ours, from as many seeds, in the paper's setting, or there is no training in it. *taken
over*: values that the authors picked. *in part*: some of paper scale. *reduced*: at a small scale of ours
only. The pages in `papers/` have both sides' numbers.
"""
COST = """## What it costs

One epoch of the quick profile's network in each of {folds} folds, then confident learning, on one thread of
the CPU or one GPU: `python -m robust_lib bench growth`, drawn from `results/growth.jsonl`. "Stacked" trains
all networks at once, as one; that is meant for a GPU which one small network leaves idle, and on a CPU it
only takes memory and time. Images are Fashion-MNIST's, repeated.
"""
NOTATION = "CV, HS, SY and the symbols: [notation and glossary](../notebooks/notation_and_glossary.md)."
HEADINGS = {"paper": "At the paper's scale", "small": "Small version"}
# What is drawn, by a function of figures/comparison.py, and its first words for those who cannot see it.
DRAWINGS = {
    "HS Fig. 8": ("heat_maps", "Heat maps of"),
    "HS Fig. 11": ("delay_curves", "Curves of"),
    "CV Fig. 4": ("learning_curves", "Test accuracy against the epoch:"),
}
DOTS = ("dots", "Ours as dots and the paper's numbers as squares, with error bars, as in the table below:")


def write(folder: Path, results: Path | None = None) -> None:
    """README.md from the folder's sidecars and the records in results (default: results/), and the tables."""
    (folder / "losses.md").write_text(losses_page())
    (folder / "errata.md").write_text(errata_page())
    (folder / "detectors.md").write_text(detectors_page(results))
    parts = [HEADER, STATES, states_table(folder, results), *_cost(results)]
    parts.append("## Figures of the chapters\n")
    for sidecar in sorted(folder.glob("*.json")):
        about = json.loads(sidecar.read_text())
        run = f"profile {about['profile']}, seed {about['seed']}, {about['device']}, torch {about['torch']}"
        picture = f"![{about['alt']}]({sidecar.stem}.png)"
        parts.append(f"### {sidecar.stem}\n\n{picture}\n\n{about['alt']}\n\n*{run}*\n")
    (folder / "README.md").write_text("\n".join(parts))


def detectors_page(results: Path | None = None) -> str:
    """The small records of the sweeps "detectors" and "detectors-fashion": one table for each data set."""
    rows = [
        row for name in ("detectors", "detectors-fashion") for row in experiments.read(name, "small", results)
    ]
    done = [row for row in rows if row["status"] == "done"]
    if not done:
        return "# Every loss with every detector\n\nNothing is recorded yet.\n"
    found_by = ("cl", "aum", "mean_loss")
    parts = [DETECTORS.format(**done[0])]
    for name in dict.fromkeys(row["data"] for row in done):
        parts += [f"## {data.SETS[name].title}\n", f"| loss | {' | '.join(found_by)} |", "|---|---|---|---|"]
        cells: dict[str, dict[str, list[float]]] = {}
        for row in done:
            if row["data"] == name:
                cells.setdefault(row["label"], {}).setdefault(row["detector"], []).append(row["f1"])
        parts += [
            f"| {label} | {' | '.join(_mean_and_spread(by.get(who, [])) for who in found_by)} |"
            for label, by in cells.items()
        ]
        parts.append("")
    return "\n".join(parts)


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


def _mean_and_spread(scores: list[float]) -> str:
    if not scores:
        return ""
    spread = statistics.stdev(scores) if len(scores) > 1 else None
    return f"{comparison.number(statistics.mean(scores), spread, 3)} ({len(scores)})"


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
    from robust_lib.figures import growth as drawings

    papers = folder / "papers"
    papers.mkdir(parents=True, exist_ok=True)
    for old in papers.iterdir():
        old.unlink()
    for name in comparison.SOURCES | comparison.CURVES:
        _draw_page(artefacts.ARTEFACTS[name], papers, results)
    for device, rows in _by_device(results).items():
        _save(drawings.growth(rows), papers, _cost_stem(device))


def _save(fig, folder: Path, stem: str) -> None:
    import matplotlib.pyplot as plt

    from robust_lib import chapter

    for kind in ("png", "svg"):
        (folder / f"{stem}.{kind}").write_bytes(chapter.render(fig, kind))
    plt.close(fig)


def _draw_page(artefact: artefacts.Artefact, papers: Path, results: Path | None) -> None:
    """One page and its figures; a curve of which nothing is recorded has none, for it would be empty."""
    source = (comparison.SOURCES | comparison.CURVES)[artefact.name]
    parts = [
        f"# {artefact.name}: {artefact.title}\n",
        f"Written by `make figures`; do not edit. {source.note}\n",
    ]
    for scale, heading in HEADINGS.items():
        found = comparison.records_for(artefact.name, scale, results)
        cells = comparison.cells(artefact.name, scale, results) if source.columns else []
        drawn = [cell for cell in cells if cell.ours] if source.columns else found
        if cells or found:
            parts += [f"## {heading}\n", _provenance(found)]
        if drawn:
            parts.append(_picture(artefact, scale, drawn, found, papers))
        if cells:
            parts.append(comparison.table(cells))
    if len(parts) > 2:
        (papers / f"{artefact.slug}.md").write_text("\n".join(parts))


def _provenance(rows: list[dict]) -> str:
    if not rows:
        return "Nothing is recorded.\n"
    devices = ", ".join(sorted({row["device"] for row in rows}))
    dates = sorted({row["date"] for row in rows})
    seeds = len({row["seed"] for row in rows})
    return f"{len(rows)} trials, {seeds} seeds, {devices}, {dates[0]} to {dates[-1]}.\n"


def _picture(artefact: artefacts.Artefact, scale: str, drawn: list, rows: list[dict], papers: Path) -> str:
    """Draws PNG, SVG and sidecar; returns the picture in Markdown."""
    from robust_lib.figures import comparison as drawings

    function, words = DRAWINGS.get(artefact.name, DOTS)
    stem = artefact.slug + ("-small" if scale == "small" else "")
    _save(getattr(drawings, function)(drawn), papers, stem)
    about = {
        "alt": f"{words} {artefact.title}; {len(rows)} trials.",
        "scale": scale,
        "trials": len(rows),
    }
    ran = ("device", "date", "commit", "torch")
    about |= {name: sorted({str(row[name]) for row in rows}) for name in ran}
    (papers / f"{stem}.json").write_text(json.dumps(about, indent=1) + "\n")
    return f"![{about['alt']}]({stem}.png)\n"


def losses_page() -> str:
    """The table of the registry's losses."""
    from robust_lib import zoo_table

    return f"# Every loss\n\nMade from `robust_lib/losses.py`. {NOTATION}\n\n{zoo_table.markdown()}"


def errata_page() -> str:
    """The errata, each run: what is printed, what is right, whether the check confirmed it."""
    from robust_lib.errata import ERRATA

    rows = ["| key | where | printed | correct | check |", "|---|---|---|---|---|"]
    for erratum in ERRATA.values():
        verdict = "confirmed" if erratum.check()["confirmed"] else "not confirmed"
        cells = (erratum.key, erratum.where, erratum.printed, erratum.correct, verdict)
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    made = f"Made from `robust_lib/errata.py`; the tests run every check. {NOTATION}"
    title = f"# Errata of the papers\n\n{made}\n\n"
    return title + "\n".join(rows) + "\n"
