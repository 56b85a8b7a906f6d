"""Which of a paper's orderings of two losses hold in our records.

orderings(comparison.cells("CV Table 5", "small"))     a verdict for every two losses that CV tells apart
table(...)                                             as Markdown
"""

import itertools
from dataclasses import dataclass

import pandas as pd

from robust_lib.gallery.comparison import Cell, label, markdown
from robust_lib.papers import Reported

VERDICTS = ("holds", "mixed", "reversed")
HEAD = (
    *("data", "noise", "η", "in place of", "metric", "pairs", *VERDICTS),
    *("which are mixed", "which are reversed"),
)
RULE = """Two losses are compared where the paper's numbers differ by more than the larger of their printed
standard deviations, or at all where it prints none. "A > B": the paper's number for A is the larger one. It
*holds* if ours is larger for A in every seed, is *reversed* if ours is larger for B in every seed, and is
*mixed* otherwise; a tie of ours makes it mixed. What this cannot say: two losses that differ by chance alone
still get "holds" or "reversed" from {seeds} seeds {chance:.0%} of the time; the pairs of a row share losses,
so they are not independent; and where the setting is not the paper's, it may be what reverses an ordering.
"""
TIE = 1e-9  # two differences of accuracies may differ by rounding alone
FALL = 0.05
FITTED = 0.9
FALLS = f"""A run *falls* if its last test accuracy lies more than {100 * FALL:.0f} points below that of its
best epoch. CV says of its figure that MAE "eventually overfits noisy samples", so it should fall, and that
cross entropy "can become robust" by "simply increasing or decreasing the learning rate", so it should fall
between the lowest and the highest rate and not at these two. "Eventually" means after "enough training steps
[...] for a small training loss". So where CV expects a fall, a run counts if it agrees with at least
{100 * FITTED:.0f} % (ours) of the labels that it was trained on; the others are *too short*. Our rates and
our number of epochs need not be CV's.
"""


@dataclass(frozen=True)
class Ordering:
    """Two losses under one noise, the one with the paper's larger number first, and what ours say: one of
    VERDICTS, from so many seeds. beside: the paper's data and noise."""

    data: str
    noise: str
    rate: float | None
    metric: str
    beside: tuple[str, str]
    larger: str
    smaller: str
    seeds: int
    verdict: str


def orderings(found: list[Cell]) -> list[Ordering]:
    """Every two losses of the cells that the paper tells apart and we have, in the order of the cells.

    The paper tells them apart if |m - m'| > max(σ, σ'), a σ that is not printed being 0. With d the
    difference of ours in a seed that both have: holds if all d > 0, reversed if all d < 0, mixed otherwise;
    |d| <= 1e-9 counts as 0.
    """
    places: dict[tuple, list[Cell]] = {}
    for cell in found:
        if cell.ours and cell.beside:
            places.setdefault((cell.data, cell.noise, cell.rate, cell.metric), []).append(cell)
    verdicts = []
    for place, members in places.items():
        for pair in itertools.combinations(members, 2):
            a, b = sorted(pair, key=lambda cell: -cell.beside.mean)
            seeds = a.ours.values.keys() & b.ours.values.keys()
            if seeds and _apart(a.beside, b.beside):
                verdict = _verdict([a.ours.values[seed] - b.ours.values[seed] for seed in seeds])
                beside = (a.beside.data, a.beside.noise)
                verdicts.append(Ordering(*place, beside, a.loss, b.loss, len(seeds), verdict))
    return verdicts


def _verdict(differences: list[float]) -> str:
    if all(d > TIE for d in differences):
        return "holds"
    return "reversed" if all(d < -TIE for d in differences) else "mixed"


def _apart(one: Reported, other: Reported) -> bool:
    gap = round(abs(one.mean - other.mean), max(one.decimals, other.decimals))
    return gap > max(one.spread or 0, other.spread or 0)


def table(verdicts: list[Ordering]) -> str:
    """Markdown: a row for each data set, noise and metric; how many pairs hold, and which do not."""
    rows: dict[tuple, dict[str, list[str]]] = {}
    for one in verdicts:
        beside = ", ".join(word for word in one.beside if word not in (one.data, one.noise))
        rate = "" if one.rate is None else f"{one.rate:g}"
        row = rows.setdefault((one.data, one.noise, rate, beside, one.metric), {v: [] for v in VERDICTS})
        row[one.verdict].append(f"{one.larger} > {one.smaller}")
    lines = [HEAD]
    for place, pairs in rows.items():
        counts = [len(pairs[verdict]) for verdict in VERDICTS]
        names = ("; ".join(pairs[verdict]) for verdict in VERDICTS[1:])
        lines.append((*place, str(sum(counts)), *map(str, counts), *names))
    return markdown(lines)


def rule(verdicts: list[Ordering]) -> str:
    """RULE, for the fewest seeds behind a verdict: with n of them chance gives 2/2^n."""
    seeds = min(one.seeds for one in verdicts)
    return RULE.format(seeds=seeds, chance=2 * 0.5**seeds)


def ratios_table(found: list[Cell], metric: str) -> str:
    """Markdown: each loss's number as a multiple of CE's, the paper's and ours; "" where there is none."""
    lines = [("data", "in place of", "loss", f"{metric} as a multiple of CE's: the paper", "ours")]
    kept = [cell for cell in found if cell.metric == metric and cell.ours and cell.beside]
    base = {(cell.data, cell.noise, cell.rate): cell for cell in kept if cell.loss == "CE"}
    for cell in kept:
        ce = base.get((cell.data, cell.noise, cell.rate))
        if ce and cell is not ce:
            theirs, ours = cell.beside.mean / ce.beside.mean, cell.ours.mean / ce.ours.mean
            beside = "" if cell.beside.data == cell.data else cell.beside.data
            lines.append((cell.data, beside, cell.loss, f"{theirs:.3g}", f"{ours:.3g}"))
    return markdown(lines) if len(lines) > 1 else ""


def falls_table(records: list[dict]) -> str:
    """Markdown for CV Fig. 4: of each loss, noise and learning rate the best and the last test accuracy, the
    agreement with the labels trained on, how many seeds fall (see FALLS), what CV says of it, and the verdict
    over the seeds."""
    names = ["loss", "rate", "lr", "curve", "fitted"]
    runs = [
        (label("CV", row), row["rate"], row["recipe_lr"], row["test_accuracy_curve"], row["train_accuracy"])
        for row in records
    ]
    frame = pd.DataFrame(runs, columns=names)
    frame["best"], frame["last"] = frame["curve"].map(max), frame["curve"].str[-1]
    head = ("loss", "η", "learning rate", "best accuracy", "last", "agrees with labels trained on")
    lines = [(*head, "falls in", "CV says", "verdict")]
    for (loss, rate), tried in frame.groupby(["loss", "rate"]):
        for lr, seeds in tried.groupby("lr"):
            expected = loss != "CE" or lr not in (tried["lr"].min(), tried["lr"].max())
            falls = seeds["best"] - seeds["last"] > FALL
            verdict = _verdict([1.0 if fell == expected else -1.0 for fell in falls])
            if expected and (seeds["fitted"] < FITTED).any():
                verdict = "too short"
            numbers = (f"{seeds[name].mean():.3f}" for name in ("best", "last", "fitted"))
            says = "falls" if expected else "does not fall"
            lines.append(
                (loss, f"{rate:g}", f"{lr:g}", *numbers, f"{falls.sum()} of {len(falls)}", says, verdict)
            )
    return markdown(lines)
