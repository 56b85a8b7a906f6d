"""Every table and figure of the papers, ours against theirs, and every statement with its verdict: the tables
of chapter 18 and of figures/papers/side-by-side.md.

    found = statements.findings()
    statements_table("CV", found)     Markdown: what CV states, and whether it holds at each scale
    artefacts_table(found)            Markdown: a row for every numbered table and figure
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from robust_lib.gallery import comparison, costs, orderings, statements, verdicts
from robust_lib.gallery.artefacts import ARTEFACTS, Artefact
from robust_lib.gallery.comparison import markdown
from robust_lib.gallery.drawings import METRICS
from robust_lib.gallery.statements import STATEMENTS, UNTESTED, Finding
from robust_lib.papers import ERRATA, reported
from robust_lib.records import SCALES

SIDES = {
    verdicts.PRINTED: "its own numbers",
    "paper": "ours, its scale",
    "features": "ours, features",
    "small": "ours, small",
}
Found = dict[str, dict[str, Finding]]

TITLE = """# The papers, side by side

Written by `make figures` from `results/`, `reported.csv` and `errata.py`; do not edit. Chapter 18 goes
through it step by step.

"""
READING = """*its own numbers*: the same test on what the paper prints, or a computation where nothing is
trained. *ours*: at the paper's scale, on frozen features of the paper's images, and in small, where other
data may stand in. A case is one comparison, of two losses under one noise. It *holds* or is *reversed* if all
seeds agree, and is *mixed* otherwise. A statement holds if all its cases do ("nearly all": four in five;
"some": one). *verdict*: the word on which all scales of ours agree, else mixed. How a statement is tested is
our reading, and so are its margins. From one seed a case is hardly ever mixed, whatever the truth.
"""
COSTS = """Hours that the sweeps still take at the papers' scale: on HS's V100 by the minutes that HS reports
(A.1), on each CPU that has trained networks on images in a recorded sweep, and on each device whose training
steps are timed (results/steps.jsonl). Trials recorded on a GPU are left out here, for they ran beside others
on the same card, which makes them up to ten times longer (results/GPU.md). Without a mark: the mean of
recorded trials of the same kind. "*": estimated from FLOP, at the pace of the network nearest in size; "+":
partly so. Such an estimate may be wrong by a factor of several. A sweep of 0 trials has all of its own in
another one, as HS Fig. 8 has in Table 1. The grids of γ and c are ours, for HS does not print its own, and
make up most of the trials. Food-101N, Clothing-1M and WebVision are not in it.
"""
DISTANCES = """|ours - theirs|, in the unit of the metric: the median over the numbers, and the largest, with
the number of numbers in brackets. Only where our data, noise and loss are those of the printed number.
"""


def page(found: Found, left: list[costs.Remaining], by_device: dict[str, costs.Rate], results=None) -> str:
    """The page's text, with its two pictures in the same folder."""
    parts = [TITLE, "## What the papers state\n\n", READING, "\n", summary_table(found), "\n"]
    parts.append(f"![{GRID_ALT}](side-by-side-verdicts.png)\n\n")
    for paper in ("HS", "CV", "SY"):
        parts += [f"### {paper}\n\n", statements_table(paper, found), "\n"]
    parts += ["## Tables and figures\n\n", artefacts_table(found, results, links=True), "\n"]
    parts += ["## How far apart\n\n", DISTANCES, "\n", distances_table(results), "\n"]
    parts += [f"![{NUMBERS_ALT}](side-by-side-numbers.png)\n\n"] * bool(points(results))
    parts += ["## Errors and criticisms\n\nEach has its check on [the page of errata](../errata.md).\n\n"]
    parts += [errata_table(), "\n", "## What a full reproduction would still take\n\n", COSTS, "\n"]
    return "".join([*parts, costs.table(left, by_device)])


GRID_ALT = (
    "A grid of verdicts: a row for each statement of the papers, a column for its own numbers and for each "
    "scale of ours; H for holds, M for mixed, R for reversed, empty where nothing is recorded."
)
NUMBERS_ALT = (
    "Panels by metric: our numbers against the printed ones, a mark for each scale, and the line where both "
    "are equal."
)


def summary(found: Found) -> pd.DataFrame:
    """How many statements get which verdict: a row for each paper and side, and for the verdict over all."""
    rows = []
    for paper in ("HS", "CV", "SY"):
        own = [one for one in STATEMENTS.values() if one.paper == paper]
        for side, name in SIDES.items():
            rows.append((paper, name, Counter(found[one.key][side].word or UNTESTED for one in own)))
        rows.append((paper, "verdict", Counter(statements.overall(one, found[one.key]) for one in own)))
    columns = (*orderings.VERDICTS, UNTESTED)
    lines = [(paper, side, *(counts[word] for word in columns)) for paper, side, counts in rows]
    return pd.DataFrame(lines, columns=["paper", "side", *columns])


def summary_table(found: Found) -> str:
    """The same as Markdown; "no case" in place of UNTESTED: at one side it means that nothing is there."""
    frame = summary(found).rename(columns={UNTESTED: "no case"})
    return markdown([tuple(frame.columns), *(tuple(map(str, line)) for line in frame.to_numpy())])


def statements_table(paper: str, found: Found) -> str:
    """Markdown: a row for each statement of a paper, with the evidence for its verdicts."""
    lines = [("statement", "the paper", "how it is tested", "verdict", *SIDES.values())]
    for key, one in STATEMENTS.items():
        if one.paper == paper:
            verdict = f"**{statements.overall(one, found[key])}**"
            verdict += ", no case recorded yet" * (one.test is not None and UNTESTED in verdict)
            says = f"{one.where}: {one.says}"
            evidence = (told(found[key][side]) for side in SIDES)
            lines.append((f"`{key}`", says, one.reading or one.lacks, verdict, *evidence))
    return markdown(lines)


def told(finding: Finding) -> str:
    """Such as "mixed: 12 of 16 hold, 4 reversed; 2 seeds", "" without a case."""
    return f"{finding.word}: {verdicts.evidence(list(finding.cases))}" if finding.cases else ""


def artefacts_table(found: Found, results: Path | None = None, links: bool = False) -> str:
    """Markdown: of every numbered table and figure what the paper prints, what is recorded at each scale with
    the paper's orderings of losses that hold, are mixed and reversed there, and the statements about it."""
    lines = [("artefact", "shows", "printed numbers", *(SIDES[scale] for scale in SCALES), "statements")]
    printed = Counter({name: len(reported.table(name)) for name in reported.names()})
    for name, artefact in ARTEFACTS.items():
        about = [one for one in STATEMENTS.values() if name in one.artefacts]
        words = ", ".join(f"{one.key} ({statements.overall(one, found[one.key])})" for one in about)
        shown = f"[{name}]({artefact.slug}.md)" if links and name in _with_pages() else name
        ours = [recorded(artefact, scale, results) for scale in SCALES]
        ours[0] = ours[0] or _without_records(artefact)
        lines.append((shown, artefact.title, str(printed[name] or ""), *ours, words))
    return markdown(lines)


def _with_pages() -> set[str]:
    return {*comparison.SOURCES, *comparison.CURVES}


def _without_records(artefact: Artefact) -> str:
    """In words, what takes no run, or why none can be had."""
    if artefact.cannot:
        return f"cannot be had here: {artefact.cannot}"
    return {"formulas": "no training in it", "given": "values taken over"}.get(artefact.kind, "")


def recorded(artefact: Artefact, scale: str, results: Path | None = None) -> str:
    """Such as "64 numbers; orderings 91 hold, 3 mixed, 84 reversed", "32 trials", or ""."""
    name = artefact.name
    if name in comparison.CURVES:
        rows = comparison.records_for(name, scale, results)
        return counted(len(rows), "trial") if rows else ""
    cells = comparison.cells(name, scale, results) if name in comparison.SOURCES else []
    if not (ours := [cell for cell in cells if cell.ours]):
        return ""
    counts = Counter(one.verdict for one in orderings.orderings(ours))
    first, *others = (f"{counts[word]} {word}" for word in ("holds", *orderings.VERDICTS[1:]))
    order = f"; orderings {first.replace('holds', 'hold')}, {', '.join(others)}" if counts else ""
    return counted(len(ours), "number") + order


def counted(number: int, what: str) -> str:
    """Such as "1 trial", "2 trials"."""
    return f"{number} {what}{'s' * (number != 1)}"


def pairs(results: Path | None = None) -> pd.DataFrame:
    """Every number that the paper prints and we have: artefact, metric, scale, place, loss, theirs, ours.
    CV's α_t is left out: it cannot be had from its definition (errata cv-4)."""
    rows = [
        (
            name,
            cell.metric,
            scale,
            cell.data,
            cell.noise,
            cell.rate,
            cell.loss,
            cell.paper.mean,
            cell.ours.mean,
        )
        for name in comparison.SOURCES
        for scale in SCALES
        for cell in comparison.cells(name, scale, results)
        if cell.ours and cell.paper and cell.metric != "alpha"
    ]
    columns = ["artefact", "metric", "scale", "data", "noise", "rate", "loss", "theirs", "ours"]
    return pd.DataFrame(rows, columns=columns)


def points(results: Path | None = None) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """The same as {the metric's name: {scale: [(theirs, ours), ...]}}."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    frame = pairs(results)
    for scale in SCALES:
        for metric, own in frame[frame["scale"] == scale].groupby("metric", sort=False):
            found.setdefault(METRICS[metric], {})[scale] = list(zip(own["theirs"], own["ours"], strict=True))
    return found


def distances_table(results: Path | None = None) -> str:
    """Markdown: how far apart theirs and ours are, by table, metric and scale."""
    frame = pairs(results)
    gaps = (
        (frame["ours"] - frame["theirs"]).abs().groupby([frame["artefact"], frame["metric"], frame["scale"]])
    )
    words = {place: f"{own.median():.3g}, {own.max():.3g} ({len(own)})" for place, own in gaps}
    lines = [("table", "metric", *(SIDES[scale] for scale in SCALES))]
    for name, source in comparison.SOURCES.items():
        for metric in source.columns:
            line = [words.get((name, metric, scale), "") for scale in SCALES]
            lines += [(name, metric, *line)] if any(line) else []
    return markdown(lines)


def errata_table() -> str:
    """Markdown: how many errors and criticisms of each paper are listed, and how many a check confirms."""
    counts: dict[tuple[str, str], list[bool]] = {}
    for one in ERRATA.values():
        counts.setdefault((one.paper, one.kind), []).append(bool(one.check()["confirmed"]))
    lines = [(*key, str(len(own)), str(sum(own))) for key, own in sorted(counts.items())]
    return markdown([("paper", "kind", "listed", "confirmed by their check"), *lines])
